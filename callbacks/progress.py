"""What a run says on the terminal."""

import math
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
from lightning_gans.callbacks.run import Run, run_folder
from lightning_gans.callbacks.samples import Samples
from lightning_gans.callbacks.tracking import Wandb
from lightning_gans.callbacks.trainer_access import callbacks_of, data_of
from lightning_gans.core.checkpoints import LAST
from lightning_gans.core.gan import GAN
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model
from lightning_gans.core.recording import class_path, modules_in, serialize_arguments

WARM_UP_BATCHES, WARM_UP_SECONDS = 20, 5.0


class _Console(Console):
    """A console whose reader may leave (`fit | head`): training goes on, and says no more."""

    def on_broken_pipe(self) -> None:
        """Be quiet from now on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class Progress(ProgressBar):
    """Say what runs, how long it will take and where it goes; then a line for each grid of samples.

    On a terminal a bar moves below, at most five times a second; elsewhere there are only the lines.

    Args:
        console: Where to; None is standard output.
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
        """Be silent, as on every rank but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Speak again."""
        self._enabled = True

    def print(self, *args: Any, **_: Any) -> None:
        """Print a line, above the bar."""
        if self._enabled:
            self.console.print(*args, markup=False, highlight=False)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what runs, and put up the bar."""
        model = _model(pl_module)
        self._start = (time.monotonic(), model.images_seen, model.batches_seen)
        self._estimated = False
        self._printed = next((callback.latest for callback in callbacks_of(trainer, Samples)), None)
        self.print(_headline(trainer, model))
        if self._enabled and self.console.is_terminal:
            total = _total_images(trainer, model)
            of = "" if total is None else f" of {total:,}"
            self._bar = rich.Progress(
                rich.BarColumn(),
                rich.TextColumn("{task.completed:,.0f}" + of + " images"),
                rich.TimeRemainingColumn(),
                rich.TextColumn("{task.description}"),
                console=self.console,
                refresh_per_second=5,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total, completed=model.images_seen)
            self._bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Move the bar; print a line for new samples."""
        if not self._enabled:
            return
        model = _model(pl_module)
        if not self._estimated:
            self._estimate(trainer, model)
        if self._bar is not None:
            self._bar.update(self._task, completed=model.images_seen, description=_losses(trainer))
        self._report(trainer, model)

    def _estimate(self, trainer: pl.Trainer, model: Model) -> None:
        start, images, batches = self._start
        seconds = time.monotonic() - start
        total = _total_images(trainer, model)
        ends = total is not None and model.images_seen >= total
        if model.batches_seen - batches < WARM_UP_BATCHES and seconds < WARM_UP_SECONDS and not ends:
            return
        self._estimated = True
        speed = (model.images_seen - images) / seconds
        limits = [] if total is None else [(total - images) / speed]
        limits += [timer.time_remaining() or 0.0 for timer in callbacks_of(trainer, Timer)]
        left = f"about {_duration(min(limits))}" if limits else "no end set"
        self.print(f"{_sizes(model)} . {left} . {run_folder(trainer)} . W&B: {_status(trainer)}")

    def _report(self, trainer: pl.Trainer, model: Model) -> None:
        latest = next((callback.latest for callback in callbacks_of(trainer, Samples)), None)
        if latest is None or latest == self._printed:
            return
        self._printed = latest
        minutes, seconds = divmod(round(time.monotonic() - self._start[0]), 60)
        where = latest.relative_to(run_folder(trainer))
        self.print(f"{_count(model.images_seen):>5} images {minutes}:{seconds:02}  {_losses(trainer)}  {where}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what came out, where to look, and what to do next."""
        self._stop()
        self._report(trainer, _model(pl_module))
        for callback in callbacks_of(trainer, Evaluation):
            if callback.result is not None:
                self.print(_held_out(callback.result))
        if callbacks_of(trainer, Run):
            folder = run_folder(trainer)
            if (folder / "training.gif").exists():
                self.print(f"Look: {folder / 'training.gif'}")
            run = shlex.quote(str(folder)) + _trust(pl_module)
            sample = f"sample {run} . " if isinstance(pl_module, GenerativeModel) else ""
            self.print(f"Next: {sample}evaluate {run} . fit --data ImageFolder --data.root YOUR_FOLDER")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was; say how a run goes on that was asked to leave."""
        self._stop()
        folder = run_folder(trainer)
        if isinstance(exception, SystemExit) and isinstance(pl_module, Model) and (folder / LAST).is_file():
            self.print(
                f"Stopped after {pl_module.images_seen:,} images. Go on: fit --ckpt_path {shlex.quote(str(folder))}"
            )

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _model(module: pl.LightningModule) -> Model:
    assert isinstance(module, Model)  # `Samples` and `Checkpointing`, which come first, have refused any other
    return module


def _held_out(result: dict[str, Any]) -> str:
    """The final scores and their protocol."""
    scores = {name: value for name, value in result.items() if isinstance(value, float)}  # counts are not
    if "generated" not in result:
        named = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        return f"held out ({result['real']:,} examples): {named}"
    first = {name: scores[name] for name in ("density", "coverage", "precision", "recall")}
    own = {name: value for name, value in scores.items() if name not in first}  # of any size, such as a divergence
    words = [f"{name} {value:.2f}" for name, value in first.items()]
    named = ", ".join(words + [f"{name} {value:.3g}" for name, value in own.items()])
    protocol = f"{result['features']}, k={result['k']}, {result['generated']:,} against {result['real']:,}"
    return f"held out ({protocol}): {named}"


def _trust(model: pl.LightningModule) -> str:
    """What the verbs have to be told of classes that are not of this package, the model's or its arguments'."""
    modules = {class_path(type(model)).partition(".")[0]}
    if isinstance(model, Model):
        modules |= modules_in(serialize_arguments(model.init_args))
    return "".join(f" --trust {module}" for module in sorted(modules - {"lightning_gans", "torch"}))


def _headline(trainer: pl.Trainer, model: Model) -> str:
    data = data_of(trainer)
    name, counts = "your loaders", ""
    if data is not None:
        name = data.name
        counts = " . " + ", ".join(f"{count:,} {split}" for split, count in data.sizes.items() if count)
    channels, *size = model.image_shape
    shape = "x".join(str(number) for number in (*size, channels))
    where = f"{trainer.strategy.root_device.type} {_precision(trainer)}"
    if trainer.world_size > 1:
        where = f"{trainer.world_size} x {where}"
    return f"{type(model).__name__} on {name} . {shape}{counts} . {where} . seed {_seed()}"


def _precision(trainer: pl.Trainer) -> str:
    return {"32-true": "fp32", "64-true": "fp64"}.get(str(trainer.precision), str(trainer.precision))


def _seed() -> str:
    return os.environ.get("PL_GLOBAL_SEED", "none")


def _sizes(model: Model) -> str:
    players = {"G": model.generator, "D": model.discriminator} if isinstance(model, GAN) else {"model": model}
    counts = [f"{name} {_count(sum(p.numel() for p in player.parameters()))}" for name, player in players.items()]
    return f"{', '.join(counts)} parameters"


def _count(number: int) -> str:
    """Write a number short.

    Example:
        >>> _count(950), _count(20_032), _count(257_985), _count(1_639_264)
        ('950', '20k', '258k', '1.6M')
    """
    if number >= 1_000_000:
        return f"{number / 1e6:.1f}M"
    return f"{number / 1e3:.0f}k" if number >= 1000 else str(number)


def _duration(seconds: float) -> str:
    """Write a time in words.

    Example:
        >>> _duration(20), _duration(130), _duration(7300)
        ('20 s', '2 min', '2 h 2 min')
    """
    if seconds < 60:
        return f"{math.ceil(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _status(trainer: pl.Trainer) -> str:
    return next((callback.status for callback in callbacks_of(trainer, Wandb)), "disabled")


def _losses(trainer: pl.Trainer) -> str:
    """The last logged losses and scores, one short word each."""
    words = {
        "D": "discriminator/loss",
        "G": "generator/loss",
        "D(real)": "discriminator/real",
        "D(fake)": "discriminator/fake",
        "loss": "model/loss",
        "accuracy": "model/accuracy",
    }
    logged = trainer.callback_metrics
    return "  ".join(f"{word} {logged[key]:.2f}" for word, key in words.items() if key in logged)


def _total_images(trainer: pl.Trainer, model: Model) -> int | None:
    """Where the first of all limits lies, in images seen; None where there is none."""
    limits = [callback.max_images for callback in callbacks_of(trainer, Run) if callback.max_images is not None]
    batches = [trainer.max_steps] if trainer.max_steps > 0 else []
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        batches.append(trainer.max_epochs * int(min(trainer.num_training_batches, 1e12)))
    per_batch = model.images_seen / model.batches_seen if model.batches_seen else _batch_size(trainer)
    return min([*limits, *(round(count * per_batch) for count in batches)], default=None)


def _batch_size(trainer: pl.Trainer) -> int:
    data = data_of(trainer)
    return 1 if data is None else data.batch_size
