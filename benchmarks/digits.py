"""Every game that has a recipe for the digits, by that recipe: how close its samples come to held-out digits.

    python benchmarks/digits.py --jobs 2

Nothing is downloaded. A row ends with its recipe's images or with its minutes, whichever comes first.
"""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import harness

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
RECIPES = {path.stem.removesuffix("_digits"): path for path in sorted(CONFIGS.glob("*_digits.yaml"))}
RECIPES.pop("classifier", None)  # makes no samples

TRAINING = "training digits"
SCORES = ("density", "coverage", "precision", "recall")


def measure(row: str, seed: int, minutes: float) -> harness.Scores:
    """Run the recipe by the command line, in a process and a folder of its own."""
    if row == TRAINING:
        return measure_training(seed)
    with harness.temporary_folder() as folder:
        command = [
            *(sys.executable, "-m", "lightning_gans", "fit", "--config", str(RECIPES[row])),
            *("--seed_everything", str(seed), "--trainer.max_time", duration(minutes), "--wandb.mode", "disabled"),
            *("--run.root", str(folder), "--run.name", "run", "--trainer.enable_progress_bar", "false"),
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CONFIGS.parent), *sys.path])}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            raise ValueError(done.stderr.strip().rpartition("\n")[2] or f"fit ended with {done.returncode}")
        result = json.loads((folder / "run" / "evaluation.json").read_text())
        seconds = seconds_of(folder / "run")
    own = {name: value for name, value in result.items() if isinstance(value, float)}  # of the model, too
    return {**own, "images": result["images_seen"], "seconds": seconds}


def measure_training(seed: int) -> harness.Scores:
    """Let training digits be the samples."""
    import torch  # noqa: PLC0415 (seconds)

    from lightning_gans.datamodules import Digits  # noqa: PLC0415
    from lightning_gans.metrics.prdc import prdc  # noqa: PLC0415

    data = Digits()
    train = data.examples("train")["image"]
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:1000]
    return prdc(data.examples("test")["image"].flatten(1), train[chosen].flatten(1))._asdict()


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


TABLE = harness.Table(
    name="digits",
    title="Games on Digits (8 x 8), each by its recipe",
    protocol=(
        "Precision, recall, density and coverage (arXiv:2002.09797) of pixels, k = 5: 1,000 samples of the averaged "
        "generator against the 360 held-out digits; training digits in place of samples are what nothing can beat. "
        "Agreement is that of InfoGAN's categories with the digits' classes, best matched."
    ),
    rows=list(RECIPES),
    ideal=[TRAINING],
    columns={**dict.fromkeys(SCORES, ".2f"), "agreement": ".2f", "images": ",.0f", "seconds": ".0f"},
    measure=measure,
    minutes=3,
)


if __name__ == "__main__":
    sys.exit(harness.run_table(TABLE, harness.parser_of(TABLE, __doc__).parse_args()))
