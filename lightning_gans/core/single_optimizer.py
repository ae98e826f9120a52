"""Base class of models that minimize one loss with one optimizer."""

from abc import abstractmethod
from collections.abc import Iterable

from torch import nn

from lightning_gans.core import distributed
from lightning_gans.core.manual_optimization import ManualOptimization
from lightning_gans.core.optimizers import OptimizerFactory
from lightning_gans.core.schedules import Schedule
from lightning_gans.types import Batch, ImageShape, Losses


class SingleOptimizerModel(ManualOptimization):
    """Minimize one loss with respect to all weights.

    A subclass implements `model_loss`. Its terms are logged as `model/<term>`, together with `model/loss`,
    `model/gradient_norm` and `model/learning_rate`.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        optimizer: Factory of the optimizer from the weights.
        schedules: Schedules of the optimizer's settings, by name ("lr", "beta1", ...).
        accumulate_grad_batches: Number of parts of a batch that are processed one after the other to save memory,
            default 1.
        gradient_clip_val: Largest norm of the gradient; None (default) does not clip.

    Raises:
        ValueError: If a number is out of its range; the message names it.
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        optimizer: OptimizerFactory,
        schedules: dict[str, Schedule] | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
    ) -> None:
        super().__init__(
            image_shape=image_shape,
            optimizers={"model": optimizer},
            schedules={"model": schedules or {}},
            accumulate_grad_batches=accumulate_grad_batches,
            gradient_clip_val=gradient_clip_val,
        )

    @abstractmethod
    def model_loss(self, batch: Batch) -> Losses:
        """Compute the named terms whose sum is minimized."""

    def after_step(self) -> None:
        """Run after each optimizer step, for example to update an EMA."""

    def players(self) -> dict[str, Iterable[nn.Parameter]]:
        """Return the parameters of the only player: all weights."""
        return {"model": self.parameters()}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the weights on a batch."""
        batch = self.prepare_batch(batch)
        if self.batches_seen == 0:
            distributed.broadcast_state(self)  # initial weights may differ between processes
        self.begin_batch(batch)
        self.optimize("model", self.model_loss, batch)
        distributed.average_buffers(self)
        self.images_seen = self.images_after_batch
        self.after_step()
        self.end_batch()
