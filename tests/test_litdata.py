"""Test shards: what `prepare` writes, parts on several machines, the order of an epoch, URLs, errors of one line."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from data_cases import SPLITS, captions, images
from PIL import Image
from torch import Tensor

from lightning_gans.__main__ import main
from lightning_gans.datamodules import Captions, ImageFolder, LitData, Sprites
from lightning_gans.datamodules.hashing import hash_array
from lightning_gans.datamodules.litdata_source import LitDataSource
from lightning_gans.datamodules.shards import Part
from lightning_gans.types import Batch

pytest.importorskip("litdata")

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*smaller than the logging.*")

OPTIONS = ["--data.image_size", "6", "--data.validation_size", "0.2", "--data.test_size", "0.2"]
WINDOW = 3


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with shards of about a dozen images, of which three are shuffled together."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lightning_gans.datamodules.shards.SHARD_BYTES", 2000)
    monkeypatch.setattr("lightning_gans.datamodules.litdata_source.WINDOW", WINDOW)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(images(tmp_path_factory.mktemp("images"), 120))


def prepare(root: Path, *options: str, output: str = "shards") -> int:
    return main(["prepare", "--data", "ImageFolder", "--data.root", str(root), "--output", output, *OPTIONS, *options])


def image_folder(root: Path) -> ImageFolder:
    return ImageFolder(root=str(root), image_size=6, validation_size=0.2, test_size=0.2, batch_size=8)


def contents(batch: Batch) -> list[tuple[int, int]]:
    """Return the hash and the label of each image."""
    return [(hash_array(image), label) for image, label in zip(batch["image"], batch["label"].tolist(), strict=True)]


def counted(source: LitDataSource, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the numbers of the shards that a source reads."""
    read, original = list[int](), source._read
    monkeypatch.setattr(source, "_read", lambda shard: (read.append(shard), original(shard))[1])
    return read


# Prepare


def test_shards_have_the_images_the_labels_and_the_splits_of_the_folder(folder: Path) -> None:
    assert prepare(folder) == 0
    data, expected = LitData(root="shards", batch_size=8), image_folder(folder)
    assert (data.image_shape, data.class_names, data.levels) == ((3, 6, 6), ("cat", "dog"), 256)
    assert data.sizes == expected.sizes
    assert data.fingerprint() == expected.fingerprint()
    assert data.preprocessing["prepared"]["resize"] == "cover"
    for split in SPLITS:
        assert contents(data.examples(split)) == contents(expected.examples(split))
    assert len(list(Path("shards/train").glob("chunk-*.bin"))) > 2


def test_parts_are_disjoint_and_together_complete(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (3, 1):
        assert prepare(folder, "--shard", f"{number}/3") == 0
    assert capsys.readouterr().out.endswith("shards waits for the parts 2\n")
    with pytest.raises(ValueError, match=r"`root` must be a folder of complete shards, but .* has no index\.json"):
        LitData(root="shards")
    assert prepare(folder, "--shard", "2/3") == 0
    data, expected = LitData(root="shards"), image_folder(folder)
    for split in SPLITS:
        found = contents(data.examples(split))
        assert len(found) == len(set(found)) == expected.sizes[split]
        assert set(found) == set(contents(expected.examples(split)))


def test_parts_on_machines_without_a_common_folder_are_joined_by_any_of_them(folder: Path) -> None:
    for number in (1, 2):
        assert prepare(folder, "--shard", f"{number}/2", output=f"machine-{number}") == 0
    for path in Path("machine-2").rglob("*.*"):
        (Path("machine-1") / path.relative_to("machine-2")).write_bytes(path.read_bytes())
    assert prepare(folder, "--shard", "1/2", output="machine-1") == 0
    assert sum(LitData(root="machine-1").sizes.values()) == 120


def test_points_and_captions_are_prepared_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--data", "Toy2D", "--data.count", "500", "--data.validation_size", "50", *to("p")]) == 0
    points = LitData(root="p", batch_size=8)
    assert (points.image_shape, points.levels, points.sizes["train"]) == ((2,), None, 450)
    root = captions(tmp_path)
    assert main(["prepare", "--data", "Captions", "--data.root", root, *OPTIONS, *to("c")]) == 0
    assert "an image with several captions has the first of them in the shards" in capsys.readouterr().out
    data = LitData(root="c", batch_size=8)
    expected = Captions(root=root, image_size=6, validation_size=0.2, test_size=0.2)
    assert data.vocabulary is not None
    assert data.vocabulary.words == expected.vocabulary.words
    torch.testing.assert_close(data.examples("test")["text"], expected.examples("test")["text"])


def to(output: str) -> list[str]:
    return ["--output", output]


def test_a_split_may_be_empty(folder: Path) -> None:
    assert prepare(folder, "--data.validation_size", "0") == 0
    data = LitData(root="shards", batch_size=8)
    assert data.sizes["validation"] == 0
    assert data.val_dataloader() == []
    assert data.examples("validation")["image"].shape == (0, 3, 6, 6)
    assert data.fingerprint()


SLOW = """
import sys, time
from lightning_gans.datamodules import shards
from lightning_gans.__main__ import main
from lightning_gans.datamodules.sources import TensorSource
shards.SHARD_BYTES, fetch = 2000, TensorSource.fetch
TensorSource.fetch = lambda *arguments: (time.sleep(0.05), fetch(*arguments))[1]
sys.exit(main({arguments!r}))
"""


def test_shards_whose_run_was_killed_are_never_read_and_are_written_anew(folder: Path) -> None:
    arguments = ["prepare", "--data", "ImageFolder", "--data.root", str(folder), "--output", "shards", *OPTIONS]
    process = subprocess.Popen([sys.executable, "-c", SLOW.format(arguments=arguments)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(Path("shards").glob(".part-*/*/*.bin")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert list(Path("shards").glob(".part-*/*/*.bin"))
    with pytest.raises(ValueError, match=r"has no index\.json"):
        LitData(root="shards")
    assert prepare(folder) == 0
    assert not list(Path("shards").glob(".part-*"))
    assert LitData(root="shards").fingerprint() == image_folder(folder).fingerprint()


def test_a_part_that_is_complete_is_not_written_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare(folder) == 0
    before = {path: path.stat().st_mtime_ns for path in Path("shards").rglob("*.bin")}
    assert prepare(folder) == 0
    assert "part 1 of 1 is complete already; to write it anew, remove shards" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in Path("shards").rglob("*.bin")} == before


def test_the_environment_of_a_cluster_does_not_stop_prepare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")  # for which litdata would wait
    monkeypatch.setenv("GLOBAL_RANK", "5")
    assert prepare(folder) == 0
    assert len(LitData(root="shards").examples("train")["label"]) == image_folder(folder).sizes["train"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard", "4/3"], "`--shard` must be a part and the number of parts, such as 3/8, got '4/3'"),
        (["--shard", "first"], "`--shard` must be a part and the number of parts, such as 3/8, got 'first'"),
        (["--shard", "1/50"], "`root` '.*' has 120 images, too few for 50 parts of 20"),
        (["--output", "s3://bucket"], "`--output` must be a folder, which you copy to the object store, got 's3://"),
        (["--data.imagesize", "6"], "ImageFolder has no option `imagesize`"),
    ],
)
def test_a_mistake_is_one_line_and_makes_no_folder(
    options: list[str], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(folder, *options) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.match(f"error: {message}", error)
    assert not list(tmp_path.iterdir())


def test_only_the_files_of_an_image_folder_are_divided(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--data", "Digits", *to("x"), "--shard", "1/2"]) == 2
    assert capsys.readouterr().err == (
        "error: `--shard` divides the files of an ImageFolder, but Digits is prepared as a whole\n"
    )
    assert not Path("x").exists()


def test_existing_output_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other").mkdir()
    Path("other/thesis.txt").write_text("")
    assert prepare(folder, output="other") == 2
    assert "`--output` 'other' has other files: choose a new folder" in capsys.readouterr().err
    assert prepare(folder, "--shard", "1/2") == 0
    assert prepare(folder, "--shard", "2/3") == 2
    assert "`--output` 'shards' has 'part-1-of-2.json', which does not fit part 2 of 3" in capsys.readouterr().err
    assert prepare(folder, "--shard", "2/2", "--data.resize", "fit") == 2
    assert "`--output` 'shards' has part 1 with other options: choose a new folder" in capsys.readouterr().err


def test_parts_of_deep_images_need_a_value_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "deep"
    root.mkdir()
    for index in range(60):
        level = np.full((6, 6), 1000 * index, np.uint16)
        level[0, 0] = 5 * index
        Image.fromarray(level).save(root / f"{index}.png")
    assert prepare(root, "--shard", "1/2") == 2
    assert "`value_range` auto looks at all images, not at a part: set it, such as [0" in capsys.readouterr().err
    for number in (1, 2):
        assert prepare(root, "--shard", f"{number}/2", "--data.value_range", "[0,65535]") == 0
    assert sum(LitData(root="shards").sizes.values()) == 60


def test_data_with_other_keys_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile = pytest.importorskip("soundfile")
    for index in range(20):
        soundfile.write(tmp_path / f"{index}.wav", np.random.default_rng(index).uniform(-1, 1, 900), 8000)
    options = ["--data.root", str(tmp_path), "--data.validation_size", "0.2", "--data.test_size", "0.2"]
    assert main(["prepare", "--data", "AudioFolder", *options, *to("sound")]) == 2
    assert "shards have images, labels and captions, but AudioFolder has audio" in capsys.readouterr().err
    assert not Path("sound").exists()


def test_a_missing_extra_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(folder) == 0
    capsys.readouterr()
    monkeypatch.setitem(sys.modules, "litdata", None)
    for arguments in (
        ["prepare", "--data", "Digits", *to("x")],
        ["data", "--data", "LitData", "--data.root", "shards"],
        ["fit", "--data", "LitData", "--data.root", "shards"],
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: shards need litdata, which cannot be imported")
        assert error.endswith("pip install 'lightning-gans[litdata]'\n")
        assert error.count("\n") == 1


# Order


@pytest.fixture(scope="session")
def sprites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 400 images into shards of about 30, with the number of each image as its label."""
    part = Part(tmp_path_factory.mktemp("sprites") / "shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lightning_gans.datamodules.shards.SHARD_BYTES", 8000)
        part.write(
            Sprites(level=1, image_size=8, train_size=400, validation_size=20, test_size=20), lambda number: None
        )
    assert part.complete() == []
    return part.folder


def shard_of(source: LitDataSource) -> Tensor:
    """Return the shard of each example."""
    return torch.repeat_interleave(torch.from_numpy(np.diff(source._starts)))


def test_an_epoch_moves_each_example_by_less_than_a_window_of_shards(sprites: Path) -> None:
    source = LitDataSource(str(sprites / "train"))
    shards = len(source._starts) - 1
    assert shards > 4 * WINDOW
    orders = [source.permutation(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    for order in orders:
        assert sorted(order.tolist()) == list(range(len(source)))
        visited = shard_of(source)[order]
        places = [torch.nonzero(visited == shard)[:, 0] for shard in range(shards)]
        largest = int(np.diff(source._starts).max())
        assert all(place.max() - place.min() < (WINDOW + 1) * largest for place in places)
        assert sum(bool((place.diff() > 1).any()) for place in places) == shards  # and all shards are mixed
        first = [int(place.min()) for place in places]
        assert np.argsort(first).tolist() != list(range(shards))  # and in a random order


@pytest.mark.parametrize("start", [0, 17])
def test_an_epoch_reads_each_shard_once(sprites: Path, start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = LitData(root=str(sprites), batch_size=8)
    loader = data.train_dataloader()
    loader.load_state_dict({**loader.state_dict(), "epoch": 1, "position": start})
    source = data.source("train")
    assert isinstance(source, LitDataSource)
    read = counted(source, monkeypatch)
    assert len(list(loader)) == 50 - start
    assert len(read) == len(set(read))
    assert len(source._shards) <= WINDOW + 2
    held_out = data.source("validation")
    assert isinstance(held_out, LitDataSource)
    read = counted(held_out, monkeypatch)
    list(data.val_dataloader())
    assert read == sorted(set(read))


def test_any_indices_are_fetched(sprites: Path) -> None:
    source = LitDataSource(str(sprites / "train"))
    whole = source.fetch(torch.arange(len(source)))
    indices = torch.randint(len(source), (300,), generator=torch.Generator().manual_seed(0))
    for key, tensor in source.fetch(indices).items():
        torch.testing.assert_close(tensor, whole[key][indices], rtol=0, atol=0)
    copy = pickle.loads(pickle.dumps(source))
    torch.testing.assert_close(copy.fetch(indices)["image"], whole["image"][indices], rtol=0, atol=0)


# URLs


def test_shards_of_a_url_are_downloaded_once_and_have_the_same_order(sprites: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "downloads")
    local = LitData(root=str(sprites), batch_size=8)
    remote = LitData(root=f"local:{sprites}", batch_size=8, cache=cache)  # litdata's URL of another folder
    for _ in range(2):
        for batch, same in zip(remote.train_dataloader(), local.train_dataloader(), strict=True):
            torch.testing.assert_close(batch, same, rtol=0, atol=0)
    shards = len(list((sprites / "train").glob("*.bin")))
    assert len(list(Path(cache).rglob("chunk-*.bin"))) == shards
    assert remote.fingerprint() == local.fingerprint()


def test_a_url_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`root` 'local:/nowhere/train' cannot be read: ") as caught:
        LitData(root="local:/nowhere", cache=str(tmp_path))
    assert "\n" not in str(caught.value)


def test_shards_of_another_program_are_refused(sprites: Path, tmp_path: Path) -> None:
    for path in (sprites / "train").iterdir():
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / path.name).write_bytes(path.read_bytes())
    index = json.loads((tmp_path / "train" / "index.json").read_text())
    del index["lightning_gans"]
    (tmp_path / "train" / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="has shards of another program: write them with `prepare`"):
        LitData(root=str(tmp_path))


# Training


class Recorder(pl.LightningModule):
    """Record the images of training, and save a checkpoint after every batch."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.seen: list[Tensor] = []
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append(batch["image"])
        return self.weight.square()

    def validation_step(self, batch: Batch, batch_idx: int) -> None: ...

    def on_train_batch_end(self, *_: Any) -> None:
        self.trainer.save_checkpoint(self.folder / f"{self.trainer.global_step}.ckpt")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(root: Path, folder: Path, ckpt_path: Path | None = None) -> list[Tensor]:
    """Train three epochs of four batches, and return the images."""
    quiet: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    model, data = Recorder(folder), LitData(root=str(root), batch_size=100, horizontal_flip=True)
    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", **quiet)
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return model.seen


@pytest.mark.filterwarnings("error:.*has changed since the checkpoint")
def test_a_trainer_resumes_shards_exactly(sprites: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    expected = fit(sprites, first)
    assert len(expected) == 12
    for step in (1, 2, 3, 4, 5):  # the first, a middle and the last batch of an epoch, its end, and the next epoch
        seen = fit(sprites, second, first / f"{step}.ckpt")
        torch.testing.assert_close(torch.stack(seen), torch.stack(expected[step:]), rtol=0, atol=0)
    again = fit(sprites, second, second / "7.ckpt")  # after a second resume
    torch.testing.assert_close(torch.stack(again), torch.stack(expected[7:]), rtol=0, atol=0)


def test_two_processes_divide_the_batches_of_one(sprites: Path) -> None:
    def labels(rank: int, world_size: int) -> list[Tensor]:
        data = LitData(root=str(sprites), batch_size=8)
        data.trainer = Ranked(rank, world_size)  # type: ignore[assignment]
        return [batch["image"] for batch in data.train_dataloader()]

    single, *ranks = labels(0, 1), labels(0, 2), labels(1, 2)
    for whole, *parts in zip(single, *ranks, strict=True):
        torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
    assert len(list(chain(*ranks))) == 100


class Ranked:
    """Stand-in for a trainer on several devices."""

    overfit_batches = 0.0
    current_epoch = 0

    def __init__(self, global_rank: int, world_size: int) -> None:
        self.global_rank, self.world_size = global_rank, world_size
        self.strategy = type("Strategy", (), {"root_device": torch.device("cpu")})()
