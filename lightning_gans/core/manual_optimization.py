"""What every model's training step is made of: a player's weights move down the gradient of its loss, all else watches.

A game has two players, most other models one. Each is finished before the next starts, on the clock of images seen.
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from lightning_gans.checks import check_positive
from lightning_gans.core import distributed, health, private
from lightning_gans.core.batches import split, sum_terms
from lightning_gans.core.model import CHECKPOINT_KEY, Model
from lightning_gans.core.optimizers import (
    OptimizerFactory,
    Settings,
    apply_schedules,
    hyperparameters,
    parameters_of,
    restore_overridden,
    without_scheduled,
)
from lightning_gans.core.schedules import Schedule
from lightning_gans.types import Batch, ImageShape, Losses


class ManualOptimization(Model):
    """Train players by an optimizer each: parts of a batch, schedules, clipping, checks, and the logging of it all.

    A subclass says whose weights are whose (`players`), and plays (`training_step`): `begin_batch`, `optimize` for each
    player, `images_seen` set to `images_after_batch`, `end_batch`.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        optimizers: Makes each player's optimizer from its parameters, by the name of the player.
        schedules: What drives the settings of each player's optimizer, by name ("lr", "beta1", ...).
        accumulate_grad_batches: Parts that a batch is split into, one after the other, to save memory.
        gradient_clip_val: Largest norm of each player's gradient; None does not clip.

    Attributes:
        images_after_batch: Images seen once the present batch is over.

    Raises:
        ValueError: A number is out of its range; it is named.
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
                    f"the optimizer of the {player} must be made by a class or a callable, got {factory!r}"
                )
        self._factories = optimizers
        self._schedules = schedules
        self._player = ""
        self._observes = False
        self._checks = False
        self._observed: dict[str, Tensor] = {}
        self._share = 1.0
        self._settings: list[Settings] = []
        self._saved_settings: list[Settings] = []
        self._lap = (0, 0.0)

    @abstractmethod
    def players(self) -> dict[str, Iterable[nn.Parameter]]:
        """The weights of each player, in the order of `optimizers`."""

    def observe(self, name: str, value: Tensor) -> None:
        """Log the mean over the batch of what is not a loss; costs nothing but on logging steps."""
        if self._observes:
            mean = self._share * value.detach().float().mean()
            self._observed[name] = self._observed.get(name, 0.0) + mean

    # -- the parts of a training step: nobody overrides what follows ------------------------------------------------

    def configure_optimizers(self) -> list[Optimizer]:
        """Make each player's optimizer."""
        optimizers = [self._factories[player](weights) for player, weights in self.players().items()]
        self._settings = [hyperparameters(optimizer) for optimizer in optimizers]
        for optimizer, player in zip(optimizers, self._schedules, strict=True):
            apply_schedules(optimizer, self._schedules[player], self.images_seen)
        return optimizers

    def on_fit_start(self) -> None:
        """Take over from Lightning's strategy what several processes have to agree on."""
        super().on_fit_start()
        distributed.check_strategy(self.trainer.strategy)
        if (algorithm := self.trainer.gradient_clip_algorithm) is not None:
            raise ValueError(
                f"`gradient_clip_algorithm` {algorithm} of the trainer has no effect here: each player's gradient is"
                " clipped by its norm, `gradient_clip_val` of the model"
            )
        private.remove_ddp_reducer(self.trainer, self)
        # what a sigmoid sends to 0 and what weights decay to are subnormal numbers, on which a CPU is ten times slower
        torch.set_flush_denormal(True)
        distributed.decorrelate_rng()

    def begin_batch(self, batch: Batch) -> None:
        """Count the batch, and find out what is to be looked at in it."""
        self.images_after_batch = self.images_seen + len(batch["image"]) * self.trainer.world_size
        self.batches_seen += 1
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        self._observes = every > 0 and self.batches_seen % every == 0
        self._checks = self._observes or self.device.type == "cpu"  # elsewhere a look would wait for the device

    def optimize(self, player: str, loss: Callable[[Batch], Losses], batch: Batch) -> bool:
        """Move one player down the gradient of its loss; False when it has none."""
        self._player = player
        optimizer = self._optimizers()[player]
        apply_schedules(optimizer, self._schedules[player], self.images_seen)
        with self.toggled_optimizer(optimizer):
            optimizer.zero_grad()
            for part, share in split(batch, self.accumulate_grad_batches):
                self._share = share
                terms = loss(part)
                if isinstance(terms, dict) and not terms:
                    return False
                loss_of_part = sum_terms(terms, player)
                named = {**terms, "loss": loss_of_part}
                if self._checks and not loss_of_part.isfinite():
                    raise health.loss_error(
                        self, player, named, part, partial(loss, part), images=self.images_after_batch
                    )
                # under autocast, where Lightning has it, a penalty's gradient would have 16 bits
                with torch.autocast(loss_of_part.device.type, enabled=False):
                    self.manual_backward(share * loss_of_part)
                for name, value in named.items():
                    self.observe(f"{player}/{name}", value)
            self._share = 1.0
            distributed.average_gradients(parameters_of(optimizer))
            private.unscale(self.trainer, optimizer)
            self.trainer.strategy.optimizer_step(optimizer, lambda: None, model=self)
        return True

    def end_batch(self) -> None:
        """Let Lightning count the batch, and log what was observed."""
        private.count_batch(self.trainer)
        if self._observes:
            self._log()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Measure, check and clip the gradient, which precision plugins have unscaled by now."""
        checks = self._checks and not private.uses_grad_scaler(self.trainer)
        if self.gradient_clip_val is None and not self._observes and not checks:
            return
        parameters = [parameter for parameter in parameters_of(optimizer) if parameter.grad is not None]
        norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        self.observe(f"{self._player}/gradient_norm", norm)
        if checks and not norm.isfinite():
            health.check_gradient(self, self._player, images=self.images_after_batch)
        if self.gradient_clip_val is not None:
            clip_grads_with_norm_(parameters, self.gradient_clip_val, norm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the optimizers were made with."""
        super().on_save_checkpoint(checkpoint)
        pairs = zip(self._settings, self._schedules.values(), strict=bool(self._settings))
        checkpoint[CHECKPOINT_KEY]["settings"] = [
            without_scheduled(settings, schedules) for settings, schedules in pairs
        ]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what the optimizers were made with then."""
        super().on_load_checkpoint(checkpoint)
        self._saved_settings = checkpoint[CHECKPOINT_KEY].get("settings", [])

    def on_train_start(self) -> None:
        """Start the clock of images per second; let the settings of this run win over those of a checkpoint."""
        previous, self._saved_settings = self._saved_settings or [[] for _ in self._settings], []
        for optimizer, settings, before, schedules in zip(
            self.trainer.optimizers, self._settings, previous, self._schedules.values(), strict=True
        ):
            restore_overridden(optimizer, settings, before)
            apply_schedules(optimizer, schedules, self.images_seen)
        self._lap = (self.images_seen, time.perf_counter())

    def _optimizers(self) -> dict[str, Optimizer]:
        optimizers: Any = self.optimizers(use_pl_optimizer=False)  # a list, but of a single one that one itself
        return dict(zip(self._schedules, optimizers if isinstance(optimizers, list) else [optimizers], strict=True))

    def _log(self) -> None:
        """Hand everything observed in this step to Lightning, on the clock of batches and of images."""
        (images, start), self._lap = self._lap, (self.images_seen, time.perf_counter())
        for player, optimizer in self._optimizers().items():
            rate = float(optimizer.param_groups[0]["lr"])
            self._observed[f"{player}/learning_rate"] = torch.tensor(rate, dtype=torch.float64)
        metrics: dict[str, Any] = dict(self._observed)
        metrics["images_per_second"] = (self.images_seen - images) / (self._lap[1] - start)
        for name, count in {"images_seen": self.images_seen, "step": self.batches_seen}.items():
            metrics[name] = torch.tensor(count, dtype=torch.float64)  # float32 stops counting at 2^24
        self._observed = {}
        self.log_dict(metrics)
