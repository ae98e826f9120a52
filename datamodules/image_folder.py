"""Data module for a folder or a zip archive of images."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning.utilities import rank_zero_warn

from lightning_gans.core.batches import index_batch
from lightning_gans.datamodules.archives import open_tree
from lightning_gans.datamodules.bad_files import printable, write_bad_files
from lightning_gans.datamodules.folder_layout import read_layout
from lightning_gans.datamodules.folder_summary import FolderSummary, summarize
from lightning_gans.datamodules.image_decoding import DecodedFiles, decode_into
from lightning_gans.datamodules.image_files import IMAGE_SUFFIXES
from lightning_gans.datamodules.module import DataModule
from lightning_gans.datamodules.resizing import DESCRIPTIONS, Resize
from lightning_gans.datamodules.splitting import split_by_content
from lightning_gans.datamodules.value_range import ValueRange
from lightning_gans.types import Batch

MIN_SCORED_IMAGES = 6
"""Images that a validation split needs for a score: more than the 5 neighbors of precision and recall."""


class ImageFolder(DataModule):
    """Serve the images of a folder with its subfolders, or of a zip archive, each decoded once into memory.

    Images are (channels, height, width), float in [-1, 1] (256 levels). Files are JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF
    or `.npy`. The content of a file determines its kind; hidden files and other suffixes are left out. `summary`
    reports everything that was found, converted, skipped or left out; it is printed before training.

    Labels are read from the column `label` of `metadata.csv`, `.jsonl` or `.parquet` (Hugging Face's `imagefolder`), or
    from `dataset.json` (StyleGAN). With neither, the subfolders are the classes, sorted by name, if every image is in
    one, and if there are at least two. Otherwise `label` is -1.

    If the top-level folders are named `train`, `validation` and `test` (or `training`, `valid`, `dev`, `val`,
    `testing`, `eval`, `evaluation`), they are the splits. A split without a folder is taken from the training images by
    a hash of each decoded image. Adding or removing an image therefore moves no other image to another split, and exact
    duplicates are in the same split.

    Each image is decoded in these steps:

    1. take the first frame or page, and rotate it according to its EXIF orientation; color profiles are not applied;
    2. scale it to 8 bits per channel by `value_range`, if it has more;
    3. composite transparent pixels over white, unless the transparency is one of `channels`;
    4. convert it to color or gray;
    5. bring it to the size by `resize`.

    Args:
        root: Folder or zip archive of the images; `~` is the home folder.
        image_size: Target size in pixels: the side of a square, or (height, width); default 64.
        channels: 3 for color (default) or 1 for grayscale (ITU-R 601-2 luma). Any other number is for `.npy` and TIFF
            files with that number of channels, or for color or gray images with transparency (4 or 2).
        resize: "cover" (default) scales an image to cover the size and crops it around its center. "fit" scales the
            whole image into the size and pads it with white. "crop" crops it without scaling. "none" requires images of
            the size. Scaling is bicubic, antialiased when downscaling.
        value_range: Values that become black and white in images of more than 8 bits, as (low, high). "auto" (default)
            finds them over all images: the smallest of 8, 10, 12, 14 or 16 bits for integers; [0, 1], [-1, 1] or
            [0, 255] for floating-point numbers; otherwise the smallest and the largest value.
        on_error: "stop" (default) raises an error if a file cannot be used, "skip" continues without it. Both list all
            such files in `<root>.bad_files.txt`, next to `root` or in the current folder.
        batch_size: Examples per batch in total over all devices, default 64.
        validation_size: Fraction of the images for validation, default 0.05; 0 for none.
        test_size: Fraction of the images for testing, default 0.1.
        seed: Seed of the order of the training examples, default 0.
        horizontal_flip: Whether to mirror each training image with probability 0.5, default False.
        memory_limit_gb: Maximum memory for the decoded images while they are split, in units of 10^9 bytes, default 16.
        **kwargs: Further arguments of `DataModule`, such as `labels_per_class`.

    Attributes:
        summary: Summary of the folder; the images are decoded on first access.

    Raises:
        ValueError: If `root` is not a readable folder or archive with at least 3 images, its metadata cannot be read,
            or an argument is out of range; in `setup`, if an image cannot be decoded or all images together exceed the
            memory limit.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as root:
        ...     for name in ("cat", "dog"):
        ...         Path(root, name).mkdir()
        ...         for i in range(50):
        ...             Image.new("RGB", (40, 30), (i, 0, len(name))).save(Path(root, name, f"{i}.png"))
        ...     data = ImageFolder(root=root, image_size=16, batch_size=4)
        ...     data.setup()
        >>> data.image_shape, data.class_names, sum(data.sizes.values())
        ((3, 16, 16), ('cat', 'dog'), 100)
    """

    def __init__(
        self,
        *,
        root: str,
        image_size: int | tuple[int, int] = 64,
        channels: int = 3,
        resize: Resize = "cover",
        value_range: ValueRange = "auto",
        on_error: Literal["stop", "skip"] = "stop",
        batch_size: int = 64,
        validation_size: float = 0.05,
        test_size: float = 0.1,
        seed: int = 0,
        horizontal_flip: bool = False,
        memory_limit_gb: float = 16.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, horizontal_flip=horizontal_flip, **kwargs)
        size = tuple(image_size) if isinstance(image_size, Sequence) else (image_size, image_size)
        if len(size) != 2 or not all(isinstance(side, int) and side >= 1 for side in size):
            raise ValueError(
                f"`image_size` must be a number of pixels or (height, width), at least 1, got {image_size}"
            )
        if channels < 1:
            raise ValueError(f"`channels` must be at least 1, got {channels}")
        _check_choice("resize", resize, DESCRIPTIONS)
        _check_choice("on_error", on_error, ("stop", "skip"))
        _check_fractions(validation_size, test_size)
        self.root = root
        self.image_shape = (channels, *size)
        self.resize = resize
        self.value_range = _checked_range(value_range)
        self.on_error = on_error
        self.memory_limit_gb = memory_limit_gb
        self._fractions = {"test": test_size, "validation": validation_size}
        self._summary: FolderSummary | None = None
        self._printed = False
        self._tree = open_tree(root)
        self._layout = read_layout(self._tree)
        self.files = self._layout.files
        self.class_names = self._layout.class_names
        if len(self.files) < 3:
            raise ValueError(
                f"`root` {root!r} must contain at least 3 images ({' '.join(sorted(IMAGE_SUFFIXES))}), "
                f"got {len(self.files)}"
            )

    @property
    def summary(self) -> FolderSummary:
        """Return the summary of the folder; the images are decoded on first access."""
        self._load_splits()
        assert self._summary is not None
        return self._summary

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Return the settings of decoding and normalization, as plain values for checkpoints."""
        ranges = {} if self._summary is None else self._summary.ranges
        return {
            **super().preprocessing,
            "background": "white",
            "resize": DESCRIPTIONS[self.resize],
            "value_ranges": {dtype: list(value_range) for dtype, value_range in ranges.items()},
        }

    def setup(self, stage: str | None = None) -> None:
        """Decode and split the images on the first call; print the summary before training."""
        super().setup(stage)
        if self.trainer is not None and self.trainer.is_global_zero and stage == "fit" and not self._printed:
            print(self.summary.text(short=True), flush=True)
            self._printed = True

    def describe_files(self) -> str:
        """Describe the images that were found, what was converted, and what was skipped."""
        return self.summary.text()

    def load(self) -> tuple[Batch, Batch, Batch]:
        """Decode the images and divide them among the splits."""
        self._check_memory()
        image = torch.empty((len(self.files), *self.image_shape), dtype=torch.uint8)
        decoded = decode_into(image.numpy(), self.files, self._tree, resize=self.resize, value_range=self.value_range)
        bad_files = self._list_errors(decoded)
        splits = self._split(decoded)
        given = set(self._layout.splits or ())
        source = {name: "folder" if name in given else "content" for name in splits}
        self._summary = summarize(
            self.root, self._layout, decoded, splits=splits, split_source=source, bad_files=bad_files
        )
        if self._fractions["validation"] and len(splits["validation"]) < MIN_SCORED_IMAGES:
            rank_zero_warn(
                f"{len(splits['validation'])} validation images are too few for scores during training, which need "
                f"{MIN_SCORED_IMAGES}: raise `validation_size` {self._fractions['validation']:g}, or add images"
            )
        examples: Batch = {"image": image, "label": torch.tensor(self._layout.labels)}
        train, validation, test = (
            index_batch(examples, torch.from_numpy(splits[name])) for name in ("train", "validation", "test")
        )
        return train, validation, test

    def _check_memory(self) -> None:
        # splitting copies the decoded images, hence the factor 2
        required_gb = 2 * len(self.files) * int(np.prod(self.image_shape)) / 1e9
        if required_gb > self.memory_limit_gb:
            raise ValueError(
                f"`memory_limit_gb` is {self.memory_limit_gb:g}, but {len(self.files)} images of shape "
                f"{self.image_shape} need {required_gb:.3g} GB: choose a smaller `image_size`, or raise the limit"
            )

    def _list_errors(self, decoded: DecodedFiles) -> Path | None:
        """Write the list of the files that cannot be used; raise an error unless they are to be skipped."""
        errors = self._layout.errors | {self.files[index]: reason for index, reason in decoded.errors.items()}
        if not errors:
            return None
        path = write_bad_files(self._tree.path, errors)
        first = min(errors)
        if self.on_error == "stop" or not decoded.infos:
            listed = "" if path is None else f"; all are listed in {str(path)!r}"
            raise ValueError(
                f"{len(errors)} of {len(self.files) + len(self._layout.errors)} images cannot be decoded: repair or "
                f"remove them, or set `on_error` to skip{listed}; the first is "
                f"{printable(f'{self._tree.path}/{first}')!r} ({errors[first]})"
            )
        return path

    def _split(self, decoded: DecodedFiles) -> dict[str, npt.NDArray[np.int64]]:
        """Return the indices of the images of each split, in the order of their hashes, which is random."""
        good = decoded.good[np.argsort(decoded.hashes[decoded.good], kind="stable")]
        given = np.array(self._layout.splits or ["train"] * len(self.files))
        folders = {name: good[given[good] == name] for name in set(given.tolist())}
        missing = {name: fraction for name, fraction in self._fractions.items() if name not in folders}
        train = folders.pop("train")
        by_content = split_by_content(decoded.hashes[train], missing)
        splits = folders | {name: train[indices.numpy()] for name, indices in by_content.items()}
        return {name: splits[name] for name in ("train", "validation", "test")}


def _check_choice(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(choices)}, got {value!r}")


def _check_fractions(validation_size: float, test_size: float) -> None:
    if not 0 <= validation_size < 1:
        raise ValueError(f"`validation_size` is a fraction and must be between 0 and 1, got {validation_size}")
    if not 0 < test_size < 1:
        raise ValueError(f"`test_size` is a fraction and must be between 0 and 1, got {test_size}")
    if validation_size + test_size >= 1:
        raise ValueError(
            f"`validation_size` {validation_size} and `test_size` {test_size} must leave images for training, "
            f"but add up to {validation_size + test_size:g}"
        )


def _checked_range(value_range: ValueRange) -> ValueRange:
    if value_range == "auto":
        return value_range
    if isinstance(value_range, str) or len(value_range) != 2 or not value_range[0] < value_range[1]:
        raise ValueError(f"`value_range` must be auto or [low, high] with low < high, got {value_range!r}")
    return float(value_range[0]), float(value_range[1])
