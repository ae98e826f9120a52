"""Diagnosis of training failures that leave all values finite, such as mode collapse."""

import math
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_gans.callbacks.periodic import Periodic
from lightning_gans.callbacks.trainer_access import log_every_n_steps
from lightning_gans.core.batches import as_dict
from lightning_gans.core.gan import GAN
from lightning_gans.core.model import Model
from lightning_gans.core.precision import RANGE
from lightning_gans.types import Batch

NUM_COMPARED = 64
"""Number of samples and examples whose distances are compared."""

PATIENCE = 5
"""Consecutive logging steps for which a symptom in the losses or gradients must last."""

COLLAPSE_PATIENCE = 10
"""Consecutive checks after which nearly identical samples are reported, if the samples have never been diverse."""

DISCRIMINATOR_LOSS, DISCRIMINATOR_GRADIENT = "discriminator/loss", "discriminator/gradient_norm"
GENERATOR_GRADIENT = "generator/gradient_norm"

DIAGNOSES = {
    "overpowering_discriminator": (
        "the discriminator overpowers the generator: its loss and gradient are close to 0",
        "lower its learning rate, regularize it (gradient penalty, dropout), or lower `discriminator_steps`",
    ),
    "unbounded_critic": (
        "the critic's gradient grows without bound, so it overpowers the generator",
        "increase its penalty weight, or lower its learning rate",
    ),
    "vanishing_gradients": (
        "the generator has vanishing gradients",
        "use a non-saturating or Wasserstein loss, and look for dead layers in both networks",
    ),
    "mode_collapse": (
        "the generator shows mode collapse: its samples are nearly identical",
        "lower the learning rates, increase the batch size, or regularize the discriminator",
    ),
}
"""Diagnosis and remedy of each symptom."""


class Doctor(Periodic):
    """Warn once of each failure in which the discriminator no longer provides a useful gradient to the generator.

    It reads the logged metrics on logging steps, and samples of a GAN every `every` images. It changes nothing.

    - *Overpowering discriminator*: its loss and its gradient norm are both below 5 % of their initial values for 5
      logging steps. A loss on logits approaches 0 then; the gradient norm of a Wasserstein critic does not.
    - *Unbounded critic*: the mean real and fake scores differ by more than 10 times the mean distance between examples
      and samples. The scores of a 1-Lipschitz critic cannot.
    - *Vanishing gradients*: the gradient norm of the generator is below 1e-7 for 5 logging steps.
    - *Mode collapse*: the mean distance between samples is below 5 % of the mean distance between examples, after it
      has exceeded this threshold. If it has never exceeded the threshold, the warning comes after 10 checks, because
      the samples of an untrained generator hardly differ.

    Args:
        every: Images between checks of the samples, default 50,000.

    Raises:
        ValueError: If `every` is below 1.
    """

    def __init__(self, *, every: int = 50_000) -> None:
        super().__init__(every=every)
        self._initial: dict[str, float] = {}
        self._consecutive: dict[str, int] = {}
        self._warned: list[str] = []
        self._was_diverse = False
        self._examples: Batch | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the initial values, the counts and the symptoms that were reported."""
        return {
            "initial": self._initial,
            "consecutive": self._consecutive,
            "warned": self._warned,
            "was_diverse": self._was_diverse,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state, so that a resumed run does not repeat a warning."""
        self._initial, self._consecutive = dict(state_dict["initial"]), dict(state_dict["consecutive"])
        self._warned, self._was_diverse = list(state_dict["warned"]), state_dict["was_diverse"]

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """Check the logged metrics on logging steps, and the samples at the interval."""
        every = log_every_n_steps(trainer)
        if isinstance(pl_module, Model) and every > 0 and pl_module.batches_seen % every == 0:
            self._check_metrics(trainer, pl_module)
        _, batch, *_ = rest
        self._examples = batch
        super().on_train_batch_end(trainer, pl_module, *rest)
        self._examples = None

    def _check_metrics(self, trainer: pl.Trainer, model: Model) -> None:
        metrics = trainer.callback_metrics
        current = {key: float(metrics[key]) for key in (DISCRIMINATOR_LOSS, DISCRIMINATOR_GRADIENT) if key in metrics}
        if all(math.isfinite(value) for value in current.values()):  # the first gradients of a GradScaler may not be
            self._initial = {**current, **self._initial}
        small = [0 <= value < 0.05 * self._initial.get(key, 0) for key, value in current.items()]
        self._count("overpowering_discriminator", len(small) == 2 and all(small), PATIENCE, model)
        if GENERATOR_GRADIENT in metrics:
            self._count("vanishing_gradients", float(metrics[GENERATOR_GRADIENT]) < 1e-7, PATIENCE, model)

    def on_interval(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        """Compare samples of a GAN with the examples of the current batch."""
        if not isinstance(model, GAN) or self._examples is None or not trainer.is_global_zero:
            return
        real = self._examples["image"][:NUM_COMPARED].flatten(1).float()
        if len(real) < 2:
            return
        given = {key: as_dict(self._examples)[key][:NUM_COMPARED] for key in model.required_conditions}
        count = len(real) if given else NUM_COMPARED
        fake = model.sample(count, condition=cast("Batch", given), seed=0)["image"].flatten(1).to(real)
        collapsed = _mean_distance(fake) < 0.05 * _mean_distance(real)
        self._count("mode_collapse", collapsed, 1 if self._was_diverse else COLLAPSE_PATIENCE, model)
        self._was_diverse = self._was_diverse or not collapsed
        scores = [trainer.callback_metrics.get(f"discriminator/{key}") for key in ("real", "fake")]
        if scores[0] is not None and scores[1] is not None:
            difference = float(scores[0] - scores[1])
            self._count("unbounded_critic", difference > 10 * float(torch.cdist(real, fake).mean()), 1, model)

    def _count(self, symptom: str, present: bool, patience: int, model: Model) -> None:
        """Count consecutive occurrences of a symptom, and warn once when they reach `patience`."""
        self._consecutive[symptom] = self._consecutive.get(symptom, 0) + 1 if present else 0
        if self._consecutive[symptom] >= patience and symptom not in self._warned:
            self._warned.append(symptom)
            diagnosis, remedy = DIAGNOSES[symptom]
            if symptom == "vanishing_gradients" and str(model.trainer.precision) == "16-true":
                remedy = f"{RANGE}, and gradients are smaller: use `precision` 'bf16-mixed' or '32-true'"
            rank_zero_warn(f"after {model.images_seen:,} images, {diagnosis}; {remedy}")


def _mean_distance(points: Tensor) -> float:
    """Compute the mean distance between all pairs of points."""
    return float(torch.pdist(points).mean())
