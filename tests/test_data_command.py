"""Test the command `data`: its summary, its image, and its errors of one line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gans.__main__ import main
from lightning_gans.audio import mel_band_edges
from lightning_gans.data_command import draw
from lightning_gans.datamodules import Digits, Sprites, Toy2D
from lightning_gans.datamodules.summary import summarize
from lightning_gans.rendering.captions import captioned_grid, labeled_rows
from lightning_gans.rendering.images import side_by_side


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
        (
            "--data ImageFolder --data.root nowhere",
            "`--data.root` must be a folder of images, but 'nowhere' does not exist",
        ),
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


def dominant_hertz(wave: np.ndarray, rate: int) -> float:
    middle = wave[len(wave) // 4 : 3 * len(wave) // 4]
    return float(np.abs(np.fft.rfft(middle * np.hanning(len(middle)))).argmax() * rate / len(middle))


@pytest.mark.filterwarnings("ignore:the test split of AudioFolder is empty")
def test_sound_is_described_drawn_and_written(capsys: pytest.CaptureFixture[str]) -> None:
    soundfile = pytest.importorskip("soundfile")
    for name, hertz in (("high / shrill", 2000), ("low", 200)):
        folder = Path("sounds", name.replace("/", "&"))
        folder.mkdir(parents=True)
        for index in range(5):
            wave = 0.4 * np.sin(2 * np.pi * (hertz + index) * np.arange(8000) / 8000)
            soundfile.write(folder / f"{index}.wav", wave, 8000)
    options = "--data.sample_rate 8000 --data.validation_size 0 --data.test_size 0.05 --data.batch_size 1"
    assert main(["data", "--data", "AudioFolder", "--data.root", "sounds", *options.split()]) == 0
    out = capsys.readouterr().out
    assert out.startswith("AudioFolder: spectrograms of 64 frequency bands and ")
    assert "classes: high & shrill (" in out
    assert out.endswith("sound as a model receives it (Griffin-Lim): data_high-shrill.wav, data_low.wav\n")
    rows = np.asarray(Image.open("data.png").convert("L"))
    high, low = (part[:, 130:170].mean(1) for part in np.split(rows, 2))
    assert high.argmax() < low.argmax()  # high frequencies are at the top
    edges = mel_band_edges(8000, 64)
    for file, hertz in (("data_high-shrill.wav", 2002), ("data_low.wav", 202)):
        wave, rate = soundfile.read(file)
        assert (rate, len(wave)) == (8000, 8192)  # a second, in whole hops of 256 samples
        # the phases are estimated: the loudness is known approximately, the peak only roughly
        assert np.sqrt(np.square(wave[1000:-1000]).mean()) == pytest.approx(0.4 / 2**0.5, rel=0.05)
        assert 0.4 < np.abs(wave[1000:-1000]).max() < 0.9
        band = int(torch.searchsorted(edges, hertz))
        assert edges[band - 1] - 2 < dominant_hertz(wave, rate) < edges[band] + 2


def test_sound_without_classes_is_one_file() -> None:
    soundfile = pytest.importorskip("soundfile")
    Path("sounds").mkdir()
    for index in range(9):
        soundfile.write(Path("sounds", f"{index}.wav"), np.random.default_rng(index).uniform(-1, 1, 8000), 8000)
    sizes = ["--data.validation_size", "0", "--data.test_size", "0.1", "--data.batch_size", "1"]
    assert main(["data", "--data", "AudioFolder", "--data.root", "sounds", *sizes, "--output", "new/all.png"]) == 0
    assert sorted(path.name for path in Path("new").iterdir()) == ["all.png", "all.wav"]


def test_a_pair_is_drawn_as_an_image_and_a_spectrogram_of_the_same_height() -> None:
    image, audio = torch.rand(3, 1, 8, 8) * 2 - 1, torch.rand(3, 1, 64, 40) * 2 - 1
    pair = side_by_side(image, audio)
    assert pair.shape == (3, 3, 64, 104)
    for channel in pair.unbind(1):
        assert torch.equal(channel[:, ::8, :64:8], image[:, 0])
        assert torch.equal(channel[:, :, 64:], audio[:, 0])


def test_images_and_sound_are_drawn_in_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    soundfile = pytest.importorskip("soundfile")
    Path("sounds").mkdir()
    for digit in range(10):
        for index in (0, 5, 10):
            wave = 0.5 * np.sin(2 * np.pi * 300 * np.arange(8000) / 8000)
            soundfile.write(Path("sounds", f"{digit}_ada_{index}.wav"), wave, 8000)
    modules = "--data.images Digits --data.audio SpokenDigits --data.audio.root sounds"
    assert main(["data", "--data", "ImageAndSound", *modules.split()]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ImageAndSound: images of 8 x 8 pixels, 1 channels, 17 levels; spectrograms of 64 frequency")
    assert len(list(Path().glob("data_[0-9].wav"))) == 10
    assert Image.open("data.png").size == (120 + 8 * (64 + 64 + 2) + 2, 10 * 68)
