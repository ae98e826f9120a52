"""Energy distance of two sets of samples."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

_ROWS = 1024
"""Number of rows of a distance matrix computed at once."""


def energy_distance(samples: Tensor, others: Tensor) -> Tensor:
    """Compute an unbiased estimate of the squared energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'|.

    The squared energy distance is 0 if and only if both distributions are the same. The means within a set exclude the
    distance of each sample to itself (U-statistic). The estimate is therefore unbiased for any number of samples, and
    can be below 0. From *Energy statistics*, Szekely and Rizzo 2013, doi:10.1016/j.jspi.2013.03.018.
    `scipy.stats.energy_distance` is the square root of the V-statistic, which includes these zero distances.

    Args:
        samples: Samples (n, ...); trailing axes are flattened.
        others: Samples (m, ...) of the other distribution.

    Returns:
        Scalar tensor in double precision, in the units of the samples.

    Raises:
        ValueError: If a set has fewer than two samples, or the samples of both sets differ in shape.

    Example:
        >>> energy_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]]))
        tensor(2., dtype=torch.float64)
    """
    for name, values in (("samples", samples), ("others", others)):
        if len(values) < 2:
            raise ValueError(f"`{name}` must hold at least 2 samples, got {len(values)}")
    if samples.shape[1:] != others.shape[1:]:
        raise ValueError(
            f"`others` must have the shape of `samples`, {tuple(samples.shape[1:])}, got {tuple(others.shape[1:])}"
        )
    n, m = len(samples), len(others)
    samples, others = samples.reshape(n, -1).double(), others.reshape(m, -1).to(samples.device).double()
    between = 2 * _sum_distances(samples, others) / (n * m)
    return between - _sum_distances(samples, samples) / (n * (n - 1)) - _sum_distances(others, others) / (m * (m - 1))


class EnergyDistance(Metric):
    """Accumulate real examples and generated samples, and compute their squared energy distance.

    See `energy_distance` for the definition. All samples are stored until `reset`.

    Args:
        **kwargs: Arguments of `torchmetrics.Metric`.

    Example:
        >>> metric = EnergyDistance()
        >>> metric.update(torch.tensor([[0.0], [1.0]]), real=True)
        >>> metric.update(torch.tensor([[2.0], [3.0]]), real=False)
        >>> metric.compute()
        tensor(2., dtype=torch.float64)
    """

    is_differentiable = True
    higher_is_better = False
    full_state_update = False

    real: list[Tensor]
    fake: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("real", default=[], dist_reduce_fx="cat")
        self.add_state("fake", default=[], dist_reduce_fx="cat")

    def update(self, samples: Tensor, *, real: bool) -> None:
        """Add real examples or generated samples.

        Args:
            samples: Examples or samples (b, ...).
            real: Whether `samples` are real examples.
        """
        (self.real if real else self.fake).append(samples)

    def compute(self) -> Tensor:
        """Compute the squared energy distance of all examples and samples."""
        return energy_distance(dim_zero_cat(self.fake), dim_zero_cat(self.real))


def _sum_distances(samples: Tensor, others: Tensor) -> Tensor:
    """Sum all Euclidean distances, computed in blocks of rows."""
    mode = "donot_use_mm_for_euclid_dist"  # exact: the distance of equal samples is 0
    return torch.stack(
        [torch.cdist(rows, others, compute_mode=mode).sum() for rows in torch.split(samples, _ROWS)]
    ).sum()
