"""A folder of images."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track
from torch import Tensor

from lightning_gans.datamodules.module import DataModule, index_batch
from lightning_gans.datamodules.splitting import hold_out
from lightning_gans.errors import one_line
from lightning_gans.types import Batch

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
"""What an image's file name ends with, in any case."""


class ImageFolder(DataModule):
    """Serve the images (PNG, JPEG, WebP, BMP) in a folder and its subfolders, each decoded once.

    If every image lies in a subfolder of `root` and there are two or more of these, they are the classes, sorted by
    name; else there are no labels. Hidden files and folders, and files that are no images, are passed over. The
    splits are a function of the images' names, not of the order in which the file system lists them.

    Each image is turned as its EXIF data say, composited over white where it is transparent, reduced to 8 bits per
    channel, scaled to cover the target size (bicubic, with antialiasing where it is made smaller), and cropped to it
    around its center.

    Args:
        root: The folder.
        image_size: The side of a square, or (height, width), in pixels.
        channels: 3 for color, 1 for gray (ITU-R 601-2 luma).
        batch_size: Examples per batch, in total over all devices.
        validation_size: The fraction of the images for validation; at least one image.
        test_size: The fraction of the images for testing; at least one image.
        seed: The order of the training examples.
        horizontal_flip: Whether training images are mirrored at random, each for itself.
        memory_limit_gb: The memory that the decoded images may take while they are split, in 10^9 bytes.

    Raises:
        ValueError: If `root` is no readable folder with at least 3 images, if a size or fraction is out of range;
            at `setup`, if an image cannot be decoded or all of them together exceed the memory limit.

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
            raise ValueError(f"`channels` must be 1 (gray) or 3 (color), got {channels}")
        for argument, fraction in (("validation_size", validation_size), ("test_size", test_size)):
            if not 0 < fraction < 1:
                raise ValueError(f"`{argument}` is a fraction and must be between 0 and 1, got {fraction}")
        self.root = root
        self.image_shape = (channels, *size)
        self.files = list_images(root)
        if len(self.files) < 3:
            raise ValueError(
                f"`root` {root!r} must hold at least 3 images ({' '.join(sorted(SUFFIXES))}), "
                f"one each to train, validate and test, got {len(self.files)}"
            )
        self.class_names = class_folders(self.files)
        self.memory_limit_gb = memory_limit_gb
        self._test_count = max(1, round(test_size * len(self.files)))
        validation_count = max(1, round(validation_size * len(self.files)))
        if self._test_count + validation_count >= len(self.files):
            raise ValueError(
                f"`validation_size` {validation_size} and `test_size` {test_size} must leave images to train on, "
                f"but take {validation_count} and {self._test_count} of {len(self.files)}"
            )
        super().__init__(
            batch_size=batch_size, validation_size=validation_count, seed=seed, horizontal_flip=horizontal_flip
        )

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How files become what a model sees: plain values, for checkpoints."""
        return {
            **super().preprocessing,
            "background": "white",
            "resize": "scaled to cover the size (Pillow bicubic, antialiased), then cropped around the center",
        }

    def load(self) -> tuple[Batch, Batch]:
        """Decode the images and set some of them aside for testing."""
        # twice: splitting copies what was decoded
        needed = 2 * len(self.files) * int(np.prod(self.image_shape)) / 1e9
        if needed > self.memory_limit_gb:
            raise ValueError(
                f"`memory_limit_gb` is {self.memory_limit_gb:g}, but {len(self.files)} images of shape "
                f"{self.image_shape} take {needed:.3g} GB: choose a smaller `image_size`, or raise the limit"
            )
        examples: Batch = {
            "image": decode([Path(self.root, file) for file in self.files], self.image_shape),
            "label": self._labels(),
        }
        kept, held = hold_out(len(self.files), self._test_count, self.name)
        return index_batch(examples, kept), index_batch(examples, held)

    def _labels(self) -> Tensor:
        if self.class_names is None:
            return torch.full((len(self.files),), -1)
        number = {name: i for i, name in enumerate(self.class_names)}
        return torch.tensor([number[file.split("/")[0]] for file in self.files])


def list_images(root: str) -> list[str]:
    """List the images in a folder and its subfolders, sorted by their paths.

    Args:
        root: The folder.

    Returns:
        Paths relative to `root`, with forward slashes on every system.

    Raises:
        ValueError: If `root` is no folder, or it or a subfolder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise ValueError(f"`root` {root!r} cannot be listed: {error}") from error

    if not os.path.isdir(root):
        problem = "is a file" if os.path.exists(root) else "does not exist"
        raise ValueError(f"`root` must be a folder of images, but {root!r} {problem}")
    files = []
    listed: set[str] = set()
    for folder, subfolders, names in os.walk(root, onerror=refuse, followlinks=True):
        if (real := os.path.realpath(folder)) in listed:  # a link that leads back
            subfolders.clear()
            continue
        listed.add(real)
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files += [
            Path(folder, name).relative_to(root).as_posix()
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES
        ]
    return sorted(files)


def class_folders(files: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names of the classes that a listing shows, or None if it shows none.

    Args:
        files: Paths with forward slashes.

    Example:
        >>> class_folders(["dog/1.png", "cat/1.png", "cat/small/2.png"])
        ('cat', 'dog')
        >>> class_folders(["dog/1.png", "2.png"])
    """
    folders, _, names = zip(*(file.partition("/") for file in files), strict=True)
    return tuple(sorted(set(folders))) if all(names) and len(set(folders)) > 1 else None


def decode(files: Sequence[Path], image_shape: tuple[int, ...]) -> Tensor:
    """Decode images side by side, in threads, with a progress bar on a terminal if they are many.

    Args:
        files: The images' paths.
        image_shape: (channels, height, width) that each is brought to.

    Returns:
        (n, channels, height, width), uint8.

    Raises:
        ValueError: If any of them cannot be decoded: names the first, and counts them.
    """
    images = torch.empty((len(files), *image_shape), dtype=torch.uint8)

    def fill(place: int) -> Exception | None:
        try:
            images[place] = torch.from_numpy(read_image(files[place], image_shape))
        except Exception as error:  # a damaged file can make Pillow's decoders raise almost anything
            return error
        return None

    console = Console(stderr=True)
    with ThreadPoolExecutor() as pool:
        errors = list(
            track(
                pool.map(fill, range(len(files))),
                description="decoding images",
                total=len(files),
                console=console,
                transient=True,
                disable=len(files) <= 2000 or not console.is_terminal,
            )
        )
    bad = [(file, error) for file, error in zip(files, errors, strict=True) if error is not None]
    if bad:
        file, error = bad[0]
        raise ValueError(
            f"{len(bad)} of {len(files)} images cannot be decoded: repair or remove them; "
            f"the first is {str(file)!r} ({one_line(error)})"
        ) from error
    return images


def read_image(file: Path, image_shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Decode one image, by the rule that `ImageFolder` states.

    Args:
        file: The image's path.
        image_shape: (channels, height, width) that it is brought to.

    Returns:
        (channels, height, width), uint8.
    """
    channels, height, width = image_shape
    with Image.open(file) as opened:
        image: Image.Image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):
        # 16 bits, which Pillow's own conversion would clip instead of scale: 65535 / 257 = 255
        image = Image.fromarray((np.asarray(image).astype(np.float64) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    if channels == 1:
        image = image.convert("L")
    image = ImageOps.fit(image, (width, height), method=Image.Resampling.BICUBIC)
    return np.array(image).reshape(height, width, channels).transpose(2, 0, 1)
