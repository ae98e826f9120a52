"""Store the spectrograms of recordings: in memory or in a memory-mapped file, with the facts about the files."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from lightning_gans.audio import LogMel
from lightning_gans.audio.files import import_audio_library
from lightning_gans.datamodules.archives import Folder
from lightning_gans.datamodules.audio_decoding import AudioFacts, decode_audio_files
from lightning_gans.datamodules.bad_files import describe_error
from lightning_gans.datamodules.cache import open_or_build
from lightning_gans.datamodules.hashing import hash_array
from lightning_gans.datamodules.mapped import HASHES, MappedSource, announce, create_array
from lightning_gans.datamodules.sources import Source, TensorSource
from lightning_gans.datamodules.storage import Storage

AudioStorage = Literal["auto", "memory", "mapped"]
"""Storage of spectrograms: "auto" is memory if they fit into the limit, else a memory-mapped file."""

FORMAT = 1
"""Version of the caches; it must change with everything that changes the spectrograms or the files of a cache."""

FACTS = "files.json"
"""File of a cache with the facts about the recordings."""

CHUNK = 256
"""Number of waveforms that are transformed at once."""


@dataclass
class DecodedRecordings:
    """Result of decoding recordings.

    Attributes:
        facts: Properties of each recording that was decoded, by file.
        errors: Reason for each recording that cannot be decoded, by file; its spectrogram is zero.
        hashes: (n,) uint64 hashes of the spectrograms.
    """

    facts: dict[str, AudioFacts] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

    def save(self, folder: Path) -> None:
        """Write everything into an existing folder."""
        np.save(folder / HASHES, self.hashes)
        facts = {file: asdict(facts) for file, facts in self.facts.items()}
        (folder / FACTS).write_text(json.dumps({"facts": facts, "errors": self.errors}))

    @classmethod
    def load(cls, folder: Path) -> "DecodedRecordings":
        """Read what `save` wrote."""
        content = json.loads((folder / FACTS).read_text())
        facts = {file: AudioFacts(**facts) for file, facts in content["facts"].items()}
        return cls(facts, content["errors"], np.load(folder / HASHES))


def decode_recordings(
    out: npt.NDArray[np.float32], files: Sequence[str], folder: Path, log_mel: LogMel, num_samples: int
) -> DecodedRecordings:
    """Decode recordings and transform them into spectrograms.

    Args:
        out: (n, 1, n_mels, t) array of zeros, or a memory map, that receives the spectrograms.
        files: Paths of the n recordings relative to `folder`.
        folder: The folder.
        log_mel: The transform.
        num_samples: Length of the waveforms.
    """
    decoded = DecodedRecordings(hashes=np.zeros(len(files), dtype=np.uint64))
    paths = [folder / file for file in files]
    results = enumerate(decode_audio_files(paths, sample_rate=log_mel.sample_rate, num_samples=num_samples))
    while chunk := list(islice(results, CHUNK)):
        decoded.errors |= {files[index]: describe_error(item) for index, item in chunk if isinstance(item, Exception)}
        good = [(index, *item) for index, item in chunk if not isinstance(item, Exception)]
        decoded.facts |= {files[index]: facts for index, _, facts in good}
        if good:
            spectrograms = log_mel(torch.from_numpy(np.stack([waveform for _, waveform, _ in good]))).numpy()
            for (index, *_), spectrogram in zip(good, spectrograms, strict=True):
                out[index] = spectrogram
                decoded.hashes[index] = hash_array(spectrogram)
    return decoded


def store_recordings(
    files: Sequence[str],
    tree: Folder,
    log_mel: LogMel,
    *,
    num_samples: int,
    shape: tuple[int, ...],
    storage: Storage,
    cache: str | Path,
    check: Callable[[DecodedRecordings], object],
) -> tuple[Source, DecodedRecordings]:
    """Decode recordings once, and store their spectrograms and the facts about the files.

    Args:
        files: Names of the recordings in `tree`.
        tree: The folder.
        log_mel: The transform from waveforms to spectrograms.
        num_samples: Length of the waveforms.
        shape: Shape of a spectrogram.
        storage: "memory" or "mapped".
        cache: Folder of all caches.
        check: Function that raises an error for facts that are not acceptable, which are then not kept.

    Returns:
        The spectrograms, under the key `audio`, and the facts.

    Raises:
        ValueError: The cache cannot be written, or a library for sound is missing.
    """

    def decode(out: npt.NDArray[np.float32]) -> DecodedRecordings:
        decoded = decode_recordings(out, files, tree.path, log_mel, num_samples)
        check(decoded)
        return decoded

    def build(folder: Path) -> None:
        announce(len(files), folder.parent)
        decode(create_array(folder / "audio.npy", (len(files), *shape), np.float32)).save(folder)

    if storage == "memory":
        audio = torch.zeros((len(files), *shape))
        return TensorSource({"audio": audio}), decode(audio.numpy())
    key: dict[str, Any] = {
        "format": FORMAT,
        "root": str(tree.path.resolve()),
        "files": tree.stamp(files),
        "log_mel": asdict(log_mel),
        "num_samples": num_samples,
        "soundfile": import_audio_library("soundfile").__libsndfile_version__,
        "soxr": import_audio_library("soxr").__version__,
        "torch": torch.__version__,
    }
    folder = open_or_build(cache, key, build)
    return MappedSource(folder), DecodedRecordings.load(folder)
