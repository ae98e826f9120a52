"""Evaluation of samples against held-out examples."""

import json
import math
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_gans.callbacks.checkpointing import save_atomically
from lightning_gans.callbacks.conditions import held_out_conditions
from lightning_gans.callbacks.loggers import log_scalars
from lightning_gans.callbacks.periodic import Periodic
from lightning_gans.callbacks.run import run_folder
from lightning_gans.callbacks.trainer_access import data_of
from lightning_gans.core.density import DensityModel
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model
from lightning_gans.core.monitoring import SCORES, check_monitored, follow_scores, monitors_of_scores, publish
from lightning_gans.datamodules import DataModule
from lightning_gans.datamodules.ground_truth import GroundTruth
from lightning_gans.files import atomic_write
from lightning_gans.metrics.prdc import PRDCResult, prdc

Score = Literal["precision", "recall", "density", "coverage", "log_prob"]
"""Name of a score that can be monitored."""

HeldOut = Literal["validation", "test"]
"""Name of a split that is used for evaluation."""


VALIDATION = f"{SCORES}validation/"
"""Prefix of the scores on the validation split."""

NUM_TRIED = 64
"""Examples on which the names of a model's own scores are found."""


class Evaluation(Periodic):
    """Compute precision, recall, density and coverage of samples against held-out examples, on pixel features.

    - During training, the validation split is used and scores are logged as `evaluation/validation/<score>`. Validation
      uses as many samples as real examples; with many more, coverage saturates at 1. The checkpoint with the best
      monitored score is saved as `checkpoints/best.ckpt`.
    - Scores on the validation split can be monitored by Lightning's `EarlyStopping` and `ModelCheckpoint`, which then
      act at each evaluation.
    - At the end of training, the test split is used. Scores are logged as `evaluation/test/<score>` and saved with
      their protocol as `evaluation.json`.
    - A model of captions or sound is conditioned on those of the examples of the split.
    - A model may add its own scores on the whole split (`Model.scores`), such as `cluster_accuracy` or `bits_per_dim`.
      Data with a known distribution may add scores too (`GroundTruth.scores`), such as the modes of a mixture.
    - A model that does not generate samples has only its own scores, and the first of them is monitored.

    Source: Naeem et al. 2020, arXiv:2002.09797.

    Args:
        every: Images between evaluations, default 50,000.
        monitor: Score that selects the best checkpoint; higher is better. Default None for the model's own `monitor`:
            `coverage` for GANs, `log_prob` for models that are trained by maximum likelihood, including hybrid
            `FlowGAN` models.
        count: Number of samples, and maximum number of real examples, default 1,000.
        k: Number of nearest neighbors that define the neighborhood of an example, default 5.
        seed: Seed of the samples, default 0.

    Attributes:
        result: Final scores and their protocol; None before the end of training.

    Raises:
        ValueError: If `every` or `k` is below 1, or `count` is not above `k`; in `setup`, if the model cannot be
            monitored by `monitor`.
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
        self._best_score = -math.inf
        self._monitor: str | None = monitor
        self._has_run = False

    def state_dict(self) -> dict[str, Any]:
        """Return the monitored score and its best value."""
        return {"monitor": self._monitor, "best": self._best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best value, unless another score is monitored now."""
        if state_dict["monitor"] == self._monitor:
            self._best_score = state_dict["best"]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Choose the monitored score, and check that the model has it."""
        if not isinstance(pl_module, GenerativeModel):
            self._monitor = None
            if self.monitor is not None:
                raise ValueError(
                    f"`monitor` is {self.monitor}, but a {type(pl_module).__name__} does not generate samples"
                )
        elif self.monitor is None:
            self._monitor = pl_module.monitor
        if self.monitor == "log_prob" and not isinstance(pl_module, DensityModel):
            raise ValueError(f"`monitor` is log_prob, but a {type(pl_module).__name__} has no probabilities")

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the scores that callbacks of Lightning monitor, and let these callbacks follow the evaluations.

        Raises:
            OptionError: If a callback monitors a score that is not computed, or acts at an interval of its own.
        """
        self._has_run = False
        if followers := monitors_of_scores(trainer):
            keys = self._validation_keys(trainer, pl_module)
            for follower in followers:
                check_monitored(follower, keys)
                follow_scores(follower)

    def on_interval(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        """Evaluate on the validation split, and save the best checkpoint."""
        scores = self._evaluate_if_possible(data_of(trainer), model, "validation")
        if scores is None:
            return
        monitor = self._monitor or next(iter(scores))
        improved = trainer.strategy.broadcast(scores[monitor] > self._best_score)
        self._best_score = scores[monitor] if improved else self._best_score
        logged = {f"{VALIDATION}{name}": score for name, score in scores.items()}
        logged[f"{VALIDATION}{monitor}_best"] = self._best_score
        self._has_run = True
        publish(trainer, model, logged)
        if improved:
            save_atomically(trainer, run_folder(trainer) / "checkpoints" / "best.ckpt")
        if trainer.is_global_zero:
            log_scalars(trainer, logged, images=model.images_seen, batches=model.batches_seen)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Evaluate on the test split, and warn if callbacks monitored a score that was never computed."""
        if not self._has_run and (followers := monitors_of_scores(trainer)):
            rank_zero_warn(
                f"{type(followers[0]).__name__} monitors {followers[0].monitor!r}, but training ended before the first"
                f" evaluation, after {self.every:,} images: lower `every` of Evaluation"
            )
        data = data_of(trainer)
        scores = self._evaluate_if_possible(data, pl_module, "test")
        if isinstance(pl_module, Model) and data is not None and scores is not None and trainer.is_global_zero:
            logged = {f"evaluation/test/{name}": score for name, score in scores.items()}
            log_scalars(trainer, logged, images=pl_module.images_seen, batches=pl_module.batches_seen)
            self.result = {**scores, **self.protocol(pl_module, data, "test"), "images_seen": pl_module.images_seen}
            with atomic_write(run_folder(trainer) / "evaluation.json") as part:
                part.write_text(json.dumps(self.result, indent=2) + "\n")

    def protocol(self, model: Model, data: DataModule, split: HeldOut) -> dict[str, Any]:
        """Return the settings that the scores depend on.

        Args:
            model: Model to evaluate.
            data: Data module of the real examples.
            split: "validation" or "test".
        """
        if not isinstance(model, GenerativeModel):
            return {"split": split, "real": data.sizes[split]}
        return {
            "split": split,
            "features": "pixels",
            "k": self.k,
            "real": min(self.count, data.sizes[split]),
            "generated": self.count,
            "weights": "EMA",
            "seed": self.seed,
            **(model.protocol() if isinstance(model, DensityModel) else {}),
        }

    def _evaluate_if_possible(
        self, data: DataModule | None, model: pl.LightningModule, split: HeldOut
    ) -> dict[str, float] | None:
        """Compute the scores, equal on all ranks; None if the model cannot be evaluated on the split."""
        if data is None or not isinstance(model, Model) or not self._can_evaluate(data, model, split):
            return None
        if not isinstance(model, GenerativeModel):
            return self.evaluate(model, data, split) or None
        generated = min(self.count, data.sizes[split]) if split == "validation" else self.count
        return self.evaluate(model, data, split, generated=generated)

    def _validation_keys(self, trainer: pl.Trainer, model: pl.LightningModule) -> list[str]:
        """List the keys of the validation scores, without sampling from the model."""
        data = data_of(trainer)
        if data is None or not isinstance(model, Model) or not self._can_evaluate(data, model, "validation"):
            return []
        names = list(model.scores(data.examples("validation", NUM_TRIED)))
        if isinstance(model, GenerativeModel):
            names += PRDCResult._fields
            if isinstance(data, GroundTruth):
                names += data.scores(lambda n: data.examples("train", n)["image"])
        return [f"{VALIDATION}{name}" for name in (*names, f"{self._monitor or names[0]}_best")]

    def _can_evaluate(self, data: DataModule, model: Model, split: HeldOut) -> bool:
        if not isinstance(model, GenerativeModel):
            return data.sizes[split] > 0
        return data.sizes[split] > self.k and held_out_conditions(model, data, 1, split=split) is not None

    def evaluate(
        self, model: Model, data: DataModule, split: HeldOut, *, generated: int | None = None
    ) -> dict[str, float]:
        """Compute the scores of a model on a split.

        Args:
            model: Model to evaluate.
            data: Data module of the real examples.
            split: "validation" or "test".
            generated: Number of samples, default None for `count`.

        Returns:
            Scores by name.
        """
        if not isinstance(model, GenerativeModel):
            return model.scores(data.examples(split))

        def sample(n: int) -> Tensor:
            condition = held_out_conditions(model, data, n, split=split)
            return model.sample(n, condition=condition, seed=self.seed)["image"]

        real = data.examples(split, self.count)["image"]
        fake = sample(generated or self.count).to(real)
        scores = {**prdc(real.flatten(1), fake.flatten(1), k=self.k)._asdict(), **model.scores(data.examples(split))}
        if isinstance(data, GroundTruth):
            scores |= data.scores(sample)
        return scores
