"""Data module for a folder of images."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track
from torch import Tensor

from lightning_gans.core.batches import index_batch
from lightning_gans.datamodules.module import DataModule
from lightning_gans.datamodules.splitting import hold_out
from lightning_gans.types import Batch

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
"""File suffixes of images, in lower case; the case of a file name is ignored."""

MIN_PROGRESS_IMAGES = 2000
"""Number of images above which decoding shows a progress bar on a terminal."""


class ImageFolder(DataModule):
    """Serve the images (PNG, JPEG, WebP, BMP) of a folder and its subfolders, each decoded once into memory.

    Images are (channels, height, width), float in [-1, 1] (256 levels). If every image is in a subfolder of `root`, and
    there are at least two such subfolders, the subfolders are the classes, sorted by name. Otherwise there are no
    labels, and `label` is -1. Hidden files and folders, and files with other suffixes, are ignored. The splits depend
    on the relative paths of the images, not on the order in which the file system lists them.

    Each image is decoded in these steps:

    1. rotate it according to its EXIF orientation;
    2. convert it to 8 bits per channel;
    3. composite transparent pixels over white;
    4. scale it to cover the target size (bicubic, antialiased when downscaling);
    5. crop it to the target size around its center.

    Args:
        root: Folder of the images.
        image_size: Target size in pixels: the side of a square, or (height, width); default 64.
        channels: 3 for color (default) or 1 for grayscale (ITU-R 601-2 luma).
        batch_size: Examples per batch in total over all devices, default 64.
        validation_size: Fraction of the images for validation, default 0.05; at least one image.
        test_size: Fraction of the images for testing, default 0.1; at least one image.
        seed: Seed of the order of the training examples, default 0.
        horizontal_flip: Whether to mirror each training image with probability 0.5, default False.
        memory_limit_gb: Maximum memory for the decoded images while they are split, in units of 10^9 bytes, default 16.

    Raises:
        ValueError: If `root` is not a readable folder with at least 3 images, or a size or fraction is out of range; in
            `setup`, if an image cannot be decoded or all images together exceed the memory limit.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as root:
        ...     for name in ("cat", "dog"):
        ...         Path(root, name).mkdir()
        ...         for i in range(5):
        ...             Image.new("RGB", (40, 30), "teal").save(Path(root, name, f"{i}.png"))
        ...     data = ImageFolder(root=root, image_size=16, batch_size=4)
        ...     data.setup()
        >>> data.image_shape, data.class_names, data.sizes
        ((3, 16, 16), ('cat', 'dog'), {'train': 8, 'validation': 1, 'test': 1})
    """

    def __init__(
        self,
        *,
        root: str,
        image_size: int | tuple[int, int] = 64,
        channels: Literal[1, 3] = 3,
        batch_size: int = 64,
        validation_size: float = 0.05,
        test_size: float = 0.1,
        seed: int = 0,
        horizontal_flip: bool = False,
        memory_limit_gb: float = 16.0,
    ) -> None:
        size = tuple(image_size) if isinstance(image_size, Sequence) else (image_size, image_size)
        if len(size) != 2 or not all(isinstance(side, int) and side >= 1 for side in size):
            raise ValueError(
                f"`image_size` must be a number of pixels or (height, width), at least 1, got {image_size}"
            )
        if channels not in {1, 3}:
            raise ValueError(f"`channels` must be 1 (grayscale) or 3 (color), got {channels}")
        for argument, fraction in (("validation_size", validation_size), ("test_size", test_size)):
            if not 0 < fraction < 1:
                raise ValueError(f"`{argument}` is a fraction and must be between 0 and 1, got {fraction}")
        self.root = root
        self.image_shape = (channels, *size)
        self.files = list_images(root)
        if len(self.files) < 3:
            raise ValueError(
                f"`root` {root!r} must contain at least 3 images ({' '.join(sorted(IMAGE_SUFFIXES))}), "
                f"one for each split, got {len(self.files)}"
            )
        self.class_names = find_classes(self.files)
        self.memory_limit_gb = memory_limit_gb
        self._test_count = max(1, round(test_size * len(self.files)))
        validation_count = max(1, round(validation_size * len(self.files)))
        if self._test_count + validation_count >= len(self.files):
            raise ValueError(
                f"`validation_size` {validation_size} and `test_size` {test_size} must leave images for training, "
                f"but take {validation_count} and {self._test_count} of {len(self.files)}"
            )
        super().__init__(
            batch_size=batch_size, validation_size=validation_count, seed=seed, horizontal_flip=horizontal_flip
        )

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Return the settings of decoding and normalization, as plain values for checkpoints."""
        return {
            **super().preprocessing,
            "background": "white",
            "resize": "scaled to cover the size (Pillow bicubic, antialiased), then cropped around the center",
        }

    def load(self) -> tuple[Batch, Batch]:
        """Decode the images and hold out some of them for testing."""
        # splitting copies the decoded images, hence the factor 2
        required_gb = 2 * len(self.files) * int(np.prod(self.image_shape)) / 1e9
        if required_gb > self.memory_limit_gb:
            raise ValueError(
                f"`memory_limit_gb` is {self.memory_limit_gb:g}, but {len(self.files)} images of shape "
                f"{self.image_shape} need {required_gb:.3g} GB: choose a smaller `image_size`, or raise the limit"
            )
        examples: Batch = {
            "image": decode_images([Path(self.root, file) for file in self.files], self.image_shape),
            "label": self._labels(),
        }
        train_indices, test_indices = hold_out(len(self.files), self._test_count, self.name)
        return index_batch(examples, train_indices), index_batch(examples, test_indices)

    def _labels(self) -> Tensor:
        if self.class_names is None:
            return torch.full((len(self.files),), -1)
        class_to_label = {name: label for label, name in enumerate(self.class_names)}
        return torch.tensor([class_to_label[file.split("/")[0]] for file in self.files])


def list_images(root: str) -> list[str]:
    """List the image files in a folder and its subfolders, sorted by path.

    Args:
        root: Folder to search; symbolic links are followed.

    Returns:
        Paths relative to `root`, with forward slashes on every operating system.

    Raises:
        ValueError: If `root` is not a folder, or the folder or one of its subfolders cannot be listed.
    """

    def raise_error(error: OSError) -> None:
        raise ValueError(f"`root` {root!r} cannot be listed: {error}") from error

    if not os.path.isdir(root):
        problem = "is a file" if os.path.exists(root) else "does not exist"
        raise ValueError(f"`root` must be a folder of images, but {root!r} {problem}")
    files = []
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, onerror=raise_error, followlinks=True):
        if (real_path := os.path.realpath(folder)) in visited:  # reached again through a symbolic link
            subfolders.clear()
            continue
        visited.add(real_path)
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files += [
            Path(folder, name).relative_to(root).as_posix()
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
        ]
    return sorted(files)


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
    folders, _, names = zip(*(file.partition("/") for file in files), strict=True)
    return tuple(sorted(set(folders))) if all(names) and len(set(folders)) > 1 else None


def decode_images(files: Sequence[Path], image_shape: tuple[int, ...]) -> Tensor:
    """Decode image files in parallel threads, with a progress bar on a terminal for more than 2,000 images.

    Args:
        files: Paths of the images.
        image_shape: (channels, height, width) of the result.

    Returns:
        (n, channels, height, width) uint8.

    Raises:
        ValueError: At least one image cannot be decoded; the message gives the number of such images and the first
            path.
    """
    images = torch.empty((len(files), *image_shape), dtype=torch.uint8)

    def decode(index: int) -> Exception | None:
        try:
            images[index] = torch.from_numpy(read_image(files[index], image_shape))
        except Exception as error:  # Pillow's decoders raise almost any exception for a damaged file
            return error
        return None

    console = Console(stderr=True)
    with ThreadPoolExecutor() as pool:
        errors = list(
            track(
                pool.map(decode, range(len(files))),
                description="decoding images",
                total=len(files),
                console=console,
                transient=True,
                disable=len(files) <= MIN_PROGRESS_IMAGES or not console.is_terminal,
            )
        )
    failures = [(file, error) for file, error in zip(files, errors, strict=True) if error is not None]
    if failures:
        file, error = failures[0]
        raise ValueError(
            f"{len(failures)} of {len(files)} images cannot be decoded: repair or remove them; "
            f"the first is {str(file)!r} ({' '.join(str(error).split())})"
        ) from error
    return images


def read_image(file: Path, image_shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Decode one image file in the steps that `ImageFolder` documents.

    Args:
        file: Path of the image.
        image_shape: (channels, height, width) of the result.

    Returns:
        (channels, height, width) uint8.
    """
    channels, height, width = image_shape
    with Image.open(file) as opened:
        image: Image.Image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit values instead of scaling them: 65535 / 257 = 255
        image = Image.fromarray((np.asarray(image).astype(np.float64) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    if channels == 1:
        image = image.convert("L")
    image = ImageOps.fit(image, (width, height), method=Image.Resampling.BICUBIC)
    return np.array(image).reshape(height, width, channels).transpose(2, 0, 1)
