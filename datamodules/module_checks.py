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


def check_num_workers(num_workers: int, storage: str, name: str) -> None:
    """Check that worker processes would have an effect.

    Args:
        num_workers: Number of worker processes.
        storage: Name of the storage of the training examples.
        name: Name of the data set.

    Raises:
        ValueError: The examples are stored decoded, so that no worker would read them.
    """
    if num_workers and storage != "workers":
        raise ValueError(f"`num_workers` {num_workers} has no effect on {name}, whose examples are stored in {storage}")
