"""Quantization levels of images: evenly spaced values from -1 to 1, and their indices."""

from torch import Tensor


def to_index(image: Tensor, levels: int) -> Tensor:
    """Compute the index of the nearest level of each element, int64 from 0 to `levels - 1`.

    Args:
        image: Values in [-1, 1].
        levels: Number of levels, evenly spaced from -1 to 1.

    Example:
        >>> import torch
        >>> to_index(torch.tensor([-1.0, 0.0, 1.0]), 3)
        tensor([0, 1, 2])
    """
    return ((image + 1) * ((levels - 1) / 2)).round().clamp(0, levels - 1).long()


def from_index(index: Tensor, levels: int, *, like: Tensor) -> Tensor:
    """Compute the values in [-1, 1] of level indices: the inverse of `to_index`.

    Args:
        index: Integers from 0 to `levels - 1`.
        levels: Number of levels.
        like: Tensor that gives the device and the dtype of the values.

    Example:
        >>> import torch
        >>> from_index(torch.tensor([0, 1, 2]), 3, like=torch.zeros(()))
        tensor([-1.,  0.,  1.])
    """
    return index.to(like) * (2 / (levels - 1)) - 1


def round_to_levels(image: Tensor, levels: int) -> Tensor:
    """Round each element to the nearest level.

    Args:
        image: Values in [-1, 1]; values outside are rounded to the first or the last level.
        levels: Number of levels.

    Example:
        >>> import torch
        >>> round_to_levels(torch.tensor([-0.9, 0.1, 3.0]), 3)
        tensor([-1.,  0.,  1.])
    """
    return from_index(to_index(image, levels), levels, like=image)


def dequantize(image: Tensor, noise: Tensor, levels: int) -> Tensor:
    """Dequantize images uniformly: map level k to (k + u) / levels, scaled from [0, 1) to [-1, 1).

    If y is a dequantized image of d elements, log P(image) >= E log p(y) + d log(2 / levels). NaN and infinity are
    kept, so that the check of the loss detects them.

    Args:
        image: Images whose elements are levels.
        noise: Uniform noise in [0, 1), of the same shape.
        levels: Number of values that an element can have.

    Example:
        >>> import torch
        >>> dequantize(torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 0.5]), 2)
        tensor([-1.0000,  0.5000])
    """
    index = ((image + 1) * ((levels - 1) / 2)).round()
    return (index + noise) * (2 / levels) - 1


def quantize(image: Tensor, levels: int) -> Tensor:
    """Quantize continuous images: the inverse of `dequantize`, for any noise.

    Args:
        image: Values in [-1, 1]; values outside are mapped to the first or the last level.
        levels: Number of values that an element can have.

    Example:
        >>> import torch
        >>> quantize(torch.tensor([-0.9, 0.1, 3.0]), 2)
        tensor([-1.,  1.,  1.])
    """
    index = ((image + 1) * (levels / 2)).floor().clamp(0, levels - 1)
    return from_index(index, levels, like=image)
