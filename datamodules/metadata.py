"""Read the metadata of a folder of files: the tables of Hugging Face's folders, and StyleGAN's `dataset.json`."""

import csv
import io
import json
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from lightning_gans.datamodules.archives import FileTree

Row = dict[str, Any]
"""A row of a table by column; values of `.csv` files are strings."""

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""Names of the tables of Hugging Face's `imagefolder` and `audiofolder` convention."""

DATASET_JSON = "dataset.json"
"""Name of the file with the labels of StyleGAN's archives."""

MAX_CLASSES = 100_000
"""Number above which an integer label is probably not the number of a class."""


def read_tables(tree: FileTree, files: Iterable[str], *, column: str = "file_name") -> dict[str, list[Row]]:
    """Read all tables of a tree.

    Args:
        tree: Folder or archive.
        files: All files of the tree.
        column: Column with the path of a file, relative to the folder of the table, default "file_name" or, if a row
            lacks it, "image_file_name".

    Returns:
        The rows of each file in the order of the tables, by the path of the file relative to the root of the tree.
        Several rows of a file are several captions. Empty without tables.

    Raises:
        ValueError: A table cannot be read, lacks the column, or refers to a file outside of its folder.
    """
    found: dict[str, list[Row]] = {}
    for table in sorted(file for file in files if posixpath.basename(file) in TABLES):
        for number, row in _rows(tree, table):
            name = row.get(column, row.get(f"image_{column}"))
            if not isinstance(name, str) or not name:
                raise ValueError(f"{table!r} must have a column `{column}` with a path in each row, see row {number}")
            path = posixpath.normpath(posixpath.join(posixpath.dirname(table), name.replace("\\", "/")))
            if posixpath.isabs(path) or path.startswith("../") or "://" in name:
                raise ValueError(f"`{column}` of {table!r} must be a path in its folder, got {name!r} in row {number}")
            found.setdefault(path, []).append(row)
    return found


def _rows(tree: FileTree, table: str) -> Iterator[tuple[int, Row]]:
    """Yield the number of each row, from 1, and the row."""
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}
    number = 0
    try:
        with tree.open(table) as stream:
            for number, row in enumerate(readers[posixpath.splitext(table)[1]](stream), 1):
                if not isinstance(row, dict):
                    raise ValueError("it is not an object with the names of the columns")
                yield number, row
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{table!r} cannot be read after row {number}: {error}") from error


def _csv_rows(stream: BinaryIO) -> Iterator[Row]:
    yield from csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""))


def _jsonl_rows(stream: BinaryIO) -> Iterator[Any]:
    for line in io.TextIOWrapper(stream, encoding="utf-8-sig"):
        if line.strip():
            yield json.loads(line)


def _parquet_rows(stream: BinaryIO) -> Iterator[Row]:
    try:
        from pyarrow import parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ValueError("it needs pyarrow: pip install 'lightning-gans[parquet]'") from error
    yield from parquet.read_table(stream).to_pylist()


def read_dataset_json(tree: FileTree, file: str) -> dict[str, int | None]:
    """Read the labels of a `dataset.json` of StyleGAN.

    Args:
        tree: Folder or archive.
        file: Path of the file.

    Returns:
        Class number of each image, by its path relative to the folder of the file; empty if the file has no labels.

    Raises:
        ValueError: The file cannot be read, or has labels that are not class numbers.
    """
    try:
        with tree.open(file) as stream:
            labels = json.load(stream)["labels"]
        pairs = [] if labels is None else [(str(name), label) for name, label in labels]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file!r} must be an object with `labels`, pairs of a path and a class: {error}") from error
    if wrong := [name for name, label in pairs if isinstance(label, bool) or not isinstance(label, int)]:
        raise ValueError(f"{file!r} must have class numbers as labels, but the label of {wrong[0]!r} is not an integer")
    folder = posixpath.dirname(file)
    return {posixpath.normpath(posixpath.join(folder, name.replace("\\", "/"))): label for name, label in pairs}


def number_labels(values: Iterable[Any]) -> tuple[list[int], tuple[str, ...] | None]:
    """Number the classes of labels.

    Integers, also as text, are the numbers of classes. Otherwise, the classes are the different labels, sorted as text.

    Args:
        values: Label of each example; None, an empty text or -1 if it is unknown.

    Returns:
        Class number of each example, -1 if it is unknown, and the names of the classes, None without any label.

    Raises:
        ValueError: A number is below -1, or so large that it cannot be a class.

    Example:
        >>> number_labels(["dog", "cat", None])
        ([1, 0, -1], ('cat', 'dog'))
        >>> number_labels(["2", "0"])
        ([2, 0], ('0', '1', '2'))
    """
    texts = ["" if value is None else str(value) for value in values]
    known = {text for text in texts if text not in ("", "-1")}
    if not known:
        return [-1] * len(texts), None
    if all(text.removeprefix("-").isdecimal() for text in known):
        numbers = {text: int(text) for text in known}
        wrong = [number for number in numbers.values() if not 0 <= number < MAX_CLASSES]
        if wrong:
            raise ValueError(f"labels must be class numbers from 0 to {MAX_CLASSES - 1}, or names, got {wrong[0]}")
        names = tuple(str(number) for number in range(max(numbers.values()) + 1))
    else:
        names = tuple(sorted(known))
        numbers = {name: number for number, name in enumerate(names)}
    return [numbers.get(text, -1) for text in texts], names
