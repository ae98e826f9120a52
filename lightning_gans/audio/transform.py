"""Invertible transform between waveforms and the log-mel spectrograms that models are trained on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_gans.audio.griffin_lim import griffin_lim, invert_mel
from lightning_gans.audio.mel import MelScale, mel_filter_bank
from lightning_gans.audio.spectrogram import db_to_power, mel_spectrogram, power_to_db
from lightning_gans.checks import check_positive
from lightning_gans.types import ImageShape


@dataclass(frozen=True, kw_only=True)
class LogMel:
    """Transform waveforms into log-mel spectrograms in [-1, 1], and back.

    The power in each mel band is expressed in decibels relative to full scale, clamped to [`min_db`, 0], and mapped
    linearly to [-1, 1]: `audio = 1 - 2 * decibels / min_db`. Silence is -1. Full scale, 0 dB, is the power of a sine of
    amplitude 1 at the frequency of the largest filter weight. The mapping depends on the settings only, not on the
    data, so the loudness of a recording is preserved.

    The settings are plain values: `LogMel(**dataclasses.asdict(log_mel))` is an equal transform.

    Args:
        sample_rate: Samples per second, default 16,000.
        n_fft: Length of a frame of the Fourier transform in samples, even, default 1024.
        hop_length: Distance between frames in samples, at most `n_fft // 2`, default 256.
        n_mels: Number of mel bands from 0 Hz to half the sample rate, default 64.
        scale: Mel scale, "slaney" (default) or "htk".
        min_db: Decibels of silence, from -100 to below 0, default -80.

    Raises:
        ValueError: A setting is out of range, or a band contains no frequency of the Fourier transform.

    Example:
        >>> log_mel = LogMel(sample_rate=8000, n_fft=512, hop_length=128)
        >>> log_mel.num_samples(1.0), log_mel.shape(1.0)
        (8064, (1, 64, 64))
        >>> audio = log_mel(torch.zeros(2, 8064))
        >>> audio.shape, audio.min(), audio.max()
        (torch.Size([2, 1, 64, 64]), tensor(-1.), tensor(-1.))
        >>> log_mel.inverse(audio).shape
        torch.Size([2, 8064])
    """

    sample_rate: int = 16000
    n_fft: int = 1024
    hop_length: int = 256
    n_mels: int = 64
    scale: MelScale = "slaney"
    min_db: float = -80.0

    def __post_init__(self) -> None:
        check_positive(sample_rate=self.sample_rate, n_fft=self.n_fft, hop_length=self.hop_length, n_mels=self.n_mels)
        if self.n_fft % 2:
            raise ValueError(f"`n_fft` must be even, got {self.n_fft}")
        if self.hop_length > self.n_fft // 2:
            raise ValueError(
                f"`hop_length` must be at most half of `n_fft` {self.n_fft}, so that frames overlap, "
                f"got {self.hop_length}"
            )
        if self.scale not in ("slaney", "htk"):
            raise ValueError(f"`scale` must be slaney or htk, got {self.scale!r}")
        if not -100 <= self.min_db < 0:
            raise ValueError(f"`min_db` must be at least -100 and below 0, got {self.min_db}")
        self.filter_bank()

    def filter_bank(self) -> Tensor:
        """Return the mel filter bank, (n_mels, n_fft // 2 + 1) float64."""
        return mel_filter_bank(sample_rate=self.sample_rate, n_fft=self.n_fft, n_mels=self.n_mels, scale=self.scale)

    @property
    def full_scale(self) -> float:
        """Return the power of 0 dB."""
        return (self.n_fft / 4) ** 2 * self.filter_bank().max().item()

    def num_samples(self, seconds: float) -> int:
        """Return the length of a waveform: a duration, rounded up to a whole number of hops.

        Args:
            seconds: Duration in seconds.

        Raises:
            ValueError: The waveform is too short for the reflect padding of the Fourier transform.
        """
        samples = -(-round(seconds * self.sample_rate) // self.hop_length) * self.hop_length
        if samples <= self.n_fft // 2:
            raise ValueError(
                f"`seconds` must be more than {self.n_fft / 2 / self.sample_rate:g}, which is half a frame of `n_fft` "
                f"{self.n_fft} at {self.sample_rate} Hz, got {seconds:g}"
            )
        return samples

    def shape(self, seconds: float) -> ImageShape:
        """Return (1, n_mels, frames), the shape of the spectrogram of a duration.

        Args:
            seconds: Duration in seconds.
        """
        return (1, self.n_mels, 1 + self.num_samples(seconds) // self.hop_length)

    def __call__(self, waveform: Tensor) -> Tensor:
        """Transform waveforms into spectrograms.

        Args:
            waveform: (b, n) float in [-1, 1]; n as `num_samples` returns it.

        Returns:
            (b, 1, n_mels, 1 + n // hop_length) in [-1, 1], for networks that work on images.
        """
        mel = mel_spectrogram(
            waveform,
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            n_mels=self.n_mels,
            scale=self.scale,
        )
        decibels = power_to_db(mel / self.full_scale).clamp(self.min_db, 0)
        return (1 - 2 * decibels / self.min_db).unsqueeze(1)

    def inverse(self, audio: Tensor, *, iterations: int = 64, seed: int = 0) -> Tensor:
        """Transform spectrograms into waveforms by the fast Griffin-Lim algorithm.

        Phases and details finer than a mel band are estimated. A waveform depends only on its spectrogram and the seed,
        not on the rest of the batch. Values outside [-1, 1] are clamped.

        Args:
            audio: (b, 1, n_mels, t) float.
            iterations: Iterations of the Griffin-Lim algorithm, default 64.
            seed: Seed of the first phases, default 0. The global random state is not used.

        Returns:
            (b, hop_length (t - 1)), the length of the waveforms that were transformed.
        """
        decibels = self.min_db * (1 - audio.squeeze(1).clamp(-1, 1)) / 2
        audible = decibels > self.min_db
        mel = torch.where(audible, db_to_power(decibels) * self.full_scale, 0.0)
        power = invert_mel(mel, self.filter_bank().to(mel))
        return griffin_lim(power.sqrt(), hop_length=self.hop_length, iterations=iterations, seed=seed)
