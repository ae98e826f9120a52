"""Base class of the data modules that serve recordings as log-mel spectrograms."""

import math
import tempfile
from abc import ABC
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from pytorch_lightning.utilities import rank_zero_warn

from lightning_gans.audio import LogMel
from lightning_gans.datamodules.annotated import AnnotatedSource
from lightning_gans.datamodules.archives import Folder
from lightning_gans.datamodules.audio_decoding import AudioFacts
from lightning_gans.datamodules.audio_storage import AudioStorage, DecodedRecordings, store_recordings
from lightning_gans.datamodules.audio_summary import AudioSummary
from lightning_gans.datamodules.bad_files import printable
from lightning_gans.datamodules.dummies import dummy_images, dummy_labels
from lightning_gans.datamodules.module import DataModule, Split
from lightning_gans.datamodules.options import check_choice
from lightning_gans.datamodules.recordings import FoundRecordings, Recording
from lightning_gans.datamodules.sources import Subset
from lightning_gans.datamodules.splitting import split_by_content
from lightning_gans.datamodules.storage import CACHE, choose_storage
from lightning_gans.types import Batch, ImageShape

MAX_LISTED = 20
"""Number of recordings that a message lists; the names of more recordings are written to a file."""


class AudioDataModule(DataModule, ABC):
    """Serve recordings as log-mel spectrograms in [-1, 1].

    A subclass finds the recordings. This class decodes each of them, averages its channels, resamples it to
    `sample_rate`, cuts off its end or pads it with silence to `seconds`, and transforms it by `LogMel`, whose docstring
    defines the values and the inverse. `summary` states what was found and converted; it is printed before training.

    Batches have the keys `audio`, (b, 1, n_mels, t), and `label`, -1 if unknown. Spectrograms are stored as float32 in
    their final form. For 1 second at 8 kHz this is 16 kB, half of the waveform: 49 MB for 3,000 recordings. They are in
    memory up to `memory_limit_gb`. Otherwise they are in a memory-mapped file in `cache`, which later runs open.

    Attributes:
        audio_shape: (1, n_mels, t), the shape of a spectrogram.
        log_mel: The transform from waveforms to spectrograms, and back.
        summary: Summary of the recordings; None before `setup`.

    Args:
        root: Folder of the recordings.
        found: The recordings.
        fractions: Fractions of the held-out splits by name, for recordings whose content determines the split.
        sample_rate: Samples per second after conversion, default 16,000.
        seconds: Duration after conversion in seconds, rounded up to a whole number of hops, default 1.
        n_fft: Length of a frame of the Fourier transform in samples, default 1024.
        hop_length: Distance between frames in samples, default 256.
        n_mels: Number of mel bands, default 64.
        min_db: Decibels of silence relative to full scale, default -80.
        on_error: "stop" (default) raises an error that lists all recordings that cannot be decoded; "skip" leaves them
            out and warns.
        storage: "memory", "mapped", or "auto" (default) for one of them by size.
        memory_limit_gb: Maximum size of the spectrograms in memory for "auto", in units of 10^9 bytes, default 16.
        cache: Folder of the spectrograms of "mapped", default "~/.cache/lightning-gans".
        batch_size: Examples per batch in total over all devices, default 64.
        seed: Seed of the order of the training examples, default 0.
        **kwargs: Further arguments of `DataModule`, such as `labels_per_class`.

    Raises:
        ValueError: A setting is out of range; in `setup`, if a recording cannot be decoded, or soundfile is missing.
    """

    levels = None
    audio_shape: ImageShape

    def __init__(
        self,
        *,
        root: Path,
        found: FoundRecordings,
        fractions: Mapping[str, float],
        sample_rate: int = 16000,
        seconds: float = 1.0,
        n_fft: int = 1024,
        hop_length: int = 256,
        n_mels: int = 64,
        min_db: float = -80.0,
        on_error: Literal["stop", "skip"] = "stop",
        storage: AudioStorage = "auto",
        memory_limit_gb: float = 16.0,
        cache: str = CACHE,
        batch_size: int = 64,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, **kwargs)
        check_choice(("stop", "skip"), on_error=on_error)
        check_choice(get_args(AudioStorage), storage=storage)
        if not 0 < seconds < math.inf:
            raise ValueError(f"`seconds` must be a positive number, got {seconds}")
        self.folder = root
        self.found = found
        self.fractions = fractions
        self.on_error = on_error
        self.log_mel = LogMel(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, min_db=min_db)
        self.audio_shape = self.log_mel.shape(seconds)
        self.num_samples = self.log_mel.num_samples(seconds)
        self.cache = cache
        size = 4 * len(found.recordings) * math.prod(self.audio_shape)
        self._storage = choose_storage(storage, size, memory_limit_gb)
        self.class_names = found.class_names
        self.summary: AudioSummary | None = None
        self._recordings: dict[Split, list[Recording]] = {}

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Return the settings of the conversion, as plain values for checkpoints.

        `LogMel(**preprocessing["log_mel"])` is the transform that turns generated spectrograms into sound.
        """
        return {"audio_shape": list(self.audio_shape), "log_mel": asdict(self.log_mel), "range": [-1.0, 1.0]}

    def prepare_data(self) -> None:
        """Fill the cache in one process; the other processes of a machine wait and open it."""
        if self._storage != "memory":
            self._load_splits()

    def setup(self, stage: str | None = None) -> None:
        """Read and split the recordings on the first call; print their summary before training."""
        super().setup(stage)
        if stage == "fit" and self.trainer is not None and self.trainer.is_global_zero:
            print(self.summary)

    def describe_files(self) -> str:
        """Describe the recordings that were found, what was converted, and what was skipped."""
        return str(self.summary)

    def load(self) -> tuple[Subset, Subset, Subset]:
        """Decode the recordings, or open the cache, and assign them to splits."""
        spectrograms, decoded = store_recordings(
            [recording.file for recording in self.found.recordings],
            Folder(str(self.folder)),
            self.log_mel,
            num_samples=self.num_samples,
            shape=self.audio_shape,
            storage=self._storage,
            cache=self.cache,
            check=self._check_errors,
        )
        facts, errors = decoded.facts, decoded.errors
        self._check_errors(decoded)  # of an earlier run, too
        if errors:
            rank_zero_warn(f"{self._count(errors)} cannot be decoded and are skipped: {_list_names(errors)}")
        used = [recording for recording in self.found.recordings if recording.file in facts]
        used.sort(key=lambda recording: (facts[recording.file].content, recording.file))  # a random order
        hashes = np.array([facts[recording.file].content for recording in used], dtype=np.uint64)
        by_content = {
            index: split for split, part in split_by_content(hashes, self.fractions).items() for index in part.tolist()
        }
        assigned = [(recording.split or by_content[index], recording) for index, recording in enumerate(used)]
        self._recordings = {name: [r for split, r in assigned if split == name] for name in get_args(Split)}
        self.summary = self._summarize(facts, errors)
        self._warn_of_empty_splits(self.summary.sizes)
        rows = {recording.file: row for row, recording in enumerate(self.found.recordings)}
        labels = torch.tensor([recording.label for recording in self.found.recordings], dtype=torch.int64)
        examples = AnnotatedSource(spectrograms, {"label": labels}, decoded.hashes)
        train, validation, test = (
            Subset(examples, torch.tensor([rows[recording.file] for recording in recordings], dtype=torch.int64))
            for recordings in self._recordings.values()
        )
        return train, validation, test

    def _check_errors(self, decoded: DecodedRecordings) -> None:
        """Raise an error for recordings that cannot be decoded, unless they are to be skipped and others remain."""
        if decoded.errors and self.on_error == "stop":
            raise ValueError(
                f"{self._count(decoded.errors)} cannot be decoded: repair or remove them, or set `on_error` to skip: "
                f"{_list_names(decoded.errors)}"
            )
        if not decoded.facts:
            raise ValueError(
                f"none of the {len(decoded.errors)} recordings in {str(self.folder)!r} can be decoded: "
                f"{_list_names(decoded.errors)}"
            )

    def _count(self, errors: Mapping[str, str]) -> str:
        return f"{len(errors)} of {len(self.found.recordings)} recordings in {str(self.folder)!r}"

    def _warn_of_empty_splits(self, sizes: Mapping[str, int]) -> None:
        for split, fraction in self.fractions.items():
            if fraction > 0 and not sizes[split]:
                rank_zero_warn(
                    f"the {split} split of {self.name} is empty: raise `{split}_size`, which is the fraction "
                    f"{fraction:g} of {sum(sizes.values())} recordings"
                )

    def _summarize(self, facts: Mapping[str, AudioFacts], errors: Mapping[str, str]) -> AudioSummary:
        labels = Counter(recording.label for recording in self.found.recordings if recording.file in facts)
        names = dict(enumerate(self.class_names or ()))
        classes = {name: labels[label] for label, name in names.items()}
        if self.class_names is not None and labels[-1]:
            classes["without a label"] = labels[-1]
        return AudioSummary(
            root=str(self.folder),
            sample_rate=self.log_mel.sample_rate,
            seconds=self.num_samples / self.log_mel.sample_rate,
            facts=facts,
            skipped={**self.found.skipped, **errors},
            ignored=self.found.ignored,
            sizes={split: len(recordings) for split, recordings in self._recordings.items()},
            classes=classes,
        )

    def recordings(self, split: Split) -> tuple[Recording, ...]:
        """Return the file, the label and the captions of each example of a split, in the order of `examples`.

        Args:
            split: "train", "validation" or "test".
        """
        self._load_splits()
        return tuple(self._recordings[split])

    def dummy_batch(self, batch_size: int) -> Batch:
        """Create a batch with the keys, shapes and value ranges of real batches, without reading data.

        Args:
            batch_size: Number of examples.
        """
        generator = torch.Generator().manual_seed(0)
        audio = dummy_images((batch_size, *self.audio_shape), None, generator)
        return {"audio": audio, "label": dummy_labels(batch_size, self.num_classes)}


def _list_names(errors: Mapping[str, str]) -> str:
    """List recordings with their reasons; many of them in a file."""
    lines = [printable(f"{file} ({reason})") for file, reason in errors.items()]
    if len(lines) <= MAX_LISTED:
        return ", ".join(lines)
    with tempfile.NamedTemporaryFile("w", prefix="recordings-", suffix=".txt", delete=False) as file:
        file.write("\n".join(lines) + "\n")
    return f"all are listed in {file.name}, the first is {lines[0]}"
