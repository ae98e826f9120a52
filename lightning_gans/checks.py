"""Validate arguments, with the same error messages everywhere."""

import math

from lightning_gans.types import ImageShape


def check_positive(**sizes: int) -> None:
    """Raise an error unless all sizes are at least 1.

    Args:
        **sizes: The sizes, by the names of their arguments.

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> check_positive(latent_dim=64, width=0)
        Traceback (most recent call last):
        ValueError: `width` must be at least 1, got 0
    """
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"`{name}` must be at least 1, got {size}")


def check_probability(**probabilities: float) -> None:
    """Raise an error unless all numbers are probabilities.

    Args:
        **probabilities: The numbers, by the names of their arguments.

    Raises:
        ValueError: If a number is outside [0, 1].

    Example:
        >>> check_probability(dropout=1.5)
        Traceback (most recent call last):
        ValueError: `dropout` must be a probability in [0, 1], got 1.5
    """
    for name, probability in probabilities.items():
        if not 0 <= probability <= 1:
            raise ValueError(f"`{name}` must be a probability in [0, 1], got {probability}")


def check_image_shape(image_shape: ImageShape | None) -> None:
    """Raise an error unless a shape is the shape of an image or of a point.

    Args:
        image_shape: The shape of an example; None if the data have no images.

    Raises:
        ValueError: If it is neither (channels, height, width) nor (dimensions,), or has a size below 1.

    Example:
        >>> check_image_shape((28, 28))
        Traceback (most recent call last):
        ValueError: `image_shape` must be (channels, height, width) or (dimensions,), got (28, 28)
    """
    if image_shape is None:
        raise ValueError("`image_shape` is None: the data has no images")
    if len(image_shape) not in (1, 3):
        raise ValueError(f"`image_shape` must be (channels, height, width) or (dimensions,), got {image_shape}")
    if min(image_shape) < 1:
        raise ValueError(f"`image_shape` must hold sizes of at least 1, got {image_shape}")


def check_image(name: str, image_shape: ImageShape | None) -> None:
    """Raise an error unless a shape is the shape of an image.

    Args:
        name: Name of the network or model that works on images only.
        image_shape: The shape of an example.

    Raises:
        ValueError: If it is not (channels, height, width), or has a size below 1.

    Example:
        >>> check_image("DCGANGenerator", (2,))
        Traceback (most recent call last):
        ValueError: DCGANGenerator works on images (channels, height, width), got `image_shape` (2,)
    """
    if image_shape is None or len(image_shape) != 3:
        raise ValueError(f"{name} works on images (channels, height, width), got `image_shape` {image_shape}")
    check_image_shape(image_shape)


def check_levels(levels: int) -> None:
    """Raise an error unless a number of quantization levels is an integer of at least 2.

    Args:
        levels: Number of values that an element of an image can have.

    Raises:
        ValueError: If `levels` is below 2, or not an integer.

    Example:
        >>> check_levels(1)
        Traceback (most recent call last):
        ValueError: `levels` must be an integer of at least 2, got 1
    """
    if levels < 2 or levels != int(levels):
        raise ValueError(f"`levels` must be an integer of at least 2, got {levels}")


def check_multivariate(name: str, image_shape: ImageShape) -> None:
    """Raise an error unless an example has at least two elements: coupling layers transform some given the others.

    Args:
        name: Name of the network that needs several elements.
        image_shape: The shape of an example.

    Raises:
        ValueError: If an example has a single element.

    Example:
        >>> check_multivariate("NICE", (1,))
        Traceback (most recent call last):
        ValueError: NICE works on examples of at least 2 elements, got `image_shape` (1,)
    """
    if math.prod(image_shape) < 2:
        raise ValueError(f"{name} works on examples of at least 2 elements, got `image_shape` {image_shape}")
