"""Callbacks that record a run; none of them changes the model."""

if __name__ != "lightning_gans.callbacks":
    raise ImportError(f"import `lightning_gans.callbacks`, not `{__name__}`: otherwise every class would exist twice")

from lightning_gans.callbacks.checkpointing import Checkpointing
from lightning_gans.callbacks.doctor import Doctor
from lightning_gans.callbacks.evaluation import Evaluation
from lightning_gans.callbacks.graceful_shutdown import GracefulShutdown
from lightning_gans.callbacks.loggers import log_image, log_scalars
from lightning_gans.callbacks.periodic import Periodic, format_images
from lightning_gans.callbacks.progress import Progress
from lightning_gans.callbacks.run import Run, run_folder
from lightning_gans.callbacks.samples import Samples
from lightning_gans.callbacks.tracking import ImagesSeenLogger, Wandb
from lightning_gans.callbacks.trainer_access import callbacks_of, data_of

__all__ = [
    "Checkpointing",
    "Doctor",
    "Evaluation",
    "GracefulShutdown",
    "ImagesSeenLogger",
    "Periodic",
    "Progress",
    "Run",
    "Samples",
    "Wandb",
    "callbacks_of",
    "data_of",
    "format_images",
    "log_image",
    "log_scalars",
    "run_folder",
]
