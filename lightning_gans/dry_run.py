"""Estimate the memory and the time of a run from a few batches of dummy data; no data is read, and nothing is saved."""

import resource
import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch

from lightning_gans.callbacks import Run
from lightning_gans.callbacks.trainer_access import callbacks_of
from lightning_gans.core.batches import as_dict
from lightning_gans.core.gan import GAN
from lightning_gans.core.model import Model
from lightning_gans.datamodules import DataModule
from lightning_gans.datamodules.loader import ResumableLoader
from lightning_gans.datamodules.sources import TensorSource
from lightning_gans.trainer import Trainer

WARM_UP_BATCHES = 2
"""Batches before the time is measured."""

TIMED_BATCHES = 5
"""Smallest number of batches whose time is measured."""


class _BatchTimer(pl.Callback):
    """Record the time at which each batch ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def dry_run(trainer: pl.Trainer, model: Model, data: DataModule) -> str:
    """Train on a few batches of dummy data, and report the memory and the time of the whole run.

    Args:
        trainer: Trainer of the run, whose limits, device and precision are used.
        model: The model, whose weights are changed.
        data: The data module, of which only the shapes are used.

    Returns:
        Lines for the terminal: shapes, numbers of parameters, peak memory and time.
    """
    timer = _BatchTimer()
    batches = max(model.discriminator_steps if isinstance(model, GAN) else 1, TIMED_BATCHES)
    batch = data.dummy_batch(data.batch_size)
    dummy = data.dummy_batch(data.batch_size * (WARM_UP_BATCHES + batches))
    trial = Trainer(
        accelerator=trainer.accelerator,
        devices=1,
        precision=trainer.precision,
        fast_dev_run=WARM_UP_BATCHES + batches,
        callbacks=[timer],
        enable_progress_bar=False,
    )
    trial.fit(
        model, ResumableLoader(TensorSource(as_dict(dummy)), batch_size=data.batch_size, shuffle=False, drop_last=True)
    )
    seconds = (timer.ends[-1] - timer.ends[WARM_UP_BATCHES - 1]) / batches
    lines = [
        f"{type(model).__name__} on {data.name}, {trainer.precision} on {trial.strategy.root_device.type}",
        *(f"{key:<14}{tuple(value.shape)}" for key, value in as_dict(batch).items()),
        *(f"{name:<14}{_parameters(part):,} parameters" for name, part in _parts(model).items()),
        f"{'peak memory':<14}{_memory() / 2**30:.2f} GiB",
        f"{'time':<14}{1000 * seconds:.1f} ms per batch, {data.batch_size / seconds:,.0f} images/s"
        + _total_time(trainer, data, seconds),
    ]
    return "\n".join(lines)


def _parts(model: Model) -> dict[str, torch.nn.Module]:
    return (
        {"generator": model.generator, "discriminator": model.discriminator}
        if isinstance(model, GAN)
        else {"model": model}
    )


def _parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _memory() -> int:
    """Return the peak memory in bytes: of the GPU if there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _total_time(trainer: pl.Trainer, data: DataModule, seconds: float) -> str:
    """Estimate the time of the whole run, if its length is known without reading data."""
    limits = [run.max_images for run in callbacks_of(trainer, Run) if run.max_images is not None]
    if trainer.max_steps > 0:
        limits.append(trainer.max_steps * data.batch_size)
    if not limits:
        return ""
    return f", {min(limits) / data.batch_size * seconds / 60:.0f} min for {min(limits):,} images"
