"""Which examples of a data set are held out."""

import zlib

import numpy as np
import torch
from torch import Tensor


def hold_out(count: int, size: int, name: str) -> tuple[Tensor, Tensor]:
    """Split `count` examples by an order that depends on the name of the data set only.

    Args:
        count: How many examples there are.
        size: How many of them are held out.
        name: The data set's name.

    Returns:
        The places of the examples kept, (count - size,), and of those held out, (size,), both in random order, so that
        the first few of either are a fair sample.

    Example:
        >>> kept, held = hold_out(10, 3, "Digits")
        >>> len(kept), len(held), sorted((*kept.tolist(), *held.tolist())) == list(range(10))
        (7, 3, True)
    """
    # numpy promises never to change the stream of a RandomState, which nobody promises of torch.randperm
    order = torch.from_numpy(np.random.RandomState(zlib.crc32(name.encode())).permutation(count)).long()
    return order[size:], order[:size]
