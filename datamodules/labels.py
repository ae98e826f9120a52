"""Few labels: a fixed draw of the labels that remain, and an order of the data that mixes labeled examples in."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from lightning_gans.datamodules.hashing import hash_data_set
from lightning_gans.datamodules.sources import Source, Tensors


def draw_labeled(label: Tensor, per_class: int, *, num_classes: int, seed: int) -> Tensor:
    """Draw the same number of labeled examples from each class.

    The draw depends only on the labels and on the seed. A smaller draw is a part of a larger one.

    Args:
        label: (n,) int64 labels, -1 where unknown.
        per_class: Examples per class, from 0.
        num_classes: Number of classes.
        seed: Seed of the draw.

    Returns:
        (num_classes * per_class,) int64 indices of the drawn examples, in ascending order.

    Raises:
        ValueError: If a class has fewer than `per_class` examples.

    Example:
        >>> draw_labeled(torch.tensor([0, 1, -1, 1, 0]), 2, num_classes=2, seed=0)
        tensor([0, 1, 3, 4])
    """
    # NumPy guarantees that the numbers of a RandomState never change between releases; torch.randperm does not
    order = torch.from_numpy(np.random.RandomState(seed).permutation(len(label))).long()
    members = [order[label[order] == number] for number in range(num_classes)]
    smallest = min(range(num_classes), key=lambda number: len(members[number]))
    if len(members[smallest]) < per_class:
        raise ValueError(
            f"`labels_per_class` must be at most {len(members[smallest])}, the number of training examples of class"
            f" {smallest}, got {per_class}"
        )
    return torch.cat([indices[:per_class] for indices in members]).sort().values


class HiddenLabels(Source):
    """Replace the labels of a source by -1, except those of given examples.

    Args:
        source: The source, whose examples have labels.
        labeled: (m,) int64 indices of the examples that keep their labels.

    Example:
        >>> from lightning_gans.datamodules.sources import TensorSource
        >>> HiddenLabels(TensorSource({"label": torch.tensor([3, 1, 4])}), torch.tensor([1])).fetch(torch.arange(3))
        {'label': tensor([-1,  1, -1])}
    """

    def __init__(self, source: Source, labeled: Tensor) -> None:
        self.source = source
        self.storage = source.storage
        self.labeled = labeled
        self._keeps_label = torch.zeros(len(source), dtype=torch.bool)
        self._keeps_label[labeled] = True

    def __len__(self) -> int:
        return len(self.source)

    def fetch(self, indices: Tensor, seed: int = 0) -> Tensors:
        """Read examples, and hide their labels."""
        return self._hide(self.source.fetch(indices, seed), indices)

    def batches(self, indices: Sequence[Tensor], seed: int = 0) -> Iterator[Tensors]:
        """Read batches, and hide their labels."""
        batches = self.source.batches(indices, seed)
        return (self._hide(batch, rows) for batch, rows in zip(batches, indices, strict=True))

    def to(self, device: torch.device) -> "HiddenLabels":
        """Move the source, as its `to` does."""
        return HiddenLabels(self.source.to(device), self.labeled)

    def fingerprint(self) -> str:
        """Hash the fingerprint of the source, and the indices of the examples that keep their labels."""
        return hash_data_set(self.labeled.numpy().astype(np.uint64), {self.source.fingerprint(): 0})

    def _hide(self, examples: Tensors, indices: Tensor) -> Tensors:
        label = examples["label"]
        keeps_label = self._keeps_label[indices].to(label.device)
        return {**examples, "label": torch.where(keeps_label, label, -1)}


def keep_labels(source: Source, per_class: int | None, *, num_classes: int | None, seed: int) -> Source:
    """Hide all labels of training examples, except for a draw of the same number from each class.

    Args:
        source: Source of the training examples.
        per_class: Labels to keep per class, from 0; None keeps all.
        num_classes: Number of classes of the data; None without labels.
        seed: Seed of the draw.

    Raises:
        ValueError: If `per_class` is negative or more than a class has, or the data have no classes.

    Example:
        >>> from lightning_gans.datamodules.sources import TensorSource
        >>> few = keep_labels(TensorSource({"label": torch.tensor([0, 1, 1, 0])}), 1, num_classes=2, seed=0)
        >>> (few.column("label") >= 0).sum()
        tensor(2)
    """
    if per_class is None:
        return source
    if num_classes is None:
        raise ValueError(f"`labels_per_class` is {per_class}, but the data have no classes")
    if per_class < 0:
        raise ValueError(f"`labels_per_class` must be at least 0, or None for all labels, got {per_class}")
    return HiddenLabels(source, draw_labeled(source.column("label"), per_class, num_classes=num_classes, seed=seed))


class LabeledMixture:
    """Mix labeled examples into each batch of a loader.

    A global batch has `labeled_per_batch` of the labeled examples, which are repeated in new permutations. Its other
    examples are consecutive in a permutation of all examples, labeled or not. The labeled ones have equal distances in
    the batch, so that each of several processes, and each part of a batch, has its share of them.

    Args:
        labeled: (m,) int64 indices of the labeled examples, at least one.
        labeled_per_batch: Labeled examples per global batch.
        batch_size: Examples per global batch.

    Raises:
        ValueError: If `labeled_per_batch` is below 1 or not below `batch_size`.

    Example:
        >>> mixture = LabeledMixture(torch.tensor([5, 6]), labeled_per_batch=2, batch_size=4)
        >>> mixture.order(torch.arange(4), None)
        tensor([0, 5, 1, 6, 2, 5, 3, 6])
    """

    def __init__(self, labeled: Tensor, *, labeled_per_batch: int, batch_size: int) -> None:
        if not 1 <= labeled_per_batch < batch_size:
            raise ValueError(
                f"`labeled_per_batch` must be at least 1 and below `batch_size` {batch_size}, got {labeled_per_batch}"
            )
        self.labeled = labeled
        self.labeled_per_batch = labeled_per_batch
        self.batch_size = batch_size

    def num_batches(self, num_examples: int) -> int:
        """Return the number of batches of an epoch, in which each example is used once, and labeled ones more often."""
        return num_examples // (self.batch_size - self.labeled_per_batch)

    def order(self, permutation: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the indices of the examples of an epoch, batch after batch.

        Args:
            permutation: (n,) permutation of all examples.
            generator: Generator of the permutations of the labeled examples; None keeps them in order.

        Returns:
            (num_batches * batch_size,) int64.
        """
        count = self.num_batches(len(permutation))
        places = torch.arange(1, self.batch_size + 1) * self.labeled_per_batch // self.batch_size
        is_labeled = places.diff(prepend=torch.zeros(1, dtype=torch.int64)).bool()
        order = torch.empty(count, self.batch_size, dtype=torch.int64)
        others = self.batch_size - self.labeled_per_batch
        order[:, ~is_labeled] = permutation[: count * others].view(count, others)
        order[:, is_labeled] = self._repeat(count * self.labeled_per_batch, generator).view(count, -1)
        return order.flatten()

    def _repeat(self, count: int, generator: torch.Generator | None) -> Tensor:
        """Repeat the labeled examples in new permutations, `count` in total."""
        size = len(self.labeled)
        rounds = -(-count // size)
        orders = [
            torch.arange(size) if generator is None else torch.randperm(size, generator=generator)
            for _ in range(rounds)
        ]
        return self.labeled[torch.cat(orders)[:count]]


def mix_labeled(source: Source, labeled_per_batch: int | None, *, batch_size: int) -> LabeledMixture | None:
    """Create the mixture of a loader; None if nothing is mixed, or if no example has a label.

    Args:
        source: Source of the training examples.
        labeled_per_batch: Labeled examples per global batch, or None.
        batch_size: Examples per global batch.

    Raises:
        ValueError: If `labeled_per_batch` is below 1 or not below `batch_size`.

    Example:
        >>> from lightning_gans.datamodules.sources import TensorSource
        >>> mix_labeled(TensorSource({"label": torch.tensor([3, -1, 4])}), 1, batch_size=2).labeled
        tensor([0, 2])
    """
    if labeled_per_batch is None:
        return None
    labeled = (source.column("label") >= 0).nonzero().flatten()
    mixture = LabeledMixture(labeled, labeled_per_batch=labeled_per_batch, batch_size=batch_size)
    return mixture if len(labeled) else None
