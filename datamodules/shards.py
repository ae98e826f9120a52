"""Write a data module into shards of litdata, in one part or in several parts on several machines."""

import json
import os
import shutil
from collections.abc import Callable
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_gans.core.class_paths import class_path
from lightning_gans.core.recording import serialize_arguments
from lightning_gans.datamodules.litdata_source import EXAMPLES, INDEX, METADATA, import_litdata
from lightning_gans.datamodules.module import DataModule, Split
from lightning_gans.datamodules.sources import Source
from lightning_gans.files import strict_atomic_write

SHARD_BYTES = 2**25
"""Maximum size of a shard."""

BLOCKS = 32
"""Blocks in a shard. A block is an item of litdata with several examples, which are read faster than one by one."""

SPLITS: tuple[Split, ...] = ("validation", "test", "train")
"""The splits in the order in which their indices are written: shards are complete once the last one exists."""


class Part:
    """One of several disjoint parts of a folder of shards.

    The part is written into a hidden folder. Its shards are then moved, and its record is written last. The index of
    each split is written once the records of all parts exist. A part that was not completed is therefore never read.

    Args:
        folder: Folder of the shards.
        number: Number of the part, from 1, default 1.
        count: Number of parts, default 1.
    """

    def __init__(self, folder: Path, number: int = 1, count: int = 1) -> None:
        self.folder, self.number, self.count = folder, number, count
        self._unfinished = folder / f".part-{number}-of-{count}"

    def __str__(self) -> str:
        return f"part {self.number} of {self.count}"

    def is_written(self, data: DataModule) -> bool:
        """Return whether the part was written with the same options.

        Args:
            data: The data module that would be written.

        Raises:
            ValueError: The folder has other files, another number of parts, or a part with other options.
        """
        entries = [path.name for path in self.folder.iterdir()] if self.folder.exists() else []
        parts = [name for name in entries if name.lstrip(".").startswith("part-")]
        if entries and not parts:
            raise ValueError(f"`--output` {str(self.folder)!r} has other files: choose a new folder")
        if others := [name for name in parts if not Path(name).stem.endswith(f"-of-{self.count}")]:
            raise ValueError(f"`--output` {str(self.folder)!r} has {others[0]!r}, which does not fit {self}")
        for number in range(1, self.count + 1):
            record = self._read(number)
            if record is not None and record["options"] != _options(data):
                raise ValueError(
                    f"`--output` {str(self.folder)!r} has part {number} with other options: choose a new folder"
                )
        return self._read(self.number) is not None

    def write(self, data: DataModule, advance: Callable[[int], None]) -> None:
        """Write the part; remains of a run that ended early are removed.

        Args:
            data: The data module, which serves this part only.
            advance: Function that is called with the numbers of examples that were written.

        Raises:
            ValueError: The data have other keys than images, labels and captions.
        """
        described = _describe(data)
        shutil.rmtree(self._unfinished, ignore_errors=True)
        for remains in self.folder.glob(f"*/chunk-{self.number}-*.bin"):
            remains.unlink()
        splits = {split: self._write_split(split, data.source(split), advance) for split in SPLITS}
        record = {"options": _options(data), "data": described, "splits": splits}
        with strict_atomic_write(self._record(self.number)) as path:
            path.write_text(json.dumps(record))
        shutil.rmtree(self._unfinished)

    def complete(self) -> list[int]:
        """Write the index of each split, if all parts are written.

        Returns:
            The numbers of the missing parts.

        Raises:
            ValueError: The parts have different classes or shapes.
        """
        read = {number: self._read(number) for number in range(1, self.count + 1)}
        records = [record for record in read.values() if record is not None]
        if len(records) < self.count:
            return [number for number, record in read.items() if record is None]
        if different := [n for n, record in enumerate(records, 1) if record["data"] != records[0]["data"]]:
            raise ValueError(f"parts 1 and {different[0]} of {str(self.folder)!r} have different classes or shapes")
        sizes = {split: sum(_size(record["splits"][split]) for record in records) for split in SPLITS}
        for split in SPLITS:
            written = [record["splits"][split] for record in records if record["splits"][split]["chunks"]]
            if not written:
                continue
            fingerprint = _combine([part["fingerprint"] for part in written])
            index = {
                "chunks": [chunk for part in written for chunk in part["chunks"]],
                "config": written[0]["config"],
                "updated_at": fingerprint,  # the name of litdata's folder of downloaded shards
                METADATA: {
                    **records[0]["data"],
                    "options": records[0]["options"],
                    "sizes": sizes,
                    "fingerprint": fingerprint,
                },
            }
            with strict_atomic_write(self.folder / split / INDEX) as path:
                path.write_text(json.dumps(index))
        return []

    def _record(self, number: int) -> Path:
        return self.folder / f"part-{number}-of-{self.count}.json"

    def _read(self, number: int) -> dict[str, Any] | None:
        path = self._record(number)
        return json.loads(path.read_text()) if path.is_file() else None

    def _write_split(self, split: Split, source: Source, advance: Callable[[int], None]) -> dict[str, Any]:
        """Write the shards of a split, and return what its index needs."""
        unfinished, folder = self._unfinished / split, self.folder / split
        unfinished.mkdir(parents=True)
        folder.mkdir(exist_ok=True)
        cache = import_litdata().streaming.Cache(str(unfinished), chunk_bytes=SHARD_BYTES)
        blocks = _blocks(source)
        for number, batch in enumerate(source.batches(blocks)):
            cache[number] = {key: tensor.numpy() for key, tensor in batch.items()}
            advance(len(blocks[number]))
        cache.done()
        found = list(unfinished.glob(f"*{INDEX}"))  # not there without examples
        index: dict[str, Any] = json.loads(found[0].read_text()) if found else {"chunks": [], "config": None}
        sizes = iter(map(len, blocks))
        for number, chunk in enumerate(index["chunks"]):
            chunk[EXAMPLES] = sum(islice(sizes, chunk["chunk_size"]))
            name = f"chunk-{self.number}-{number}.bin"
            os.replace(unfinished / chunk["filename"], folder / name)
            chunk["filename"] = name
        return {**index, "fingerprint": source.fingerprint()}


def _blocks(source: Source) -> list[Tensor]:
    """Return the indices of each block."""
    count = len(source)
    if count == 0:
        return []
    example = sum(tensor.nbytes for tensor in source.fetch(torch.tensor([0])).values())
    size = max(1, SHARD_BYTES // BLOCKS // example)
    return [torch.arange(start, min(start + size, count)) for start in range(0, count, size)]


def _size(split: dict[str, Any]) -> int:
    return sum(chunk[EXAMPLES] for chunk in split["chunks"])


def _combine(fingerprints: list[str]) -> str:
    if len(fingerprints) == 1:
        return fingerprints[0]
    return blake2b("".join(fingerprints).encode(), digest_size=16).hexdigest()


def _options(data: DataModule) -> dict[str, Any]:
    """Return the class and the arguments of a data module, but not its place, which differs between machines."""
    arguments = {name: value for name, value in data.init_args.items() if name != "root"}
    options: dict[str, Any] = json.loads(
        json.dumps({"class": class_path(type(data)), **serialize_arguments(arguments)})
    )
    return options


def _describe(data: DataModule) -> dict[str, Any]:
    """Return the attributes of a data module that its shards need."""
    if keys := data.source("train").fetch(torch.tensor([0])).keys() - {"image", "label", "text"}:
        raise ValueError(f"shards have images, labels and captions, but {data.name} has {', '.join(sorted(keys))}")
    return {
        "image_shape": list(data.image_shape),
        "levels": data.levels,
        "class_names": None if data.class_names is None else list(data.class_names),
        "words": None if data.vocabulary is None else list(data.vocabulary.words[2:]),
        "text_length": data.text_length,
    }
