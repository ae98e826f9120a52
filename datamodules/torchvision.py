"""Base class of the data modules that serve a data set of torchvision."""

import re
from abc import ABC
from pathlib import Path
from typing import Any

import torch

from lightning_gans.datamodules.module import DataModule
from lightning_gans.types import Batch


class TorchvisionDataModule(DataModule, ABC):
    """Serve a data set of `torchvision.datasets` with its official test set; download it if it is missing.

    A subclass defines `image_shape`, `class_names`, `dataset_cls` and `subfolder`.

    Attributes:
        dataset_cls: Class of `torchvision.datasets`.
        subfolder: Path below `root` at which torchvision stores the data set.

    Args:
        root: Folder of the data set, default "data". The default folder is created; any other folder must exist.
            Nothing is written to it if the data set is already there.
        batch_size: Examples per batch in total over all devices, default 64.
        validation_size: Number of training examples that are held out for validation, default 5,000.
        seed: Seed of the order of the training examples, default 0.
        horizontal_flip: Whether to mirror each training image with probability 0.5, default False.
        **kwargs: Further arguments of `DataModule`, such as `labels_per_class`.

    Raises:
        ValueError: In `prepare_data`, if `root` does not exist or the download fails; in `setup`, if the files cannot
            be read.
    """

    dataset_cls: type[Any]
    subfolder: str

    def __init__(
        self,
        *,
        root: str = "data",
        batch_size: int = 64,
        validation_size: int = 5000,
        seed: int = 0,
        horizontal_flip: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            validation_size=validation_size,
            seed=seed,
            horizontal_flip=horizontal_flip,
            **kwargs,
        )
        self.root = root

    def prepare_data(self) -> None:
        """Download the data set if it is missing."""
        if self.root != "data" and not Path(self.root).is_dir():
            raise ValueError(
                f"`root` {self.root!r} is not a folder: create it to download {self.name} into it, "
                f"or pass a folder that contains {self.subfolder}"
            )
        before = {path for path in _folders(Path(self.root, self.subfolder)) if path.exists()}
        try:
            self.dataset_cls(self.root, download=True)
        except (OSError, RuntimeError) as error:
            for folder in _folders(Path(self.root, self.subfolder)):
                if folder not in before and folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
            raise ValueError(
                f"{self.name} is not in `root` {self.root!r} and could not be downloaded ({_reason(error)}): "
                f"connect to the network, or pass a folder that contains {self.subfolder}"
            ) from error

    def load(self) -> tuple[Batch, Batch]:
        """Read the official training and test sets."""
        try:
            train, test = (self.dataset_cls(self.root, train=train) for train in (True, False))
        # torchvision does not validate its files, so the type of the exception depends on where a file is damaged
        except (AssertionError, KeyError, OSError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{self.name} cannot be read from `root` {self.root!r}, which should contain {self.subfolder}: "
                f"delete damaged files, then download it with `prepare_data` ({_one_line(error)})"
            ) from error
        return self._examples(train), self._examples(test)

    def _examples(self, dataset: Any) -> Batch:
        image = torch.as_tensor(dataset.data)
        channels = self.image_shape[0]
        image = image.unsqueeze(1) if channels == 1 else image.movedim(-1, 1).contiguous()
        return {"image": image, "label": torch.as_tensor(dataset.targets, dtype=torch.int64)}


def _folders(path: Path) -> list[Path]:
    """Return a path and its parents, the innermost first."""
    return [path, *path.parents]


def _reason(error: Exception) -> str:
    """Return the reason for a failed download, which torchvision reports once for each URL."""
    found = re.findall(r"<urlopen error (?:\[Errno -?\d+\] )?(.*?)>", str(error))
    return found[-1] if found else _one_line(error)


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
