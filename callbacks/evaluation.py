"""How close samples come to held-out examples, in numbers."""

import json
import math
from typing import Any, Literal

import pytorch_lightning as pl

from lightning_gans.callbacks.checkpointing import save_atomically
from lightning_gans.callbacks.periodic import Periodic
from lightning_gans.callbacks.run import run_folder
from lightning_gans.callbacks.tracking import log_scalars
from lightning_gans.callbacks.trainer_access import data_of
from lightning_gans.core.density import DensityModel
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model
from lightning_gans.datamodules import DataModule
from lightning_gans.datamodules.ground_truth import GroundTruth
from lightning_gans.files import atomic_write
from lightning_gans.metrics.prdc import prdc

Score = Literal["precision", "recall", "density", "coverage", "log_prob"]


class Evaluation(Periodic):
    """Score samples against held-out examples: precision, recall, density and coverage of pixels.

    A model may have scores of its own beside them, on the whole split (`Model.scores`), such as `cluster_accuracy` or
    `bits_per_dim`, and so may data whose truth is known (`GroundTruth.scores`), such as the modes of a mixture. A model that
    makes no samples has only its own, and the best checkpoint is the best by the first of them.

    During training the validation split is asked, with as many samples as it has examples (many more would cover them
    all), and `checkpoints/best.ckpt` is the best by `monitor`; at the end the test split, into `evaluation.json`. Scores
    are `evaluation/<split>/<score>`.

    Source: Naeem et al. 2020, arXiv:2002.09797.

    Args:
        every: Images from one evaluation to the next.
        monitor: What the best checkpoint is best by; None takes what suits the model: `coverage` of games, `log_prob`
            of models that are taught by it, among them the hybrids of `FlowGAN`.
        count: How many examples are generated, and how many real ones are compared with them at most.
        k: Nearest neighbors that make an example's neighborhood.
        seed: Seed of the samples.

    Attributes:
        result: The final scores and their protocol.

    Raises:
        ValueError: A number is below 1, or `count` is not above `k`.
    """

    def __init__(
        self, *, every: int = 50_000, monitor: Score | None = None, count: int = 1000, k: int = 5, seed: int = 0
    ) -> None:
        super().__init__(every=every)
        if k < 1:
            raise ValueError(f"`k` must be at least 1, got {k}")
        if count <= k:
            raise ValueError(f"`count` must be above `k` ({k}), got {count}")
        self.monitor = monitor
        self.count = count
        self.k = k
        self.seed = seed
        self.result: dict[str, Any] | None = None
        self._best = -math.inf
        self._by: str | None = monitor

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run has to beat."""
        return {"monitor": self._by, "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there, unless it is now measured by another metric."""
        if state_dict["monitor"] == self._by:
            self._best = state_dict["best"]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Choose what suits the model, and refuse what it cannot be measured by."""
        if not isinstance(pl_module, GenerativeModel):
            self._by = None
            if self.monitor is not None:
                raise ValueError(f"`monitor` is {self.monitor}, but a {type(pl_module).__name__} makes no samples")
        elif self.monitor is None:
            self._by = pl_module.monitor
        if self.monitor == "log_prob" and not isinstance(pl_module, DensityModel):
            raise ValueError(f"`monitor` is log_prob, but a {type(pl_module).__name__} has no probabilities")

    def on_interval(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        """Score the validation split; keep the best."""
        scores = self._scores(data_of(trainer), model, "validation")
        if scores is None:
            return
        metric = self._by or next(iter(scores))
        improved = trainer.strategy.broadcast(scores[metric] > self._best)
        if improved:
            self._best = scores[metric]
            save_atomically(trainer, run_folder(trainer) / "checkpoints" / "best.ckpt")
        if trainer.is_global_zero:
            named = {f"evaluation/validation/{name}": score for name, score in scores.items()}
            named[f"evaluation/validation/{metric}_best"] = self._best
            log_scalars(trainer, named, images=model.images_seen, batches=model.batches_seen)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the test split."""
        data = data_of(trainer)
        scores = self._scores(data, pl_module, "test")
        if isinstance(pl_module, Model) and data is not None and scores is not None and trainer.is_global_zero:
            named = {f"evaluation/test/{name}": score for name, score in scores.items()}
            log_scalars(trainer, named, images=pl_module.images_seen, batches=pl_module.batches_seen)
            self.result = {**scores, **self.protocol(pl_module, data, "test"), "images_seen": pl_module.images_seen}
            with atomic_write(run_folder(trainer) / "evaluation.json") as part:
                part.write_text(json.dumps(self.result, indent=2) + "\n")

    def protocol(self, model: Model, data: DataModule, split: Literal["validation", "test"]) -> dict[str, Any]:
        """What the numbers depend on."""
        if not isinstance(model, GenerativeModel):
            return {"split": split, "real": data.sizes[split]}
        return {
            "split": split,
            "features": "pixels",
            "k": self.k,
            "real": min(self.count, data.sizes[split]),
            "generated": self.count,
            "weights": "averaged",
            "seed": self.seed,
            **(model.protocol() if isinstance(model, DensityModel) else {}),
        }

    def _scores(
        self, data: DataModule | None, model: pl.LightningModule, split: Literal["validation", "test"]
    ) -> dict[str, float] | None:
        """The scores, the same on every rank; None where there is nothing to compare."""
        if data is None or not isinstance(model, Model) or not data.sizes[split]:
            return None
        if not isinstance(model, GenerativeModel):
            return self.evaluate(model, data, split) or None
        if model.required_conditions or data.sizes[split] <= self.k:
            return None
        generated = min(self.count, data.sizes[split]) if split == "validation" else self.count
        return self.evaluate(model, data, split, generated=generated)

    def evaluate(
        self,
        model: Model,
        data: DataModule,
        split: Literal["validation", "test"],
        *,
        generated: int | None = None,
    ) -> dict[str, float]:
        """Score a model's samples against a split, and the model on it.

        Args:
            model: The model.
            data: The data.
            split: "validation" or "test".
            generated: How many samples; None for `count`.
        """
        if not isinstance(model, GenerativeModel):
            return model.scores(data.examples(split))
        real = data.examples(split, self.count)["image"]
        fake = model.sample(generated or self.count, seed=self.seed)["image"].to(real)
        scores = {**prdc(real.flatten(1), fake.flatten(1), k=self.k)._asdict(), **model.scores(data.examples(split))}
        if isinstance(data, GroundTruth):
            scores |= data.scores(lambda n: model.sample(n, seed=self.seed)["image"])
        return scores
