"""Splits that are the same on every machine: in random order, or by the content of each example."""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightning_gans.datamodules.sources import Source, Subset


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


def hold_out_source(source: Source, size: int, *, name: str, seed: str) -> tuple[Source, Source]:
    """Split training examples at random into training and validation examples.

    Args:
        source: Source of the training examples.
        size: Number of examples to hold out for validation.
        name: Name of the data set, for the error message.
        seed: Text that determines the split.

    Raises:
        ValueError: If `size` is negative, or not less than the number of examples.
    """
    if not 0 <= size < len(source):
        raise ValueError(
            f"`validation_size` must be at least 0 and less than the {len(source)} training examples of {name}, "
            f"got {size}"
        )
    train_indices, validation_indices = hold_out(len(source), size, seed)
    return Subset(source, train_indices), Subset(source, validation_indices)


def split_by_content(hashes: npt.NDArray[np.uint64], fractions: Mapping[str, float]) -> dict[str, Tensor]:
    """Split examples by the hashes of their contents, so that the part of an example depends on that example only.

    A hash is a number in [0, 1), which is compared with the fractions. Adding or removing an example therefore moves no
    other, and equal examples are in the same part. The sizes of the parts are random, close to the fractions; a part of
    few examples may be empty.

    Args:
        hashes: (n,) uniformly distributed 64-bit hashes.
        fractions: Fraction of each part that is held out, by its name.

    Returns:
        int64 indices of each part, and of the rest as "train". They are in the order of the hashes, so that the first
        few indices of a part are a random subset of it.

    Example:
        >>> hashes = np.array([7 << 61, 1 << 61, 2 << 61], dtype=np.uint64)
        >>> split_by_content(hashes, {"test": 0.2, "validation": 0.1})
        {'test': tensor([1]), 'validation': tensor([2]), 'train': tensor([0])}
    """
    order = np.argsort(hashes, kind="stable")
    bounds = np.cumsum([0, *fractions.values()])
    parts = np.searchsorted(bounds, hashes[order] / 2.0**64, side="right") - 1
    return {name: torch.from_numpy(order[parts == part]) for part, name in enumerate((*fractions, "train"))}


def split_files(
    hashes: npt.NDArray[np.uint64],
    good: npt.NDArray[np.int64],
    given: Sequence[str] | None,
    fractions: Mapping[str, float],
) -> dict[str, npt.NDArray[np.int64]]:
    """Split files by their folders; a split without a folder is taken from the training files by their contents.

    Args:
        hashes: (n,) uniformly distributed 64-bit hashes of the contents.
        good: Indices of the files that are used.
        given: Split of each of the n files, or None without folders of splits.
        fractions: Fractions of the splits "validation" and "test".

    Returns:
        Indices of the files of each split, in the order of their hashes, which is random.

    Example:
        >>> hashes = np.array([7 << 61, 1 << 61, 2 << 61], dtype=np.uint64)
        >>> split_files(hashes, np.array([0, 1]), ["train", "test", "train"], {"test": 0.2, "validation": 0.0})
        {'train': array([0]), 'validation': array([], dtype=int64), 'test': array([1])}
    """
    ordered = good[np.argsort(hashes[good], kind="stable")]
    names = np.array(given or ["train"] * len(hashes))[ordered]
    folders = {name: ordered[names == name] for name in set(given or ["train"])}
    train = folders.pop("train")
    missing = {name: fraction for name, fraction in fractions.items() if name not in folders}
    by_content = split_by_content(hashes[train], missing)
    splits = folders | {name: train[indices.numpy()] for name, indices in by_content.items()}
    return {name: splits[name] for name in ("train", "validation", "test")}


def check_fractions(validation_size: float, test_size: float) -> None:
    """Raise an error unless two fractions leave training examples, and test examples are expected.

    Args:
        validation_size: Fraction for validation.
        test_size: Fraction for testing.

    Raises:
        ValueError: A fraction is out of range, or both together are.
    """
    if not 0 <= validation_size < 1:
        raise ValueError(f"`validation_size` is a fraction and must be between 0 and 1, got {validation_size}")
    if not 0 < test_size < 1:
        raise ValueError(f"`test_size` is a fraction and must be between 0 and 1, got {test_size}")
    if validation_size + test_size >= 1:
        raise ValueError(
            f"`validation_size` {validation_size} and `test_size` {test_size} must leave images for training, "
            f"but add up to {validation_size + test_size:g}"
        )
