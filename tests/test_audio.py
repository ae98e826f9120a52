"""Test log-mel spectrograms and their inverse: against librosa, by closed forms and by round trips."""

import dataclasses
import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_gans.audio import (
    LogMel,
    griffin_lim,
    hz_to_mel,
    invert_mel,
    log_mel,
    mel_band_edges,
    mel_filter_bank,
    mel_spectrogram,
    mel_to_hz,
    resample,
    stft,
    write_wav,
)

SETTINGS = [
    {"sample_rate": 8000, "n_fft": 512, "hop_length": 128, "n_mels": 64},
    {"sample_rate": 16000, "n_fft": 1024, "hop_length": 256, "n_mels": 64},
    {"sample_rate": 22050, "n_fft": 2048, "hop_length": 512, "n_mels": 128},
]
SPOKEN = LogMel(sample_rate=8000, n_fft=512, hop_length=128)


@pytest.fixture(scope="module")
def librosa() -> Any:
    return pytest.importorskip("librosa", reason="librosa is not installed")


def sine(frequency: float, *, sample_rate: int = 8000, samples: int = 8064, amplitude: float = 0.5) -> Tensor:
    time = torch.arange(samples, dtype=torch.float64) / sample_rate
    return (amplitude * torch.sin(2 * math.pi * frequency * time)).float().unsqueeze(0)


def dominant_frequency(waveform: Tensor, sample_rate: int) -> float:
    """Return the frequency of the largest magnitude of the middle half of a waveform."""
    n = waveform.shape[-1]
    magnitude = torch.fft.rfft(waveform[0, n // 4 : 3 * n // 4] * torch.hann_window(3 * n // 4 - n // 4)).abs()
    return magnitude.argmax().item() * sample_rate / (3 * n // 4 - n // 4)


# Against librosa


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: str(settings["sample_rate"]))
def test_the_filter_bank_equals_that_of_librosa(librosa: Any, settings: dict[str, int], scale: Any) -> None:
    rate, n_fft, n_mels = settings["sample_rate"], settings["n_fft"], settings["n_mels"]
    expected = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels, htk=scale == "htk", dtype=np.float64)
    bank = mel_filter_bank(sample_rate=rate, n_fft=n_fft, n_mels=n_mels, scale=scale)
    torch.testing.assert_close(bank, torch.from_numpy(expected), atol=1e-6, rtol=0)
    edges = librosa.mel_frequencies(n_mels=n_mels + 2, fmin=0, fmax=rate / 2, htk=scale == "htk")
    torch.testing.assert_close(mel_band_edges(rate, n_mels, scale), torch.from_numpy(edges))


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: str(settings["sample_rate"]))
def test_the_log_mel_spectrogram_equals_that_of_librosa(librosa: Any, settings: dict[str, int]) -> None:
    waveform = 0.1 * torch.randn(2, settings["sample_rate"]) + sine(440, samples=settings["sample_rate"])
    power = librosa.feature.melspectrogram(
        y=waveform.numpy(),
        sr=settings["sample_rate"],
        n_fft=settings["n_fft"],
        hop_length=settings["hop_length"],
        n_mels=settings["n_mels"],
        window="hann",
        center=True,
        pad_mode="reflect",
        power=2.0,
    )
    expected = torch.from_numpy(librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None))
    torch.testing.assert_close(log_mel(waveform, **settings), expected, atol=1e-4, rtol=0)


def test_griffin_lim_converges_like_that_of_librosa(librosa: Any) -> None:
    waveform = sine(440) + sine(1200) * torch.linspace(0, 1, 8064)
    magnitude = stft(waveform, n_fft=512, hop_length=128).abs()

    def inconsistency(result: Tensor) -> float:
        return ((stft(result, n_fft=512, hop_length=128).abs() - magnitude).norm() / magnitude.norm()).item()

    theirs = librosa.griffinlim(magnitude[0].numpy(), n_iter=64, hop_length=128, init=None, pad_mode="reflect")
    assert inconsistency(griffin_lim(magnitude, hop_length=128, iterations=64)) < 1.25 * inconsistency(
        torch.from_numpy(theirs).unsqueeze(0)
    )


def test_bands_are_inverted_at_least_as_well_as_by_librosa(librosa: Any) -> None:
    bank = mel_filter_bank(sample_rate=8000, n_fft=512, n_mels=64).float()
    power = stft(sine(300) + 1e-3 * torch.randn(1, 8064), n_fft=512, hop_length=128).abs().square()[..., :8]
    mel = bank @ power

    def error(estimate: Tensor) -> Tensor:
        return (10 * torch.log10((bank @ estimate).clamp(min=1e-10) / mel)).abs().mean()

    nnls = importlib.import_module("librosa.util").nnls(bank.numpy(), mel[0].numpy())
    assert error(invert_mel(mel, bank)) < error(torch.from_numpy(nnls).unsqueeze(0))


# Mel scales and filters


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_the_mel_scales_are_inverted_exactly(scale: Any) -> None:
    frequency = torch.tensor([0, 1, 440, 999, 1000, 1001, 8000, 22050], dtype=torch.float64)
    torch.testing.assert_close(mel_to_hz(hz_to_mel(frequency, scale), scale), frequency)


def test_the_mel_scales_have_their_defining_values() -> None:
    hertz = torch.tensor([700, 1000, 6400], dtype=torch.float64)
    torch.testing.assert_close(hz_to_mel(hertz, "htk")[0].item(), 2595 * math.log10(2))
    torch.testing.assert_close(hz_to_mel(hertz)[1:], torch.tensor([15, 42], dtype=torch.float64))


def test_each_filter_has_the_same_area() -> None:
    bank = mel_filter_bank(sample_rate=8000, n_fft=2**16, n_mels=20)
    torch.testing.assert_close(bank.sum(1) * 8000 / 2**16, torch.ones(20, dtype=torch.float64), atol=1e-3, rtol=0)


def test_more_bands_than_frequencies_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`n_mels` 64 is too large for `n_fft` 64 at 8000 Hz: \d+ bands contain no"):
        mel_filter_bank(sample_rate=8000, n_fft=64, n_mels=64)


# The transform


def test_silence_is_minus_one_and_a_sine_of_full_scale_is_one() -> None:
    assert (SPOKEN(torch.zeros(1, 8064)) == -1).all()
    band = SPOKEN.filter_bank().amax(1).argmax()
    frequency = SPOKEN.filter_bank()[band].argmax().item() * 8000 / 512
    audio = SPOKEN(sine(frequency, amplitude=1.0))
    assert audio[..., 4:-4].amax((0, 1, 2)).min() == 1
    loud, quiet = (SPOKEN(sine(frequency, amplitude=x))[0, 0, band, 32].item() for x in (0.1, 0.01))
    assert loud - quiet == pytest.approx(2 * 20 / 80, abs=1e-3)  # 20 dB, of 80 dB in a range of 2


def test_values_are_affine_in_decibels() -> None:
    waveform = 0.1 * torch.randn(2, 8064)
    settings = {"sample_rate": 8000, "n_fft": 512, "hop_length": 128, "n_mels": 64}
    decibels = log_mel(waveform, **settings) - 10 * math.log10(SPOKEN.full_scale)
    assert (decibels > -80).all()
    torch.testing.assert_close(SPOKEN(waveform).squeeze(1), decibels / 40 + 1, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("seconds", "samples", "frames"), [(1.0, 8064, 64), (0.1, 896, 8), (0.064, 512, 5)])
def test_a_duration_is_a_whole_number_of_hops(seconds: float, samples: int, frames: int) -> None:
    assert SPOKEN.num_samples(seconds) == samples
    assert SPOKEN.shape(seconds) == (1, 64, frames)
    audio = SPOKEN(torch.zeros(3, samples))
    assert audio.shape == (3, 1, 64, frames)
    assert SPOKEN.inverse(audio).shape == (3, samples)


def test_the_settings_are_plain_values() -> None:
    assert LogMel(**dataclasses.asdict(SPOKEN)) == SPOKEN


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_fft": 511}, "`n_fft` must be even, got 511"),
        ({"hop_length": 600}, "`hop_length` must be at most half of `n_fft` 1024, .* got 600"),
        ({"n_mels": 0}, "`n_mels` must be at least 1, got 0"),
        ({"scale": "bark"}, "`scale` must be slaney or htk, got 'bark'"),
        ({"min_db": 0.0}, "`min_db` must be at least -100 and below 0, got 0.0"),
        ({"min_db": math.nan}, "`min_db` must be at least -100 and below 0, got nan"),
        ({"n_mels": 600}, "`n_mels` 600 is too large for `n_fft` 1024"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogMel(**settings)


def test_a_duration_below_half_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`seconds` must be more than 0.032, .* got 0.03"):
        SPOKEN.num_samples(0.03)


# The inverse


@pytest.mark.parametrize("frequency", [110.0, 440.0, 1000.0, 2345.0, 3600.0])
def test_a_sine_returns_with_its_frequency_within_a_mel_band(frequency: float) -> None:
    waveform = SPOKEN.inverse(SPOKEN(sine(frequency)))
    assert waveform.shape == (1, 8064)
    edges = mel_band_edges(8000, 64)
    band = int(torch.searchsorted(edges, frequency))
    found = dominant_frequency(waveform, 8000)
    assert edges[band - 1] - 8 < found < edges[min(band, 65)] + 8
    assert waveform.square().mean().sqrt().item() == pytest.approx(0.5 / math.sqrt(2), rel=0.05)


def test_the_spectrogram_of_the_inverse_is_the_same() -> None:
    chirp = 0.3 * torch.sin(torch.linspace(0, 60, 8064).square()).unsqueeze(0)
    audio = SPOKEN(chirp)
    restored = SPOKEN(SPOKEN.inverse(audio))
    audible = audio > -0.5  # 20 dB above silence
    assert ((restored - audio)[audible].abs().mean() * 40).item() < 1.5  # decibels


def test_silence_returns_as_silence() -> None:
    assert (SPOKEN.inverse(-torch.ones(1, 1, 64, 64)) == 0).all()
    assert (SPOKEN.inverse(torch.full((1, 1, 64, 64), -3.0)) == 0).all()


def test_an_inverse_depends_on_its_spectrogram_and_the_seed_only() -> None:
    audio = SPOKEN(0.1 * torch.randn(3, 8064))
    state = torch.get_rng_state()
    waveform = SPOKEN.inverse(audio, iterations=8)
    torch.testing.assert_close(SPOKEN.inverse(audio[1:2], iterations=8), waveform[1:2], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(SPOKEN.inverse(audio, iterations=8), waveform, atol=0, rtol=0)
    assert not torch.allclose(SPOKEN.inverse(audio, iterations=8, seed=1), waveform, atol=1e-2)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_inversion_of_bands_is_non_negative_and_exact_where_a_solution_exists() -> None:
    bank = mel_filter_bank(sample_rate=8000, n_fft=512, n_mels=64)
    power = torch.rand(2, 257, 3, dtype=torch.float64).pow(8)
    estimate = invert_mel(bank @ power, bank, iterations=1000)
    assert (estimate >= 0).all()
    torch.testing.assert_close(bank @ estimate, bank @ power, rtol=5e-3, atol=1e-5)
    assert (estimate[:, 0] == 0).all()  # 0 Hz is in no band


def test_momentum_accelerates_griffin_lim() -> None:
    magnitude = stft(0.1 * torch.randn(1, 8064), n_fft=512, hop_length=128).abs()

    def inconsistency(momentum: float) -> Tensor:
        waveform = griffin_lim(magnitude, hop_length=128, iterations=32, momentum=momentum)
        return (stft(waveform, n_fft=512, hop_length=128).abs() - magnitude).norm()

    assert inconsistency(0.99) < 0.9 * inconsistency(0.0)


def test_gradients_reach_the_waveform() -> None:
    waveform = (0.1 * torch.randn(1, 8064)).requires_grad_()
    mel_spectrogram(waveform, sample_rate=8000, n_fft=512, hop_length=128, n_mels=64).sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.abs().min() > 0


# Files


def test_a_written_file_is_read_back(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")
    waveform = torch.cat([sine(440)[0], torch.tensor([2.0, -2.0])])
    write_wav(tmp_path / "x.wav", waveform, 8000)
    samples, rate = soundfile.read(tmp_path / "x.wav")
    assert (rate, soundfile.info(tmp_path / "x.wav").subtype) == (8000, "PCM_16")
    np.testing.assert_allclose(samples, waveform.clamp(-1, 1).numpy(), atol=2**-15)


def test_resampling_keeps_a_sine() -> None:
    pytest.importorskip("soxr", reason="soxr is not installed")
    original = sine(440, sample_rate=44100, samples=44100)[0].numpy()
    resampled = resample(original, 44100, 8000)
    assert resampled.shape == (8000,)
    np.testing.assert_allclose(resampled[500:-500], sine(440, samples=8000)[0, 500:-500].numpy(), atol=1e-3)
    assert resample(original, 44100, 44100) is original


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(importlib.import_module("sys").modules, "soundfile", None)
    with pytest.raises(ValueError, match=r"need soundfile, .*: pip install 'lightning-gans\[audio\]'$") as error:
        write_wav(tmp_path / "x.wav", torch.zeros(10), 8000)
    assert "\n" not in str(error.value)
