"""Test the conditions of `sample`: captions, recordings and classes, and the sound of pairs."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cases import Noise
from conftest import Fit

from lightning_gans.__main__ import main
from lightning_gans.audio import LogMel, write_wav
from lightning_gans.core.model import load
from lightning_gans.datamodules import Sprites
from lightning_gans.models import DCGAN, GANCLS, R3GAN, PairedGAN
from lightning_gans.networks import BagOfWords, MLPDiscriminator, MLPGenerator

LOG_MEL = LogMel(sample_rate=2000, n_fft=128, hop_length=32, n_mels=16)
SECONDS = 0.5


class Sound(Noise):
    """Noise whose checkpoints record the transform of sound."""

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {**super().preprocessing, "log_mel": asdict(LOG_MEL)}


@pytest.fixture
def captions_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: Fit) -> str:
    monkeypatch.chdir(tmp_path)
    data = Sprites(level=3, image_size=8, train_size=32, validation_size=8, test_size=8, batch_size=8)
    assert data.vocabulary is not None
    model = GANCLS(
        image_shape=data.image_shape,
        generator=MLPGenerator,
        discriminator=MLPDiscriminator,
        text_encoder=BagOfWords,
        vocabulary=data.vocabulary.words,
    )
    fit(model, data, max_steps=1).save_checkpoint("text.ckpt")
    return "text.ckpt"


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sound:
    for library in ("soundfile", "soxr"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    return Sound(image_shape=[1, 8, 8], audio_shape=list(LOG_MEL.shape(SECONDS)), batch_size=8, validation_size=8)


@pytest.fixture
def audio_run(sound: Sound, fit: Fit) -> str:
    mlps: dict[str, Any] = {"generator": MLPGenerator, "discriminator": MLPDiscriminator}
    model = R3GAN(image_shape=(1, 8, 8), conditions=["audio"], audio_shape=sound.audio_shape, **mlps)
    fit(model, sound, max_steps=1).save_checkpoint("audio.ckpt")
    return "audio.ckpt"


def image(path: str) -> np.ndarray:
    with np.load(path) as arrays:
        found: np.ndarray = arrays["image"]
    return found


def test_a_caption_conditions_all_samples_and_an_unknown_word_is_named(
    captions_run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", captions_run, "--text", "A small red circle", "--count", "3", "--output", "a.npz"]) == 0
    assert capsys.readouterr().err == "unknown to the model, which ignores them: 'a', 'circle'\n"
    text = Sprites(level=3).vocabulary.encode(["a small red circle"])  # type: ignore[union-attr]
    model: Any = load(captions_run)
    expected = model.sample(3, condition={"text": text.expand(3, -1)}, seed=0)["image"]
    expected = ((expected + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert np.abs(image("a.npz").astype(int) - expected).max() <= 1
    assert main(["sample", captions_run, "--text", "", "--count", "3", "--output", "b.npz"]) == 0
    assert not np.array_equal(image("a.npz"), image("b.npz"))
    assert capsys.readouterr().err == ""


def test_a_file_of_captions_has_a_sample_for_each_line(captions_run: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("captions.txt").write_text("big blue heart\n\nsmall red square\n")
    assert main(["sample", captions_run, "--captions", "captions.txt", "--output", "a.npz"]) == 0
    assert "3 samples of GANCLS" in capsys.readouterr().out
    assert main(["sample", captions_run, "--text", "big blue heart", "--count", "1", "--output", "b.npz"]) == 0
    np.testing.assert_array_equal(image("a.npz")[0], image("b.npz")[0])
    assert main(["sample", captions_run, "--captions", "captions.txt", "--output", "folder/"]) == 0
    assert len(list(Path("folder").glob("*.png"))) == 3
    Path("captions.txt").write_text("big blue heart\n\nsmall red heart\n")
    assert main(["sample", captions_run, "--captions", "captions.txt", "--output", "folder/"]) == 2
    assert "choose a new folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "this GANCLS is conditional: `--text` or `--captions` must be given"),
        (["--label", "3", "--text", "x"], "`--label` needs a class-conditional model, unlike this GANCLS"),
        (["--captions", "none.txt"], "`--captions` must be a file, but 'none.txt' does not exist"),
        (["--captions", "empty.txt"], "`--captions` 'empty.txt' has no captions"),
        (["--captions", "bytes.txt"], "`--captions` 'bytes.txt' cannot be read: 'utf-8' codec"),
        (["--captions", "two.txt", "--count", "3"], "`--count` is 3, but `--captions` has 2: leave out `--count`"),
        (["--captions", "two.txt", "--text", "x"], "not allowed with argument"),
    ],
)
def test_wrong_captions_are_refused_in_one_line(
    options: list[str], message: str, captions_run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty.txt").touch()
    Path("bytes.txt").write_bytes(b"\xff\xfe\xfa")
    Path("two.txt").write_text("red\nblue")
    assert main(["sample", captions_run, *options, "--output", "new/"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("new").exists()


def test_a_model_without_captions_refuses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fit(DCGAN(image_shape=(1, 8, 8)), Noise(image_shape=[1, 8, 8], batch_size=8), max_steps=1).save_checkpoint("x.ckpt")
    assert main(["sample", "x.ckpt", "--text", "red"]) == 2
    assert "`--text` needs a model of captions (`conditions` has text), unlike this DCGAN" in capsys.readouterr().err


def test_a_recording_of_any_kind_conditions_the_samples(audio_run: str, capsys: pytest.CaptureFixture[str]) -> None:
    import soundfile

    time = np.arange(44_100) / 44_100
    stereo = np.stack([np.sin(2 * np.pi * 440 * time), np.zeros_like(time)], 1)
    soundfile.write("stereo.wav", stereo, 44_100)
    write_wav("silent.wav", torch.zeros(3000), 2000)
    for name in ("stereo", "silent"):
        arguments = ["sample", audio_run, "--audio", f"{name}.wav", "--count", "2", "--output", f"{name}.npz"]
        assert main(arguments) == 0
    assert not np.array_equal(image("stereo.npz"), image("silent.npz"))
    model: Any = load(audio_run)
    silence = torch.full((2, *LOG_MEL.shape(SECONDS)), -1.0)
    expected = model.sample(2, condition={"audio": silence}, seed=0)["image"]
    assert np.abs(image("silent.npz") / 127.5 - 1 - expected.permute(0, 2, 3, 1).numpy()).max() < 0.01
    capsys.readouterr()
    Path("empty.wav").touch()
    assert main(["sample", audio_run, "--audio", "empty.wav"]) == 2
    assert capsys.readouterr().err == "error: `--audio` 'empty.wav' cannot be decoded: empty file\n"


def test_a_folder_of_pairs_has_an_image_and_a_sound_of_each(sound: Sound, fit: Fit) -> None:
    import soundfile

    mlps: dict[str, Any] = {"generator": MLPGenerator, "audio_generator": MLPGenerator}
    model = PairedGAN(image_shape=(1, 8, 8), audio_shape=sound.audio_shape, **mlps)
    fit(model, sound, max_steps=1).save_checkpoint("pairs.ckpt")
    assert main(["sample", "pairs.ckpt", "--count", "2", "--output", "pairs/"]) == 0
    names = ["000000.png", "000000.wav", "000001.png", "000001.wav"]
    assert sorted(path.name for path in Path("pairs").iterdir()) == names
    waveform, rate = soundfile.read("pairs/000001.wav")
    assert (len(waveform), rate) == (LOG_MEL.num_samples(SECONDS), 2000)
    spectrogram = model.sample(2, seed=0)["audio"]
    expected = LOG_MEL.inverse(spectrogram)[1].clamp(-1, 1).numpy()
    np.testing.assert_allclose(waveform, expected, atol=1e-3)
