"""Checkpoints at regular numbers of images seen."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from lightning_gans.callbacks.periodic import Periodic
from lightning_gans.callbacks.run import run_folder
from lightning_gans.core.model import Model
from lightning_gans.files import atomic_write
from lightning_gans.run_files import LAST, PREVIOUS

SYNC_EVERY = 50
"""Batches between two synchronizations of the timer over several processes."""


class Checkpointing(Periodic, Checkpoint):
    """Save `checkpoints/last.ckpt`, the state to resume training from, at regular intervals and at the end.

    The preceding checkpoint is kept as `checkpoints/previous.ckpt`.

    Args:
        every: Images between saves, default 50,000.
        minutes: Maximum minutes between saves, default 10.

    Raises:
        ValueError: If `every` is below 1, or `minutes` is not above 0.
    """

    def __init__(self, *, every: int = 50_000, minutes: float = 10.0) -> None:
        super().__init__(every=every)
        if minutes <= 0:
            raise ValueError(f"`minutes` of Checkpointing must be above 0, got {minutes}")
        self.minutes = minutes
        self._saved_at = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the image counter and the timer."""
        super().on_train_start(trainer, pl_module)
        self._saved_at = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any) -> None:
        """Save if `every` images or `minutes` have passed."""
        super().on_train_batch_end(trainer, pl_module, *arguments)
        if trainer.world_size > 1 and trainer.global_step % SYNC_EVERY:
            return
        if trainer.strategy.broadcast(time.monotonic() - self._saved_at > 60 * self.minutes):
            self._save(trainer)

    def on_interval(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        """Save the state."""
        self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        save_last(trainer)
        self._saved_at = time.monotonic()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the final state."""
        save_last(trainer)


def save_last(trainer: pl.Trainer) -> None:
    """Save the state of training as `last.ckpt`, and keep the existing checkpoint as `previous.ckpt`."""
    save_atomically(trainer, run_folder(trainer) / LAST, previous=run_folder(trainer) / PREVIOUS)


def save_atomically(trainer: pl.Trainer, path: Path, *, previous: Path | None = None) -> None:
    """Save a checkpoint atomically, so that the file is always complete; called on every rank.

    A write error, such as a full disk, is only a warning: training continues, and an existing checkpoint is unchanged.

    Args:
        trainer: Trainer whose state is saved.
        path: Path of the checkpoint.
        previous: Path at which the existing checkpoint is kept, default None.

    Raises:
        NonFiniteError: If a weight is not finite.
    """
    if not trainer.is_global_zero:
        trainer.save_checkpoint(path, weights_only=False)  # writes nothing, and waits for rank 0
        return
    with atomic_write(path, previous=previous) as part:
        try:
            trainer.save_checkpoint(part, weights_only=False)  # the full state, not only the weights
        except OSError:
            trainer.strategy.barrier("Trainer.save_checkpoint")  # the other ranks wait at this barrier
            raise
