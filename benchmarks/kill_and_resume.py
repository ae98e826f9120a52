"""Kill runs of the real command line at random moments (`kill -9`), resume them, and compare with a run left alone.

    python benchmarks/kill_and_resume.py

Each moment is a run of its own: the same `python -m lightning_gans fit` in a new folder, killed a random time after a
random one of its checkpoints (or of its start: then it starts anew), and continued by `fit --ckpt_path RUN`. It counts
only if every tensor of its last checkpoint (weights, averages, optimizers, random state, place in the data) has the
bits of the run left alone, and so has every image and every line of `metrics.csv` but for the speed. The run draws
samples, evaluates and writes W&B files all the while, so that moments fall into all of these and into the saving.
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
import torch
from rich.console import Console
from rich.progress import track

RESULT = harness.FOLDER / "results" / "kill_and_resume.md"
PROTOCOL = (
    "Each line is a run of DCGAN on Digits by the command line, killed (`kill -9`) a random time after so many"
    " checkpoints and continued from the last of them by `fit --ckpt_path RUN`, against one left alone: every tensor of"
    " the last checkpoint, every image and every line of `metrics.csv` but for the speed."
)

EVERY = 1500
"""Images from one checkpoint to the next."""

START_UP = 10.0
"""Seconds in which a run that is to be killed before its first checkpoint is killed."""

LAST = Path("checkpoints", "last.ckpt")

COMMAND = [
    *(sys.executable, "-m", "lightning_gans", "fit", "--trainer.enable_progress_bar", "false"),
    *("--wandb.mode", "offline", "--trainer.log_every_n_steps", "5"),
    *("--save.every", str(EVERY), "--samples.every", "2500", "--evaluation.every", "4000", "--evaluation.count", "300"),
]


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill and resume runs at random moments; compare all bits.")
    parser.add_argument("--moments", type=int, default=20, help="how many")
    parser.add_argument("--images", type=int, default=10_000, help="length of the run")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args()
    about = harness.provenance()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        rows = measure(options.moments, options.images, random.Random(options.seed))
    lines = [
        f"killed after {row['saves']} saves, gone on at {row['images']:,}: {row['difference'] or 'equal'}"
        for row in rows
    ]
    lines.append(f"{sum(not row['difference'] for row in rows)} of {len(rows)}")
    print("\n".join(lines))
    RESULT.write_text("\n".join(["# Killed and resumed", "", PROTOCOL, "", "```", *lines, "```", "", *said(about), ""]))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if not any(row["difference"] for row in rows) else 1


def said(about: dict[str, Any]) -> list[str]:
    """Where and with what it was measured."""
    return [
        f"* {name.capitalize()}: {about[name]}"
        for name in ("commit", "date", "hardware", "torch", "lightning", "command")
    ]


def measure(moments: int, images: int, draw: random.Random) -> list[dict[str, Any]]:
    alone = Path("runs", "alone")
    command = [*COMMAND, "--run.max_images", str(images)]
    run([*command, "--run.name", alone.name])
    rows = []
    for number in track(range(moments), console=Console(stderr=True), description="Killing and resuming"):
        folder = Path("runs", f"killed-{number}")
        saves = draw.randrange(images // EVERY + 1)
        kill([*command, "--run.name", folder.name], folder / LAST, saves, draw.random())
        seen = read(folder / LAST)["lightning_gans"]["images_seen"] if (folder / LAST).is_file() else 0
        if seen == 0:
            folder = Path("runs", f"again-{number}")
            run([*command, "--run.name", folder.name])
        elif seen < images:  # it may have been over
            run([*command, "--ckpt_path", str(folder)])
        rows.append({"saves": saves, "images": seen, "difference": difference(alone, folder)})
    return rows


def kill(command: list[str], checkpoint: Path, saves: int, share: float) -> None:
    """Kill a run after so many checkpoints and this share of the time from one to the next."""
    process = subprocess.Popen(command, **QUIET, start_new_session=True)
    last, begun, interval = 0, time.monotonic(), START_UP
    while saves and process.poll() is None:
        time.sleep(0.002)
        if checkpoint.is_file() and (stamp := checkpoint.stat().st_mtime_ns) != last:
            now = time.monotonic()
            saves, last, interval, begun = saves - 1, stamp, now - begun, now
    time.sleep(share * interval)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}


def run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, **QUIET)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr.decode()[-2000:]}")


def read(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint, weights_only=True)  # type: ignore[no-any-return]


def difference(ours: Path, theirs: Path) -> str:
    """Name the first thing in which two runs differ, "" where there is none."""
    states = (flat(read(folder / LAST)) for folder in (ours, theirs))
    images = (images_of(folder) for folder in (ours, theirs))
    for mine, other in (states, images, (metrics(ours), metrics(theirs))):
        if mine.keys() != other.keys():
            return f"only one has {sorted(mine.keys() ^ other.keys())[0]}"
        for name, value in mine.items():
            same = torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
            if not same:
                return f"{name} differs"
    return ""


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Every tensor and plain value of a checkpoint by its path; what names a run's own folder or time is left out."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        return {name: value}
    return {
        path: item
        for key, inner in items
        if not (name == "/callbacks" and "Checkpointing" in str(key))
        for path, item in flat(inner, f"{name}/{key}").items()
    }


def images_of(folder: Path) -> dict[str, Any]:
    """The bytes of every image, and of the animation."""
    return {file.name: file.read_bytes() for file in [*(folder / "samples").iterdir(), folder / "training.gif"]}


def metrics(folder: Path) -> dict[str, Any]:
    """The lines of `metrics.csv` by their number, without the speed."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [{key: value for key, value in row.items() if "per_s" not in key} for row in csv.DictReader(file)]
    return {f"line {number} of metrics.csv": row for number, row in enumerate(rows)}


if __name__ == "__main__":
    sys.exit(main())
