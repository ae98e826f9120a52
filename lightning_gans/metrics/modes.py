"""Which modes of a known mixture samples reach, and how evenly."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

RADIUS = 3.0
"""Standard deviations within which a sample counts: 98.89 % of a mode's own."""


class ModeCoverageResult(NamedTuple):
    """How samples spread over the modes of a mixture.

    Attributes:
        modes: Modes with at least one sample of high quality.
        high_quality: Share of the samples within 3 sigma of their nearest mode; of a perfect sampler 1 - exp(-9/2).
        reverse_kl: KL divergence of their histogram over the modes from the even one, in nats; log k if there are none.
    """

    modes: float
    high_quality: float
    reverse_kl: float


def reverse_kl(counts: Tensor) -> Tensor:
    """The KL divergence of a histogram from the even distribution, sum_i p_i log(k p_i), in nats.

    Empty bins contribute nothing. A perfect sampler's n draws have about (k - 1) / 2n.

    Args:
        counts: (k,) how many fell into each bin.

    Returns:
        () in double precision; log k, the largest there is, if nothing fell anywhere.

    Raises:
        ValueError: `counts` has another shape, no bin or a negative number.

    Example:
        >>> reverse_kl(torch.tensor([5, 5])), reverse_kl(torch.tensor([5, 0]))
        (tensor(0., dtype=torch.float64), tensor(0.6931, dtype=torch.float64))
    """
    if counts.dim() != 1 or len(counts) == 0 or (counts < 0).any():
        raise ValueError(f"`counts` must be a histogram, numbers from 0 of shape (k,), got {counts.tolist()}")
    counts = counts.double()
    if counts.sum() == 0:
        return torch.full_like(counts[0], math.log(len(counts)))
    shares = counts / counts.sum()
    return torch.xlogy(shares, len(counts) * shares).sum()


def high_quality_counts(points: Tensor, centers: Tensor, *, sigma: float) -> Tensor:
    """Count the samples of high quality, those within 3 sigma of their nearest mode, by mode.

    Args:
        points: (n, d) samples.
        centers: (k, d) the modes.
        sigma: Standard deviation of each coordinate within a mode.

    Returns:
        (k,) int64.

    Raises:
        ValueError: `sigma` is not above 0, there is no sample, or one is not finite.

    Example:
        >>> high_quality_counts(torch.tensor([[0.0], [0.2], [0.5], [0.9]]), torch.tensor([[0.0], [1.0]]), sigma=0.1)
        tensor([2, 1])
    """
    if sigma <= 0:
        raise ValueError(f"`sigma` must be above 0, got {sigma}")
    finite = int(points.isfinite().all(1).sum())
    if finite == 0 or finite < len(points):
        raise ValueError(
            f"`points` must hold finite samples, got {len(points)}, of which {len(points) - finite} are not"
        )
    distances = torch.cdist(points.double(), centers.double().to(points.device))
    distance, nearest = distances.min(1)
    return torch.bincount(nearest[distance <= RADIUS * sigma], minlength=len(centers))


def mode_coverage(points: Tensor, centers: Tensor, *, sigma: float) -> ModeCoverageResult:
    """Say how samples spread over the modes of an even mixture of equal normal distributions.

    From *VEEGAN*, arXiv:1705.07761, and *PacGAN*, arXiv:1712.04086, which ask 2,500 samples: the modes and the
    divergence depend on how many there are. Shares above 99.3 % in the plane mean that the modes have shrunk.

    Args:
        points: (n, d) samples.
        centers: (k, d) the modes.
        sigma: Standard deviation of each coordinate within a mode.

    Raises:
        ValueError: `sigma` is not above 0, there is no sample, or one is not finite.

    Example:
        >>> mode_coverage(torch.tensor([[0.0], [0.2], [0.5], [0.9]]), torch.tensor([[0.0], [1.0]]), sigma=0.1)
        ModeCoverageResult(modes=2.0, high_quality=0.75, reverse_kl=0.0566...)
    """
    return _coverage(high_quality_counts(points, centers, sigma=sigma), len(points))


class ModeCoverage(Metric):
    """Accumulate samples, and say how they spread over the modes of a mixture.

    See `mode_coverage` for the definitions and the references; arXiv:1712.04086.

    Args:
        centers: (k, d) the modes.
        sigma: Standard deviation of each coordinate within a mode.
        **kwargs: Of `torchmetrics.Metric`.

    Raises:
        ValueError: `sigma` is not above 0.

    Example:
        >>> metric = ModeCoverage(torch.tensor([[0.0], [1.0]]), sigma=0.1)
        >>> metric.update(torch.tensor([[0.0], [0.2]]))
        >>> metric.update(torch.tensor([[0.5], [0.9]]))
        >>> metric.compute()
        {'modes': tensor(2.), 'high_quality': tensor(0.7500), 'reverse_kl': tensor(0.0566)}
    """

    is_differentiable = False
    full_state_update = False

    counts: Tensor
    total: Tensor

    def __init__(self, centers: Tensor, *, sigma: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if sigma <= 0:
            raise ValueError(f"`sigma` must be above 0, got {sigma}")
        self.centers, self.sigma = centers, sigma
        self.add_state("counts", default=torch.zeros(len(centers), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, points: Tensor) -> None:
        """Add samples, (b, d)."""
        self.counts += high_quality_counts(points, self.centers, sigma=self.sigma)
        self.total += len(points)

    def compute(self) -> dict[str, Tensor]:
        """Compute the three scores, by name, over all that has been added."""
        result = _coverage(self.counts, int(self.total))
        return {name: torch.tensor(value, device=self.device) for name, value in result._asdict().items()}


def _coverage(counts: Tensor, total: int) -> ModeCoverageResult:
    return ModeCoverageResult(
        modes=float((counts > 0).sum()),
        high_quality=float(counts.sum() / total),
        reverse_kl=reverse_kl(counts).item(),
    )
