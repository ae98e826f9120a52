"""Test the energy distance: by hand, in closed form, and against scipy."""

import math

import pytest
import torch
from scipy import stats

from lightning_gans.metrics import EnergyDistance, energy_distance


def test_the_distance_equals_a_calculation_by_hand() -> None:
    # between: (3 + 5 + 2 + 4) / 4 = 3.5; within: |0 - 1| = 1 and |3 - 5| = 2
    left, right = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [5.0]])
    assert energy_distance(left, right).item() == pytest.approx(2 * 3.5 - 1 - 2)


def test_the_distance_equals_scipys_without_the_distances_of_samples_to_themselves() -> None:
    """Reference: `scipy` computes the root of the V-statistic, which includes the distance 0 of a sample to itself."""
    samples, others = torch.randn(40).double(), 1 + 2 * torch.randn(60).double()
    n, m = len(samples), len(others)
    within = [(values[:, None] - values).abs().mean().item() for values in (samples, others)]
    expected = stats.energy_distance(samples, others) ** 2 - within[0] / (n - 1) - within[1] / (m - 1)
    assert energy_distance(samples, others).item() == pytest.approx(expected, rel=1e-12)


def test_the_distance_of_point_masses_is_twice_the_distance_of_the_points() -> None:
    """Reference: 2 d for two point masses at distance d."""
    left, right = torch.zeros(3, 2), torch.tensor([[3.0, 4.0]]).expand(5, 2)
    assert energy_distance(left, right).item() == 10.0


def test_the_distance_of_shifted_normals_has_the_closed_form() -> None:
    """Reference: E|N(m, 2)| = 2 exp(-m^2 / 4) / sqrt(pi) + m erf(m / 2), where 2 is the variance."""
    shift = 1.5
    between = 2 / math.sqrt(math.pi) * math.exp(-(shift**2) / 4) + shift * math.erf(shift / 2)
    expected = 2 * between - 2 * 2 / math.sqrt(math.pi)
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(2500, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    assert energy_distance(left, right + shift).item() == pytest.approx(expected, abs=0.08)


def test_the_estimate_is_unbiased() -> None:
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randn(1500, 2, 5, 2, generator=generator)
    values = torch.stack([energy_distance(left, right) for left, right in pairs])
    assert abs(values.mean().item()) < 4 * values.std().item() / math.sqrt(len(values))
    assert values.min() < 0


def test_blocks_of_the_distance_matrix_give_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, others = torch.randn(20, 3), torch.randn(30, 3)
    expected = energy_distance(samples, others)
    monkeypatch.setattr("lightning_gans.metrics.energy._ROWS", 7)
    torch.testing.assert_close(energy_distance(samples, others), expected)


def test_equal_samples_are_at_distance_zero_exactly() -> None:
    points = torch.full((4, 2), 1e4 + 0.1)
    assert energy_distance(points, points).item() == 0.0


def test_the_metric_is_the_function_over_all_batches() -> None:
    samples, others = torch.randn(20, 3), torch.randn(30, 3)
    metric = EnergyDistance()
    for part in samples.view(4, 5, 3):
        metric.update(part, real=False)
    metric.update(others, real=True)
    torch.testing.assert_close(metric.compute(), energy_distance(samples, others))


def test_sets_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="`samples` must hold at least 2 samples, got 1"):
        energy_distance(torch.zeros(1, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="`others` must hold at least 2 samples, got 0"):
        energy_distance(torch.zeros(2, 2), torch.zeros(0, 2))
    with pytest.raises(ValueError, match=r"`others` must have the shape of `samples`, \(2,\), got \(3,\)"):
        energy_distance(torch.zeros(2, 2), torch.zeros(2, 3))
