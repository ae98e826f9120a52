"""Splits that are the same on every machine: in random order, or by the content of each example."""

import zlib
from collections.abc import Mapping, Sequence

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


def split_by_content(hashes: Sequence[int], fractions: Mapping[str, float]) -> list[str]:
    """Assign examples to splits by hashes of their content.

    The split of an example does not depend on other examples: it is unchanged if other examples are added or removed.
    Exact duplicates are in the same split. The sizes of the splits are random, with the given fractions on average.

    Args:
        hashes: A uniform 64-bit hash of each example.
        fractions: Fractions of the held-out splits by name; the remaining examples are in "train".

    Returns:
        The name of the split of each example.

    Example:
        >>> split_by_content([0, 2**61, 2**63], {"test": 0.1, "validation": 0.2})
        ['test', 'validation', 'train']
    """
    bounds = np.cumsum(list(fractions.values()))
    names = [*fractions, "train"]
    return [names[int(np.searchsorted(bounds, value / 2**64, side="right"))] for value in hashes]
