"""Sizes of the feature maps in networks that repeatedly halve an image."""

from lightning_gans.types import ImageShape


def halvings(image_shape: ImageShape, *, until: int) -> list[tuple[int, int]]:
    """List the sizes (height, width) from the image to the smallest: halved, rounding up, at least twice.

    Args:
        image_shape: (channels, height, width).
        until: Upper bound of the larger side of the smallest size.

    Example:
        >>> halvings((1, 28, 20), until=4)
        [(28, 20), (14, 10), (7, 5), (4, 3)]
        >>> halvings((1, 8, 8), until=8)
        [(8, 8), (4, 4), (2, 2)]
    """
    _, height, width = image_shape
    sizes = [(height, width)]
    while len(sizes) < 3 or max(sizes[-1]) > until:
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes.append((height, width))
    return sizes
