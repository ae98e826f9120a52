"""Image grids with text: a caption below each image, or the name of a class before each row."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lightning_gans.rendering.images import RGBImage, grid

FONT = ImageFont.load_default(11)
"""The font that comes with Pillow."""

LINE_HEIGHT = 13
"""Height of a line of text, in pixels."""

CHARACTER_WIDTH = 6.0
"""Average width of a character, in pixels."""

MAX_LINES = 6
"""Maximum number of lines of a caption; the rest is cut."""

LABEL_WIDTH = 120
"""Width of the names of the classes, in pixels."""

MARGIN = 4
"""Space around text, in pixels."""


def captioned_grid(image: Tensor, captions: Sequence[str], columns: int) -> RGBImage:
    """Arrange images in a grid, each with its caption below.

    Args:
        image: (n, c, h, w) in [-1, 1].
        captions: n captions.
        columns: Number of images per row.

    Example:
        >>> import torch
        >>> captioned_grid(torch.zeros(3, 1, 8, 8), ["one", "two", "three"], columns=2).shape
        (162, 128, 3)
    """
    tiles = [grid(one[None], 1) for one in image]
    height, width = tiles[0].shape[0], tiles[0].shape[1]
    wrapped = [_wrap(caption, width) for caption in captions]
    band = LINE_HEIGHT * max(len(lines) for lines in wrapped) + MARGIN
    rows = -(-len(tiles) // columns)
    canvas = Image.new("RGB", (width * columns, (height + band) * rows), "white")
    draw = ImageDraw.Draw(canvas)
    for index, (tile, lines) in enumerate(zip(tiles, wrapped, strict=True)):
        x, y = width * (index % columns), (height + band) * (index // columns)
        canvas.paste(Image.fromarray(tile), (x, y))
        for number, line in enumerate(lines):
            draw.text((x + MARGIN, y + height + LINE_HEIGHT * number), line, "black", FONT)
    return np.asarray(canvas)


def labeled_rows(rows: Mapping[str, Tensor]) -> RGBImage:
    """Arrange images in rows, with a name before each.

    Args:
        rows: (n, c, h, w) images in [-1, 1] of each row, by its name; rows may differ in n.

    Example:
        >>> import torch
        >>> labeled_rows({"cat": torch.zeros(3, 1, 8, 8), "dog": torch.zeros(2, 1, 8, 8)}).shape
        (136, 320, 3)
    """
    strips = [grid(image, len(image)) for image in rows.values()]
    height, width = strips[0].shape[0], max(strip.shape[1] for strip in strips)
    canvas = Image.new("RGB", (LABEL_WIDTH + width, height * len(strips)), "white")
    draw = ImageDraw.Draw(canvas)
    for number, (name, strip) in enumerate(zip(rows, strips, strict=True)):
        canvas.paste(Image.fromarray(strip), (LABEL_WIDTH, height * number))
        for line, part in enumerate(_wrap(name, LABEL_WIDTH)):
            draw.text((MARGIN, height * number + MARGIN + LINE_HEIGHT * line), part, "black", FONT)
    return np.asarray(canvas)


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, int((width - 2 * MARGIN) / CHARACTER_WIDTH), max_lines=MAX_LINES, placeholder="...") or [
        ""
    ]
