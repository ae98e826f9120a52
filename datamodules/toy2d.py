"""Points in the plane whose distribution is known."""

import math
import zlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from torch import Tensor

from lightning_gans.datamodules.distributions import (
    Checkerboard,
    Distribution,
    Mixture,
    grid,
    ring,
    swiss_roll,
    two_moons,
)
from lightning_gans.datamodules.ground_truth import GroundTruth
from lightning_gans.datamodules.module import DataModule
from lightning_gans.metrics.energy import energy_distance
from lightning_gans.metrics.modes import mode_coverage
from lightning_gans.types import Batch

ToyName = Literal[
    "ring",
    "grid",
    "eight_gaussians",
    "twenty_five_gaussians",
    "overlapping_gaussians",
    "swiss_roll",
    "two_moons",
    "checkerboard",
]

TEST_SIZE = 10_000
"""Points that scores are compared with at most."""

SCORED = 2500
"""Samples that are scored, as PacGAN does (arXiv:1712.04086)."""


class Toy(NamedTuple):
    """A distribution, and what its points are divided by to lie in about [-1, 1]."""

    make: Callable[[], Distribution]
    scale: float


TOYS: dict[str, Toy] = {
    "ring": Toy(lambda: Mixture(ring(8), sigma=0.01), 1.0),
    "grid": Toy(lambda: Mixture(grid(), sigma=0.05), 4.0),
    "eight_gaussians": Toy(lambda: Mixture(ring(8, radius=2.0) / 1.414, sigma=0.02 / 1.414), 1.5),
    "twenty_five_gaussians": Toy(lambda: Mixture(grid() / 2.828, sigma=0.05 / 2.828), 1.5),
    "overlapping_gaussians": Toy(lambda: Mixture(ring(8, radius=4.0) / math.sqrt(2), sigma=0.5 / math.sqrt(2)), 4.0),
    "swiss_roll": Toy(swiss_roll, 2.0),
    "two_moons": Toy(two_moons, 2.5),
    "checkerboard": Toy(Checkerboard, 4.0),
}


class Toy2D(GroundTruth, DataModule):
    """Serve points in the plane from a distribution that is known, so that what a game learned can be told exactly.

    - `ring`: 8 centers on a circle of radius 1, sigma .01; `grid`: 25 centers {-4, -2, 0, 2, 4}^2, sigma .05: PacGAN's
      protocol (arXiv:1712.04086).
    - `eight_gaussians` (radius 2, sigma .02, all / 1.414), `twenty_five_gaussians` (the grid / 2.828), `swiss_roll`:
      those of WGAN-GP's code (arXiv:1704.00028, `gan_toy.py`).
    - `overlapping_gaussians`: 8 centers on a circle of radius 4, sigma .5, all / sqrt 2: those of FFJORD's code
      (arXiv:1810.01367), which divides by 1.414.
    - `two_moons`: two half circles, noise .2; `checkerboard`: eight even squares.

    A model sees points divided by `scale`; `scores` are taken in the data's own units.

    Args:
        name: Which distribution.
        count: Points to train and to validate on; further 10,000 are the test split.
        batch_size: Points per batch, in total over all devices.
        validation_size: How many of the `count` points are set aside for validation.
        seed: Of the points, and of the order in which they are trained on.

    Attributes:
        distribution: The truth, in the data's own units.
        scale: What points are divided by for a model.

    Raises:
        ValueError: There is no such distribution, `count` is below 1, or a size does not suit it.

    Example:
        >>> data = Toy2D(name="grid", count=1000, validation_size=100)
        >>> data.sizes, data.scale
        ({'train': 900, 'validation': 100, 'test': 10000}, 4.0)
        >>> round(data.distribution.entropy, 4), round(data.entropy, 4)
        (0.0653, -2.7073)
    """

    image_shape = (2,)
    levels = None

    def __init__(
        self,
        *,
        name: ToyName = "ring",
        count: int = 100_000,
        batch_size: int = 256,
        validation_size: int = 5000,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size, validation_size=validation_size, seed=seed)
        if name not in TOYS:
            raise ValueError(f"`name` must be one of {', '.join(get_args(ToyName))}, got {name!r}")
        if count < 1:
            raise ValueError(f"`count` must be at least 1, got {count}")
        self.name = name
        self.count = count
        self.distribution, self.scale = TOYS[name].make(), TOYS[name].scale
        self.class_names = tuple(str(part) for part in range(self.distribution.classes))

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How the points become what a model sees."""
        return {**super().preprocessing, "scale": self.scale}

    @property
    def entropy(self) -> float:
        """The least nats per point that any model can need, of points as a model sees them.

        Those of the data's own units less 2 log `scale`: dividing makes a density denser.
        """
        return self.distribution.entropy - 2 * math.log(self.scale)

    def load(self) -> tuple[Batch, Batch]:
        """Draw the training and the test points."""
        stream = np.random.RandomState(zlib.crc32(f"{self.name} {self.seed}".encode()))
        return self.sample_batch(self.count, stream), self.sample_batch(TEST_SIZE, stream)

    def sample_batch(self, n: int, stream: np.random.RandomState) -> Batch:
        """Draw fresh points, as a model sees them.

        Args:
            n: How many.
            stream: Where the randomness comes from.
        """
        points, label = self.distribution.sample(n, stream)
        return {"image": (points / self.scale).float(), "label": label}

    def log_prob(self, image: Tensor) -> Tensor:
        """The true log density of points (n, 2) as a model sees them, in nats per point, (n,)."""
        return self.distribution.log_prob(self.unscaled(image)) + 2 * math.log(self.scale)

    def unscaled(self, image: Tensor) -> Tensor:
        """Bring points that a model made back to the data's own units."""
        return image.cpu().double() * self.scale

    def scores(self, sample: Callable[[int], Tensor]) -> dict[str, float]:
        """The energy distance to fresh points and, of a mixture, its modes, high-quality share and reverse KL."""
        points = self.unscaled(sample(SCORED)).cpu()
        real, _ = self.distribution.sample(SCORED, np.random.RandomState(self.seed))
        scores = {"energy_distance": energy_distance(points, real).item()}
        if isinstance(self.distribution, Mixture):
            scores |= mode_coverage(points, self.distribution.centers, sigma=self.distribution.sigma)._asdict()
        return scores
