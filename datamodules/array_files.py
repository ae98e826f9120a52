"""Read images that Pillow cannot hold: `.npy` files, TIFF of many or deep channels, PNG of 16-bit color channels."""

from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]

ORIENTATION = 274
"""Tag of the orientation in TIFF and EXIF; 1 is upright."""

_BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL = 258, 277


def read_npy(stream: BinaryIO, channels: int) -> Array:
    """Read a `.npy` file.

    Args:
        stream: Seekable stream of the file.
        channels: Wanted number of channels.

    Returns:
        (h, w, c) uint8 for 8-bit and Boolean arrays, otherwise integers or floating-point numbers.

    Raises:
        ValueError: The array is not an image.
    """
    array = np.lib.format.read_array(stream, allow_pickle=False)
    if array.ndim not in (2, 3) or array.size == 0:
        raise ValueError(f"its array must be (height, width) or (height, width, channels), got shape {array.shape}")
    usual = {1, 3, channels}
    if array.ndim == 3 and array.shape[0] in usual and array.shape[2] not in usual:
        raise ValueError(
            f"its shape {array.shape} looks like (channels, height, width): save (height, width, channels)"
        )
    if array.dtype.kind not in "buif":
        raise ValueError(f"its array must have integers or floating-point numbers, got {array.dtype}")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    return array.reshape(*array.shape[:2], -1)


def needs_tifffile(image: Image.Image) -> bool:
    """Return whether Pillow would drop channels or bits of an opened TIFF file."""
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    samples = int(tags.get(_SAMPLES_PER_PIXEL, 1))
    bits = tags.get(_BITS_PER_SAMPLE, (1,))
    return samples > len(image.getbands()) or (samples > 1 and max(bits) > 8)


def read_tiff(stream: BinaryIO) -> tuple[Array, int]:
    """Read the first page of a TIFF file of any number of channels and bits, with the library tifffile.

    Args:
        stream: Seekable stream of the file.

    Returns:
        (h, w, c) array, upright, and the number of pages.

    Raises:
        ValueError: tifffile is not installed, or the page is not an image.
    """
    try:
        import tifffile  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ValueError("its channels or bits need tifffile: pip install 'lightning-gans[tiff]'") from error
    stream.seek(0)
    with tifffile.TiffFile(stream) as file:
        page = file.pages.first
        array, axes = page.asarray(), page.axes
        if axes == "SYX":
            array = np.moveaxis(array, 0, -1)
        elif axes not in ("YX", "YXS"):
            raise ValueError(f"its first page must be an image, got axes {axes} of shape {array.shape}")
        orientation = page.tags.get(ORIENTATION)
        upright = rotate_upright(array, 1 if orientation is None else int(orientation.value))
        return upright.reshape(*upright.shape[:2], -1), len(file.pages)


def rotate_upright(array: Array, orientation: int) -> Array:
    """Undo an orientation of EXIF.

    Args:
        array: (h, w, ...) as stored.
        orientation: 1 to 8; any other number counts as 1.

    Example:
        >>> rotate_upright(np.array([[1, 2], [3, 4]]), 6).tolist()
        [[3, 1], [4, 2]]
    """
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


def is_wide_png(image: Image.Image) -> bool:
    """Return whether Pillow would keep only the high byte of the 16-bit color channels of an opened PNG file."""
    return image.format == "PNG" and _raw_mode(image) in ("RGB;16B", "RGBA;16B")


def read_wide_png(stream: BinaryIO) -> Array:
    """Read a PNG file with 16-bit color channels.

    Pillow has no such mode. Its raw mode "16B" decodes the high bytes of the channels, and "16L", which is meant for
    the other byte order, decodes the low bytes.

    Args:
        stream: Seekable stream of the file.

    Returns:
        (h, w, 3) or (h, w, 4) uint16.
    """
    high_and_low = []
    for byte_order in ("16B", "16L"):
        stream.seek(0)
        image = Image.open(stream, formats=("PNG",))
        image.tile = [tile._replace(args=f"{image.mode};{byte_order}") for tile in image.tile]
        high_and_low.append(np.asarray(image).astype(np.uint16))
    high, low = high_and_low
    return high << 8 | low


def _raw_mode(image: Image.Image) -> Any:
    tiles = getattr(image, "tile", [])
    return tiles[0].args if tiles else None
