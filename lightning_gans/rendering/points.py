"""Scatter plots of points in the plane, over their true density and contour lines of the discriminator score."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_gans.core.generative import GenerativeModel
from lightning_gans.datamodules import DataModule
from lightning_gans.datamodules.ground_truth import GroundTruth
from lightning_gans.rendering.images import RGBImage
from lightning_gans.types import Batch

NUM_POINTS = 2500
"""Number of points in a plot, equal to the number of points that are scored."""

EXTENT = 1.3
"""Half the side of the plotted square [-EXTENT, EXTENT]^2."""

SIZE = 448
"""Side of the plot in pixels."""

SCORE_SIZE = 112
"""Side of the square array of points at which the discriminator score is computed."""

NUM_LEVELS = 12
"""Number of intervals that the range of the discriminator score is divided into; contour lines separate them."""

BACKGROUND_COLOR, DENSITY_COLOR, CONTOUR_COLOR, POINT_COLOR = np.array(
    [(255, 255, 255), (88, 160, 226), (205, 205, 205), (200, 50, 20)]
)
"""RGB colors of the plot."""


def scatter(points: Tensor, *, log_density: Tensor | None = None, score: Tensor | None = None) -> RGBImage:
    """Draw a scatter plot of points, over a density and over contour lines of a score.

    Args:
        points: (n, 2), in about [-1, 1]; points outside the plot are omitted.
        log_density: (SIZE, SIZE) log density at `pixel_centers(SIZE)`, default None. The shade is the ninth root of the
            density relative to its maximum, so that the shade of a Gaussian mode is three times as wide as the mode.
        score: (SCORE_SIZE, SCORE_SIZE) values at `pixel_centers(SCORE_SIZE)`, default None.

    Returns:
        (SIZE, SIZE, 3) uint8.

    Example:
        >>> scatter(torch.zeros(1, 2))[SIZE // 2 - 1, SIZE // 2].tolist() == POINT_COLOR.tolist()
        True
    """
    image = np.broadcast_to(BACKGROUND_COLOR, (SIZE, SIZE, 3)).astype(float)
    if log_density is not None:
        shade = ((log_density - log_density.max()) / 9).exp().numpy()[..., None]
        image = (1 - shade) * image + shade * DENSITY_COLOR
    if score is not None:
        image[_contour_lines(score)] = CONTOUR_COLOR
    drawn: RGBImage = image.round().astype(np.uint8)
    draw_points(drawn, points)
    return drawn


def draw_points(image: RGBImage, points: Tensor) -> None:
    """Draw points into a plot of `scatter`.

    Args:
        image: (SIZE, SIZE, 3) uint8, changed in place.
        points: (n, 2), in about [-1, 1]; points outside the plot are omitted.
    """
    pixels = ((points.double() + EXTENT) / (2 * EXTENT) * SIZE).floor().long().cpu().numpy()
    for right, up in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = pixels[:, 0] + right, SIZE - 1 - pixels[:, 1] - up
        inside = (column >= 0) & (column < SIZE) & (row >= 0) & (row < SIZE)
        image[row[inside], column[inside]] = POINT_COLOR


def pixel_centers(size: int) -> Tensor:
    """Compute the coordinates of the pixel centers of a plot, row by row from the upper left corner.

    Args:
        size: Side of the plot in pixels.

    Returns:
        (size * size, 2) float64.

    Example:
        >>> pixel_centers(2).tolist()
        [[-0.65, 0.65], [0.65, 0.65], [-0.65, -0.65], [0.65, -0.65]]
    """
    coordinates = EXTENT * ((2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1)
    return torch.stack([coordinates.repeat(size), -coordinates.repeat_interleave(size)], 1).round(decimals=9)


class ScatterPlot:
    """Plot samples or examples over the true density of the data, which is computed once.

    Args:
        data: Data module of the points; the density is plotted if the data module knows it. None plots no density.
    """

    def __init__(self, data: DataModule | None) -> None:
        log_density = data.log_prob(pixel_centers(SIZE)) if isinstance(data, GroundTruth) else None
        self.log_density = None if log_density is None else log_density.view(SIZE, SIZE)

    def samples(self, model: GenerativeModel, *, condition: Batch | None = None, seed: int) -> RGBImage:
        """Plot 2,500 samples of a model over the contour lines of its discriminator score, if it has a discriminator.

        Args:
            model: Generative model of points in the plane.
            condition: Conditions of the samples, default None for an unconditional model.
            seed: Seed of the samples.
        """
        points = pixel_centers(SCORE_SIZE).float().to(model.device)
        with model.eval_mode(), torch.no_grad():
            score = model.discriminator_score({"image": points})
        score = None if score is None else score.double().cpu().view(SCORE_SIZE, SCORE_SIZE)
        samples = model.sample(NUM_POINTS, condition=condition, seed=seed)["image"]
        return scatter(samples, log_density=self.log_density, score=score)

    def examples(self, data: DataModule) -> RGBImage:
        """Plot 2,500 training examples.

        Args:
            data: Data module of the points.
        """
        return scatter(data.examples("train", NUM_POINTS)["image"], log_density=self.log_density)


def _contour_lines(score: Tensor) -> npt.NDArray[np.bool_]:
    """Find the pixels whose level differs from the level of the pixel to the right or below.

    Args:
        score: (SCORE_SIZE, SCORE_SIZE).

    Returns:
        (SIZE, SIZE) mask.
    """
    interpolated = F.interpolate(score[None, None], size=(SIZE, SIZE), mode="bilinear")[0, 0]
    low, high = interpolated.min(), interpolated.max()
    level = ((interpolated - low) / (high - low).clamp(min=1e-12) * NUM_LEVELS).floor()
    lines = torch.zeros_like(interpolated, dtype=torch.bool)
    lines[:, :-1] |= level[:, 1:] != level[:, :-1]
    lines[:-1] |= level[1:] != level[:-1]
    return lines.numpy()
