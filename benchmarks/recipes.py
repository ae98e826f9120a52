"""Recipes of `configs/`, run by the command line as anybody would run them, in a process and a folder of their own."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import harness

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def fit(recipe: str, seed: int, minutes: float, *options: str) -> dict[str, Any]:
    """Train by a recipe, for so long at most.

    Args:
        recipe: Its name.
        seed: Of everything but the order of the data.
        minutes: For how long at most.
        *options: Further options of the command line.

    Returns:
        What `evaluation.json` says, `images` and `seconds`.

    Raises:
        ValueError: The command failed; its last line.
    """
    with harness.temporary_folder() as folder:
        command = [
            *(sys.executable, "-m", "lightning_gans", "fit", "--config", str(CONFIGS / f"{recipe}.yaml")),
            *("--seed_everything", str(seed), "--trainer.max_time", duration(minutes), "--wandb.mode", "disabled"),
            *("--run.root", str(folder), "--run.name", "run", "--trainer.enable_progress_bar", "false"),
            *options,
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CONFIGS.parent), *sys.path])}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            raise ValueError(done.stderr.strip().rpartition("\n")[2] or f"fit ended with {done.returncode}")
        result: dict[str, Any] = json.loads((folder / "run" / "evaluation.json").read_text())
        return {**result, "images": result["images_seen"], "seconds": seconds_of(folder / "run")}


def seconds_of(run: Path) -> float:
    """From the first file of a run to its last checkpoint."""
    return (run / "checkpoints" / "last.ckpt").stat().st_mtime - (run / "config.yaml").stat().st_mtime


def duration(minutes: float) -> str:
    """Write a time as Lightning wants it, DD:HH:MM:SS.

    Example:
        >>> duration(90.5)
        '00:01:30:30'
    """
    seconds = max(1, round(timedelta(minutes=minutes).total_seconds()))
    days, rest = divmod(seconds, 86_400)
    return f"{days:02}:{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"
