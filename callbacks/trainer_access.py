"""What belongs to a trainer, with its type: Lightning sets these attributes where type checkers do not see it."""

from typing import TypeVar

import pytorch_lightning as pl

from lightning_gans.datamodules import DataModule

T = TypeVar("T")


def callbacks_of(trainer: pl.Trainer, kind: type[T]) -> list[T]:
    """The trainer's callbacks of one kind."""
    return [callback for callback in trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]


def data_of(trainer: pl.Trainer) -> DataModule | None:
    """The data module of this framework that the trainer trains on; None if it was given loaders."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    return data if isinstance(data, DataModule) else None
