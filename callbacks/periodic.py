"""Callbacks on the clock of images seen."""

from abc import ABC, abstractmethod
from typing import Any

import pytorch_lightning as pl

from lightning_gans.core.model import Model


class Periodic(pl.Callback, ABC):
    """Do something whenever another `every` images were seen, over all devices.

    Args:
        every: Images from one time to the next.

    Raises:
        ValueError: `every` is below 1.
    """

    def __init__(self, *, every: int) -> None:
        if every < 1:
            raise ValueError(f"`every` of {type(self).__name__} must be at least 1 image, got {every}")
        self.every = every
        self._images = 0

    @abstractmethod
    def on_interval(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        """Do it, on every rank.

        Args:
            trainer: The trainer.
            model: The model.
            images: The multiple of `every` that was just reached.
        """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take up the clock where the model stands."""
        self._images = _model(pl_module).images_seen

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Act when the clock passes a multiple of `every`."""
        model = _model(pl_module)
        before, self._images = self._images, model.images_seen
        if self._images // self.every > before // self.every:
            self.on_interval(trainer, model, self._images // self.every * self.every)


def _model(module: pl.LightningModule) -> Model:
    if not isinstance(module, Model):
        raise ValueError(f"this callback follows models of lightning-gans, got a {type(module).__name__}")
    return module


def format_images(images: int) -> str:
    """Write a number of images so that file names sort by it.

    Example:
        >>> format_images(20_000), format_images(20_500)
        ('000020k', '000020500')
    """
    return f"{images // 1000:06d}k" if images % 1000 == 0 else f"{images:09d}"
