"""Warnings of a game that goes wrong while every number is still one."""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_gans.callbacks.periodic import Periodic
from lightning_gans.core.gan import GAN
from lightning_gans.core.model import Model

COUNT = 64
"""Examples whose distances are measured."""

PATIENCE = 5
"""Logging steps in a row that a symptom of the losses or gradients has to last."""

CHECKS = 10
"""Checks after which samples should differ, if they never did."""

LOSS, GRADIENT, GENERATOR = "discriminator/loss", "discriminator/gradient_norm", "generator/gradient_norm"

DIAGNOSES = {
    "winning": (
        "the discriminator always wins",
        "lower its learning rate, regularize it (a penalty, dropout), or give the generator more steps",
    ),
    "steep": (
        "the critic's slope grows without bound, so that it always wins",
        "raise the weight of its penalty, or lower its learning rate",
    ),
    "vanished": (
        "the generator's gradient has vanished",
        "use a non-saturating or a Wasserstein loss, and look for dead layers in both networks",
    ),
    "collapsed": (
        "the samples are nearly all the same",
        "lower the learning rates, enlarge the batch, or regularize the discriminator",
    ),
}
"""By symptom: what is the case, and what to try."""


class Doctor(Periodic):
    """Warn, once per cause, of a game that has stopped teaching its generator.

    It looks at what is logged, on logging steps, and at samples, every so many images, and changes nothing:

    - *The discriminator always wins*: its loss and its gradient are both below 5 % of what they were at first. A logit
      game's loss falls to 0 then, and nothing is left to learn; a critic's gradient does not.
    - *The critic's slope grows without bound*: real and generated scores are further apart than 10 times the distance
      of real and generated examples, which a critic of slope 1 cannot do.
    - *The generator's gradient has vanished*: its norm is below 1e-7.
    - *The samples are nearly all the same*: their mean distance is below 5 % of the real examples', and was not always;
      or still is after 10 looks, since an untrained generator's samples hardly differ.

    Args:
        every: Images from one look at samples to the next.

    Raises:
        ValueError: `every` is below 1.
    """

    def __init__(self, *, every: int = 50_000) -> None:
        super().__init__(every=every)
        self._first: dict[str, float] = {}
        self._lasted: dict[str, int] = {}
        self._warned: list[str] = []
        self._spread = False
        self._real: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """What it has seen and said."""
        return {"first": self._first, "lasted": self._lasted, "warned": self._warned, "spread": self._spread}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._first, self._lasted = dict(state_dict["first"]), dict(state_dict["lasted"])
        self._warned, self._spread = list(state_dict["warned"]), state_dict["spread"]

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """Look at what was logged, and, where it is time, at samples."""
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if isinstance(pl_module, Model) and every > 0 and pl_module.batches_seen % every == 0:
            self._look(trainer, pl_module)
        _, batch, *_ = rest
        self._real = batch["image"]
        super().on_train_batch_end(trainer, pl_module, *rest)
        self._real = None

    def _look(self, trainer: pl.Trainer, model: Model) -> None:
        logged = {
            key: float(trainer.callback_metrics[key]) for key in (LOSS, GRADIENT) if key in trainer.callback_metrics
        }
        if all(math.isfinite(value) for value in logged.values()):  # a GradScaler's first gradients may not be
            self._first = {**logged, **self._first}
        fallen = [0 <= value < 0.05 * self._first.get(key, 0) for key, value in logged.items()]
        self._count("winning", len(fallen) == 2 and all(fallen), PATIENCE, model)
        if GENERATOR in trainer.callback_metrics:
            self._count("vanished", float(trainer.callback_metrics[GENERATOR]) < 1e-7, PATIENCE, model)

    def on_interval(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        """Compare samples with the real examples of the present batch."""
        if not isinstance(model, GAN) or model.required_conditions or self._real is None or len(self._real) < 2:
            return
        if not trainer.is_global_zero:
            return
        real = self._real[:COUNT].flatten(1).float()
        fake = model.sample(COUNT, seed=0)["image"].flatten(1).to(real)
        same = _distance(fake) < 0.05 * _distance(real)
        self._count("collapsed", same, 1 if self._spread else CHECKS, model)
        self._spread = self._spread or not same
        scores = [trainer.callback_metrics.get(f"discriminator/{key}") for key in ("real", "fake")]
        if scores[0] is not None and scores[1] is not None:
            gap = float(scores[0] - scores[1])
            self._count("steep", gap > 10 * float(torch.cdist(real, fake).mean()), 1, model)

    def _count(self, symptom: str, present: bool, patience: int, model: Model) -> None:
        """Count how often a symptom was there in a row; warn when that is enough."""
        self._lasted[symptom] = self._lasted.get(symptom, 0) + 1 if present else 0
        if self._lasted[symptom] >= patience and symptom not in self._warned:
            self._warned.append(symptom)
            what, cure = DIAGNOSES[symptom]
            rank_zero_warn(f"after {model.images_seen:,} images {what}: {cure}")


def _distance(examples: Tensor) -> float:
    """The mean distance between two different ones."""
    return float(torch.pdist(examples).mean())
