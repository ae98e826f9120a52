"""The loader in front of every source, whose order can be resumed exactly."""

import zlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from lightning_gans.datamodules.labels import LabeledMixture
from lightning_gans.datamodules.sources import Source

ORDER = ("batch_size", "labeled_per_batch", "seed", "examples")
"""Entries of the state of a loader that determine its order."""


class ResumableLoader:
    """Yield batches of a source, in an order that is a pure function of (seed, epoch, rank).

    Each epoch is one global permutation of the examples, which the source draws. It is divided into global batches of
    `batch_size * world_size` examples, and rank r yields the r-th contiguous part of each. The ranks are therefore
    disjoint, and together they yield the batches that a single process would yield.

    The loader has `__len__`, `state_dict` and `load_state_dict`, which Lightning needs for an exact resume. A batch
    counts as consumed when it is yielded, even if the source has read batches ahead. A consumed epoch ends at the
    *start* of the next `iter`, because Lightning stops at `len` without exhausting the iterator. Global random states
    are neither read nor changed.

    Args:
        source: Source of the examples.
        batch_size: Examples per batch on each rank.
        shuffle: Whether to shuffle the examples in every epoch; otherwise every epoch has the same order.
        drop_last: Whether to drop an incomplete last batch. If the batch is kept, the ranks divide it equally and drop
            the remaining examples, fewer than `world_size`; a single process drops none.
        seed: Seed of the permutations, default 0.
        rank: Rank of this process, default 0.
        world_size: Number of processes, default 1.
        mixture: Mixture of labeled examples into each global batch, default None. An epoch then has complete batches
            only.

    Raises:
        ValueError: If an argument is out of range, or an epoch would have no batch.

    Example:
        >>> from lightning_gans.datamodules.sources import TensorSource
        >>> source = TensorSource({"image": torch.arange(5)})
        >>> loader = ResumableLoader(source, batch_size=2, shuffle=False, drop_last=False)
        >>> [batch["image"].tolist() for batch in loader]
        [[0, 1], [2, 3], [4]]
        >>> len(loader)
        3
    """

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        shuffle: bool,
        drop_last: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        mixture: LabeledMixture | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {batch_size}")
        if not 0 <= rank < world_size:
            raise ValueError(f"`rank` must be at least 0 and less than `world_size` {world_size}, got {rank}")
        self.source = source
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.mixture = mixture
        self.epoch = 0
        self.position = 0
        self._yielded = False  # whether a batch was yielded since the constructor or `load_state_dict`
        self._num_examples = len(source)
        self._num_rows = (
            self._num_examples if mixture is None else mixture.num_batches(self._num_examples) * self._global_batch_size
        )
        full_batches, remainder = divmod(self._num_rows, self._global_batch_size)
        self._length = full_batches + (not drop_last and remainder >= world_size)
        if self._length == 0:
            required = self._global_batch_size if drop_last else world_size
            raise ValueError(
                f"`batch_size` {batch_size} on {world_size} processes needs at least {required} examples "
                f"for a batch, got {self._num_examples}"
            )

    @property
    def _global_batch_size(self) -> int:
        return self.batch_size * self.world_size

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        # Lightning may create several iterators before it requests a batch; a state that was loaded in the middle of an
        # epoch must survive that
        if self._yielded or self.position >= len(self):
            self.epoch += 1
            self.position = 0
        self._yielded = False
        return self._batches(self._order(), self.position)

    def _order(self) -> Tensor:
        """Return the indices of the examples of this epoch, batch after batch."""
        generator = _generator(self.seed, self.epoch) if self.shuffle else None
        order = torch.arange(self._num_examples)
        if generator is not None:
            order = self.source.permutation(generator)
        return order if self.mixture is None else self.mixture.order(order, generator)

    def _batches(self, order: Tensor, start: int) -> Iterator[dict[str, Tensor]]:
        positions = range(start, len(self))
        indices = [order[self._rank_slice(position)] for position in positions]
        for position, batch in zip(positions, self.source.batches(indices, _hash(self.seed, self.epoch)), strict=True):
            self.position = position + 1
            self._yielded = True
            yield batch

    def _rank_slice(self, position: int) -> slice:
        """Return the part of the order that this rank yields in the global batch at `position`."""
        first = position * self._global_batch_size
        size = min(self._global_batch_size, self._num_rows - first) // self.world_size
        return slice(first + self.rank * size, first + (self.rank + 1) * size)

    def rand_per_example(self) -> Tensor:
        """Return a uniform random number for each example of the last yielded batch, for its augmentation.

        The numbers are a pure function of (seed, epoch, position). They are drawn for the global batch and divided
        among the ranks like the examples. They therefore depend neither on resuming nor on the number of processes.

        Returns:
            (b,) float in [0, 1).

        Raises:
            ValueError: If no batch of this epoch has been yielded yet.

        Example:
            >>> from lightning_gans.datamodules.sources import TensorSource
            >>> source = TensorSource({"image": torch.arange(6)})
            >>> loader = ResumableLoader(source, batch_size=2, shuffle=True, drop_last=True)
            >>> batch = next(iter(loader))
            >>> loader.rand_per_example().shape
            torch.Size([2])
        """
        if self.position == 0:
            raise ValueError("`rand_per_example` belongs to the last yielded batch, but this epoch has yielded none")
        numbers = torch.rand(self._global_batch_size, generator=_generator(self.seed, self.epoch, self.position))
        rank_slice = self._rank_slice(self.position - 1)
        start = rank_slice.start - (self.position - 1) * self._global_batch_size
        return numbers[start : start + rank_slice.stop - rank_slice.start]

    def state_dict(self) -> dict[str, int]:
        """Return the position in the data as plain integers, equal on all ranks."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "examples": self._num_examples,
            "batch_size": self._global_batch_size,
            "labeled_per_batch": 0 if self.mixture is None else self.mixture.labeled_per_batch,
        }

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Continue from a saved state: the next `iter` starts after the last batch that was yielded.

        Args:
            state_dict: Result of `state_dict`, saved with any number of ranks.

        Raises:
            ValueError: If the state was saved with another number of examples, seed or global batch size, and therefore
                another order.
        """
        own = self.state_dict()
        check_resumable(state_dict, {key: own[key] for key in ORDER})
        self.epoch = state_dict["epoch"]
        self.position = state_dict["position"]
        self._yielded = False


def _generator(*key: int) -> torch.Generator:
    """Return a generator whose numbers depend only on `key`."""
    return torch.Generator().manual_seed(_hash(*key))


def _hash(*key: int) -> int:
    return zlib.crc32(repr(key).encode())


def check_resumable(saved: Mapping[str, int], present: Mapping[str, int]) -> None:
    """Check that the order of the data is that of a checkpoint.

    Args:
        saved: State of the loader in the checkpoint; a value that it lacks is not compared.
        present: Entries `ORDER` of the state of this run.

    Raises:
        ValueError: A value differs.

    Example:
        >>> check_resumable({"batch_size": 64}, {"batch_size": 32})
        Traceback (most recent call last):
        ValueError: `batch_size` sets the order of the data, which was saved with batch_size 64, but this loader has 32
    """
    for key, value in present.items():
        if saved.get(key, value) != value:
            name = "the number of training examples" if key == "examples" else f"`{key}`"
            raise ValueError(
                f"{name} sets the order of the data, which was saved with {key} {saved[key]},"
                f" but this loader has {value}"
            )
