"""Waveforms from mel spectrograms: non-negative inversion of the bands, then the fast Griffin-Lim algorithm."""

import torch
from torch import Tensor

from lightning_gans.audio.spectrogram import stft


def invert_mel(mel: Tensor, filter_bank: Tensor, *, iterations: int = 100) -> Tensor:
    """Estimate a power spectrogram from the power in mel bands, by multiplicative updates.

    There are fewer bands than frequencies. The updates keep the estimate non-negative and decrease the generalized
    Kullback-Leibler divergence between the given and the estimated power in the bands. Unlike least squares, which
    librosa uses, the divergence also fits bands that are 60 dB below the loudest band.

    Source: D. D. Lee and H. S. Seung, Algorithms for Non-negative Matrix Factorization (NIPS 2000), theorem 2 with one
    fixed factor.

    Args:
        mel: (b, m, t), the power in m bands.
        filter_bank: (m, f) filter bank, of `mel_filter_bank`.
        iterations: Number of updates, default 100.

    Returns:
        (b, f, t) non-negative, 0 at frequencies that no band contains.

    Example:
        >>> bands = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
        >>> power = invert_mel(bands @ torch.ones(1, 3, 2), bands)
        >>> torch.allclose(bands @ power, bands @ torch.ones(1, 3, 2))
        True
    """
    tiny = torch.finfo(mel.dtype).tiny
    weights = filter_bank.T / filter_bank.sum(0).clamp(min=tiny).unsqueeze(1)
    power = torch.ones_like(weights @ mel)
    for _ in range(iterations):
        power = power * (weights @ (mel / (filter_bank @ power).clamp(min=tiny)))
    return power


def griffin_lim(
    magnitude: Tensor, *, hop_length: int, iterations: int = 64, momentum: float = 0.99, seed: int = 0
) -> Tensor:
    """Reconstruct waveforms from the magnitudes of their short-time Fourier transform.

    All examples start from the same random phases, so a waveform depends neither on its batch nor on its index.

    Source: N. Perraudin, P. Balazs and P. L. Sondergaard, A Fast Griffin-Lim Algorithm (WASPAA 2013),
    doi:10.1109/WASPAA.2013.6701851; the update with momentum is the one of librosa.

    Args:
        magnitude: (b, f, t) magnitudes of `stft` with n_fft = 2 (f - 1).
        hop_length: Distance between frames, in samples.
        iterations: Number of iterations, default 64.
        momentum: Weight of the previous iteration, default 0.99; 0 is the original algorithm.
        seed: Seed of the first phases, default 0. The global random state is not used.

    Returns:
        (b, hop_length (t - 1)).

    Example:
        >>> griffin_lim(torch.ones(2, 257, 64), hop_length=128).shape
        torch.Size([2, 8064])
    """
    *_, frequencies, frames = magnitude.shape
    n_fft = 2 * (frequencies - 1)
    generator = torch.Generator().manual_seed(seed)
    phase = 2 * torch.pi * torch.rand(1, frequencies, frames, generator=generator, dtype=magnitude.dtype)
    spectrum = torch.polar(magnitude, phase.to(magnitude.device).expand_as(magnitude).contiguous())
    previous = torch.zeros_like(spectrum)
    for _ in range(iterations):
        rebuilt = stft(_istft(spectrum, n_fft, hop_length), n_fft=n_fft, hop_length=hop_length)
        angles = rebuilt - momentum / (1 + momentum) * previous
        spectrum = magnitude * angles / angles.abs().clamp(min=torch.finfo(magnitude.dtype).tiny)
        previous = rebuilt
    return _istft(spectrum, n_fft, hop_length)


def _istft(spectrum: Tensor, n_fft: int, hop_length: int) -> Tensor:
    window = torch.hann_window(n_fft, dtype=spectrum.real.dtype, device=spectrum.device)
    waveform: Tensor = torch.istft(
        spectrum, n_fft, hop_length, window=window, center=True, length=hop_length * (spectrum.shape[-1] - 1)
    )
    return waveform
