"""Metadata files of the Hugging Face convention: `metadata.jsonl` or `metadata.csv` with a column `file_name`."""

import csv
import json
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

METADATA_FILES = ("metadata.csv", "metadata.jsonl")
"""Names of metadata files, in any folder."""

Row = dict[str, Any]
"""Values of a row by column."""


def read_metadata(root: Path, files: Sequence[str]) -> dict[str, list[Row]] | None:
    """Read all metadata files of a folder.

    Args:
        root: The folder.
        files: Files of the folder, as relative paths with forward slashes.

    Returns:
        The rows about each file, by its path relative to `root`, which is in the column `file_name` or, if a row lacks
        it, `audio_file_name`. None if there is no metadata file.

    Raises:
        ValueError: A metadata file cannot be read, a row has no `file_name`, or a folder has two metadata files.
    """
    found = [file for file in files if posixpath.basename(file) in METADATA_FILES]
    if not found:
        return None
    folders = [posixpath.dirname(file) for file in found]
    if len(set(folders)) < len(folders):
        raise ValueError(f"{str(root)!r} has metadata.csv and metadata.jsonl in the same folder: remove one of them")
    rows: dict[str, list[Row]] = {}
    for file, folder in zip(found, folders, strict=True):
        for place, row in _read_rows(root / file):
            name = row.get("file_name", row.get("audio_file_name"))
            if not isinstance(name, str) or not name:
                raise ValueError(f"{place}: a row needs a `file_name`, got {name!r}")
            rows.setdefault(posixpath.normpath(posixpath.join(folder, name)), []).append(row)
    return rows


def _read_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Yield each row of a metadata file with its place, the path and the number of the line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".csv":
                reader = csv.DictReader(file)
                for row in reader:
                    yield f"{str(path)!r}, line {reader.line_num}", dict(row)
                return
            for number, line in enumerate(file, 1):
                if line.strip():
                    place = f"{str(path)!r}, line {number}"
                    yield place, _parse_object(line, place)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error}") from error


def _parse_object(line: str, place: str) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(f"{place}: not a JSON object, got {line.strip()[:40]!r}")
    return row


def find_labels(values: Sequence[Any]) -> tuple[tuple[str, ...] | None, list[int]]:
    """Number the classes of a column.

    Args:
        values: Values of the column; None and "" are unknown.

    Returns:
        The class names, sorted, as numbers if all of them are; None if every value is unknown. And the label of each
        value, -1 if unknown.

    Example:
        >>> find_labels(["10", "9", None, "10"])
        (('9', '10'), [1, 0, -1, 1])
    """
    names = {str(value) for value in values if value not in (None, "")}
    if not names:
        return None, [-1] * len(values)
    numeric = all(name.lstrip("-").isdecimal() for name in names)
    classes = tuple(sorted(names, key=int) if numeric else sorted(names))
    labels = {name: label for label, name in enumerate(classes)}
    return classes, [labels.get(str(value), -1) for value in values]
