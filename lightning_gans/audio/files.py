"""Audio files: decoding, resampling and writing, through soundfile and soxr."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor


def import_audio_library(name: str) -> Any:
    """Import an optional library of the extra `audio`.

    Args:
        name: Name of the library, "soundfile" or "soxr".

    Raises:
        ValueError: The library is not installed, or the C library that it needs is missing.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise ValueError(
            f"audio files need {name}, which cannot be imported ({error}): pip install 'lightning-gans[audio]'"
        ) from error


def resample(waveform: npt.NDArray[np.float32], from_rate: int, to_rate: int) -> npt.NDArray[np.float32]:
    """Resample a waveform with soxr in high quality (HQ, 20 bits).

    Args:
        waveform: (n,) float32.
        from_rate: Samples per second of `waveform`.
        to_rate: Samples per second of the result.

    Returns:
        (m,) float32, m about n to_rate / from_rate.
    """
    if from_rate == to_rate:
        return waveform
    resampled: npt.NDArray[np.float32] = import_audio_library("soxr").resample(waveform, from_rate, to_rate)
    return resampled


def write_wav(file: str | Path, waveform: Tensor, sample_rate: int) -> None:
    """Write a waveform as a WAV file of 16-bit samples; values outside [-1, 1] are clipped.

    Args:
        file: Path of the file.
        waveform: (n,) float.
        sample_rate: Samples per second.

    Raises:
        ValueError: soundfile is not installed.
    """
    samples = waveform.detach().cpu().float().numpy()
    import_audio_library("soundfile").write(file, samples, sample_rate, subtype="PCM_16", format="WAV")
