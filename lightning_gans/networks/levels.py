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


def dequantise(image: Tensor, noise: Tensor, levels: int) -> Tensor:
    """Spread each of the levels evenly over its own part of [-1, 1]: (k + u) / levels, scaled.

    What is not finite stays so, for a loss to show it.

    Where y is a dequantised picture of d elements, log P(picture) >= E log p(y) + d log(2 / levels).

    Args:
        image: Pictures on their levels.
        noise: Uniform in [0, 1), of the same shape.
        levels: How many values an element can have.

    Example:
        >>> import torch
        >>> dequantise(torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 0.5]), 2)
        tensor([-1.0000,  0.5000])
    """
    index = ((image + 1) * ((levels - 1) / 2)).round()
    return (index + noise) * (2 / levels) - 1


def quantise(image: Tensor, levels: int) -> Tensor:
    """Take continuous pictures back to the levels that `dequantise` would have made them of.

    Args:
        image: Values that should lie in [-1, 1]; those beyond are taken to be the last level.
        levels: How many values an element can have.

    Example:
        >>> import torch
        >>> quantise(torch.tensor([-0.9, 0.1, 3.0]), 2)
        tensor([-1.,  1.,  1.])
    """
    index = ((image + 1) * (levels / 2)).floor().clamp(0, levels - 1)
    return values(index, levels, like=image)
