"""Test the clustering accuracy against all permutations."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_gans.metrics import ClusterAccuracy, cluster_accuracy


def brute_force(categories: Tensor, labels: Tensor) -> float:
    """Compute the maximum over all one-to-one matchings."""
    size = int(max(categories.max(), labels.max())) + 1
    renamed = (torch.tensor(order)[categories] for order in itertools.permutations(range(size)))
    return max((names == labels).double().mean().item() for names in renamed)


def sample(seed: int, categories: int, labels: int, count: int = 60) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(labels, (count,), generator=generator)
    noise = torch.randint(categories, (count,), generator=generator)
    correct = torch.rand(count, generator=generator) < 0.5
    return torch.where(correct, (label + 1) % categories, noise), label


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("categories", "labels"), [(2, 2), (5, 5), (6, 4), (3, 6), (1, 4)])
def test_it_is_the_best_of_all_matchings(seed: int, categories: int, labels: int) -> None:
    category, label = sample(seed, categories, labels)
    assert cluster_accuracy(category, label) == pytest.approx(brute_force(category, label), abs=1e-12)
    metric = ClusterAccuracy(num_categories=categories, num_labels=labels)
    for category_part, label_part in zip(category.split(17), label.split(17), strict=True):
        metric.update(category_part, label_part)
    assert float(metric.compute()) == pytest.approx(brute_force(category, label), rel=1e-6)


@pytest.mark.parametrize("shift", range(10))
def test_permuted_categories_score_the_same(shift: int) -> None:
    labels = torch.arange(40) % 10
    assert cluster_accuracy((labels + shift) % 10, labels) == 1.0


def test_a_greedy_matching_is_not_optimal() -> None:
    """Matching category 0 with label 1 and category 1 with label 0 gives 3 + 2; the greedy matching gives 4 + 0."""
    pairs = [(0, 0)] * 4 + [(0, 1)] * 3 + [(1, 0)] * 2
    categories, labels = torch.tensor(pairs).unbind(1)
    assert cluster_accuracy(categories, labels) == 5 / 9


def test_a_single_category_is_matched_with_a_single_label() -> None:
    assert cluster_accuracy(torch.zeros(10, dtype=torch.int64), torch.arange(10)) == 0.1


def test_unknown_labels_are_ignored() -> None:
    categories, labels = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([3, -1, 2, -1, 2])
    assert cluster_accuracy(categories, labels) == 1.0
    metric = ClusterAccuracy(num_categories=2, num_labels=4)
    metric.update(categories, labels)
    assert float(metric.compute()) == 1.0
    assert int(metric.pairs.sum()) == 3
    metric.reset()
    metric.update(categories[[1, 3]], labels[[1, 3]])
    assert math.isnan(float(metric.compute()))


@pytest.mark.parametrize(
    ("categories", "labels", "message"),
    [
        ([0, 1], [0], "`labels` must have the length of `categories`, 2, got 1"),
        ([0, -1], [0, 1], "`categories` must be at least 0, got -1"),
        ([0, 1], [-1, -1], "`labels` must hold at least one known label, got only -1"),
    ],
)
def test_invalid_categories_and_labels_are_refused(categories: list[int], labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cluster_accuracy(torch.tensor(categories), torch.tensor(labels))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_categories": 0, "num_labels": 2}, "`num_categories` must be at least 1, got 0"),
        ({"num_categories": 2, "num_labels": 0}, "`num_labels` must be at least 1, got 0"),
    ],
)
def test_sizes_below_one_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClusterAccuracy(**arguments)


def test_categories_and_labels_out_of_range_are_refused() -> None:
    metric = ClusterAccuracy(num_categories=2, num_labels=2)
    with pytest.raises(ValueError, match="`categories` must be from 0 to 1, got 0 to 2"):
        metric.update(torch.tensor([0, 2]), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="`labels` must be from 0 to 1, got 0 to 5"):
        metric.update(torch.tensor([0, 1]), torch.tensor([0, 5]))
