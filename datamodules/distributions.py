"""Distributions of points in the plane whose truth is known: how to draw from them, and how dense they are.

All is in the data's own units and in double precision. Drawing takes a stream of numpy's `RandomState`, whose numbers
numpy promises never to change.
"""

import math
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

SEPARATED = 12.0
"""Standard deviations between two modes from which on they do not overlap: a sample errs with probability 2e-9."""

NODES = 600
"""Places on a curve at which Gauss and Legendre integrate along it, less than 1.05 sigma apart here: exact to 1e-7."""

_ROWS = 1024


class Distribution(ABC):
    """A distribution of points in the plane.

    Attributes:
        classes: How many parts a point can be of.
        entropy: In nats.
    """

    classes: int

    @property
    @abstractmethod
    def entropy(self) -> float:
        """The least nats per point that any model can need."""

    @abstractmethod
    def sample(self, n: int, stream: np.random.RandomState) -> tuple[Tensor, Tensor]:
        """Draw points.

        Args:
            n: How many.
            stream: Where the randomness comes from.

        Returns:
            The points, (n, 2), and the part that each is of, (n,).
        """

    @abstractmethod
    def log_prob(self, points: Tensor) -> Tensor:
        """The log density at points (n, 2), in nats, (n,)."""


class Mixture(Distribution):
    """Equally many points around each of several centers, normally distributed.

    Args:
        centers: (k, 2).
        sigma: Standard deviation of each coordinate.

    Raises:
        ValueError: `sigma` is not above 0.

    Example:
        >>> round(Mixture(ring(8), sigma=0.01).entropy, 4)
        -4.293
    """

    def __init__(self, centers: Tensor, *, sigma: float) -> None:
        if sigma <= 0:
            raise ValueError(f"`sigma` must be above 0, got {sigma}")
        self.centers, self.sigma, self.classes = centers.double(), sigma, len(centers)

    @cached_property
    def entropy(self) -> float:
        """That of parts that do not overlap is log k + log(2 pi e sigma^2), exact to 1e-7; else the integral."""
        if self.classes > 1 and torch.pdist(self.centers).min().item() < SEPARATED * self.sigma:
            return _integrated_entropy(self, self.centers, self.sigma)
        return math.log(self.classes) + math.log(2 * math.pi * math.e * self.sigma**2)

    def sample(self, n: int, stream: np.random.RandomState) -> tuple[Tensor, Tensor]:
        """Draw centers, and noise around them."""
        label = torch.from_numpy(stream.randint(self.classes, size=n)).long()
        return self.centers[label] + self.sigma * torch.from_numpy(stream.standard_normal((n, 2))), label

    def log_prob(self, points: Tensor) -> Tensor:
        """The log of the mean of the parts' densities."""
        weights = torch.full((self.classes,), 1 / self.classes, dtype=torch.float64)
        return _log_mixture(points, self.centers, weights, self.sigma)


class Curve(Distribution):
    """Points along curves, evenly in each curve's parameter, with normal noise around them.

    Args:
        curves: Maps parameters (n,) in [0, 1] to (n, k, 2): a point on each of k curves, equally likely.
        sigma: Standard deviation of the noise of each coordinate.

    Raises:
        ValueError: `sigma` is not above 0.

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
        places, weights = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(NODES))
        self.nodes = curves((places + 1) / 2)
        self.classes = self.nodes.shape[1]
        self.weights = (weights / (2 * self.classes)).unsqueeze(1).expand(-1, self.classes).flatten()

    def sample(self, n: int, stream: np.random.RandomState) -> tuple[Tensor, Tensor]:
        """Draw a curve, a place on it, and noise."""
        label = torch.from_numpy(stream.randint(self.classes, size=n)).long()
        places = self.curves(torch.from_numpy(stream.random_sample(n)))[torch.arange(n), label]
        return places + self.sigma * torch.from_numpy(stream.standard_normal((n, 2))), label

    @cached_property
    def entropy(self) -> float:
        """The integral of -p log p."""
        return _integrated_entropy(self, self.nodes.flatten(0, 1), self.sigma)

    def log_prob(self, points: Tensor) -> Tensor:
        """The log of the integral of the noise's density along the curves."""
        return _log_mixture(points, self.nodes.flatten(0, 1), self.weights, self.sigma)


class Checkerboard(Distribution):
    """Even density on the eight dark squares, of side 2, of a board of 4 x 4 around the origin.

    Example:
        >>> Checkerboard().log_prob(torch.tensor([[-3.0, -3.0], [-1.0, -3.0]]))
        tensor([-3.4657,    -inf], dtype=torch.float64)
    """

    classes = 8
    entropy = math.log(32)
    """The log of the dark area."""

    def sample(self, n: int, stream: np.random.RandomState) -> tuple[Tensor, Tensor]:
        """Draw a dark square, and a place on it."""
        label = torch.from_numpy(stream.randint(self.classes, size=n)).long()
        row = label // 2
        column = 2 * (label % 2) + row % 2
        corner = 2.0 * torch.stack([column, row], 1).double() - 4
        return corner + 2 * torch.from_numpy(stream.random_sample((n, 2))), label

    def log_prob(self, points: Tensor) -> Tensor:
        """-log 32 on dark squares, minus infinity elsewhere."""
        points = points.double()
        squares = (points / 2).floor()
        dark = (squares.sum(1) % 2 == 0) & (points >= -4).all(1) & (points < 4).all(1)
        return torch.full_like(points[:, 0], -self.entropy).masked_fill(~dark, -torch.inf)


class Curves(ABC):
    """A map from parameters in [0, 1] to points on k curves."""

    @abstractmethod
    def __call__(self, share: Tensor) -> Tensor:
        """Map (n,) to (n, k, 2)."""


class _Roll(Curves):
    def __call__(self, share: Tensor) -> Tensor:
        angle = 1.5 * math.pi * (1 + 2 * share)
        return torch.stack([angle * angle.cos(), angle * angle.sin()], 1).unsqueeze(1) / 7.5


class _Moons(Curves):
    def __call__(self, share: Tensor) -> Tensor:
        x, y = (math.pi * share).cos(), (math.pi * share).sin()
        return torch.stack([torch.stack([x, y], 1), torch.stack([1 - x, 0.5 - y], 1)], 1)


def ring(count: int, *, radius: float = 1.0) -> Tensor:
    """Centers (count, 2) evenly on a circle, from (radius, 0) on.

    Example:
        >>> ring(4).round(decimals=3).abs().tolist()
        [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
    return radius * torch.stack([angle.cos(), angle.sin()], 1)


def grid() -> Tensor:
    """The 25 centers {-4, -2, 0, 2, 4}^2."""
    side = torch.arange(-4.0, 5.0, 2.0, dtype=torch.float64)
    return torch.cartesian_prod(side, side)


def swiss_roll() -> Curve:
    """The roll of WGAN-GP's code: `make_swiss_roll(noise=.25)[:, [0, 2]] / 7.5` of scikit-learn."""
    return Curve(_Roll(), sigma=0.25 / 7.5)


def two_moons() -> Curve:
    """Two half circles that grip each other, `make_moons(noise=.2)` of scikit-learn with random places along them."""
    return Curve(_Moons(), sigma=0.2)


def _integrated_entropy(distribution: Distribution, centers: Tensor, sigma: float) -> float:
    """Sum -p log p over a lattice, which integrates smooth densities almost exactly.

    Args:
        distribution: Of points with normal noise of standard deviation `sigma` around `centers`.
        centers: (k, 2).
        sigma: The noise's.
    """
    step = sigma / 4
    box = torch.stack([centers.amin(0) - 9 * sigma, centers.amax(0) + 9 * sigma], 1).tolist()
    sides = [torch.arange(start, end, step, dtype=torch.float64) for start, end in box]
    log_prob = distribution.log_prob(torch.cartesian_prod(*sides))
    return -(log_prob.exp() * log_prob).sum().item() * step**2


def _log_mixture(points: Tensor, centers: Tensor, weights: Tensor, sigma: float) -> Tensor:
    """The log density at `points` of normal distributions around `centers`, with these weights."""
    points = points.double()
    centers, shares = centers.to(points.device), (weights / (2 * math.pi * sigma**2)).log().to(points.device)

    def part(rows: Tensor) -> Tensor:
        distances = torch.cdist(rows, centers, compute_mode="donot_use_mm_for_euclid_dist")
        return (shares - distances.square() / (2 * sigma**2)).logsumexp(1)

    return torch.cat([part(rows) for rows in torch.split(points, _ROWS)])
