"""What watches a run and writes down what it sees; nothing here changes a model."""

if __name__ != "lightning_gans.callbacks":
    raise ImportError("import lightning_gans.callbacks: under any other name every class in it would exist twice")

from lightning_gans.callbacks.checkpointing import Checkpointing
from lightning_gans.callbacks.doctor import Doctor
from lightning_gans.callbacks.evaluation import Evaluation
from lightning_gans.callbacks.graceful_shutdown import GracefulShutdown
from lightning_gans.callbacks.progress import Progress
from lightning_gans.callbacks.run import Run
from lightning_gans.callbacks.samples import Samples
from lightning_gans.callbacks.tracking import Wandb

__all__ = ["Checkpointing", "Doctor", "Evaluation", "GracefulShutdown", "Progress", "Run", "Samples", "Wandb"]
