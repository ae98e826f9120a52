"""Checkpoints on the clock of images seen."""

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from lightning_gans.callbacks.periodic import Periodic
from lightning_gans.callbacks.run import run_folder
from lightning_gans.core.checkpoints import LAST, PREVIOUS
from lightning_gans.core.model import Model
from lightning_gans.files import atomic_write

SYNC_EVERY = 50
"""Several processes agree on the time every so many batches, not at each."""


class Checkpointing(Periodic, Checkpoint):
    """Keep `checkpoints/last.ckpt`, the state that training goes on from: every so often, and at the end.

    Args:
        every: Images from one time to the next.
        minutes: Minutes after which it is saved all the same.

    Raises:
        ValueError: `every` is below 1, or `minutes` is not above 0.
    """

    def __init__(self, *, every: int = 50_000, minutes: float = 10.0) -> None:
        super().__init__(every=every)
        if minutes <= 0:
            raise ValueError(f"`minutes` of Checkpointing must be above 0, got {minutes}")
        self.minutes = minutes
        self._saved = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clocks."""
        super().on_train_start(trainer, pl_module)
        self._saved = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any) -> None:
        """Save when one of the clocks says so."""
        super().on_train_batch_end(trainer, pl_module, *arguments)
        if trainer.world_size > 1 and trainer.global_step % SYNC_EVERY:
            return
        if trainer.strategy.broadcast(time.monotonic() - self._saved > 60 * self.minutes):
            self._save(trainer)

    def on_interval(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        """Save."""
        self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        save_last(trainer)
        self._saved = time.monotonic()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the final state."""
        save_last(trainer)


def save_last(trainer: pl.Trainer) -> None:
    """Save the state that training goes on from; the one before is `previous.ckpt` then."""
    save_atomically(trainer, run_folder(trainer) / LAST, previous=run_folder(trainer) / PREVIOUS)


def save_atomically(trainer: pl.Trainer, path: Path, *, previous: Path | None = None) -> None:
    """Save a checkpoint under a name that only ever holds a whole one; every rank calls it.

    Where the disk is full, training goes on, and the checkpoint of that name stays.

    Args:
        trainer: Whose state.
        path: The checkpoint.
        previous: Where to keep the checkpoint that had this name.

    Raises:
        NonFiniteError: A weight is not finite.
    """
    if not trainer.is_global_zero:
        trainer.save_checkpoint(path, weights_only=False)  # writes nothing, and waits for the first rank
        return
    with atomic_write(path, previous=previous) as part:
        try:
            trainer.save_checkpoint(part, weights_only=False)  # all of the state, not the weights alone
        except OSError:
            trainer.strategy.barrier("Trainer.save_checkpoint")  # where the other ranks wait
            raise
