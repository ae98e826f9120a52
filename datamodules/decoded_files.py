"""Facts about decoded image files, which are kept with the images."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lightning_gans.datamodules.mapped import HASHES
from lightning_gans.datamodules.opened_image import ImageInfo
from lightning_gans.datamodules.value_range import Range

FACTS = "files.json"
"""File of a cache with the facts about the image files."""


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

    def save(self, folder: Path) -> None:
        """Write everything but the names of the files into a folder; equal descriptions are written once.

        Args:
            folder: An existing folder.
        """
        different = {info: number for number, info in enumerate(dict.fromkeys(self.infos.values()))}
        facts = {
            "infos": [(info.kind, info.size, info.mode, info.notes) for info in different],
            "info_of": [different[self.infos[i]] if i in self.infos else None for i in range(len(self.files))],
            "errors": list(self.errors.items()),
            "ranges": self.ranges,
        }
        np.save(folder / HASHES, self.hashes)
        (folder / FACTS).write_text(json.dumps(facts))

    @classmethod
    def load(cls, folder: Path, files: Sequence[str]) -> "DecodedFiles":
        """Read what `save` wrote.

        Args:
            folder: The folder.
            files: Names of the files.
        """
        facts = json.loads((folder / FACTS).read_text())
        infos = [ImageInfo(kind, tuple(size), mode, tuple(notes)) for kind, size, mode, notes in facts["infos"]]
        return cls(
            files,
            infos={index: infos[number] for index, number in enumerate(facts["info_of"]) if number is not None},
            errors=dict(facts["errors"]),
            hashes=np.load(folder / HASHES),
            ranges={dtype: (low, high) for dtype, (low, high) in facts["ranges"].items()},
        )
