"""The script `benchmarks/gpu.py` with made-up parts: a failing part costs only itself."""

import json
import sys
from pathlib import Path
from typing import Any

import gpu
import pytest
from gpu_part import Part, Settings, read, run_part

TORCH = """
from types import SimpleNamespace
__version__ = "0.0"
cuda = SimpleNamespace(is_available=lambda: False)
def get_num_threads(): return 1
"""

MODULES = {
    "torch": TORCH,  # in place of seconds of imports
    "fake_good": """
        yield Row("first [a|b]", {"speed": 12345.6, "kind": "eager"})
        yield Row("second", {"speed": 0.25})
    """,
    "fake_row": """
        yield attempt("bad", lambda: 1 / 0)
        yield Row("after it", {"speed": 1.0})
    """,
    "fake_raise": """
        yield Row("before it", {"speed": 2.0})
        raise ValueError("the loss\\nis not finite")
    """,
    "fake_skip": """
        raise SkippedError("no folder was given")
        yield
    """,
    "fake_slow": """
        yield Row("before it", {"speed": 3.0})
        subprocess.Popen(["sleep", "60"])
        time.sleep(60)
    """,
    "fake_killed": """
        yield Row("before it", {"speed": 4.0})
        os.kill(os.getpid(), signal.SIGKILL)
    """,
}
HEAD = """
import os, signal, subprocess, time
from gpu_part import Row, SkippedError, attempt
def measure(settings):
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules for the processes of the parts."""
    folder = tmp_path / "modules"
    folder.mkdir()
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text if name == "torch" else HEAD + text)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def part(name: str, seconds: float = 60.0) -> Part:
    return Part(name=name, title=f"Title of {name}", module=f"fake_{name}", seconds=seconds, rehearsal=seconds)


def measured(name: str, folder: Path, seconds: float = 60.0) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """The status, the rows and the last record of one part."""
    settings = Settings(device="cpu", seconds=seconds)
    status = run_part(part(name), settings, folder / f"{name}.jsonl")
    records = read(folder / f"{name}.jsonl")
    return status, [record for record in records if record["kind"] == "row"], records[-1]


@pytest.mark.usefixtures("modules")
def test_the_script_continues_after_a_part_that_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [part("raise"), part("good"), part("skip")]
    results, dump = tmp_path / "results", tmp_path / "all.json"
    arguments = ["--device", "cpu", "--quick", "--results", str(results), "--json", str(dump), "--commit", "abc123"]
    assert gpu.main(arguments, parts) == 1
    printed = capsys.readouterr().out
    for expected in ("first [a|b]", "12,346", "0.25", "ValueError: the loss is not finite", "no folder was given"):
        assert expected in printed
    written = (results / "gpu.md").read_text()
    for expected in (
        "Part `raise`: failed after",
        "| before it | 2 |",
        "| first [a\\|b] | 12,346 | eager |",
        "| second | 0.25 |  |",
        "* Commit: abc123",
    ):
        assert expected in written
    assert set(json.loads(dump.read_text())) == {"raise", "good", "skip"}
    assert sorted(path.name for path in (results / "gpu").iterdir()) == ["good.jsonl", "raise.jsonl", "skip.jsonl"]


@pytest.mark.usefixtures("modules")
def test_parts_that_succeed_or_are_skipped_are_no_failure(tmp_path: Path) -> None:
    parts = [part("raise"), part("good"), part("skip")]
    arguments = ["--device", "cpu", "--results", str(tmp_path / "results"), "--parts", "good", "skip"]
    assert gpu.main(arguments, parts) == 0


@pytest.mark.usefixtures("modules")
def test_a_row_that_failed_leaves_the_later_ones(tmp_path: Path) -> None:
    status, rows, end = measured("row", tmp_path)
    assert status == "failed"
    assert [(row["name"], row["error"]) for row in rows] == [
        ("bad", "ZeroDivisionError: division by zero"),
        ("after it", ""),
    ]
    assert end["message"] == "1 rows failed"


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("name", "seconds", "status", "message"),
    [
        ("slow", 3.0, "timed out", "stopped after 3 s"),
        ("killed", 60.0, "killed", "the process ended by signal 9"),
    ],
)
def test_a_part_that_was_stopped_is_reported_with_what_it_had(
    name: str, seconds: float, status: str, message: str, tmp_path: Path
) -> None:
    found, rows, end = measured(name, tmp_path, seconds)
    assert (found, end["message"]) == (status, message)
    assert [row["name"] for row in rows] == ["before it"]
    assert end["seconds"] < 30


@pytest.mark.usefixtures("modules")
def test_records_are_on_disk_before_the_next_part(tmp_path: Path) -> None:
    """And a line that was cut off is left out."""
    assert gpu.run_parts([part("good")], Settings(device="cpu"), tmp_path) == 0
    assert "| second |" in (tmp_path / "gpu.md").read_text()
    file = tmp_path / "gpu" / "good.jsonl"
    lines = file.read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["about", "row", "row", "end"]
    file.write_text("\n".join([*lines[:2], lines[2][:10]]))
    assert [record["kind"] for record in read(file)] == ["about", "row"]
    assert "Part `good`: not finished." in gpu.markdown([part("good")], tmp_path)


def test_a_rehearsal_does_not_touch_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "run_parts", lambda parts, settings, results: chosen.append(results) or 0)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    monkeypatch.setattr(gpu, "RESULTS", tmp_path / "results")
    chosen: list[Path] = []
    assert gpu.main(["--device", "cpu", "--quick"]) == 0
    assert gpu.main([]) == 0
    assert chosen[0] not in (gpu.RESULTS, Path())
    assert chosen[1] == gpu.RESULTS
    (chosen[0] / "gpu.md").unlink()
    chosen[0].rmdir()
