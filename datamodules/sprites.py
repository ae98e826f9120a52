"""Sprites with captions: drawn shapes whose attributes are known exactly."""

import math
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightning_gans.datamodules.module import DataModule
from lightning_gans.datamodules.vocabulary import Vocabulary
from lightning_gans.types import Batch

ATTRIBUTES = {
    "size": ("small", "big"),
    "color": ("red", "yellow", "green", "blue", "pink"),
    "shape": ("square", "ellipse", "heart"),
    "position": ("at top left", "at top right", "at bottom left", "at bottom right"),
    "background": ("on light", "on dark"),
}
"""The values of each attribute, in the order of the captions."""

LEVELS = {1: ("shape",), 2: ("size", "shape"), 3: ("size", "color", "shape")}
LEVELS |= {4: (*LEVELS[3], "position"), 5: (*LEVELS[3], "position", "background")}
"""The attributes that the captions of each level name."""

COLORS = {
    "white": (255, 255, 255),
    "red": (192, 64, 0),
    "yellow": (228, 217, 111),
    "green": (10, 107, 60),
    "blue": (0, 127, 200),
    "pink": (255, 0, 255),
    "on light": (200, 200, 200),
    "on dark": (60, 60, 60),
}
"""8-bit RGB of the shapes, as in CdSprites+, and of the backgrounds."""

RADIUS = {"small": 0.09, "big": 0.18}
"""Half the side of the square, as a fraction of the image; dSprites' smallest shapes have half the largest scale."""

SUPERSAMPLING = 3
"""Points per pixel along each side."""

EXTENT = 1.43
"""Distance of the farthest point of a shape from its center, in radii: that of the heart."""

DRAW_CHUNK = 64
"""Images that are drawn at once, so that their points remain in the cache of the processor."""


class Sprites(DataModule):
    """Serve drawn shapes with captions, such as "big red heart at top left on dark".

    Images are (3, image_size, image_size), float in [-1, 1] (256 levels): one square, ellipse or heart at a random
    angle and place. `text` is (t,) int64, the words of the caption. `label` is the number of the caption among all
    captions of the level. Attributes that the level does not name are random, except for the color (white below level
    3) and the background (black below level 5). Image i depends on the seed and on i only.

    What differs from CdSprites+: its shapes are the bitmaps of dSprites, and from level 3 shapes and backgrounds have
    textures of photographs. Here all are drawn in one color, so levels 3 to 5 are analogous, not equal.

    Source: Sejnova et al. 2023, arXiv:2209.03048 (levels, captions and colors of gabinsane/multimodal-vae-comparison,
    `cdSprites.py`); dSprites of Matthey et al. 2017.

    Args:
        level: Difficulty from 1 to 5, with 3, 6, 30, 120 and 240 captions, default 3.
        image_size: Height and width in pixels, default 64.
        train_size: Number of training images, default 20,000.
        validation_size: Number of additional images for validation, default 1,000.
        test_size: Number of test images, default 2,000.
        unseen: Number of captions that are left out of training and validation, default 0. With such captions, the test
            images have them only.
        batch_size: Examples per batch in total over all devices, default 64.
        seed: Seed of the images and of their order, default 0.
        **kwargs: Further arguments of `DataModule`, such as `labels_per_class`.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> data = Sprites(level=3, image_size=16, train_size=64, validation_size=8, test_size=8)
        >>> data.image_shape, data.num_classes, data.class_names[0], data.examples("train", 2)["text"].shape
        ((3, 16, 16), 30, 'small red square', torch.Size([2, 3]))
    """

    def __init__(
        self,
        *,
        level: Literal[1, 2, 3, 4, 5] = 3,
        image_size: int = 64,
        train_size: int = 20_000,
        validation_size: int = 1000,
        test_size: int = 2000,
        unseen: int = 0,
        batch_size: int = 64,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, validation_size=validation_size, seed=seed, **kwargs)
        if level not in LEVELS:
            raise ValueError(f"`level` must be from 1 to 5, got {level}")
        for name, value, least in (
            ("image_size", image_size, 8),
            ("train_size", train_size, 1),
            ("test_size", test_size, 1),
        ):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}, got {value}")
        self.image_shape = (3, image_size, image_size)
        self.attributes = LEVELS[level]
        self.combinations = list(product(*(ATTRIBUTES[name] for name in self.attributes)))
        captions = [" ".join(values) for values in self.combinations]
        self.class_names = tuple(captions)
        if not 0 <= unseen < len(self.combinations):
            raise ValueError(
                f"`unseen` must be at least 0 and less than the {len(self.combinations)} captions of level {level}, "
                f"got {unseen}"
            )
        self.vocabulary = Vocabulary(dict.fromkeys(word for caption in captions for word in caption.split()))
        self.text_length = max(len(caption.split()) for caption in captions)
        self._text = self.vocabulary.encode(captions)
        self.train_size, self.test_size, self.unseen = train_size, test_size, unseen

    def load(self) -> tuple[Batch, Batch]:
        """Draw the images."""
        order = np.random.RandomState(0).permutation(len(self.combinations))
        unseen, seen = order[: self.unseen], order[self.unseen :]
        train = self._draw(np.sort(seen), self.train_size + self.validation_size, seed=self.seed)
        return train, self._draw(np.sort(unseen if self.unseen else seen), self.test_size, seed=2**31 - 1)

    def _draw(self, classes: npt.NDArray[np.int64], count: int, *, seed: int) -> Batch:
        numbers = torch.from_numpy(np.random.RandomState(seed).uniform(size=(count, 7)))
        label = torch.from_numpy(classes)[(numbers[:, 0] * len(classes)).long()]
        values = [dict(zip(self.attributes, self.combinations[index], strict=True)) for index in label.tolist()]
        image = draw_sprites(values, numbers[:, 1:], self.image_shape[1])
        return {"image": image, "label": label, "text": self._text[label]}


def draw_sprites(attributes: list[dict[str, str]], numbers: Tensor, size: int) -> Tensor:
    """Draw one shape per image, antialiased by supersampling.

    Args:
        attributes: Values of `ATTRIBUTES` by name for each of the n images; missing ones are random or have a default.
        numbers: (n, 6) in [0, 1): they choose the shape and the size if these are missing, the angle and the place.
        size: Height and width in pixels.

    Returns:
        (n, 3, size, size) uint8.

    Example:
        >>> image = draw_sprites([{"shape": "square", "color": "red"}], torch.full((1, 6), 0.5), 32)
        >>> image[0, :, 16, 16].tolist(), image[0, :, 0, 0].tolist()
        ([192, 64, 0], [0, 0, 0])
    """
    kinds, places = [], []
    for given, row in zip(attributes, numbers.tolist(), strict=True):
        shape = given.get("shape", ATTRIBUTES["shape"][int(3 * row[0])])
        kinds.append((shape, given.get("size", ATTRIBUTES["size"][int(2 * row[1])])))
        places.append((2 * math.pi * row[2], *_place(given.get("position"), row[3], row[4])))
    place, palette = torch.tensor(places), _palette(attributes)
    images = palette[:, 0, :, None, None].repeat(1, 1, size, size)
    for kind in dict.fromkeys(kinds):
        chosen = torch.tensor([index for index, each in enumerate(kinds) if each == kind])
        for part in torch.split(chosen, DRAW_CHUNK):
            counts, lines, columns = _cover(*kind, place[part], size)
            images[part[:, None, None], :, lines[:, :, None], columns[:, None, :]] = palette[
                part[:, None, None], counts.long()
            ]
    return images


def _place(position: str | None, horizontal: float, vertical: float) -> tuple[float, float]:
    """Return the center as fractions of the image: anywhere inside, or in the part that a position names."""
    if position is None:
        return 0.3 + 0.4 * horizontal, 0.3 + 0.4 * vertical
    column = 0.27 if position.endswith("left") else 0.63
    line = 0.27 if "top" in position else 0.63
    return column + 0.1 * horizontal, line + 0.1 * vertical


def _palette(attributes: list[dict[str, str]]) -> Tensor:
    """Return (n, points + 1, 3) uint8 colors of a pixel in each image, by the number of its points inside the shape."""
    share = torch.arange(SUPERSAMPLING**2 + 1)[:, None] / SUPERSAMPLING**2
    color, background = (
        torch.tensor([COLORS.get(given.get(name, default), (0, 0, 0)) for given in attributes])[:, None, :]
        for name, default in (("color", "white"), ("background", "black"))
    )
    return (share * color + (1 - share) * background).round().to(torch.uint8)


def _cover(shape: str, size_name: str, place: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Count the points of each pixel that are inside a shape, in a square of pixels around it.

    Args:
        shape: Name of the shape.
        size_name: Name of its size.
        place: (n, 3): angle in radians, and column and line of the center as fractions of the image.
        size: Height and width of an image in pixels.

    Returns:
        (n, s, s) uint8 counts; (n, s) numbers of the lines of the square, and of its columns.
    """
    radius = RADIUS[size_name]
    side = min(size, math.ceil(2 * EXTENT * radius * size) + 1)
    angle, column, line = place[:, :, None].unbind(1)
    first = [((center - EXTENT * radius) * size).floor().clamp(0, size - side).long() for center in (line, column)]
    lines, columns = (start + torch.arange(side) for start in first)
    points = (torch.arange(size * SUPERSAMPLING) + 0.5) / (size * SUPERSAMPLING)
    y, x = (
        (points.view(size, SUPERSAMPLING)[pixels].flatten(1) - center) / radius
        for pixels, center in ((lines, line), (columns, column))
    )
    cosine, sine = angle.cos(), angle.sin()
    u = (cosine * x)[:, None, :] + (sine * y)[:, :, None]
    v = (cosine * y)[:, :, None] - (sine * x)[:, None, :]
    inside = SHAPES[shape](u, v).view(torch.uint8)
    by_line = inside.view(-1, side, SUPERSAMPLING, side * SUPERSAMPLING).sum(2, dtype=torch.uint8)
    return by_line.view(-1, side, side, SUPERSAMPLING).sum(3, dtype=torch.uint8), lines, columns


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u * u, v * v) <= 1


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    return u * u / 1.44 + v * v / 0.36 <= 1


def _heart(u: Tensor, v: Tensor) -> Tensor:
    squared_u, squared_v = u * u, v * v
    circle = squared_u + squared_v - 1
    return circle * circle * circle + squared_u * squared_v * v <= 0


SHAPES = {"square": _square, "ellipse": _ellipse, "heart": _heart}
"""Functions that find whether points are inside a shape of radius 1, from their coordinates along its axes."""
