"""Two-dimensional toy data whose distribution is known."""

import math
import zlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from torch import Tensor

from lightning_gans.datamodules.distributions import (
    Checkerboard,
    Distribution,
    GaussianMixture,
    grid_centers,
    ring_centers,
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
"""Number of test points."""

NUM_SCORED = 2500
"""Number of samples that are scored, as in PacGAN (arXiv:1712.04086)."""


class Toy(NamedTuple):
    """Definition of a toy distribution.

    Attributes:
        make: Function that creates the distribution.
        scale: Divisor that brings the points to about [-1, 1].
    """

    make: Callable[[], Distribution]
    scale: float


TOYS: dict[str, Toy] = {
    "ring": Toy(lambda: GaussianMixture(ring_centers(8), sigma=0.01), 1.0),
    "grid": Toy(lambda: GaussianMixture(grid_centers(), sigma=0.05), 4.0),
    "eight_gaussians": Toy(lambda: GaussianMixture(ring_centers(8, radius=2.0) / 1.414, sigma=0.02 / 1.414), 1.5),
    "twenty_five_gaussians": Toy(lambda: GaussianMixture(grid_centers() / 2.828, sigma=0.05 / 2.828), 1.5),
    "overlapping_gaussians": Toy(
        lambda: GaussianMixture(ring_centers(8, radius=4.0) / math.sqrt(2), sigma=0.5 / math.sqrt(2)), 4.0
    ),
    "swiss_roll": Toy(swiss_roll, 2.0),
    "two_moons": Toy(two_moons, 2.5),
    "checkerboard": Toy(Checkerboard, 4.0),
}


class Toy2D(GroundTruth, DataModule):
    """Serve points in the plane from a known distribution, so that a model can be scored exactly.

    Points are (2,), float, divided by `scale` to about [-1, 1]. Labels are int64, the component of a mixture, the curve
    or the square that a point belongs to. The test split has 10,000 points. `scores` are computed in the units of the
    data.

    - `ring`: 8 centers on a circle of radius 1, sigma 0.01; `grid`: 25 centers {-4, -2, 0, 2, 4}^2, sigma 0.05. Source:
      the protocol of PacGAN (arXiv:1712.04086).
    - `eight_gaussians` (radius 2, sigma 0.02, all divided by 1.414), `twenty_five_gaussians` (`grid` divided by 2.828),
      `swiss_roll`. Source: the code of WGAN-GP (arXiv:1704.00028, `gan_toy.py`).
    - `overlapping_gaussians`: 8 centers on a circle of radius 4, sigma 0.5, all divided by sqrt 2. Source: the code of
      FFJORD (arXiv:1810.01367), which divides by 1.414.
    - `two_moons`: two interleaving half circles with noise 0.2; `checkerboard`: eight uniform squares.

    Args:
        name: Name of the distribution, default "ring".
        count: Number of training and validation points together, default 100,000.
        batch_size: Points per batch in total over all devices, default 256.
        validation_size: Number of the `count` points that are held out for validation, default 5,000.
        seed: Seed of the points and of their order in training, default 0.
        **kwargs: Further arguments of `DataModule`, such as `labels_per_class`.

    Attributes:
        distribution: True distribution, in the units of the data.
        scale: Divisor of the points.

    Raises:
        ValueError: If `name` is unknown, `count` is below 1, or `batch_size` or `validation_size` does not fit the
            data.

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
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, validation_size=validation_size, seed=seed, **kwargs)
        if name not in TOYS:
            raise ValueError(f"`name` must be one of {', '.join(get_args(ToyName))}, got {name!r}")
        if count < 1:
            raise ValueError(f"`count` must be at least 1, got {count}")
        self.name = name
        self.count = count
        self.distribution, self.scale = TOYS[name].make(), TOYS[name].scale
        self.class_names = tuple(str(label) for label in range(self.distribution.num_classes))

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Return the settings of the preprocessing, as plain values for checkpoints."""
        return {**super().preprocessing, "scale": self.scale}

    @property
    def entropy(self) -> float:
        """Return the differential entropy of the scaled points, in nats: the lowest NLL that a model can reach.

        It is the entropy in the units of the data minus 2 log `scale`, because division makes the density larger.
        """
        return self.distribution.entropy - 2 * math.log(self.scale)

    def load(self) -> tuple[Batch, Batch]:
        """Sample the training and the test points."""
        rng = np.random.RandomState(zlib.crc32(f"{self.name} {self.seed}".encode()))
        return self.sample_batch(self.count, rng), self.sample_batch(TEST_SIZE, rng)

    def sample_batch(self, n: int, rng: np.random.RandomState) -> Batch:
        """Sample new points from the true distribution, scaled as a model receives them.

        Args:
            n: Number of points.
            rng: NumPy random state.
        """
        points, label = self.distribution.sample(n, rng)
        return {"image": (points / self.scale).float(), "label": label}

    def log_prob(self, image: Tensor) -> Tensor:
        """Compute the true log density of scaled points.

        Args:
            image: (n, 2) points, scaled as a model receives them.

        Returns:
            (n,) nats, float64.
        """
        return self.distribution.log_prob(self.unscale(image)) + 2 * math.log(self.scale)

    def unscale(self, image: Tensor) -> Tensor:
        """Convert scaled points to the units of the data.

        Args:
            image: (n, 2) points, scaled as a model generates them.

        Returns:
            (n, 2) float64 on the CPU.
        """
        return image.cpu().double() * self.scale

    def scores(self, sample: Callable[[int], Tensor]) -> dict[str, float]:
        """Compute the energy distance to new points and, for a mixture, the scores of `mode_coverage`.

        Args:
            sample: Function that generates a given number of scaled points; 2,500 are scored.

        Returns:
            `energy_distance`; for a mixture also `modes`, `high_quality` and `reverse_kl`.
        """
        points = self.unscale(sample(NUM_SCORED))
        real, _ = self.distribution.sample(NUM_SCORED, np.random.RandomState(self.seed))
        scores = {"energy_distance": energy_distance(points, real).item()}
        if isinstance(self.distribution, GaussianMixture):
            scores |= mode_coverage(points, self.distribution.centers, sigma=self.distribution.sigma)._asdict()
        return scores
