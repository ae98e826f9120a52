"""Test `Captions`: captions of each form, draws that are resumed exactly, words that are unknown, and odd tables."""

import csv
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor, nn

from lightning_gans.__main__ import main
from lightning_gans.core.checkpoints import CHECKPOINT_KEY
from lightning_gans.datamodules import Captions, ImageFolder, Vocabulary
from lightning_gans.datamodules.module import Split
from lightning_gans.datamodules.summary import summarize
from lightning_gans.types import Batch

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*smaller than the logging.*")

COUNT = 60


def captions_of(number: int) -> list[str]:
    """Return one to three captions of an image, which name its number."""
    return [f"image {number} caption {index}" for index in range(1 + number % 3)]


def write(root: Path, rows: list[dict[str, Any]] | None = None, table: str = "metadata.jsonl") -> Path:
    """Write numbered images, and a table with one row per caption by default."""
    root.mkdir(exist_ok=True)
    for number in range(COUNT):
        Image.new("L", (4, 4), 4 * number).save(root / f"{number}.png")
    if rows is None:
        rows = [{"file_name": f"{n}.png", "text": text} for n in range(COUNT) for text in captions_of(n)]
    path = root / table
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.Table.from_pylist(rows), path)
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    return root


def folder(root: Path, **options: Any) -> Captions:
    return Captions(
        root=str(root),
        **{"image_size": 4, "channels": 1, "batch_size": 8, "validation_size": 0.2, "test_size": 0.2} | options,
    )


def numbers(batch: Batch) -> list[int]:
    """Return the number of each image of a batch."""
    image = batch["image"][:, 0, 0, 0]
    levels = image if image.dtype == torch.uint8 else (image + 1) * 127.5
    return (levels / 4).round().int().tolist()


def pairs(data: Captions, batch: Batch) -> list[tuple[int, str]]:
    return list(zip(numbers(batch), data.vocabulary.decode(batch["text"]), strict=True))


def joined(batches: list[Batch], key: str) -> Tensor:
    return torch.cat([batch[key] for batch in batches])  # type: ignore[literal-required]


# Captions


@pytest.mark.parametrize("table", ["metadata.jsonl", "metadata.csv", "metadata.parquet"])
def test_several_rows_of_an_image_are_several_captions(tmp_path: Path, table: str) -> None:
    data = folder(write(tmp_path / "images", table=table))
    for split in get_args(Split):
        batch = data.examples(split)
        assert batch["text"].dtype == torch.int64
        assert batch["text"].shape == (data.sizes[split], data.text_length) == (len(batch["image"]), 4)
        for number, text in pairs(data, batch):  # the first caption; the number is known from training captions only
            known = str(number) in data.vocabulary.words
            assert text == (captions_of(number)[0] if known else "image <unk> caption 0")


def test_a_list_of_captions_equals_several_rows(tmp_path: Path) -> None:
    rows = folder(write(tmp_path / "rows"))
    listed = folder(
        write(tmp_path / "lists", [{"file_name": f"{n}.png", "text": captions_of(n)} for n in range(COUNT)])
    )
    assert listed.fingerprint() == rows.fingerprint()
    assert listed.vocabulary.words == rows.vocabulary.words


def test_the_images_and_splits_are_those_of_an_image_folder(tmp_path: Path) -> None:
    root = write(tmp_path / "images", [{"file_name": f"{n}.png", "text": "a", "label": n % 2} for n in range(COUNT)])
    options: dict[str, Any] = {"image_size": 4, "channels": 1, "validation_size": 0.2, "test_size": 0.2}
    data, plain = folder(root), ImageFolder(root=str(root), **options, batch_size=8)
    assert data.class_names == plain.class_names == ("0", "1")
    for split in get_args(Split):
        batch, expected = data.examples(split), plain.examples(split)
        assert torch.equal(batch["image"], expected["image"])
        assert torch.equal(batch["label"], expected["label"])
        assert data.files_of(split) == tuple(f"{number}.png" for number in numbers(batch))


def test_the_vocabulary_has_the_words_of_the_training_captions_only(tmp_path: Path) -> None:
    data = folder(write(tmp_path / "images"))
    train = {number for number, _ in pairs(data, data.examples("train"))}
    assert set(data.vocabulary.words[2:]) == {"image", "caption", "0", "1", "2", *map(str, train)}
    test = data.examples("test")
    assert {number for number, row in zip(numbers(test), test["text"], strict=True) if row[1] == 1} == {
        number for number in numbers(test) if str(number) not in data.vocabulary.words
    }


def test_rare_words_are_unknown_and_long_captions_are_cut(tmp_path: Path) -> None:
    data = folder(write(tmp_path / "images"), min_count=20, text_length=3)
    assert data.vocabulary.words == ("<pad>", "<unk>", "caption", "image", "0", "1")
    assert {text for _, text in pairs(data, data.examples("train"))} <= {
        "image <unk> caption",
        "image 0 caption",
        "image 1 caption",
    }


# Training


class Recorder(pl.LightningModule):
    """Record the numbers and the captions of the batches."""

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


def fit(data: Captions, folder: Path | None = None, ckpt_path: Path | None = None, epochs: int = 3) -> Recorder:
    model = Recorder(folder)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", num_sanity_val_steps=0, **quiet)
    trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)
    return model


def test_a_caption_is_drawn_in_training_and_the_first_is_used_in_validation(tmp_path: Path) -> None:
    data = folder(write(tmp_path / "images"))
    model = fit(data, epochs=12)
    drawn: dict[int, set[str]] = {}
    for batch in model.seen:
        for number, text in pairs(data, batch):
            drawn.setdefault(number, set()).add(text)
    assert all(texts <= set(captions_of(number)) for number, texts in drawn.items())
    assert sum(texts == set(captions_of(number)) for number, texts in drawn.items()) > 0.9 * len(drawn)
    first = data.examples("validation")["text"]
    for epoch in range(12):
        size = len(model.validated) // 12
        assert torch.equal(torch.cat([b["text"] for b in model.validated[epoch * size :][:size]]), first)


def test_drawn_captions_are_resumed_exactly_from_every_batch(tmp_path: Path) -> None:
    root = write(tmp_path / "images")
    whole = fit(folder(root), tmp_path)
    for batches in range(1, len(whole.seen)):
        resumed = fit(folder(root), ckpt_path=tmp_path / f"{batches}.ckpt")
        for key in ("image", "text"):
            assert torch.equal(joined(resumed.seen, key), joined(whole.seen[batches:], key))


def test_two_ranks_draw_the_captions_of_one(tmp_path: Path) -> None:
    root = write(tmp_path / "images")

    def batches(rank: int, world_size: int) -> list[Batch]:
        data = folder(root)
        strategy = SimpleNamespace(root_device=torch.device("cpu"))
        data.trainer = SimpleNamespace(  # type: ignore[assignment]
            global_rank=rank, world_size=world_size, strategy=strategy, overfit_batches=0.0, current_epoch=1
        )
        return list(data.train_dataloader())  # type: ignore[arg-type]

    ranks = [batches(rank, 2) for rank in range(2)]
    for first, second, single in zip(*ranks, batches(0, 1), strict=True):
        assert not set(numbers(first)) & set(numbers(second))
        assert torch.equal(torch.cat([first["text"], second["text"]]), single["text"])


def test_a_checkpoint_has_the_words_that_encode_other_captions_without_the_data(tmp_path: Path) -> None:
    root = write(tmp_path / "images")
    data = folder(root)
    fit(data, tmp_path, epochs=1)
    state = torch.load(tmp_path / "1.ckpt", weights_only=True)["Captions"]
    shutil.rmtree(root)
    vocabulary = Vocabulary(state["vocabulary"][2:])
    captions = ["image 3 caption 1", "an unknown word"]
    assert torch.equal(
        vocabulary.encode(captions, state["text_length"]), data.vocabulary.encode(captions, data.text_length)
    )


def test_other_words_than_those_of_the_checkpoint_are_refused(tmp_path: Path) -> None:
    state = folder(write(tmp_path / "before")).state_dict()
    other = folder(write(tmp_path / "after", [{"file_name": f"{n}.png", "text": "word"} for n in range(COUNT)]))
    with pytest.raises(ValueError, match=r"^the captions have other words than the checkpoint \(3, before"):
        other.load_state_dict(state)


def test_a_model_receives_the_words_and_the_length_of_the_captions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("wordy.py").write_text(
        "from collections.abc import Sequence\n"
        "from lightning_gans import VanillaGAN\n"
        "class Wordy(VanillaGAN):\n"
        "    def __init__(self, *, vocabulary: Sequence[str] | None = None, text_length: int = 0,\n"
        "                 audio_shape: tuple[int, ...] | None = None, **kwargs):\n"
        "        super().__init__(**kwargs)\n"
        "        print('received', len(vocabulary), *vocabulary[:2], text_length, audio_shape)\n"
    )
    data = folder(write(tmp_path / "images"))
    options = "--data.root images --data.image_size 4 --data.channels 1 --data.batch_size 8"
    splits = "--data.validation_size 0.2 --data.test_size 0.2"
    command = ["fit", "--model", "wordy.Wordy", "--data", "Captions", *options.split(), *splits.split()]
    trained = [*command, "--run.max_images", "8", "--run.name", "x", "--trainer.accelerator", "cpu"]
    assert main(trained) == 0, capsys.readouterr().err
    assert f"received {len(data.vocabulary)} <pad> <unk> 4 None" in capsys.readouterr().out
    record = torch.load("runs/x/checkpoints/last.ckpt", weights_only=True)[CHECKPOINT_KEY]
    assert tuple(record["init_args"]["vocabulary"]) == data.vocabulary.words
    sys.modules.pop("wordy")
    assert main([*command, "--model.vocabulary", "[a]"]) == 2
    assert "`--model.vocabulary` comes from the data: leave it out" in capsys.readouterr().err


# Odd tables


@pytest.mark.parametrize("text", [None, "", "  ", [], [""]])
def test_an_image_without_a_caption_has_only_padding_and_is_counted(tmp_path: Path, text: Any) -> None:
    rows = [{"file_name": f"{n}.png", "text": text if n < 20 else "a caption"} for n in range(COUNT)]
    data = folder(write(tmp_path / "images", rows))
    for split in get_args(Split):
        batch = data.examples(split)
        assert [not row.any() for row in batch["text"]] == [number < 20 for number in numbers(batch)]
    assert "captions     40 captions of 40 images; 20 images without a caption" in data.describe_files()


def test_an_empty_caption_among_others_is_left_out(tmp_path: Path) -> None:
    rows = [{"file_name": f"{n}.png", "text": ["", "a caption"]} for n in range(COUNT)]
    assert folder(write(tmp_path / "images", rows)).examples("train")["text"].eq(0).any().item() is False


@pytest.mark.parametrize("text", [5, {"en": "a"}, [["a"]], ["a", None]])
def test_a_value_that_is_not_a_caption_is_an_error_of_its_file(tmp_path: Path, text: Any) -> None:
    rows = [{"file_name": f"{n}.png", "text": text if n == 7 else "a caption"} for n in range(COUNT)]
    root = write(tmp_path / "images", rows)
    with pytest.raises(ValueError, match=r"1 of 60 images cannot be decoded.* is '.*7.png' \(`text` must be a caption"):
        folder(root).setup()
    skipped = folder(root, on_error="skip")
    assert sum(skipped.sizes.values()) == COUNT - 1
    assert (
        "7.png\t`text` must be a caption or a list of captions, got " in (tmp_path / "images.bad_files.txt").read_text()
    )


def test_a_caption_without_its_image_is_an_error_of_its_file(tmp_path: Path) -> None:
    rows = [{"file_name": f"{n}.png", "text": "a"} for n in range(COUNT + 1)]
    with pytest.raises(ValueError, match=r"60.png' \(it is listed in the metadata, but does not exist\)$"):
        folder(write(tmp_path / "images", rows)).setup()


def test_an_image_that_no_row_names_is_left_out_and_counted(tmp_path: Path) -> None:
    data = folder(write(tmp_path / "images", [{"file_name": f"{n}.png", "text": "a"} for n in range(COUNT - 1)]))
    assert "not in the metadata: 1" in data.describe_files()


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"caption": "a"}], {}, r"`text_column` must be a column .* are file_name, caption, got 'text'$"),
        ([{"text": "a"}], {"text_column": "txt"}, r"`text_column` must be .* are file_name, text, got 'txt'$"),
        ([{"text": ""}], {}, r"^no image of `root` '.*' has a caption in the column `text` of the metadata$"),
        ([{"text": "a"}], {"min_count": 0}, "^`min_count` must be at least 1, got 0$"),
        ([{"text": "a"}], {"text_length": 0}, "^`text_length` must be at least 1, got 0$"),
    ],
)
def test_mistakes_are_refused_in_one_line(
    tmp_path: Path, rows: list[dict[str, Any]], options: dict[str, Any], message: str
) -> None:
    named = [{"file_name": f"{n}.png", **rows[0]} for n in range(COUNT)]
    with pytest.raises(ValueError, match=message):
        folder(write(tmp_path / "images", named), **options)


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    (write(tmp_path / "images") / "metadata.jsonl").unlink()
    with pytest.raises(ValueError, match=r"must contain metadata.csv, .* with the columns `file_name` and `text`$"):
        folder(tmp_path / "images")


def test_a_dummy_batch_has_the_form_of_a_real_one(tmp_path: Path) -> None:
    data = folder(write(tmp_path / "images"))
    dummy, real = data.dummy_batch(8), data.examples("train", 8)
    assert {key: (value.shape, value.dtype) for key, value in dummy.items()} == {  # type: ignore[attr-defined]
        key: (value.shape, value.dtype)  # type: ignore[attr-defined]
        for key, value in real.items()
    }


def test_the_summary_counts_words_and_exact_duplicates(tmp_path: Path) -> None:
    data = folder(write(tmp_path / "images"))
    text = summarize(data)
    assert f"captions: {len(data.vocabulary) - 2} words, at most 4 per caption" in text
    assert f"captions     {sum(len(captions_of(n)) for n in range(COUNT))} captions of {COUNT} images" in text
    assert "exact duplicates: none" in text


@pytest.mark.skipif(not (REAL_DATA / "emoji").is_dir(), reason=f"{REAL_DATA} has no emoji")
def test_emoji() -> None:
    data = Captions(root=str(REAL_DATA / "emoji"), image_size=16)
    assert sum(data.sizes.values()) == 2008
    rows = map(json.loads, (REAL_DATA / "emoji" / "metadata.jsonl").read_text().splitlines())
    captions = {row["file_name"]: row["text"] for row in rows}
    decoded = data.vocabulary.decode(data.examples("train")["text"])
    assert decoded[:50] == data.vocabulary.decode(
        data.vocabulary.encode([captions[file] for file in data.files_of("train")[:50]])
    )
