"""Callbacks of Lightning that monitor a metric: `EarlyStopping` and `ModelCheckpoint`."""

from collections.abc import Iterable, Mapping

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from lightning_gans.core import private
from lightning_gans.errors import OptionError, did_you_mean

SCORES = "evaluation/"
"""Prefix of the scores, which `Evaluation` computes at its own interval."""

Monitor = EarlyStopping | ModelCheckpoint
"""A callback that can monitor a metric."""


def monitors(trainer: pl.Trainer) -> list[Monitor]:
    """Return the callbacks of a trainer that monitor a metric."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [own for own in callbacks if isinstance(own, EarlyStopping | ModelCheckpoint) and own.monitor is not None]


def monitors_of_scores(trainer: pl.Trainer) -> list[Monitor]:
    """Return the callbacks that monitor a score."""
    return [monitor for monitor in monitors(trainer) if str(monitor.monitor).startswith(SCORES)]


def monitors_of_losses(trainer: pl.Trainer) -> list[Monitor]:
    """Return the callbacks that monitor a metric of the training step."""
    return [monitor for monitor in monitors(trainer) if not str(monitor.monitor).startswith(SCORES)]


def check_monitored(monitor: Monitor, known: Iterable[str]) -> None:
    """Check that a monitored metric exists.

    Args:
        monitor: The callback.
        known: Keys of the metrics that exist.

    Raises:
        OptionError: If the metric does not exist; the message lists those that do.
    """
    known = sorted(known)
    if (key := str(monitor.monitor)) not in known:
        near = did_you_mean(key, known) if len(known) > 12 else ""
        raise OptionError(
            f"`monitor` of {type(monitor).__name__} is {key!r}, which is not logged{near};"
            f" logged: {', '.join(known) or 'nothing'}"
        )


def follow_scores(monitor: Monitor) -> None:
    """Let a callback look at a score when the score is computed, and not at the end of each epoch.

    At the end of an epoch the score may be old: it would count against the patience, and belong to other weights.

    Raises:
        OptionError: If the callback saves at times of its own.
    """
    if isinstance(monitor, ModelCheckpoint) and (option := private.own_interval(monitor)):
        raise OptionError(
            f"`{option}` of ModelCheckpoint does not fit its `monitor` {monitor.monitor!r}, which is computed at the"
            " interval of `Evaluation`: leave one of them out"
        )
    private.look_on_validation_end(monitor)


def publish(trainer: pl.Trainer, model: pl.LightningModule, scores: Mapping[str, float]) -> None:
    """Show scores to the callbacks of Lightning, and let those that monitor one of them act.

    Args:
        trainer: The trainer, on every rank.
        model: The model.
        scores: The scores by key, equal on all ranks.
    """
    trainer.callback_metrics.update({key: torch.tensor(score) for key, score in scores.items()})
    for monitor in monitors_of_scores(trainer):
        if monitor.monitor in scores:
            monitor.on_validation_end(trainer, model)
