"""Distributions of points in the plane with known density and entropy.

All values are in the units of the data and in double precision. Sampling takes a `numpy.random.RandomState`, because
NumPy guarantees that its numbers never change between releases.
"""

import math
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

MIN_SEPARATION = 12.0
"""Distance between modes, in standard deviations, from which their overlap is negligible: a probability of 2e-9."""

NODES = 600
"""Nodes of the Gauss-Legendre quadrature along a curve: less than 1.05 sigma apart here, exact to 1e-7."""

_CHUNK = 1024
"""Points whose density is computed at a time."""


class Distribution(ABC):
    """Base class of distributions of points in the plane.

    Attributes:
        num_classes: Number of classes of the points, such as the components of a mixture.
        entropy: Differential entropy in nats.
    """

    num_classes: int

    @property
    @abstractmethod
    def entropy(self) -> float:
        """Return the differential entropy in nats: the lowest mean negative log-likelihood that a model can reach."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.RandomState) -> tuple[Tensor, Tensor]:
        """Sample points with their labels.

        Args:
            n: Number of points.
            rng: NumPy random state.

        Returns:
            (n, 2) points, float64, and (n,) labels, int64.
        """

    @abstractmethod
    def log_prob(self, points: Tensor) -> Tensor:
        """Compute the log density of points.

        Args:
            points: (n, 2).

        Returns:
            (n,) nats, float64.
        """


class GaussianMixture(Distribution):
    """Mixture of isotropic Gaussians with equal weights and equal standard deviations; the classes are its components.

    Args:
        centers: (k, 2) means of the components.
        sigma: Standard deviation of each coordinate.

    Raises:
        ValueError: If `sigma` is not above 0.

    Example:
        >>> round(GaussianMixture(ring_centers(8), sigma=0.01).entropy, 4)
        -4.293
    """

    def __init__(self, centers: Tensor, *, sigma: float) -> None:
        if sigma <= 0:
            raise ValueError(f"`sigma` must be above 0, got {sigma}")
        self.centers, self.sigma, self.num_classes = centers.double(), sigma, len(centers)

    @cached_property
    def entropy(self) -> float:
        """Return the entropy in nats.

        For components that do not overlap it is log k + log(2 pi e sigma^2), exact to 1e-7. Otherwise it is integrated
        numerically.
        """
        if self.num_classes > 1 and torch.pdist(self.centers).min().item() < MIN_SEPARATION * self.sigma:
            return _integrate_entropy(self, self.centers, self.sigma)
        return math.log(self.num_classes) + math.log(2 * math.pi * math.e * self.sigma**2)

    def sample(self, n: int, rng: np.random.RandomState) -> tuple[Tensor, Tensor]:
        """Sample components, and Gaussian noise around their centers."""
        label = torch.from_numpy(rng.randint(self.num_classes, size=n)).long()
        return self.centers[label] + self.sigma * torch.from_numpy(rng.standard_normal((n, 2))), label

    def log_prob(self, points: Tensor) -> Tensor:
        """Compute the log of the mean density of the components."""
        weights = torch.full((self.num_classes,), 1 / self.num_classes, dtype=torch.float64)
        return _mixture_log_prob(points, self.centers, weights, self.sigma)


class NoisyCurve(Distribution):
    """Points on curves, uniform in the parameter of each curve, plus Gaussian noise; the classes are the curves.

    Args:
        curves: Map from (n,) parameters in [0, 1] to (n, k, 2): a point on each of k equally likely curves.
        sigma: Standard deviation of the noise in each coordinate.

    Raises:
        ValueError: If `sigma` is not above 0.

    Example:
        >>> import numpy as np
        >>> points, label = two_moons().sample(5, np.random.RandomState(0))
        >>> points.shape, label.max().item()
        (torch.Size([5, 2]), 1)
    """

    def __init__(self, curves: "Curves", *, sigma: float) -> None:
        if sigma <= 0:
            raise ValueError(f"`sigma` must be above 0, got {sigma}")
        self.curves, self.sigma = curves, sigma
        abscissas, weights = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(NODES))
        self.nodes = curves((abscissas + 1) / 2)
        self.num_classes = self.nodes.shape[1]
        self.weights = (weights / (2 * self.num_classes)).unsqueeze(1).expand(-1, self.num_classes).flatten()

    def sample(self, n: int, rng: np.random.RandomState) -> tuple[Tensor, Tensor]:
        """Sample curves, points on them, and Gaussian noise."""
        label = torch.from_numpy(rng.randint(self.num_classes, size=n)).long()
        points = self.curves(torch.from_numpy(rng.random_sample(n)))[torch.arange(n), label]
        return points + self.sigma * torch.from_numpy(rng.standard_normal((n, 2))), label

    @cached_property
    def entropy(self) -> float:
        """Return the entropy in nats, the numerical integral of -p log p."""
        return _integrate_entropy(self, self.nodes.flatten(0, 1), self.sigma)

    def log_prob(self, points: Tensor) -> Tensor:
        """Compute the log of the noise density integrated along the curves."""
        return _mixture_log_prob(points, self.nodes.flatten(0, 1), self.weights, self.sigma)


class Checkerboard(Distribution):
    """Uniform distribution on the eight dark squares of a 4 x 4 checkerboard around the origin.

    The squares have side 2; the classes are the dark squares.

    Example:
        >>> Checkerboard().log_prob(torch.tensor([[-3.0, -3.0], [-1.0, -3.0]]))
        tensor([-3.4657,    -inf], dtype=torch.float64)
    """

    num_classes = 8
    entropy = math.log(32)
    """Entropy in nats, the log of the dark area."""

    def sample(self, n: int, rng: np.random.RandomState) -> tuple[Tensor, Tensor]:
        """Sample dark squares, and points in them."""
        label = torch.from_numpy(rng.randint(self.num_classes, size=n)).long()
        row = label // 2
        column = 2 * (label % 2) + row % 2
        corner = 2.0 * torch.stack([column, row], 1).double() - 4
        return corner + 2 * torch.from_numpy(rng.random_sample((n, 2))), label

    def log_prob(self, points: Tensor) -> Tensor:
        """Compute the log density: -log 32 on dark squares, minus infinity elsewhere."""
        points = points.double()
        squares = (points / 2).floor()
        dark = (squares.sum(1) % 2 == 0) & (points >= -4).all(1) & (points < 4).all(1)
        return torch.full_like(points[:, 0], -self.entropy).masked_fill(~dark, -torch.inf)


class Curves(ABC):
    """Map from a parameter in [0, 1] to points on k curves."""

    @abstractmethod
    def __call__(self, t: Tensor) -> Tensor:
        """Map (n,) parameters to (n, k, 2) points."""


class _SwissRoll(Curves):
    def __call__(self, t: Tensor) -> Tensor:
        angle = 1.5 * math.pi * (1 + 2 * t)
        return torch.stack([angle * angle.cos(), angle * angle.sin()], 1).unsqueeze(1) / 7.5


class _TwoMoons(Curves):
    def __call__(self, t: Tensor) -> Tensor:
        x, y = (math.pi * t).cos(), (math.pi * t).sin()
        return torch.stack([torch.stack([x, y], 1), torch.stack([1 - x, 0.5 - y], 1)], 1)


def ring_centers(count: int, *, radius: float = 1.0) -> Tensor:
    """Compute centers that are evenly spaced on a circle around the origin, the first at (radius, 0).

    Args:
        count: Number of centers.
        radius: Radius of the circle, default 1.

    Returns:
        (count, 2) float64.

    Example:
        >>> ring_centers(4).round(decimals=3).abs().tolist()
        [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
    return radius * torch.stack([angle.cos(), angle.sin()], 1)


def grid_centers() -> Tensor:
    """Compute the 25 centers {-4, -2, 0, 2, 4}^2, (25, 2) float64."""
    side = torch.arange(-4.0, 5.0, 2.0, dtype=torch.float64)
    return torch.cartesian_prod(side, side)


def swiss_roll() -> NoisyCurve:
    """Create the Swiss roll of WGAN-GP's code: scikit-learn's `make_swiss_roll(noise=.25)[:, [0, 2]] / 7.5`."""
    return NoisyCurve(_SwissRoll(), sigma=0.25 / 7.5)


def two_moons() -> NoisyCurve:
    """Create two interleaving half circles: scikit-learn's `make_moons(noise=.2)` with random positions on them."""
    return NoisyCurve(_TwoMoons(), sigma=0.2)


def _integrate_entropy(distribution: Distribution, centers: Tensor, sigma: float) -> float:
    """Integrate -p log p on a regular grid, which is almost exact for smooth densities.

    Args:
        distribution: Distribution with Gaussian noise around `centers`.
        centers: (k, 2).
        sigma: Standard deviation of the noise.
    """
    step = sigma / 4
    bounds = torch.stack([centers.amin(0) - 9 * sigma, centers.amax(0) + 9 * sigma], 1).tolist()
    axes = [torch.arange(start, end, step, dtype=torch.float64) for start, end in bounds]
    log_prob = distribution.log_prob(torch.cartesian_prod(*axes))
    return -(log_prob.exp() * log_prob).sum().item() * step**2


def _mixture_log_prob(points: Tensor, centers: Tensor, weights: Tensor, sigma: float) -> Tensor:
    """Compute the log density of a weighted mixture of isotropic Gaussians in chunks of points."""
    points = points.double()
    centers, log_scales = centers.to(points.device), (weights / (2 * math.pi * sigma**2)).log().to(points.device)

    def chunk_log_prob(chunk: Tensor) -> Tensor:
        distances = torch.cdist(chunk, centers, compute_mode="donot_use_mm_for_euclid_dist")
        return (log_scales - distances.square() / (2 * sigma**2)).logsumexp(1)

    return torch.cat([chunk_log_prob(chunk) for chunk in torch.split(points, _CHUNK)])
