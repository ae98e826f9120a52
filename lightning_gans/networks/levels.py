"""Values of images, even steps from -1 to 1, and the numbers of these steps."""

from torch import Tensor


def to_index(image: Tensor, levels: int) -> Tensor:
    """Which of the levels each value is, int64 from 0 to `levels - 1`; the nearest one.

    Args:
        image: Values in [-1, 1].
        levels: How many there are, evenly from -1 to 1.

    Example:
        >>> import torch
        >>> to_index(torch.tensor([-1.0, 0.0, 1.0]), 3)
        tensor([0, 1, 2])
    """
    return ((image + 1) * ((levels - 1) / 2)).round().clamp(0, levels - 1).long()


def from_index(index: Tensor, levels: int, *, like: Tensor) -> Tensor:
    """The values in [-1, 1] of levels, the inverse of `indices`.

    Args:
        index: Integers from 0 to `levels - 1`.
        levels: How many there are.
        like: Whose device and type they get.
    """
    return index.to(like) * (2 / (levels - 1)) - 1


def round_to_levels(image: Tensor, levels: int) -> Tensor:
    """The nearest value that is one of the levels."""
    return from_index(to_index(image, levels), levels, like=image)


def dequantize(image: Tensor, noise: Tensor, levels: int) -> Tensor:
    """Spread each of the levels evenly over its own part of [-1, 1]: (k + u) / levels, scaled.

    What is not finite stays so, for a loss to show it.

    Where y is a dequantized image of d elements, log P(image) >= E log p(y) + d log(2 / levels).

    Args:
        image: Images on their levels.
        noise: Uniform in [0, 1), of the same shape.
        levels: How many values an element can have.

    Example:
        >>> import torch
        >>> dequantize(torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 0.5]), 2)
        tensor([-1.0000,  0.5000])
    """
    index = ((image + 1) * ((levels - 1) / 2)).round()
    return (index + noise) * (2 / levels) - 1


def quantize(image: Tensor, levels: int) -> Tensor:
    """Take continuous images back to the levels that `dequantize` would have made them of.

    Args:
        image: Values that should lie in [-1, 1]; those beyond are taken to be the last level.
        levels: How many values an element can have.

    Example:
        >>> import torch
        >>> quantize(torch.tensor([-0.9, 0.1, 3.0]), 2)
        tensor([-1.,  1.,  1.])
    """
    index = ((image + 1) * (levels / 2)).floor().clamp(0, levels - 1)
    return from_index(index, levels, like=image)
