"""Line charts of curves that share an x axis."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from lightning_gans.rendering.captions import FONT, LINE_HEIGHT
from lightning_gans.rendering.images import RGBImage

SIZE = (640, 400)
"""Width and height of a chart in pixels, without its legend."""

MARGIN = 48
"""Space around the axes, in pixels."""

TICKS = 5
"""Number of intervals of an axis."""

COLORS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14), (23, 190, 207))
"""RGB colors of the curves, which are repeated."""

GRID_COLOR = (225, 225, 225)
"""RGB color of the grid lines."""


def line_chart(x: Sequence[float], curves: Mapping[str, Sequence[float]], *, x_label: str, y_label: str) -> RGBImage:
    """Draw curves of values in [0, 1] over a shared x axis, with a legend below.

    Args:
        x: Positions of the values, in ascending order, from 0.
        curves: Values of each curve, by its name.
        x_label: Label of the x axis.
        y_label: Label of the y axis.

    Returns:
        (height, width, 3) uint8.

    Example:
        >>> line_chart([0.0, 0.3], {"natural": [0.99, 0.02]}, x_label="eps", y_label="accuracy").shape
        (421, 640, 3)
    """
    width, height = SIZE
    legend = LINE_HEIGHT * len(curves) + 8
    canvas = Image.new("RGB", (width, height + legend), "white")
    draw = ImageDraw.Draw(canvas)
    end = x[-1] or 1.0

    def place(at: float, value: float) -> tuple[float, float]:
        return MARGIN + at / end * (width - 2 * MARGIN), height - MARGIN - value * (height - 2 * MARGIN)

    for tick in range(TICKS + 1):
        share = tick / TICKS
        draw.line([place(0, share), place(end, share)], GRID_COLOR)
        draw.line([place(share * end, 0), place(share * end, 1)], GRID_COLOR)
        draw.text(place(0, share), f"{share:.1f} ", "black", FONT, anchor="rm")
        draw.text(place(share * end, 0), f"{share * end:.3g}", "black", FONT, anchor="mt")
    draw.text((width / 2, height - LINE_HEIGHT), x_label, "black", FONT, anchor="mm")
    draw.text((8, MARGIN / 2), y_label, "black", FONT, anchor="lm")
    for number, (name, values) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        points = [place(at, value) for at, value in zip(x, values, strict=True)]
        for start, stop in pairwise(points):
            draw.line([start, stop], color, width=2)
        for across, up in points:
            draw.ellipse([across - 3, up - 3, across + 3, up + 3], color)
        row = height + LINE_HEIGHT * number + LINE_HEIGHT / 2
        draw.line([(MARGIN, row), (MARGIN + 24, row)], color, width=3)
        draw.text((MARGIN + 32, row), name, "black", FONT, anchor="lm")
    return np.asarray(canvas)
