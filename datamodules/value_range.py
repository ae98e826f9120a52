"""Scale integers and floating-point numbers of more than 8 bits to 8 bits."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Range = tuple[float, float]
"""The values that become black and white."""

ValueRange = Literal["auto"] | Range
"""A range, or "auto" to find it from the data."""

BIT_DEPTHS = (8, 10, 12, 14, 16)
"""Bit depths of cameras and scanners, one of which integers from 0 are assumed to have."""

FLOAT_RANGES: tuple[Range, ...] = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
"""Usual ranges of floating-point images, in the order in which they are considered."""


def checked_range(value_range: ValueRange) -> ValueRange:
    """Return a range as a pair of floating-point numbers, or "auto".

    Args:
        value_range: A range, possibly as a list, or "auto".

    Raises:
        ValueError: It is neither.
    """
    if value_range == "auto":
        return value_range
    if isinstance(value_range, str) or len(value_range) != 2 or not value_range[0] < value_range[1]:
        raise ValueError(f"`value_range` must be auto or [low, high] with low < high, got {value_range!r}")
    return float(value_range[0]), float(value_range[1])


class Extremes(NamedTuple):
    """The smallest and the largest value of an image.

    Attributes:
        dtype: Name of the type of its values, such as "uint16"; "float" for all floating-point types.
        low: Smallest value.
        high: Largest value.
    """

    dtype: str
    low: float
    high: float


def find_extremes(values: npt.NDArray[np.generic]) -> Extremes:
    """Find the smallest and the largest value of an image.

    Args:
        values: Integers or floating-point numbers, at least one.

    Raises:
        ValueError: A value is NaN or infinite.
    """
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("it has NaN or infinite values")
    return Extremes("float" if values.dtype.kind == "f" else values.dtype.newbyteorder("=").name, low, high)


def find_ranges(extremes: Iterable[Extremes]) -> dict[str, Range]:
    """Find the range of each type of values over all images.

    Integers from 0 have the range of the smallest usual bit depth (8, 10, 12, 14 or 16) that holds them all. Floating-
    point numbers have the first usual range ([0, 1], [-1, 1] or [0, 255]) that holds them all. Other values range from
    the smallest to the largest.

    Args:
        extremes: Extremes of each image.

    Returns:
        Ranges by the name of the type.

    Example:
        >>> find_ranges([Extremes("uint16", 3, 4000), Extremes("uint16", 10, 900), Extremes("float", -0.5, 1)])
        {'uint16': (0.0, 4095.0), 'float': (-1.0, 1.0)}
    """
    bounds: dict[str, Range] = {}
    for dtype, low, high in extremes:
        lowest, highest = bounds.get(dtype, (low, high))
        bounds[dtype] = min(low, lowest), max(high, highest)
    return {dtype: _usual_range(dtype, *bound) for dtype, bound in bounds.items()}


def _usual_range(dtype: str, low: float, high: float) -> Range:
    usual = FLOAT_RANGES if dtype == "float" else tuple((0.0, 2.0**bits - 1) for bits in BIT_DEPTHS)
    return next(((a, b) for a, b in usual if a <= low and high <= b), (low, high))


def to_eight_bits(values: npt.NDArray[np.generic], value_range: Range) -> npt.NDArray[np.uint8]:
    """Scale values linearly to 0 to 255 and round them; values outside of the range are clipped.

    Args:
        values: Integers or floating-point numbers.
        value_range: The values that become 0 and 255; if they are equal, every value becomes 0.

    Example:
        >>> to_eight_bits(np.array([-7, 0, 4095]), (0, 4095))
        array([  0,   0, 255], dtype=uint8)
    """
    low, high = value_range
    scaled = (values.astype(np.float64) - low) * (255 / (high - low) if high > low else 0.0)
    return scaled.round().clip(0, 255).astype(np.uint8)


def describe_ranges(ranges: dict[str, Range]) -> str:
    """Describe ranges in one line.

    Example:
        >>> describe_ranges({"uint16": (0.0, 4095.0), "float": (0.0, 1.0)})
        'uint16 [0, 4095] (12 bits), float [0, 1]'
    """
    bits = {(0.0, 2.0**bits - 1): f" ({bits} bits)" for bits in BIT_DEPTHS}
    return ", ".join(
        f"{dtype} [{low:.6g}, {high:.6g}]{bits.get((low, high), '') if dtype != 'float' else ''}"
        for dtype, (low, high) in ranges.items()
    )
