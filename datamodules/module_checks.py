"""Checks that the options of a data module fit its data."""

from lightning_gans.types import ImageShape


def check_batch_size(batch_size: int, count: int, name: str) -> None:
    """Check that the training split has at least one batch.

    Args:
        batch_size: Examples per batch.
        count: Number of training examples.
        name: Name of the data set.

    Raises:
        ValueError: The batch is larger than the training split.
    """
    if batch_size > count:
        raise ValueError(f"`batch_size` must be at most the {count} training examples of {name}, got {batch_size}")


def check_validation_size(validation_size: int, count: int, name: str) -> None:
    """Check that examples for training remain.

    Args:
        validation_size: Number of examples to hold out.
        count: Number of examples before.
        name: Name of the data set.

    Raises:
        ValueError: The size is negative, or no example would remain.
    """
    if not 0 <= validation_size < count:
        raise ValueError(
            f"`validation_size` must be at least 0 and less than the {count} training examples of {name}, "
            f"got {validation_size}"
        )


def check_image_shape(loaded: ImageShape, expected: ImageShape, name: str) -> None:
    """Check that the images have the shape of the data module.

    Args:
        loaded: Shape of an image.
        expected: The `image_shape` of the data module.
        name: Name of the data set.

    Raises:
        ValueError: The shapes differ.
    """
    if loaded != expected:
        raise ValueError(f"{name} must contain images of shape {expected}, but `load` returned shape {tuple(loaded)}")
