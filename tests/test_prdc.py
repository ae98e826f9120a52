"""Test precision, recall, density and coverage: definitions, expectations and published values."""

import sys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_gans.metrics import PRDC, prdc


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def brute_force(real: NDArray[np.float64], fake: NDArray[np.float64], k: int) -> tuple[float, float, float, float]:
    """Follow the authors' definitions (arXiv:2002.09797, sections 2 and 3) point by point."""

    def radius(points: NDArray[np.float64], i: int) -> float:
        others = np.delete(points, i, axis=0)
        return float(np.sort(np.sqrt(((others - points[i]) ** 2).sum(1)))[k - 1])

    inside_real = np.array(
        [[np.sqrt(((x - y) ** 2).sum()) < radius(real, i) for y in fake] for i, x in enumerate(real)]
    )
    inside_fake = np.array(
        [[np.sqrt(((x - y) ** 2).sum()) < radius(fake, j) for j, y in enumerate(fake)] for x in real]
    )
    return (
        inside_real.any(0).mean(),
        inside_fake.any(1).mean(),
        inside_real.sum() / (k * len(fake)),
        inside_real.any(1).mean(),
    )


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("real_count", "fake_count"), [(20, 20), (25, 12), (9, 30)])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_scores_equal_the_authors_definition(k: int, real_count: int, fake_count: int, offset: float) -> None:
    real = offset + torch.randn(real_count, 3, dtype=torch.float64)
    fake = offset + 0.3 + 0.8 * torch.randn(fake_count, 3, dtype=torch.float64)
    assert prdc(real, fake, k=k) == pytest.approx(brute_force(real.numpy(), fake.numpy(), k))


def test_distances_inside_distant_clusters_are_precise() -> None:
    # |x|^2 - 2 x.y + |y|^2 would cancel completely: squares of 1e12, squared distances of 1e-4.
    shift = 1e6 * torch.tensor([1.0, -1.0], dtype=torch.float64).repeat_interleave(15)[:, None]
    real = shift + 1e-2 * torch.randn(30, 3, dtype=torch.float64)
    fake = shift + 1e-2 * torch.randn(30, 3, dtype=torch.float64)
    assert prdc(real, fake, k=3) == pytest.approx(brute_force(real.numpy(), fake.numpy(), 3))


def test_duplicates_are_at_distance_zero() -> None:
    # Balls are open: a ball of radius 0 is empty, and does not contain its center.
    real = 3 + torch.randn(4, 50).repeat_interleave(4, dim=0)
    assert prdc(real, real.clone(), k=3) == (0, 0, 0, 0)
    # With k above the number of other copies, the radius is the distance to the next point.
    assert prdc(real, real.clone(), k=4) == (1, 1, 1, 1)


def test_a_collapsed_generator_has_no_recall_and_low_coverage() -> None:
    real = torch.randn(200, 8)
    result = prdc(real, real.mean(0).expand(100, 8), k=3)
    assert result.recall == 0
    assert result.coverage < 0.5


def test_the_scores_of_distant_sets_are_zero() -> None:
    assert prdc(torch.randn(50, 4), 100 + torch.randn(50, 4)) == (0, 0, 0, 0)


def test_a_set_against_itself_is_perfect() -> None:
    points = torch.randn(64, 4)
    result = prdc(points, points[torch.randperm(64)], k=5)
    assert (result.precision, result.recall, result.coverage) == (1, 1, 1)
    # Each of the m balls contains k of the m points: its center and the k - 1 nearest.
    assert result.density == pytest.approx(1)


def test_density_and_coverage_of_equal_distributions_have_their_expectations() -> None:
    # Examples and samples are exchangeable. A neighborhood contains a given sample with probability k / n, so the
    # expected density is 1. It contains no sample with probability prod_j (n - 1 - j) / (n + m - 1 - j).
    n, m, k, repetitions = 60, 80, 5, 40
    results = [prdc(torch.randn(n, 3), torch.randn(m, 3), k=k) for _ in range(repetitions)]
    expected = 1 - np.prod([(n - 1 - j) / (n + m - 1 - j) for j in range(k)])
    for values, expectation in (
        ([r.density for r in results], 1.0),
        ([r.coverage for r in results], expected),
    ):
        assert abs(np.mean(values) - expectation) < 4 * np.std(values) / repetitions**0.5


def test_the_expected_coverage_of_ten_thousand_samples_is_the_documented_one() -> None:
    assert 1 - np.prod([(9_999 - j) / (19_999 - j) for j in range(5)]) == pytest.approx(0.96877, abs=5e-6)


def test_the_scores_depend_on_ratios_of_distances_only(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = torch.randn(60, 2, 5), 0.2 + torch.randn(40, 2, 5)
    expected = prdc(real, fake)
    rotation = torch.linalg.qr(torch.randn(10, 10, dtype=torch.float64)).Q
    assert prdc(real[torch.randperm(60)], fake[torch.randperm(40)]) == pytest.approx(expected)
    assert prdc(1024 * real, 1024 * fake) == expected
    assert prdc(real.double().flatten(1) @ rotation, fake.double().flatten(1) @ rotation) == pytest.approx(expected)
    assert prdc(real.double() + 8, fake.double() + 8) == pytest.approx(expected)
    for rows in (1, 7, 60):
        monkeypatch.setattr(sys.modules[prdc.__module__], "_ROWS", rows)
        assert prdc(real, fake) == pytest.approx(expected)


def test_swapping_real_and_fake_swaps_precision_and_recall() -> None:
    real, fake = torch.randn(60, 3), 0.5 + torch.randn(40, 3)
    scores, swapped = prdc(real, fake), prdc(fake, real)
    assert (scores.precision, scores.recall) == (swapped.recall, swapped.precision)


@pytest.mark.full
def test_the_scores_agree_with_the_published_scores() -> None:
    # The authors' README: 10,000 against 10,000 samples of N(0, I_1000), k = 5. Hubs make the scores vary in 1000
    # dimensions: `deviations` are standard deviations over 4 runs, and two runs are compared.
    published = {"precision": 0.4772, "recall": 0.4705, "density": 1.0555, "coverage": 0.9735}
    deviations = {"precision": 0.013, "recall": 0.010, "density": 0.077, "coverage": 0.008}
    result = prdc(torch.randn(10_000, 1000), torch.randn(10_000, 1000))._asdict()
    for name, value in published.items():
        assert abs(result[name] - value) < 3 * deviations[name] * 2**0.5, name


@pytest.mark.parametrize(
    ("real", "fake", "k", "message"),
    [
        (torch.zeros(9, 2), torch.zeros(9, 2), 0, "`k` must be at least 1, got 0"),
        (torch.zeros(5, 2), torch.zeros(9, 2), 5, r"`real` must hold at least k \+ 1 = 6 samples, got 5"),
        (torch.zeros(9, 2), torch.zeros(3, 2), 3, r"`fake` must hold at least k \+ 1 = 4 samples, got 3"),
        (torch.zeros(9, 2), torch.zeros(9, 3), 3, "`fake` must have the features of `real`, 2 of them, got 3"),
        (torch.full((9, 2), torch.nan), torch.zeros(9, 2), 3, "`real` must hold finite features"),
        (torch.zeros(9, 2), torch.full((9, 2), torch.inf), 3, "`fake` must hold finite features"),
    ],
)
def test_invalid_sets_are_refused(real: Tensor, fake: Tensor, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prdc(real, fake, k=k)


def test_the_metric_is_the_function_over_all_batches() -> None:
    real, fake = torch.randn(60, 3), torch.randn(40, 3)
    metric = PRDC(k=3)
    for chunk in real.tensor_split(7):
        metric.update(chunk, real=True)
    for chunk in fake.tensor_split(3):
        metric.update(chunk, real=False)
    values = metric.compute()
    assert {name: value.item() for name, value in values.items()} == pytest.approx(prdc(real, fake, k=3)._asdict())
    assert all(value.shape == () for value in values.values())
    metric.reset()
    metric.update(real, real=True)
    metric.update(real, real=False)
    assert metric.compute()["precision"] == 1


def test_a_metric_with_k_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="`k` must be at least 1, got 0"):
        PRDC(k=0)
