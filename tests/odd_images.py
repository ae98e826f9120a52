"""A table of image files of odd kinds, all with the same four colors, for the tests of `ImageFolder`."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 48, 64
COLORS = np.array([[(220, 30, 30), (30, 200, 40)], [(30, 50, 210), (240, 240, 90)]], dtype=np.uint8)
"""Colors of the quadrants."""

LUMA = (COLORS @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)
WHITE_CORNER = COLORS.copy()
WHITE_CORNER[0, 0] = 255
"""Colors when the upper left quadrant is transparent."""


def enlarge(quadrants: np.ndarray) -> np.ndarray:
    """Make an image from its four quadrants."""
    return quadrants.repeat(HEIGHT // 2, axis=0).repeat(WIDTH // 2, axis=1)


RGB = Image.fromarray(enlarge(COLORS))
GRAY = Image.fromarray(enlarge(LUMA))
ALPHA = Image.fromarray(enlarge(np.array([[0, 255], [255, 255]], dtype=np.uint8)))


class OddFile(NamedTuple):
    """A file of an odd kind.

    Attributes:
        name: Its name.
        content: Its bytes.
        quadrants: Expected colors of the four quadrants.
        note: Text that the summary must have for it.
        tolerance: Largest difference from the expected colors; lossy kinds differ.
    """

    name: str
    content: bytes
    quadrants: np.ndarray = COLORS
    note: str = ""
    tolerance: int = 1


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Save an image in memory."""
    stream = io.BytesIO()
    image.copy().save(stream, kind, **options)  # Pillow leaves settings of the encoder in an image
    return stream.getvalue()


def two_frames() -> dict[str, Any]:
    """Return the options that append a black frame or page."""
    return {"append_images": [Image.new("RGB", RGB.size)], "save_all": True}


def npy(array: np.ndarray) -> bytes:
    """Save an array in memory."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def png16(array: np.ndarray, transparent: tuple[int, ...] = (), orientation: int = 1) -> bytes:
    """Write a PNG file of 16 bits per channel, which Pillow cannot write in color."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, channels = array.shape
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    chunks = [(b"IHDR", header)]
    if transparent:
        chunks.append((b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    chunks.append((b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in chunks)


def oriented(orientation: int, kind: str = "JPEG", **options: Any) -> bytes:
    """Store the image as a camera held in another way does, with the EXIF orientation that turns it upright."""
    inverse = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
    inverse |= {6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
    image = RGB.transpose(Image.Transpose[inverse[orientation]]) if orientation in inverse else RGB
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image, kind, exif=exif, **options)


def paletted() -> Image.Image:
    """Make a palette image whose entry 0 is the upper left quadrant."""
    image = Image.fromarray(enlarge(np.arange(4, dtype=np.uint8).reshape(2, 2)), "P")
    image.putpalette(COLORS.reshape(-1).tolist())
    return image


TWELVE_BITS = np.rint(enlarge(LUMA).astype(float) * (4095 / 255)).astype(np.uint16)
TWELVE_BITS_COLOR = np.rint(enlarge(COLORS).astype(float) * (4095 / 255)).astype(np.uint16)
GRAY_QUADRANTS = LUMA[..., None].repeat(3, axis=2)
GRAY_WHITE_CORNER = GRAY_QUADRANTS.copy()
GRAY_WHITE_CORNER[0, 0] = 255
RGBA = RGB.copy()
RGBA.putalpha(ALPHA)
LA = Image.merge("LA", (GRAY, ALPHA))
BITS = Image.fromarray(enlarge(np.array([[0, 255], [255, 0]], dtype=np.uint8))).convert("1")
BITS_QUADRANTS = np.array([[0, 255], [255, 0]], dtype=np.uint8)[..., None].repeat(3, axis=2)
# the profile is not that of sRGB; its content does not matter
PROFILE = b"\0" * 128 + b"Display P3"

GOOD = [
    OddFile("photo.jpg", saved(RGB, "JPEG", quality=95), tolerance=6),
    OddFile("UPPER.JPG", saved(RGB, "JPEG", quality=95), tolerance=6),
    OddFile("progressive.jfif", saved(RGB, "JPEG", quality=95, progressive=True), tolerance=6),
    OddFile("old.jpe", saved(GRAY, "JPEG", quality=95), GRAY_QUADRANTS, "L to RGB", tolerance=3),
    OddFile("print.jpeg", saved(RGB.convert("CMYK"), "JPEG", quality=95), note="CMYK to RGB", tolerance=8),
    OddFile("phone.jpg", saved(RGB, "MPO", quality=95, **two_frames()), note="first of several images", tolerance=6),
    OddFile("profile.jpg", saved(RGB, "JPEG", quality=95, icc_profile=PROFILE), note="color profile", tolerance=6),
    *(OddFile(f"exif{i}.jpg", oriented(i, quality=95), note="rotated", tolerance=6) for i in range(2, 9)),
    OddFile("exif6.png", oriented(6, "PNG"), note="rotated"),
    OddFile("exif8.tif", oriented(8, "TIFF"), note="rotated"),
    OddFile("plain.png", saved(RGB, "PNG")),
    OddFile("gray.png", saved(GRAY, "PNG"), GRAY_QUADRANTS, "L to RGB"),
    OddFile("bits.png", saved(BITS, "PNG"), BITS_QUADRANTS, "1 to RGB"),
    OddFile("palette.png", saved(paletted(), "PNG"), note="P to RGB"),
    OddFile("palette_alpha.png", saved(paletted(), "PNG", transparency=0), WHITE_CORNER, "composited over white"),
    OddFile("rgba.png", saved(RGBA, "PNG"), WHITE_CORNER, "composited over white"),
    OddFile("gray_alpha.png", saved(LA, "PNG"), GRAY_WHITE_CORNER, "composited over white"),
    OddFile("twelve_bits.png", png16(TWELVE_BITS[..., None]), GRAY_QUADRANTS, "uint16 scaled"),
    OddFile(
        "gray16_trns.png",
        png16(TWELVE_BITS[..., None], (int(TWELVE_BITS[0, 0]),)),
        GRAY_WHITE_CORNER,
        "composited over white",
    ),
    OddFile("color16.png", png16(TWELVE_BITS_COLOR), note="uint16 scaled"),
    OddFile("color16_exif6.png", png16(np.rot90(TWELVE_BITS_COLOR), orientation=6), note="rotated"),
    OddFile(
        "color16_trns.png",
        png16(TWELVE_BITS_COLOR, tuple(TWELVE_BITS_COLOR[0, 0].tolist())),
        WHITE_CORNER,
        "composited over white",
    ),
    OddFile("animated.png", saved(RGB, "PNG", **two_frames()), note="first frame"),
    OddFile("animated.apng", saved(RGB, "PNG", **two_frames()), note="first frame"),
    OddFile("photo.webp", saved(RGB, "WEBP", quality=95), tolerance=12),
    OddFile("animated.webp", saved(RGB, "WEBP", lossless=True, **two_frames()), note="first frame"),
    OddFile("plain.bmp", saved(RGB, "BMP")),
    OddFile("plain.tiff", saved(RGB, "TIFF")),
    OddFile("pages.tif", saved(RGB, "TIFF", **two_frames()), note="first of several pages"),
    OddFile("video.tif", saved(RGB.convert("YCbCr"), "TIFF"), note="YCbCr to RGB", tolerance=3),
    OddFile("print.tif", saved(RGB.convert("CMYK"), "TIFF"), note="CMYK to RGB"),
    OddFile("little_endian.tif", saved(Image.fromarray(TWELVE_BITS), "TIFF"), GRAY_QUADRANTS, "uint16 scaled"),
    OddFile(
        "integers.tif", saved(Image.fromarray(TWELVE_BITS.astype(np.int32)), "TIFF"), GRAY_QUADRANTS, "int32 scaled"
    ),
    OddFile(
        "floats.tif", saved(Image.fromarray(enlarge(LUMA / np.float32(255))), "TIFF"), GRAY_QUADRANTS, "float32 scaled"
    ),
    OddFile("animated.gif", saved(paletted(), "GIF", **two_frames()), note="first frame"),
    OddFile("transparent.gif", saved(paletted(), "GIF", transparency=0), WHITE_CORNER, "composited over white"),
    OddFile("color.npy", npy(enlarge(COLORS))),
    OddFile("floats.npy", npy(enlarge(COLORS) / 255), note="float64 scaled"),
    OddFile("mask.npy", npy(np.asarray(BITS)), BITS_QUADRANTS),
    OddFile("jpeg.png", saved(RGB, "JPEG", quality=95), note="JPEG content in a file named .png", tolerance=6),
]
"""Files that are read; the expected range of their 16-bit values is 12 bits."""

TRUNCATED = saved(Image.effect_noise((64, 64), 80), "JPEG")
BAD = {
    "truncated.jpg": (TRUNCATED[: len(TRUNCATED) // 2], "truncated"),
    "truncated.png": (saved(Image.effect_noise((64, 64), 80), "PNG")[:2000], "truncated"),
    "text.png": (b"not an image", "not an image"),
    "empty.png": (b"", "empty"),
    "five_channels.npy": (npy(np.zeros((8, 8, 5), np.uint8)), "5 channels, but `channels` is 3"),
    "channels_first.npy": (npy(np.zeros((3, 8, 8), np.uint8)), r"\(channels, height, width\)"),
    "nan.npy": (npy(np.full((8, 8), np.nan)), "NaN"),
    "objects.npy": (npy(np.array([[{}]])), "pickle"),
    "script.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not an image"),
}
"""Content of files that are not read, and the reason."""

IGNORED = ("Thumbs.db", "._photo.jpg", ".DS_Store", "readme.txt")


def write_odd_folder(root: Path, avif: Callable[[], bool]) -> None:
    """Write all files of the table, and what else a folder may have."""
    for file in GOOD:
        (root / file.name).write_bytes(file.content)
    if avif():
        (root / "photo.avif").write_bytes(saved(RGB, "AVIF", quality=95))
    for name, (content, _) in BAD.items():
        (root / name).write_bytes(content)
    for name in IGNORED:
        (root / name).write_bytes(b"whatever")
    (root / "broken.png").symlink_to(root / "nowhere.png")
    (root / "folder.png").mkdir()
    os.mkfifo(root / "pipe.png")
