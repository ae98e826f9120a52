"""How far categories that were found without labels agree with labels."""

from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics import Metric


def cluster_accuracy(categories: Tensor, labels: Tensor) -> float:
    """Share of the examples whose category is the one that stands for their label, categories matched at best.

    Each category stands for at most one label and each label for at most one category; of all such matchings that with
    the most agreement counts (Kuhn 1955, doi:10.1002/nav.3800020109). It is also called clustering accuracy. As it is
    chosen on the examples that are counted, categories drawn at random agree more than one divided by their number.

    Args:
        categories: (n,), int64, from 0.
        labels: (n,), int64; examples with the label -1, unknown, do not count.

    Raises:
        ValueError: If the lengths differ, a category is negative, or no label is known.

    Example:
        >>> cluster_accuracy(torch.tensor([2, 2, 0, 0, 1]), torch.tensor([0, 0, 1, 1, 1]))
        0.8
    """
    if categories.shape != labels.shape:
        raise ValueError(f"`labels` must be as many as `categories`, {len(categories)}, got {len(labels)}")
    if (categories < 0).any():
        raise ValueError(f"`categories` must be at least 0, got {int(categories.min())}")
    if not (known := labels >= 0).any():
        raise ValueError("`labels` must hold one that is known, got only -1")
    categories, labels = categories[known], labels[known]
    columns = int(labels.max()) + 1
    pairs = torch.bincount(categories * columns + labels, minlength=(int(categories.max()) + 1) * columns)
    return _best_matching(pairs.view(-1, columns))


class ClusterAccuracy(Metric):
    """Count pairs of categories and labels, and compute their best agreement.

    See `cluster_accuracy` for the definition.

    Args:
        num_categories: How many categories there can be.
        num_labels: How many labels.
        **kwargs: Of `torchmetrics.Metric`.

    Raises:
        ValueError: If a number is below 1; at `update`, if a category or a label is out of range.

    Example:
        >>> metric = ClusterAccuracy(num_categories=3, num_labels=2)
        >>> metric.update(torch.tensor([2, 2, 0]), torch.tensor([0, 0, 1]))
        >>> metric.update(torch.tensor([0, 1]), torch.tensor([1, 1]))
        >>> metric.compute()
        tensor(0.8000)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    pairs: Tensor

    def __init__(self, *, num_categories: int, num_labels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, number in (("num_categories", num_categories), ("num_labels", num_labels)):
            if number < 1:
                raise ValueError(f"`{name}` must be at least 1, got {number}")
        zeros = torch.zeros(num_categories, num_labels, dtype=torch.int64)
        self.add_state("pairs", default=zeros, dist_reduce_fx="sum")

    def update(self, categories: Tensor, labels: Tensor) -> None:
        """Count examples.

        Args:
            categories: (b,), int64.
            labels: (b,), int64, -1 where unknown.
        """
        categories, labels = categories[labels >= 0], labels[labels >= 0]
        for name, numbers, size in zip(("categories", "labels"), (categories, labels), self.pairs.shape, strict=True):
            if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < size:
                raise ValueError(
                    f"`{name}` must lie in 0 to {size - 1}, got {int(numbers.min())} to {int(numbers.max())}"
                )
        pairs = torch.bincount(categories * self.pairs.shape[1] + labels, minlength=self.pairs.numel())
        self.pairs += pairs.view_as(self.pairs)

    def compute(self) -> Tensor:
        """Compute the agreement over all that has been added; NaN if that is nothing."""
        return torch.tensor(_best_matching(self.pairs), device=self.device)


def _best_matching(pairs: Tensor) -> float:
    """The largest share of (categories, labels) counts that a matching holds."""
    counts = pairs.cpu().numpy()
    matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
    return float(matched / counts.sum()) if counts.any() else float("nan")
