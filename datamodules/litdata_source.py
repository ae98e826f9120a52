"""A source in shards of litdata, in a folder or an object store, shuffled within a window of shards."""

import importlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_gans.datamodules.read_ahead import read_ahead
from lightning_gans.datamodules.sources import Source, Tensors
from lightning_gans.datamodules.storage import CACHE

WINDOW = 8
"""Number of shards whose examples are mixed. An epoch holds at most two more of them in memory."""

AHEAD = 16
"""Batches that are read ahead of their use: a batch may need a shard that is not in memory."""

INDEX = "index.json"
"""File that lists the shards of a split. `prepare` writes it last, so a folder without it is incomplete."""

METADATA = "lightning_gans"
"""Key of the description of the data in the index, next to those of litdata."""


def import_litdata() -> Any:
    """Import litdata.

    Raises:
        ValueError: It is not installed.
    """
    try:
        return importlib.import_module("litdata")
    except ImportError as error:
        raise ValueError(
            f"shards need litdata, which cannot be imported ({error}): pip install 'lightning-gans[litdata]'"
        ) from error


class LitDataSource(Source):
    """Examples in the shards that `prepare` writes with litdata.

    Random access to a shard is two hundred times slower than reading it in order. Each shard is therefore read in
    order and as a whole, and the last `WINDOW + 2` of them are held in memory, by default 32 MB each. The permutation
    of an epoch puts the shards into a random order, and then moves each example by at most `WINDOW` shards. An epoch
    thus reads each shard once. Resuming reads at most `WINDOW + 1` of them again.

    This class uses litdata's `StreamingDataset` to download, cache and decode shards, and none of its shuffling, its
    loader or its states.

    Args:
        root: Folder or URL (`s3://`, `gs://`, `azure://`, `r2://`, `hf://`) of the shards of a split.
        cache: Folder for downloaded shards, default "~/.cache/lightning-gans". Shards in folders are not copied.

    Raises:
        ValueError: litdata is not installed, or there are no complete shards at `root`.
    """

    def __init__(self, root: str, cache: str = CACHE) -> None:
        self.root = root
        self.cache = cache
        self.storage = "litdata"
        self._dataset = _open(root, cache)
        self.metadata: dict[str, Any] = _read_metadata(self._dataset, root)
        sizes = [stop - start for start, stop in self._dataset.region_of_interest]
        self._starts = np.cumsum([0, *sizes])
        self._shards: OrderedDict[int, Tensors] = OrderedDict()
        self._lock = Lock()  # callbacks may read examples while batches are read ahead in a thread

    def __reduce__(self) -> tuple[type["LitDataSource"], tuple[str, str]]:
        """Open the shards again in another process."""
        return LitDataSource, (self.root, self.cache)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def permutation(self, generator: torch.Generator) -> Tensor:
        """Order the shards at random, and move each example by less than `WINDOW` shards."""
        count = len(self._starts) - 1
        position = torch.randperm(count, generator=generator).repeat_interleave(torch.from_numpy(np.diff(self._starts)))
        moved = position + WINDOW * torch.rand(len(self), generator=generator, dtype=torch.float64)
        return moved.argsort(stable=True)

    def fetch(self, indices: Tensor, seed: int = 0) -> Tensors:
        """Copy examples from the shards in memory, after reading those that are missing; `seed` has no effect."""
        ordered, order = indices.sort()
        shards, counts = np.unique(np.searchsorted(self._starts, ordered.numpy(), side="right") - 1, return_counts=True)
        offsets = ordered.tensor_split(counts.cumsum()[:-1].tolist())
        parts = [
            {key: tensor[rows - self._starts[shard]] for key, tensor in self._shard(shard).items()}
            for shard, rows in zip(shards.tolist(), offsets, strict=True)
        ]
        return {key: torch.cat([part[key] for part in parts])[order.argsort()] for key in parts[0]}

    def batches(self, indices: Sequence[Tensor], seed: int = 0) -> Iterator[Tensors]:
        """Read batches ahead in a thread, into pinned memory if there is a GPU."""
        return read_ahead(self.fetch, indices, AHEAD)

    def fingerprint(self) -> str:
        """Return the hash of all examples, which `prepare` has computed."""
        return str(self.metadata["fingerprint"])

    def _shard(self, shard: int) -> Tensors:
        """Return the examples of a shard from memory, or read them; forget the shard that was not used for longest."""
        with self._lock:
            if shard not in self._shards:
                self._shards[shard] = self._read(shard)
                if len(self._shards) > WINDOW + 2:
                    self._shards.popitem(last=False)
            self._shards.move_to_end(shard)
            return self._shards[shard]

    def _read(self, shard: int) -> Tensors:
        start, stop = self._starts[shard : shard + 2].tolist()
        examples = [self._dataset[start]]
        self._dataset.on_demand_bytes = False  # else each example of a URL is a request, instead of each shard
        examples += [self._dataset[index] for index in range(start + 1, stop)]
        return {key: torch.from_numpy(np.stack([example[key] for example in examples])) for key in examples[0]}


def _open(root: str, cache: str) -> Any:
    """Open shards as a data set of litdata."""
    litdata = import_litdata()
    is_url = ":" in root
    if not is_url and not (Path(root).expanduser() / INDEX).is_file():
        raise ValueError(f"`root` must be a folder of complete shards, but {root!r} has no {INDEX}: run `prepare`")
    try:
        return litdata.StreamingDataset(
            root if is_url else str(Path(root).expanduser()), cache_dir=str(Path(cache).expanduser())
        )
    except Exception as error:  # each store raises its own exceptions
        raise ValueError(f"`root` {root!r} cannot be read: {' '.join(str(error).split())}") from error


def _read_metadata(dataset: Any, root: str) -> dict[str, Any]:
    index = json.loads(Path(dataset.input_dir.path, INDEX).read_text())
    if METADATA not in index:
        raise ValueError(f"`root` {root!r} has shards of another program: write them with `prepare`")
    metadata: dict[str, Any] = index[METADATA]
    return metadata
