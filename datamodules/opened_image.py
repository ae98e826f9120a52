"""Images that are decoded, but not yet in the form of a data set."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from lightning_gans.datamodules.resizing import Resize, resize_image
from lightning_gans.datamodules.value_range import Extremes, Range, find_extremes, to_eight_bits


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Description of an image file.

    Attributes:
        kind: Kind of the content: Pillow's name of the format, or "npy".
        size: (height, width) in pixels, before rotation.
        mode: Pillow's name of the mode, or the type and the number of channels of an array.
        notes: Conversions of the image.
    """

    kind: str
    size: tuple[int, int]
    mode: str
    notes: tuple[str, ...] = ()


class ImageTarget(NamedTuple):
    """Form into which images are brought.

    Attributes:
        channels: Number of channels.
        size: (height, width) in pixels.
        resize: Way to bring an image to the size.
    """

    channels: int
    size: tuple[int, int]
    resize: Resize = "cover"


class OpenedImage(NamedTuple):
    """An image that is decoded and upright, but not yet scaled to 8 bits and resized.

    Attributes:
        pixels: Opaque image of mode L or RGB, or array (h, w, c).
        info: Description of the file.
        alpha: (h, w) opacity in [0, 1] of an array; None if it is opaque.
    """

    pixels: Image.Image | npt.NDArray[Any]
    info: ImageInfo
    alpha: npt.NDArray[np.float64] | None = None

    @property
    def extremes(self) -> Extremes | None:
        """Return the smallest and the largest value of an image of more than 8 bits; None for 8 bits."""
        if isinstance(self.pixels, Image.Image) or self.pixels.dtype == np.uint8:
            return None
        return find_extremes(self.pixels)

    def finish(self, target: ImageTarget, value_range: Range | None = None) -> npt.NDArray[np.uint8]:
        """Scale the values to 8 bits, composite transparent pixels over white, convert the channels and resize.

        Args:
            target: Form of the result.
            value_range: Values that become black and white; required for more than 8 bits, unused for 8 bits.

        Returns:
            (channels, height, width) uint8.

        Raises:
            ValueError: The number of channels or the size does not fit.
        """
        image = self.pixels
        if isinstance(image, np.ndarray):
            levels = image if value_range is None else to_eight_bits(image, value_range)
            image = _as_image(levels if self.alpha is None else _composite(levels, self.alpha), target.channels)
        if isinstance(image, np.ndarray):
            planes = [Image.fromarray(np.ascontiguousarray(image[..., channel])) for channel in range(image.shape[2])]
            return np.stack([np.asarray(resize_image(plane, target.size, target.resize)) for plane in planes])
        if target.channels not in (1, 3):
            raise ValueError(f"it has {len(image.getbands())} channels, but `channels` is {target.channels}")
        mode = "L" if target.channels == 1 else "RGB"
        converted = image if image.mode == mode else image.convert(mode)
        resized = np.asarray(resize_image(converted, target.size, target.resize))
        return resized.reshape(*target.size, target.channels).transpose(2, 0, 1)


def _as_image(levels: npt.NDArray[np.uint8], channels: int) -> Image.Image | npt.NDArray[np.uint8]:
    """Return an array of gray or color for gray or color as an image, and other arrays unchanged."""
    found = levels.shape[2]
    if {found, channels} <= {1, 3}:
        return Image.fromarray(np.ascontiguousarray(levels[..., 0] if found == 1 else levels))
    if found != channels:
        raise ValueError(f"it has {found} channels, but `channels` is {channels}")
    return levels


def _composite(levels: npt.NDArray[np.uint8], alpha: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    opacity = alpha[..., None]
    return (levels * opacity + 255 * (1 - opacity)).round().astype(np.uint8)
