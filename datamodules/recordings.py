"""Recordings that a data module found in a folder, before any is decoded."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from lightning_gans.datamodules.archives import Listing
from lightning_gans.datamodules.audio_decoding import AUDIO_SUFFIXES
from lightning_gans.datamodules.module import Split

UNREADABLE_SUFFIXES = frozenset({".3gp", ".aac", ".amr", ".m4a", ".mp4", ".webm", ".wma"})
"""File suffixes of sound that soundfile cannot decode, in lower case."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Recording in a folder.

    Attributes:
        file: Path relative to the folder, with forward slashes.
        label: Number of its class, -1 if unknown.
        split: Its split, or None if its content determines the split.
        texts: Its captions.
    """

    file: str
    label: int = -1
    split: Split | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FoundRecordings:
    """Contents of a folder.

    Attributes:
        recordings: The recordings.
        class_names: Name of each class in the order of the labels, or None without labels.
        skipped: Reason for each recording that is not used, by file.
        ignored: Number of other files by suffix.
    """

    recordings: tuple[Recording, ...]
    class_names: tuple[str, ...] | None
    skipped: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)


def sort_by_suffix(listing: Listing) -> tuple[list[str], dict[str, str], dict[str, int]]:
    """Separate recordings from other files by their names.

    Args:
        listing: The files of a folder.

    Returns:
        The recordings that may be decoded; the recordings that cannot be decoded and the subfolders that cannot be
        listed, with the reason; the number of other files by suffix.

    Example:
        >>> sort_by_suffix(Listing(["a.wav", "b/c.M4A", "notes.txt"], hidden=1, unreadable={}))
        (['a.wav'], {'b/c.M4A': 'soundfile cannot decode .m4a'}, {'.txt': 1, 'hidden': 1})
    """
    recordings: list[str] = []
    skipped = dict(listing.unreadable)
    ignored: Counter[str] = Counter()
    for file in listing.files:
        suffix = PurePosixPath(file).suffix.lower()
        if suffix in AUDIO_SUFFIXES:
            recordings.append(file)
        elif suffix in UNREADABLE_SUFFIXES:
            skipped[file] = f"soundfile cannot decode {suffix}"
        else:
            ignored[suffix or "without a suffix"] += 1
    ignored += Counter({"hidden": listing.hidden})
    return recordings, skipped, dict(ignored)
