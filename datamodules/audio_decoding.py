"""Decoding of audio files into waveforms of one length and sample rate."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from lightning_gans.audio.files import import_audio_library, resample
from lightning_gans.datamodules.decoding import map_in_threads

SUFFIXES = {
    "WAV": (".wav", ".wave"),
    "WAVEX": (".wav", ".wave"),
    "RF64": (".wav", ".rf64"),
    "FLAC": (".flac",),
    "OGG": (".ogg", ".oga", ".opus"),
    "MP3": (".mp3",),
    "MPEG": (".mp3",),
    "AIFF": (".aif", ".aiff"),
    "AU": (".au",),
    "CAF": (".caf",),
}
"""Suffixes of the files of each format, by soundfile's name of the format."""

AUDIO_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
"""File suffixes of sound, in lower case; the case of a file name is ignored."""

_BLOCK = 65536  # frames that are decoded at once
_CHUNK_SIZES = re.compile(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)$", flags=re.MULTILINE)  # of WAV, AIFF
_UNKNOWN_SIZE = 0x7FFF0000  # programs that write to a pipe state a size from here on
_MARGIN = 0.1  # seconds that are resampled beyond the end, so that the filter sees the signal continue


@dataclass(frozen=True, kw_only=True)
class AudioFacts:
    """Properties of an audio file.

    Attributes:
        kind: Format and encoding, such as "WAV PCM_16".
        sample_rate: Samples per second.
        channels: Number of channels.
        seconds: Duration in seconds.
        peak: Largest absolute value of the waveform that is used, after channels are mixed.
        wrong_suffix: Whether the suffix belongs to another format.
        content: 64-bit hash of all decoded samples, the channels and the sample rate.
    """

    kind: str
    sample_rate: int
    channels: int
    seconds: float
    peak: float
    wrong_suffix: bool
    content: int


Decoded = tuple[npt.NDArray[np.float32], AudioFacts]
"""Waveform and properties of a file."""


def decode_audio(file: Path, *, sample_rate: int, num_samples: int) -> Decoded:
    """Decode an audio file: average the channels, resample, and trim the end or pad it with zeros.

    The format is recognized by the content, not by the suffix.

    Args:
        file: Path of the file.
        sample_rate: Samples per second of the result.
        num_samples: Length of the result.

    Returns:
        (num_samples,) float32, in [-1, 1] for integer encodings; and the properties of the file.

    Raises:
        ValueError: The file has no samples, is truncated, or contains NaN or infinity.
        OSError: The file cannot be opened.
        RuntimeError: soundfile cannot decode the file.
    """
    with file.open("rb") as opened, _open_sound(opened) as sound:
        digest = blake2b(repr((sound.samplerate, sound.channels)).encode(), digest_size=8)
        needed = math.ceil((num_samples / sample_rate + _MARGIN) * sound.samplerate)
        blocks: list[npt.NDArray[np.float32]] = []
        length = 0
        while len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):
            digest.update(block.tobytes())
            if length < needed:
                blocks.append(block[: needed - length].mean(axis=1, dtype=np.float32))
            length += len(block)
        if length == 0:
            raise ValueError("no samples")
        if length < sound.frames:
            raise ValueError(f"truncated: {length} of {sound.frames} samples")
        waveform = np.concatenate(blocks)
        if not np.isfinite(waveform).all():
            raise ValueError("NaN or infinity in the samples")
        waveform = resample(waveform, sound.samplerate, sample_rate)[:num_samples]
        facts = AudioFacts(
            kind=f"{sound.format} {sound.subtype}",
            sample_rate=sound.samplerate,
            channels=sound.channels,
            seconds=length / sound.samplerate,
            peak=float(np.abs(waveform).max(initial=0.0)),
            wrong_suffix=file.suffix.lower() not in SUFFIXES.get(sound.format, (file.suffix.lower(),)),
            content=int.from_bytes(digest.digest(), "little"),
        )
    return np.pad(waveform, (0, num_samples - len(waveform))), facts


def _open_sound(file: BinaryIO) -> Any:
    """Open a file with soundfile; raise a ValueError if it is empty or shorter than its header states."""
    if not file.read(1):
        raise ValueError("empty file")
    file.seek(0)
    sound = import_audio_library("soundfile").SoundFile(file)  # a path would give other messages
    for stated, found in _CHUNK_SIZES.findall(sound.extra_info):
        if int(found) < int(stated) < _UNKNOWN_SIZE:
            raise ValueError(f"truncated: {found} of {stated} bytes of samples")
    return sound


def decode_audio_files(files: Sequence[Path], *, sample_rate: int, num_samples: int) -> Iterator[Decoded | Exception]:
    """Decode audio files in parallel threads, with a progress bar on a terminal for more than 2,000 files.

    Args:
        files: Paths of the files.
        sample_rate: Samples per second of the results.
        num_samples: Length of the results.

    Returns:
        The result of `decode_audio` for each file, in order, or the exception that it raised.

    Raises:
        ValueError: soundfile or soxr is not installed.
    """
    for name in ("soundfile", "soxr"):  # here, since a missing library is not an error of a file
        import_audio_library(name)

    def decode(file: Path) -> Decoded | Exception:
        try:
            return decode_audio(file, sample_rate=sample_rate, num_samples=num_samples)
        except Exception as error:  # libraries for damaged files raise almost any exception
            return error

    return map_in_threads(decode, files, "decoding sound")
