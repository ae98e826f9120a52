"""Test `ImageAndSound`: pairs of equal classes that are drawn and resumed exactly, pairs of a table, and odd data."""

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor, nn

from lightning_gans.__main__ import main
from lightning_gans.core.recording import deserialize, serialize
from lightning_gans.datamodules import (
    AudioFolder,
    Captions,
    DataModule,
    Digits,
    ImageAndSound,
    ImageFolder,
    Sprites,
    Toy2D,
)
from lightning_gans.datamodules.concatenation import ConcatSource
from lightning_gans.datamodules.module import Split
from lightning_gans.datamodules.sources import TensorSource, WorkerSource
from lightning_gans.types import Batch

soundfile = pytest.importorskip("soundfile")

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*smaller than the logging.*", "ignore:.*validation images are too"
)

CLASSES = ("cat", "dog", "owl")
SPLITS = {"train": 6, "validation": 2, "test": 2}
"""Recordings of each class and split; there are twice as many images."""


def write_sound(path: Path, hertz: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * hertz * np.arange(2000) / 8000), 8000)


def write_image(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), level).save(path)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images and recordings in folders of splits and classes: the level and the frequency are their numbers."""
    root = tmp_path_factory.mktemp("pairs")
    number = 0
    for split, count in SPLITS.items():
        for name in CLASSES:
            for index in range(count):
                write_sound(root / "sounds" / split / name / f"{index}.wav", 300 + 50 * number)
                for half in range(2):
                    write_image(root / "images" / split / name / f"{index}{half}.png", 2 * number + half)
                number += 1
    return root


def images_of(root: Path, **options: Any) -> ImageFolder:
    return ImageFolder(root=str(root), image_size=4, channels=1, **options)


def audio_of(root: Path, **options: Any) -> AudioFolder:
    settings = {"sample_rate": 8000, "seconds": 0.2, "n_fft": 256, "hop_length": 64, "n_mels": 16}
    return AudioFolder(root=str(root), **settings, **options)


def animals(root: Path, **options: Any) -> ImageAndSound:
    return ImageAndSound(
        images=images_of(root / "images"), audio=audio_of(root / "sounds"), **{"batch_size": 6, **options}
    )


def numbers(data: ImageAndSound, batch: Batch) -> list[tuple[int, int]]:
    """Return the number of the image and of the recording of each pair, by their level and by comparison."""
    level = batch["image"][:, 0, 0, 0]
    images = (level if level.dtype == torch.uint8 else (level + 1) * 127.5).round().int().tolist()
    known = torch.cat([data.audio.examples(split)["audio"] for split in get_args(Split)])
    distance = torch.cdist(batch["audio"].flatten(1), known.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.equal(distance.amin(1), torch.zeros(len(distance)))
    return list(zip(images, distance.argmin(1).tolist(), strict=True))


def labels(data: ImageAndSound) -> list[int]:
    """Return the label of each recording, in the order of `numbers`."""
    return [recording.label for split in get_args(Split) for recording in data.audio.recordings(split)]


def joined(batches: list[Batch], key: str) -> Tensor:
    return torch.cat([batch[key] for batch in batches])  # type: ignore[literal-required]


class Recorder(pl.LightningModule):
    """Record the batches."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[Batch] = []
        self.validated: list[Batch] = []
        self.folder = folder

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append(batch)
        return self.weight.square()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.validated.append(batch)

    def on_train_batch_end(self, *_: Any) -> None:
        if self.folder is not None:
            self.trainer.save_checkpoint(self.folder / f"{len(self.seen)}.ckpt")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data: DataModule, folder: Path | None = None, ckpt_path: Path | None = None, epochs: int = 3) -> Recorder:
    model = Recorder(folder)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", num_sanity_val_steps=0, **quiet)
    trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)
    return model


# Pairs of equal classes


def test_the_shapes_and_the_classes_are_known_before_the_data_are_read(root: Path) -> None:
    data = animals(root)
    assert (data.image_shape, data.audio_shape, data.num_classes) == ((1, 4, 4), (1, 16, 26), 3)
    dummy = data.dummy_batch(5)
    assert data._splits is None
    real = data.examples("train", 5)
    assert {key: (value.shape, value.dtype) for key, value in dummy.items()} == {  # type: ignore[attr-defined]
        key: (value.shape, value.dtype)  # type: ignore[attr-defined]
        for key, value in real.items()
    }


@pytest.mark.parametrize("split", get_args(Split))
def test_a_recording_has_the_class_and_the_split_of_its_image(root: Path, split: Split) -> None:
    data = animals(root)
    batch = data.examples(split)
    assert len(batch["label"]) == 2 * 3 * SPLITS[split]
    own = set(data.audio.recordings(split))
    recordings = [recording for name in get_args(Split) for recording in data.audio.recordings(name)]
    for (_, number), label in zip(numbers(data, batch), batch["label"], strict=True):
        assert recordings[number].label == label
        assert recordings[number] in own


def test_classes_are_paired_by_name_whatever_their_order(root: Path) -> None:
    data = animals(root)
    expected = data.examples("train")
    reversed_audio = audio_of(root / "sounds")
    reversed_audio.class_names = CLASSES[::-1]
    other = ImageAndSound(images=images_of(root / "images"), audio=reversed_audio, batch_size=6)
    for (_, number), label in zip(numbers(other, other.examples("train")), expected["label"], strict=True):
        assert labels(data)[number] == 2 - label


def test_recordings_are_drawn_in_training_and_fixed_in_validation(root: Path) -> None:
    data = animals(root)
    model = fit(data, epochs=8)
    partners: dict[int, list[int]] = {}
    for batch in model.seen:
        assert [labels(data)[number] for _, number in numbers(data, batch)] == batch["label"].tolist()
        for image, number in numbers(data, batch):
            partners.setdefault(image, []).append(number)
    assert len(partners) == 36
    assert sum(len(set(drawn)) > 2 for drawn in partners.values()) > 30
    assert {number for drawn in partners.values() for number in drawn} == set(range(18))  # all training recordings
    expected = data.examples("validation")
    size = len(model.validated) // 8
    for epoch in range(8):
        seen = torch.cat([batch["audio"] for batch in model.validated[epoch * size :][:size]])
        assert torch.equal(seen, expected["audio"])


def test_pairs_are_resumed_exactly_from_every_batch(root: Path, tmp_path: Path) -> None:
    whole = fit(animals(root), tmp_path)
    for batches in range(1, len(whole.seen), 2):
        resumed = fit(animals(root), ckpt_path=tmp_path / f"{batches}.ckpt")
        for key in ("image", "audio", "label"):
            assert torch.equal(joined(resumed.seen, key), joined(whole.seen[batches:], key))


def test_two_ranks_are_disjoint_and_have_the_pairs_of_one(root: Path) -> None:
    def batches(rank: int, world_size: int) -> list[Batch]:
        data = animals(root)
        strategy = SimpleNamespace(root_device=torch.device("cpu"))
        data.trainer = SimpleNamespace(  # type: ignore[assignment]
            global_rank=rank, world_size=world_size, strategy=strategy, overfit_batches=0.0, current_epoch=1
        )
        return list(data.train_dataloader())  # type: ignore[arg-type]

    ranks = [batches(rank, 2) for rank in range(2)]
    for first, second, single in zip(*ranks, batches(0, 1), strict=True):
        for key in ("image", "audio"):
            assert torch.equal(joined([first, second], key), joined([single], key))
        assert not set(first["image"][:, 0, 0, 0].tolist()) & set(second["image"][:, 0, 0, 0].tolist())


class Lazy(Digits):
    """A hundred digits per split, which worker processes read one by one."""

    def load(self) -> Any:
        examples, _ = super().load()
        rows = [{key: value[i] for key, value in examples.items()} for i in range(300)]  # type: ignore[attr-defined]
        return rows[:100], rows[100:200], rows[200:]


def test_pairs_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    for split in get_args(Split):
        for digit in range(10):
            for index in range(3):
                write_sound(tmp_path / split / str(digit) / f"{index}.wav", 300 + 40 * digit + 400 * index)

    def batches(workers: int) -> list[Batch]:
        images = Lazy()
        images.num_workers = workers
        data = ImageAndSound(images=images, audio=audio_of(tmp_path), batch_size=30)
        return list(data.train_dataloader())  # type: ignore[arg-type]

    alone, parallel = batches(0), batches(2)
    for key in ("image", "audio", "label"):
        assert torch.equal(joined(alone, key), joined(parallel, key))


def test_captions_of_the_images_are_served_and_drawn_as_well(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "images", tmp_path / "images")
    names = sorted(path.relative_to(tmp_path / "images") for path in (tmp_path / "images").rglob("*.png"))
    rows = [{"file_name": str(name), "label": name.parts[1], "text": ["one", "another one"]} for name in names]
    write_table(tmp_path / "images", rows)
    images = Captions(root=str(tmp_path / "images"), image_size=4, channels=1)
    data = ImageAndSound(images=images, audio=audio_of(root / "sounds"), batch_size=6)
    assert data.vocabulary is not None
    assert data.vocabulary.decode(data.examples("test")["text"]) == ["one"] * 12
    seen = fit(data, epochs=4).seen
    assert len({tuple(row) for row in joined(seen, "text").tolist()}) == 2
    assert all(
        labels(data)[number] == label
        for batch in seen
        for (_, number), label in zip(numbers(data, batch), batch["label"], strict=True)
    )
    dummy = data.dummy_batch(3)
    assert (dummy["text"].shape, sorted(dummy)) == ((3, 2), ["audio", "image", "label", "text"])


def test_images_are_mirrored_as_their_data_module_does(root: Path) -> None:
    assert ImageAndSound(
        images=images_of(root / "images", horizontal_flip=True), audio=audio_of(root / "sounds"), batch_size=4
    ).horizontal_flip


def test_the_data_module_is_recorded_with_both_of_its_parts(root: Path) -> None:
    data = animals(root)
    rebuilt = deserialize(serialize(data))
    assert rebuilt.fingerprint() == data.fingerprint()
    assert rebuilt.preprocessing == data.preprocessing
    assert data.preprocessing["log_mel"]["n_mels"] == 16
    assert data.preprocessing["image_shape"] == [1, 4, 4]


def test_other_recordings_have_another_fingerprint(root: Path) -> None:
    other = ImageAndSound(
        images=images_of(root / "images"), audio=audio_of(root / "sounds", min_db=-60.0), batch_size=4
    )
    assert other.fingerprint() != animals(root).fingerprint() == animals(root).fingerprint()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            lambda root: Digits(),
            "same class names, but only Digits has 0, 1, 2, 3, 4 and 5 others and only AudioFolder",
        ),
        (lambda root: Toy2D(name="ring"), "`images` must be a data module of images, got ring"),
        (lambda root: audio_of(root / "sounds"), "`images` must be a data module of images, got AudioFolder"),
        (lambda root: images_of(root / "images" / "train" / "cat"), "`images` ImageFolder has no classes, by which"),
        (lambda root: Sprites(level=1, train_size=64), "only Sprites has ellipse, heart, square and only AudioFolder"),
    ],
)
def test_data_that_cannot_be_paired_are_refused_in_one_line(root: Path, images: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageAndSound(images=images(root), audio=audio_of(root / "sounds"))


def test_a_class_without_a_recording_in_a_split_is_named(root: Path) -> None:
    audio = audio_of(root / "sounds" / "train", validation_size=0, test_size=0.05)
    data = ImageAndSound(images=images_of(root / "images"), audio=audio, batch_size=4)
    with (
        pytest.warns(UserWarning, match="the test split of AudioFolder is empty"),
        pytest.raises(
            ValueError, match=r"the validation split of `audio` AudioFolder has no recording .*: cat, dog, owl;"
        ),
    ):
        data.setup()


# Pairs of a table


def write_table(root: Path, rows: list[dict[str, Any]], name: str = "metadata.jsonl") -> None:
    if name.endswith(".csv"):
        with (root / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        (root / name).write_text("\n".join(map(json.dumps, rows)))


def listed(root: Path, *, sounds: str = "sounds", images: str = "images") -> list[dict[str, Any]]:
    """Write 30 images and recordings; image i has the recording 29 - i and, if i is even, also the recording i."""
    for number in range(30):
        write_image(root / images / f"{number}.png", number)
        write_sound(root / sounds / f"{number}.wav", 300 + 50 * number)
    pairs = [(i, j) for i in range(30) for j in ([29 - i, i] if i % 2 == 0 else [29 - i])]
    return [
        {"image_file_name": f"{images}/{i}.png".lstrip("./"), "audio_file_name": f"{sounds}/{j}.wav".lstrip("./")}
        for i, j in pairs
    ]


def listed_pairs(root: Path, *, images: str = "images", sounds: str = "sounds") -> ImageAndSound:
    sizes = {"validation_size": 0.2, "test_size": 0.2}
    return ImageAndSound(
        images=images_of(root / images, **sizes), audio=audio_of(root / sounds, **sizes), pairs=str(root), batch_size=4
    )


def files(data: ImageAndSound) -> list[str]:
    return [recording.file for split in get_args(Split) for recording in data.audio.recordings(split)]


@pytest.mark.parametrize("table", ["metadata.jsonl", "metadata.csv"])
@pytest.mark.parametrize("places", [{}, {"images": ".", "sounds": "."}], ids=["two folders", "one folder"])
def test_the_pairs_of_a_table_are_served(tmp_path: Path, table: str, places: dict[str, str]) -> None:
    write_table(tmp_path, listed(tmp_path, **places), table)
    data = listed_pairs(tmp_path, **places)
    assert sum(data.sizes.values()) == 30
    for split in get_args(Split):
        for image, number in numbers(data, data.examples(split)):
            assert files(data)[number] == f"{29 - image}.wav"


def test_one_of_several_recordings_is_drawn_in_training(tmp_path: Path) -> None:
    write_table(tmp_path, listed(tmp_path))
    data = listed_pairs(tmp_path)
    drawn: dict[int, set[str]] = {}
    for batch in fit(data, epochs=10).seen:
        for image, number in numbers(data, batch):
            drawn.setdefault(image, set()).add(files(data)[number])
    for image, names in drawn.items():
        assert names == {f"{29 - image}.wav"} | ({f"{image}.wav"} if image % 2 == 0 else set())


def test_labels_of_recordings_are_used_if_the_images_have_none(tmp_path: Path) -> None:
    rows = listed(tmp_path)
    for number in range(30):
        (tmp_path / "sounds" / str(number % 2)).mkdir(exist_ok=True)
        (tmp_path / "sounds" / f"{number}.wav").rename(tmp_path / "sounds" / str(number % 2) / f"{number}.wav")
    names = [Path(row["audio_file_name"]) for row in rows]
    moved = [
        {**row, "audio_file_name": f"sounds/{int(name.stem) % 2}/{name.name}"}
        for row, name in zip(rows, names, strict=True)
    ]
    write_table(tmp_path, moved)
    data = listed_pairs(tmp_path)
    assert data.class_names == ("0", "1")
    batch = data.examples("train")
    assert batch["label"].tolist() == [(29 - image) % 2 for image, _ in numbers(data, batch)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audio_file_name": None}, "must have a column `audio_file_name` with a path in each row, but 'images/0.png'"),
        ({"image_file_name": ""}, "'metadata.jsonl' must have a column `image_file_name` with a path in each row"),
        ({"audio_file_name": "sounds/99.wav"}, r"1 of \d+ images of the \w+ split have no recording .*images/1.png'$"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    rows = listed(tmp_path)
    index = 0 if "sounds/99.wav" not in change.values() else 2  # the only recording of image 1
    rows[index] = {**rows[index], **change}
    write_table(tmp_path, rows)
    with pytest.raises(ValueError, match=message):
        listed_pairs(tmp_path).setup()


def test_pairs_need_a_table_and_files(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`pairs` must be a folder with one of metadata.csv, .*, got '/nowhere'"):
        animals(root, pairs="/nowhere")
    with pytest.raises(ValueError, match="`pairs` lists files: `images` must be an ImageFolder, got Digits"):
        ImageAndSound(images=Digits(), audio=audio_of(root / "sounds"), pairs=str(tmp_path))


# Sources


def test_several_sources_are_read_as_one() -> None:
    values = [torch.arange(0, 4), torch.arange(4, 4), torch.arange(4, 9)]
    source = ConcatSource([TensorSource({"label": part, "image": part + 10}) for part in values])
    indices = torch.tensor([8, 0, 3, 3, 4, 7])
    assert len(source) == 9
    assert torch.equal(source.fetch(indices)["label"], indices)
    assert torch.equal(source.fetch(indices)["image"], indices + 10)
    assert torch.equal(source.column("image"), torch.arange(10, 19))


def test_a_column_is_the_same_for_every_source() -> None:
    label = torch.arange(2500) % 7
    sources = [
        TensorSource({"label": label}),
        WorkerSource([{"label": value} for value in label.tolist()]),
        ConcatSource([TensorSource({"label": part}) for part in label.split(600)]),
    ]
    for source in sources:
        assert torch.equal(source.column("label"), label)


# The command line


def test_both_data_modules_are_options(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    images = f"--data.images ImageFolder --data.images.root {root}/images --data.images.image_size 8"
    audio = f"--data.audio AudioFolder --data.audio.root {root}/sounds --data.audio.n_mels 16"
    command = ["fit", "--model", "VanillaGAN", "--data", "ImageAndSound", *images.split(), *audio.split()]
    options = "--data.batch_size 6 --run.max_images 12 --run.name x --trainer.accelerator cpu"
    assert main([*command, *options.split()]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "36 train, 12 validation, 12 test" in out
    assert f"{root}/images: 60 images" in out
    assert f"{root}/sounds: 30 recordings" in out
    assert main(["fit", "--ckpt_path", "last", "--run.max_images", "24"]) == 0, capsys.readouterr().err
    assert main(["evaluate", "runs/x"]) == 0, capsys.readouterr().err
    for missing, message in (
        ("--data.audio", "`--data.audio` must be given"),
        ("--data.audio.root", "`--data.audio.root` must"),
    ):
        index = command.index(missing)
        kept = command[:index] if missing == "--data.audio" else [*command[:index], *command[index + 2 :]]
        assert main(kept) == 2
        assert capsys.readouterr().err.startswith(f"error: {message}")
