"""Checkpoints on the clock of images seen."""

import os
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from lightning_gans.callbacks.periodic import Periodic
from lightning_gans.callbacks.run import run_folder
from lightning_gans.core.checkpoints import LAST
from lightning_gans.core.model import Model


class Saving(Periodic, Checkpoint):
    """Keep `checkpoints/last.ckpt`, the state that training goes on from: every so many images, and at the end.

    Args:
        every: Images from one time to the next.

    Raises:
        ValueError: `every` is below 1.
    """

    def __init__(self, *, every: int = 50_000) -> None:
        super().__init__(every=every)

    def act(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        """Save."""
        save_whole(trainer, run_folder(trainer) / LAST)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the final state."""
        save_whole(trainer, run_folder(trainer) / LAST)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save what Ctrl-C would lose; after an error the state may be the reason for it."""
        if isinstance(exception, KeyboardInterrupt):
            save_whole(trainer, run_folder(trainer) / LAST)


def save_whole(trainer: pl.Trainer, path: Path) -> None:
    """Save a checkpoint under a name that only ever holds a whole one; every rank calls it."""
    part = path.with_suffix(".part")
    trainer.save_checkpoint(part, weights_only=False)  # all of the state, not the weights alone
    if trainer.is_global_zero:
        os.replace(part, path)
