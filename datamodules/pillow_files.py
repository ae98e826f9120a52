"""Decode an image with Pillow: its first frame, upright, opaque, in gray or in color."""

from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from lightning_gans.datamodules.array_files import ORIENTATION, is_wide_png, read_wide_png, rotate_upright
from lightning_gans.datamodules.opened_image import ImageInfo, ImageTarget, OpenedImage

LARGE_PIXELS = 2 * 89_478_485
"""Number of pixels above which Pillow refuses an image by default."""

DEEP_MODES = frozenset({"F", "I", "I;16", "I;16B", "I;16L", "I;16N"})
"""Modes of Pillow that have one channel of more than 8 bits."""

COMPOSITED = "transparent pixels composited over white"


def open_with_pillow(image: Image.Image, stream: BinaryIO, target: ImageTarget) -> OpenedImage:
    """Decode an image whose header Pillow has read.

    Args:
        image: The image.
        stream: Seekable stream of the file.
        target: Form of the result. It determines if transparency is kept, and how many pixels of a very large JPEG file
            are decoded.

    Raises:
        OSError: The file is damaged.
    """
    kind, size, mode = str(image.format), (image.height, image.width), image.mode
    notes = _frame_notes(image) + _color_notes(image)
    wide = is_wide_png(image)
    orientation = _orientation(image)  # which decodes a PNG file, so that its raw mode is unknown afterwards
    if orientation is None:
        notes.append("damaged EXIF data ignored")
    elif orientation != 1:
        notes.append("rotated by its EXIF orientation")
    pixels: Image.Image | npt.NDArray[Any]
    alpha = None
    if wide:
        pixels, alpha = _wide_values(image, stream, target.channels)
        pixels = rotate_upright(pixels, orientation or 1)
        alpha = None if alpha is None else rotate_upright(alpha, orientation or 1)
        mode = f"{mode};16"
    else:
        notes += _draft(image, target)
        upright = image if orientation is None else ImageOps.exif_transpose(image)
        upright.load()
        if mode in DEEP_MODES:
            pixels, alpha = _deep_values(upright)
        else:
            pixels, more_notes = _eight_bits(upright, target.channels)
            notes += more_notes
    if alpha is not None and alpha.min() < 1:
        notes.append(COMPOSITED)
    return OpenedImage(pixels, ImageInfo(kind, size, mode, tuple(notes)), alpha)


def _frame_notes(image: Image.Image) -> list[str]:
    if not getattr(image, "is_animated", False):
        return []
    return [{"TIFF": "first of several pages", "MPO": "first of several images"}.get(str(image.format), "first frame")]


def _color_notes(image: Image.Image) -> list[str]:
    notes = []
    profile = image.info.get("icc_profile") or b""
    if profile and b"sRGB" not in profile and "sRGB".encode("utf-16-be") not in profile:
        notes.append("color profile not applied")
    if any(tile.args == "LA;16B" for tile in getattr(image, "tile", [])):
        notes.append("gray with alpha of 16 bits: lower 8 bits dropped by Pillow")
    return notes


def _orientation(image: Image.Image) -> int | None:
    """Return the EXIF orientation, 1 if there is none, or None if the EXIF data are damaged."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow raises almost any exception for damaged data
        return None
    return orientation if orientation in range(1, 9) else 1


def _draft(image: Image.Image, target: ImageTarget) -> list[str]:
    """Let a very large JPEG file be decoded at 1/2, 1/4 or 1/8 of its size, at least twice the target's."""
    before = image.size
    if before[0] * before[1] > LARGE_PIXELS and target.resize in ("cover", "fit"):
        image.draft(None, (2 * max(target.size), 2 * max(target.size)))
    return [] if image.size == before else [f"very large, decoded at 1/{round(before[0] / image.width)} of its size"]


def _wide_values(
    image: Image.Image, stream: BinaryIO, channels: int
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64] | None]:
    values = read_wide_png(stream)
    if values.shape[2] == 4 and channels != 4:
        return values[..., :3], values[..., 3] / 65535
    transparent = image.info.get("transparency")
    return values, None if transparent is None else 1.0 - (values == transparent).all(axis=2)


def _deep_values(image: Image.Image) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64] | None]:
    values = np.asarray(image)
    transparent = image.info.get("transparency")
    return values[..., None], None if transparent is None else 1.0 - (values == transparent)


def _eight_bits(image: Image.Image, channels: int) -> tuple[Image.Image | npt.NDArray[np.uint8], list[str]]:
    """Convert an image of 8 bits per channel to mode L or RGB, or to an array with its alpha channel."""
    mode = image.mode
    notes: list[str] = []
    if image.has_transparency_data:
        if channels not in (1, 3):  # the alpha channel is one of them
            kept = image.convert("LA" if channels == 2 and mode in ("L", "LA") else "RGBA")
            return np.asarray(kept), notes
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            notes.append(COMPOSITED)
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    gray = mode in ("1", "L", "LA", "La")
    image = image.convert("L" if gray else "RGB")
    needed = "L" if channels == 1 else "RGB"
    if mode != needed:
        notes.append(f"{mode} to {needed}")
    return image, notes
