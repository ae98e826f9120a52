"""From examples to what people look at: grids, files, animations."""

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
"""(height, width, 3), the form that W&B, TensorBoard and Pillow show as it is."""

SMALLEST_TILE = 64
FRAMES = 120


def to_uint8(image: Tensor) -> Tensor:
    """Turn values in [-1, 1] into levels 0 to 255, rounding to the nearest.

    Example:
        >>> to_uint8(torch.tensor([-1.0, 0.0, 1.0, 1.1]))
        tensor([  0, 128, 255, 255], dtype=torch.uint8)
    """
    return ((image.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def grid(image: Tensor, columns: int) -> RGBImage:
    """Lay images out in rows; small ones are enlarged, pixel by pixel, to at least 64 pixels a side.

    Args:
        image: (n, c, h, w) in [-1, 1]; of more than three channels the first three are shown, of two the first.
        columns: Images in a row.

    Example:
        >>> grid(torch.zeros(6, 1, 8, 8), columns=3).shape
        (134, 200, 3)
    """
    channels, *size = image.shape[1:]
    scale = -(-SMALLEST_TILE // min(size))
    tiles = to_uint8(image[:, : 3 if channels >= 3 else 1]).repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    return make_grid(tiles, nrow=columns, padding=2).permute(1, 2, 0).numpy()  # type: ignore[no-any-return]


def save_image(image: RGBImage, path: Path) -> None:
    """Write an image as PNG, unless the disk is full."""
    with atomic_write(path) as part:
        Image.fromarray(image).save(part, format="PNG")


def save_animation(paths: Sequence[Path], path: Path) -> None:
    """Show images one after the other in a GIF, the last one longer; of many, evenly chosen ones.

    Args:
        paths: Images of one size.
        path: The GIF.
    """
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(len(paths), FRAMES)).round().astype(int))
    frames = [Image.open(paths[i]).convert("RGB") for i in chosen]
    durations = [200] * (len(frames) - 1) + [2000]
    with atomic_write(path) as part:
        frames[0].save(part, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
