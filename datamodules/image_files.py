"""Decode one image file of any usual kind; the kind is found from the content of the file."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, UnidentifiedImageError

from lightning_gans.datamodules.array_files import needs_tifffile, read_npy, read_tiff
from lightning_gans.datamodules.opened_image import ImageInfo, ImageTarget, OpenedImage
from lightning_gans.datamodules.pillow_files import LARGE_PIXELS, open_with_pillow
from lightning_gans.datamodules.resizing import Resize
from lightning_gans.datamodules.value_range import Range, find_ranges

SUFFIXES = {
    "AVIF": (".avif",),
    "BMP": (".bmp",),
    "DIB": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "npy": (".npy",),
}
"""File suffixes of each kind, in lower case. MPO is JPEG with several images."""

IMAGE_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
"""File suffixes of images, in lower case; the case of a file name is ignored."""

PILLOW_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Formats that Pillow decodes here, if it is built with them. Others, such as EPS, would start other programs."""

_MAGIC_NPY = b"\x93NUMPY"
_MAGIC_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_image(
    file: str | PurePosixPath,
    image_shape: tuple[int, ...],
    *,
    resize: Resize = "cover",
    value_range: Range | None = None,
) -> npt.NDArray[np.uint8]:
    """Decode one image file in the steps that `ImageFolder` documents.

    Args:
        file: Path of the image.
        image_shape: (channels, height, width) of the result.
        resize: Way to bring the image to the size, default "cover".
        value_range: Values that become black and white in an image of more than 8 bits. None (default) finds them from
            this image alone.

    Returns:
        (channels, height, width) uint8.

    Raises:
        OSError: The file cannot be read, or is damaged.
        ValueError: The content is not an image, or does not fit the shape.
    """
    channels, height, width = image_shape
    target = ImageTarget(channels, (height, width), resize)
    with unlimited_pixels(), open(file, "rb") as stream:
        opened = open_image(stream, target, name=str(file))
        extremes = opened.extremes
        if extremes is not None and value_range is None:
            value_range = find_ranges([extremes])[extremes.dtype]
        return opened.finish(target, value_range)


def open_image(stream: BinaryIO, target: ImageTarget, *, name: str) -> OpenedImage:
    """Decode a file and rotate the image by its EXIF orientation.

    Args:
        stream: Seekable stream of the file.
        target: Form of the result.
        name: Name of the file, whose suffix is compared with the content.

    Raises:
        OSError: The file is damaged.
        ValueError: The content is not an image.
    """
    opened = _open_by_content(stream, target)
    info = opened.info
    notes = [*info.notes, *_scale_notes(opened, target)]
    suffix = PurePosixPath(name).suffix
    if suffix and suffix.lower() not in SUFFIXES[info.kind]:
        notes.append(f"{info.kind} content in a file named {suffix.lower()}")
    return opened._replace(info=ImageInfo(info.kind, info.size, info.mode, tuple(notes)))


def _open_by_content(stream: BinaryIO, target: ImageTarget) -> OpenedImage:
    head = stream.read(8)
    stream.seek(0)
    if not head:
        raise ValueError("the file is empty")
    if head.startswith(_MAGIC_NPY):
        return _opened_array(read_npy(stream, target.channels), "npy")
    try:
        image = Image.open(stream, formats=_available_formats())
    except UnidentifiedImageError:
        if head.startswith(_MAGIC_TIFF):
            return _opened_tiff(stream)
        raise ValueError("its content is not an image of a kind that is known here, or is damaged") from None
    if image.format == "TIFF" and needs_tifffile(image):
        return _opened_tiff(stream)
    with _LARGE_LOCK if image.width * image.height > LARGE_PIXELS else nullcontext():  # one at a time, to save memory
        return open_with_pillow(image, stream, target)


_LARGE_LOCK = threading.Lock()


@functools.cache
def _available_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in PILLOW_FORMATS if name in Image.OPEN)


def decoder_versions() -> dict[str, Any]:
    """Return the versions of the libraries that decode images, and the formats that Pillow reads, as plain values."""
    try:
        tifffile = version("tifffile")
    except PackageNotFoundError:
        tifffile = ""
    return {"pillow": PIL.__version__, "formats": _available_formats(), "tifffile": tifffile}


def _opened_tiff(stream: BinaryIO) -> OpenedImage:
    array, pages = read_tiff(stream)
    return _opened_array(array, "TIFF", *(["first of several pages"] if pages > 1 else []))


def _opened_array(array: npt.NDArray[np.generic], kind: str, *notes: str) -> OpenedImage:
    height, width, channels = array.shape
    mode = f"{array.dtype.newbyteorder('=').name} x {channels}"
    return OpenedImage(array, ImageInfo(kind, (height, width), mode, notes))


def _scale_notes(opened: OpenedImage, target: ImageTarget) -> Iterator[str]:
    pixels = opened.pixels
    if isinstance(pixels, np.ndarray):
        size = pixels.shape[:2]
        if pixels.dtype != np.uint8:
            yield f"{pixels.dtype.newbyteorder('=').name} scaled to 8 bits"
    else:
        size = (pixels.height, pixels.width)
    scales = [wanted / found for wanted, found in zip(target.size, size, strict=True)]
    if {"cover": max(scales), "fit": min(scales)}.get(target.resize, 0) > 1:
        yield "enlarged"


@contextmanager
def unlimited_pixels() -> Iterator[None]:
    """Let Pillow open images of any size in the `with` block; several threads may be in such blocks at a time."""
    with _LIMIT.lock:
        if _LIMIT.users == 0:
            _LIMIT.original = Image.MAX_IMAGE_PIXELS
            Image.MAX_IMAGE_PIXELS = None
        _LIMIT.users += 1
    try:
        yield
    finally:
        with _LIMIT.lock:
            _LIMIT.users -= 1
            if _LIMIT.users == 0:
                Image.MAX_IMAGE_PIXELS = _LIMIT.original


class _PixelLimit:
    """State of Pillow's limit, which is a global variable."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.original: int | None = None


_LIMIT = _PixelLimit()
