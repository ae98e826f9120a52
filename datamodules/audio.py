"""Base class of the data modules that serve recordings as log-mel spectrograms."""

import math
import tempfile
from abc import ABC
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_gans.audio import LogMel
from lightning_gans.checks import check_choice
from lightning_gans.datamodules.audio_decoding import AudioFacts, decode_audio_files
from lightning_gans.datamodules.audio_summary import AudioSummary
from lightning_gans.datamodules.bad_files import describe_error, printable
from lightning_gans.datamodules.module import DataModule, Split
from lightning_gans.datamodules.recordings import FoundRecordings, Recording
from lightning_gans.datamodules.splitting import split_by_content
from lightning_gans.types import Batch, ImageShape

CHUNK = 256
"""Number of waveforms that are transformed at once."""

MAX_LISTED = 20
"""Number of recordings that a message lists; the names of more recordings are written to a file."""


class AudioDataModule(DataModule, ABC):
    """Serve recordings as log-mel spectrograms in [-1, 1], each decoded once into memory.

    A subclass finds the recordings. This class decodes each of them, averages its channels, resamples it to
    `sample_rate`, cuts off its end or pads it with silence to `seconds`, and transforms it by `LogMel`, whose docstring
    defines the values and the inverse. `summary` states what was found and converted; it is printed before training.

    Batches have the keys `audio`, (b, 1, n_mels, t), and `label`, -1 if unknown. Spectrograms are stored as float32 in
    their final form. For 1 second at 8 kHz this is 16 kB, half of the waveform: 49 MB for 3,000 recordings.

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
        batch_size: Examples per batch in total over all devices, default 64.
        seed: Seed of the order of the training examples, default 0.

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
        batch_size: int = 64,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed)
        check_choice(("stop", "skip"), on_error=on_error)
        if not 0 < seconds < math.inf:
            raise ValueError(f"`seconds` must be a positive number, got {seconds}")
        self.folder = root
        self.found = found
        self.fractions = fractions
        self.on_error = on_error
        self.log_mel = LogMel(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, min_db=min_db)
        self.audio_shape = self.log_mel.shape(seconds)
        self.num_samples = self.log_mel.num_samples(seconds)
        self.class_names = found.class_names
        self.summary: AudioSummary | None = None
        self._recordings: dict[Split, list[Recording]] = {}

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Return the settings of the conversion, as plain values for checkpoints.

        `LogMel(**preprocessing["log_mel"])` is the transform that turns generated spectrograms into sound.
        """
        return {"audio_shape": list(self.audio_shape), "log_mel": asdict(self.log_mel), "range": [-1.0, 1.0]}

    def setup(self, stage: str | None = None) -> None:
        """Read and split the recordings on the first call; print their summary before training."""
        super().setup(stage)
        if stage == "fit" and self.trainer is not None and self.trainer.is_global_zero:
            print(self.summary)

    def describe_files(self) -> str:
        """Describe the recordings that were found, what was converted, and what was skipped."""
        return str(self.summary)

    def load(self) -> tuple[Batch, Batch, Batch]:
        """Decode the recordings, transform them and assign them to splits."""
        audio, facts, errors = self._decode()
        if errors:
            self._report(errors)
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
        train, validation, test = (
            _examples(audio, [rows[recording.file] for recording in recordings], recordings)
            for recordings in self._recordings.values()
        )
        return train, validation, test

    def _decode(self) -> tuple[Tensor, dict[str, AudioFacts], dict[str, str]]:
        """Decode all recordings: their spectrograms, the properties of each file, and the error of each bad file."""
        files = [recording.file for recording in self.found.recordings]
        audio = torch.zeros((len(files), *self.audio_shape))
        facts: dict[str, AudioFacts] = {}
        errors: dict[str, str] = {}
        decoded = zip(
            range(len(files)),
            decode_audio_files(
                [self.folder / file for file in files],
                sample_rate=self.log_mel.sample_rate,
                num_samples=self.num_samples,
            ),
            strict=True,
        )
        while chunk := list(islice(decoded, CHUNK)):
            errors |= {files[index]: describe_error(item) for index, item in chunk if isinstance(item, Exception)}
            good = [(index, *item) for index, item in chunk if not isinstance(item, Exception)]
            facts |= {files[index]: properties for index, _, properties in good}
            if good:
                waveforms = torch.from_numpy(np.stack([waveform for _, waveform, _ in good]))
                audio[[index for index, *_ in good]] = self.log_mel(waveforms)
        return audio, facts, errors

    def _report(self, errors: Mapping[str, str]) -> None:
        """Raise an error or warn, with the names of all recordings that cannot be decoded."""
        count = f"{len(errors)} of {len(self.found.recordings)} recordings in {str(self.folder)!r}"
        lines = [printable(f"{file} ({reason})") for file, reason in errors.items()]
        names = ", ".join(lines)
        if len(lines) > MAX_LISTED:
            with tempfile.NamedTemporaryFile("w", prefix="recordings-", suffix=".txt", delete=False) as file:
                file.write("\n".join(lines) + "\n")
            names = f"all are listed in {file.name}, the first is {lines[0]}"
        if self.on_error == "stop":
            raise ValueError(f"{count} cannot be decoded: repair or remove them, or set `on_error` to skip: {names}")
        if len(errors) == len(self.found.recordings):
            raise ValueError(f"none of the {count.partition(' of ')[2]} can be decoded: {names}")
        rank_zero_warn(f"{count} cannot be decoded and are skipped: {names}")

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
        classes = self.num_classes
        label = torch.full((batch_size,), -1) if classes is None else torch.arange(batch_size) % classes
        return {"audio": torch.rand((batch_size, *self.audio_shape), generator=generator) * 2 - 1, "label": label}


def _examples(audio: Tensor, rows: Sequence[int], recordings: Sequence[Recording]) -> Batch:
    labels = [recording.label for recording in recordings]
    return {"audio": audio[rows], "label": torch.tensor(labels, dtype=torch.int64)}
