"""Hashes of examples, of data sets and of indices."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

CONTENT = ("image", "audio")
"""Keys that identify an example, the first that it has: its label or its captions do not."""


def content_key(keys: Mapping[str, Any]) -> str:
    """Return the key of an example that identifies it; the first of all keys if it has none of `CONTENT`."""
    return next((key for key in CONTENT if key in keys), next(iter(keys)))


def hash_array(array: npt.ArrayLike) -> int:
    """Hash the type, the shape and the values of an array to 64 bits.

    Example:
        >>> hash_array(np.zeros(3)) == hash_array(np.zeros(4))
        False
    """
    values = np.asarray(array)
    digest = blake2b(repr((values.dtype.str, values.shape)).encode(), digest_size=8)
    digest.update(np.ascontiguousarray(values).data)
    return int.from_bytes(digest.digest(), "little")


def hash_data_set(hashes: npt.NDArray[np.uint64], arrays: Mapping[str, npt.ArrayLike]) -> str:
    """Compute the fingerprint of a data set.

    Args:
        hashes: (n,) hashes of the examples.
        arrays: The arrays that the hashes do not cover, such as the labels.

    Returns:
        32 hexadecimal digits.
    """
    digest = blake2b(np.ascontiguousarray(hashes).data, digest_size=16)
    for key, array in sorted(arrays.items()):
        digest.update(key.encode())
        digest.update(hash_array(array).to_bytes(8, "little"))
    return digest.hexdigest()


def uniform_numbers(seed: int, indices: Tensor) -> Tensor:
    """Hash a seed and each index to a number in [0, 1), by SplitMix64 (Steele et al. 2014).

    A number does not depend on the other indices, in contrast to the numbers of a random generator.

    Args:
        seed: Any integer from 0.
        indices: (b,) int64.

    Returns:
        (b,) float64.

    Example:
        >>> numbers = uniform_numbers(0, torch.arange(1000))
        >>> torch.equal(uniform_numbers(0, torch.tensor([7])), numbers[7:8])
        True
    """
    start = _mix(np.array([seed], dtype=np.uint64))
    mixed = _mix(start + indices.cpu().numpy().astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return torch.from_numpy((mixed >> np.uint64(11)) / 2.0**53)


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Permute 64-bit integers by the finalizer of SplitMix64; products are modulo 2^64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
