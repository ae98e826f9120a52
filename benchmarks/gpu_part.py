"""Run a part of `gpu.py` in its own process: settings, rows and records.

A part is a module with `measure(settings)`, a generator of rows. The part runs in its own process, which appends each
row to a file of JSON lines as soon as it is measured.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import harness

ROOT = harness.FOLDER.parent
FAILURES = ("failed", "timed out", "killed")
CODE = "import sys, gpu_part; sys.exit(gpu_part.measure_part(*sys.argv[1:]))"

Scores = Mapping[str, float | str]


class SkippedError(Exception):
    """Raised by a part that cannot run here; the text is the reason."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one run of one part.

    Attributes:
        device: "cuda" or "cpu".
        quick: Whether to run a smoke test with tiny networks and few steps, default False.
        seconds: Time limit of the part in seconds, including the start of its process, default 60.
        data: Folder with `MNIST/raw`; None without one.
        commit: Commit to record, default "" for the commit that git reports.
        command: Command line to record.
    """

    device: str
    quick: bool = False
    seconds: float = 60.0
    data: str | None = None
    commit: str = ""
    command: str = ""


@dataclass(frozen=True)
class Row:
    """One row of a part's table.

    Attributes:
        name: Name of the row.
        scores: Values by column.
        error: Reason of the failure; "" for a row that was measured.
    """

    name: str
    scores: Scores = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the script.

    Attributes:
        name: Name in `--parts`.
        title: Heading of its table.
        module: Module with `measure(settings)`.
        seconds: Time limit on a GPU, in seconds.
        rehearsal: Time limit of a smoke test, in seconds.
        protocol: Conditions of the measurement, for the written table.
    """

    name: str
    title: str
    module: str
    seconds: float
    rehearsal: float = 150.0
    protocol: str = ""


def attempt(name: str, measure: Callable[[], Scores]) -> Row:
    """Measure one row; an exception becomes the row's error, so that later rows are still measured."""
    try:
        return Row(name, measure())
    except Exception as error:
        traceback.print_exc()
        return Row(name, error=one_line(error))
    finally:
        gc.collect()  # a trainer is a cycle of references, and holds the device's memory


def one_line(error: BaseException) -> str:
    """Format an exception for a table."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


class Deadline:
    """Time after which a part starts no further measurement.

    Args:
        seconds: Seconds from the start of the process.
    """

    def __init__(self, seconds: float) -> None:
        self.end = START + seconds

    @property
    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self.end - time.monotonic())


START = time.monotonic()


# -- in the process of the part ---------------------------------------------------------------------------------------


def measure_part(module: str, settings: str, file: str) -> int:
    """Run one part and append its records to a file.

    Args:
        module: Module of the part.
        settings: `Settings` as JSON.
        file: File of JSON lines.

    Returns:
        The exit code: 1 if the part or one of its rows failed.
    """
    given, path = Settings(**json.loads(settings)), Path(file)
    status, message, failed = "done", "", 0
    try:
        append(path, {"kind": "about", **about(given)})
        for row in importlib.import_module(module).measure(given):
            failed += bool(row.error)
            append(path, {"kind": "row", **asdict(row)})
    except SkippedError as reason:
        status, message = "skipped", str(reason)
    except Exception as error:
        traceback.print_exc()
        status, message = "failed", one_line(error)
    if status == "done" and failed:
        status, message = "failed", f"{failed} rows failed"
    append(path, {"kind": "end", "status": status, "message": message, "seconds": time.monotonic() - START})
    return int(status in FAILURES)


def about(settings: Settings) -> dict[str, Any]:
    """Collect hardware, driver, versions and commit: plain values."""
    record = harness.provenance() | {"command": settings.command, "quick": settings.quick, "device": settings.device}
    if settings.device == "cuda":
        import torch  # noqa: PLC0415 (seconds)

        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        record |= {"driver": _driver(), "cuda": str(torch.version.cuda), "cudnn": str(cudnn)}
    if settings.commit:
        record["commit"] = settings.commit
    for package in ("torchvision", "torchmetrics"):
        try:
            record[package] = version(package)
        except PackageNotFoundError:
            record[package] = "none"
    return record | {"python": sys.version.split()[0]}


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else "unknown"


# -- in the process of the script -------------------------------------------------------------------------------------


def run_part(part: Part, settings: Settings, file: Path) -> str:
    """Run one part in a process group of its own, and end the group at the time limit.

    Args:
        part: The part.
        settings: Its settings, time limit included.
        file: File for its records; replaced.

    Returns:
        "done", "skipped", "failed", "timed out" or "killed".
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("")
    paths = [str(ROOT), str(harness.FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "WANDB_MODE": "disabled"}
    command = [sys.executable, "-c", CODE, part.module, json.dumps(asdict(settings)), str(file)]
    start, ended = time.monotonic(), ""
    # its output is not part of the table, so it goes to the standard error of the script
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=2, process_group=0)
    try:
        code = process.wait(settings.seconds)
        ended = f"the process ended by signal {-code}" if code < 0 else f"the process ended with code {code}"
        status = "killed"
    except subprocess.TimeoutExpired:
        status, ended = "timed out", f"stopped after {settings.seconds:g} s"
    finally:
        _end_group(process)
    if end := next((record for record in read(file) if record["kind"] == "end"), None):
        return str(end["status"])
    append(file, {"kind": "end", "status": status, "message": ended, "seconds": time.monotonic() - start})
    return status


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """End the processes that a part left running: workers of loaders, compilers, pytest."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def append(file: Path, record: Mapping[str, Any]) -> None:
    """Append one record, and flush it to the disk."""
    with file.open("a") as lines:
        lines.write(json.dumps(record) + "\n")
        lines.flush()
        os.fsync(lines.fileno())


def read(file: Path) -> list[dict[str, Any]]:
    """Read the records of a part; a line that was cut off is left out."""
    records = []
    for line in file.read_text().splitlines() if file.is_file() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records
