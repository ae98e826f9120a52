"""Decode the image files of a folder or archive, in parallel threads or one by one."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lightning_gans.datamodules.archives import FileTree
from lightning_gans.datamodules.bad_files import describe_error
from lightning_gans.datamodules.decoded_files import DecodedFiles
from lightning_gans.datamodules.decoding import map_in_threads
from lightning_gans.datamodules.hashing import hash_array
from lightning_gans.datamodules.image_files import open_image, unlimited_pixels
from lightning_gans.datamodules.opened_image import ImageInfo, ImageTarget
from lightning_gans.datamodules.resizing import Resize
from lightning_gans.datamodules.value_range import Extremes, Range, ValueRange, find_ranges


class Rows(Protocol):
    """Receiver of decoded images, such as an array or a memory map."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, channels, height, width)."""
        ...

    def __setitem__(self, index: int, image: Any, /) -> None: ...


class NoRows(NamedTuple):
    """Receiver that keeps no images.

    Attributes:
        shape: (n, channels, height, width).
    """

    shape: tuple[int, ...]

    def __setitem__(self, index: int, image: Any) -> None:
        """Drop an image."""


def decode_into(
    out: Rows,
    files: Sequence[str],
    tree: FileTree,
    *,
    resize: Resize = "cover",
    value_range: ValueRange = "auto",
) -> DecodedFiles:
    """Decode image files in parallel threads, with a progress bar on a terminal for more than 2,000 images.

    With the value range "auto", images of more than 8 bits are decoded twice: first to find the range over all of them.

    Args:
        out: (n, channels, height, width) array, memory map or `NoRows` that receives the images.
        files: Names of the n files in `tree`.
        tree: Folder or archive.
        resize: Way to bring an image to the size, default "cover".
        value_range: Values that become black and white in images of more than 8 bits, default "auto".

    Returns:
        Descriptions, errors and hashes. Files that cannot be decoded raise no exception.

    Raises:
        ValueError: `out` does not have one row per file.
    """
    if out.shape[0] != len(files):
        raise ValueError(f"`out` must have a row for each of the {len(files)} files, got {out.shape[0]}")
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
                image = opened.finish(target, own_range)
        except Exception as error:  # decoders raise almost any exception for a damaged file
            return describe_error(error)
        out[index] = image
        decoded.hashes[index] = hash_array(image)
        return info

    with _quiet_pillow():
        results = dict(enumerate(map_in_threads(decode, range(len(files)), "decoding images")))
        if waiting := {index: result for index, result in results.items() if isinstance(result, Extremes)}:
            decoded.ranges = find_ranges(waiting.values())
            again = map_in_threads(decode, list(waiting), "decoding images of more than 8 bits")
            results |= zip(waiting, again, strict=True)
    decoded.infos = {index: result for index, result in results.items() if isinstance(result, ImageInfo)}
    decoded.errors = {index: result for index, result in results.items() if isinstance(result, str)}
    return decoded


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Let Pillow open images of any size, without warnings, in the `with` block."""
    with unlimited_pixels(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


@dataclass(frozen=True)
class ImageFiles:
    """Image files as a map-style data set, whose images are decoded when they are read.

    Attributes:
        files: Names of the files in `tree`.
        tree: Folder or archive.
        target: Form of the images.
        ranges: Values that become black and white in images of more than 8 bits, by the type of the values.
    """

    files: Sequence[str]
    tree: FileTree
    target: ImageTarget
    ranges: Mapping[str, Range]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, npt.NDArray[np.uint8]]:
        with _quiet_pillow(), self.tree.open(self.files[index]) as stream:
            opened = open_image(stream, self.target, name=self.files[index])
            extremes = opened.extremes
            image = opened.finish(self.target, None if extremes is None else self.ranges[extremes.dtype])
            return {"image": image.copy()}  # writable, as torch requires
