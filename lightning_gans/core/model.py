"""What every model of the framework is: a LightningModule that knows its data's shape, its clock and its record."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_gans._version import __version__
from lightning_gans.checks import check_image_shape
from lightning_gans.core import private
from lightning_gans.core.distributed import gather
from lightning_gans.core.health import check_weights
from lightning_gans.core.randomness import random_state, set_random_state
from lightning_gans.core.recording import Recorded, class_path, serialize_arguments, unserializable
from lightning_gans.types import Batch, ImageShape

CHECKPOINT_KEY = "lightning_gans"
"""Where a checkpoint keeps what this framework adds to it."""


class Model(Recorded, pl.LightningModule, ABC):
    """Train on batches of a known shape, counting images, and be loadable from a checkpoint alone.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.

    Attributes:
        images_seen: Images trained on, over all devices: the clock of samples, schedules, averages and charts.
        batches_seen: Batches trained on; equal to Lightning's `global_step`.

    Raises:
        ValueError: `image_shape` has a number below 1, or is neither one number nor three.
    """

    def __init__(self, *, image_shape: ImageShape) -> None:
        super().__init__()
        check_image_shape(image_shape)
        self.image_shape = tuple(image_shape)
        self.images_seen = 0
        self.batches_seen = 0
        self._random_states: list[dict[str, Any]] = []

    @property
    @abstractmethod
    def requires(self) -> tuple[str, ...]:
        """The batch keys that training needs."""

    def scores(self, batch: Batch) -> dict[str, float]:
        """Score the model on real examples, by what it alone can do; by name, higher being better.

        Args:
            batch: Held-out examples; the keys that data have beside `image` are there.
        """
        return {}

    @contextmanager
    def eval_mode(self) -> Iterator[None]:
        """Be in evaluation mode, and then let every module be in its own again."""
        training = {module: module.training for module in self.modules()}
        self.eval()
        try:
            yield
        finally:
            for module, mode in training.items():
                module.training = mode

    def to_device_and_dtype(self, tensor: Tensor) -> Tensor:
        """Bring what is handed in from outside of training to this model's device, and floats to its precision."""
        return tensor.to(self.device, self.dtype if tensor.is_floating_point() else tensor.dtype)  # type: ignore[arg-type]

    def validate_batch(self, batch: Batch) -> None:
        """Refuse a batch to learn from that lacks a key or has images of another shape; of the first, ask the values.

        Raises:
            ValueError: Names the keys, or the shapes, or says what is expected.
        """
        self.validate_keys_and_shape(batch)
        if self.batches_seen == 0:
            self.validate_values(batch["image"])

    def validate_keys_and_shape(self, batch: Batch) -> None:
        """Refuse a batch that lacks a key or has images of another shape.

        Raises:
            ValueError: Names the keys, or the shapes.
        """
        name = type(self).__name__
        if not isinstance(batch, Mapping):
            raise ValueError(
                f"{name} needs batches that are dictionaries with the keys {list(self.requires)},"
                f" but the data yields a {type(batch).__name__}"
            )
        if missing := [key for key in self.requires if key not in batch]:
            raise ValueError(
                f"{name} needs the batch keys {list(self.requires)}, but the data yields {list(batch)}:"
                f" {missing} missing"
            )
        if (shape := tuple(batch["image"].shape[1:])) != self.image_shape:
            raise ValueError(f"{name} was built for `image_shape` {self.image_shape}, but the data yields {shape}")

    def validate_values(self, image: Tensor) -> None:
        """Refuse a first batch whose examples cannot be meant; warn of one that looks odd.

        Raises:
            ValueError: Says what is expected.
        """
        if not image.is_floating_point():
            raise ValueError(f"`image` must be float, images in [-1, 1], but the data yields {image.dtype}")
        if image.dim() == 4 and (image.abs().max() > 1.01 or image.min() >= 0):
            rank_zero_warn(
                f"images are expected in [-1, 1], but those of the first batch lie in [{image.min():.3g},"
                f" {image.max():.3g}]: scale them, (x - 0.5) / 0.5 of ToTensor's"
            )

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, **arguments: Any) -> Self:  # type: ignore[override]
        """Load a checkpoint of this class; `lightning_gans.load` does it for any class.

        Args:
            checkpoint_path: A checkpoint, or a run folder.
            **arguments: What `lightning_gans.load` takes.

        Raises:
            ValueError: It is of another class, or cannot be loaded.
        """
        from lightning_gans.core.checkpoints import load  # noqa: PLC0415 (which needs this class)

        model = load(checkpoint_path, **arguments)
        if not isinstance(model, cls):
            raise ValueError(f"the checkpoint {str(checkpoint_path)!r} is of a {type(model).__name__}")
        return model

    def on_fit_start(self) -> None:
        """Say once what a checkpoint will not be able to rebuild."""
        if lost := unserializable(serialize_arguments(self.init_args)):
            missing = ", ".join(f"{name}=..." for name in lost)
            rank_zero_warn(
                f"a checkpoint cannot record {' and '.join(f'`{name}`' for name in lost)} of {type(self).__name__}"
                f" (no class, nor a partial of one): load it with lightning_gans.load(path, {missing})"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what `lightning_gans.load` rebuilds the model from.

        Raises:
            NonFiniteError: A weight is not finite: the checkpoint before stays the last.
        """
        check_weights(self, images=self.images_seen)
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        checkpoint[CHECKPOINT_KEY] = {
            "version": __version__,
            "class": class_path(type(self)),
            "init_args": serialize_arguments(self.init_args),
            "image_shape": list(self.image_shape),
            "data": _describe_data(data) if isinstance(data, Recorded) else None,
            "images_seen": self.images_seen,
            "batches_seen": self.batches_seen,
            "random": gather(random_state()),
        }

    def check_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another model.

        Raises:
            ValueError: Names what differs.
        """
        ours, theirs = self.state_dict(), checkpoint["state_dict"]
        different = [name for name in ours if name not in theirs or theirs[name].shape != ours[name].shape]
        different += theirs.keys() - ours.keys()
        if different:
            previous = checkpoint[CHECKPOINT_KEY]["class"].rpartition(".")[2]
            raise ValueError(
                f"the checkpoint is of a {previous} with other networks than this {type(self).__name__}:"
                f" {len(different)} tensors differ, {different[0]} among them"
            )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Set the clock."""
        self.check_checkpoint(checkpoint)
        record = checkpoint[CHECKPOINT_KEY]
        self.images_seen, self.batches_seen = record["images_seen"], record["batches_seen"]
        self._random_states = record.get("random", [])
        private.align_loop_progress(checkpoint)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Put the random streams back where the checkpoint left them; what made the loaders has moved them since.

        Not for a model that was loaded from one, and begins another run.
        """
        states, self._random_states = self._random_states if self.trainer.ckpt_path else [], []
        if len(states) == self.trainer.world_size:
            set_random_state(states[self.trainer.global_rank])
        elif states:
            rank_zero_warn(
                f"the checkpoint was made by {len(states)} processes, this run has {self.trainer.world_size}:"
                f" it goes on at {self.images_seen:,} images, but not bit for bit"
            )


def _describe_data(data: Recorded) -> dict[str, Any]:
    return {"class": class_path(type(data)), "init_args": serialize_arguments(data.init_args)}
