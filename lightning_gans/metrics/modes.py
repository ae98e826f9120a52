"""Coverage of the modes of a known mixture: number of modes, share of high-quality samples, reverse KL divergence."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

RADIUS = 3.0
"""Maximum distance of a high-quality sample from its mode, in standard deviations: 98.89 % of a 2D Gaussian."""


class ModeCoverageResult(NamedTuple):
    """Scores of the coverage of the modes of a mixture.

    Attributes:
        modes: Number of modes with at least one high-quality sample.
        high_quality: Share of high-quality samples, which are within 3 sigma of the nearest mode; the expected share is
            1 - exp(-9/2) for exact samples in the plane.
        reverse_kl: KL divergence of the histogram of high-quality samples over the modes from the uniform distribution,
            in nats; log k if no sample is of high quality.
    """

    modes: float
    high_quality: float
    reverse_kl: float


def reverse_kl(counts: Tensor) -> Tensor:
    """Compute the KL divergence of a histogram from the uniform distribution, sum_i p_i log(k p_i), in nats.

    Empty bins contribute 0. For n uniform samples the expectation is about (k - 1) / 2n.

    Args:
        counts: Counts (k,) of the bins.

    Returns:
        Scalar tensor in double precision; log k, the maximum, if all counts are 0.

    Raises:
        ValueError: If `counts` has another shape, no bins or a negative count.

    Example:
        >>> reverse_kl(torch.tensor([5, 5])), reverse_kl(torch.tensor([5, 0]))
        (tensor(0., dtype=torch.float64), tensor(0.6931, dtype=torch.float64))
    """
    if counts.dim() != 1 or len(counts) == 0 or (counts < 0).any():
        raise ValueError(f"`counts` must be a histogram, non-negative numbers of shape (k,), got {counts.tolist()}")
    counts = counts.double()
    if counts.sum() == 0:
        return torch.full_like(counts[0], math.log(len(counts)))
    shares = counts / counts.sum()
    return torch.xlogy(shares, len(counts) * shares).sum()


def high_quality_counts(points: Tensor, centers: Tensor, *, sigma: float) -> Tensor:
    """Count the high-quality samples of each mode: the samples within 3 sigma of their nearest mode.

    Args:
        points: Samples (n, d).
        centers: Means (k, d) of the modes.
        sigma: Standard deviation of each coordinate within a mode.

    Returns:
        Counts (k,), int64.

    Raises:
        ValueError: If `sigma` is not above 0, there are no samples, or a sample is not finite.

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
    """Compute the coverage of the modes of a mixture of equally likely normal distributions.

    From *VEEGAN*, arXiv:1705.07761, and *PacGAN*, arXiv:1712.04086, which use 2,500 samples: `modes` and `reverse_kl`
    depend on the number of samples. A `high_quality` share above 99.3 % in the plane indicates that the modes have
    shrunk.

    Args:
        points: Samples (n, d).
        centers: Means (k, d) of the modes.
        sigma: Standard deviation of each coordinate within a mode.

    Raises:
        ValueError: If `sigma` is not above 0, there are no samples, or a sample is not finite.

    Example:
        >>> mode_coverage(torch.tensor([[0.0], [0.2], [0.5], [0.9]]), torch.tensor([[0.0], [1.0]]), sigma=0.1)
        ModeCoverageResult(modes=2.0, high_quality=0.75, reverse_kl=0.0566...)
    """
    return _coverage(high_quality_counts(points, centers, sigma=sigma), len(points))


class ModeCoverage(Metric):
    """Accumulate samples, and compute their coverage of the modes of a mixture.

    See `mode_coverage` for the definitions and the references; arXiv:1712.04086.

    Args:
        centers: Means (k, d) of the modes.
        sigma: Standard deviation of each coordinate within a mode.
        **kwargs: Arguments of `torchmetrics.Metric`.

    Raises:
        ValueError: If `sigma` is not above 0.

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
        """Add samples (b, d)."""
        self.counts += high_quality_counts(points, self.centers, sigma=self.sigma)
        self.total += len(points)

    def compute(self) -> dict[str, Tensor]:
        """Compute the three scores of all samples, by name."""
        result = _coverage(self.counts, int(self.total))
        return {name: torch.tensor(value, device=self.device) for name, value in result._asdict().items()}


def _coverage(counts: Tensor, total: int) -> ModeCoverageResult:
    return ModeCoverageResult(
        modes=float((counts > 0).sum()),
        high_quality=float(counts.sum() / total),
        reverse_kl=reverse_kl(counts).item(),
    )
