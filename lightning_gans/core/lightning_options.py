"""Check the arguments and the callbacks of a Lightning trainer: those that would do harm or nothing are refused.

`docs/lightning.md` lists all arguments and callbacks of Lightning, and what this module does about each.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytorch_lightning as pl
from pytorch_lightning import callbacks
from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_gans.core import distributed, private

REFUSED_CALLBACKS: dict[type[pl.Callback], str] = {
    callbacks.BaseFinetuning: "freezes weights of a `backbone` and adds them to an optimizer later, which no player"
    " expects: freeze weights in the constructor of the model, by `requires_grad_(False)`",
    callbacks.BasePredictionWriter: "acts in `Trainer.predict` only: `sample RUN --output FOLDER` writes samples",
    callbacks.BatchSizeFinder: "trains on trial batches and changes `batch_size`, on which a GAN's result depends:"
    " `fit --dry_run` prints the memory that a batch size needs",
    callbacks.GradientAccumulationScheduler: "has no effect under manual optimization: set `accumulate_grad_batches`"
    " of the model",
    callbacks.LearningRateFinder: "needs a single loss and a single optimizer: try learning rates in short runs",
    callbacks.ModelPruning: "renames the weights, so that neither the EMA nor a checkpoint finds them",
    callbacks.OnExceptionCheckpoint: "resumes the next run from its file without a word, and deletes the file:"
    " `Checkpointing` saves `last.ckpt`",
    callbacks.SpikeDetection: "needs a single loss from `training_step`: `Doctor` watches the losses of a GAN",
    callbacks.StochasticWeightAveraging: "averages both players and changes the learning rates: `ema_half_life` of the"
    " model averages the generator",
    callbacks.WeightAveraging: "averages both players, and saves the averages in place of the weights: `ema_half_life`"
    " of the model averages the generator",
}
"""Callbacks of Lightning that models of this framework cannot use, each with the reason and a replacement."""


class _EvaluationOption(NamedTuple):
    """An argument that acts in one of Lightning's evaluation loops only.

    Attributes:
        step: The method of the model that the loop calls.
        value: The value of the argument.
        neutral: Values that request nothing.
    """

    step: str
    value: Any
    neutral: tuple[Any, ...]


def check_lightning_options(trainer: pl.Trainer, model: pl.LightningModule) -> None:
    """Check that every argument and every callback of a trainer has its meaning for a model.

    Args:
        trainer: Trainer of Lightning, or of this framework.
        model: The model to train.

    Raises:
        ValueError: If a callback, the strategy or an argument cannot be used; the message names it and a replacement.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        for cls, reason in REFUSED_CALLBACKS.items():
            if isinstance(callback, cls):
                raise ValueError(f"the callback {type(callback).__name__} {reason}")
    distributed.check_strategy(trainer.strategy)
    if (algorithm := trainer.gradient_clip_algorithm) is not None:
        raise ValueError(
            f"`gradient_clip_algorithm` {str(algorithm)!r} of the trainer has no effect here: each player's gradient is"
            " clipped by its norm, `gradient_clip_val` of the model"
        )
    if trainer.limit_train_batches == 0:
        raise ValueError("`limit_train_batches` 0 trains on no batch: raise it")
    for name, option in _evaluation_options(trainer).items():
        if not is_overridden(option.step, model) and not _is_neutral(option):
            raise ValueError(
                f"`{name}` {option.value!r} has no effect, because {type(model).__name__} has no `{option.step}`:"
                " `Evaluation` scores samples at its own interval, `every` images"
            )


def check_order(trainer: pl.Trainer) -> None:
    """Check that every epoch has the same batches if the trainer overfits some batches.

    Raises:
        ValueError: If a loader without a sampler, whose order Lightning cannot change, shuffles.
    """
    overfits: float = trainer.overfit_batches  # type: ignore[attr-defined]
    if overfits and getattr(trainer.train_dataloader, "shuffle", False):
        name = type(trainer.train_dataloader).__name__
        raise ValueError(f"`overfit_batches` needs the same batches in each epoch: {name}(shuffle=False)")


def _evaluation_options(trainer: pl.Trainer) -> dict[str, _EvaluationOption]:
    """Return the arguments that act in evaluation loops, except for those that another argument has set."""
    options = {
        "val_check_interval": _EvaluationOption("validation_step", private.val_check_interval(trainer), (1.0,)),
        "check_val_every_n_epoch": _EvaluationOption("validation_step", trainer.check_val_every_n_epoch, (1,)),
        "num_sanity_val_steps": _EvaluationOption("validation_step", trainer.num_sanity_val_steps, (0, 2)),
        "limit_val_batches": _EvaluationOption("validation_step", trainer.limit_val_batches, (0, 0.0, 1.0)),
        "limit_test_batches": _EvaluationOption("test_step", trainer.limit_test_batches, (0, 0.0, 1.0)),
        "limit_predict_batches": _EvaluationOption("predict_step", trainer.limit_predict_batches, (0, 0.0, 1.0)),
        "inference_mode": _EvaluationOption("validation_step", trainer.validate_loop.inference_mode, (True,)),
    }
    return {name: option for name, option in options.items() if name not in set(_set_by_others(trainer))}


def _set_by_others(trainer: pl.Trainer) -> Iterator[str]:
    if trainer.overfit_batches:  # type: ignore[attr-defined]
        yield "limit_val_batches"
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        yield from ("limit_val_batches", "limit_test_batches", "limit_predict_batches")


def _is_neutral(option: _EvaluationOption) -> bool:
    """Find whether a value requests nothing; as a limit, 1 means one batch, but 1.0 means all batches."""
    return any(type(option.value) is type(value) and option.value == value for value in option.neutral)
