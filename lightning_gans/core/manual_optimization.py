"""Base class of all models with manual optimization: one optimizer per player, and the parts of a training step.

A GAN has two players, most other models have one. Each player is finished before the next starts.
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from lightning_gans.checks import check_positive
from lightning_gans.core import distributed, health, private
from lightning_gans.core.batches import explain_single_example, split_batch, sum_terms
from lightning_gans.core.checkpoints import CHECKPOINT_KEY
from lightning_gans.core.lightning_options import check_order
from lightning_gans.core.model import Model
from lightning_gans.core.monitoring import monitors_of_losses
from lightning_gans.core.optimizer_checks import (
    check_dense_step,
    check_rule,
    check_saved_optimizers,
    create_optimizer,
    describe_optimizer,
)
from lightning_gans.core.optimizer_settings import (
    Settings,
    apply_schedules,
    hyperparameters,
    parameters_of,
    restore_overridden,
    without_scheduled,
)
from lightning_gans.core.optimizers import OptimizerFactory
from lightning_gans.core.precision import check_eps, remedy
from lightning_gans.core.schedules import Schedule
from lightning_gans.types import Batch, ImageShape, Losses


class ManualOptimization(Model):
    """Train each player with its own optimizer: accumulation, schedules, clipping, finite checks and logging.

    A subclass implements `players` and `training_step`. `players` returns the parameters of each player.
    `training_step` calls `begin_batch`, then `optimize` for each player, sets `images_seen` to `images_after_batch`,
    and calls `end_batch`.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        optimizers: Factory of each player's optimizer from its parameters, by the player's name.
        schedules: Schedules of each player's optimizer settings, by name ("lr", "beta1", ...).
        accumulate_grad_batches: Number of parts of a batch that are processed one after the other to save memory,
            default 1.
        gradient_clip_val: Largest norm of each player's gradient; None (default) does not clip.

    Attributes:
        images_after_batch: Value of `images_seen` after the current batch.

    Raises:
        ValueError: If a number is out of its range; the message names it.
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        optimizers: Mapping[str, OptimizerFactory],
        schedules: Mapping[str, Mapping[str, Schedule]],
        accumulate_grad_batches: int,
        gradient_clip_val: float | None,
    ) -> None:
        super().__init__(image_shape=image_shape)
        check_positive(accumulate_grad_batches=accumulate_grad_batches)
        if gradient_clip_val is not None and gradient_clip_val <= 0:
            raise ValueError(f"`gradient_clip_val` must be above 0 (None does not clip), got {gradient_clip_val}")
        self.automatic_optimization = False
        self.accumulate_grad_batches = accumulate_grad_batches
        self.gradient_clip_val = gradient_clip_val
        self.images_after_batch = 0
        for player, factory in optimizers.items():
            if not callable(factory):
                raise ValueError(
                    f"the factory of the {player}'s optimizer must be a class or a callable, got {factory!r}"
                )
        self._factories = optimizers
        self._schedules = schedules
        self._player = ""
        self._logs = False
        self._observes = False
        self._is_monitored = False
        self._is_first = True
        self._checks = False
        self._observed: dict[str, Tensor] = {}
        self._share = 1.0
        self._settings: list[Settings] = []
        self._saved_settings: list[Settings] = []
        self._saved_optimizers: list[dict[str, str]] = []
        self._lap = (0, 0.0)

    @abstractmethod
    def players(self) -> dict[str, Iterable[nn.Parameter]]:
        """Return the parameters of each player, in the order of `optimizers`."""

    @final
    def observe(self, name: str, value: Tensor) -> None:
        """Log the batch mean of a quantity that is not a loss; it is computed on logging steps only.

        Args:
            name: Key of the metric, such as "discriminator/real".
            value: Tensor of any shape; its gradient is not needed.
        """
        if self._observes:
            mean = self._share * value.detach().float().mean()
            self._observed[name] = self._observed.get(name, 0.0) + mean

    # -- the parts of a training step ----------------------------------------------------------------------------------

    @final
    def configure_optimizers(self) -> list[Optimizer]:
        """Create the optimizer of each player."""
        players = zip(self.players().items(), self._optimizer_options(), strict=True)
        optimizers = [create_optimizer(self._factories[player], ws, option) for (player, ws), option in players]
        self._settings = [hyperparameters(optimizer) for optimizer in optimizers]
        for optimizer, player in zip(optimizers, self._schedules, strict=True):
            apply_schedules(optimizer, self._schedules[player], self.images_seen)
        return optimizers

    def _optimizer_options(self) -> list[str]:
        """Return the arguments of the constructor that choose the optimizers."""
        return [f"{player}_optimizer" for player in self._factories] if len(self._factories) > 1 else ["optimizer"]

    @final
    def check_optimizers(self, checkpoint: dict[str, Any] | None = None) -> None:
        """Check that the optimizers can be created, can step, and can continue from a checkpoint.

        Weights and random states are unchanged.

        Args:
            checkpoint: Content of the checkpoint, whose optimizer states may be changed; None for new optimizers.

        Raises:
            ValueError: The settings of an optimizer are wrong, it needs a closure or sparse gradients, or the
                checkpoint holds the state of another optimizer.
        """
        options = self._optimizer_options()
        for optimizer, option in zip(self.configure_optimizers(), options, strict=True):
            check_dense_step(optimizer, option)
        if checkpoint is not None:
            record = checkpoint[CHECKPOINT_KEY]
            check_saved_optimizers(
                dict(zip(options, self.configure_optimizers(), strict=True)),
                checkpoint["optimizer_states"],
                settings=self._settings,
                saved_settings=record.get("settings", []),
                saved_optimizers=record.get("optimizers", []),
            )

    @final
    def reset_optimizers(self, checkpoint: dict[str, Any]) -> list[str]:
        """Replace the optimizer states of a checkpoint by those of new optimizers.

        Args:
            checkpoint: Content of the checkpoint, changed in place.

        Returns:
            The names of the classes of the new optimizers.
        """
        optimizers = self.configure_optimizers()
        checkpoint["optimizer_states"] = [optimizer.state_dict() for optimizer in optimizers]
        self._saved_settings, self._saved_optimizers = [], []
        return [type(optimizer).__name__ for optimizer in optimizers]

    def on_fit_start(self) -> None:
        """Check the optimizers, average gradients without DDP's reducer, and seed each process differently."""
        super().on_fit_start()
        for player, optimizer in self._optimizers().items():
            check_eps(player, optimizer, self.trainer.precision)
        private.remove_ddp_reducer(self.trainer, self)
        # saturated sigmoids and decayed weights are subnormal numbers, on which a CPU is ten times slower
        torch.set_flush_denormal(True)
        distributed.decorrelate_rng()

    @final
    def begin_batch(self, batch: Batch) -> None:
        """Count the batch, and decide whether it is logged and checked for NaN."""
        self.images_after_batch = self.images_seen + len(batch["image"]) * self.trainer.world_size
        self.batches_seen += 1
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        self._logs = every > 0 and self.batches_seen % every == 0
        # a callback that monitors a loss looks at it at the end of each epoch
        self._observes = self._logs or (self._is_monitored and (self._is_first or self.trainer.is_last_batch))
        self._is_first = False
        self._checks = (
            self._observes or self.device.type == "cpu"
        )  # elsewhere a check would synchronize with the device

    @final
    def optimize(self, player: str, loss: Callable[[Batch], Losses], batch: Batch) -> bool:
        """Take one optimizer step of a player.

        Args:
            player: Name of the player.
            loss: Computes the named terms of the player's loss.
            batch: The batch.

        Returns:
            Whether a step was taken: False if the loss has no terms.

        Raises:
            NonFiniteError: If the loss or the gradient is NaN or infinite.
            ValueError: If the loss is not a dictionary of scalars, or does not depend on the player's parameters.
        """
        self._player = player
        optimizer = self._optimizers()[player]
        apply_schedules(optimizer, self._schedules[player], self.images_seen)
        with self.toggled_optimizer(optimizer):
            optimizer.zero_grad()
            for part, share in split_batch(batch, self.accumulate_grad_batches):
                self._share = share
                try:
                    terms = loss(part)
                except ValueError as error:
                    explain_single_example(error, len(batch["image"]), self.accumulate_grad_batches)
                    raise
                if isinstance(terms, dict) and not terms:
                    return False
                part_loss = sum_terms(terms, player)
                named = {**terms, "loss": part_loss}
                if self._checks and not part_loss.isfinite():
                    again, images = partial(loss, part), self.images_after_batch
                    raise health.loss_error(self, player, named, part, again, images=images, hint=self._remedy)
                # Lightning runs the backward pass under autocast, which computes a penalty's gradient in 16 bits
                with torch.autocast(part_loss.device.type, enabled=False):
                    self.manual_backward(share * part_loss)
                for name, value in named.items():
                    self.observe(f"{player}/{name}", value)
            self._share = 1.0
            distributed.average_gradients(parameters_of(optimizer))
            private.unscale(self.trainer, optimizer)
            self.trainer.strategy.optimizer_step(optimizer, lambda: None, model=self)
        return True

    @final
    def end_batch(self) -> None:
        """Count the batch in Lightning's `global_step`, and log the observed values."""
        private.count_batch(self.trainer)
        if self._observes:
            self._log()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Measure, check and clip the gradient, which precision plugins have already unscaled."""
        checks = self._checks and not private.uses_grad_scaler(self.trainer)
        if self.gradient_clip_val is None and not self._observes and not checks:
            return
        parameters = [parameter for parameter in parameters_of(optimizer) if parameter.grad is not None]
        norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        self.observe(f"{self._player}/gradient_norm", norm)
        if checks and not norm.isfinite():
            health.check_gradient(self, self._player, images=self.images_after_batch, hint=self._remedy)
        if self.gradient_clip_val is not None:
            clip_grads_with_norm_(parameters, self.gradient_clip_val, norm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the classes of the optimizers, and the settings that they were created with."""
        super().on_save_checkpoint(checkpoint)
        pairs = zip(self._settings, self._schedules.values(), strict=bool(self._settings))
        checkpoint[CHECKPOINT_KEY]["settings"] = [
            without_scheduled(settings, schedules) for settings, schedules in pairs
        ]
        checkpoint[CHECKPOINT_KEY]["optimizers"] = [
            describe_optimizer(optimizer) for optimizer in self.trainer.optimizers
        ]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read the classes of the saved optimizers, and the settings that they were created with."""
        super().on_load_checkpoint(checkpoint)
        self._saved_settings = checkpoint[CHECKPOINT_KEY].get("settings", [])
        self._saved_optimizers = checkpoint[CHECKPOINT_KEY].get("optimizers", [])

    def on_train_start(self) -> None:
        """Start the timer of images per second, and restore settings that differ from the checkpoint's."""
        check_order(self.trainer)
        saved, self._saved_optimizers = self._saved_optimizers, []
        for optimizer, option, description in zip(
            self.trainer.optimizers, self._optimizer_options(), saved, strict=False
        ):
            check_rule(optimizer, option, description)
        previous, self._saved_settings = self._saved_settings or [[] for _ in self._settings], []
        for optimizer, settings, before, schedules in zip(
            self.trainer.optimizers, self._settings, previous, self._schedules.values(), strict=True
        ):
            restore_overridden(optimizer, settings, before)
            apply_schedules(optimizer, schedules, self.images_seen)
        self._lap = (self.images_seen, time.perf_counter())
        self._is_monitored, self._is_first = bool(monitors_of_losses(self.trainer)), True

    @property
    def _remedy(self) -> str:
        return remedy(self.trainer.precision)

    def _optimizers(self) -> dict[str, Optimizer]:
        optimizers: Any = self.optimizers(use_pl_optimizer=False)  # a list, except for a single optimizer
        return dict(zip(self._schedules, optimizers if isinstance(optimizers, list) else [optimizers], strict=True))

    def _log(self) -> None:
        """Log the observed values with the number of batches and of images seen; loggers receive logging steps only."""
        (images, start), now = self._lap, time.perf_counter()
        if self._logs:
            self._lap = (self.images_seen, now)
        for player, optimizer in self._optimizers().items():
            rate = float(optimizer.param_groups[0]["lr"])
            self._observed[f"{player}/learning_rate"] = torch.tensor(rate, dtype=torch.float64)
        metrics: dict[str, Any] = dict(self._observed)
        metrics["images_per_second"] = (self.images_seen - images) / (now - start)
        for name, count in {"images_seen": self.images_seen, "step": self.batches_seen}.items():
            metrics[name] = torch.tensor(count, dtype=torch.float64)  # float32 cannot count beyond 2^24
        self._observed = {}
        self.log_dict(metrics)
