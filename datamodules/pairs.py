"""A source of pairs: each example has a partner in another source, such as a caption or a recording of its class."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from lightning_gans.datamodules.hashing import hash_data_set, uniform_numbers
from lightning_gans.datamodules.sources import Source, Tensors


class Candidates(NamedTuple):
    """Possible partners of n examples: a range of `rows` for each example.

    Attributes:
        rows: (m,) int64 indices in the source of the partners.
        starts: (n,) int64 beginnings of the ranges.
        counts: (n,) int64 lengths of the ranges, at least 1.
    """

    rows: Tensor
    starts: Tensor
    counts: Tensor

    @classmethod
    def consecutive(cls, counts: Tensor) -> Self:
        """Divide the partners among the examples in order: the first `counts[0]` partners belong to example 0.

        Args:
            counts: (n,) int64 numbers of partners.

        Example:
            >>> Candidates.consecutive(torch.tensor([2, 1])).starts
            tensor([0, 2])
        """
        return cls(torch.arange(int(counts.sum())), counts.cumsum(0) - counts, counts)

    @classmethod
    def same_label(cls, labels: Tensor, partner_labels: Tensor) -> Self:
        """Give each example the partners of the same label.

        Args:
            labels: (n,) int64 labels of the examples, from 0.
            partner_labels: (m,) int64 labels of the partners; those below 0 are not used.

        Raises:
            ValueError: An example has no partner.

        Example:
            >>> Candidates.same_label(torch.tensor([1, 0]), torch.tensor([0, 1, 1])).counts
            tensor([2, 1])
        """
        ordered, rows = partner_labels.sort(stable=True)
        starts = torch.searchsorted(ordered, labels)
        counts = torch.searchsorted(ordered, labels, right=True) - starts
        if missing := sorted(set(labels[(counts == 0) | (labels < 0)].tolist())):
            raise ValueError(f"each label must have a partner, but these have none: {missing}")
        return cls(rows, starts, counts)

    def first(self) -> Tensor:
        """Return (n,) the first partner of each example."""
        return self.rows[self.starts]

    def draw(self, indices: Tensor, seed: int) -> Tensor:
        """Draw partners, each a function of the seed and of the index of its example.

        Args:
            indices: (b,) int64 indices of examples.
            seed: Seed of the draws.

        Returns:
            (b,) int64 indices of partners.
        """
        steps = (uniform_numbers(seed, indices) * self.counts[indices]).long()
        return self.rows[self.starts[indices] + steps]


class PairSource(Source):
    """Examples with the partners from another source: fixed, or drawn from candidates in each epoch.

    A drawn partner depends on the seed of the epoch and on the index of its example only. The pairs are therefore the
    same after a resume, on any number of processes, and with any number of workers.

    Args:
        source: The n examples.
        partners: The source of the partners.
        keys: Keys of a partner that its example gets, in place of its own if it has them.
        candidates: The possible partners.
        fixed: (n,) int64 partners, or None (default) to draw them.

    Example:
        >>> from lightning_gans.datamodules.sources import TensorSource
        >>> images, texts = (TensorSource({key: torch.tensor([0, 1, 2])}) for key in ("image", "text"))
        >>> candidates = Candidates.consecutive(torch.tensor([1, 2]))
        >>> fixed = PairSource(images, texts, ("text",), candidates, fixed=candidates.first())
        >>> fixed.fetch(torch.tensor([1, 0]))
        {'image': tensor([1, 0]), 'text': tensor([1, 0])}
        >>> drawn = fixed.drawn()
        >>> sorted({drawn.fetch(torch.tensor([1]), seed)["text"].item() for seed in range(9)})
        [1, 2]
    """

    def __init__(
        self,
        source: Source,
        partners: Source,
        keys: Sequence[str],
        candidates: Candidates,
        *,
        fixed: Tensor | None = None,
    ) -> None:
        self.source = source
        self.partners = partners
        self.keys = tuple(keys)
        self.candidates = candidates
        self.fixed = fixed
        self.storage = source.storage

    def drawn(self, source: Source | None = None) -> "PairSource":
        """Return a source whose partners are drawn.

        Args:
            source: The n examples, default None for those of this source.
        """
        return PairSource(self.source if source is None else source, self.partners, self.keys, self.candidates)

    def __len__(self) -> int:
        return len(self.source)

    def partner_of(self, indices: Tensor, seed: int = 0) -> Tensor:
        """Return (b,) int64 indices of the partners of examples.

        Args:
            indices: (b,) int64 indices of the examples.
            seed: Seed of the draws; fixed partners do not depend on it.
        """
        return self.candidates.draw(indices, seed) if self.fixed is None else self.fixed[indices]

    def fetch(self, indices: Tensor, seed: int = 0) -> Tensors:
        """Read examples and their partners."""
        return self._join(self.source.fetch(indices, seed), self.partners.fetch(self.partner_of(indices, seed), seed))

    def batches(self, indices: Sequence[Tensor], seed: int = 0) -> Iterator[Tensors]:
        """Read batches of examples and of their partners ahead, as far as their sources do."""
        partners = [self.partner_of(batch, seed) for batch in indices]
        pairs = zip(self.source.batches(indices, seed), self.partners.batches(partners, seed), strict=True)
        return (self._join(examples, partners) for examples, partners in pairs)

    def _join(self, examples: Tensors, partners: Tensors) -> Tensors:
        return {**examples, **{key: partners[key] for key in self.keys}}

    def to(self, device: torch.device) -> "PairSource":
        """Move each of the two sources, as its `to` does."""
        return PairSource(
            self.source.to(device), self.partners.to(device), self.keys, self.candidates, fixed=self.fixed
        )

    def fingerprint(self) -> str:
        """Hash the fingerprints of the two sources, the candidates and the fixed partners."""
        arrays = {name: tensor.numpy() for name, tensor in self.candidates._asdict().items()}
        fixed = self.candidates.rows[:0] if self.fixed is None else self.fixed
        parts = {self.source.fingerprint(): 0, self.partners.fingerprint(): 1}
        return hash_data_set(fixed.numpy().astype(np.uint64), {**arrays, **parts})
