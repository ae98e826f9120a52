"""Mel scales and the mel filter bank."""

import math
from typing import Literal

import torch
from torch import Tensor

MelScale = Literal["slaney", "htk"]
"""Slaney's Auditory Toolbox: linear below 1 kHz, logarithmic above; or the formula of O'Shaughnessy that HTK uses."""

_LINEAR_HZ = 200 / 3  # Hz per mel below 1 kHz
_LOG_START_HZ = 1000.0
_LOG_START_MEL = _LOG_START_HZ / _LINEAR_HZ
_LOG_STEP = math.log(6.4) / 27  # log(Hz) per mel above 1 kHz


def hz_to_mel(frequency: Tensor, scale: MelScale = "slaney") -> Tensor:
    """Convert frequencies from hertz to mels.

    Args:
        frequency: Frequencies in hertz, of any shape.
        scale: "slaney" (default) or "htk".

    Example:
        >>> hz_to_mel(torch.tensor([200.0, 1000.0]))
        tensor([ 3., 15.])
    """
    if scale == "htk":
        return 2595 * torch.log10(1 + frequency / 700)
    logarithmic = _LOG_START_MEL + torch.log(frequency.clamp(min=_LOG_START_HZ) / _LOG_START_HZ) / _LOG_STEP
    return torch.where(frequency < _LOG_START_HZ, frequency / _LINEAR_HZ, logarithmic)


def mel_to_hz(mel: Tensor, scale: MelScale = "slaney") -> Tensor:
    """Convert frequencies from mels to hertz, the inverse of `hz_to_mel`.

    Args:
        mel: Frequencies in mels, of any shape.
        scale: "slaney" (default) or "htk".

    Example:
        >>> mel_to_hz(torch.tensor([3.0, 15.0]))
        tensor([ 200., 1000.])
    """
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    logarithmic = _LOG_START_HZ * torch.exp(_LOG_STEP * (mel - _LOG_START_MEL))
    return torch.where(mel < _LOG_START_MEL, mel * _LINEAR_HZ, logarithmic)


def mel_band_edges(sample_rate: int, n_mels: int, scale: MelScale = "slaney") -> Tensor:
    """Compute the edges of mel bands from 0 Hz to half the sample rate.

    Band i is a triangle from edge i over its center, edge i + 1, to edge i + 2.

    Args:
        sample_rate: Samples per second.
        n_mels: Number of bands.
        scale: "slaney" (default) or "htk".

    Returns:
        (n_mels + 2,) float64, in hertz.

    Example:
        >>> mel_band_edges(2000, 3).round(decimals=3).tolist()
        [0.0, 250.0, 500.0, 750.0, 1000.0]
    """
    nyquist = hz_to_mel(torch.tensor(sample_rate / 2, dtype=torch.float64), scale).item()
    return mel_to_hz(torch.linspace(0, nyquist, n_mels + 2, dtype=torch.float64), scale)


def mel_filter_bank(*, sample_rate: int, n_fft: int, n_mels: int, scale: MelScale = "slaney") -> Tensor:
    """Compute the filter bank that maps a power spectrogram to mel bands.

    The triangular filters have equal areas (Slaney's normalization). The result equals `librosa.filters.mel`.

    Args:
        sample_rate: Samples per second.
        n_fft: Length of the Fourier transform, in samples.
        n_mels: Number of bands, from 0 Hz to half the sample rate.
        scale: "slaney" (default) or "htk".

    Returns:
        (n_mels, n_fft // 2 + 1) float64.

    Raises:
        ValueError: A band contains no frequency of the Fourier transform.

    Example:
        >>> mel_filter_bank(sample_rate=8000, n_fft=512, n_mels=64).shape
        torch.Size([64, 257])
    """
    edges = mel_band_edges(sample_rate, n_mels, scale)
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    lower, center, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = torch.minimum((bins - lower) / (center - lower), (upper - bins) / (upper - center)).clamp(min=0)
    if empty := int((triangles.amax(1) == 0).sum()):
        raise ValueError(
            f"`n_mels` {n_mels} is too large for `n_fft` {n_fft} at {sample_rate} Hz: "
            f"{empty} bands contain no frequency of the Fourier transform"
        )
    return triangles * 2 / (upper - lower)
