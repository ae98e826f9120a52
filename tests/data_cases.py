"""The table of all data modules, with small data that are generated where a module reads files."""

import json
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from lightning_gans.datamodules import (
    CIFAR10,
    MNIST,
    AudioFolder,
    BinarizedMNIST,
    Captions,
    DataModule,
    Digits,
    FashionMNIST,
    HuggingFace,
    ImageAndSound,
    ImageFolder,
    LitData,
    SpokenDigits,
    Sprites,
    StackedMNIST,
    TorchvisionImages,
    Toy2D,
)
from lightning_gans.datamodules.shards import Part

BATCH_SIZE = 4

SPLITS = ("train", "validation", "test")


@dataclass
class Row:
    """A data module in the table.

    Attributes:
        options: Arguments of its constructor, other than `batch_size`.
        other: Arguments that change its examples or its splits.
    """

    options: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)


# Files


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def write_mnist(root: Path, name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write 30 training and 10 test images in the format of MNIST, and return them with their labels."""
    rng = np.random.default_rng(0)
    written = {}
    for part, count in (("train", 30), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        write_idx(root / name / "raw" / f"{part}-images-idx3-ubyte", images)
        write_idx(root / name / "raw" / f"{part}-labels-idx1-ubyte", labels)
        written[part] = (images, labels)
    return written


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Write 20 training and 4 test images in the format of CIFAR-10, and let torchvision expect their checksums."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    files = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    written = {name: rng.integers(0, 256, (4, 3072), dtype=np.uint8) for name in files}
    contents = {name: {"data": rows, "labels": [0, 1, 2, 9]} for name, rows in written.items()}
    contents["batches.meta"] = {"label_names": list(CIFAR10.class_names)}
    digests = {}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
        digests[name] = md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[name, digests[name]] for name in files[:5]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", datasets.CIFAR10.meta | {"md5": digests["batches.meta"]})
    return written


def mnist(root: Path, name: str = "MNIST") -> str:
    """Write data in the format of MNIST."""
    if not (root / name).exists():
        write_mnist(root, name)
    return str(root)


def images(root: Path, count: int = 60) -> str:
    """Write images of two classes."""
    folder = root / f"images-{count}"
    if not folder.exists():
        rng = np.random.default_rng(0)
        for name in ("cat", "dog"):
            (folder / name).mkdir(parents=True)
            for index in range(count // 2):
                Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(folder / name / f"{index}.png")
    return str(folder)


def captions(root: Path) -> str:
    """Write images with one or two captions."""
    folder = root / "captions"
    if not folder.exists():
        folder.mkdir()
        rng = np.random.default_rng(1)
        rows = []
        for index in range(60):
            Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(folder / f"{index}.png")
            text = ["noise", f"noise of number {index % 7}"]
            rows.append(json.dumps({"file_name": f"{index}.png", "text": text[: 1 + index % 2]}))
        (folder / "metadata.jsonl").write_text("\n".join(rows))
    return str(folder)


def sounds(root: Path) -> str:
    """Write recordings of noise, named as in the Free Spoken Digit Dataset, with the digits as folders."""
    soundfile = pytest.importorskip("soundfile")
    folder = root / "sounds"
    if not folder.exists():
        rng = np.random.default_rng(0)
        for digit in range(10):
            (folder / str(digit)).mkdir(parents=True)
            for speaker in ("ada", "theo", "yweweler"):
                for index in (0, 5, 10):  # for testing, validation and training
                    wave = rng.uniform(-0.5, 0.5, 1000)
                    soundfile.write(folder / str(digit) / f"{digit}_{speaker}_{index}.wav", wave, 8000)
    return str(folder)


def digit_sounds(root: Path) -> str:
    """Write recordings as in the Free Spoken Digit Dataset, without folders."""
    source, folder = Path(sounds(root)), root / "recordings"
    if not folder.exists():
        folder.mkdir()
        for path in source.glob("*/*.wav"):
            (folder / path.name).write_bytes(path.read_bytes())
    return str(folder)


def shards(root: Path, count: int = 60) -> str:
    """Write shards of 2 kB of the images."""
    pytest.importorskip("litdata")
    folder = root / f"shards-{count}"
    if not folder.exists():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lightning_gans.datamodules.shards.SHARD_BYTES", 2000)
            part = Part(folder)
            part.write(ImageFolder(root=images(root, count), image_size=6, **FRACTIONS), lambda number: None)
            part.complete()
    return str(folder)


def saved_data_set(root: Path, count: int = 40) -> str:
    """Write a folder of `save_to_disk` with images, labels and captions."""
    hub = pytest.importorskip("datasets")
    folder = root / f"saved_{count}"
    if not folder.exists():
        random = np.random.default_rng(0)
        columns = {
            "image": [Image.fromarray(random.integers(0, 256, (7, 9, 3), dtype=np.uint8)) for _ in range(count)],
            "label": [index % 3 for index in range(count)],
            "text": [f"a {index % 5}" for index in range(count)],
        }
        features = hub.Features(
            image=hub.Image(), label=hub.ClassLabel(names=["cat", "cow", "dog"]), text=hub.Value("string")
        )
        hub.Dataset.from_dict(columns, features=features).save_to_disk(str(folder))
    return str(folder)


def svhn(root: Path) -> str:
    """Write the files of SVHN, whose checksums torchvision would compare."""
    folder = root / "svhn"
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 20)):
        content = {
            "X": random.integers(0, 256, (32, 32, 3, count), dtype=np.uint8),
            "y": (np.arange(count, dtype=np.uint8) % 10 + 1)[:, None],
        }
        savemat(folder / f"{split}_32x32.mat", content)
        checksum = md5((folder / f"{split}_32x32.mat").read_bytes()).hexdigest()
        datasets.SVHN.split_list[split][2] = checksum
    return str(folder)


# Table

FRACTIONS = {"validation_size": 0.2, "test_size": 0.2}
SOUND = {"sample_rate": 8000, "seconds": 0.1, "n_fft": 256, "hop_length": 64, "n_mels": 16}
SMALL = {"validation_size": 5}
OTHER = {"validation_size": 6}

TABLE: dict[type[DataModule], Callable[[Path], Row]] = {
    AudioFolder: lambda root: Row({"root": sounds(root), **FRACTIONS, **SOUND}, {"validation_size": 0.3}),
    BinarizedMNIST: lambda root: Row({"root": mnist(root), **SMALL}, OTHER),
    CIFAR10: lambda root: Row({"root": str(root / "cifar"), **SMALL}, OTHER),
    Captions: lambda root: Row({"root": captions(root), "image_size": 6, **FRACTIONS}, {"min_count": 9}),
    Digits: lambda root: Row({}, OTHER),
    FashionMNIST: lambda root: Row({"root": mnist(root, "FashionMNIST"), **SMALL}, OTHER),
    HuggingFace: lambda root: Row(
        {"path": saved_data_set(root), "image_size": 6, **FRACTIONS}, {"path": saved_data_set(root, 50)}
    ),
    ImageAndSound: lambda root: Row(
        {"images": Digits(), "audio": SpokenDigits(root=digit_sounds(root), **SOUND)}, {"images": Digits(**OTHER)}
    ),
    ImageFolder: lambda root: Row({"root": images(root), "image_size": 6, **FRACTIONS}, {"root": images(root, 50)}),
    LitData: lambda root: Row({"root": shards(root)}, {"root": shards(root, 50)}),
    MNIST: lambda root: Row({"root": mnist(root), **SMALL}, OTHER),
    SpokenDigits: lambda root: Row({"root": digit_sounds(root), **SOUND}, {"split_by": "speaker"}),
    Sprites: lambda root: Row({"image_size": 16, "train_size": 40, "test_size": 20, **SMALL}, {"seed": 1}),
    StackedMNIST: lambda root: Row({"root": mnist(root), "train_size": 40, **SMALL}, {"seed": 1}),
    TorchvisionImages: lambda root: Row(
        {"dataset": "SVHN", "root": svhn(root), "image_size": 6, **FRACTIONS}, {"validation_size": 0.4}
    ),
    Toy2D: lambda root: Row({"count": 400, "validation_size": 50}, {"seed": 1}),
}
"""Every data module that can be instantiated. A new one needs one line."""


def make(cls: type[DataModule], root: Path, *, other: bool = False) -> DataModule:
    """Create a data module of the table.

    Args:
        cls: Its class.
        root: Folder for files, which are written if they are missing.
        other: Whether to change its examples or its splits, default False.
    """
    row = TABLE[cls](root)
    return cls(**{"batch_size": BATCH_SIZE, **row.options, **(row.other if other else {})})
