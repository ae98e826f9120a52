"""Data module for a folder or a zip archive of images."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from pytorch_lightning.utilities import rank_zero_warn

from lightning_gans.datamodules.annotated import AnnotatedSource
from lightning_gans.datamodules.archives import FileTree, open_tree
from lightning_gans.datamodules.bad_files import printable, write_bad_files
from lightning_gans.datamodules.decoded_files import DecodedFiles
from lightning_gans.datamodules.folder_layout import FolderLayout, read_layout
from lightning_gans.datamodules.folder_summary import FolderSummary, summarize
from lightning_gans.datamodules.image_files import IMAGE_SUFFIXES
from lightning_gans.datamodules.image_storage import store_images
from lightning_gans.datamodules.module import DataModule, Split
from lightning_gans.datamodules.opened_image import ImageTarget
from lightning_gans.datamodules.options import check_choice
from lightning_gans.datamodules.resizing import DESCRIPTIONS, Resize
from lightning_gans.datamodules.sources import Examples, Subset
from lightning_gans.datamodules.splitting import check_fractions, split_files
from lightning_gans.datamodules.storage import CACHE, Storage, choose_storage
from lightning_gans.datamodules.value_range import ValueRange, checked_range

MIN_SCORED_IMAGES = 6
"""Images that a validation split needs for a score: more than the 5 neighbors of precision and recall."""

MIN_PART_IMAGES = 20
"""Images that a part of a folder must have, so that some of them are in the training split."""


class ImageFolder(DataModule):
    """Serve the images of a folder with its subfolders, or of a zip archive.

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

    Each image is decoded once. Images that fit into `memory_limit_gb` are in memory. Otherwise they are in a
    memory-mapped file in `cache`, which later runs open at once; a changed file or option makes a new one. The first
    line of a run states the storage. All storages serve the same batches.

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
        storage: "memory", "mapped", "auto" (default) for one of them by size, or "workers", which decodes the images
            again for every batch, so that they need neither memory nor disk space.
        memory_limit_gb: Maximum size of the decoded images in memory for "auto", in units of 10^9 bytes, default 16.
        cache: Folder of the decoded images of "mapped", and of the facts about the files of "workers", default
            "~/.cache/lightning-gans".
        **kwargs: Further arguments of `DataModule`: `num_workers` of "workers", `labels_per_class`.

    Attributes:
        summary: Summary of the folder; the images are decoded on first access.

    Raises:
        ValueError: If `root` is not a readable folder or archive with at least 3 images, its metadata cannot be read,
            or an argument is out of range; in `setup`, if an image cannot be decoded or the cache cannot be written.

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
        storage: Storage = "auto",
        memory_limit_gb: float = 16.0,
        cache: str = CACHE,
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
        check_choice(DESCRIPTIONS, resize=resize)
        check_choice(("stop", "skip"), on_error=on_error)
        check_fractions(validation_size, test_size)
        self.root = root
        self.image_shape = (channels, *size)
        self.resize = resize
        self.value_range = checked_range(value_range)
        self.on_error = on_error
        self.cache = cache
        self._fractions = {"test": test_size, "validation": validation_size}
        self._summary: FolderSummary | None = None
        self._printed = False
        self._is_part = False
        self._split_files: dict[Split, list[str]] = {}
        self._tree, self._layout = self.open_files()
        self.files = self._layout.files
        self.class_names = self._layout.class_names
        if len(self.files) < 3:
            raise ValueError(
                f"`root` {root!r} must contain at least 3 images ({' '.join(sorted(IMAGE_SUFFIXES))}), "
                f"got {len(self.files)}"
            )
        self._storage = choose_storage(storage, len(self.files) * math.prod(self.image_shape), memory_limit_gb)

    def open_files(self) -> tuple[FileTree, FolderLayout]:
        """Open `root`, and find its images, labels and splits; a subclass may read them from another place."""
        tree = open_tree(self.root)
        return tree, read_layout(tree)

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

    def prepare_data(self) -> None:
        """Fill the cache in one process; the other processes of a machine wait and open it."""
        if self._storage != "memory":
            self._load_splits()

    def setup(self, stage: str | None = None) -> None:
        """Decode and split the images on the first call; print the summary before training."""
        super().setup(stage)
        if self.trainer is not None and self.trainer.is_global_zero and stage == "fit" and not self._printed:
            print(self.summary.text(short=True), flush=True)
            self._printed = True

    def take_part(self, number: int, count: int) -> None:
        """Serve one of several disjoint parts of the images only, before they are decoded; the splits are unchanged.

        Args:
            number: Number of the part, from 1.
            count: Number of parts.

        Raises:
            ValueError: The parts have too few images.
        """
        if len(self.files) < count * MIN_PART_IMAGES:
            raise ValueError(
                f"`root` {self.root!r} has {len(self.files)} images, too few for {count} parts of {MIN_PART_IMAGES}"
            )
        self._layout = self._layout.part(number, count)
        self.files = self._layout.files
        self._is_part = count > 1

    def files_of(self, split: Split) -> tuple[str, ...]:
        """Return the path of each image of a split relative to `root`, in the order of `examples`.

        Args:
            split: "train", "validation" or "test".
        """
        self._load_splits()
        return tuple(self._split_files[split])

    def describe_files(self) -> str:
        """Describe the images that were found, what was converted, and what was skipped."""
        return self.summary.text()

    def load(self) -> tuple[Examples, Examples, Examples]:
        """Decode the images, or open the cache, and divide them among the splits."""
        channels, height, width = self.image_shape
        images, decoded = store_images(
            self.files,
            self._tree,
            ImageTarget(channels, (height, width), self.resize),
            value_range=self.value_range,
            storage=self._storage,
            cache=self.cache,
            num_workers=self.num_workers,
            check=self._list_errors,
        )
        if self._is_part and self.value_range == "auto" and decoded.ranges:
            found = next(iter(decoded.ranges.values()))
            raise ValueError(f"`value_range` auto looks at all images, not at a part: set it, such as {list(found)}")
        splits = split_files(decoded.hashes, decoded.good, self._layout.splits, self._fractions)
        self._split_files = {name: [self.files[index] for index in splits[name]] for name in get_args(Split)}
        given = set(self._layout.splits or ())
        source = {name: "folder" if name in given else "content" for name in splits}
        self._summary = summarize(
            self.root,
            self._layout,
            decoded,
            splits=splits,
            split_source=source,
            bad_files=self._list_errors(decoded),
        )
        if self._fractions["validation"] and not self._is_part and len(splits["validation"]) < MIN_SCORED_IMAGES:
            rank_zero_warn(
                f"{len(splits['validation'])} validation images are too few for scores during training, which need "
                f"{MIN_SCORED_IMAGES}: raise `validation_size` {self._fractions['validation']:g}, or add images"
            )
        examples = AnnotatedSource(images, {"label": torch.tensor(self._layout.labels)}, decoded.hashes)
        train, validation, test = (
            Subset(examples, torch.from_numpy(splits[name])) for name in ("train", "validation", "test")
        )
        return train, validation, test

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
