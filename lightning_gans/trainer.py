"""The trainer of the command line, which scripts and notebooks use as well."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger

from lightning_gans.callbacks import Checkpointing, Doctor, Evaluation, GracefulShutdown, Progress, Run, Samples, Wandb
from lightning_gans.callbacks.trainer_access import callbacks_of
from lightning_gans.core.checkpoints import CHECKPOINT_KEY, find_checkpoint, latest_checkpoint, read_checkpoint, run_of
from lightning_gans.core.hooks import check_hooks
from lightning_gans.core.model import Model

DEFAULT_IMAGES = 200_000
"""Images that a run without any limit is trained on."""

DEFAULT_CALLBACKS: dict[type[Callback], str | None] = {
    Run: "run",
    Wandb: "wandb",
    Samples: "samples",
    Evaluation: "evaluation",
    Doctor: "doctor",
    Checkpointing: "save",
    GracefulShutdown: None,
    Progress: None,
}
"""The callbacks of every trainer, each with the prefix of its options on the command line, if it has options there.

Lightning calls them in this order, except that it moves checkpoint callbacks (`Checkpointing`) to the end of the list.
`Run` is first because it creates the folder that the others write to.
"""

_IGNORED_WARNINGS = (
    "Found .* module.* in eval mode",  # the EMA of the generator
    "You passed in a `val_dataloader` but have no `validation_step`",  # `Evaluation` uses the validation data
    "The number of training batches .* is smaller than the logging interval",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # in Lightning's own code
)
"""Warnings of Lightning that do not apply to this framework."""


class Trainer(pl.Trainer):
    """A `pytorch_lightning.Trainer` with a run folder, samples, scores, checkpoints, W&B, diagnostics and progress.

    Each of these is a callback of `lightning_gans.callbacks`. A callback that is given replaces the default of its
    class: `Trainer(callbacks=[Run(max_images=50_000), Samples(every=5000), Wandb(mode="disabled")])`.

    Args:
        callbacks: Callbacks of your own, and those of this framework that differ from their defaults.
        precision: Precision of Lightning; None selects "bf16-mixed" on a GPU that supports it, else "32-true".
        logger: Loggers in addition to those of the run folder and of W&B; False, True and None add none.
        enable_checkpointing: Whether to save checkpoints.
        enable_progress_bar: Whether to print progress.
        enable_model_summary: Whether to print Lightning's table of layers.
        max_steps: Maximum number of training batches; -1 sets no limit.
        max_epochs: Maximum number of passes over the data; None sets no limit.
        max_time: Maximum training time.
        fast_dev_run: Number of batches of a trial run that saves nothing (True for 1), default False.
        **kwargs: Other arguments of `pytorch_lightning.Trainer`.

    Raises:
        ValueError: An argument belongs to the model instead, a callback is given twice, or the strategy is
            `ddp_spawn`.

    Example:
        >>> trainer = Trainer(callbacks=[Run(max_images=1000), Wandb(mode="disabled")], accelerator="cpu")
        >>> [type(callback).__name__ for callback in trainer.callbacks]
        ['Run', 'Wandb', 'Samples', 'Evaluation', 'Doctor', 'GracefulShutdown', 'Progress', 'Checkpointing']
    """

    def __init__(
        self,
        *,
        callbacks: list[Callback] | Callback | None = None,
        precision: Any = None,
        logger: Logger | Iterable[Logger] | bool | None = None,
        enable_checkpointing: bool = True,
        enable_progress_bar: bool = True,
        enable_model_summary: bool = False,
        max_steps: int = -1,
        max_epochs: int | None = None,
        max_time: str | timedelta | dict[str, int] | None = None,
        fast_dev_run: int | bool = False,
        **kwargs: Any,
    ) -> None:
        for option, neutral in {"gradient_clip_val": None, "accumulate_grad_batches": 1}.items():
            if kwargs.get(option, neutral) not in (None, neutral):
                raise ValueError(f"`{option}` belongs to the model, which applies it to each player: --model.{option}")
        if str(kwargs.get("strategy", "")).startswith("ddp_spawn"):
            raise ValueError(f"`strategy` {kwargs['strategy']!r} would copy the run to other processes: use 'ddp'")
        given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or [])
        run = next((callback for callback in given if isinstance(callback, Run)), Run())
        if max_epochs is None and max_steps == -1 and max_time is None and run.max_images is None:
            run.max_images = DEFAULT_IMAGES
        super().__init__(
            callbacks=_with_defaults(
                given if run in given else [*given, run],
                _enabled(enable_checkpointing, enable_progress_bar, bool(fast_dev_run)),
            ),
            precision=precision or _best_precision(kwargs.get("accelerator", "auto")),
            logger=logger if isinstance(logger, Logger | Iterable) else False,
            enable_checkpointing=enable_checkpointing,
            enable_progress_bar=enable_progress_bar,
            enable_model_summary=enable_model_summary,
            max_steps=max_steps,
            max_epochs=-1 if max_epochs is None else max_epochs,
            max_time=max_time,
            fast_dev_run=fast_dev_run,
            **kwargs,
        )

    def fit(  # noqa: PLR0917 (the signature is Lightning's)
        self,
        model: pl.LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: pl.LightningDataModule | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Train a model.

        Args:
            model: The model.
            train_dataloaders: A data module, or an iterable of batches, such as a `DataLoader` or a list.
            val_dataloaders: Batches for a model with a `validation_step`.
            datamodule: A data module.
            ckpt_path: The checkpoint to resume from: its path, the path of a run folder, or "last" for the latest run.
            weights_only: Whether to load the checkpoint as plain data only; None does, which suffices for checkpoints
                of this framework.

        Raises:
            ValueError: The checkpoint does not exist, cannot be read, or belongs to another model.
        """
        if isinstance(model, Model):
            check_hooks(type(model))  # before a run folder is created
        if ckpt_path is not None:
            roots = [run.root for run in callbacks_of(self, Run)]
            ckpt_path = latest_checkpoint(roots[0]) if ckpt_path == "last" and roots else find_checkpoint(ckpt_path)
            checkpoint = read_checkpoint(ckpt_path)  # an error is raised before a run folder is created
            if isinstance(model, Model):
                model.check_checkpoint(checkpoint)
            for run in callbacks_of(self, Run):
                run.continue_from(run_of(ckpt_path), checkpoint[CHECKPOINT_KEY]["images_seen"])
        if isinstance(train_dataloaders, list | tuple) and all(isinstance(b, Mapping) for b in train_dataloaders):
            train_dataloaders = _Batches(train_dataloaders)  # Lightning takes a list for several loaders
        with warnings.catch_warnings():
            for message in _IGNORED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            super().fit(
                model, train_dataloaders, val_dataloaders, datamodule, ckpt_path, weights_only is None or weights_only
            )


class _Batches:
    """A loader of batches that are in memory."""

    def __init__(self, batches: Sequence[Mapping[str, Any]]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._batches)


def _enabled(enable_checkpointing: bool, enable_progress_bar: bool, fast_dev_run: bool) -> list[type[Callback]]:
    """Select the default callbacks that the options of the trainer leave enabled."""
    disabled: set[type[Callback]] = DEFAULT_CALLBACKS.keys() - {Progress} if fast_dev_run else set()
    if not enable_checkpointing:
        disabled |= {Checkpointing, GracefulShutdown}
    if not enable_progress_bar:
        disabled.add(Progress)
    return [cls for cls in DEFAULT_CALLBACKS if cls not in disabled]


def _with_defaults(given: list[Callback], enabled: list[type[Callback]]) -> list[Callback]:
    """Complete callbacks by the defaults of the enabled classes; callbacks of the user come last."""
    for cls in enabled:
        if sum(isinstance(callback, cls) for callback in given) > 1:
            raise ValueError(f"`callbacks` has more than one {cls.__name__}")
    ours = [next((callback for callback in given if isinstance(callback, cls)), None) or cls() for cls in enabled]
    return [*ours, *(callback for callback in given if not isinstance(callback, tuple(DEFAULT_CALLBACKS)))]


def _best_precision(accelerator: Any) -> Literal["bf16-mixed", "32-true"]:
    on_cuda = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_cuda and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
