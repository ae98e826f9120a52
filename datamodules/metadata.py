"""Read the metadata of a folder of images or sound: Hugging Face's tables, and StyleGAN's `dataset.json`."""

import csv
import io
import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
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


def is_table(file: str) -> bool:
    """Return whether a file is a table, by its name."""
    return file.endswith(TABLES) and posixpath.basename(file) in TABLES


def read_tables(
    tree: FileTree, files: Iterable[str], *, columns: Sequence[str] = ("file_name",)
) -> dict[str, list[Row]] | None:
    """Read all tables of a tree.

    The columns `file_name` and `X_file_name`, such as `image_file_name`, have paths relative to the folder of the
    table. In the result they are relative to the root of the tree.

    Args:
        tree: Folder or archive.
        files: All files of the tree.
        columns: Columns with the path of the file that a row describes; the first that a row has counts. Default
            `file_name`.

    Returns:
        The rows of each file in the order of the tables, by the path of the file. Several rows of a file are several
        captions. None without tables.

    Raises:
        ValueError: A table cannot be read, lacks the column, or refers to a file outside of its folder; or a folder has
            several tables.
    """
    tables = sorted(filter(is_table, files), key=posixpath.split)
    for first, second in pairwise(tables):
        if (folder := posixpath.dirname(first)) == posixpath.dirname(second):
            names = f"{posixpath.basename(first)} and {posixpath.basename(second)}"
            raise ValueError(f"{str(tree.path / folder)!r} has {names} in the same folder: remove one of them")
    found: dict[str, list[Row]] = {}
    for table in tables:
        for number, row in _rows(tree, table):
            paths = {name: _path(table, name, row[name], number) for name in row if _has_path(name) and row[name]}
            path = next((paths[column] for column in columns if column in paths), None)
            if path is None:
                raise ValueError(
                    f"{table!r} must have a column `{columns[0]}` with a path in each row, see row {number}"
                )
            found.setdefault(path, []).append(row | paths)
    return found if tables else None


def _has_path(column: str | None) -> bool:
    return column is not None and (column == "file_name" or column.endswith("_file_name"))


def _path(table: str, column: str, name: Any, number: int) -> str:
    """Return a path in a row relative to the root of the tree."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(table), str(name).replace("\\", "/")))
    if not isinstance(name, str) or posixpath.isabs(path) or path.startswith("../") or "://" in name:
        raise ValueError(f"`{column}` of {table!r} must be a path in its folder, got {name!r} in row {number}")
    return path


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


def common_label(file: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return the label in the rows of a file, None if it is unknown.

    Args:
        file: Path of the file.
        rows: Its rows.

    Raises:
        ValueError: The rows have several labels.
    """
    labels = {str(row["label"]): row["label"] for row in rows if row.get("label") not in (None, "")}
    if len(labels) > 1:
        raise ValueError(f"the rows of {file!r} in the metadata must have the same `label`, got {sorted(labels)}")
    return next(iter(labels.values()), None)


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
