"""Points in the plane, drawn over what is known of them: their density, and what the discriminator thinks."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_gans.core.generative import GenerativeModel
from lightning_gans.datamodules import DataModule
from lightning_gans.datamodules.ground_truth import GroundTruth
from lightning_gans.rendering.images import RGBImage

SHOWN = 2500
"""Points in an image, as many as scores are taken on."""

EXTENT, SIZE, FIELD = 1.3, 448, 112
"""The image shows [-EXTENT, EXTENT]^2 on SIZE pixels a side; the discriminator is asked at FIELD places a side."""

LEVELS = 12
"""Parts that the range of the discriminator's logit is cut into, with a line between two of them."""

WHITE, TRUTH, LINE, SAMPLE = np.array([(255, 255, 255), (88, 160, 226), (205, 205, 205), (200, 50, 20)])
"""The colors of the ground, of the density, of level lines and of points."""


def scatter(points: Tensor, *, density: Tensor | None = None, rating: Tensor | None = None) -> RGBImage:
    """Draw points, over a density and over level lines.

    Args:
        points: (n, 2), in about [-1, 1]; what lies outside the image is left out.
        density: (SIZE, SIZE) log density at the places of `mesh(SIZE)`. It is shaded by its ninth root relative to its
            largest value, so that a normal mode has the size of its three standard deviations.
        rating: (FIELD, FIELD) values at the places of `mesh(FIELD)`, shown as level lines.

    Example:
        >>> scatter(torch.zeros(1, 2))[SIZE // 2 - 1, SIZE // 2].tolist() == SAMPLE.tolist()
        True
    """
    image = np.broadcast_to(WHITE, (SIZE, SIZE, 3)).astype(float)
    if density is not None:
        shade = ((density - density.max()) / 9).exp().numpy()[..., None]
        image = (1 - shade) * image + shade * TRUTH
    if rating is not None:
        image[_lines(rating)] = LINE
    at = ((points.double() + EXTENT) / (2 * EXTENT) * SIZE).floor().long().cpu().numpy()
    for right, up in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = at[:, 0] + right, SIZE - 1 - at[:, 1] - up
        inside = (column >= 0) & (column < SIZE) & (row >= 0) & (row < SIZE)
        image[row[inside], column[inside]] = SAMPLE
    return image.round().astype(np.uint8)


def mesh(size: int) -> Tensor:
    """The middles of the pixels of an image of `size` pixels a side, (size * size, 2), from the upper left on.

    Example:
        >>> mesh(2).tolist()
        [[-0.65, 0.65], [0.65, 0.65], [-0.65, -0.65], [0.65, -0.65]]
    """
    places = EXTENT * ((2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1)
    return torch.stack([places.repeat(size), -places.repeat_interleave(size)], 1).round(decimals=9)


class Scatter:
    """Draw a model's points over the true density, which is worked out once, and its discriminator's level lines.

    Args:
        data: Where the points come from; None draws no density.
    """

    def __init__(self, data: DataModule | None) -> None:
        density = data.log_prob(mesh(SIZE)) if isinstance(data, GroundTruth) else None
        self.density = None if density is None else density.view(SIZE, SIZE)

    def of(self, model: GenerativeModel, *, seed: int) -> RGBImage:
        """Draw samples.

        Args:
            model: What makes them.
            seed: Their seed.
        """
        places = mesh(FIELD).float().to(model.device)
        with model.eval_mode(), torch.no_grad():
            rating = model.discriminator_score({"image": places})
        field = None if rating is None else rating.double().cpu().view(FIELD, FIELD)
        return scatter(model.sample(SHOWN, seed=seed)["image"], density=self.density, rating=field)

    def real(self, data: DataModule) -> RGBImage:
        """Draw examples to train on.

        Args:
            data: Where they come from.
        """
        return scatter(data.examples("train", SHOWN)["image"], density=self.density)


def _lines(rating: Tensor) -> npt.NDArray[np.bool_]:
    """Where a pixel is on another level than the one to its right or below it."""
    fine = F.interpolate(rating[None, None], size=(SIZE, SIZE), mode="bilinear")[0, 0]
    low, high = fine.min(), fine.max()
    level = ((fine - low) / (high - low).clamp(min=1e-12) * LEVELS).floor()
    lines = torch.zeros_like(fine, dtype=torch.bool)
    lines[:, :-1] |= level[:, 1:] != level[:, :-1]
    lines[:-1] |= level[1:] != level[:-1]
    return lines.numpy()
