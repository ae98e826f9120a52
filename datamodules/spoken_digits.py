"""Free Spoken Digit Dataset."""

import re
from pathlib import Path
from typing import Any, Literal

from lightning_gans.datamodules.archives import Folder
from lightning_gans.datamodules.audio import AudioDataModule
from lightning_gans.datamodules.module import Split
from lightning_gans.datamodules.options import check_choice
from lightning_gans.datamodules.recordings import FoundRecordings, Recording, sort_by_suffix

_NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_/]+)_(?P<index>\d+)\.wav", flags=re.IGNORECASE)

TEST_INDICES = range(5)
"""Indices of the test recordings of each speaker and digit: the official test set."""

VALIDATION_INDICES = range(5, 10)
"""Indices of the validation recordings of each speaker and digit, a tenth of the data, as many as for testing."""


class SpokenDigits(AudioDataModule):
    """Serve the Free Spoken Digit Dataset: 3,000 recordings of spoken digits, 8 kHz, 6 speakers, in ten classes.

    Spectrograms are (1, 64, 64), float in [-1, 1]; labels are int64 from 0 to 9. Files are named
    `{digit}_{speaker}_{index}.wav`; files with other names are skipped. With `split_by` recording, the indices 0 to 4
    of each speaker and digit are the official test set, and 5 to 9 are for validation. With `split_by` speaker, one
    speaker is for testing and another for validation, so that a score measures unknown voices. 17 recordings are longer
    than the duration of 1.008 seconds, 64 frames, and are trimmed.

    Source: Z. Jackson, C. Souza, J. Flaks, Y. Pan, H. Nicolas and A. Thite, Free Spoken Digit Dataset (2018),
    doi:10.5281/zenodo.1342401.

    Args:
        root: Folder with the recordings, or the folder that contains `recordings/`; `~` is expanded.
        split_by: "recording" (default) or "speaker".
        test_speaker: Speaker for testing with `split_by` speaker, default "yweweler".
        validation_speaker: Speaker for validation with `split_by` speaker, default "theo".
        sample_rate: Samples per second after conversion, default 8000.
        n_fft: Length of a frame of the Fourier transform in samples, default 512.
        hop_length: Distance between frames in samples, default 128.
        **kwargs: Further arguments of `AudioDataModule`.

    Raises:
        ValueError: `root` has no recordings of the data set, a speaker is unknown, or a setting is out of range; in
            `setup`, if a recording cannot be decoded, or soundfile is missing.
    """

    def __init__(
        self,
        *,
        root: str,
        split_by: Literal["recording", "speaker"] = "recording",
        test_speaker: str = "yweweler",
        validation_speaker: str = "theo",
        sample_rate: int = 8000,
        n_fft: int = 512,
        hop_length: int = 128,
        **kwargs: Any,
    ) -> None:
        check_choice(("recording", "speaker"), split_by=split_by)
        self.root = root
        self.split_by = split_by
        self.held_out: dict[str, Split] = {validation_speaker: "validation", test_speaker: "test"}
        if len(self.held_out) < 2:
            raise ValueError(f"`test_speaker` and `validation_speaker` must differ, got {test_speaker!r}")
        folder = Path(root).expanduser()
        if (folder / "recordings").is_dir():
            folder /= "recordings"
        super().__init__(
            root=folder,
            found=self._find(folder),
            fractions={},
            sample_rate=sample_rate,
            n_fft=n_fft,
            hop_length=hop_length,
            **kwargs,
        )

    def _find(self, folder: Path) -> FoundRecordings:
        files, skipped, ignored = sort_by_suffix(Folder(str(folder)).list())
        names = {file: match for file in files if (match := _NAME.fullmatch(file))}
        skipped |= {file: "not named {digit}_{speaker}_{index}.wav" for file in files if file not in names}
        speakers = sorted({name["speaker"] for name in names.values()})
        if not names:
            raise ValueError(
                f"`root` {self.root!r} must contain the recordings of the Free Spoken Digit Dataset, which are named "
                "{digit}_{speaker}_{index}.wav"
            )
        if self.split_by == "speaker":
            for speaker, split in self.held_out.items():
                if speaker not in speakers:
                    raise ValueError(f"`{split}_speaker` must be one of {', '.join(speakers)}, got {speaker!r}")
            if len(speakers) < 3:
                raise ValueError(f"`split_by` speaker needs at least 3 speakers, got {', '.join(speakers)}")
        recordings = tuple(
            Recording(file=file, label=int(name["digit"]), split=self._split(name)) for file, name in names.items()
        )
        return FoundRecordings(recordings=recordings, class_names=tuple("0123456789"), skipped=skipped, ignored=ignored)

    def _split(self, name: re.Match[str]) -> Split:
        if self.split_by == "speaker":
            return self.held_out.get(name["speaker"], "train")
        index = int(name["index"])
        return "test" if index in TEST_INDICES else "validation" if index in VALIDATION_INDICES else "train"
