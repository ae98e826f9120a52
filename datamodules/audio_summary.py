"""Summary of the recordings that a data module found, and of their conversion."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lightning_gans.datamodules.audio_decoding import AudioFacts
from lightning_gans.datamodules.bad_files import printable

_SHOWN = 5  # files that a line of the text names


@dataclass(frozen=True, kw_only=True)
class AudioSummary:
    """Summary of a folder of recordings.

    Attributes:
        root: The folder.
        sample_rate: Samples per second after conversion.
        seconds: Duration after conversion, in seconds.
        facts: Properties of each recording that is used, by file.
        skipped: Reason for each recording that is not used, by file.
        ignored: Number of other files by suffix.
        sizes: Number of recordings by split.
        classes: Number of recordings by class; empty without labels.
    """

    root: str
    sample_rate: int
    seconds: float
    facts: Mapping[str, AudioFacts]
    skipped: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)

    @property
    def trimmed(self) -> list[str]:
        """Return the recordings whose end is cut off."""
        return [file for file, facts in self.facts.items() if facts.seconds > self.seconds]

    @property
    def padded(self) -> list[str]:
        """Return the recordings that are padded with silence."""
        return [file for file, facts in self.facts.items() if facts.seconds < self.seconds]

    @property
    def resampled(self) -> list[str]:
        """Return the recordings that are resampled."""
        return [file for file, facts in self.facts.items() if facts.sample_rate != self.sample_rate]

    @property
    def mixed(self) -> list[str]:
        """Return the recordings whose channels are averaged."""
        return [file for file, facts in self.facts.items() if facts.channels > 1]

    @property
    def silent(self) -> list[str]:
        """Return the recordings without any sound in the part that is used."""
        return [file for file, facts in self.facts.items() if facts.peak == 0]

    @property
    def beyond_full_scale(self) -> list[str]:
        """Return the recordings with values outside [-1, 1] by more than the ripple of a resampler."""
        return [file for file, facts in self.facts.items() if facts.peak > 1.5]

    @property
    def wrong_suffix(self) -> list[str]:
        """Return the recordings whose suffix belongs to another format."""
        return [file for file, facts in self.facts.items() if facts.wrong_suffix]

    @property
    def duplicates(self) -> list[str]:
        """Return the recordings whose samples equal the samples of an earlier recording."""
        first: dict[int, str] = {}
        return [file for file, facts in self.facts.items() if first.setdefault(facts.content, file) != file]

    def __str__(self) -> str:
        """Describe the recordings in at most 18 lines."""
        kinds = _counts(facts.kind for facts in self.facts.values())
        lines = [
            f"{printable(self.root)}: {len(self.facts):,} recordings ({kinds})",
            _line("splits", _join(self.sizes)),
            _line("classes", _join(self.classes)),
            _line("sample rates", _counts(f"{facts.sample_rate} Hz" for facts in self.facts.values())),
            _line("channels", _counts(str(facts.channels) for facts in self.facts.values())),
            _line("seconds", _range([facts.seconds for facts in self.facts.values()])),
            _line(f"trimmed to {self.seconds:g} s", _files(self.trimmed)),
            _line(f"padded to {self.seconds:g} s", _files(self.padded)),
            _line(f"resampled to {self.sample_rate} Hz", _files(self.resampled)),
            _line("mixed to one channel", _files(self.mixed)),
            _line("silent", _files(self.silent)),
            _line("beyond full scale", _files(self.beyond_full_scale)),
            _line("suffix of another format", _files(self.wrong_suffix)),
            _line("exact duplicates", _files(self.duplicates)),
            _line("skipped", _files([f"{file} ({reason})" for file, reason in self.skipped.items()])),
            _line("other files", _join(self.ignored)),
        ]
        return "\n".join(line for line in lines if line)


def _line(label: str, text: str) -> str:
    return f"  {label}: {text}" if text else ""


def _files(files: list[str]) -> str:
    if not files:
        return ""
    return f"{len(files):,}: {', '.join(map(printable, files[:_SHOWN]))}" + ", ..." * (len(files) > _SHOWN)


def _counts(values: Iterable[str]) -> str:
    return _join(dict(Counter(values).most_common()))


def _join(counts: Mapping[str, int]) -> str:
    shown = [f"{printable(name)} {count:,}" for name, count in counts.items()]
    return ", ".join(shown[:20]) + f", ... ({len(shown)} in total)" * (len(shown) > 20)


def _range(seconds: list[float]) -> str:
    if not seconds:
        return ""
    return f"{min(seconds):.3g} to {max(seconds):.3g}, median {statistics.median(seconds):.3g}"
