"""Bring images to a size: scale to cover, scale to fit, crop, or nothing."""

from typing import Literal

from PIL import Image, ImageOps

Resize = Literal["cover", "fit", "crop", "none"]
"""Way to bring images to a size."""

DESCRIPTIONS: dict[Resize, str] = {
    "cover": "scaled to cover the size (Pillow bicubic, antialiased), then cropped around the center",
    "fit": "scaled to fit into the size (Pillow bicubic, antialiased), then padded with white around the center",
    "crop": "cropped around the center, not scaled",
    "none": "unchanged",
}
"""Description of each way, which checkpoints record."""


def resize_image(image: Image.Image, size: tuple[int, int], resize: Resize) -> Image.Image:
    """Bring an image to a size.

    Args:
        image: Image of any mode that Pillow can scale.
        size: (height, width) in pixels.
        resize: "cover" scales the image to cover the size and crops it around its center. "fit" scales the whole image
            into the size and pads it with white. "crop" crops it around its center without scaling. "none" leaves it
            unchanged.

    Returns:
        Image of the given size.

    Raises:
        ValueError: The image is smaller than the size for "crop", or of another size for "none".

    Example:
        >>> resize_image(Image.new("L", (40, 30)), (16, 16), "fit").getpixel((0, 0))
        255
    """
    height, width = size
    found = f"{image.height} x {image.width} pixels (height x width)"
    match resize:
        case "cover":
            return ImageOps.fit(image, (width, height), method=Image.Resampling.BICUBIC)
        case "fit":
            return _pad(_scale_to_fit(image, size), size)
        case "crop":
            if image.height < height or image.width < width:
                raise ValueError(f"it has {found}, too few to crop {height} x {width} (`resize` cover enlarges images)")
            left, top = (image.width - width) // 2, (image.height - height) // 2
            return image.crop((left, top, left + width, top + height))
        case "none":
            if (image.height, image.width) != (height, width):
                raise ValueError(f"it has {found}, not {height} x {width} as `resize` none requires")
            return image


def _scale_to_fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    scale = min(size[0] / image.height, size[1] / image.width)
    height, width = (max(1, round(side * scale)) for side in (image.height, image.width))
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _pad(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    height, width = size
    padded = Image.new(image.mode, (width, height), "white")
    padded.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return padded
