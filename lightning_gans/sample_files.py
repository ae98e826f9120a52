"""Files of samples. Each is written batch by batch, so that memory does not grow with the number of samples."""

import json
import os
import re
import shutil
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from lightning_gans.audio import LogMel, write_wav
from lightning_gans.errors import UsageError
from lightning_gans.files import strict_atomic_write
from lightning_gans.rendering.images import to_rgb, to_uint8
from lightning_gans.rendering.points import draw_points, scatter
from lightning_gans.rendering.strips import grid_size, grid_strips, write_png
from lightning_gans.types import Batch, ImageShape

MAX_PIXELS = 89_478_485
"""Maximum size of an image grid; Pillow warns of larger images when it opens them."""

RECORD = "lightning-gans"
"""Key of the text in each PNG file of a folder, with the settings that the sample depends on."""

_SAMPLE = re.compile(r"(\d{6,})\.png")


class SampleFile(ABC):
    """A file or a folder that samples are written to.

    Args:
        path: Path of the file or the folder.
        count: Number of samples.

    Attributes:
        start: Number of samples that the path already holds; the others are to be written.
    """

    start: int = 0

    def __init__(self, path: Path, count: int) -> None:
        self.path = path
        self.count = count

    @abstractmethod
    def write(self, batches: Iterable[Batch]) -> None:
        """Write samples.

        Args:
            batches: The samples from the index `start` on.

        Raises:
            OSError: A file cannot be written.
        """


class GridFile(SampleFile):
    """Write an image grid as PNG.

    Args:
        path: Path of the file.
        count: Number of samples.
        image_shape: (channels, height, width) of a sample.
        columns: Number of samples per row.

    Raises:
        UsageError: The grid would be too large to be opened.
    """

    def __init__(self, path: Path, count: int, image_shape: ImageShape, columns: int) -> None:
        super().__init__(path, count)
        self.columns = columns
        self.width, self.height = grid_size(image_shape[1:], count, columns)
        if self.width * self.height > MAX_PIXELS:
            raise UsageError(
                f"`--count` {count} makes a grid of {self.width:,} x {self.height:,} pixels, too large to be opened:"
                " write more samples to a folder or an array, `--output samples/` or `--output samples.npz`"
            )

    def write(self, batches: Iterable[Batch]) -> None:
        """Write the grid row by row."""
        strips = grid_strips((batch["image"] for batch in batches), self.count, self.columns)
        with strict_atomic_write(self.path) as part, part.open("wb") as file:
            write_png(file, self.width, self.height, strips)


class ScatterFile(SampleFile):
    """Write a scatter plot of points in the plane as PNG."""

    def write(self, batches: Iterable[Batch]) -> None:
        """Draw the points batch by batch."""
        plot = scatter(torch.empty(0, 2))
        for batch in batches:
            draw_points(plot, batch["image"])
        with strict_atomic_write(self.path) as part:
            Image.fromarray(plot).save(part, format="PNG")


class ArrayFile(SampleFile):
    """Write NumPy arrays as an uncompressed `.npz` file.

    - `image` has the shape (n, height, width, channels) and the type uint8. Points have the shape (n, dimensions) and
      the type float32.
    - `label` (n,) int64, if the samples have labels.
    - `arr_0` and `arr_1` repeat them under the names that evaluation tools read.
    """

    def write(self, batches: Iterable[Batch]) -> None:
        """Write the samples, then the labels, and then copy both."""
        labels: list[Tensor] = []
        with strict_atomic_write(self.path) as part:
            with zipfile.ZipFile(part, "w") as archive:
                self._write_images(archive, batches, labels)
                if labels:
                    label = torch.cat(labels).numpy()
                    with _array(archive, "label", label.dtype, label.shape) as file:
                        file.write(label.tobytes())
            with zipfile.ZipFile(part) as source, zipfile.ZipFile(part, "a") as archive:
                for number, name in enumerate(source.namelist()):
                    with source.open(name) as array, archive.open(f"arr_{number}.npy", "w", force_zip64=True) as copy:
                        shutil.copyfileobj(array, copy)

    def _write_images(self, archive: zipfile.ZipFile, batches: Iterable[Batch], labels: list[Tensor]) -> None:
        """Write the array `image`, and collect the labels."""
        batches = iter(batches)
        first = next(batches)
        array = _to_array(first["image"])
        with _array(archive, "image", array.dtype, (self.count, *array.shape[1:])) as file:
            for batch in chain([first], batches):
                file.write(_to_array(batch["image"]).tobytes())
                if "label" in batch:
                    labels.append(batch["label"].cpu())


class FolderFile(SampleFile):
    """Write each sample as a PNG file `000000.png`, and continue a folder that was not completed.

    Each file holds the settings that the sample depends on as text, so that a folder never mixes two kinds of samples.

    Args:
        path: Path of the folder.
        count: Number of samples.
        settings: Settings of the samples by the name of their option, as plain data.
        log_mel: Transform by which the spectrogram of each sample is written as sound, `000000.wav`; default None for
            samples without sound.

    Raises:
        UsageError: The folder has images that are not samples with these settings, or more than `count` of them.
    """

    def __init__(self, path: Path, count: int, settings: Mapping[str, Any], log_mel: LogMel | None = None) -> None:
        super().__init__(path, count)
        self.settings = dict(settings)
        self.log_mel = log_mel
        if path.exists() and not path.is_dir():
            raise UsageError(f"`--output` {str(path)!r} is a file, not a folder")
        if path.is_dir() and (numbers := self._numbers()):
            self._check(min(numbers), max(numbers))
        while self.start < count and self._file(self.start).is_file():
            self.start += 1

    def _numbers(self) -> set[int]:
        """Return the smallest and the largest number of a sample in the folder."""
        ends: set[int] = set()
        with os.scandir(self.path) as files:
            for file in files:
                if found := _SAMPLE.fullmatch(file.name):
                    numbers = {*ends, int(found[1])}
                    ends = {min(numbers), max(numbers)}
                elif file.name.lower().endswith(".png"):
                    raise self._refusal(f"other images, such as {file.name}")
        return ends

    def _check(self, first: int, last: int) -> None:
        """Check the first and the last sample of the folder."""
        for number in (first, last):
            if differing := _differing(self._file(number), self.settings):
                raise self._refusal(differing)
        if last >= self.count:
            raise self._refusal(f"more samples than `--count` {self.count}, such as {self._file(last).name}")

    def _refusal(self, reason: str) -> UsageError:
        return UsageError(f"`--output` {str(self.path)!r} has {reason}: choose a new folder, or remove this one")

    def _file(self, number: int) -> Path:
        return self.path / f"{number:06d}.png"

    def write(self, batches: Iterable[Batch]) -> None:
        """Write one file after the other."""
        info = PngImagePlugin.PngInfo()
        info.add_text(RECORD, json.dumps(self.settings))
        number = self.start
        for batch in batches:
            if self.log_mel is not None:  # before the images, which mark a sample as complete
                self._write_sound(number, self.log_mel.inverse(batch["audio"].cpu()), self.log_mel.sample_rate)
            for image in to_rgb(batch["image"]):
                with strict_atomic_write(self._file(number)) as part:
                    Image.fromarray(image).save(part, format="PNG", pnginfo=info)
                number += 1

    def _write_sound(self, number: int, waveforms: Tensor, sample_rate: int) -> None:
        for index, waveform in enumerate(waveforms, number):
            with strict_atomic_write(self._file(index).with_suffix(".wav")) as part:
                write_wav(part, waveform, sample_rate)


def _differing(file: Path, settings: Mapping[str, Any]) -> str | None:
    """Describe how the samples of a file differ from samples with other settings; None if they do not."""
    try:
        with Image.open(file) as image:
            record = json.loads(image.info[RECORD])
    except (OSError, KeyError, ValueError):
        return f"other images, such as {file.name}"
    for name, value in settings.items():
        if (previous := record.get(name)) != value:
            return "samples of another checkpoint" if name == "checkpoint" else f"samples {_option(name, previous)}"
    return None


def _option(name: str, value: Any) -> str:
    """Describe an option of existing samples."""
    if value is None or value is False:
        return f"without `--{name}`"
    return f"with `--{name}`" if value is True else f"with `--{name} {value}`"


def _to_array(image: Tensor) -> np.ndarray[Any, Any]:
    if image.dim() == 2:
        return image.float().cpu().numpy()
    return to_uint8(image).permute(0, 2, 3, 1).numpy()


@contextmanager
def _array(archive: zipfile.ZipFile, name: str, dtype: Any, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """Open an array of an archive for writing, after its header."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        yield cast("BinaryIO", file)
