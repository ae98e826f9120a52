"""The energy distance of two sets of samples."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

_ROWS = 1024


def energy_distance(samples: Tensor, others: Tensor) -> Tensor:
    """The squared energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'|, without bias.

    It is 0 exactly if both have the same distribution. The means within a set leave out each sample's distance to
    itself (the U-statistic), so the expectation is that of the distributions, whatever the counts, and the value may be
    below 0. From *Energy statistics*, Szekely and Rizzo 2013, doi:10.1016/j.jspi.2013.03.018. `scipy`'s
    `energy_distance` is the square root of the V-statistic, which counts those zeros.

    Args:
        samples: (n, ...); trailing axes are flattened.
        others: (m, ...).

    Returns:
        () in double precision, in the units of the samples.

    Raises:
        ValueError: A set has fewer than two samples, or the sets differ in shape.

    Example:
        >>> energy_distance(torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]]))
        tensor(2., dtype=torch.float64)
    """
    for name, these in (("samples", samples), ("others", others)):
        if len(these) < 2:
            raise ValueError(f"`{name}` must hold at least 2 samples, got {len(these)}")
    if samples.shape[1:] != others.shape[1:]:
        raise ValueError(
            f"`others` must have the shape of `samples`, {tuple(samples.shape[1:])}, got {tuple(others.shape[1:])}"
        )
    n, m = len(samples), len(others)
    samples, others = samples.reshape(n, -1).double(), others.reshape(m, -1).to(samples.device).double()
    between = 2 * _total(samples, others) / (n * m)
    return between - _total(samples, samples) / (n * (n - 1)) - _total(others, others) / (m * (m - 1))


class EnergyDistance(Metric):
    """Accumulate real and generated samples, and compute their squared energy distance.

    See `energy_distance`. All samples are kept until `reset`.

    Args:
        **kwargs: Of `torchmetrics.Metric`.

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
        """Add real or generated samples.

        Args:
            samples: (b, ...).
            real: Whether they are real.
        """
        (self.real if real else self.fake).append(samples)

    def compute(self) -> Tensor:
        """Compute it over all that has been added."""
        return energy_distance(dim_zero_cat(self.fake), dim_zero_cat(self.real))


def _total(samples: Tensor, others: Tensor) -> Tensor:
    """The sum of all distances; a few rows of the matrix at a time, each pair subtracted, as equal ones are at 0."""
    mode = "donot_use_mm_for_euclid_dist"
    return torch.stack(
        [torch.cdist(rows, others, compute_mode=mode).sum() for rows in torch.split(samples, _ROWS)]
    ).sum()
