"""Base class of callbacks that act at regular numbers of images seen."""

from abc import ABC, abstractmethod
from typing import Any

import pytorch_lightning as pl

from lightning_gans.core.model import Model


class Periodic(pl.Callback, ABC):
    """Call `on_interval` whenever the images seen, over all devices, reach another multiple of `every`.

    A subclass implements `on_interval`. It can only be used with models of this framework.

    Args:
        every: Images between two calls.

    Raises:
        ValueError: If `every` is below 1.

    Example:
        >>> class PrintImages(Periodic):
        ...     def on_interval(self, trainer, model, images):
        ...         print(f"{images} images")
        >>> PrintImages(every=10_000).every
        10000
    """

    def __init__(self, *, every: int) -> None:
        if every < 1:
            raise ValueError(f"`every` of {type(self).__name__} must be at least 1 image, got {every}")
        self.every = every
        self._images = 0

    @abstractmethod
    def on_interval(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        """Act at a multiple of `every`; called on every rank.

        Args:
            trainer: Trainer of the run.
            model: Model in training.
            images: Multiple of `every` that the last batch reached or passed.
        """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting from the images that the model has seen."""
        self._images = _checked_model(pl_module).images_seen

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Call `on_interval` if the batch reached or passed a multiple of `every`."""
        model = _checked_model(pl_module)
        before, self._images = self._images, model.images_seen
        if self._images // self.every > before // self.every:
            self.on_interval(trainer, model, self._images // self.every * self.every)


def _checked_model(module: pl.LightningModule) -> Model:
    if not isinstance(module, Model):
        raise ValueError(f"this callback requires a model of lightning-gans, got a {type(module).__name__}")
    return module


def format_images(images: int) -> str:
    """Format a number of images with leading zeros, so that file names sort by it.

    Example:
        >>> format_images(20_000), format_images(20_500)
        ('000020k', '000020500')
    """
    return f"{images // 1000:06d}k" if images % 1000 == 0 else f"{images:09d}"
