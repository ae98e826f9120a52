"""A source of stored examples with known hashes and further columns, such as labels."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightning_gans.datamodules.hashing import hash_data_set
from lightning_gans.datamodules.sources import Source, StoredSource, Tensors, TensorSource


class AnnotatedSource(StoredSource):
    """The examples of another source in any storage, with columns in memory.

    The hashes are known, so that the fingerprint is the same for every storage, and no example is read for it.

    Args:
        source: The n examples.
        columns: Further keys of the examples, such as labels, each with n rows.
        hashes: (n,) hashes of the examples.

    Example:
        >>> images = TensorSource({"image": torch.tensor([5, 6, 7])})
        >>> source = AnnotatedSource(images, {"label": torch.tensor([3, 1, 4])}, images.hashes)
        >>> source.fetch(torch.tensor([2, 0]))
        {'image': tensor([7, 5]), 'label': tensor([4, 3])}
    """

    def __init__(self, source: Source, columns: Mapping[str, Tensor], hashes: npt.NDArray[np.uint64]) -> None:
        self.source = source
        self.columns = TensorSource(columns)
        self.storage = source.storage
        self._hashes = hashes

    def __len__(self) -> int:
        return len(self.source)

    def fetch(self, indices: Tensor, seed: int = 0) -> Tensors:
        """Read examples and their columns."""
        return {**self.source.fetch(indices, seed), **self.columns.fetch(indices)}

    def batches(self, indices: Sequence[Tensor], seed: int = 0) -> Iterator[Tensors]:
        """Read batches of examples, ahead of their use if the source does."""
        examples = zip(self.source.batches(indices, seed), indices, strict=True)
        return ({**batch, **self.columns.fetch(rows)} for batch, rows in examples)

    def to(self, device: torch.device) -> "AnnotatedSource":
        """Move the examples, as the `to` of their source does, and the columns with them."""
        source = self.source.to(device)
        if source is self.source:
            return self
        return AnnotatedSource(source, self.columns.to(device).tensors, self._hashes)

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns, and the arrays of the examples if these are stored decoded."""
        examples = self.source.arrays if isinstance(self.source, StoredSource) else {}
        return {**examples, **self.columns.arrays}

    @property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """Return (n,) hashes of the content of the examples."""
        return self._hashes

    def fingerprint_of(self, indices: Tensor) -> str:
        """Hash some examples and their columns."""
        rows = indices.numpy()
        return hash_data_set(self.hashes[rows], {name: array[rows] for name, array in self.columns.arrays.items()})
