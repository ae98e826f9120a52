"""Power spectrograms, log-mel spectrograms and decibels, from waveforms."""

import torch
from torch import Tensor

from lightning_gans.audio.mel import MelScale, mel_filter_bank

MIN_POWER = 1e-10
"""Power below which a value in decibels is constant, -100 dB."""


def stft(waveform: Tensor, *, n_fft: int, hop_length: int) -> Tensor:
    """Compute the short-time Fourier transform: centered frames, reflect padding, periodic Hann window.

    Args:
        waveform: (b, n) float, more than `n_fft // 2` samples.
        n_fft: Length of a frame, in samples.
        hop_length: Distance between frames, in samples.

    Returns:
        (b, n_fft // 2 + 1, 1 + n // hop_length), complex.
    """
    window = torch.hann_window(n_fft, dtype=waveform.dtype, device=waveform.device)
    transform: Tensor = torch.stft(
        waveform, n_fft, hop_length, window=window, center=True, pad_mode="reflect", return_complex=True
    )
    return transform


def power_to_db(power: Tensor) -> Tensor:
    """Convert a power to decibels, 10 log10(max(power, 1e-10)).

    Args:
        power: Non-negative, of any shape.

    Example:
        >>> power_to_db(torch.tensor([1.0, 0.01, 0.0]))
        tensor([   0.,  -20., -100.])
    """
    return 10 * torch.log10(power.clamp(min=MIN_POWER))


def db_to_power(decibels: Tensor) -> Tensor:
    """Convert decibels to a power, the inverse of `power_to_db` above -100 dB.

    Args:
        decibels: Of any shape.

    Example:
        >>> db_to_power(torch.tensor([0.0, -20.0]))
        tensor([1.0000, 0.0100])
    """
    return 10 ** (decibels / 10)


def mel_spectrogram(
    waveform: Tensor, *, sample_rate: int, n_fft: int, hop_length: int, n_mels: int, scale: MelScale = "slaney"
) -> Tensor:
    """Compute the power in mel bands, equal to `librosa.feature.melspectrogram(pad_mode="reflect")`.

    Args:
        waveform: (b, n) float, more than `n_fft // 2` samples.
        sample_rate: Samples per second.
        n_fft: Length of a frame, in samples.
        hop_length: Distance between frames, in samples.
        n_mels: Number of bands, from 0 Hz to half the sample rate.
        scale: Mel scale, "slaney" (default) or "htk".

    Returns:
        (b, n_mels, 1 + n // hop_length).

    Raises:
        ValueError: A band contains no frequency of the Fourier transform.
    """
    power = stft(waveform, n_fft=n_fft, hop_length=hop_length).abs().square()
    return mel_filter_bank(sample_rate=sample_rate, n_fft=n_fft, n_mels=n_mels, scale=scale).to(power) @ power


def log_mel(
    waveform: Tensor, *, sample_rate: int, n_fft: int, hop_length: int, n_mels: int, scale: MelScale = "slaney"
) -> Tensor:
    """Compute the log-mel spectrogram: the power in mel bands, in decibels relative to a power of 1.

    The result equals `librosa.power_to_db(mel, top_db=None)`. The arguments are those of `mel_spectrogram`.

    Example:
        >>> sine = torch.sin(2 * torch.pi * 440 / 8000 * torch.arange(8000)).unsqueeze(0)
        >>> log_mel(sine, sample_rate=8000, n_fft=512, hop_length=128, n_mels=64).shape
        torch.Size([1, 64, 63])
    """
    return power_to_db(
        mel_spectrogram(
            waveform, sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, scale=scale
        )
    )
