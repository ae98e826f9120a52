"""Find the images of a folder or archive, their labels and their splits, without decoding them."""

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lightning_gans.datamodules.archives import FileTree
from lightning_gans.datamodules.image_files import IMAGE_SUFFIXES
from lightning_gans.datamodules.metadata import (
    DATASET_JSON,
    Row,
    common_label,
    is_table,
    number_labels,
    read_dataset_json,
    read_tables,
)
from lightning_gans.datamodules.module import Split

SPLIT_FOLDERS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Names of the folders that are splits, in lower case: the keywords of Hugging Face's `datasets`."""

FOLDER_TO_SPLIT = {folder: split for split, folders in SPLIT_FOLDERS.items() for folder in folders}
"""Split by the name of its folder, in lower case."""

_COLUMNS = ("file_name", "image_file_name")
"""Columns of a table with the path of an image."""


@dataclass
class FolderLayout:
    """The images of a folder, with their labels and splits.

    Attributes:
        files: Paths of the images relative to the root, sorted.
        labels: Class number of each image, -1 if it is unknown.
        class_names: Names of the classes, or None without labels.
        label_source: Origin of the labels: "folders" or the names of metadata files; empty without labels.
        splits: Split of each image, or None if the folder has no folders for splits.
        left_out: Number of files that are not used, by the reason.
        errors: Reasons why a file or subfolder that should be used cannot be, by its path.
        rows: Rows of the metadata about each file; empty without a table.
    """

    files: list[str]
    labels: list[int] = field(default_factory=list)
    class_names: tuple[str, ...] | None = None
    label_source: str = ""
    splits: list[str] | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    errors: dict[str, str] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def exclude(self, errors: Mapping[str, str]) -> None:
        """Move images to the errors.

        Args:
            errors: Reasons by the paths of the images.
        """
        kept = [index for index, file in enumerate(self.files) if file not in errors]
        self.files, self.labels = [self.files[i] for i in kept], [self.labels[i] for i in kept]
        self.splits = None if self.splits is None else [self.splits[i] for i in kept]
        self.errors |= errors

    def part(self, number: int, count: int) -> "FolderLayout":
        """Return every `count`-th image, from image `number` (from 1) on, with the classes of all images."""
        chosen = slice(number - 1, None, count)
        splits = None if self.splits is None else self.splits[chosen]
        return replace(self, files=self.files[chosen], labels=self.labels[chosen], splits=splits)


def read_layout(tree: FileTree) -> FolderLayout:
    """Find the images, the labels and the splits.

    - Images are the files with a suffix of `IMAGE_SUFFIXES`, or, with a table `metadata.csv`, `.jsonl` or `.parquet`,
      the files in its column `file_name`.
    - If all top-level folders with images have names of `SPLIT_FOLDERS`, and one of them is for training, they are the
      splits. Images at the top level are then left out.
    - Labels are those of the column `label` of the table, or of StyleGAN's `dataset.json`. With neither, they are the
      folders, as `find_classes` describes.

    A single top-level folder that holds everything counts as the root.

    Args:
        tree: Folder or archive.

    Raises:
        ValueError: The root or a metadata file cannot be read.
    """
    listing = tree.list()
    rows = read_tables(tree, listing.files, columns=_COLUMNS)
    images = select_images(listing.files)
    layout = FolderLayout(
        images,
        errors=dict(listing.unreadable),
        left_out=_count_left_out(listing.files, images, rows or {}),
        rows=rows or {},
    )
    layout.left_out += Counter({"hidden": listing.hidden})
    if rows is not None:
        present = set(listing.files)
        layout.errors |= dict.fromkeys(rows.keys() - present, "it is listed in the metadata, but does not exist")
        layout.files = sorted(rows.keys() & present)
        layout.left_out += Counter({"not in the metadata": len(set(images) - rows.keys())})
    if not layout.files:
        return layout
    root = _common_root(layout.files)
    _find_splits(layout, root)
    _find_labels(layout, tree, root, listing.files, rows)
    return layout


def select_images(files: Sequence[str]) -> list[str]:
    """Select the files with the suffix of an image.

    Example:
        >>> select_images(["a.JPG", "b.txt", "png"])
        ['a.JPG']
    """
    suffixes = tuple(IMAGE_SUFFIXES)
    return [file for file in files if file.lower().endswith(suffixes)]


def _count_left_out(files: Sequence[str], images: Sequence[str], used: Mapping[str, object]) -> Counter[str]:
    """Count the files that are neither images nor metadata, by their suffix."""
    others = set(files) - set(images) - used.keys()
    return Counter(
        f"suffix {posixpath.splitext(file)[1].lower() or 'missing'}"
        for file in others
        if not is_table(file) and posixpath.basename(file) != DATASET_JSON
    )


def _common_root(files: Sequence[str]) -> str:
    """Return the folder, with a final slash, that holds everything and is not a split; "" for the root itself."""
    root = ""
    while True:
        folders = {file[len(root) :].partition("/")[:2] for file in files}
        (folder, slash), *others = folders
        if others or not slash or folder.lower() in FOLDER_TO_SPLIT:
            return root
        root += f"{folder}/"


def _find_splits(layout: FolderLayout, root: str) -> None:
    tops = [_top_folder(file, root) for file in layout.files]
    found = {FOLDER_TO_SPLIT.get(top.lower()) for top in tops if top}
    if None in found or "train" not in found:
        return
    layout.left_out += Counter({"outside of the folders of the splits": tops.count("")})
    layout.files = [file for file, top in zip(layout.files, tops, strict=True) if top]
    layout.splits = [FOLDER_TO_SPLIT[top.lower()] for top in tops if top]


def _top_folder(file: str, root: str) -> str:
    folder, slash, _ = file[len(root) :].partition("/")
    return folder if slash else ""


def _find_labels(
    layout: FolderLayout,
    tree: FileTree,
    root: str,
    files: Sequence[str],
    rows: Mapping[str, Sequence[Row]] | None,
) -> None:
    json_files = [file for file in (DATASET_JSON, root + DATASET_JSON) if file in files]
    if rows is not None:
        layout.labels, layout.class_names = number_labels(common_label(file, rows[file]) for file in layout.files)
        source = "metadata"
    elif json_files:
        numbers = read_dataset_json(tree, json_files[0])
        layout.labels, layout.class_names = number_labels(numbers.get(file) for file in layout.files)
        source = DATASET_JSON
    else:
        starts = [root if layout.splits is None else f"{root}{_top_folder(file, root)}/" for file in layout.files]
        paths = [file.removeprefix(start) for file, start in zip(layout.files, starts, strict=True)]
        layout.class_names = find_classes(paths)
        label_of = {name: label for label, name in enumerate(layout.class_names or ())}
        layout.labels = [label_of.get(path.split("/")[0], -1) for path in paths]
        source = "folders"
    layout.label_source = "" if layout.class_names is None else source


def find_classes(files: Sequence[str]) -> tuple[str, ...] | None:
    """Find the class names in a list of image files.

    Args:
        files: Relative paths with forward slashes.

    Returns:
        Names of the top-level folders, sorted. None if an image is in no folder, or all images are in the same folder.

    Example:
        >>> find_classes(["dog/1.png", "cat/1.png", "cat/small/2.png"])
        ('cat', 'dog')
        >>> find_classes(["dog/1.png", "2.png"])
    """
    folders = {folder if slash else "" for folder, slash, _ in (file.partition("/") for file in files)}
    return tuple(sorted(folders)) if "" not in folders and len(folders) > 1 else None
