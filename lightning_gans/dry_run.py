"""What a run would need, found out in a few steps on made-up data: nothing is read, downloaded or kept."""

import resource
import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch

from lightning_gans.callbacks import Run
from lightning_gans.callbacks.trainer_access import callbacks_of
from lightning_gans.core.gan import GAN
from lightning_gans.core.model import Model
from lightning_gans.datamodules import DataModule
from lightning_gans.datamodules.indexing import as_dict
from lightning_gans.datamodules.loader import InMemoryLoader
from lightning_gans.trainer import Trainer

WARM_UP, TIMED = 2, 5


class _BatchTimer(pl.Callback):
    """Note when each batch ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def dry_run(trainer: pl.Trainer, model: Model, data: DataModule) -> str:
    """Play a few batches of made-up data; what that says about the whole run.

    Args:
        trainer: The trainer of the run; its limits, device and precision are taken over.
        model: The model; its weights are used up.
        data: The data; only its shapes are asked.

    Returns:
        Lines for the terminal.
    """
    watch = _BatchTimer()
    batches = max(model.discriminator_steps if isinstance(model, GAN) else 1, TIMED)
    batch = data.dummy_batch(data.batch_size)
    made_up = data.dummy_batch(data.batch_size * (WARM_UP + batches))
    trial = Trainer(
        accelerator=trainer.accelerator,
        devices=1,
        precision=trainer.precision,
        fast_dev_run=WARM_UP + batches,
        callbacks=[watch],
        enable_progress_bar=False,
    )
    trial.fit(model, InMemoryLoader(as_dict(made_up), batch_size=data.batch_size, shuffle=False, drop_last=True))
    seconds = (watch.ends[-1] - watch.ends[WARM_UP - 1]) / batches
    lines = [
        f"{type(model).__name__} on {data.name}, {trainer.precision} on {trial.strategy.root_device.type}",
        *(f"{key:<14}{tuple(value.shape)}" for key, value in as_dict(batch).items()),
        *(f"{name:<14}{_parameters(part):,} parameters" for name, part in _parts(model).items()),
        f"{'memory':<14}{_memory() / 2**30:.2f} GiB at most",
        f"{'time':<14}{1000 * seconds:.1f} ms a batch, {data.batch_size / seconds:,.0f} images/s"
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
    """The most memory used so far: of the GPU where there is one, else of this process, in bytes."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _total_time(trainer: pl.Trainer, data: DataModule, seconds: float) -> str:
    """How long the run would take, where its length is known without reading data."""
    limits = [run.max_images for run in callbacks_of(trainer, Run) if run.max_images is not None]
    if trainer.max_steps > 0:
        limits.append(trainer.max_steps * data.batch_size)
    if not limits:
        return ""
    return f", {min(limits) / data.batch_size * seconds / 60:.0f} min for {min(limits):,} images"
