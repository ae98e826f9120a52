"""What every data set shares: splits, loaders, and how stored levels become what a model sees."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal, get_args

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_gans.core.recording import Recorded
from lightning_gans.datamodules.loader import InMemoryLoader
from lightning_gans.datamodules.splitting import hold_out
from lightning_gans.errors import one_line
from lightning_gans.types import Batch, ImageShape

Split = Literal["train", "validation", "test"]
"""The parts of a data set: learned from, chosen by, scored on."""


class DataModule(Recorded, pl.LightningDataModule, ABC):
    """Serve a data set that fits into memory, in three parts that never change.

    A subclass says its `image_shape`, its `levels` and `class_names` where they differ from the defaults, and
    implements `load`; what is downloaded, it downloads in `prepare_data`. All else is done here, once: the validation
    part is carved from the training part by an order that depends on the data set's name only, images are kept and
    moved as uint8 levels, and become floats in [-1, 1] on the device. No global random stream is read or moved.

    Attributes:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point; known before `setup`.
        levels: How many values a stored image's element can have, 0 to `levels - 1`; None for floating-point data,
            which is used as it is.
        class_names: The name of each label, or None if there are no labels.
        name: The data set's name: its class's.

    Args:
        batch_size: Examples per batch, in total over all devices.
        validation_size: How many training examples are set aside for validation.
        seed: The order of the training examples; the splits do not depend on it.
        horizontal_flip: Whether training images are mirrored at random, each for itself.

    Raises:
        ValueError: If `batch_size` is less than 1; at `setup`, if it or `validation_size` does not suit the data.

    Example:
        >>> class Stripes(DataModule):
        ...     image_shape = (1, 4, 4)
        ...
        ...     def load(self) -> tuple[Batch, Batch]:
        ...         image = torch.arange(8, dtype=torch.uint8).mul(32).view(8, 1, 1, 1).expand(8, 1, 4, 4)
        ...         examples: Batch = {"image": image, "label": torch.full((8,), -1)}
        ...         return examples, examples
        >>> data = Stripes(batch_size=2, validation_size=2)
        >>> data.sizes
        {'train': 6, 'validation': 2, 'test': 8}
        >>> data.examples("test", 2)["image"].shape
        torch.Size([2, 1, 4, 4])
    """

    name: str
    image_shape: ImageShape
    levels: int | None = 256
    class_names: tuple[str, ...] | None = None

    def __init__(
        self, *, batch_size: int = 64, validation_size: int = 0, seed: int = 0, horizontal_flip: bool = False
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {batch_size}")
        self.name = type(self).__name__
        self.batch_size = batch_size
        self.validation_size = validation_size
        self.seed = seed
        self.horizontal_flip = horizontal_flip
        self._splits: dict[Split, Batch] | None = None
        self._train_loader: InMemoryLoader | None = None
        self._resumed: dict[str, int] = {}

    @abstractmethod
    def load(self) -> tuple[Batch, Batch]:
        """Read the data set.

        Returns:
            The training and the test examples: `image`, (n, *image_shape), uint8 levels or float if `levels` is None,
            and `label`, (n,), int64, -1 where unknown.
        """

    @property
    def num_classes(self) -> int | None:
        """The number of labels, or None if there are none."""
        return None if self.class_names is None else len(self.class_names)

    @property
    def sizes(self) -> dict[Split, int]:
        """The number of examples of each split; reads the data if that was not done."""
        return {split: len(examples["image"]) for split, examples in self._loaded().items()}

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How stored data become what a model sees: plain values, for checkpoints."""
        return {
            "image_shape": list(self.image_shape),
            "levels": self.levels,
            "range": None if self.levels is None else [-1.0, 1.0],
        }

    def setup(self, stage: str | None = None) -> None:
        """Read and split the data, the first time it is called."""
        self._loaded()

    def _loaded(self) -> dict[Split, Batch]:
        if self._splits is None:
            train, test = self.load()
            if train["image"].shape[1:] != self.image_shape:
                raise ValueError(
                    f"{self.name} must hold images of shape {self.image_shape}, "
                    f"but those read are of shape {tuple(train['image'].shape[1:])}"
                )
            count = len(train["image"])
            if not 0 <= self.validation_size < count:
                raise ValueError(
                    f"`validation_size` must be at least 0 and less than the {count} training examples of {self.name}, "
                    f"got {self.validation_size}"
                )
            remaining = count - self.validation_size
            if self.batch_size > remaining:
                raise ValueError(
                    f"`batch_size` must be at most the {remaining} training examples of {self.name}, "
                    f"got {self.batch_size}"
                )
            kept, held = hold_out(count, self.validation_size, self.name)
            self._splits = {"train": index_batch(train, kept), "validation": index_batch(train, held), "test": test}
        return self._splits

    def train_dataloader(self) -> InMemoryLoader:
        """Return this rank's training batches: shuffled, without the last one if it is not full."""
        self._train_loader = self._loader("train", shuffle=True, drop_last=True)
        if self._resumed:
            self._train_loader.load_state_dict(self._resumed)
            self._resumed = {}
        return self._train_loader

    def val_dataloader(self) -> InMemoryLoader | list[InMemoryLoader]:
        """Return this rank's validation batches, in order; [] if nothing is set aside."""
        return self._loader("validation", shuffle=False, drop_last=False) if self.validation_size else []

    def test_dataloader(self) -> InMemoryLoader:
        """Return this rank's test batches, in order."""
        return self._loader("test", shuffle=False, drop_last=False)

    def _loader(self, split: Split, *, shuffle: bool, drop_last: bool) -> InMemoryLoader:
        rank, world_size = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        if self.batch_size % world_size:
            raise ValueError(
                f"`batch_size` is the total over all devices and must be a multiple of their number {world_size}, "
                f"got {self.batch_size}"
            )
        return InMemoryLoader(
            tensors(self._loaded()[split]),
            batch_size=self.batch_size // world_size,
            shuffle=shuffle,
            drop_last=drop_last,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what Lightning keeps in the checkpoint: the place in the training batches, and the preprocessing."""
        place = {} if self._train_loader is None else self._train_loader.state_dict()
        if place and self.trainer is not None and place["position"] >= self.trainer.num_training_batches:
            # the trainer's `limit_train_batches` may end an epoch before the loader does
            place |= {"epoch": place["epoch"] + 1, "position": 0}
        return {"preprocessing": self.preprocessing, **place}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next training loader go on where the one of the checkpoint stood.

        Lightning restores a loader's own state only if the checkpoint was made before its epoch was wholly over; after
        one made when `fit` was done, the first epoch's order would come again.
        """
        self._resumed = {name: value for name, value in state_dict.items() if name != "preprocessing"}

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Turn a batch of stored levels into what a model sees, on the device; in training, augment it."""
        batch = self._normalized(batch)
        if self.trainer is None:
            return batch
        if self.horizontal_flip and self.trainer.training and self._train_loader is not None:
            # not from the global stream: Lightning calls this hook before the one where a resumed run can restore it
            flipped = self._train_loader.uniform().to(batch["image"].device) < 0.5
            image = batch["image"]
            batch = {**batch, "image": torch.where(flipped.view(-1, 1, 1, 1), image.flip(-1), image)}
        # Lightning converted the batch to the precision of the run while the images were still integers
        converted: Batch = self.trainer.precision_plugin.convert_input(batch)
        return converted

    def _normalized(self, batch: Batch) -> Batch:
        if self.levels is None:
            return batch
        return {**batch, "image": batch["image"].float() / ((self.levels - 1) / 2) - 1}

    def examples(self, split: Split, count: int | None = None) -> Batch:
        """Return examples of a split as a model sees them, without augmentation: all in order, or a fair sample.

        The training and the validation part are in random order, so that their first few are one. A test set need not
        be: the first half of MNIST's is the easier one. A few of it are drawn, in an order that depends on the data
        set's name only.

        Args:
            split: "train", "validation" or "test".
            count: At most how many; None for all. Those of a smaller one come first in a larger one's.

        Raises:
            ValueError: If there is no such split, or `count` is less than 1.
        """
        if split not in get_args(Split):
            raise ValueError(f"`split` must be one of {', '.join(get_args(Split))}, got {split!r}")
        if count is not None and count < 1:
            raise ValueError(f"`count` must be at least 1, or None for all examples, got {count}")
        rows: Tensor | slice = slice(count)
        if split == "test" and count is not None and count < self.sizes["test"]:
            _, rows = hold_out(self.sizes["test"], count, self.name)
        return self._normalized(index_batch(self._loaded()[split], rows))

    def dummy_batch(self, batch_size: int) -> Batch:
        """Make up a batch with the keys, shapes and ranges of a real one, without reading any data.

        Args:
            batch_size: How many examples.
        """
        generator = torch.Generator().manual_seed(0)
        shape = (batch_size, *self.image_shape)
        if self.levels is None:
            image = torch.rand(shape, generator=generator) * 2 - 1
        else:
            image = torch.randint(self.levels, shape, generator=generator, dtype=torch.uint8)
        label = (
            torch.full((batch_size,), -1) if self.num_classes is None else torch.arange(batch_size) % self.num_classes
        )
        return self._normalized({"image": image, "label": label})


class TorchvisionDataModule(DataModule, ABC):
    """Serve a data set of torchvision, with its official test set, downloading it where it is missing.

    Attributes:
        dataset_cls: The class of `torchvision.datasets`.
        subfolder: What `root` holds when the data set is there.

    Args:
        root: The folder for the data; it is only written to when the data set is missing. The default is created,
            another one must exist.
        batch_size: Examples per batch, in total over all devices.
        validation_size: How many training examples are set aside for validation.
        seed: The order of the training examples.
        horizontal_flip: Whether training images are mirrored at random, each for itself.

    Raises:
        ValueError: At `prepare_data`, if `root` does not exist or the download fails; at `setup`, if the files cannot
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
    ) -> None:
        super().__init__(
            batch_size=batch_size, validation_size=validation_size, seed=seed, horizontal_flip=horizontal_flip
        )
        self.root = root

    def prepare_data(self) -> None:
        """Download the data set where it is missing."""
        if self.root != "data" and not Path(self.root).is_dir():
            raise ValueError(
                f"`root` {self.root!r} is not a folder: create it to download {self.name} into it, "
                f"or name a folder that holds {self.subfolder}"
            )
        try:
            self.dataset_cls(self.root, download=True)
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"{self.name} is not in `root` {self.root!r} and could not be downloaded: connect to the network, "
                f"or name a folder that holds {self.subfolder} ({one_line(f'{type(error).__name__}: {error}')})"
            ) from error

    def load(self) -> tuple[Batch, Batch]:
        """Read the official training and test sets."""
        try:
            train, test = (self.dataset_cls(self.root, train=train) for train in (True, False))
        # torchvision checks no more of a file than it needs: what a damaged one raises depends on where it is damaged
        except (AssertionError, KeyError, OSError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{self.name} cannot be read from `root` {self.root!r}, which should hold {self.subfolder}: "
                f"download it with `prepare_data`, after deleting what is damaged "
                f"({one_line(f'{type(error).__name__}: {error}')})"
            ) from error
        return self._examples(train), self._examples(test)

    def _examples(self, dataset: Any) -> Batch:
        image = torch.as_tensor(dataset.data)
        channels = self.image_shape[0]
        image = image.unsqueeze(1) if channels == 1 else image.movedim(-1, 1).contiguous()
        return {"image": image, "label": torch.as_tensor(dataset.targets, dtype=torch.int64)}


def index_batch(batch: Batch, rows: Tensor | slice) -> Batch:
    """Return the examples at `rows`, of every tensor of a batch.

    Example:
        >>> index_batch({"label": torch.tensor([3, 1, 4])}, slice(2))
        {'label': tensor([3, 1])}
    """
    taken: Batch = {}
    for key, tensor in tensors(batch).items():
        taken[key] = tensor[rows]  # type: ignore[literal-required]
    return taken


def tensors(batch: Batch) -> dict[str, Tensor]:
    """Return what a batch holds as a plain dictionary of tensors."""
    return dict(batch)  # type: ignore[arg-type]
