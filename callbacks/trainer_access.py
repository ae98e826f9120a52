"""Typed access to attributes of a trainer that type checkers cannot infer, such as its data module."""

from typing import Protocol, TypeVar, cast

import pytorch_lightning as pl

from lightning_gans.datamodules import DataModule

T = TypeVar("T")


class _Connected(Protocol):
    callbacks: list[pl.Callback]
    datamodule: pl.LightningDataModule | None
    log_every_n_steps: int


def callbacks_of(trainer: pl.Trainer, cls: type[T]) -> list[T]:
    """Return the callbacks of a trainer that are instances of a class."""
    return [callback for callback in cast("_Connected", trainer).callbacks if isinstance(callback, cls)]


def data_of(trainer: pl.Trainer) -> DataModule | None:
    """Return the data module of a trainer; None if the trainer was given loaders or another kind of data module."""
    data = cast("_Connected", trainer).datamodule
    return data if isinstance(data, DataModule) else None


def log_every_n_steps(trainer: pl.Trainer) -> int:
    """Return the number of batches between two logging steps of a trainer; 0 disables logging."""
    return cast("_Connected", trainer).log_every_n_steps
