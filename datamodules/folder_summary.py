"""Summarize the contents of a folder of images: found, converted, skipped and left out."""

import math
import textwrap
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_gans.datamodules.bad_files import printable
from lightning_gans.datamodules.decoded_files import DecodedFiles
from lightning_gans.datamodules.folder_layout import FolderLayout
from lightning_gans.datamodules.value_range import Range, describe_ranges

_COLUMNS = 100
"""Width of the text, without its titles."""

_SHOWN_CLASSES, _SHOWN_SKIPPED = 12, 3
"""Number of classes and of skipped files that the text names."""


class Duplicates(NamedTuple):
    """Exact duplicates: images with equal pixels after decoding.

    Attributes:
        images: Number of images that equal an earlier image.
        in_several_splits: Number of different images that several splits have.
        example: Names of a duplicate and of the image that it equals; empty without duplicates.
    """

    images: int
    in_several_splits: int
    example: tuple[str, ...]


@dataclass
class FolderSummary:
    """Contents of a folder of images.

    Attributes:
        root: Name of the folder or archive.
        kinds: Number of images of each kind, by their content.
        sizes: (height, width) of the smallest, the median and the largest image by their number of pixels.
        modes: Number of images of each mode.
        converted: Number of images of each conversion.
        ranges: Values that became black and white in images of more than 8 bits, by the type of the values.
        skipped: Reasons by the names of the files that cannot be used.
        bad_files: Path of the list of these files; None if there are none or the list cannot be written.
        left_out: Number of files that are not used, by the reason.
        duplicates: Exact duplicates.
        classes: Number of images of each class, by its name; None without labels.
        label_source: Origin of the labels.
        splits: Number of images of each split.
        split_source: Origin of each split: "folder" or "content".
        captions: Description of the captions; empty without captions.
    """

    root: str
    kinds: Counter[str]
    sizes: tuple[tuple[int, int], ...]
    modes: Counter[str]
    converted: Counter[str]
    ranges: dict[str, Range]
    skipped: dict[str, str]
    bad_files: Path | None
    left_out: Counter[str]
    duplicates: Duplicates
    classes: dict[str, int] | None
    label_source: str
    splits: dict[str, int]
    split_source: dict[str, str]
    captions: str = ""

    @property
    def images(self) -> int:
        """Return the number of images that are used."""
        return sum(self.splits.values())

    def text(self, *, short: bool = False) -> str:
        """Write the summary.

        Args:
            short: Leave out the modes and the names of files; at most 12 lines. Default False, at most 25 lines.
        """
        one = 1 if short else 2
        rows = [
            ("kinds", _wrap(_list_counts(self.kinds), one)),
            ("sizes", [self._sizes()]),
            ("modes", [] if short else _wrap(_list_counts(self.modes), 3)),
            ("value range", _wrap(describe_ranges(self.ranges), 1)),
            ("converted", _wrap(_list_counts(self.converted), 3 if short else 6)),
            ("skipped", self._skipped()[: 1 if short else None]),
            ("left out", _wrap(_list_counts(self.left_out), one)),
            ("duplicates", self._duplicates(short=short)),
            ("classes", _wrap(self._classes(), one)),
            ("captions", [self.captions] if self.captions else []),
            ("splits", [self._splits()]),
        ]
        lines = [f"{printable(self.root)}: {self.images:,} images"]
        for title, values in rows:
            lines += [f"  {title if i == 0 else '':<12} {value}" for i, value in enumerate(values)]
        return "\n".join(lines)

    def _sizes(self) -> str:
        smallest, median, largest = (f"{height} x {width}" for height, width in self.sizes)
        if smallest == largest:
            return f"{smallest} (height x width)"
        return f"{smallest} to {largest}, median {median} (height x width)"

    def _skipped(self) -> list[str]:
        if not self.skipped:
            return []
        where = "" if self.bad_files is None else f", listed in {self.bad_files}"
        names = sorted(self.skipped)[:_SHOWN_SKIPPED]
        return [f"{len(self.skipped)} files{where}", *(f"{printable(name)}: {self.skipped[name]}" for name in names)]

    def _duplicates(self, *, short: bool) -> list[str]:
        if not self.duplicates.images:
            return []
        text = f"{self.duplicates.images:,} images equal an earlier one"
        if not short:
            text += f", such as {' = '.join(map(printable, self.duplicates.example))}"
        if self.duplicates.in_several_splits:
            text += f"; {self.duplicates.in_several_splits:,} are in several splits"
        return [text]

    def _classes(self) -> str:
        if self.classes is None:
            return "none"
        unlabeled = self.images - sum(self.classes.values())
        largest = dict(Counter(self.classes).most_common(_SHOWN_CLASSES))
        more = len(self.classes) - len(largest)
        return (
            f"{len(self.classes):,} from {self.label_source}: {_list_counts(largest)}"
            f"{f', {more:,} more' if more else ''}{f'; {unlabeled:,} images without a label' if unlabeled else ''}"
        )

    def _splits(self) -> str:
        return ", ".join(f"{name} {count:,} (by {self.split_source[name]})" for name, count in self.splits.items())


def summarize(
    root: str,
    layout: FolderLayout,
    decoded: DecodedFiles,
    *,
    splits: Mapping[str, npt.NDArray[np.int64]],
    split_source: Mapping[str, str],
    bad_files: Path | None,
) -> FolderSummary:
    """Summarize a folder whose images are decoded.

    Args:
        root: Name of the folder or archive.
        layout: Files, labels and splits that were found.
        decoded: Result of decoding the files of the layout, at least one of which is good.
        splits: Indices of the images of each split among the files.
        split_source: Origin of each split: "folder" or "content".
        bad_files: Path of the list of files that cannot be used.
    """
    infos = list(decoded.infos.values())
    sizes = sorted((info.size for info in infos), key=math.prod)
    labels = Counter(layout.labels[index] for index in decoded.infos)
    return FolderSummary(
        root=root,
        kinds=Counter(info.kind for info in infos),
        sizes=(sizes[0], sizes[len(sizes) // 2], sizes[-1]),
        modes=Counter(info.mode for info in infos),
        converted=Counter(note for info in infos for note in info.notes),
        ranges=decoded.ranges,
        skipped=layout.errors | {decoded.files[index]: reason for index, reason in decoded.errors.items()},
        bad_files=bad_files,
        left_out=layout.left_out,
        duplicates=find_duplicates(decoded, splits),
        classes=None
        if layout.class_names is None
        else {name: labels[number] for number, name in enumerate(layout.class_names)},
        label_source=layout.label_source,
        splits={name: len(indices) for name, indices in splits.items()},
        split_source=dict(split_source),
    )


def find_duplicates(decoded: DecodedFiles, splits: Mapping[str, npt.NDArray[np.int64]]) -> Duplicates:
    """Find images with equal pixels by their hashes.

    Args:
        decoded: Result of decoding.
        splits: Indices of the images of each split.
    """
    good = decoded.good
    unique, first, original = np.unique(decoded.hashes[good], return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[original] != np.arange(len(good)))
    example = (good[repeated[0]], good[first[original[repeated[0]]]]) if len(repeated) else ()
    in_splits = np.concatenate([np.unique(decoded.hashes[indices]) for indices in splits.values()])
    _, number_of_splits = np.unique(in_splits, return_counts=True)
    return Duplicates(
        images=len(good) - len(unique),
        in_several_splits=int((number_of_splits > 1).sum()),
        example=tuple(decoded.files[index] for index in example),
    )


def _list_counts(counts: Mapping[str, int]) -> str:
    """Write entries with their numbers, the most frequent first."""
    return ", ".join(f"{printable(name)}: {count:,}" for name, count in Counter(counts).most_common())


def _wrap(text: str, max_lines: int) -> list[str]:
    return textwrap.wrap(text, _COLUMNS, max_lines=max_lines, placeholder=" ...", break_long_words=False)
