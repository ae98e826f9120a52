"""Several sources as one."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lightning_gans.datamodules.hashing import hash_data_set
from lightning_gans.datamodules.sources import Source, Tensors


class ConcatSource(Source):
    """The examples of several sources, one source after the other.

    Args:
        sources: The sources, whose examples have equal keys and shapes; at least one has examples.

    Example:
        >>> from lightning_gans.datamodules.sources import TensorSource
        >>> parts = [TensorSource({"label": torch.tensor(values)}) for values in ([3, 1], [4])]
        >>> ConcatSource(parts).fetch(torch.tensor([2, 0]))
        {'label': tensor([4, 3])}
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)
        self.ends = torch.tensor([len(source) for source in sources]).cumsum(0)
        self.storage = self.sources[0].storage

    def __len__(self) -> int:
        return int(self.ends[-1])

    def fetch(self, indices: Tensor, seed: int = 0) -> Tensors:
        """Read the examples of each source, and put them in the order of the indices."""
        number = torch.searchsorted(self.ends, indices, right=True)
        parts = [
            source.fetch(indices[number == i] - (self.ends[i] - len(source)), seed)
            for i, source in enumerate(self.sources)
            if (number == i).any()
        ]
        order = number.argsort(stable=True).argsort()
        return {key: torch.cat([part[key] for part in parts])[order] for key in parts[0]}

    def fingerprint(self) -> str:
        """Hash the fingerprints of the sources in order."""
        return hash_data_set(np.empty(0, np.uint64), {source.fingerprint(): i for i, source in enumerate(self.sources)})

    def to(self, device: torch.device) -> "ConcatSource":
        """Move each source, as its `to` does; all remain in place if one does."""
        moved = [source.to(device) for source in self.sources]
        return ConcatSource(self.sources if any(a is b for a, b in zip(moved, self.sources, strict=True)) else moved)
