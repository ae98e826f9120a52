"""Data module for any image data set of torchvision that yields images, with or without classes."""

import inspect
import io
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import torch
import torchvision
from PIL import Image

from lightning_gans.datamodules.archives import FileTree, Listing
from lightning_gans.datamodules.folder_layout import FolderLayout
from lightning_gans.datamodules.image_folder import ImageFolder
from lightning_gans.errors import did_you_mean, one_line

SPLITS: dict[str, tuple[Any, ...]] = {
    "train": ("train", "trainval", True),
    "validation": ("valid", "val"),
    "test": ("test", False),
}
"""Values of the arguments `split`, `classes`, `image_set` and `train` of torchvision's data sets, by split."""

SPLIT_ARGUMENTS = ("split", "train", "classes", "image_set")
"""Arguments of torchvision's data sets that select a split."""

LABELS = ("targets", "labels", "_labels", "y")
"""Attributes of torchvision's data sets that hold the labels."""


class TorchvisionTree(FileTree):
    """The images of data sets of torchvision as files: `train/17` is example 17 of the training split.

    Args:
        root: Folder of the data sets.
        splits: The data set of each split, whose examples are pairs of a Pillow image and a target.
    """

    def __init__(self, root: str, splits: Mapping[str, Any]) -> None:
        self.path = Path(root)
        self.splits = splits

    def list(self) -> Listing:
        """List the images of all splits."""
        return Listing([f"{name}/{row}" for name, part in self.splits.items() for row in range(len(part))], 0, {})

    def open(self, name: str) -> BinaryIO:
        """Open an image, encoded without loss."""
        split, _, row = name.rpartition("/")
        example = self.splits[split][int(row)]
        image = example[0] if isinstance(example, tuple) else example
        if not isinstance(image, Image.Image):
            raise OSError(f"it is a {type(image).__name__}, not an image")
        stream = io.BytesIO()
        image.save(stream, format="BMP" if image.mode in ("L", "RGB") else "PNG")
        stream.seek(0)
        return stream

    def stamp(self, names: Iterable[str]) -> str:
        """Hash the classes of the data sets, their folder, and the names of the images; files are not compared."""
        kinds = (f"{name}:{type(part).__name__}:{len(part)}" for name, part in self.splits.items())
        text = "\0".join((torchvision.__version__, str(self.path.resolve()), *kinds, *names))
        return blake2b(text.encode(), digest_size=16).hexdigest()


class TorchvisionImages(ImageFolder):
    """Serve an image data set of `torchvision.datasets`: CelebA, LSUN, Flowers102, STL10, SVHN, Food101 and others.

    The splits are those of the data set. A split that it does not have is taken from the training images by a hash of
    each decoded image. Labels are the classes, or an attribute of CelebA. The options of `ImageFolder` apply.

    Args:
        dataset: Name of the class in `torchvision.datasets`, such as "CelebA".
        root: Folder of the data set, default "data".
        attribute: Attribute of CelebA that becomes the label, such as "Smiling"; default None.
        download: Whether to download the data set if it is missing, default False. With several processes, download it
            first, for example by the command `data`.
        **kwargs: Further arguments of `ImageFolder`.

    Raises:
        ValueError: There is no such data set or attribute, it is not in `root`, or as for `ImageFolder`.
    """

    def __init__(
        self,
        *,
        dataset: str,
        root: str = "data",
        attribute: str | None = None,
        download: bool = False,
        **kwargs: Any,
    ) -> None:
        known = [name for name in torchvision.datasets.__all__ if inspect.isclass(getattr(torchvision.datasets, name))]
        if dataset not in known:
            raise ValueError(f"`dataset` {dataset} is not one of torchvision{did_you_mean(dataset, known)}")
        self._dataset_cls = getattr(torchvision.datasets, dataset)
        self._attribute = attribute
        self._download = download
        super().__init__(root=root, **kwargs)
        self.name = dataset

    def open_files(self) -> tuple[FileTree, FolderLayout]:
        """Open the examples of all splits as files."""
        splits = self._open_splits()
        tree = TorchvisionTree(self.root, splits)
        layout = FolderLayout(tree.list().files)
        if len(splits) > 1:
            layout.splits = [file.partition("/")[0] for file in layout.files]
        layout.labels = [label for part in splits.values() for label in self._labels(part)]
        layout.class_names = self._class_names(splits["train"], layout.labels)
        if layout.class_names is None:
            layout.labels = [-1] * len(layout.files)
        layout.label_source = "" if layout.class_names is None else self._attribute or "classes"
        return tree, layout

    def _open_splits(self) -> dict[str, Any]:
        """Open the splits that the data set has."""
        arguments = inspect.signature(self._dataset_cls).parameters
        argument = next((name for name in SPLIT_ARGUMENTS if name in arguments), None)
        given: dict[str, Any] = {"root": str(Path(self.root).expanduser())}
        if "download" in arguments:
            given["download"] = self._download
        if argument is None:
            return {"train": self._open(given)}
        splits: dict[str, Any] = {}
        for split, values in SPLITS.items():
            for value in values:
                if isinstance(value, bool) == (argument == "train") and split not in splits:
                    opened = self._open({**given, argument: value}, optional=True)
                    splits |= {} if opened is None else {split: opened}
        if "train" not in splits:
            self._open({**given, argument: SPLITS["train"][-1 if argument == "train" else 0]})
        return splits

    def _open(self, arguments: Mapping[str, Any], *, optional: bool = False) -> Any:
        """Open a split; with `optional`, None for a split that does not exist."""
        try:
            return self._dataset_cls(**arguments)
        except ValueError as error:  # the value of the argument is unknown
            if optional:
                return None
            raise ValueError(f"{self._dataset_cls.__name__}: {one_line(error)}") from error
        except (OSError, RuntimeError, ImportError) as error:
            raise ValueError(
                f"{self._dataset_cls.__name__} cannot be opened in `root` {self.root!r}: {one_line(error)}; "
                "set `download` to download it"
            ) from error

    def _labels(self, dataset: Any) -> list[int]:
        """Return the label of each example; -1 without one."""
        if self._attribute is not None:
            names = getattr(dataset, "attr_names", [])
            if self._attribute not in names:
                hint = did_you_mean(self._attribute, names)
                raise ValueError(f"`attribute` {self._attribute!r} does not exist{hint}")
            return [int(value) for value in dataset.attr[:, names.index(self._attribute)]]
        for name in LABELS:
            values = getattr(dataset, name, None)
            if values is not None and len(values) == len(dataset):
                return [int(value) for value in torch.as_tensor(values).flatten()]
        return [-1] * len(dataset)

    def _class_names(self, dataset: Any, labels: list[int]) -> tuple[str, ...] | None:
        if self._attribute is not None:
            return (f"not {self._attribute}", self._attribute)
        count = max(labels) + 1
        names = getattr(dataset, "classes", None)
        if count < 1:
            return None
        if isinstance(names, list | tuple) and len(names) >= count:
            return tuple(map(str, names))
        return tuple(map(str, range(count)))
