"""What the networks refuse, in the same words everywhere."""

import math

from lightning_gans.types import ImageShape


def check_positive(**sizes: int) -> None:
    """Refuse sizes below 1.

    Args:
        **sizes: By the names of the arguments that held them.

    Raises:
        ValueError: If one is below 1.

    Example:
        >>> check_positive(latent_dim=64, width=0)
        Traceback (most recent call last):
        ValueError: `width` must be at least 1, got 0
    """
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"`{name}` must be at least 1, got {size}")


def check_image_shape(image_shape: ImageShape) -> None:
    """Refuse what is the shape of neither an image nor a point.

    Raises:
        ValueError: If it is neither (channels, height, width) nor (dimensions,), or a size in it is below 1.

    Example:
        >>> check_image_shape((28, 28))
        Traceback (most recent call last):
        ValueError: `image_shape` must be (channels, height, width) or (dimensions,), got (28, 28)
    """
    if len(image_shape) not in (1, 3):
        raise ValueError(f"`image_shape` must be (channels, height, width) or (dimensions,), got {image_shape}")
    if min(image_shape) < 1:
        raise ValueError(f"`image_shape` must hold sizes of at least 1, got {image_shape}")


def check_image(network: str, image_shape: ImageShape) -> None:
    """Refuse what is not the shape of an image.

    Args:
        network: The name of what works only on images.
        image_shape: The shape it was given.

    Raises:
        ValueError: If it is not (channels, height, width), or a size in it is below 1.

    Example:
        >>> check_image("DCGANGenerator", (2,))
        Traceback (most recent call last):
        ValueError: DCGANGenerator works on images (channels, height, width), got `image_shape` (2,)
    """
    if len(image_shape) != 3:
        raise ValueError(f"{network} works on images (channels, height, width), got `image_shape` {image_shape}")
    check_image_shape(image_shape)


def check_levels(levels: int) -> None:
    """Refuse what is no number of values that an element of an image can have.

    Raises:
        ValueError: `levels` is below 2, or not whole.

    Example:
        >>> check_levels(1)
        Traceback (most recent call last):
        ValueError: `levels` must be a whole number from 2, got 1
    """
    if levels < 2 or levels != int(levels):
        raise ValueError(f"`levels` must be a whole number from 2, got {levels}")


def check_multivariate(network: str, image_shape: ImageShape) -> None:
    """Refuse examples of one element, of which nothing could tell how it moves.

    Args:
        network: The name of what refuses them.
        image_shape: The shape of an example.

    Raises:
        ValueError: If it has only one element.
    """
    if math.prod(image_shape) < 2:
        raise ValueError(f"{network} works on examples of at least 2 elements, got `image_shape` {image_shape}")
