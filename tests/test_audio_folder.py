"""Test the data modules of recordings: finding, decoding of each kind of file, labels, splits, and errors."""

import csv
import dataclasses
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lightning_gans.audio import LogMel
from lightning_gans.core.recording import deserialize, serialize
from lightning_gans.datamodules import AudioDataModule, AudioFolder, SpokenDigits
from lightning_gans.datamodules.audio_decoding import decode_audio
from lightning_gans.datamodules.audio_folder import find_recordings
from lightning_gans.datamodules.splitting import split_by_content
from lightning_gans.types import Batch

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")
pytest.importorskip("soxr", reason="soxr is not installed")

REAL_DIGITS = os.environ.get("SPOKEN_DIGITS", "")
SMALL: dict[str, Any] = {"seconds": 0.25, "sample_rate": 8000, "n_fft": 256, "hop_length": 64, "n_mels": 16}

pytestmark = pytest.mark.filterwarnings("ignore:.*split of AudioFolder is empty")


def tone(number: int, *, seconds: float = 0.25, rate: int = 8000, channels: int = 1) -> np.ndarray:
    """Return a sine whose frequency and loudness depend on a number."""
    wave = (0.2 + 0.001 * number) * np.sin(2 * np.pi * (200 + 10 * number) * np.arange(round(seconds * rate)) / rate)
    return wave if channels == 1 else np.stack([wave] * channels, axis=1)


def write(root: Path, *names: str, **options: Any) -> None:
    """Write recordings; the i-th contains tone i."""
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, tone(i, **options), options.get("rate", 8000))


def folder(root: Path, **options: Any) -> AudioFolder:
    return AudioFolder(root=str(root), **{"batch_size": 1} | SMALL | options)


def files(data: AudioDataModule) -> dict[str, list[str]]:
    return {split: [recording.file for recording in data.recordings(split)] for split in data.sizes}


def decode(file: Path, rate: int = 8000, samples: int = 2000) -> np.ndarray:
    waveform, _ = decode_audio(file, sample_rate=rate, num_samples=samples)
    return waveform


# Decoding

EXPECTED = tone(0)


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("x.wav", "PCM_U8", 2**-7),
        ("x.wav", "PCM_16", 2**-15),
        ("x.wav", "PCM_24", 2**-23),
        ("x.WAV", "PCM_32", 2**-23),
        ("x.wav", "FLOAT", 2**-23),
        ("x.wav", "DOUBLE", 2**-23),
        ("x.wav", "ULAW", 0.02),
        ("x.flac", "PCM_24", 2**-23),
        ("x.aiff", "PCM_16", 2**-15),
        ("x.ogg", "VORBIS", 0.05),
    ],
)
def test_each_encoding_is_decoded(tmp_path: Path, name: str, subtype: str, tolerance: float) -> None:
    soundfile.write(tmp_path / name, EXPECTED, 8000, subtype=subtype)
    np.testing.assert_allclose(decode(tmp_path / name), EXPECTED, atol=tolerance, rtol=0)


@pytest.mark.parametrize(("name", "options"), [("x.mp3", {}), ("x.opus", {"format": "OGG", "subtype": "OPUS"})])
def test_a_compressed_file_keeps_its_frequency(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    soundfile.write(tmp_path / name, tone(20, seconds=1.0, rate=16000), 16000, **options)
    spectrum = np.abs(np.fft.rfft(decode(tmp_path / name, 16000, 16000)))
    assert spectrum.argmax() == pytest.approx(400, abs=1)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = tone(0), tone(5)
    soundfile.write(tmp_path / "x.wav", np.stack([left, right, np.zeros(2000)], axis=1), 8000, subtype="FLOAT")
    np.testing.assert_allclose(decode(tmp_path / "x.wav"), (left + right) / 3, atol=1e-6)


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 44100, 48000, 192000])
def test_any_rate_is_resampled(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "x.wav", tone(0, rate=rate, seconds=0.5), rate, subtype="FLOAT")
    np.testing.assert_allclose(decode(tmp_path / "x.wav")[100:], EXPECTED[100:], atol=2e-3)


def test_a_recording_is_trimmed_at_its_end_or_padded_with_zeros(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", tone(0, seconds=30), 8000, subtype="FLOAT")
    np.testing.assert_allclose(decode(tmp_path / "x.wav"), EXPECTED, atol=1e-6)
    padded = decode(tmp_path / "x.wav", samples=8000 * 31)
    assert np.abs(padded[: 8000 * 30]).max() > 0.1
    assert (padded[8000 * 30 :] == 0).all()
    soundfile.write(tmp_path / "one.wav", np.ones(1), 44100, subtype="FLOAT")
    assert decode(tmp_path / "one.wav").shape == (2000,)


def test_the_content_is_that_of_the_samples_and_not_of_the_file(tmp_path: Path) -> None:
    def content(name: str, samples: np.ndarray, rate: int = 8000) -> int:
        soundfile.write(tmp_path / name, (samples * 2**15).astype(np.int16), rate)
        return decode_audio(tmp_path / name, sample_rate=8000, num_samples=2000)[1].content

    original = content("a.wav", tone(0))
    assert original == content("b.flac", tone(0))
    longer = np.concatenate([tone(0), tone(1)])
    assert len({original, content("c.wav", longer), content("d.wav", tone(0), 16000), content("e.wav", tone(1))}) == 4


def test_a_file_that_was_written_to_a_pipe_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", EXPECTED, 8000, subtype="PCM_16")
    content = bytearray((tmp_path / "x.wav").read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"  # the sizes are unknown when the header is written
    (tmp_path / "x.wav").write_bytes(content)
    np.testing.assert_allclose(decode(tmp_path / "x.wav"), EXPECTED, atol=2**-15)


def broken(root: Path) -> dict[str, str]:
    """Write files that cannot be decoded; return the reason for each."""
    nan = tone(0)
    nan[7] = np.nan
    soundfile.write(root / "nan.wav", nan, 8000, subtype="FLOAT")
    for name in ("cut.flac", "cut.mp3", "cut.wav", "cut.aiff"):
        soundfile.write(root / name, np.random.default_rng(0).uniform(-0.5, 0.5, 80_000), 16000)
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: len(content) // 2])
    soundfile.write(root / "none.wav", np.zeros(0), 8000)
    (root / "empty.wav").touch()
    (root / "text.wav").write_text("a text that is long enough to be read as the header of a file\n" * 10)
    (root / "link.wav").symlink_to(root / "nothing.wav")
    return {
        "nan.wav": "NaN or infinity in the samples",
        "cut.flac": "",
        "cut.mp3": "truncated: ",
        "cut.wav": "truncated: 79978 of 160000 bytes",
        "cut.aiff": "truncated: 79981 of 160008 bytes",
        "none.wav": "no samples",
        "empty.wav": "empty file",
        "text.wav": "Format not",
        "link.wav": "No such file or directory",
    }


def test_a_file_that_cannot_be_decoded_is_named_with_its_reason(tmp_path: Path) -> None:
    write(tmp_path, *(f"{i}.wav" for i in range(6)))
    reasons = broken(tmp_path)
    with pytest.raises(ValueError, match=r"9 of 15 recordings in .* cannot be decoded") as error:
        folder(tmp_path).setup()
    assert "\n" not in str(error.value)
    assert "set `on_error` to skip" in str(error.value)
    for file, reason in reasons.items():
        assert f"{file} ({reason}" in str(error.value)


def test_bad_files_are_skipped_with_a_warning(tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(6)]
    write(tmp_path, *names)
    reasons = broken(tmp_path)
    data = folder(tmp_path, on_error="skip")
    with pytest.warns(UserWarning, match="9 of 15 recordings in .* cannot be decoded and are skipped: .*empty.wav"):
        data.setup()
    assert sorted(chain(*files(data).values())) == names
    assert data.summary is not None
    assert data.summary.skipped.keys() == reasons.keys()
    assert "skipped: 9: " in str(data.summary)


def test_many_bad_files_are_listed_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = [f"{i:02}.wav" for i in range(30)]
    for name in names:
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).touch()
    with pytest.raises(ValueError, match=r"30 of 30 .* all are listed in \S+\.txt, the first is 00.wav") as error:
        folder(tmp_path / "data").setup()
    listed = Path(re.search(r"listed in (\S+\.txt)", str(error.value))[1]).read_text()
    assert listed.splitlines() == [f"{name} (empty file)" for name in names]
    with pytest.raises(ValueError, match=r"none of the 30 recordings in .* can be decoded"):
        folder(tmp_path / "data", on_error="skip").setup()


# Storage


def test_a_memory_mapped_file_serves_the_batches_of_memory_and_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "sounds"
    write(root, *(f"{word}/{i}.wav" for word in ("no", "yes") for i in range(20)))
    (root / "no" / "bad.wav").write_text("?")
    options: dict[str, Any] = {"on_error": "skip", "test_size": 0.2, "validation_size": 0.2}
    options["cache"] = str(tmp_path / "cache")
    with pytest.warns(UserWarning, match="1 of 41 recordings"):
        (expected := folder(root, **options)).setup()
    with pytest.warns(UserWarning, match="1 of 41 recordings"):
        (first := folder(root, storage="mapped", **options)).setup()
    monkeypatch.setattr("lightning_gans.datamodules.audio_storage.decode_audio_files", None)
    with pytest.warns(UserWarning, match="1 of 41 recordings"):
        (second := folder(root, memory_limit_gb=0.0, **options)).setup()
    assert (expected.storage, second.storage) == ("memory", "mapped")
    for data in (first, second):
        assert (data.summary, files(data)) == (expected.summary, files(expected))
        assert data.fingerprint() == expected.fingerprint()
        for split in data.sizes:
            for key, tensor in data.examples(split).items():
                torch.testing.assert_close(tensor, expected.examples(split)[key], rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"1 of 41 recordings in .* cannot be decoded"):
        folder(root, storage="mapped", **options | {"on_error": "stop"}).setup()


def test_another_transform_or_a_changed_recording_makes_another_cache(tmp_path: Path) -> None:
    root, cache = tmp_path / "sounds", tmp_path / "cache"
    write(root, *(f"{i}.wav" for i in range(10)))
    for number, options in enumerate(({}, {"n_mels": 8}, {"seconds": 0.5}, {"sample_rate": 4000}), 1):
        folder(root, storage="mapped", cache=str(cache), **options).setup()
        assert len(list(cache.iterdir())) == number
    write(root, "10.wav")
    folder(root, storage="mapped", cache=str(cache)).setup()
    assert len(list(cache.iterdir())) == 5


# Summary


def test_the_summary_counts_every_file(tmp_path: Path) -> None:
    write(tmp_path, "a.wav", "b.flac", "c.ogg")
    soundfile.write(tmp_path / "stereo.wav", tone(9, channels=2, rate=44100), 44100)
    soundfile.write(tmp_path / "long.wav", tone(8, seconds=2), 8000)
    soundfile.write(tmp_path / "short.wav", tone(7, seconds=0.1), 8000, subtype="PCM_24")
    soundfile.write(tmp_path / "silence.wav", np.zeros(2048), 8000)
    soundfile.write(tmp_path / "loud.wav", 30_000 * tone(3), 8000, subtype="FLOAT")
    shutil.copy(tmp_path / "a.wav", tmp_path / "copy.wav")
    shutil.copy(tmp_path / "b.flac", tmp_path / "flac.wav")
    for name in ("notes.txt", "._a.wav", "README", "song.m4a", "Thumbs.db"):
        (tmp_path / name).write_text("?")
    (tmp_path / "folder.wav").mkdir()
    write(tmp_path, ".cache/hidden.wav")
    data = folder(tmp_path)
    data.setup()
    summary = data.summary
    assert summary is not None
    assert len(summary.facts) == 10
    assert summary.trimmed == ["long.wav"]
    assert "short.wav" in summary.padded
    assert summary.resampled == summary.mixed == ["stereo.wav"]
    assert summary.silent == ["silence.wav"]
    assert summary.beyond_full_scale == ["loud.wav"]
    assert summary.wrong_suffix == ["flac.wav"]
    assert summary.duplicates == ["copy.wav", "flac.wav"]
    assert summary.skipped == {"song.m4a": "soundfile cannot decode .m4a"}
    assert summary.ignored == {".txt": 1, "hidden": 2, "without a suffix": 1, ".db": 1}
    text = str(summary)
    for line in (
        "10 recordings (WAV PCM_16 5, FLAC PCM_16 2, ",
        "channels: 1 9, 2 1",
        "sample rates: 8000 Hz 9, 44100 Hz 1",
        "seconds: 0.1 to 2, median 0.25",
        "trimmed to 0.256 s: 1: long.wav",
        "skipped: 1: song.m4a (soundfile cannot decode .m4a)",
        "other files: without a suffix 1, .db 1, .txt 1, hidden 2",
    ):
        assert line in text
    assert text.count("\n") < 18


def test_names_that_are_not_utf_8_can_be_printed(tmp_path: Path) -> None:
    write(tmp_path, "a.wav", "b.wav")
    os.rename(tmp_path / "b.wav", os.fsencode(tmp_path) + b"/\xe9.wav")
    (tmp_path / "a.wav").write_text("?")
    with pytest.warns(UserWarning, match="1 of 2 recordings"):
        (data := folder(tmp_path, on_error="skip")).setup()
    assert r"padded to 0.256 s: 1: \udce9.wav" in str(data.summary)
    str(data.summary).encode()


# Finding


def test_folders_are_classes_known_before_decoding(tmp_path: Path) -> None:
    names = [f"{word}/{i}.wav" for word in ("yes", "no") for i in range(10)]
    write(tmp_path, *names)
    data = folder(tmp_path, test_size=0.3, validation_size=0.2)
    assert (data.class_names, data.num_classes, data.audio_shape) == (("no", "yes"), 2, (1, 16, 33))
    for split, listed in files(data).items():
        labels = data.examples(split)["label"].tolist() if listed else []
        assert labels == [("no", "yes").index(file.split("/")[0]) for file in listed]
    assert data.summary is not None
    assert data.summary.classes == {"no": 10, "yes": 10}


def test_top_level_folders_are_splits(tmp_path: Path) -> None:
    names = [f"{split}/{word}/{i}.wav" for split in ("train", "Val", "testing") for word in "ab" for i in range(3)]
    write(tmp_path, *names)
    data = folder(tmp_path)
    expected = {"train": "train", "validation": "Val", "test": "testing"}
    for split, listed in files(data).items():
        assert sorted(listed) == sorted(name for name in names if name.startswith(expected[split]))
    assert data.class_names == ("a", "b")


def test_a_missing_split_is_taken_from_the_training_recordings(tmp_path: Path) -> None:
    write(tmp_path, *(f"train/{i}.wav" for i in range(30)), "test/x.wav")
    data = folder(tmp_path, validation_size=0.3, test_size=0.5)
    assert data.sizes["test"] == 1
    assert 2 <= data.sizes["validation"] <= 16
    assert data.sizes["train"] + data.sizes["validation"] == 30


def write_metadata(root: Path, rows: list[dict[str, Any]], suffix: str) -> None:
    if suffix == ".jsonl":
        (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n\n" for row in rows))
        return
    with (root / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_metadata_have_labels_and_captions(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, "a.wav", "sub/b.wav", "c.wav", "unlisted.wav", "d.wav")
    rows = [
        {"file_name": "a.wav", "label": 10, "text": "a, first"},
        {"file_name": "sub/b.wav", "label": 9, "text": "b"},
        {"file_name": "a.wav", "label": 10, "text": "a, second"},
        {"file_name": "c.wav"},
        {"file_name": "./sub/../d.wav", "label": 9},
    ]
    write_metadata(tmp_path, rows, suffix)
    found = find_recordings(tmp_path)
    assert found.class_names == tuple(str(number) for number in range(11))
    assert [(recording.file, recording.label, recording.texts) for recording in found.recordings] == [
        ("a.wav", 10, ("a, first", "a, second")),
        ("c.wav", -1, ()),
        ("d.wav", 9, ()),
        ("sub/b.wav", 9, ("b",)),
    ]
    assert found.skipped == {"unlisted.wav": "not in the metadata"}
    assert found.ignored == {}


def test_metadata_are_relative_to_their_folder(tmp_path: Path) -> None:
    write(tmp_path, "train/a.wav", "test/a.wav")
    for split, label in (("train", "x"), ("test", "y")):
        write_metadata(tmp_path / split, [{"file_name": "a.wav", "label": label}], ".jsonl")
    found = find_recordings(tmp_path)
    assert [(recording.file, recording.label, recording.split) for recording in found.recordings] == [
        ("test/a.wav", 1, "test"),
        ("train/a.wav", 0, None),
    ]


def test_a_file_that_only_the_metadata_name_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "a.wav")
    write_metadata(tmp_path, [{"file_name": "a.wav"}, {"file_name": "gone.wav"}], ".csv")
    with pytest.raises(ValueError, match=r"1 of 2 recordings .*: gone.wav \(No such file or directory\)"):
        folder(tmp_path).setup()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metadata.jsonl", '{"file_name": "a.wav"}\n{"file', r"metadata.jsonl' cannot be read after row 1: "),
        ("metadata.jsonl", "[1]\n", r"metadata.jsonl' cannot be read after row 1: it is not an object"),
        ("metadata.jsonl", '{"label": 3}\n', r"metadata.jsonl' must have a column `file_name` .*, see row 1"),
        ("metadata.csv", "name,label\na.wav,3\n", r"metadata.csv' must have a column `file_name` .*, see row 1"),
        ("metadata.csv", b"\xff\xfe\x00", r"metadata.csv' cannot be read"),
        (
            "metadata.csv",
            "file_name,label\na.wav,3\na.wav,4\n",
            r"the rows of 'a.wav' in the metadata must have the same `label`, got \['3', '4'\]",
        ),
    ],
)
def test_bad_metadata_are_refused_in_one_line(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    write(tmp_path, "a.wav")
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message) as error:
        folder(tmp_path)
    assert "\n" not in str(error.value)


def both_metadata(root: Path) -> None:
    write(root, "a.wav")
    write_metadata(root, [{"file_name": "a.wav"}], ".csv")
    write_metadata(root, [{"file_name": "a.wav"}], ".jsonl")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "must contain recordings .* has none"),
        (lambda root: write(root, "test/a.wav"), "must contain recordings .* for training"),
        (
            lambda root: write(root, "train/a.wav", "bus/a.wav"),
            r"\(train/a.wav\) and outside of any \(bus/a.wav\)",
        ),
        (both_metadata, r"metadata.csv and metadata.jsonl in the same folder"),
        (lambda root: root.rmdir(), "`root` must be a folder, but .* does not exist"),
    ],
)
def test_folders_without_a_clear_meaning_are_refused(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    (tmp_path / "data").mkdir()
    make(tmp_path / "data")
    with pytest.raises(ValueError, match=message):
        folder(tmp_path / "data")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": -1.0}, "`seconds` must be a positive number, got -1"),
        ({"seconds": float("nan")}, "`seconds` must be a positive number, got nan"),
        ({"test_size": 0.6, "validation_size": 0.4}, "fractions, at least 0 and together below 1, got 0.4 and 0.6"),
        ({"test_size": -0.1}, "fractions, at least 0"),
        ({"on_error": "ignore"}, "`on_error` must be one of stop, skip, got 'ignore'"),
        ({"batch_size": 99}, "`batch_size` must be at most the 3 training examples of AudioFolder, got 99"),
        ({"n_mels": 1000}, "`n_mels` 1000 is too large"),
        ({"storage": "workers"}, "`storage` must be one of auto, memory, mapped, got 'workers'"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    write(tmp_path, "a.wav", "b.wav", "c.wav")
    with pytest.raises(ValueError, match=message):
        folder(tmp_path, **{"test_size": 0.0, "validation_size": 0.0} | options).setup()


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "sounds", "a.wav")
    assert AudioFolder(root="~/sounds").found.recordings[0].file == "a.wav"


def test_an_empty_validation_split_is_a_warning_that_names_the_option(tmp_path: Path) -> None:
    write(tmp_path, "a.wav", "b.wav")
    data = folder(tmp_path, validation_size=1e-9, test_size=0.0)
    with pytest.warns(UserWarning, match="the validation split of AudioFolder is empty: raise `validation_size`"):
        data.setup()
    assert data.val_dataloader() == []


# Splits


def test_a_split_depends_on_the_content_of_each_recording_only(tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(40)]
    write(tmp_path, *names)
    options = {"validation_size": 0.25, "test_size": 0.25}
    before = files(folder(tmp_path, **options))
    assert all(before.values())
    for name in names[::3]:
        (tmp_path / name).unlink()
    (tmp_path / "1.wav").rename(tmp_path / "renamed.wav")
    shutil.copy(tmp_path / "2.wav", tmp_path / "copy.wav")
    soundfile.write(tmp_path / "new.wav", tone(99), 8000)
    after = {file: split for split, listed in files(folder(tmp_path, seed=7, **options)).items() for file in listed}
    for split, listed in before.items():
        for name in set(listed) - set(names[::3]):
            assert after[{"1.wav": "renamed.wav"}.get(name, name)] == split
    assert after["copy.wav"] == after["2.wav"]


def test_splits_by_content_have_the_given_fractions() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 10_000, dtype=np.uint64)
    splits = split_by_content(hashes, {"test": 0.1, "validation": 0.2})
    assert len(splits["test"]) == pytest.approx(1000, abs=120)
    assert len(splits["validation"]) == pytest.approx(2000, abs=160)
    ends = np.array([2**64 - 1, 0], dtype=np.uint64)
    assert sorted(split_by_content(ends, {})["train"].tolist()) == [0, 1]
    assert split_by_content(ends[1:], {"test": 0.0})["train"].tolist() == [0]


# Spoken digits


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("digits")
    names = [
        f"recordings/{digit}_{speaker}_{index}.wav"
        for digit in (0, 9)
        for speaker in ("george", "theo", "yweweler", "lucas")
        for index in range(12)
    ]
    write(root, *names)
    (root / "recordings" / "other.wav").touch()
    (root / "README.md").touch()
    return root


@pytest.mark.parametrize("below", ["", "recordings"])
def test_spoken_digits_are_split_by_recording(digits: Path, below: str) -> None:
    data = SpokenDigits(root=str(digits / below), batch_size=4)
    assert data.sizes == {"train": 16, "validation": 40, "test": 40}
    indices = {"train": range(10, 12), "validation": range(5, 10), "test": range(5)}
    for split, listed in files(data).items():
        assert {int(re.split(r"[_.]", file)[2]) for file in listed} == set(indices[split])
        assert data.examples(split)["label"].tolist() == [int(file[0]) for file in listed]
    assert data.found.skipped == {"other.wav": "not named {digit}_{speaker}_{index}.wav"}


def test_spoken_digits_are_split_by_speaker(digits: Path) -> None:
    data = SpokenDigits(root=str(digits), split_by="speaker", test_speaker="george", batch_size=4)
    speakers = {split: {file.split("_")[1] for file in listed} for split, listed in files(data).items()}
    assert speakers == {"train": {"lucas", "yweweler"}, "validation": {"theo"}, "test": {"george"}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split_by": "digit"}, "`split_by` must be one of recording, speaker, got 'digit'"),
        (
            {"split_by": "speaker", "test_speaker": "anna"},
            "`test_speaker` must be one of george, lucas, theo, yweweler, got 'anna'",
        ),
        ({"test_speaker": "theo"}, "`test_speaker` and `validation_speaker` must differ, got 'theo'"),
    ],
)
def test_bad_options_of_spoken_digits_are_refused(digits: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpokenDigits(root=str(digits), **options)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.wav")
    with pytest.raises(ValueError, match=r"must contain .* named \{digit\}_\{speaker\}_\{index\}.wav"):
        SpokenDigits(root=str(tmp_path))


@pytest.mark.skipif(not REAL_DIGITS, reason="the variable SPOKEN_DIGITS does not name the folder of the data set")
def test_the_free_spoken_digit_dataset_is_read() -> None:
    data = SpokenDigits(root=REAL_DIGITS)
    assert data.sizes == {"train": 2400, "validation": 300, "test": 300}
    assert data.summary is not None
    assert len(data.summary.trimmed) == 17
    assert data.summary.duplicates == data.summary.silent == []
    for split in data.sizes:
        assert torch.bincount(data.examples(split)["label"]).tolist() == [data.sizes[split] // 10] * 10


# As data modules


@pytest.fixture(params=["AudioFolder", "SpokenDigits"])
def data(request: pytest.FixtureRequest, digits: Path, tmp_path: Path) -> AudioDataModule:
    if request.param == "SpokenDigits":
        return SpokenDigits(root=str(digits), batch_size=4)
    write(tmp_path, *(f"{word}/{i}.wav" for word in ("no", "yes") for i in range(20)))
    return folder(tmp_path, batch_size=4, validation_size=0.2)


def test_a_dummy_batch_looks_like_a_batch_and_needs_no_data(
    data: AudioDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = next(iter(data.train_dataloader()))
    monkeypatch.setattr(AudioDataModule, "load", None)
    dummy = type(data)(**data.init_args).dummy_batch(4)
    assert {key: (tensor.shape, tensor.dtype) for key, tensor in dummy.items()} == {
        key: (tensor.shape, tensor.dtype) for key, tensor in real.items()
    }
    assert dummy["audio"].shape == (4, *data.audio_shape)
    for batch in (dummy, real):
        assert -1 <= batch["audio"].min() <= batch["audio"].max() <= 1


def test_the_splits_are_disjoint_and_complete_and_independent_of_the_seed(data: AudioDataModule) -> None:
    listed = files(data)
    assert sorted(chain(*listed.values())) == sorted(recording.file for recording in data.found.recordings)
    again = type(data)(**data.init_args | {"seed": 5})
    assert files(again) == listed
    for split in data.sizes:
        torch.testing.assert_close(again.examples(split), data.examples(split), atol=0, rtol=0)


def test_a_spectrogram_is_that_of_its_recording(data: AudioDataModule) -> None:
    for recording, audio in zip(data.recordings("train"), data.examples("train")["audio"], strict=True):
        samples, _ = soundfile.read(data.folder / recording.file, dtype="float32")
        waveform = torch.zeros(1, data.num_samples)
        waveform[0, : len(samples)] = torch.from_numpy(samples)
        torch.testing.assert_close(data.log_mel(waveform)[0], audio)


def test_the_first_examples_of_a_split_are_a_random_subset(digits: Path) -> None:
    labels = SpokenDigits(root=str(digits), batch_size=4).examples("validation")["label"]
    assert 5 < (labels[:20] == 9).sum() < 15


def test_the_preprocessing_restores_the_transform(data: AudioDataModule, tmp_path: Path) -> None:
    torch.save(data.preprocessing, tmp_path / "x.pt")
    preprocessing = torch.load(tmp_path / "x.pt", weights_only=True)
    assert LogMel(**preprocessing["log_mel"]) == data.log_mel
    assert preprocessing["audio_shape"] == list(data.audio_shape)
    assert dataclasses.asdict(data.log_mel) == preprocessing["log_mel"]


def test_a_data_module_can_be_recorded(data: AudioDataModule) -> None:
    assert deserialize(serialize(data)).found == data.found


class Recorder(pl.LightningModule):
    """Record the batches that a model receives."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[Batch] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append(batch)
        return self.weight.square()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        assert batch["audio"].dtype == torch.float64

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*smaller than the logging")
def test_a_trainer_receives_batches_and_prints_the_summary_once(
    data: AudioDataModule, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    model = Recorder()
    pl.Trainer(max_epochs=1, accelerator="cpu", precision="64-true", **quiet).fit(model, data)
    assert {batch["audio"].dtype for batch in model.seen} == {torch.float64}
    assert capsys.readouterr().out.count(f"{data.folder}: {len(data.found.recordings)} recordings") == 1
    expected = {tuple(row) for row in data.examples("train")["audio"].double().flatten(1).tolist()}
    seen = torch.cat([batch["audio"] for batch in model.seen]).flatten(1)
    assert len(seen) == data.sizes["train"] // 4 * 4
    assert {tuple(row) for row in seen.tolist()} <= expected


def test_global_random_states_are_unchanged(data: AudioDataModule) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    data.setup(), data.dummy_batch(4), list(data.train_dataloader())
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()


def test_the_text_of_a_data_module_reads_no_data(data: AudioDataModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AudioDataModule, "load", None)
    assert str(data) == data.name


@pytest.mark.parametrize("library", ["soundfile", "soxr"])
def test_a_missing_library_is_one_line_with_the_command_that_installs_it(
    library: str, data: AudioDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=rf"audio files need {library}, .*: pip install 'lightning-gans\[audio\]'$"):
        data.setup()


def test_a_model_of_images_is_refused_in_one_line(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lightning_gans.__main__ import main

    assert main(["fit", "--data", "SpokenDigits", "--data.root", str(digits)]) == 2
    assert capsys.readouterr().err == "error: `--model.image_shape` is None: the data has no images\n"
