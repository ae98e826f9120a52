"""Decode the image files of a folder or archive into an array, in parallel threads."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from lightning_gans.datamodules.archives import FileTree
from lightning_gans.datamodules.hashing import hash_array
from lightning_gans.datamodules.image_files import open_image, unlimited_pixels
from lightning_gans.datamodules.opened_image import ImageInfo, ImageTarget
from lightning_gans.datamodules.resizing import Resize
from lightning_gans.datamodules.value_range import Extremes, Range, ValueRange, find_ranges

MIN_PROGRESS_IMAGES = 2000
"""Number of images above which decoding shows a progress bar on a terminal."""

_CHUNK = 1024
"""Files that are handed to the threads at a time."""

_Result = TypeVar("_Result")


@dataclass
class DecodedFiles:
    """Result of decoding files.

    Attributes:
        files: Names of the files; row i of the array is file i.
        infos: Description of each file by its index, for the files that were decoded.
        errors: Reason by the index of each file that cannot be decoded, whose row is undefined.
        hashes: (n,) uint64 hashes of the decoded pixels.
        ranges: Values that became black and white in images of more than 8 bits, by the type of the values.
    """

    files: Sequence[str]
    infos: dict[int, ImageInfo] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    ranges: dict[str, Range] = field(default_factory=dict)

    @property
    def good(self) -> npt.NDArray[np.int64]:
        """Return the indices of the files that were decoded, in order."""
        return np.array(sorted(self.infos), dtype=np.int64)


def decode_into(
    out: npt.NDArray[np.uint8],
    files: Sequence[str],
    tree: FileTree,
    *,
    resize: Resize = "cover",
    value_range: ValueRange = "auto",
) -> DecodedFiles:
    """Decode image files into an array, with a progress bar on a terminal for more than 2,000 images.

    With the value range "auto", images of more than 8 bits are decoded twice: first to find the range over all of them.

    Args:
        out: (n, channels, height, width) array, or a memory map, that receives the images.
        files: Names of the n files in `tree`.
        tree: Folder or archive.
        resize: Way to bring an image to the size, default "cover".
        value_range: Values that become black and white in images of more than 8 bits, default "auto".

    Returns:
        Descriptions, errors and hashes. Files that cannot be decoded raise no exception.

    Raises:
        ValueError: `out` does not have one row per file.
    """
    if len(out) != len(files):
        raise ValueError(f"`out` must have a row for each of the {len(files)} files, got {len(out)}")
    target = ImageTarget(out.shape[1], (out.shape[2], out.shape[3]), resize)
    decoded = DecodedFiles(files, hashes=np.zeros(len(files), dtype=np.uint64))

    def decode(index: int) -> ImageInfo | Extremes | str:
        try:
            with tree.open(files[index]) as stream:
                opened = open_image(stream, target, name=files[index])
                info, extremes, own_range = opened.info, opened.extremes, None
                if extremes is not None:
                    if value_range != "auto":
                        decoded.ranges[extremes.dtype] = value_range
                    own_range = decoded.ranges.get(extremes.dtype)
                    if own_range is None:
                        return extremes
                    if extremes.low < own_range[0] or extremes.high > own_range[1]:
                        info = replace(info, notes=(*info.notes, "values outside of `value_range` clipped"))
                out[index] = opened.finish(target, own_range)
        except Exception as error:  # decoders raise almost any exception for a damaged file
            return describe_error(error)
        decoded.hashes[index] = hash_array(out[index])
        return info

    with unlimited_pixels(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        results = dict(_in_threads(decode, range(len(files))))
        if waiting := {index: result for index, result in results.items() if isinstance(result, Extremes)}:
            decoded.ranges = find_ranges(waiting.values())
            results |= _in_threads(decode, list(waiting))
    decoded.infos = {index: result for index, result in results.items() if isinstance(result, ImageInfo)}
    decoded.errors = {index: result for index, result in results.items() if isinstance(result, str)}
    return decoded


def _in_threads(function: Callable[[int], _Result], indices: Sequence[int]) -> Iterator[tuple[int, _Result]]:
    """Call a function for each index in parallel threads, with progress; yield the index and the result."""
    console = Console(stderr=True)
    with ThreadPoolExecutor() as pool:
        chunks = (indices[start : start + _CHUNK] for start in range(0, len(indices), _CHUNK))
        yield from track(
            (pair for chunk in chunks for pair in zip(chunk, pool.map(function, chunk), strict=True)),
            description="decoding images",
            total=len(indices),
            console=console,
            transient=True,
            disable=len(indices) <= MIN_PROGRESS_IMAGES or not console.is_terminal,
        )


def describe_error(error: Exception) -> str:
    """Describe why a file cannot be read, in one line.

    Example:
        >>> describe_error(PermissionError(13, "Permission denied", "/private/x.png")), describe_error(MemoryError())
        ('Permission denied', 'MemoryError')
    """
    if isinstance(error, OSError | ValueError):
        text = str(getattr(error, "strerror", None) or error)
    else:
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
    return " ".join(text.split())
