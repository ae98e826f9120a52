"""Kill runs of the command line at random times (`kill -9`), resume them, and compare with an uninterrupted run.

    python benchmarks/kill_and_resume.py

Each trial runs the same `python -m lightning_gans fit` in a new folder. The run is killed a random time after a random
checkpoint and resumed by `fit --ckpt_path RUN`; a run killed before its first checkpoint is started again. A trial
passes if every tensor of the last checkpoint (weights, EMA, optimizers, random state, position in the data) equals the
uninterrupted run bit by bit. Every image and every line of `metrics.csv`, without the speed, must be equal, too. The
runs also sample, evaluate and write W&B files, so that the kills interrupt these steps and the saving of checkpoints.
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
from rich.console import Console
from rich.progress import track
from showing import wrap

RESULT = harness.FOLDER / "results" / "kill_and_resume.md"
PROTOCOL = (
    "Each line is a run of DCGAN on Digits by the command line. It was killed (`kill -9`) a random time after the given"
    " number of checkpoints and resumed from the last checkpoint by `fit --ckpt_path RUN`. It is compared with an"
    " uninterrupted run: every tensor of the last checkpoint, every image and every line of `metrics.csv` without the"
    " speed."
)

EVERY = 1500
"""Interval between checkpoints, in images."""

START_UP = 10.0
"""Maximum time until a kill before the first checkpoint, in seconds."""

LAST = Path("checkpoints", "last.ckpt")

COMMAND = [
    *(sys.executable, "-m", "lightning_gans", "fit", "--trainer.enable_progress_bar", "false"),
    *("--wandb.mode", "offline", "--trainer.log_every_n_steps", "5"),
    *("--save.every", str(EVERY), "--samples.every", "2500", "--evaluation.every", "4000", "--evaluation.count", "300"),
]


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill runs at random times, resume them and compare all bits.")
    parser.add_argument("--trials", type=int, default=20, help="number of trials (20)")
    parser.add_argument("--images", type=int, default=10_000, help="length of a run, in images (10000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random times (0)")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    provenance = harness.provenance()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        rows = measure(options.trials, options.images, random.Random(options.seed))
    lines = [
        f"killed after checkpoint {row['saves']}, resumed at {row['images']:,} images: {row['difference'] or 'equal'}"
        for row in rows
    ]
    lines.append(f"{sum(not row['difference'] for row in rows)} of {len(rows)} equal")
    print("\n".join(lines))
    text = [
        "# Killed and resumed runs",
        "",
        wrap(PROTOCOL),
        "",
        "```",
        *lines,
        "```",
        "",
        *provenance_items(provenance),
    ]
    RESULT.write_text("\n".join([*text, ""]))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if not any(row["difference"] for row in rows) else 1


def provenance_items(provenance: dict[str, Any]) -> list[str]:
    """Format the provenance as items of a Markdown list."""
    return [
        f"* {name.capitalize()}: {provenance[name]}"
        for name in ("commit", "date", "hardware", "torch", "lightning", "command")
    ]


def measure(trials: int, images: int, rng: random.Random) -> list[dict[str, Any]]:
    """Run all trials and the uninterrupted run.

    Args:
        trials: Number of trials.
        images: Length of a run, in images.
        rng: Generator of the random times.

    Returns:
        For each trial, the number of checkpoints before the kill, the images at which it was resumed, and the first
        difference ("" for none).
    """
    uninterrupted = Path("runs", "uninterrupted")
    command = [*COMMAND, "--run.max_images", str(images)]
    run([*command, "--run.name", uninterrupted.name])
    rows = []
    for number in track(range(trials), console=Console(stderr=True), description="Killing and resuming"):
        folder = Path("runs", f"killed-{number}")
        saves = rng.randrange(images // EVERY + 1)
        kill([*command, "--run.name", folder.name], folder / LAST, saves, rng.random())
        images_seen = load(folder / LAST)["lightning_gans"]["images_seen"] if (folder / LAST).is_file() else 0
        if images_seen == 0:
            folder = Path("runs", f"restarted-{number}")
            run([*command, "--run.name", folder.name])
        elif images_seen < images:  # otherwise, the run ended before the kill
            run([*command, "--ckpt_path", str(folder)])
        rows.append({"saves": saves, "images": images_seen, "difference": difference(uninterrupted, folder)})
    return rows


def kill(command: list[str], checkpoint: Path, saves: int, fraction: float) -> None:
    """Start a run and kill it between two checkpoints.

    Args:
        command: Command of the run.
        checkpoint: File of its last checkpoint.
        saves: Number of checkpoints before the kill.
        fraction: Fraction of the time between two checkpoints after which the run is killed.
    """
    process = subprocess.Popen(command, **QUIET, start_new_session=True)
    modified, start, interval = 0, time.monotonic(), START_UP
    while saves and process.poll() is None:
        time.sleep(0.002)
        if checkpoint.is_file() and (mtime := checkpoint.stat().st_mtime_ns) != modified:
            now = time.monotonic()
            saves, modified, interval, start = saves - 1, mtime, now - start, now
    time.sleep(fraction * interval)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}


def run(command: list[str]) -> None:
    process = subprocess.run(command, check=False, **QUIET)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}:\n{process.stderr.decode()[-2000:]}")


def load(checkpoint: Path) -> dict[str, Any]:
    import torch  # noqa: PLC0415 (takes seconds, which `--help` does not need)

    return torch.load(checkpoint, weights_only=True)  # type: ignore[no-any-return]


def difference(first: Path, second: Path) -> str:
    """Describe the first difference between two runs, "" for none."""
    import torch  # noqa: PLC0415

    states = (flatten(load(folder / LAST)) for folder in (first, second))
    images = (image_bytes(folder) for folder in (first, second))
    for ours, theirs in (states, images, (metrics(first), metrics(second))):
        if ours.keys() != theirs.keys():
            return f"only one run has {sorted(ours.keys() ^ theirs.keys())[0]}"
        for name, value in ours.items():
            equal = torch.equal(value, theirs[name]) if isinstance(value, torch.Tensor) else value == theirs[name]
            if not equal:
                return f"{name} differs"
    return ""


def flatten(value: Any, name: str = "") -> dict[str, Any]:
    """Flatten a checkpoint to its tensors and plain values by path, without the folder and the times of the run."""
    if not isinstance(value, dict | list | tuple):
        return {name: value}
    return {
        path: item
        for key, inner in (value.items() if isinstance(value, dict) else enumerate(value))
        if not (name == "/callbacks" and "Checkpointing" in str(key))
        for path, item in flatten(inner, f"{name}/{key}").items()
    }


def image_bytes(folder: Path) -> dict[str, Any]:
    """Read the bytes of every image and of the animation of a run."""
    return {file.name: file.read_bytes() for file in [*(folder / "samples").iterdir(), folder / "training.gif"]}


def metrics(folder: Path) -> dict[str, Any]:
    """Read the lines of `metrics.csv` by their number, without the speed."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [{key: value for key, value in row.items() if "per_s" not in key} for row in csv.DictReader(file)]
    return {f"line {number} of metrics.csv": row for number, row in enumerate(rows)}


if __name__ == "__main__":
    sys.exit(main())
