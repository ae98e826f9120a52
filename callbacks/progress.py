"""Progress display of a run on the terminal."""

import os
import shlex
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar, Timer
from rich import progress as rich
from rich.console import Console

from lightning_gans.callbacks.evaluation import Evaluation
from lightning_gans.callbacks.progress_text import (
    count_parameters,
    describe_run,
    format_count,
    format_duration,
    format_metrics,
    format_scores,
    trust_options,
)
from lightning_gans.callbacks.run import Run, run_folder
from lightning_gans.callbacks.samples import Samples
from lightning_gans.callbacks.tracking import Wandb
from lightning_gans.callbacks.trainer_access import callbacks_of, data_of
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model
from lightning_gans.run_files import LAST

COMMAND = "python -m lightning_gans"

WARM_UP_BATCHES, WARM_UP_SECONDS = 20, 5.0
"""Training time is estimated after this number of batches or seconds, whichever comes first."""


class _Console(Console):
    """Console that becomes quiet when its pipe is closed (`fit | head`), so that training continues."""

    def on_broken_pipe(self) -> None:
        """Print nothing from now on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class Progress(ProgressBar):
    """Print the settings of the run, the estimated time, and a line for each grid of samples.

    On a terminal a progress bar is shown below these lines and refreshed at most five times per second. Otherwise only
    the lines are printed.

    Args:
        console: Console to print to, default None for standard output.
    """

    def __init__(self, *, console: Console | None = None) -> None:
        super().__init__()
        self.console = console or _Console(soft_wrap=True, highlight=False)
        self._enabled = True
        self._start = (0.0, 0, 0)
        self._estimated = False
        self._printed: Path | None = None
        self._bar: rich.Progress | None = None
        self._task = rich.TaskID(0)

    def disable(self) -> None:
        """Print nothing, as on every rank except 0."""
        self._enabled = False

    def enable(self) -> None:
        """Print again."""
        self._enabled = True

    def print(self, *args: Any, **_: Any) -> None:
        """Print a line above the bar."""
        if self._enabled:
            self.console.print(*args, markup=False, highlight=False)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the settings of the run, and show the bar."""
        model = _checked_model(pl_module)
        self._start = (time.monotonic(), model.images_seen, model.batches_seen)
        self._estimated = False
        self._printed = _latest_samples(trainer)
        if trainer.ckpt_path:
            self.print(f"Resuming from {trainer.ckpt_path}")
        self.print(describe_run(trainer, model))
        if self._enabled and self.console.is_terminal:
            total = _total_images(trainer, model)
            of_total = "" if total is None else f" of {total:,}"
            self._bar = rich.Progress(
                rich.BarColumn(),
                rich.TextColumn("{task.completed:,.0f}" + of_total + " images"),
                rich.TimeRemainingColumn(),
                rich.TextColumn("{task.description}"),
                console=self.console,
                refresh_per_second=5,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total, completed=model.images_seen)
            self._bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Update the bar, and print a line for a new grid of samples."""
        if not self._enabled:
            return
        model = _checked_model(pl_module)
        if not self._estimated:
            self._print_estimate(trainer, model)
        if self._bar is not None:
            self._bar.update(self._task, completed=model.images_seen, description=format_metrics(trainer))
        self._print_samples(trainer, model)

    def _print_estimate(self, trainer: pl.Trainer, model: Model) -> None:
        """Print the number of parameters, the estimated time and the run folder once the speed is known."""
        start, images, batches = self._start
        seconds = time.monotonic() - start
        total = _total_images(trainer, model)
        finished = total is not None and model.images_seen >= total
        if model.batches_seen - batches < WARM_UP_BATCHES and seconds < WARM_UP_SECONDS and not finished:
            return
        self._estimated = True
        images_per_second = (model.images_seen - images) / seconds
        limits = [] if total is None else [(total - images) / images_per_second]
        limits += [timer.time_remaining() or 0.0 for timer in callbacks_of(trainer, Timer)]
        duration = format_duration(min(limits)) if limits else "unlimited"
        status = next((callback.status for callback in callbacks_of(trainer, Wandb)), "disabled")
        is_trial = trainer.fast_dev_run  # type: ignore[attr-defined]
        place = "nothing is saved (fast_dev_run)" if is_trial else f"run folder: {run_folder(trainer)}"
        self.print(f"Parameters: {count_parameters(model)} | estimated time: {duration} | {place} | W&B: {status}")

    def _print_samples(self, trainer: pl.Trainer, model: Model) -> None:
        """Print the images seen, the elapsed time, the losses and the path of a new grid of samples."""
        latest = _latest_samples(trainer)
        if latest is None or latest == self._printed:
            return
        self._printed = latest
        minutes, seconds = divmod(round(time.monotonic() - self._start[0]), 60)
        images, path = format_count(model.images_seen), latest.relative_to(run_folder(trainer))
        self.print(f"{images:>5} images {minutes}:{seconds:02}  {format_metrics(trainer)}  {path}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the final scores, the path of the animation and the next commands."""
        self._stop()
        self._print_samples(trainer, _checked_model(pl_module))
        for callback in callbacks_of(trainer, Evaluation):
            if callback.result is not None:
                self.print(format_scores(callback.result))
        if callbacks_of(trainer, Run):
            folder = run_folder(trainer)
            if (folder / "training.gif").exists():
                self.print(f"Samples over time: {folder / 'training.gif'}")
            arguments = shlex.quote(str(folder)) + trust_options(pl_module)
            commands = [f"evaluate {arguments}", "fit --data ImageFolder --data.root YOUR_FOLDER"]
            if isinstance(pl_module, GenerativeModel):
                conditions = [f"--{key} {key.upper()}" for key in pl_module.required_conditions]
                commands.insert(0, " ".join([f"sample {arguments}", *conditions]))
            self.print("Next: " + "\n      ".join(f"{COMMAND} {command}" for command in commands))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the bar and, after a signal, print the command that resumes the run."""
        self._stop()
        folder = run_folder(trainer)
        if isinstance(exception, SystemExit) and isinstance(pl_module, Model) and (folder / LAST).is_file():
            resume = f"{COMMAND} fit --ckpt_path {shlex.quote(str(folder))}"
            self.print(f"Stopped after {pl_module.images_seen:,} images. Resume: {resume}")

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _checked_model(module: pl.LightningModule) -> Model:
    assert isinstance(module, Model)  # `Samples` and `Checkpointing`, which come first, refuse any other module
    return module


def _latest_samples(trainer: pl.Trainer) -> Path | None:
    return next((callback.latest for callback in callbacks_of(trainer, Samples)), None)


def _total_images(trainer: pl.Trainer, model: Model) -> int | None:
    """Compute the images seen at the first limit of the run; None without a limit."""
    limits = [callback.max_images for callback in callbacks_of(trainer, Run) if callback.max_images is not None]
    batches = [trainer.max_steps] if trainer.max_steps > 0 else []
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        batches.append(trainer.max_epochs * int(min(trainer.num_training_batches, 1e12)))
    per_batch = model.images_seen / model.batches_seen if model.batches_seen else _batch_size(trainer)
    return min([*limits, *(round(count * per_batch) for count in batches)], default=None)


def _batch_size(trainer: pl.Trainer) -> int:
    data = data_of(trainer)
    return 1 if data is None else data.batch_size
