"""Logging of scalars and images to every logger of a trainer, with images seen as the x axis."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from lightning_gans.rendering.images import RGBImage

STEP_METRIC = "images_seen"
"""Name of the metric on the x axis of every chart."""


def log_scalars(trainer: pl.Trainer, scalars: dict[str, float], *, images: int, batches: int) -> None:
    """Log scalars to every logger, independently of Lightning's logging steps.

    Args:
        trainer: Trainer whose loggers are used.
        scalars: Values by key.
        images: Images seen.
        batches: Batches seen.
    """
    for logger in trainer.loggers:
        logger.log_metrics({**scalars, STEP_METRIC: images}, step=batches)
        logger.save()


def log_image(trainer: pl.Trainer, key: str, image: RGBImage, *, images: int) -> None:
    """Log an image to W&B and TensorBoard; a key is one panel for the whole run.

    Args:
        trainer: Trainer whose loggers are used.
        key: Name of the panel.
        image: (height, width, 3) uint8; W&B would display floats as black.
        images: Images seen.
    """
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            import wandb  # noqa: PLC0415 (the import takes a second)

            metrics: dict[str, Any] = {key: wandb.Image(image), STEP_METRIC: images}
            logger.log_metrics(metrics)
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(key, image, images, dataformats="HWC")
