"""Data module for pairs of an image and a recording."""

import os
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import Tensor

from lightning_gans.datamodules.archives import Folder
from lightning_gans.datamodules.audio import AudioDataModule
from lightning_gans.datamodules.concatenation import ConcatSource
from lightning_gans.datamodules.image_folder import ImageFolder
from lightning_gans.datamodules.metadata import TABLES, read_tables
from lightning_gans.datamodules.module import DataModule, Split
from lightning_gans.datamodules.pairs import Candidates, PairSource
from lightning_gans.datamodules.sources import Source
from lightning_gans.datamodules.vocabulary import Vocabulary
from lightning_gans.types import Batch

MAX_NAMES = 5
"""Classes that an error message names."""


class ImageAndSound(DataModule):
    """Serve pairs of an image and a recording: of the same class, or as a table lists them.

    By default, each image has a recording of its class and split. In training, the recording is drawn in each epoch, as
    a function of the seed, the epoch and the image; everywhere else, the pairs are fixed. The classes of the images and
    of the recordings must have the same names.

    With `pairs`, a table lists the pairs: `metadata.jsonl`, `.csv` or `.parquet` with the columns `image_file_name` and
    `audio_file_name`. `images` is then an `ImageFolder`, whose splits are those of the pairs; the splits of the
    recordings have no effect. If an image has several recordings, one is drawn in each epoch of training, and the first
    is used everywhere else. Labels are those of the images or, if these have none, of the recordings.

    Batches have the keys `image`, `audio`, `label` and, if the images have captions, `text`. An epoch has one pair of
    each image. The batch sizes and the order of the two data modules have no effect.

    Args:
        images: Data module of images, such as `Digits`, `MNIST` or `ImageFolder`.
        audio: Data module of recordings, such as `SpokenDigits` or `AudioFolder`.
        pairs: Folder with the table of the pairs, whose paths are relative to the folder. Default None for pairs of the
            same class.
        batch_size: Pairs per batch in total over all devices, default 64.
        seed: Seed of the order of the training pairs and of their recordings, default 0.

    Raises:
        ValueError: The classes differ, or the table cannot be used; in `setup`, if an image has no recording.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from lightning_gans.audio import write_wav
        >>> from lightning_gans.datamodules import Digits, SpokenDigits
        >>> with TemporaryDirectory() as root:
        ...     for digit in range(10):
        ...         for index in (0, 5, 10):  # for testing, validation and training
        ...             write_wav(Path(root, f"{digit}_ada_{index}.wav"), torch.rand(8000) * 2 - 1, 8000)
        ...     data = ImageAndSound(images=Digits(), audio=SpokenDigits(root=root))
        ...     batch = data.examples("train", 4)
        >>> batch["image"].shape, batch["audio"].shape, data.image_shape, data.audio_shape, data.num_classes
        (torch.Size([4, 1, 8, 8]), torch.Size([4, 1, 64, 64]), (1, 8, 8), (1, 64, 64), 10)
    """

    def __init__(
        self,
        *,
        images: DataModule,
        audio: AudioDataModule,
        pairs: str | None = None,
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, horizontal_flip=images.horizontal_flip)
        if isinstance(images, AudioDataModule) or len(images.image_shape) != 3:
            raise ValueError(f"`images` must be a data module of images, got {images.name}")
        self.images = images
        self.audio = audio
        self.pairs = pairs
        self.image_shape = images.image_shape
        self.levels = images.levels
        self.audio_shape = audio.audio_shape
        self.text_length = images.text_length
        self.class_names = images.class_names or audio.class_names
        if pairs is None:
            _check_classes(images, audio)
        elif not isinstance(images, ImageFolder):
            raise ValueError(f"`pairs` lists files: `images` must be an ImageFolder, got {images.name}")
        else:
            self._table = read_pairs(pairs)

    @property
    def vocabulary(self) -> Vocabulary | None:  # type: ignore[override]
        """Return the words of the captions, if the images have captions."""
        return self.images.vocabulary

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Return the settings of both conversions, as plain values for checkpoints."""
        return {**self.images.preprocessing, **self.audio.preprocessing}

    def prepare_data(self) -> None:
        """Download the data, if a data module does."""
        self.images.prepare_data()
        self.audio.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Read and pair the data on the first call; describe the files before training."""
        super().setup(stage)
        if stage == "fit" and self.trainer is not None and self.trainer.is_global_zero:
            print(self.describe_files(), flush=True)

    def describe_files(self) -> str:
        """Describe the files of the images and of the recordings."""
        return "\n".join(filter(None, [self.images.describe_files(), self.audio.describe_files()]))

    def load(self) -> tuple[Source, Source, Source]:
        """Pair the images of each split with recordings."""
        pair = self._pair_by_class if self.pairs is None else self._pair_by_table
        train, validation, test = (pair(split) for split in get_args(Split))
        return train, validation, test

    def training_source(self) -> Source:
        """Return the training images, each with a recording and, if it has several, a caption, drawn in each epoch."""
        return cast("PairSource", self.source("train")).drawn(self.images.training_source())

    def dummy_batch(self, batch_size: int) -> Batch:
        """Create a batch with the keys, shapes and value ranges of real batches, without reading data.

        Args:
            batch_size: Number of examples.
        """
        labeled = self.images if self.images.class_names is not None else self.audio
        batch = self.images.dummy_batch(batch_size)
        batch["audio"] = self.audio.dummy_batch(batch_size)["audio"]
        batch["label"] = labeled.dummy_batch(batch_size)["label"]
        return batch

    def _pair_by_class(self, split: Split) -> PairSource:
        images, audio = self.images.source(split), self.audio.source(split)
        recorded = audio.column("label")
        labels = self._labels_of_recordings(images.column("label"))
        if unlabeled := int((labels < 0).sum()):
            raise ValueError(f"the {split} split of `images` has {unlabeled} images without a label, hence no partner")
        if missing := sorted(set(labels.tolist()) - set(recorded.tolist())):
            names = ", ".join((self.audio.class_names or ())[label] for label in missing)
            raise ValueError(
                f"the {split} split of `audio` {self.audio.name} has no recording of these classes: {names}; "
                "choose other sizes of the splits, or add recordings"
            )
        candidates = Candidates.same_label(labels, recorded)
        fixed = candidates.draw(torch.arange(len(images)), seed=0)
        return PairSource(images, audio, ("audio",), candidates, fixed=fixed)

    def _labels_of_recordings(self, labels: Tensor) -> Tensor:
        """Return the numbers that the classes of images have among the recordings, -1 if unknown."""
        numbers = {name: number for number, name in enumerate(self.audio.class_names or ())}
        converted = [*(numbers[name] for name in self.images.class_names or ()), -1]
        return torch.tensor(converted)[labels]

    def _pair_by_table(self, split: Split) -> PairSource:
        splits = get_args(Split)
        root, audio_root = Path(cast("ImageFolder", self.images).root), self.audio.folder
        files = [_absolute(root, file) for file in cast("ImageFolder", self.images).files_of(split)]
        recordings = [recording for name in splits for recording in self.audio.recordings(name)]
        numbers = {_absolute(audio_root, recording.file): number for number, recording in enumerate(recordings)}
        partners = [[numbers[name] for name in self._table.get(file, ()) if name in numbers] for file in files]
        if lonely := [file for file, found in zip(files, partners, strict=True) if not found]:
            raise ValueError(
                f"{len(lonely)} of {len(files)} images of the {split} split have no recording in the table of `pairs` "
                f"{self.pairs!r} that `audio` serves, the first is {lonely[0]!r}"
            )
        counts = torch.tensor([len(found) for found in partners], dtype=torch.int64)
        rows = torch.tensor([number for found in partners for number in found], dtype=torch.int64)
        candidates = Candidates.consecutive(counts)._replace(rows=rows)
        keys = ("audio",) if self.images.class_names is not None else ("audio", "label")
        audio = ConcatSource([self.audio.source(name) for name in splits])
        return PairSource(self.images.source(split), audio, keys, candidates, fixed=candidates.first())


def read_pairs(folder: str) -> dict[str, list[str]]:
    """Read a table of pairs.

    Args:
        folder: Folder with `metadata.jsonl`, `.csv` or `.parquet`, which has the columns `image_file_name` and
            `audio_file_name`; `~` is the home folder.

    Returns:
        Absolute paths of the recordings of each image, by the absolute path of the image.

    Raises:
        ValueError: There is no table, it cannot be read, or it lacks a column.
    """
    root = Path(folder).expanduser()
    tables = [name for name in TABLES if (root / name).is_file()]
    found = read_tables(Folder(folder), tables, columns=["image_file_name"])
    if found is None:
        raise ValueError(f"`pairs` must be a folder with one of {', '.join(TABLES)}, got {folder!r}")
    images: dict[str, list[str]] = {}
    for image, rows in found.items():
        names = [row.get("audio_file_name") for row in rows]
        if not all(isinstance(name, str) and name for name in names):
            raise ValueError(
                f"the table of `pairs` {folder!r} must have a column `audio_file_name` with a path in each row, "
                f"but {image!r} has none"
            )
        images[_absolute(root, image)] = [_absolute(root, str(name)) for name in names]
    return images


def _absolute(root: Path, file: str) -> str:
    """Return the path of a file without links in its root, and without steps to a parent folder."""
    return os.path.normpath(root.expanduser().resolve() / file)


def _check_classes(images: DataModule, audio: DataModule) -> None:
    for name, data in (("images", images), ("audio", audio)):
        if data.class_names is None:
            raise ValueError(f"`{name}` {data.name} has no classes, by which images and recordings are paired")
    given, recorded = set(images.class_names or ()), set(audio.class_names or ())
    differences = ((images.name, given - recorded), (audio.name, recorded - given))
    if listed := [f"only {name} has {_enumerate(names)}" for name, names in differences if names]:
        raise ValueError(f"`images` and `audio` must have the same class names, but {' and '.join(listed)}")


def _enumerate(names: set[str]) -> str:
    shown = sorted(names)[:MAX_NAMES]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} others" if more else "")
