"""Test the storages of an image folder: equal batches, caches that are reused and built anew, and stable splits."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gans.datamodules import ImageFolder, image_decoding
from lightning_gans.datamodules.mapped import MappedSource, create_array
from lightning_gans.datamodules.sources import Subset

pytestmark = pytest.mark.filterwarnings("ignore:.*validation images are too few for scores")

STORAGES: dict[str, dict[str, Any]] = {
    "memory": {"storage": "memory"},
    "mapped": {"storage": "mapped"},
    "workers": {"storage": "workers"},
    "2 workers": {"storage": "workers", "num_workers": 2},
}


def write_images(root: Path, *names: str, size: int = 8) -> None:
    """Write images of noise, each the same whenever it has the same name."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Write a folder of two classes with images of 8, 12 and 16 bits, a duplicate and two damaged files."""
    root = tmp_path / "images"
    write_images(root, *(f"{animal}/{i:02}.png" for animal in ("cat", "dog") for i in range(20)))
    for i in range(4):
        Image.fromarray(np.full((8, 8), 1000 * (i + 1), np.uint16)).save(root / "cat" / f"deep{i}.png")
    shutil.copy(root / "cat" / "03.png", root / "dog" / "copy.png")
    (root / "cat" / "bad.png").write_bytes((root / "cat" / "05.png").read_bytes()[:60])
    (root / "dog" / "text.png").write_text("not an image")
    return root


def folder(root: Path, **options: Any) -> ImageFolder:
    defaults = {"image_size": 6, "batch_size": 4, "validation_size": 0.2, "test_size": 0.2, "on_error": "skip"}
    return ImageFolder(root=str(root), **{"cache": str(root.parent / "cache"), **defaults} | options)


class Decoder:
    """Count the images that are decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        original = image_decoding.open_image

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(image_decoding, "open_image", counted)


@pytest.mark.parametrize("kind", STORAGES)
def test_every_storage_serves_the_same_batches(kind: str, images: Path) -> None:
    data, expected = folder(images, **STORAGES[kind]), folder(images)
    assert data.sizes == expected.sizes
    assert sum(data.sizes.values()) == 45
    assert data.storage == kind.rpartition(" ")[2]
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        for batch, same in zip(getattr(data, loader)(), getattr(expected, loader)(), strict=True):
            assert batch.keys() == same.keys() == {"image", "label"}
            for key, tensor in batch.items():
                torch.testing.assert_close(tensor, same[key], rtol=0, atol=0)
    assert data.fingerprint() == expected.fingerprint()
    assert data.summary == expected.summary
    assert data.preprocessing == expected.preprocessing


def test_the_splits_share_the_images_without_copies(images: Path) -> None:
    for storage in ("memory", "mapped"):
        data = folder(images, storage=storage)
        parts = [data.source(split) for split in ("train", "validation", "test")]
        assert all(isinstance(part, Subset) for part in parts)
        assert len({id(part.source) for part in parts}) == 1  # type: ignore[attr-defined]
        indices = torch.cat([part.indices for part in parts])  # type: ignore[attr-defined]
        assert len(indices.unique()) == len(indices) == 45  # the damaged files are in no split


def test_the_storage_follows_from_the_size(images: Path) -> None:
    gigabytes = 47 * 3 * 6 * 6 / 1e9
    assert folder(images, memory_limit_gb=gigabytes).storage == "memory"
    data = folder(images, memory_limit_gb=0.99 * gigabytes)
    assert data.storage == "mapped"
    assert isinstance(data.source("train").source.source, MappedSource)  # type: ignore[attr-defined]


@pytest.mark.parametrize("storage", ["mapped", "workers"])
def test_a_second_start_decodes_nothing(storage: str, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder(monkeypatch)
    served = storage == "workers"  # one image per start, whose shape is compared with that of the data module
    first = folder(images, storage=storage)
    first.setup("fit")
    assert decoder.count == 47 + 4 + served  # images of more than 8 bits are decoded twice, for their value range
    second = folder(images, storage=storage)
    second.setup("fit")
    assert second.fingerprint() == first.fingerprint()
    assert second.summary == first.summary
    assert second.summary.ranges == {"uint16": (0, 4095)}
    assert decoder.count == 51 + 2 * served
    next(iter(second.train_dataloader()))
    assert decoder.count == 51 + (2 + 4) * served


def test_an_archive_is_decoded_once(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.make_archive(str(images), "zip", images)
    archive = images.with_suffix(".zip")
    decoder = Decoder(monkeypatch)
    first, second = (folder(archive, storage="mapped") for _ in range(2))
    assert first.fingerprint() == second.fingerprint() == folder(images).fingerprint()
    assert decoder.count == 51 + 51  # the archive and the folder
    os.utime(archive, (1, 1))
    folder(archive, storage="mapped").setup()
    assert decoder.count == 3 * 51


@pytest.mark.parametrize(
    "options",
    [{"image_size": 5}, {"channels": 1}, {"resize": "fit"}, {"value_range": (0, 65535)}, {"storage": "workers"}],
    ids=str,
)
def test_other_preprocessing_has_its_own_cache(options: dict[str, Any], images: Path) -> None:
    folder(images, storage="mapped").setup()
    data = folder(images, **{"storage": "mapped"} | options)
    assert data.fingerprint() == folder(images, **options | {"storage": "memory"}).fingerprint()
    assert len(list((images.parent / "cache").iterdir())) == 2


@pytest.mark.parametrize("change", ["content", "permissions", "name"])
def test_a_changed_file_is_decoded_anew(change: str, images: Path) -> None:
    folder(images, storage="mapped").setup()
    file = images / "cat" / "00.png"
    if change == "content":
        write_images(images, "cat/new.png")
        os.replace(images / "cat" / "new.png", file)
    elif change == "permissions":
        file.chmod(0o600)
    else:
        file.rename(images / "dog" / "renamed.png")
    data = folder(images, storage="mapped")
    assert data.fingerprint() == folder(images).fingerprint()
    assert len(list((images.parent / "cache").iterdir())) == 2


def test_labels_may_change_without_decoding(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = folder(images, storage="mapped").files
    decoder = Decoder(monkeypatch)
    counts = []
    for label in ("a", "b"):
        rows = "".join(f"{file},{'x' if 'dog' in file else label}\n" for file in files)
        (images / "metadata.csv").write_text(f"file_name,label\n{rows}")
        data = folder(images, storage="mapped")
        assert data.class_names == (label, "x")
        counts.append(data.examples("train")["label"].sum().item())
    assert counts[0] == counts[1] > 0
    assert decoder.count == 51


def test_bad_files_stop_a_run_and_leave_no_cache(images: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="2 of 47 images cannot be decoded"):
            folder(images, storage="mapped", on_error="stop").setup("fit")
        assert not list((images.parent / "cache").iterdir())
    folder(images, storage="mapped").setup()
    with pytest.raises(ValueError, match="2 of 47 images cannot be decoded"):
        folder(images, storage="mapped", on_error="stop").setup("fit")


SLOW = """
import sys, time
from lightning_gans.datamodules import ImageFolder, image_decoding
original = image_decoding.hash_array
def slow(image):
    slow.count = getattr(slow, "count", 0) + 1
    time.sleep(60 * (slow.count > 20))
    return original(image)
image_decoding.hash_array = slow
ImageFolder(root=sys.argv[1], cache=sys.argv[2], image_size=6, storage="mapped", on_error="skip").setup()
"""


def test_a_cache_whose_run_was_killed_is_built_anew(images: Path) -> None:
    cache = images.parent / "cache"
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(images), str(cache)])
    deadline = time.monotonic() + 60
    while not list(cache.glob("*/image.npy")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (remains,) = cache.iterdir()
    data = folder(images, storage="mapped")
    with pytest.warns(UserWarning, match="is incomplete, since its run ended early: it is built anew"):
        data.setup()
    assert not remains.exists()
    assert data.fingerprint() == folder(images).fingerprint()


@pytest.mark.parametrize("storage", ["mapped", "workers"])
def test_added_and_removed_images_move_no_other_image(storage: str, tmp_path: Path) -> None:
    def splits(data: ImageFolder) -> dict[bytes, str]:
        return {
            image.numpy().tobytes(): split for split in data.sizes for image in data.examples(split)["image"].unbind()
        }

    root = tmp_path / "images"
    write_images(root, *(f"{i:02}.png" for i in range(40)))
    before = splits(folder(root, storage=storage))
    write_images(root, *(f"new/{i}.png" for i in range(10)))
    for i in range(0, 40, 4):
        (root / f"{i:02}.png").unlink()
    after = splits(folder(root, storage=storage))
    both = before.keys() & after.keys()
    assert (len(both), len(after)) == (30, 40)
    assert {image: before[image] for image in both} == {image: after[image] for image in both}


@pytest.mark.parametrize("storage", ["memory", "mapped", "workers"])
def test_a_resumed_run_says_that_the_images_changed(storage: str, images: Path) -> None:
    state = folder(images, storage="memory").state_dict()
    data = folder(images, storage=storage)
    data.load_state_dict(state)
    data.setup()  # the same images in any storage: no warning
    write_images(images, "cat/another.png")
    data = folder(images, storage=storage)
    data.load_state_dict(state)
    with pytest.warns(UserWarning, match=r"ImageFolder has changed since the checkpoint was saved \(fingerprint"):
        data.setup()


def test_one_process_of_a_machine_fills_the_cache(images: Path) -> None:
    folder(images).prepare_data()
    assert not (images.parent / "cache").exists()
    folder(images, storage="mapped").prepare_data()
    assert len(list((images.parent / "cache").glob("*/index.json"))) == 1


def test_a_full_disk_is_an_error_of_one_line(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ValueError, match=r"`cache` '.*cache' cannot be written: .*No space left on device"):
        folder(images, storage="mapped").setup()
    assert not list((images.parent / "cache").iterdir())


def test_the_place_of_an_array_is_reserved(tmp_path: Path) -> None:
    create_array(tmp_path / "x.npy", (1000, 1000), np.uint8)
    assert (tmp_path / "x.npy").stat().st_blocks * 512 >= 1_000_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"storage": "disk"}, "`storage` must be one of auto, memory, mapped, workers, got 'disk'"),
        ({"memory_limit_gb": -1.0}, "`memory_limit_gb` must be at least 0, got -1.0"),
        ({"num_workers": 2}, "`num_workers` 2 has no effect on ImageFolder, whose examples are stored in memory"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str, images: Path) -> None:
    with pytest.raises(ValueError, match=message):
        folder(images, **options).setup()
