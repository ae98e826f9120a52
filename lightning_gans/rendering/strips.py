"""Image grids of any number of images, rendered and written in horizontal strips, so that memory does not grow."""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from lightning_gans.rendering.images import PADDING, RGBImage, grid, tile_scale


def grid_size(size: Sequence[int], count: int, columns: int) -> tuple[int, int]:
    """Compute the width and the height of a grid in pixels.

    Args:
        size: Height and width of an image.
        count: Number of images.
        columns: Number of images per row.

    Example:
        >>> grid_size((8, 8), 6, columns=3)
        (200, 134)
    """
    height, width = (tile_scale(size) * side for side in size)
    if count == 1:
        return width, height
    columns = min(columns, count)
    rows = -(-count // columns)
    return columns * (width + PADDING) + PADDING, rows * (height + PADDING) + PADDING


def grid_strips(batches: Iterable[Tensor], count: int, columns: int) -> Iterator[RGBImage]:
    """Yield the strips of `grid`, one for each row of images.

    Args:
        batches: Batches (n, c, h, w) of images in [-1, 1].
        count: Number of images in all batches.
        columns: Number of images per row.

    Example:
        >>> batches = torch.rand(6, 1, 64, 64).split(2)
        >>> [strip.shape for strip in grid_strips(batches, 6, columns=4)]
        [(66, 266, 3), (66, 266, 3), (2, 266, 3)]
    """
    if count == 1:  # a single image has no lines around it
        yield from (grid(batch, 1) for batch in batches)
        return
    width = 0
    for row in _rows(batches, min(columns, count)):
        strip = grid(row, len(row))
        if len(row) == 1:
            strip = np.pad(strip, ((PADDING, PADDING), (PADDING, PADDING), (0, 0)))
        width = strip.shape[1]
        yield strip[:-PADDING]
    yield np.zeros((PADDING, width, 3), np.uint8)


def _rows(batches: Iterable[Tensor], columns: int) -> Iterator[Tensor]:
    """Rearrange batches of images to rows of equal length; the last row is filled with black images."""
    waiting: list[Tensor] = []
    for batch in batches:
        waiting += torch.split(batch, 1)
        while len(waiting) >= columns:
            yield torch.cat(waiting[:columns])
            del waiting[:columns]
    if waiting:
        black = torch.full_like(waiting[0], -1.0)
        yield torch.cat([*waiting, *[black] * (columns - len(waiting))])


def write_png(file: BinaryIO, width: int, height: int, strips: Iterable[RGBImage]) -> None:
    """Write an RGB image in the PNG format, strip by strip.

    Args:
        file: Binary file to write to.
        width: Width of the image.
        height: Height of the image.
        strips: (rows, width, 3) uint8 each, `height` rows in total.

    Source: W3C, Portable Network Graphics Specification, third edition.
    """

    def write_chunk(kind: bytes, data: bytes) -> None:
        file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))

    file.write(b"\x89PNG\r\n\x1a\n")
    write_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))  # 8 bits per channel, RGB
    compressor = zlib.compressobj()
    for strip in strips:
        lines = strip.reshape(len(strip), -1)
        filtered = np.pad(lines, ((0, 0), (1, 0)))  # each line begins with its filter type, 0: none
        write_chunk(b"IDAT", compressor.compress(filtered.tobytes()))
    write_chunk(b"IDAT", compressor.flush())
    write_chunk(b"IEND", b"")
