"""A source in memory-mapped files: a data set is decoded once, and later runs start at once."""

import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from lightning_gans.datamodules.decoding import decode
from lightning_gans.datamodules.hashing import content_key, hash_array
from lightning_gans.datamodules.read_ahead import read_ahead
from lightning_gans.datamodules.sources import MapDataset, StoredSource, Tensors

INDEX = "index.json"
"""File of a cache that names its arrays and its key; it is written last, so a folder without it is incomplete."""

HASHES = "hashes.npy"
"""File with the hash of each example."""

AHEAD = 2
"""Batches that are read ahead of their use."""


class MappedSource(StoredSource):
    """Examples in memory-mapped `.npy` files, one file per key of a batch.

    Pages that were read are in the page cache of the operating system, which it can drop at any time. The rows of a
    batch are read in the order of the file and put back into the order of the batch. A thread reads batches ahead.

    Args:
        folder: Folder with the files, which `build` writes.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.storage = "mapped"
        names = json.loads((self.folder / INDEX).read_text())["arrays"]
        self._arrays = {name: np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in names}
        self._hashes: npt.NDArray[np.uint64] = np.load(self.folder / HASHES)

    def __len__(self) -> int:
        return len(self._hashes)

    def fetch(self, indices: Tensor, seed: int = 0) -> Tensors:
        """Copy rows of the files; `seed` has no effect."""
        ordered, inverse = np.unique(indices.numpy(), return_inverse=True)
        return {key: torch.from_numpy(array[ordered][inverse]) for key, array in self._arrays.items()}

    def batches(self, indices: Sequence[Tensor], seed: int = 0) -> Iterator[Tensors]:
        """Read batches ahead in a thread, into pinned memory if there is a GPU."""
        return read_ahead(self.fetch, indices, AHEAD)

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the memory-mapped arrays."""
        return dict(self._arrays)

    @property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """Return (n,) hashes of the content of the examples, which were computed when the cache was built."""
        return self._hashes


def mapped_source(dataset: MapDataset, key: Mapping[str, Any], root: str | Path, description: str) -> MappedSource:
    """Open the cache of a data set, or build it.

    A cache is built in a temporary folder and renamed when it is complete, so that a run that is killed leaves no
    incomplete cache under the final name. Its remains are removed by the next run.

    Args:
        dataset: The data set. Every example is a dictionary of arrays or numbers of equal shapes.
        key: Plain values that determine the content: the files with their sizes and times, and the preprocessing.
        root: Folder of all caches.
        description: Label of the progress bar.

    Raises:
        ValueError: The folder cannot be written.
    """
    name = blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=16).hexdigest()
    folder = Path(root).expanduser() / name
    if not (folder / INDEX).is_file():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _remove_remains(folder)
            _build(dataset, folder, description)
        except OSError as error:
            raise ValueError(f"`cache` {str(root)!r} cannot be written: {error}") from error
    return MappedSource(folder)


def _remove_remains(folder: Path) -> None:
    """Remove the temporary folders of processes that ended before the cache was complete."""
    for remains in folder.parent.glob(f"{folder.name}-*-*"):
        host, process = remains.name.rsplit("-", 2)[1:]
        if host == _HOST and not _is_alive(int(process)):
            rank_zero_warn(f"the cache {str(remains)!r} is incomplete, since its run ended early: it is built anew")
            shutil.rmtree(remains, ignore_errors=True)


_HOST = platform.node().replace("-", "_") or "localhost"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _build(dataset: MapDataset, folder: Path, description: str) -> None:
    """Decode the examples into files in a temporary folder, and rename the folder."""
    temporary = folder.with_name(f"{folder.name}-{_HOST}-{os.getpid()}")
    temporary.mkdir()
    rank_zero_info(f"Decoding {len(dataset):,} examples into {folder}, once; later runs open this cache")
    try:
        hashes = np.empty(len(dataset), dtype=np.uint64)
        arrays: dict[str, Any] = {}
        for index, example in decode(dataset, description):
            for name, value in example.items():
                if index == 0:
                    first = np.asarray(value)
                    arrays[name] = np.lib.format.open_memmap(
                        temporary / f"{name}.npy", mode="w+", dtype=first.dtype, shape=(len(dataset), *first.shape)
                    )
                arrays[name][index] = value
            hashes[index] = hash_array(arrays[content_key(arrays)][index])
        for array in arrays.values():
            array.flush()
        np.save(temporary / HASHES, hashes)
        (temporary / INDEX).write_text(json.dumps({"arrays": sorted(arrays)}))
        try:
            temporary.rename(folder)
        except OSError:
            if not (folder / INDEX).is_file():  # otherwise another process has built the same cache
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
