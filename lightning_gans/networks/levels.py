"""Values of pictures, even steps from -1 to 1, and the numbers of these steps."""

from torch import Tensor


def indices(image: Tensor, levels: int) -> Tensor:
    """Which of the levels each value is, int64 from 0 to `levels - 1`; the nearest one.

    Args:
        image: Values in [-1, 1].
        levels: How many there are, evenly from -1 to 1.

    Example:
        >>> import torch
        >>> indices(torch.tensor([-1.0, 0.0, 1.0]), 3)
        tensor([0, 1, 2])
    """
    return ((image + 1) * ((levels - 1) / 2)).round().clamp(0, levels - 1).long()


def values(index: Tensor, levels: int, *, like: Tensor) -> Tensor:
    """The values in [-1, 1] of levels, the inverse of `indices`.

    Args:
        index: Integers from 0 to `levels - 1`.
        levels: How many there are.
        like: Whose device and type they get.
    """
    return index.to(like) * (2 / (levels - 1)) - 1


def on_levels(image: Tensor, levels: int) -> Tensor:
    """The nearest value that is one of the levels."""
    return values(indices(image, levels), levels, like=image)
