"""A source in shards of litdata, in a folder or an object store, shuffled within a window of shards."""

import importlib
import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightning_gans.datamodules.read_ahead import read_ahead
from lightning_gans.datamodules.sources import Source, Tensors
from lightning_gans.datamodules.storage import CACHE

Arrays = dict[str, npt.NDArray[Any]]
"""Examples of a shard, by key."""

WINDOW = 8
"""Number of shards whose examples are mixed. An epoch holds at most two more of them in memory."""

AHEAD = 16
"""Batches that are read ahead of their use: a batch may need a shard that is not in memory."""

INDEX = "index.json"
"""File that lists the shards of a split. `prepare` writes it last, so a folder without it is incomplete."""

METADATA = "lightning_gans"
"""Key of the description of the data in the index, next to those of litdata."""

EXAMPLES = "examples"
"""Key of the number of examples of a shard in the index."""


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

    Random access to shards is about eighty times slower than reading them in order. Each shard is therefore read in
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
        index = _read_index(self._dataset, root)
        self.metadata: dict[str, Any] = index[METADATA]
        self._starts = np.cumsum([0, *(shard[EXAMPLES] for shard in index["chunks"])])
        self._first_blocks = np.cumsum([0, *(shard["chunk_size"] for shard in index["chunks"])])
        self._shards: OrderedDict[int, Arrays] = OrderedDict()
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
        rows = indices.numpy()
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        offsets = (rows - self._starts[shards]).tolist()
        batch: Arrays = {}
        for position in np.argsort(shards, kind="stable").tolist():
            for key, array in self._shard(int(shards[position])).items():
                if key not in batch:
                    batch[key] = np.empty((len(rows), *array.shape[1:]), array.dtype)
                batch[key][position] = array[offsets[position]]  # the only copy, unlike indexing shard by shard
        return {key: torch.from_numpy(array) for key, array in batch.items()}

    def batches(self, indices: Sequence[Tensor], seed: int = 0) -> Iterator[Tensors]:
        """Read batches ahead in a thread, into pinned memory if there is a GPU."""
        return read_ahead((partial(self._fetch_pinned, batch) for batch in indices), threads=1, ahead=AHEAD)

    def _fetch_pinned(self, indices: Tensor) -> Tensors:
        batch = self.fetch(indices)
        return {key: tensor.pin_memory() for key, tensor in batch.items()} if torch.cuda.is_available() else batch

    def fingerprint(self) -> str:
        """Return the hash of all examples, which `prepare` has computed."""
        return str(self.metadata["fingerprint"])

    def _shard(self, shard: int) -> Arrays:
        """Return the examples of a shard from memory, or read them; forget the shard that was not used for longest."""
        with self._lock:
            if shard not in self._shards:
                self._shards[shard] = self._read(shard)
                if len(self._shards) > WINDOW + 2:
                    self._shards.popitem(last=False)
            self._shards.move_to_end(shard)
            return self._shards[shard]

    def _read(self, shard: int) -> Arrays:
        start, stop = self._first_blocks[shard : shard + 2].tolist()
        blocks = [self._dataset[start]]
        self._dataset.on_demand_bytes = False  # else each block of a URL is a request, instead of each shard
        blocks += [self._dataset[number] for number in range(start + 1, stop)]
        return {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}


def _open(root: str, cache: str) -> Any:
    """Open shards as a data set of litdata."""
    litdata = import_litdata()
    is_url = re.match(r"\w\w+:", root) is not None  # and not a drive
    if not is_url and not (Path(root).expanduser() / INDEX).is_file():
        raise ValueError(f"`root` must be a folder of complete shards, but {root!r} has no {INDEX}: run `prepare`")
    try:
        return litdata.StreamingDataset(
            root if is_url else str(Path(root).expanduser()), cache_dir=str(Path(cache).expanduser())
        )
    except Exception as error:  # each store raises its own exceptions
        raise ValueError(f"`root` {root!r} cannot be read: {' '.join(str(error).split())}") from error


def _read_index(dataset: Any, root: str) -> dict[str, Any]:
    index: dict[str, Any] = json.loads(Path(dataset.input_dir.path, INDEX).read_text())
    if METADATA not in index:
        raise ValueError(f"`root` {root!r} has shards of another program: write them with `prepare`")
    return index
