"""Test the command `data`: its summary, its image, and its errors of one line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_gans.__main__ import main
from lightning_gans.data_command import draw
from lightning_gans.datamodules import Digits, Sprites, Toy2D
from lightning_gans.datamodules.summary import summarize
from lightning_gans.rendering.captions import captioned_grid, labeled_rows


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sprites() -> Sprites:
    return Sprites(level=2, image_size=16, train_size=100, validation_size=10, test_size=10)


def test_digits_are_described_and_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Digits: images of 8 x 8 pixels, 1 channels, 17 levels"
    assert lines[1] == "splits: 1,300 train, 137 validation, 360 test"
    assert lines[2].startswith("storage: memory, 0.1 MB")
    assert lines[4].startswith(f"classes: 0 ({(Digits().load()[0]['label'] == 0).sum()}), 1 (")
    assert lines[-1] == "examples: data.png"
    width, height = Image.open("data.png").size
    assert height == 10 * 68
    assert width > 8 * 64


def test_captions_are_described_and_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    options = "--data.level 3 --data.image_size 16 --data.train_size 90 --data.validation_size 9 --data.test_size 9"
    assert main(["data", "--data", "Sprites", *options.split(), "--output", "images/sprites.png"]) == 0
    out = capsys.readouterr().out
    assert "captions: 10 words, at most 3 per caption" in out
    assert "exact duplicates: none" in out
    assert Image.open("images/sprites.png").size[0] == 8 * 64


def test_points_are_drawn() -> None:
    data = Toy2D(name="ring", count=2000, validation_size=100, batch_size=10)
    assert summarize(data).splitlines()[0] == "ring: 2-dimensional points"
    assert draw(data).shape[2] == 3


def test_a_row_has_the_examples_of_one_class() -> None:
    data = Digits()
    batch = data.examples("train")
    expected = {name: batch["image"][batch["label"] == int(name)][:8] for name in "0123456789"}
    np.testing.assert_array_equal(draw(data), labeled_rows(expected))


def test_duplicates_are_counted() -> None:
    data = sprites()
    source = data.source("train").source  # type: ignore[attr-defined]
    source.tensors["image"][1] = source.tensors["image"][0]
    assert summarize(data).splitlines()[-1] == "exact duplicates: 1"


def test_a_caption_is_below_its_image() -> None:
    image = sprites().examples("train", 3)["image"]
    drawn = captioned_grid(
        image, ["", "small heart", "a caption of so many words that only six of its many lines are shown"], 2
    )
    below = drawn[64 : drawn.shape[0] // 2]
    assert (below[:, :64] == 255).all()
    assert (below[:, 64:] < 255).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--data Sprits", "`--data` Sprits is not known; did you mean `Sprites`?"),
        ("--data Sprites --data.levle 3", "Sprites has no option `levle` (`--data.levle`); did you mean `level`?"),
        ("--data Sprites --data.level 7", "`--data.level` must be one of 1, 2, 3, 4, 5, got '7'"),
        ("--model DCGAN", "there is no option `--model`"),
        ("--output data.jpg", "`--output` must end in .png, got 'data.jpg'"),
        ("--data ImageFolder --data.root nowhere", "`root` must be a folder of images, but 'nowhere' does not exist"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", *arguments.split()]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_sound_is_described_and_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    soundfile = pytest.importorskip("soundfile")
    for name, hertz in (("high", 2000), ("low", 200)):
        Path("sounds", name).mkdir(parents=True)
        for index in range(5):
            wave = np.sin(2 * np.pi * (hertz + index) * np.arange(8000) / 8000)
            soundfile.write(Path("sounds", name, f"{index}.wav"), wave, 8000)
    options = "--data.sample_rate 8000 --data.validation_size 0 --data.test_size 0.05 --data.batch_size 1"
    assert main(["data", "--data", "AudioFolder", "--data.root", "sounds", *options.split()]) == 0
    out = capsys.readouterr().out
    assert out.startswith("AudioFolder: spectrograms of 64 frequency bands and ")
    assert "classes: high (" in out
    rows = np.asarray(Image.open("data.png").convert("L"))
    high, low = (part[:, 130:170].mean(1) for part in np.split(rows, 2))
    assert high.argmax() < low.argmax()  # high frequencies are at the top
