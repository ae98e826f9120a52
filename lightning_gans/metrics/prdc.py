"""Precision, recall, density and coverage (PRDC) of generated samples in a feature space."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lightning_gans.checks import check_positive

_ROWS = 512
"""Number of rows of a distance matrix computed at once; with 10,000 float64 columns they take 41 MB."""


class PRDCResult(NamedTuple):
    """Fidelity (precision, density) and diversity (recall, coverage) of generated samples.

    Attributes:
        precision: Share of the generated samples that are in the neighborhood of a real example.
        recall: Share of the real examples that are in the neighborhood of a generated sample.
        density: Mean number of real neighborhoods that contain a generated sample, divided by k. A perfect generator
            has the expectation 1, and the density can exceed 1.
        coverage: Share of the real neighborhoods that contain a generated sample.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Tensor, fake: Tensor, *, k: int = 5) -> PRDCResult:
    """Compute precision, recall, density and coverage from k-nearest-neighbor balls.

    The neighborhood of a point is the open ball whose radius is the distance to the k-th nearest other point of the
    same set. From *Reliable Fidelity and Diversity Metrics for Generative Models*, arXiv:2002.09797. The scores depend
    on the numbers of examples and on k, so they are comparable only if these are equal.

    Args:
        real: Features (n, ...) of real examples; trailing axes are flattened.
        fake: Features (m, ...) of generated samples.
        k: Number of nearest neighbors that defines a neighborhood, default 5.

    Raises:
        ValueError: If `k` is below 1, a set has fewer than k + 1 examples or features that are not finite, or the sets
            differ in the number of features.

    Example:
        >>> real = torch.tensor([[0.0], [1.0], [2.0]])
        >>> prdc(real, torch.tensor([[0.5], [0.6]]), k=1)
        PRDCResult(precision=1.0, recall=0.0, density=2.0, coverage=0.666...)
    """
    check_positive(k=k)
    for name, samples in (("real", real), ("fake", fake)):
        if len(samples) <= k:
            raise ValueError(f"`{name}` must hold at least k + 1 = {k + 1} samples, got {len(samples)}")
        if not samples.isfinite().all():
            raise ValueError(f"`{name}` must hold finite features, got NaN or infinite ones")
    real, fake = _rows_of_float64(real), _rows_of_float64(fake)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(f"`fake` must have the features of `real`, {real.shape[1]} of them, got {fake.shape[1]}")
    center = real.mean(0)  # a common shift preserves distances, and reduces cancellation
    real, fake = real - center, fake - center
    real_radii, fake_radii = _radii(real, k), _radii(fake, k)

    num_precise, num_hits = 0.0, 0.0
    recalled = torch.zeros_like(real_radii, dtype=torch.bool)
    covered = torch.zeros_like(recalled)
    for start in range(0, len(fake), _ROWS):
        rows = slice(start, start + _ROWS)
        distances = _distances(fake[rows], real)
        inside = distances < real_radii
        num_precise += inside.any(1).sum().item()
        num_hits += inside.sum().item()
        recalled |= (distances < fake_radii[rows, None]).any(0)
        covered |= inside.any(0)
    return PRDCResult(
        precision=num_precise / len(fake),
        recall=recalled.double().mean().item(),
        density=num_hits / (k * len(fake)),
        coverage=covered.double().mean().item(),
    )


class PRDC(Metric):
    """Accumulate features, and compute their precision, recall, density and coverage.

    See `prdc` for the definitions and the reference; arXiv:2002.09797. All features are stored until `reset`.

    Args:
        k: Number of nearest neighbors that defines a neighborhood, default 5.
        **kwargs: Arguments of `torchmetrics.Metric`.

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
        check_positive(k=k)
        self.k = k
        self.add_state("real_features", default=[], dist_reduce_fx="cat")
        self.add_state("fake_features", default=[], dist_reduce_fx="cat")

    def update(self, features: Tensor, *, real: bool) -> None:
        """Add features of real examples or of generated samples.

        Args:
            features: Features (b, ...).
            real: Whether the features are those of real examples.
        """
        (self.real_features if real else self.fake_features).append(features.detach())

    def compute(self) -> dict[str, Tensor]:
        """Compute the four scores of all features, by name."""
        result = prdc(dim_zero_cat(self.real_features), dim_zero_cat(self.fake_features), k=self.k)
        return {name: torch.tensor(value, device=self.device) for name, value in result._asdict().items()}


def _radii(points: Tensor, k: int) -> Tensor:
    """Compute the distance of each point to its k-th nearest other point."""
    radii = []
    for start in range(0, len(points), _ROWS):
        distances = _distances(points[start : start + _ROWS], points, offset=start)
        radii.append(distances.topk(k, largest=False).values[:, -1])
    # The ball is open: despite rounding, it must not contain a generated copy of the k-th neighbor.
    return torch.cat(radii) * (1 - 1e-9)


def _distances(points: Tensor, others: Tensor, *, offset: int | None = None) -> Tensor:
    """Compute Euclidean distances, (len(points), len(others)).

    |x|^2 - 2 x.y + |y|^2 is a fast matrix product, but suffers from cancellation for close pairs. The distance of
    duplicates would be about 1e-8, and the distances between samples of a collapsed generator would be noise. Rows with
    such a pair are computed by subtraction instead, which is exact and slower.

    Args:
        points: Points (r, d), float64.
        others: Points (n, d), float64.
        offset: Index of the first of `points` in `others`, if these contain them; the distance of a point to itself is
            then infinite.
    """
    scale = points.square().sum(1, keepdim=True) + others.square().sum(1)
    squared = torch.addmm(scale, points, others.T, alpha=-2)
    if offset is not None:
        squared.diagonal(offset).fill_(torch.inf)
    canceled = (squared < 1e-4 * scale).any(1)  # elsewhere the relative error is below 1e-10
    distances = squared.clamp_(min=0).sqrt_()
    distances[canceled] = torch.cdist(points[canceled], others, compute_mode="donot_use_mm_for_euclid_dist")
    if offset is not None:
        distances.diagonal(offset).fill_(torch.inf)
    return distances


def _rows_of_float64(samples: Tensor) -> Tensor:
    device = "cpu" if samples.device.type == "mps" else samples.device  # MPS has no float64
    return samples.flatten(1).to(device, torch.float64)
