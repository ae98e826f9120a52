"""The base class of all models: a LightningModule with an image shape, a clock of images seen and its own record."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, cast

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_gans._version import __version__
from lightning_gans.checks import check_image_shape
from lightning_gans.core import private
from lightning_gans.core.batch_conversion import check_tensors, convert_batch, explain_batch
from lightning_gans.core.checkpoints import CHECKPOINT_FORMAT, CHECKPOINT_KEY, check_format, read_checkpoint
from lightning_gans.core.class_paths import import_class
from lightning_gans.core.distributed import gather
from lightning_gans.core.health import check_weights
from lightning_gans.core.hooks import check_hooks
from lightning_gans.core.lightning_options import check_lightning_options
from lightning_gans.core.monitoring import check_monitored, monitors_of_losses
from lightning_gans.core.precision import remedy
from lightning_gans.core.randomness import random_state, set_random_state
from lightning_gans.core.recording import (
    UNSERIALIZABLE,
    Recorded,
    deserialize_arguments,
    serialize_object,
    unserializable,
)
from lightning_gans.types import Batch, ImageShape


class Model(Recorded, pl.LightningModule, ABC):
    """Count the images that a model is trained on, validate its batches, and make it loadable from a checkpoint alone.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.

    Attributes:
        images_seen: Images trained on, over all devices: the clock of samples, schedules, the EMA and charts.
        batches_seen: Batches trained on; equal to Lightning's `global_step`.

    Raises:
        ValueError: If `image_shape` has a number below 1, or its length is neither 1 nor 3.
    """

    def __init__(self, *, image_shape: ImageShape) -> None:
        super().__init__()
        check_image_shape(image_shape)
        self.image_shape = tuple(image_shape)
        self.images_seen = 0
        self.batches_seen = 0
        self._random_states: list[dict[str, Any]] = []
        self.register_state_dict_post_hook(private.use_plain_names)  # type: ignore[no-untyped-call]

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights, of which some networks may be compiled by `torch.compile` either there or here.

        Args:
            state_dict: The weights by name.
            strict: Whether missing and unexpected names are errors, default True.
            assign: Whether the tensors replace those of the model instead of being copied, default False.
        """
        return super().load_state_dict(private.with_own_names(self, state_dict), strict, assign)

    @property
    @abstractmethod
    def requires(self) -> tuple[str, ...]:
        """Batch keys that training needs."""

    def scores(self, batch: Batch) -> dict[str, float]:
        """Compute the scores that only this model has, such as an accuracy, on real examples; higher is better.

        Args:
            batch: Held-out examples, with all keys that the data have.

        Returns:
            The scores by name.
        """
        return {}

    @contextmanager
    def eval_mode(self) -> Iterator[None]:
        """Set evaluation mode in a `with` block, and restore the mode of each module after it."""
        training = {module: module.training for module in self.modules()}
        self.eval()
        try:
            yield
        finally:
            for module, mode in training.items():
                module.training = mode

    def to_device_and_dtype(self, tensor: Tensor) -> Tensor:
        """Move a tensor to the device of the model, and convert a floating-point tensor to its precision."""
        moved = tensor.to(self.device)
        return moved.type(self.dtype) if moved.is_floating_point() else moved

    def prepare_batch(self, batch: Any) -> Batch:
        """Convert a training batch to tensors on the device and in the precision of the model, and validate it.

        Args:
            batch: What the loader yields; see `core.batch_conversion.convert_batch`.

        Raises:
            ValueError: The batch cannot be converted without ambiguity; the message says how to write it.
        """
        if self.batches_seen == 0 and isinstance(self.trainer.train_dataloader, list | tuple):
            raise ValueError(
                "`train_dataloaders` is a list, which Lightning takes for several loaders: pass"
                " `DataLoader(batches, batch_size=None)` for a list of batches, or one loader"
            )
        converted = convert_batch(batch, self.image_shape)
        try:
            self.validate_batch(converted)
        except ValueError as error:
            if remedy := explain_batch(converted, self.requires):
                raise ValueError(f"{error}; {remedy}") from error
            raise
        check_tensors(converted, self.requires)
        tensors = {
            key: self.to_device_and_dtype(value) if isinstance(value, Tensor) else value
            for key, value in converted.items()
        }
        return cast("Batch", tensors)

    def validate_batch(self, batch: Batch) -> None:
        """Validate a training batch: keys and image shape always, value range on the first batch only.

        Raises:
            ValueError: If a key is missing, or the shape or the values are not the expected ones.
        """
        self.validate_keys_and_shape(batch)
        if len(batch["image"]) == 0:
            raise ValueError(
                f"{type(self).__name__} needs batches of at least 1 image, but the data yields an empty one"
            )
        if self.batches_seen == 0:
            self.validate_values(batch["image"])

    def validate_keys_and_shape(self, batch: Batch) -> None:
        """Validate the keys and the image shape of a batch.

        Raises:
            ValueError: If a key is missing, or the images have another shape.
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
        check_tensors(batch, ("image",))
        if (shape := tuple(batch["image"].shape[1:])) != self.image_shape:
            raise ValueError(f"{name} was built for `image_shape` {self.image_shape}, but the data yields {shape}")

    def validate_values(self, image: Tensor) -> None:
        """Validate the dtype of images, and warn if their values are not in [-1, 1].

        Raises:
            ValueError: If the images are not floating-point tensors.
        """
        if not image.is_floating_point():
            raise ValueError(
                f"`image` must be floating-point images in [-1, 1], but the data yields {image.dtype}:"
                " scale them, x / 127.5 - 1"
            )
        if image.dim() == 4 and (image.abs().max() > 1.01 or image.min() >= 0 or image.max() <= -0.99):
            remedy = "x / 127.5 - 1" if image.max() > 2 else "(x - 0.5) / 0.5 after ToTensor"
            rank_zero_warn(
                f"images are expected in [-1, 1], but the first batch has values in [{image.min():.3g},"
                f" {image.max():.3g}]: scale them, {remedy}"
            )

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, *, trust: Iterable[str] = (), **init_args: Any
    ) -> Self:
        """Load a model of this class, or of a subclass, from a checkpoint alone; `lightning_gans.load` loads any model.

        Classes are imported from this package, from modules that are already imported, and from the modules in `trust`.

        Args:
            checkpoint_path: A checkpoint, or a run folder (its last checkpoint).
            trust: Names of further modules that may be imported, such as "my_gan".
            **init_args: Arguments of the constructor that replace the recorded ones, or that could not be recorded.

        Returns:
            The model on the CPU, in evaluation mode.

        Raises:
            ValueError: If the file cannot be read, is of another format or another class, names a class that is
                refused, or lacks an argument.
        """
        checkpoint = read_checkpoint(checkpoint_path)
        record = checkpoint[CHECKPOINT_KEY]
        try:
            model_cls, recorded = import_class(record["class"], Model, trust), dict(record["init_args"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"the checkpoint {str(checkpoint_path)!r} has a record that cannot be read: {error!r}"
            ) from error
        if not issubclass(model_cls, cls):
            raise ValueError(
                f"the checkpoint {str(checkpoint_path)!r} contains a {model_cls.__name__}, which is not a"
                f" {cls.__name__}"
            )
        for name in unserializable(recorded):
            if name not in init_args:
                raise ValueError(
                    f"the checkpoint could not record `{name}` of {model_cls.__name__}"
                    f" ({recorded[name][UNSERIALIZABLE]}): pass it, load(path, {name}=...)"
                )
        arguments = deserialize_arguments(model_cls, record, trust, replaced=init_args)
        try:
            model: Self = model_cls(**arguments, **init_args)
        except TypeError as error:
            raise ValueError(f"{model_cls.__name__} cannot be built from its recorded arguments: {error}") from error
        model.on_load_checkpoint(checkpoint)
        model.load_state_dict(checkpoint["state_dict"])
        return model.eval()

    def configure_callbacks(self) -> list[pl.Callback]:
        """Check the options of the trainer, because this is the first hook of a fit; the model adds no callbacks."""
        if self.trainer.state.fn == TrainerFn.FITTING:
            check_lightning_options(self.trainer, self)
        return []

    def on_fit_start(self) -> None:
        """Check the class's hooks, and warn of arguments that a checkpoint cannot record."""
        check_hooks(type(self))
        if lost := unserializable(serialize_object(self)["init_args"]):  # also reads sources before they are edited
            missing = ", ".join(f"{name}=..." for name in lost)
            rank_zero_warn(
                f"a checkpoint cannot record {' and '.join(f'`{name}`' for name in lost)} of {type(self).__name__}"
                f" (neither a class nor a partial of a class): load it with lightning_gans.load(path, {missing})"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the record from which `lightning_gans.load` rebuilds the model.

        Raises:
            NonFiniteError: If a weight is not finite; the previous checkpoint then remains the last.
        """
        check_weights(self, images=self.images_seen, hint=remedy(self.trainer.precision))
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        checkpoint[CHECKPOINT_KEY] = {
            "format": CHECKPOINT_FORMAT,
            "version": __version__,
            **serialize_object(self),
            "image_shape": list(self.image_shape),
            "data": _serialize_data(data) if isinstance(data, Recorded) else None,
            "images_seen": self.images_seen,
            "batches_seen": self.batches_seen,
            "random": gather(random_state()),
        }

    def check_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that the weights of a checkpoint fit this model.

        Raises:
            ValueError: If weights differ in name or shape.
        """
        ours = self.state_dict()
        theirs = {private.plain_name(name): weight for name, weight in checkpoint["state_dict"].items()}
        different = [name for name in ours if name not in theirs or theirs[name].shape != ours[name].shape]
        different += theirs.keys() - ours.keys()
        if different:
            previous = checkpoint[CHECKPOINT_KEY]["class"].rpartition(".")[2]
            raise ValueError(
                f"the checkpoint contains a {previous} whose networks differ from this {type(self).__name__}:"
                f" {len(different)} tensors differ, such as {different[0]}"
            )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the clock, and align Lightning's counts with it."""
        with suppress(RuntimeError):  # raised without a trainer; `read_checkpoint` has checked the format then
            check_format(checkpoint, self.trainer.ckpt_path)
        self.check_checkpoint(checkpoint)
        record = checkpoint[CHECKPOINT_KEY]
        self.images_seen, self.batches_seen = record["images_seen"], record["batches_seen"]
        self._random_states = record["random"]
        loader = checkpoint.get(record["data"]["state_key"], {}) if record["data"] else {}
        if "position" in loader:
            private.align_loop_progress(checkpoint, loader, batches_seen=self.batches_seen)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Restore the random states of the checkpoint, in the first batch after resuming.

        Creating the loaders has advanced the random streams by then. A model from `load_from_checkpoint` that starts a
        new run keeps the present random states.
        """
        states, self._random_states = self._random_states if self.trainer.ckpt_path else [], []
        if len(states) == self.trainer.world_size:
            set_random_state(states[self.trainer.global_rank])
        elif states:
            rank_zero_warn(
                f"the checkpoint was saved by {len(states)} processes, this run has {self.trainer.world_size}:"
                f" it continues at {self.images_seen:,} images, but not bit for bit"
            )

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Save the checkpoints of Lightning whose time interval has passed."""
        for checkpoint in self.trainer.checkpoint_callbacks:
            if isinstance(checkpoint, ModelCheckpoint):
                private.save_after_interval(self.trainer, checkpoint)

    def on_train_epoch_end(self) -> None:
        """Check that the metrics that callbacks monitor are logged.

        Raises:
            OptionError: If a metric is not.
        """
        fast_dev_run: int | bool = self.trainer.fast_dev_run  # type: ignore[attr-defined]
        if not self.trainer.enable_validation and not fast_dev_run:
            for monitor in monitors_of_losses(self.trainer):
                check_monitored(monitor, self.trainer.callback_metrics)


def _serialize_data(data: Recorded) -> dict[str, Any]:
    return {**serialize_object(data), "state_key": private.data_state_key(data)}


load = Model.load_from_checkpoint
