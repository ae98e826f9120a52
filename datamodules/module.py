"""Base class of all data modules: splits, loaders, normalization and augmentation."""

from abc import ABC, abstractmethod
from hashlib import blake2b
from typing import Any, Literal, cast, get_args

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn

from lightning_gans.core.batches import as_dict
from lightning_gans.core.recording import Recorded
from lightning_gans.datamodules.loader import ResumableLoader, check_resumable
from lightning_gans.datamodules.sources import MapDataset, Source, Subset, TensorSource, WorkerSource
from lightning_gans.datamodules.splitting import hold_out
from lightning_gans.datamodules.vocabulary import Vocabulary
from lightning_gans.types import Batch, ImageShape

Split = Literal["train", "validation", "test"]
"""Name of a split, which is used for training, for model selection or for the final evaluation."""

Examples = Batch | Source | MapDataset
"""Examples in stored form: tensors, a source, or a map-style data set."""


class DataModule(Recorded, pl.LightningDataModule, ABC):
    """Serve a data set in three fixed splits.

    A subclass defines `image_shape`, overrides `levels` and `class_names` where they differ from the defaults, and
    implements `load`. If the data set must be downloaded, the subclass implements `prepare_data`. This class does the
    rest:

    - The validation split is taken from the training examples, in an order that depends only on the name of the data
      set.
    - Images are stored and transferred as uint8 levels, and normalized to floats in [-1, 1] on the device.
    - With `horizontal_flip`, training images are mirrored at random on the device.
    - Global random states are neither read nor changed.

    Attributes:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point; known before `setup`. Data
            without images do not have it.
        levels: Number of values that an element of a stored image can have, 0 to `levels - 1`. None for floating-point
            data, which are not normalized.
        class_names: Name of each class in the order of the labels, or None for data without labels.
        audio_shape: (1, bands, frames) of a spectrogram, or None for data without sound; known before `setup`.
        vocabulary: Words of the captions, or None for data without captions.
        text_length: Number of words of a caption in a batch, 0 for data without captions.
        name: Name of the data set, the class name by default.
        split_seed: Text that determines the random splits, or None (default) for `name`.

    Args:
        batch_size: Examples per batch in total over all devices, default 64.
        validation_size: Number of training examples that are held out for validation, default 0.
        seed: Seed of the order of the training examples, default 0. The splits do not depend on it.
        horizontal_flip: Whether to mirror each training image with probability 0.5, default False.
        num_workers: Number of worker processes that read a map-style data set, default 0.

    Raises:
        ValueError: If `batch_size` is below 1; in `setup`, if `batch_size` or `validation_size` does not fit the data.

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
    audio_shape: ImageShape | None = None
    vocabulary: Vocabulary | None = None
    text_length: int = 0
    split_seed: str | None = None

    def __init__(
        self,
        *,
        batch_size: int = 64,
        validation_size: int = 0,
        seed: int = 0,
        horizontal_flip: bool = False,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {batch_size}")
        self.name = type(self).__name__
        self.batch_size = batch_size
        self.validation_size = validation_size
        self.seed = seed
        self.horizontal_flip = horizontal_flip
        self.num_workers = num_workers
        self._splits: dict[Split, Source] | None = None
        self._train_loader: ResumableLoader | None = None
        self._loader_state: dict[str, int] = {}
        self._fingerprint: str | None = None
        self._expected_fingerprint: str | None = None

    @abstractmethod
    def load(self) -> tuple[Examples, Examples] | tuple[Examples, Examples, Examples]:
        """Read the data set.

        Returns:
            Training and test examples, from the first of which `validation_size` examples are held out; or training,
            validation and test examples. Each is a batch of tensors, a source, or a map-style data set whose examples
            are dictionaries. `image` is (n, *image_shape), uint8 levels, or float if `levels` is None. `label` is (n,),
            int64, -1 where unknown.
        """

    def __str__(self) -> str:
        return self.name  # Lightning's method would create and read the loaders

    @property
    def num_classes(self) -> int | None:
        """Return the number of classes, or None for data without labels."""
        return None if self.class_names is None else len(self.class_names)

    @property
    def sizes(self) -> dict[Split, int]:
        """Return the number of examples in each split; the data set is read on first access."""
        return {split: len(source) for split, source in self._load_splits().items()}

    def source(self, split: Split) -> Source:
        """Return the source of a split; the data set is read on first access."""
        return self._load_splits()[split]

    def describe_files(self) -> str:
        """Describe the files that were read, after `setup`: what was converted and skipped; empty without files."""
        return ""

    @property
    def storage(self) -> str:
        """Return the name of the storage of the training examples."""
        return self.source("train").storage

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Return the settings of the preprocessing, as plain values for checkpoints."""
        return {
            "image_shape": list(self.image_shape),
            "levels": self.levels,
            "range": None if self.levels is None else [-1.0, 1.0],
        }

    def setup(self, stage: str | None = None) -> None:
        """Read and split the data set on the first call."""
        self._load_splits()

    def fingerprint(self) -> str:
        """Return a hash of the content of all splits; other images, labels or splits have another fingerprint."""
        if self._fingerprint is None:
            parts = [source.fingerprint() for source in self._load_splits().values()]
            self._fingerprint = blake2b("".join(parts).encode(), digest_size=16).hexdigest()
        return self._fingerprint

    def expect(self, fingerprint: str | None) -> None:
        """Warn if the data do not have the fingerprint of a checkpoint, as soon as they are read.

        Args:
            fingerprint: The fingerprint of the data on which the model of the checkpoint was trained; None if unknown.
        """
        self._expected_fingerprint = fingerprint
        if self._splits is None or fingerprint is None:
            return
        size = len(self._splits["train"])
        is_refused = self._loader_state.get("examples", size) != size  # by the loader, which names the numbers
        if not is_refused and fingerprint != self.fingerprint():
            rank_zero_warn(
                f"{self.name} has changed since the checkpoint was saved (fingerprint {fingerprint}, now "
                f"{self.fingerprint()}): scores are not comparable, and a resumed run is not exact"
            )

    def _load_splits(self) -> dict[Split, Source]:
        if self._splits is None:
            train, *validation, test = (self._source(examples) for examples in self.load())
            first = train.fetch(torch.tensor([0]))
            if "image" in first and first["image"].shape[1:] != self.image_shape:
                raise ValueError(
                    f"{self.name} must contain images of shape {self.image_shape}, "
                    f"but `load` returned shape {tuple(first['image'].shape[1:])}"
                )
            if not validation:
                train, held_out = self._hold_out(train)
                validation = [held_out]
            if self.batch_size > len(train):
                raise ValueError(
                    f"`batch_size` must be at most the {len(train)} training examples of {self.name}, "
                    f"got {self.batch_size}"
                )
            self._splits = {"train": train, "validation": validation[0], "test": test}
            self.expect(self._expected_fingerprint)
        return self._splits

    def _source(self, examples: Examples) -> Source:
        if isinstance(examples, Source):
            return examples
        if isinstance(examples, dict):
            return TensorSource(as_dict(cast("Batch", examples)))
        return WorkerSource(examples, num_workers=self.num_workers)

    def _hold_out(self, train: Source) -> tuple[Source, Source]:
        count = len(train)
        if not 0 <= self.validation_size < count:
            raise ValueError(
                f"`validation_size` must be at least 0 and less than the {count} training examples of {self.name}, "
                f"got {self.validation_size}"
            )
        train_indices, validation_indices = hold_out(count, self.validation_size, self.split_seed or self.name)
        return Subset(train, train_indices), Subset(train, validation_indices)

    def train_dataloader(self) -> ResumableLoader:
        """Return the training batches of this rank: shuffled, without an incomplete last batch.

        With `overfit_batches` of the trainer, every epoch has the same order, that of the stored examples. A loader
        that Lightning requests again, by `reload_dataloaders_every_n_epochs`, continues with the next epoch's order.
        """
        overfits = self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]
        self._train_loader = self._loader("train", shuffle=not overfits, drop_last=True)
        if self.trainer is not None:
            self._train_loader.epoch = self.trainer.current_epoch
            self._train_loader.source = self._train_loader.source.to(self.trainer.strategy.root_device)
        if self._loader_state:
            self._train_loader.load_state_dict(self._loader_state)
            self._loader_state = {}
        return self._train_loader

    def val_dataloader(self) -> ResumableLoader | list[ResumableLoader]:
        """Return the validation batches of this rank, in order; an empty list if there are none."""
        return self._loader("validation", shuffle=False, drop_last=False) if self.sizes["validation"] else []

    def test_dataloader(self) -> ResumableLoader | list[ResumableLoader]:
        """Return the test batches of this rank, in order; an empty list if there are none."""
        return self._loader("test", shuffle=False, drop_last=False) if self.sizes["test"] else []

    def _loader(self, split: Split, *, shuffle: bool, drop_last: bool) -> ResumableLoader:
        rank, world_size = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        if self.batch_size % world_size:
            raise ValueError(
                f"`batch_size` is the total over all devices and must be a multiple of their number {world_size}, "
                f"got {self.batch_size}"
            )
        return ResumableLoader(
            self.source(split),
            batch_size=self.batch_size // world_size,
            shuffle=shuffle,
            drop_last=drop_last,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state for checkpoints: the state of the training loader, the preprocessing and the fingerprint."""
        state = {} if self._train_loader is None else self._train_loader.state_dict()
        if state and self.trainer is not None and state["position"] >= self.trainer.num_training_batches:
            # with `limit_train_batches` the trainer may end an epoch before the loader does
            state |= {"epoch": state["epoch"] + 1, "position": 0}
        return {"preprocessing": self.preprocessing, "fingerprint": self.fingerprint(), **state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the training loader when the next loader is created.

        Lightning restores the state of a loader only from a checkpoint that was saved during an epoch. After a
        checkpoint that was saved at the end of `fit`, it would repeat the order of the first epoch.
        """
        self._loader_state = {
            name: value for name, value in state_dict.items() if name not in ("preprocessing", "fingerprint")
        }
        self.expect(state_dict.get("fingerprint"))

    def check_state(self, state_dict: dict[str, Any]) -> None:
        """Check, without reading data, that training can continue from a saved state in the same order.

        Raises:
            ValueError: The state was saved with another batch size or seed.
        """
        check_resumable(state_dict, {"batch_size": self.batch_size, "seed": self.seed})

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Normalize a batch on the device and, in training, augment it."""
        batch = self._normalize(batch)
        if self.trainer is None:
            return batch
        if self.horizontal_flip and self.trainer.training and self._train_loader is not None:
            # not from the global random state: Lightning calls this hook before a resumed run restores that state
            flipped = self._train_loader.rand_per_example().to(batch["image"].device) < 0.5
            image = batch["image"]
            batch = {**batch, "image": torch.where(flipped.view(-1, 1, 1, 1), image.flip(-1), image)}
        # Lightning has converted the batch to the precision of the run while the images were still integers
        converted: Batch = self.trainer.precision_plugin.convert_input(batch)
        return converted

    def _normalize(self, batch: Batch) -> Batch:
        if self.levels is None:
            return batch
        return {**batch, "image": batch["image"].float() / ((self.levels - 1) / 2) - 1}

    def examples(self, split: Split, count: int | None = None) -> Batch:
        """Return examples of a split, normalized as a model receives them, without augmentation.

        With `count`, the examples are a random subset of the split. The training and validation splits are stored in
        random order, so the subset is their first examples. A test set may be sorted: the first half of MNIST's is
        easier than the second. Its subset is chosen at random, in an order that depends only on the name of the data
        set.

        Args:
            split: "train", "validation" or "test".
            count: Maximum number of examples, default None for all. A smaller subset is the beginning of a larger
                subset.

        Raises:
            ValueError: If `split` is unknown, or `count` is below 1.
        """
        if split not in get_args(Split):
            raise ValueError(f"`split` must be one of {', '.join(get_args(Split))}, got {split!r}")
        if count is not None and count < 1:
            raise ValueError(f"`count` must be at least 1, or None for all examples, got {count}")
        size = self.sizes[split]
        indices = torch.arange(size if count is None else min(count, size))
        if split == "test" and len(indices) < size:
            _, indices = hold_out(size, len(indices), self.split_seed or self.name)
        return self._normalize(cast("Batch", self.source(split).fetch(indices)))

    def dummy_batch(self, batch_size: int) -> Batch:
        """Create a batch with the keys, shapes and value ranges of real batches, without reading data.

        Args:
            batch_size: Number of examples.
        """
        generator = torch.Generator().manual_seed(0)
        if self.levels is None:
            image = torch.rand((batch_size, *self.image_shape), generator=generator) * 2 - 1
        else:
            image = torch.randint(self.levels, (batch_size, *self.image_shape), generator=generator, dtype=torch.uint8)
        classes = self.num_classes
        label = torch.full((batch_size,), -1) if classes is None else torch.arange(batch_size) % classes
        batch: Batch = {"image": image, "label": label}
        if self.vocabulary is not None:
            batch["text"] = torch.randint(1, len(self.vocabulary), (batch_size, self.text_length), generator=generator)
        return self._normalize(batch)
