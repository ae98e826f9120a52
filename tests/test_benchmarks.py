"""Test the benchmarks: the shared harness with artificial measurements, and the options of each script."""

import argparse
import importlib
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import harness
import pytest
import torch  # and nothing slower: the worker processes of the harness import this file
from showing import mean_and_error

FOLDER = Path(harness.__file__).parent
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if "__main__" in path.read_text())

PUBLISHED = harness.Published(row="Theirs", scores={"modes": "8 ± 1"}, source="arXiv:0000.00000, Table 1")


def squares(row: str, seed: int, minutes: float) -> dict[str, float]:
    """Return a score that depends on the row and the seed: 100, 101, 104, ... for A or 200, 201, 204, ... for B."""
    return {"modes": {"A": 100, "B": 200, "perfect": 300}[row] + seed**2, "minutes": minutes}


class Recorder:
    """Measurement that records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def __call__(self, row: str, seed: int, minutes: float) -> dict[str, float]:
        self.calls.append((row, seed))
        return squares(row, seed, minutes)


def table(measure: harness.Measure, **changes: Any) -> harness.Table:
    default = harness.Table(
        name="modes",
        title="Modes of nothing",
        protocol="Artificial scores.",
        rows=["A", "B"],
        ideal=["perfect"],
        columns={"modes": ".2f", "unknown": ".1f"},
        measure=measure,
        published=[PUBLISHED],
        minutes=2,
    )
    return replace(default, **changes)


def options(arguments: Sequence[str], folder: Path) -> argparse.Namespace:
    return harness.make_parser(table(squares)).parse_args([*arguments, "--results", str(folder)])


def test_each_seed_is_measured_once_and_a_later_call_completes_the_table(tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    assert harness.run_table(table(first), options(["--rows", "A", "--seeds", "2"], tmp_path)) == 0
    assert first.calls == [("A", 0), ("A", 1)]
    assert (tmp_path / "modes" / "A-seed1-2min.json").is_file()
    assert harness.run_table(table(second), options(["--seeds", "3"], tmp_path)) == 0
    assert set(second.calls) == {("A", 2), *((row, seed) for row in ("B", "perfect") for seed in range(3))}
    third = Recorder()
    harness.run_table(table(third), options(["--rows", "A", "--seeds", "1", "--minutes", "0.5"], tmp_path))
    assert third.calls == [("A", 0)]  # measured for another time


def test_a_failure_is_reported_and_other_results_are_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def measure(row: str, seed: int, minutes: float) -> dict[str, float]:
        if (row, seed) == ("A", 1):
            raise ValueError("the critic\nis not finite")
        return squares(row, seed, minutes)

    assert harness.run_table(table(measure), options(["--seeds", "2"], tmp_path)) == 1
    assert "A, seed 1: failed, the critic is not finite" in capsys.readouterr().err
    assert len(list((tmp_path / "modes").iterdir())) == 5


def test_the_error_is_the_standard_error_of_the_mean() -> None:
    values = [100.0, 101.0, 104.0]
    mean, error = mean_and_error(values)
    tensor = torch.tensor(values, dtype=torch.float64)
    assert mean == pytest.approx(tensor.mean().item())
    assert error == pytest.approx((tensor.var(correction=1) / 3).sqrt().item())
    assert mean_and_error([7.0]) == (7.0, None)
    assert math.isnan(mean_and_error([1.0, math.nan])[0])


def test_the_table_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--seeds", "3", "--json", str(tmp_path / "rows.json")]
    harness.run_table(table(squares), options(arguments, tmp_path))
    printed = capsys.readouterr().out
    assert "101.67 ± 1.20" in printed
    assert "Theirs (published)" in printed
    written = (tmp_path / "modes.md").read_text()
    provenance = json.loads((tmp_path / "modes" / "A-seed0-2min.json").read_text())["provenance"]
    rows = [line for line in written.splitlines() if line.startswith("|")]
    assert rows == [
        "|  | modes | unknown | seeds |",
        "| --- | ---: | ---: | ---: |",
        "| A | 101.67 ± 1.20 |  | 3 |",
        "| B | 201.67 ± 1.20 |  | 3 |",
        "| perfect | 301.67 ± 1.20 |  | 3 |",
        "| Theirs (published) | 8 ± 1 |  |  |",
    ]
    assert "Artificial scores. Each row is trained for at most 2 minutes." in written
    for expected in (
        PUBLISHED.source,
        *(provenance[key] for key in ("commit", "hardware", "torch")),
        provenance["date"][:10],
    ):
        assert expected in written
    first, *_, last = json.loads((tmp_path / "rows.json").read_text())
    assert (first["row"], first["kind"]) == ("A", "measured")
    assert first["scores"]["modes"] == {
        "mean": pytest.approx(305 / 3),
        "standard_error": pytest.approx(1.20185),
        "seeds": 3,
    }
    assert last == {"row": "Theirs", "kind": "published", "scores": {"modes": "8 ± 1"}, "source": PUBLISHED.source}


def test_the_table_includes_the_results_of_earlier_calls(tmp_path: Path) -> None:
    harness.run_table(table(squares), options(["--rows", "B", "--seeds", "2"], tmp_path))
    harness.run_table(table(squares), options(["--rows", "A", "--seeds", "1"], tmp_path))
    written = (tmp_path / "modes.md").read_text()
    assert "| A | 100.00 |  | 1 |" in written
    assert "| B | 200.50 ± 0.50 |  | 2 |" in written


def test_every_measurement_starts_from_its_seed(tmp_path: Path) -> None:
    def measure(row: str, seed: int, minutes: float) -> dict[str, float]:
        return {"modes": torch.rand(()).item()}

    harness.run_table(table(measure), options(["--seeds", "2"], tmp_path))
    scores = {file.name: json.loads(file.read_text())["scores"]["modes"] for file in (tmp_path / "modes").iterdir()}
    assert scores["A-seed0-2min.json"] == scores["B-seed0-2min.json"] != scores["A-seed1-2min.json"]


def test_measurements_run_in_parallel(tmp_path: Path) -> None:
    assert harness.run_table(table(squares), options(["--rows", "A", "--seeds", "2", "--jobs", "2"], tmp_path)) == 0
    records = [json.loads(file.read_text()) for file in (tmp_path / "modes").glob("*.json")]
    assert sorted(record["scores"]["modes"] for record in records) == [100, 101]
    assert {record["provenance"]["threads"] for record in records} == {1}


def test_training_has_a_time_limit_and_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cases import MLPS, Case

    from lightning_gans.models import VanillaGAN

    monkeypatch.chdir(tmp_path)
    case = Case("points", VanillaGAN, (2,), MLPS)
    model = case.make()
    scores = harness.train(model, case.data(), minutes=0.02, accelerator="cpu")
    assert scores["images"] == model.images_seen > 0
    assert 1.2 < scores["seconds"] < 20
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "must be at least 1, got '0'"),
        (["--minutes", "-1"], "must be more than 0 minutes, got '-1'"),
        (["--minutes", "nan"], "must be more than 0 minutes, got 'nan'"),
        (["--rows", "C"], "invalid choice: 'C'"),
        (["--json", "no/such/folder/rows.json"], "must be a file in an existing folder"),
        (["--foo"], "unrecognized arguments: --foo"),
    ],
)
def test_bad_options_end_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as error:
        options(arguments, tmp_path)
    assert error.value.code == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert printed.startswith("error: ")
    assert message in printed


@pytest.mark.parametrize("row", ["truth-eight", "truth-ring"])
def test_the_true_density_has_the_nats_of_its_entropy(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nats are in the units of the data, not of the normalized points that the model receives."""
    densities = importlib.import_module("densities")
    monkeypatch.setattr(densities, "EVALUATION_POINTS", 20_000)
    scores = densities.measure(row, 0, 0.0)
    assert scores["gap"] == pytest.approx(0, abs=0.03)
    assert scores["KL"] == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_prints_its_help(script: Path) -> None:
    process = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert "--json" in process.stdout
