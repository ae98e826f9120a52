"""Image grids, image files and animations."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from lightning_gans.files import atomic_write

RGBImage = npt.NDArray[np.uint8]
"""(height, width, 3) uint8, the format that W&B, TensorBoard and Pillow display without conversion."""

MIN_TILE_SIZE = 64
"""Minimum side of an image in a grid, in pixels."""

PADDING = 2
"""Width of the black lines between the images of a grid, in pixels."""

MAX_FRAMES = 120
"""Maximum number of frames in an animation."""


def to_uint8(image: Tensor) -> Tensor:
    """Convert values in [-1, 1] to the levels 0 to 255, rounded to the nearest level and clamped.

    Args:
        image: Tensor of any shape.

    Returns:
        uint8 tensor of the same shape on the CPU.

    Example:
        >>> to_uint8(torch.tensor([-1.0, 0.0, 1.0, 1.1]))
        tensor([  0, 128, 255, 255], dtype=torch.uint8)
    """
    return ((image.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def grid(image: Tensor, columns: int) -> RGBImage:
    """Arrange images in a grid; small images are enlarged by an integer factor to at least 64 pixels per side.

    Args:
        image: (n, c, h, w) in [-1, 1]. Of three or more channels the first three are shown, otherwise the first.
        columns: Number of images per row.

    Example:
        >>> grid(torch.zeros(6, 1, 8, 8), columns=3).shape
        (134, 200, 3)
    """
    scale = tile_scale(image.shape[-2:])
    tiles = to_uint8(_shown(image)).repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    arranged: RGBImage = make_grid(tiles, nrow=columns, padding=PADDING).permute(1, 2, 0).numpy()
    return arranged


def to_rgb(image: Tensor) -> RGBImage:
    """Convert images to RGB.

    Args:
        image: (n, c, h, w) in [-1, 1]. Of three or more channels the first three are shown, otherwise the first.

    Returns:
        (n, h, w, 3) uint8.

    Example:
        >>> to_rgb(torch.zeros(6, 1, 8, 8)).shape
        (6, 8, 8, 3)
    """
    converted: RGBImage = to_uint8(_shown(image)).permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()
    return converted


def side_by_side(left: Tensor, right: Tensor) -> Tensor:
    """Join images in pairs, as RGB; the lower of the two is enlarged to the height of the other.

    Args:
        left: (n, c, h, w) in [-1, 1]. Of three or more channels the first three are shown, otherwise the first.
        right: (n, c, h, w) in [-1, 1], of any number of channels and any size.

    Returns:
        (n, 3, h, w) in [-1, 1].

    Example:
        >>> side_by_side(torch.zeros(2, 1, 8, 8), torch.zeros(2, 3, 64, 48)).shape
        torch.Size([2, 3, 64, 112])
    """
    height = max(left.shape[2], right.shape[2])
    return torch.cat([_enlarge(_shown(image), height).expand(-1, 3, -1, -1) for image in (left, right)], dim=3)


def _enlarge(image: Tensor, height: int) -> Tensor:
    width = round(image.shape[3] * height / image.shape[2])
    return torch.nn.functional.interpolate(image, (height, width), mode="nearest-exact")


def _shown(image: Tensor) -> Tensor:
    return image[:, : 3 if image.shape[1] >= 3 else 1]


def tile_scale(size: Sequence[int]) -> int:
    """Compute the factor by which `grid` enlarges images of a height and width."""
    return -(-MIN_TILE_SIZE // min(size))


def save_image(image: RGBImage, path: Path) -> None:
    """Save an image as PNG; a write error is only a warning.

    Args:
        image: (height, width, 3) uint8.
        path: Path of the PNG file.
    """
    with atomic_write(path) as part:
        Image.fromarray(image).save(part, format="PNG")


def save_animation(paths: Sequence[Path], path: Path) -> None:
    """Save images as the frames of a looping GIF: 0.2 seconds per frame, 2 seconds for the last frame.

    Of more than 120 images, 120 evenly spaced images are used. A write error is only a warning.

    Args:
        paths: Paths of images of equal size.
        path: Path of the GIF file.
    """
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(len(paths), MAX_FRAMES)).round().astype(int))
    frames = [Image.open(paths[i]).convert("RGB") for i in chosen]
    durations = [200] * (len(frames) - 1) + [2000]
    with atomic_write(path) as part:
        frames[0].save(part, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
