"""Choose how a decoded data set is stored: in memory, in memory-mapped files, or read again for every batch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from lightning_gans.datamodules.decoding import decode
from lightning_gans.datamodules.mapped import mapped_source
from lightning_gans.datamodules.options import check_choice
from lightning_gans.datamodules.sources import MapDataset, Source, TensorSource, WorkerSource

Storage = Literal["auto", "memory", "mapped", "workers"]
"""Storage of decoded examples: "auto" is memory if they fit into the limit, else memory-mapped files."""

CACHE = "~/.cache/lightning-gans"
"""Default folder of the memory-mapped files."""


def choose_storage(storage: Storage, size: int, memory_limit_gb: float) -> Storage:
    """Choose the storage for "auto", and check the options.

    Args:
        storage: "memory", "mapped", "workers", or "auto".
        size: Size of the decoded examples in bytes.
        memory_limit_gb: Maximum size in memory for "auto", in units of 10^9 bytes.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> choose_storage("auto", 2_457_600_000, 1.0)
        'mapped'
    """
    check_choice(get_args(Storage), storage=storage)
    if not memory_limit_gb >= 0:
        raise ValueError(f"`memory_limit_gb` must be at least 0, got {memory_limit_gb}")
    if storage == "auto":
        return "memory" if size <= 1e9 * memory_limit_gb else "mapped"
    return storage


def store(
    dataset: MapDataset,
    *,
    storage: Storage = "auto",
    memory_limit_gb: float = 16.0,
    key: Mapping[str, Any],
    cache: str | Path = CACHE,
    num_workers: int = 0,
    description: str = "decoding",
) -> Source:
    """Decode a data set into the storage that fits.

    Args:
        dataset: The data set. Every example is a dictionary of arrays, tensors or numbers of equal shapes.
        storage: "memory", "mapped", "workers", or "auto" (default).
        memory_limit_gb: Maximum size of the examples in memory for "auto", in units of 10^9 bytes, default 16.
        key: Plain values that determine the content, from which "mapped" finds an earlier cache.
        cache: Folder of the memory-mapped files.
        num_workers: Worker processes of "workers", default 0.
        description: Label of the progress bar, default "decoding".

    Example:
        >>> examples = [{"image": np.full((1, 2, 2), value, np.uint8), "label": 0} for value in range(5)]
        >>> store(examples, key={}).fetch(torch.tensor([3]))["image"].sum()
        tensor(12)
    """
    size = len(dataset) * sum(np.asarray(value).nbytes for value in dataset[0].values()) if storage == "auto" else 0
    storage = choose_storage(storage, size, memory_limit_gb)
    if storage == "workers":
        return WorkerSource(dataset, num_workers=num_workers)
    if storage == "mapped":
        return mapped_source(dataset, key, cache, description)
    tensors: dict[str, torch.Tensor] = {}
    for index, example in decode(dataset, description):
        for name, value in example.items():
            if index == 0:
                first = torch.as_tensor(value)
                tensors[name] = torch.empty((len(dataset), *first.shape), dtype=first.dtype)
            tensors[name][index] = torch.as_tensor(value)
    return TensorSource(tensors)
