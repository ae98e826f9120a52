"""Train by the recipes of `configs/` through the command line, each in its own process and temporary folder."""

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
    """Train by a recipe for a limited time.

    Args:
        recipe: Name of the recipe.
        seed: Seed of everything except the order of the data.
        minutes: Limit of the training time, in minutes.
        *options: Further options of the command line.

    Returns:
        The contents of `evaluation.json`, and `images` and `seconds` of the training.

    Raises:
        ValueError: If the command fails; the message is the last line of its errors.
    """
    with harness.temporary_folder() as folder:
        command = [
            *(sys.executable, "-m", "lightning_gans", "fit", "--config", str(CONFIGS / f"{recipe}.yaml")),
            *("--seed_everything", str(seed), "--trainer.max_time", duration(minutes), "--wandb.mode", "disabled"),
            *("--run.root", str(folder), "--run.name", "run", "--trainer.enable_progress_bar", "false"),
            *options,
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CONFIGS.parent), *sys.path])}
        process = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if process.returncode != 0:
            raise ValueError(process.stderr.strip().rpartition("\n")[2] or f"fit failed with {process.returncode}")
        result: dict[str, Any] = json.loads((folder / "run" / "evaluation.json").read_text())
        return {**result, "images": result["images_seen"], "seconds": training_seconds(folder / "run")}


def training_seconds(run: Path) -> float:
    """Compute the time from the first file of a run to its last checkpoint, in seconds."""
    return (run / "checkpoints" / "last.ckpt").stat().st_mtime - (run / "config.yaml").stat().st_mtime


def duration(minutes: float) -> str:
    """Format a time in the format of Lightning, DD:HH:MM:SS.

    Example:
        >>> duration(90.5)
        '00:01:30:30'
    """
    seconds = max(1, round(timedelta(minutes=minutes).total_seconds()))
    days, rest = divmod(seconds, 86_400)
    return f"{days:02}:{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"
