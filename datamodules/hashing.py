"""Hashes of examples and of data sets."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

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
