"""Run benchmarks: measure the rows of a table with several seeds, save each result and print the table.

Each result is saved at once to `results/<table>/<row>-seed<k>-<minutes>min.json` and is not measured again, so that a
table can be completed over several calls. The table of all results is written to `results/<table>.md`.
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from showing import Measure, Published, Scores, Table, join_unique, json_rows, markdown, rich_table

__all__ = [
    "Parser",
    "Published",
    "Scores",
    "Table",
    "estimate_images",
    "make_parser",
    "provenance",
    "run_table",
    "temporary_folder",
    "train",
    "writable",
]

FOLDER = Path(__file__).resolve().parent


class Parser(argparse.ArgumentParser):
    """Argument parser that prints its errors in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {' '.join(message.split())}; `{self.prog} --help` lists the options\n")


def make_parser(table: Table, description: str | None = None) -> argparse.ArgumentParser:
    """Create the parser of the options that all benchmarks share; a script may add its own options.

    Args:
        table: The table to measure.
        description: Text of `--help`; the title of the table by default.
    """
    parser = Parser(
        description=description or table.title, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    rows = [*table.rows, *table.ideal]
    parser.add_argument("--rows", nargs="+", choices=rows, default=rows, metavar="ROW", help=join_unique(rows))
    parser.add_argument("--seeds", type=_count, default=table.seeds, help=f"number of seeds, from 0 ({table.seeds})")
    parser.add_argument(
        "--minutes",
        type=_duration,
        default=table.minutes,
        help=f"limit of the training time of a row, in minutes ({table.minutes:g})",
    )
    parser.add_argument("--jobs", type=_count, default=1, help="number of parallel processes, with one thread each (1)")
    parser.add_argument("--json", type=writable, metavar="FILE", help="file for the rows of the table")
    parser.add_argument(
        "--results", type=Path, default=FOLDER / "results", metavar="FOLDER", help="folder of the results"
    )
    return parser


def run_table(table: Table, options: argparse.Namespace) -> int:
    """Measure the missing results, then print and write the table.

    Args:
        table: The table.
        options: Options that `make_parser` parsed.

    Returns:
        The exit code: 1 if a measurement failed, else 0. Results of the other measurements are saved in both cases.
    """
    folder: Path = options.results / table.name
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        (row, seed): folder / _file(row, seed, options.minutes) for seed in range(options.seeds) for row in options.rows
    }
    missing = {job: file for job, file in files.items() if not file.is_file()}
    failures = _measure_all(table.measure, missing, options.minutes, options.jobs) if missing else 0
    results = {row: _load_results(folder, row, options.minutes) for row in (*table.rows, *table.ideal)}
    rendered = rich_table(table, results)
    width = Console(width=10_000).measure(rendered).maximum  # wide enough to show every cell in full
    Console(width=max(width, Console().width)).print(rendered)
    name = table.name if options.minutes == table.minutes else f"{table.name}-{options.minutes:g}min"
    (options.results / f"{name}.md").write_text(markdown(table, results, options.minutes))
    if options.json:
        options.json.write_text(json.dumps(json_rows(table, results), indent=2) + "\n")
    return 1 if failures else 0


def provenance() -> dict[str, Any]:
    """Describe the code, the machine and the command of a measurement as JSON values."""
    import torch  # noqa: PLC0415 (takes seconds, which `--help` does not need)

    words = [os.path.relpath(sys.argv[0], FOLDER.parent), *sys.argv[1:]]
    return {
        "commit": _git("rev-parse", "--short=12", "HEAD") or "unknown",
        "dirty": bool(_git("status", "--porcelain", "--", ".", ":!benchmarks/results")),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "hardware": torch.cuda.get_device_name() if torch.cuda.is_available() else f"{_cpu()}, {_cores()} cores",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "lightning": version("pytorch-lightning"),
        # absolute paths are specific to the machine: only their last part is recorded
        "command": shlex.join(["python", *(Path(word).name if os.path.isabs(word) else word for word in words)]),
    }


# -- training -------------------------------------------------------------------------------------------------------


def train(
    model: Any, data: Any, *, minutes: float, clock: Callable[[], float] = time.monotonic, **options: Any
) -> Scores:
    """Train a model with `lightning_gans.trainer.Trainer` for a limited time, in a temporary folder.

    Args:
        model: The model; it is in evaluation mode afterwards.
        data: The data module.
        minutes: Limit of the training time, in minutes.
        clock: Clock of the limit in seconds, default wall-clock time. `time.process_time` is the time of the CPU,
            which does not depend on other processes, for trainings on one thread.
        **options: Options of the Trainer.

    Returns:
        `seconds` and `images` of the training, without setup and teardown.
    """
    from pytorch_lightning.callbacks import LambdaCallback  # noqa: PLC0415 (seconds)

    from lightning_gans.callbacks import Evaluation, Run, Samples, Wandb  # noqa: PLC0415
    from lightning_gans.trainer import Trainer  # noqa: PLC0415

    times: list[float] = []

    def stop_if_late(trainer: Any, *_: Any) -> None:
        trainer.should_stop = clock() - times[0] >= 60 * minutes

    watch = LambdaCallback(
        on_train_start=lambda *_: times.append(clock()),
        on_train_batch_end=stop_if_late,
        on_train_epoch_end=lambda *_: times.append(clock()),
    )
    never = 10**12
    before = model.images_seen
    with temporary_folder() as folder:
        own = [Run(root=str(folder)), Wandb(mode="disabled"), Samples(every=never), Evaluation(every=never)]
        trainer = Trainer(
            callbacks=[*own, watch],
            enable_checkpointing=False,
            enable_progress_bar=False,
            max_epochs=-1,
            **options,
        )
        trainer.fit(model, datamodule=data)
    model.eval()
    return {"seconds": times[-1] - times[0], "images": model.images_seen - before}


def estimate_images(
    make: Callable[[], Any], data: Any, *, minutes: float, clock: Callable[[], float] = time.monotonic
) -> int:
    """Estimate the number of images that training processes in a given time, for schedules that end with the training.

    The estimate trains a temporary model for 1/50 of the time. The global random streams of torch are restored.

    Args:
        make: Function that creates the model.
        data: The data module.
        minutes: Training time, in minutes.
        clock: Clock of the time, as for `train`.

    Returns:
        The number of images, at least 1.
    """
    import torch  # noqa: PLC0415

    with torch.random.fork_rng():
        trial = train(make(), data, minutes=minutes / 50, clock=clock)
    return max(1, round(trial["images"] / trial["seconds"] * 60 * minutes))


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create a temporary folder for one measurement."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        yield Path(folder)


# -- measuring ------------------------------------------------------------------------------------------------------


def _measure_all(measure: Measure, jobs: Mapping[tuple[str, int], Path], minutes: float, processes: int) -> int:
    """Measure one job after the other or in parallel; return the number of failures."""
    limit = math.ceil(len(jobs) / processes) * minutes
    _print(f"{len(jobs)} measurements, at most about {limit:.0f} minutes")
    failures = 0
    for number, ((row, seed), outcome) in enumerate(_outcomes(measure, jobs, minutes, processes), 1):
        try:
            scores = outcome()
        except Exception as error:  # of any kind: hours of measurements of other rows must not be lost
            failures += 1
            _print(f"[{number}/{len(jobs)}] {row}, seed {seed}: failed, {' '.join(str(error).split()) or repr(error)}")
        else:
            line = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
            _print(f"[{number}/{len(jobs)}] {row}, seed {seed}: {line}")
    return failures


def _outcomes(
    measure: Measure, jobs: Mapping[tuple[str, int], Path], minutes: float, processes: int
) -> Iterator[tuple[tuple[str, int], Callable[[], Scores]]]:
    if processes == 1:
        for job, file in jobs.items():
            yield job, partial(_measure_one, measure, *job, minutes, file)
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited by the new processes
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, max_tasks_per_child=1) as pool:
        futures: dict[Future[Scores], tuple[str, int]] = {
            pool.submit(_measure_one, measure, *job, minutes, file): job for job, file in jobs.items()
        }
        for future in as_completed(futures):
            yield futures[future], future.result


def _measure_one(measure: Measure, row: str, seed: int, minutes: float, file: Path) -> Scores:
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415

    origin = provenance()  # before the measurement: the checkout may change in the meantime
    for set_seed in (random.seed, np.random.seed, torch.manual_seed):
        set_seed(seed)
    scores = {name: float(value) for name, value in measure(row, seed, minutes).items()}
    record = {"row": row, "seed": seed, "minutes": minutes, "scores": scores, "provenance": origin}
    part = file.with_suffix(".part")
    part.write_text(json.dumps(record, indent=2) + "\n")
    part.replace(file)
    return scores


def _file(row: str, seed: int | str, minutes: float) -> str:
    return f"{row}-seed{seed}-{minutes:g}min.json"


def _load_results(folder: Path, row: str, minutes: float) -> list[dict[str, Any]]:
    """Load the saved results of a row, in the order of the seeds."""
    records = [json.loads(file.read_text()) for file in folder.glob(_file(row, "*", minutes))]
    return sorted((record for record in records if record["row"] == row), key=lambda record: int(record["seed"]))


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


# -- environment and options ------------------------------------------------------------------------------------------


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text!r}")
    return int(text)


def writable(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.absolute().parent.is_dir():  # an error before the measurements, not after them
        raise argparse.ArgumentTypeError(f"must be a file in an existing folder, got {text!r}")
    return path


def _duration(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"must be more than 0 minutes, got {text!r}")
    return minutes
