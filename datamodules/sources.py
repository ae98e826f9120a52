"""Sources of examples behind the loader: tensors in memory, and a data set that worker processes read."""

import random
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from lightning_gans.core.batches import as_dict
from lightning_gans.datamodules.hashing import content_key, hash_array, hash_data_set
from lightning_gans.types import Batch

Tensors = dict[str, Tensor]
"""Examples in stored form, by key; the first axis is the batch axis. Images are uint8 levels, labels int64."""


DEVICE_SHARE = 0.25
"""Share of the free memory of a GPU that a data set may occupy."""


COLUMN_CHUNK = 1024
"""Examples that are read at once to collect one of their keys."""


class MapDataset(Protocol):
    """A map-style data set: any object with `__len__` and `__getitem__`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Source(ABC):
    """Examples in stored form, read by index.

    Attributes:
        storage: Name of the storage, for the first line of a run.
    """

    storage: str

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of examples."""

    @abstractmethod
    def fetch(self, indices: Tensor, seed: int = 0) -> Tensors:
        """Read examples.

        Args:
            indices: (b,) int64 indices of the examples.
            seed: Seed of random transforms of the data set, if it has any; the seed of an example depends on `seed`
                and on its index only.

        Returns:
            The examples, in the order of the indices.
        """

    def permutation(self, generator: torch.Generator) -> Tensor:
        """Return the order of a shuffled epoch: by default, a uniformly random permutation.

        A source that is slow at random access returns an order that keeps examples close to their neighbors.

        Args:
            generator: Random generator, which determines the order.

        Returns:
            (n,) int64, each index once.
        """
        return torch.randperm(len(self), generator=generator)

    def batches(self, indices: Sequence[Tensor], seed: int = 0) -> Iterator[Tensors]:
        """Read several batches, possibly ahead of their use.

        Args:
            indices: Indices of each batch.
            seed: As in `fetch`.
        """
        return (self.fetch(batch, seed) for batch in indices)

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of the content, which differs for other data."""

    def column(self, key: str) -> Tensor:
        """Return one key of all examples, such as their labels; other keys are not kept in memory.

        Args:
            key: Key of the examples.
        """
        chunks = torch.split(torch.arange(len(self)), COLUMN_CHUNK)
        return torch.cat([self.fetch(chunk)[key] for chunk in chunks])

    def fingerprint_of(self, indices: Tensor) -> str:
        """Return a hash of the content of some examples; by default, of the whole content and of the indices.

        Args:
            indices: (n,) int64 indices of the examples.
        """
        return hash_data_set(indices.numpy().astype(np.uint64), {self.fingerprint(): 0})

    def to(self, device: torch.device) -> "Source":
        """Return a source with its tensors on a device, or this source if it has none or if they do not fit."""
        return self


class StoredSource(Source):
    """Decoded examples in arrays."""

    @property
    @abstractmethod
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays by key, without copying them."""

    @property
    @abstractmethod
    def hashes(self) -> npt.NDArray[np.uint64]:
        """Return (n,) hashes of the content of the examples."""

    def column(self, key: str) -> Tensor:
        """Return a copy of one array."""
        return torch.tensor(self.arrays[key])

    def fingerprint(self) -> str:
        """Hash all examples; equal for every storage of the same examples."""
        return self.fingerprint_of(torch.arange(len(self)))

    def fingerprint_of(self, indices: Tensor) -> str:
        """Hash some examples; equal for a source of only these examples."""
        rows, key = indices.numpy(), content_key(self.arrays)
        return hash_data_set(
            self.hashes[rows], {name: array[rows] for name, array in self.arrays.items() if name != key}
        )


class TensorSource(StoredSource):
    """Tensors in memory, or on a device: one indexing operation per batch.

    Args:
        tensors: Examples by key, of equal length.

    Raises:
        ValueError: The tensors differ in length, or there are none.

    Example:
        >>> TensorSource({"label": torch.tensor([3, 1, 4])}).fetch(torch.tensor([2, 0]))
        {'label': tensor([4, 3])}
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        lengths = {key: len(tensor) for key, tensor in tensors.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"`tensors` must have equal lengths, got {lengths}")
        self.storage = "memory"
        self.tensors = dict(tensors)
        (self._length,) = set(lengths.values())

    def __len__(self) -> int:
        return self._length

    def fetch(self, indices: Tensor, seed: int = 0) -> Tensors:
        """Index every tensor; `seed` has no effect."""
        # several times as fast as `tensor[indices]` on a CPU, since it copies whole rows
        return {key: select_rows(tensor, indices) for key, tensor in self.tensors.items()}

    def to(self, device: torch.device) -> "TensorSource":
        """Return a source with the tensors on a GPU if they need at most a part of its free memory, else this source.

        Batches are then indexed on the GPU, and none is transferred in training.
        """
        size = sum(tensor.nbytes for tensor in self.tensors.values())
        if device.type != "cuda" or size > DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
            return self
        return TensorSource({key: tensor.to(device) for key, tensor in self.tensors.items()})

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return views of the tensors."""
        return {key: tensor.cpu().numpy() for key, tensor in self.tensors.items()}

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """Return (n,) hashes of the content of the examples."""
        arrays = self.arrays
        return np.array([hash_array(example) for example in arrays[content_key(arrays)]], dtype=np.uint64)


def select_rows(tensor: Tensor, indices: Tensor) -> Tensor:
    """Copy rows of a tensor.

    On a CPU, NumPy copies them in one thread. torch's threads wait for each other at every call, which takes 20 to 100
    times as long while other programs use the cores.

    Args:
        tensor: (n, ...) tensor on any device.
        indices: (b,) int64 indices on the CPU.

    Returns:
        (b, ...) tensor on the device of `tensor`.
    """
    if tensor.device.type == "cpu" and tensor.dtype != torch.bfloat16:  # which NumPy does not have
        return torch.from_numpy(tensor.numpy()[indices.numpy()])
    return tensor.index_select(0, indices.to(tensor.device))


class WorkerSource(Source):
    """A map-style data set that is read example by example, with worker processes if there are any.

    Random transforms of the data set are functions of the seed of `fetch` and of the index: Python's, NumPy's and
    torch's global random states are seeded for each example, and are unchanged afterwards. The batches therefore depend
    neither on the number of workers nor on a resume.

    Args:
        dataset: The data set.
        collate: Function that makes a batch in stored form from a list of examples, default torch's `default_collate`.
        num_workers: Worker processes; 0 (default) reads in this process.

    Example:
        >>> source = WorkerSource([{"label": value} for value in (3, 1, 4)])
        >>> [batch["label"].tolist() for batch in source.batches([torch.tensor([2, 0]), torch.tensor([1])])]
        [[4, 3], [1]]
    """

    def __init__(
        self, dataset: MapDataset, *, collate: Callable[[list[Any]], Tensors] = default_collate, num_workers: int = 0
    ) -> None:
        if num_workers < 0:
            raise ValueError(f"`num_workers` must be at least 0, got {num_workers}")
        self.storage = "workers"
        self.dataset = dataset
        self.collate = collate
        self.num_workers = num_workers

    def __len__(self) -> int:
        return len(self.dataset)

    def fetch(self, indices: Tensor, seed: int = 0) -> Tensors:
        """Read the examples in this process."""
        examples = _SeededDataset(self.dataset, seed)
        return self.collate([examples[index] for index in indices.tolist()])

    def batches(self, indices: Sequence[Tensor], seed: int = 0) -> Iterator[Tensors]:
        """Read batches ahead in the worker processes."""
        if self.num_workers == 0:
            return super().batches(indices, seed)
        loader = DataLoader(
            _SeededDataset(self.dataset, seed),
            batch_sampler=[batch.tolist() for batch in indices],
            num_workers=self.num_workers,
            collate_fn=self.collate,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # else the loader would draw from the global random state
        )
        return iter(loader)

    def fingerprint(self) -> str:
        """Hash the number of examples, and up to 64 examples at equal distances."""
        count = len(self.dataset)
        indices = torch.linspace(0, count - 1, min(count, 64)).long()
        return hash_data_set(np.array([count], dtype=np.uint64), self.fetch(indices))


Examples = Batch | Source | MapDataset
"""Examples in stored form: tensors, a source, or a map-style data set."""


def as_source(examples: Examples, *, num_workers: int) -> Source:
    """Return examples as a source: tensors in memory, or a data set that workers read; a source is unchanged."""
    if isinstance(examples, Source):
        return examples
    if isinstance(examples, dict):
        return TensorSource(as_dict(cast("Batch", examples)))
    return WorkerSource(examples, num_workers=num_workers)


class Subset(Source):
    """A part of another source.

    Args:
        source: The source.
        indices: (n,) int64 indices of the examples in the source.

    Example:
        >>> part = Subset(TensorSource({"label": torch.tensor([3, 1, 4])}), torch.tensor([2, 0]))
        >>> len(part), part.fetch(torch.tensor([0]))
        (2, {'label': tensor([4])})
    """

    def __init__(self, source: Source, indices: Tensor) -> None:
        self.source = source
        self.indices = indices
        self.storage = source.storage

    def __len__(self) -> int:
        return len(self.indices)

    def fetch(self, indices: Tensor, seed: int = 0) -> Tensors:
        """Read examples from the whole source."""
        return self.source.fetch(self.indices[indices], seed)

    def batches(self, indices: Sequence[Tensor], seed: int = 0) -> Iterator[Tensors]:
        """Read batches from the whole source."""
        return self.source.batches([self.indices[batch] for batch in indices], seed)

    def column(self, key: str) -> Tensor:
        """Index the column of the whole source."""
        return self.source.column(key)[self.indices]

    def to(self, device: torch.device) -> "Subset":
        """Move the whole source, as its `to` does; other parts of that source are unaffected."""
        return Subset(self.source.to(device), self.indices)

    def fingerprint(self) -> str:
        """Hash the examples of this part."""
        return self.source.fingerprint_of(self.indices)

    def fingerprint_of(self, indices: Tensor) -> str:
        """Hash some examples of this part."""
        return self.source.fingerprint_of(self.indices[indices])


class _SeededDataset(Dataset[Any]):
    """A data set whose random transforms are functions of a seed and of the index."""

    def __init__(self, dataset: MapDataset, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, index: int) -> Any:
        seed = zlib.crc32(repr((self.seed, index)).encode())
        python, numpy = random.getstate(), np.random.get_state()
        with torch.random.fork_rng(devices=[]):
            try:
                random.seed(seed)
                np.random.seed(seed)
                torch.manual_seed(seed)
                return self.dataset[index]
            finally:
                random.setstate(python)
                np.random.set_state(numpy)
