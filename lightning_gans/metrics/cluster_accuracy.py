"""Clustering accuracy: the agreement of categories, learned without labels, with the labels."""

from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics import Metric

from lightning_gans.checks import check_positive


def cluster_accuracy(categories: Tensor, labels: Tensor) -> float:
    """Compute the clustering accuracy: the share of examples whose category is matched with their label.

    The matching is one-to-one, between categories and labels, and maximizes the accuracy (Hungarian algorithm, Kuhn
    1955, doi:10.1002/nav.3800020109). Categories or labels in excess are not matched. As the matching is optimized on
    the same examples, random categories score above 1 / (number of categories). The version of torchmetrics,
    `torchmetrics.functional.clustering.cluster_accuracy`, does not fit: it needs the package `torch_linear_assignment`,
    as many categories as labels, and a label for each example.

    Args:
        categories: Categories (n,), int64 from 0.
        labels: Labels (n,), int64; examples with the label -1 (unknown) are ignored.

    Returns:
        The clustering accuracy, from 0 to 1.

    Raises:
        ValueError: If the lengths differ, a category is negative, or all labels are unknown.

    Example:
        >>> cluster_accuracy(torch.tensor([2, 2, 0, 0, 1]), torch.tensor([0, 0, 1, 1, 1]))
        0.8
    """
    if categories.shape != labels.shape:
        raise ValueError(f"`labels` must have the length of `categories`, {len(categories)}, got {len(labels)}")
    if (categories < 0).any():
        raise ValueError(f"`categories` must be at least 0, got {int(categories.min())}")
    if not (known := labels >= 0).any():
        raise ValueError("`labels` must hold at least one known label, got only -1")
    categories, labels = categories[known], labels[known]
    columns = int(labels.max()) + 1
    pairs = torch.bincount(categories * columns + labels, minlength=(int(categories.max()) + 1) * columns)
    return _best_matching(pairs.view(-1, columns))


class ClusterAccuracy(Metric):
    """Accumulate counts of pairs of categories and labels, and compute the clustering accuracy.

    See `cluster_accuracy` for the definition.

    Args:
        num_categories: Number of categories.
        num_labels: Number of labels.
        **kwargs: Arguments of `torchmetrics.Metric`.

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
        check_positive(num_categories=num_categories, num_labels=num_labels)
        zeros = torch.zeros(num_categories, num_labels, dtype=torch.int64)
        self.add_state("pairs", default=zeros, dist_reduce_fx="sum")

    def update(self, categories: Tensor, labels: Tensor) -> None:
        """Count the pairs of a batch.

        Args:
            categories: Categories (b,), int64.
            labels: Labels (b,), int64, -1 where unknown.
        """
        categories, labels = categories[labels >= 0], labels[labels >= 0]
        for name, indices, size in zip(("categories", "labels"), (categories, labels), self.pairs.shape, strict=True):
            if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < size:
                raise ValueError(
                    f"`{name}` must be from 0 to {size - 1}, got {int(indices.min())} to {int(indices.max())}"
                )
        pairs = torch.bincount(categories * self.pairs.shape[1] + labels, minlength=self.pairs.numel())
        self.pairs += pairs.view_as(self.pairs)

    def compute(self) -> Tensor:
        """Compute the clustering accuracy of all examples; NaN if there are none."""
        return torch.tensor(_best_matching(self.pairs), device=self.device)


def _best_matching(pairs: Tensor) -> float:
    """Compute the largest share of the counts (categories, labels) on which a one-to-one matching agrees."""
    counts = pairs.cpu().numpy()
    matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
    return float(matched / counts.sum()) if counts.any() else float("nan")
