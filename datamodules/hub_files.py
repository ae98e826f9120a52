"""Open a data set of Hugging Face's `datasets` as a tree of image files, with its labels, captions and splits."""

import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from lightning_gans.datamodules.archives import FileTree, Listing
from lightning_gans.datamodules.folder_layout import SPLIT_FOLDERS, FolderLayout
from lightning_gans.datamodules.metadata import number_labels
from lightning_gans.errors import did_you_mean, one_line

LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")
"""Columns of labels that are found without an option."""

TEXT_COLUMNS = ("text", "caption", "captions", "prompt")
"""Columns of captions that are found without an option."""


class Columns(NamedTuple):
    """Names of columns; None for a column that is found by its type or name.

    Attributes:
        image: Column of the images.
        label: Column of the labels.
        text: Column of the captions.
    """

    image: str | None = None
    label: str | None = None
    text: str | None = None


class HubTree(FileTree):
    """The images of a data set as files: `train/17` is row 17 of the split "train".

    Args:
        path: Name or folder of the data set, for messages.
        splits: The splits by their names in the data set.
        column: Column of the images.
    """

    def __init__(self, path: str, splits: Mapping[str, Any], column: str) -> None:
        self.path = Path(path)
        self.splits = splits
        self.column = column

    def list(self) -> Listing:
        """List the images of all splits."""
        return Listing([f"{name}/{row}" for name, part in self.splits.items() for row in range(len(part))], 0, {})

    def open(self, name: str) -> BinaryIO:
        """Open an image: its encoded bytes, or an array as `.npy`."""
        split, _, row = name.rpartition("/")
        value = self.splits[split][int(row)][self.column]
        if isinstance(value, dict):
            if value.get("bytes") is None:
                return open(value["path"], "rb")
            value = value["bytes"]
        if value is None:
            raise OSError("there is no image")
        if isinstance(value, bytes):
            return io.BytesIO(value)
        stream = io.BytesIO()
        np.save(stream, np.asarray(value))
        stream.seek(0)
        return stream

    def stamp(self, names: Iterable[str]) -> str:
        """Hash the fingerprints that `datasets` gives to the splits, and the names of the images."""
        text = "\0".join((*(part._fingerprint for part in self.splits.values()), self.column, *names))
        return blake2b(text.encode(), digest_size=16).hexdigest()


def load_splits(path: str, name: str | None, revision: str | None) -> dict[str, Any]:
    """Load all splits of a data set of the Hub, of a local folder, or of a folder of `save_to_disk`.

    Args:
        path: Name on the Hub, or path of a folder; `~` is the home folder.
        name: Name of the configuration of the data set, such as "plain_text".
        revision: Branch, tag or commit on the Hub.

    Raises:
        ValueError: The data set does not exist, needs a login or another configuration, or cannot be downloaded.
    """
    try:
        import datasets  # noqa: PLC0415 (an optional package)
    except ImportError as error:
        raise ValueError("HuggingFace needs the package datasets: pip install 'lightning-gans[hub]'") from error
    folder = Path(path).expanduser()
    is_saved = any((folder / file).is_file() for file in ("dataset_dict.json", "state.json"))
    try:
        if is_saved:
            loaded = datasets.load_from_disk(str(folder))
        else:
            source = str(folder) if folder.is_dir() else path
            loaded = datasets.load_dataset(source, name, revision=revision)
    except Exception as error:  # `datasets` and the libraries below it raise many types
        raise ValueError(
            f"`path` {path!r} cannot be loaded, which must be a data set of the Hugging Face Hub or a folder: "
            f"{one_line(error)}"
        ) from error
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def open_hub(
    path: str, splits: Mapping[str, Any], chosen: Mapping[str, str | None], columns: Columns
) -> tuple[HubTree, FolderLayout, Columns]:
    """Find the images, labels, captions and splits of a data set.

    Args:
        path: Name or folder of the data set, for messages.
        splits: All splits by their names in the data set.
        chosen: Name in the data set of "train", "validation" and "test"; None for the usual names.
        columns: The columns, as far as they are given.

    Returns:
        The images as files, their layout, and the columns that were found.

    Raises:
        ValueError: A split or a column does not exist, or is not unique.
    """
    import datasets  # noqa: PLC0415

    names = _find_splits(splits, chosen)
    features = splits[names["train"]].features
    found = _find_columns(features, columns)
    assert found.image is not None
    used = {name: splits[name] for name in names.values()}
    is_image = isinstance(features[found.image], datasets.Image)
    if is_image:  # as encoded bytes, which are decoded as in a folder
        used = {name: part.cast_column(found.image, datasets.Image(decode=False)) for name, part in used.items()}
    tree = HubTree(path, used, found.image)
    layout = FolderLayout(tree.list().files)
    split_of = {name: split for split, name in names.items()}
    if len(names) > 1:
        layout.splits = [split_of[file.rpartition("/")[0]] for file in layout.files]
    layout.left_out = Counter({f"split {name}": len(part) for name, part in splits.items() if name not in used})
    layout.labels = [-1] * len(layout.files)
    if found.label is not None:
        values = [value for part in used.values() for value in part[found.label]]
        if isinstance(features[found.label], datasets.ClassLabel):
            layout.class_names = tuple(features[found.label].names)
            layout.labels = [-1 if value is None else value for value in values]
        else:
            layout.labels, layout.class_names = number_labels(values)
        layout.label_source = f"column {found.label}"
    if found.text is not None:
        texts = [value for part in used.values() for value in part[found.text]]
        layout.rows = {file: [{found.text: text}] for file, text in zip(layout.files, texts, strict=True)}
    return tree, layout, found


def resolved_revision(splits: Mapping[str, Any]) -> str | None:
    """Return the commit of a data set of the Hub; None for a folder."""
    for part in splits.values():
        for url in part.info.download_checksums or {}:
            if commit := re.search(r"@([0-9a-f]{40})/", url):
                return commit[1]
    return None


def _find_splits(splits: Mapping[str, Any], chosen: Mapping[str, str | None]) -> dict[str, str]:
    """Return the name in the data set of each split that exists."""
    names: dict[str, str] = {}
    for split, name in chosen.items():
        if name is not None and name not in splits:
            raise ValueError(f"`{split}_split` must be one of {', '.join(splits)}, got {name!r}")
        usual = (found for found in splits if found.lower() in SPLIT_FOLDERS[split])  # type: ignore[index]
        if found := name or next(usual, None):
            names[split] = found
    if "train" not in names:
        if len(splits) > 1:
            raise ValueError(f"`train_split` must name the training split, one of {', '.join(splits)}")
        return {"train": next(iter(splits))}
    return names


def _find_columns(features: Mapping[str, Any], columns: Columns) -> Columns:
    """Complete the columns, and check those that are given."""
    import datasets  # noqa: PLC0415

    for kind, name in columns._asdict().items():
        if name is not None and name not in features:
            raise ValueError(f"`{kind}_column` {name!r} does not exist{did_you_mean(name, features)}")
    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    image = columns.image or (images[0] if len(images) == 1 else None)
    if image is None:
        listed = ", ".join(images or features)
        raise ValueError(f"`image_column` must name the column of the images, one of {listed}")
    labels = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    label = columns.label or next((name for name in (*LABEL_COLUMNS, *labels) if name in features), None)
    text = columns.text or next((name for name in TEXT_COLUMNS if name in features), None)
    return Columns(image, label, text)
