"""Precision, recall, density and coverage of generated samples in a feature space."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

_ROWS = 512
"""Rows of a distance matrix held at once: 10,000 float64 columns are then 41 MB."""


class PRDCResult(NamedTuple):
    """Fidelity (precision, density) and diversity (recall, coverage) of generated samples.

    Attributes:
        precision: Share of the fake samples that lie within some real sample's neighborhood.
        recall: Share of the real samples that lie within some fake sample's neighborhood.
        density: Mean number of real neighborhoods that a fake sample lies in, divided by k: 1 is expected of a perfect
            generator, and it may exceed 1.
        coverage: Share of the real neighborhoods that hold a fake sample.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Tensor, fake: Tensor, *, k: int = 5) -> PRDCResult:
    """Compare two sets of samples by their k-nearest-neighbor balls.

    A sample's neighborhood is the open ball that reaches to its k-th nearest neighbor in its own set, not counting
    itself. From *Reliable Fidelity and Diversity Metrics for Generative Models*, arXiv:2002.09797. The scores depend on
    the numbers of samples and on k, so they compare only at equal ones.

    Args:
        real: (n, ...) features of real samples; trailing axes are flattened.
        fake: (m, ...) features of generated samples.
        k: Which neighbor bounds a neighborhood.

    Raises:
        ValueError: If `k` is below 1, a set has fewer than k + 1 samples or features that are not finite, or the sets
            differ in the number of features.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [2.0]])
        >>> prdc(real, torch.tensor([[0.5], [0.6]]), k=1)
        PRDCResult(precision=1.0, recall=0.0, density=2.0, coverage=0.666...)
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1, got {k}")
    for name, samples in (("real", real), ("fake", fake)):
        if len(samples) <= k:
            raise ValueError(f"`{name}` must hold at least k + 1 = {k + 1} samples, got {len(samples)}")
        if not samples.isfinite().all():
            raise ValueError(f"`{name}` must hold finite features, got NaN or infinite ones")
    real, fake = _rows_of_float64(real), _rows_of_float64(fake)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(f"`fake` must have the features of `real`, {real.shape[1]} of them, got {fake.shape[1]}")
    center = real.mean(0)  # a common shift changes no distance, and leaves less to cancel
    real, fake = real - center, fake - center
    real_radii, fake_radii = _radii(real, k), _radii(fake, k)

    precise, hits = 0.0, 0.0
    recalled = torch.zeros_like(real_radii, dtype=torch.bool)
    covered = torch.zeros_like(recalled)
    for start in range(0, len(fake), _ROWS):
        rows = slice(start, start + _ROWS)
        distances = _distances(fake[rows], real)
        inside = distances < real_radii
        precise += inside.any(1).sum().item()
        hits += inside.sum().item()
        recalled |= (distances < fake_radii[rows, None]).any(0)
        covered |= inside.any(0)
    return PRDCResult(
        precision=precise / len(fake),
        recall=recalled.double().mean().item(),
        density=hits / (k * len(fake)),
        coverage=covered.double().mean().item(),
    )


class PRDC(Metric):
    """Accumulate features, and compute their precision, recall, density and coverage.

    See `prdc` for the definitions and the reference; arXiv:2002.09797. All features are kept until `reset`.

    Args:
        k: Which neighbor bounds a neighborhood.
        **kwargs: Of `torchmetrics.Metric`.

    Raises:
        ValueError: If `k` is below 1.

    Example:
        >>> metric = PRDC(k=1)
        >>> metric.update(torch.tensor([[0.0], [1.0], [2.0]]), real=True)
        >>> metric.update(torch.tensor([[0.5], [0.6]]), real=False)
        >>> metric.compute()
        {'precision': tensor(1.), 'recall': tensor(0.), 'density': tensor(2.), 'coverage': tensor(0.6667)}
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    real_features: list[Tensor]
    fake_features: list[Tensor]

    def __init__(self, *, k: int = 5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if k < 1:
            raise ValueError(f"`k` must be at least 1, got {k}")
        self.k = k
        self.add_state("real_features", default=[], dist_reduce_fx="cat")
        self.add_state("fake_features", default=[], dist_reduce_fx="cat")

    def update(self, features: Tensor, *, real: bool) -> None:
        """Add features of real or of generated samples.

        Args:
            features: (b, ...).
            real: Whether they are of real samples.
        """
        (self.real_features if real else self.fake_features).append(features.detach())

    def compute(self) -> dict[str, Tensor]:
        """Compute the four scores, by name, over all that has been added."""
        result = prdc(dim_zero_cat(self.real_features), dim_zero_cat(self.fake_features), k=self.k)
        return {name: torch.tensor(value, device=self.device) for name, value in result._asdict().items()}


def _radii(points: Tensor, k: int) -> Tensor:
    """Measure each point's distance to its k-th nearest other point."""
    radii = []
    for start in range(0, len(points), _ROWS):
        distances = _distances(points[start : start + _ROWS], points, itself=start)
        radii.append(distances.topk(k, largest=False).values[:, -1])
    # The ball is open. Rounding must not let in the k-th neighbor itself, when a generator has copied it.
    return torch.cat(radii) * (1 - 1e-9)


def _distances(points: Tensor, others: Tensor, *, itself: int | None = None) -> Tensor:
    """Measure euclidean distances, (len(points), len(others)).

    |x|^2 - 2 x.y + |y|^2 is a matrix product, but cancels for close pairs: duplicates would be some 1e-8 apart, and a
    collapsed generator's distances noise. Rows with such a pair are subtracted directly, which is exact and slower.

    Args:
        points: (r, d) float64.
        others: (n, d) float64.
        itself: Where `others` has the rows `points`, if it has; a point is then infinitely far from itself.
    """
    scale = points.square().sum(1, keepdim=True) + others.square().sum(1)
    squared = torch.addmm(scale, points, others.T, alpha=-2)
    if itself is not None:
        squared.diagonal(itself).fill_(torch.inf)
    canceled = (squared < 1e-4 * scale).any(1)  # elsewhere the relative error is below 1e-10
    distances = squared.clamp_(min=0).sqrt_()
    distances[canceled] = torch.cdist(points[canceled], others, compute_mode="donot_use_mm_for_euclid_dist")
    if itself is not None:
        distances.diagonal(itself).fill_(torch.inf)
    return distances


def _rows_of_float64(samples: Tensor) -> Tensor:
    device = "cpu" if samples.device.type == "mps" else samples.device  # MPS has no float64
    return samples.flatten(1).to(device, torch.float64)
