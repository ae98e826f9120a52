"""Examples of random values, in the stored form of real examples."""

import torch
from torch import Tensor


def dummy_images(shape: tuple[int, ...], levels: int | None, generator: torch.Generator) -> Tensor:
    """Draw images uniformly.

    Args:
        shape: Shape of the images, with the batch axis.
        levels: Number of levels of uint8 images; None for floats in [-1, 1].
        generator: Random generator.

    Example:
        >>> dummy_images((2, 1, 8, 8), 256, torch.Generator()).dtype
        torch.uint8
    """
    if levels is None:
        return torch.rand(shape, generator=generator) * 2 - 1
    return torch.randint(levels, shape, generator=generator, dtype=torch.uint8)


def dummy_labels(count: int, num_classes: int | None) -> Tensor:
    """Return labels of all classes in turn, or -1 without classes.

    Example:
        >>> dummy_labels(4, 3), dummy_labels(2, None)
        (tensor([0, 1, 2, 0]), tensor([-1, -1]))
    """
    return torch.full((count,), -1) if num_classes is None else torch.arange(count) % num_classes
