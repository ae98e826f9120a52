"""The sizes that an image passes through in networks that halve it."""

from lightning_gans.types import ImageShape


def halvings(image_shape: ImageShape, *, until: int) -> list[tuple[int, int]]:
    """List (height, width) from the image's to the smallest: halved, rounding up, at least twice.

    Args:
        image_shape: (channels, height, width).
        until: What the larger side is at most in the end.

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
