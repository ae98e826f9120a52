"""Test mode coverage: closed forms, exact samples, and invalid arguments."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from lightning_gans.datamodules.distributions import GaussianMixture, grid_centers, ring_centers
from lightning_gans.metrics import ModeCoverage, ModeCoverageResult, high_quality_counts, mode_coverage, reverse_kl

RING, GRID = GaussianMixture(ring_centers(8), sigma=0.01), GaussianMixture(grid_centers(), sigma=0.05)


@pytest.mark.parametrize("bins", [1, 2, 8, 1000])
def test_the_reverse_kl_of_uniform_and_of_single_bins(bins: int) -> None:
    torch.testing.assert_close(reverse_kl(torch.full((bins,), 7)).item(), 0.0)
    single = torch.zeros(bins)
    single[-1] = 3
    assert reverse_kl(single).item() == pytest.approx(math.log(bins))
    assert reverse_kl(torch.zeros(bins)).item() == pytest.approx(math.log(bins))


def test_the_reverse_kl_is_that_of_scipy() -> None:
    counts = np.array([3, 0, 5, 1, 0, 11])
    expected = entropy(counts / counts.sum(), np.full(6, 1 / 6))
    assert reverse_kl(torch.from_numpy(counts)).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("mixture", "divergence"), [(RING, 0.0014), (GRID, 0.0048)])
def test_a_perfect_sampler(mixture: GaussianMixture, divergence: float) -> None:
    """Reference: 1 - exp(-9/2) of the samples in the plane are within 3 sigma; n samples diverge by (k - 1) / 2n."""
    results = [
        mode_coverage(mixture.sample(2500, np.random.RandomState(seed))[0], mixture.centers, sigma=mixture.sigma)
        for seed in range(40)
    ]
    shares = np.array([result.high_quality for result in results])
    divergences = np.array([result.reverse_kl for result in results])
    assert {result.modes for result in results} == {mixture.num_classes}
    assert shares.mean() == pytest.approx(1 - math.exp(-4.5), abs=4 * 0.0021 / math.sqrt(40))
    assert shares.std(ddof=1) == pytest.approx(0.0021, rel=0.4)
    assert divergences.mean() == pytest.approx(divergence, rel=0.25)


def test_shrunken_modes_are_detected() -> None:
    points, _ = GaussianMixture(GRID.centers, sigma=0.7 * GRID.sigma).sample(2500, np.random.RandomState(0))
    assert mode_coverage(points, GRID.centers, sigma=GRID.sigma).high_quality > 0.993


def test_collapse_on_one_mode() -> None:
    points = GRID.centers[3].expand(100, 2)
    assert mode_coverage(points, GRID.centers, sigma=0.05) == pytest.approx(ModeCoverageResult(1.0, 1.0, math.log(25)))


def test_points_between_the_modes_count_for_none() -> None:
    assert mode_coverage(torch.ones(9, 2), GRID.centers, sigma=0.05) == pytest.approx((0.0, 0.0, math.log(25)))


def test_three_sigma_is_inside_and_a_little_more_is_not() -> None:
    points = torch.tensor([[0.3, 0.0], [0.0, -0.300001], [1.0, 0.29999]], dtype=torch.float64)
    centers = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    assert high_quality_counts(points, centers, sigma=0.1 * (1 + 1e-9)).tolist() == [1, 1]


def test_the_metric_is_the_function_over_all_batches() -> None:
    points, _ = RING.sample(1000, np.random.RandomState(1))
    metric = ModeCoverage(RING.centers, sigma=RING.sigma)
    for part in points.split(300):  # type: ignore[no-untyped-call]
        metric.update(part)
    expected = mode_coverage(points, RING.centers, sigma=RING.sigma)._asdict()
    assert {name: value.item() for name, value in metric.compute().items()} == pytest.approx(expected)
    metric.reset()
    metric.update(RING.centers[:2])
    assert metric.compute()["modes"] == 2


@pytest.mark.parametrize("counts", [torch.tensor([1, -1]), torch.ones(2, 2), torch.ones(0)])
def test_invalid_histograms_are_refused(counts: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="`counts` must be a histogram"):
        reverse_kl(counts)


def test_invalid_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="`sigma` must be above 0, got 0"):
        mode_coverage(torch.zeros(1, 2), RING.centers, sigma=0)
    with pytest.raises(ValueError, match="`sigma` must be above 0, got -1"):
        ModeCoverage(RING.centers, sigma=-1)
    with pytest.raises(ValueError, match="`points` must hold finite samples, got 0"):
        mode_coverage(torch.zeros(0, 2), RING.centers, sigma=0.01)
    with pytest.raises(ValueError, match="`points` must hold finite samples, got 2, of which 1 are not"):
        mode_coverage(torch.tensor([[0.0, torch.nan], [0.0, 0.0]]), RING.centers, sigma=0.01)
