"""A source in memory-mapped files: a data set is decoded once, and later runs start at once."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from lightning_gans.datamodules.cache import open_or_build
from lightning_gans.datamodules.decoding import decode
from lightning_gans.datamodules.hashing import content_key, hash_array
from lightning_gans.datamodules.read_ahead import read_ahead
from lightning_gans.datamodules.sources import MapDataset, StoredSource, Tensors

HASHES = "hashes.npy"
"""File with the hash of each example."""

AHEAD = 2
"""Batches that are read ahead of their use."""


class MappedSource(StoredSource):
    """Examples in memory-mapped `.npy` files, one file per key of a batch.

    Pages that were read are in the page cache of the operating system, which it can drop at any time. Threads read
    batches ahead.

    Args:
        folder: Folder with the files.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.storage = "mapped"
        files = sorted(file for file in self.folder.glob("*.npy") if file.name != HASHES)
        self._arrays = {file.stem: np.load(file, mmap_mode="c") for file in files}  # writable, as torch requires
        self._tensors = {name: torch.from_numpy(array) for name, array in self._arrays.items()}
        self._hashes: npt.NDArray[np.uint64] = np.load(self.folder / HASHES)

    def __len__(self) -> int:
        return len(self._hashes)

    def fetch(self, indices: Tensor, seed: int = 0) -> Tensors:
        """Copy rows of the files; `seed` has no effect."""
        return self._read(indices, self._allocate(len(indices), pinned=False))

    def batches(self, indices: Sequence[Tensor], seed: int = 0) -> Iterator[Tensors]:
        """Read batches ahead in threads, into pinned memory if there is a GPU."""
        pinned = torch.cuda.is_available()
        # allocated in this thread, which reuses the memory of earlier batches: new memory takes twice the time
        tasks = (partial(self._read, batch, self._allocate(len(batch), pinned=pinned)) for batch in indices)
        return read_ahead(tasks, threads=AHEAD, ahead=AHEAD)

    def _allocate(self, count: int, *, pinned: bool) -> Tensors:
        return {
            key: torch.empty((count, *tensor.shape[1:]), dtype=tensor.dtype, pin_memory=pinned)
            for key, tensor in self._tensors.items()
        }

    def _read(self, indices: Tensor, out: Tensors) -> Tensors:
        for key, tensor in self._tensors.items():
            # in one thread, as `select_rows`; only with a mode other than "raise" does NumPy write into `out` directly
            np.take(tensor.numpy(), indices.numpy(), axis=0, out=out[key].numpy(), mode="clip")
        return out

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the memory-mapped arrays."""
        return dict(self._arrays)

    @property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """Return (n,) hashes of the content of the examples, which were computed when the cache was built."""
        return self._hashes


def mapped_source(dataset: MapDataset, key: Mapping[str, Any], root: str | Path, description: str) -> MappedSource:
    """Open the memory-mapped files of a data set, or decode it into such files.

    Args:
        dataset: The data set. Every example is a dictionary of arrays or numbers of equal shapes.
        key: Plain values that determine the content, as `open_or_build` describes.
        root: Folder of all caches.
        description: Label of the progress bar.

    Raises:
        ValueError: The folder cannot be written.
    """
    return MappedSource(open_or_build(root, key, lambda folder: _build(dataset, folder, description)))


def _build(dataset: MapDataset, folder: Path, description: str) -> None:
    """Decode the examples into files."""
    announce(len(dataset), folder.parent)
    hashes = np.empty(len(dataset), dtype=np.uint64)
    arrays: dict[str, npt.NDArray[Any]] = {}
    for index, example in decode(dataset, description):
        for name, value in example.items():
            if index == 0:
                first = np.asarray(value)
                arrays[name] = create_array(folder / f"{name}.npy", (len(dataset), *first.shape), first.dtype)
            arrays[name][index] = value
        hashes[index] = hash_array(arrays[content_key(arrays)][index])
    np.save(folder / HASHES, hashes)


def announce(count: int, root: Path) -> None:
    """Announce that examples are decoded into a cache."""
    rank_zero_info(f"Decoding {count:,} examples into {root}, once; later runs open this cache")


def create_array(file: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Create a memory-mapped `.npy` file of zeros, and reserve its place on the disk.

    Without the reservation, a disk that becomes full would end the process by a signal, without a message.

    Args:
        file: Path of the file.
        shape: Shape of the array.
        dtype: Type of its values.

    Raises:
        OSError: The file cannot be written, or the disk has too little space.
    """
    array = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
    if sys.platform == "linux":
        with file.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)
    return array
