"""Random splits that are the same on every machine."""

import zlib

import numpy as np
import torch
from torch import Tensor


def hold_out(count: int, size: int, name: str) -> tuple[Tensor, Tensor]:
    """Split the indices of `count` examples at random; the split depends only on the name of the data set.

    Args:
        count: Number of examples.
        size: Number of examples to hold out.
        name: Name of the data set, which determines the random order.

    Returns:
        (count - size,) indices of the remaining examples and (size,) indices of the held-out examples, int64. Both are
        in random order, so that the first few indices of either are a random subset.

    Example:
        >>> train_indices, test_indices = hold_out(10, 3, "Digits")
        >>> len(train_indices), len(test_indices)
        (7, 3)
        >>> sorted((*train_indices.tolist(), *test_indices.tolist())) == list(range(10))
        True
    """
    # NumPy guarantees that the numbers of a RandomState never change between releases; torch.randperm does not
    order = torch.from_numpy(np.random.RandomState(zlib.crc32(name.encode())).permutation(count)).long()
    return order[size:], order[:size]
