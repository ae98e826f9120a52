"""The trainer that the command line, scripts and notebooks share."""

import warnings
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger

from lightning_gans.callbacks import Checkpointing, Doctor, Evaluation, GracefulShutdown, Progress, Run, Samples, Wandb
from lightning_gans.callbacks.trainer_access import callbacks_of
from lightning_gans.core.checkpoints import find_checkpoint, latest_checkpoint, read_checkpoint, run_of
from lightning_gans.core.model import CHECKPOINT_KEY, Model

DEFAULT_IMAGES = 200_000
"""How long a run is that nothing limits."""

_IGNORED_WARNINGS = (
    "Found .* module.* in eval mode",  # the averaged generator
    "You passed in a `val_dataloader` but have no `validation_step`",  # `Evaluation` uses it, on the clock of images
    "The number of training batches .* is smaller than the logging interval",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning's own affair
)
"""What Lightning warns of, rightly in general."""

_DEFAULT_CALLBACKS: tuple[type[Callback], ...] = (
    Run,
    Wandb,
    Samples,
    Evaluation,
    Doctor,
    Checkpointing,
    GracefulShutdown,
    Progress,
)
"""In the order in which they act: the folder first, a word about it all, and about what was saved, last."""


class Trainer(pl.Trainer):
    """A `pytorch_lightning.Trainer` that keeps a run: its folder, samples, scores, checkpoints, W&B, warnings, words.

    Each of them is a callback; give one to change its settings, and the others are added: `Trainer(callbacks=[
    Run(max_images=50_000), Samples(every=5000), Wandb(mode="disabled")])`. Whatever else a `pl.Trainer` takes goes
    through.

    Args:
        callbacks: Callbacks of your own, and those of this framework that are to differ from their defaults.
        precision: None takes "bf16-mixed" on a GPU that has it, else "32-true".
        logger: Loggers beside the run folder's and W&B's; False and True mean none.
        enable_checkpointing: Whether the run keeps checkpoints.
        enable_progress_bar: Whether the run says anything.
        enable_model_summary: Whether Lightning prints its table of layers.
        max_steps: Batches to train on; -1 is no limit.
        max_epochs: Passes over the data; None is no limit.
        max_time: Time to train for.
        fast_dev_run: Try a few batches, and keep nothing.
        **kwargs: What a `pl.Trainer` takes.

    Raises:
        ValueError: An option is given here that belongs to the model, or the strategy cannot carry a run.

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
                raise ValueError(f"`{option}` belongs to the model, whose two players it is for: --model.{option}")
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
            train_dataloaders: A data module, or an iterable of batches.
            val_dataloaders: Batches for a model of yours that validates.
            datamodule: A data module.
            ckpt_path: Go on from this checkpoint, from the last one of this run folder, or from that of the latest run
                ("last").
            weights_only: Read the checkpoint as plain data only; None does, since ours are.

        Raises:
            ValueError: There is no such checkpoint, it cannot be read, or it is of another model.
        """
        if ckpt_path is not None:
            roots = [run.root for run in callbacks_of(self, Run)]
            ckpt_path = latest_checkpoint(roots[0]) if ckpt_path == "last" and roots else find_checkpoint(ckpt_path)
            checkpoint = read_checkpoint(ckpt_path)  # what is refused, is refused before there is a run folder
            if isinstance(model, Model):
                model.check_checkpoint(checkpoint)
            for run in callbacks_of(self, Run):
                run.continue_from(run_of(ckpt_path), checkpoint[CHECKPOINT_KEY]["images_seen"])
        with warnings.catch_warnings():
            for message in _IGNORED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            super().fit(
                model, train_dataloaders, val_dataloaders, datamodule, ckpt_path, weights_only is None or weights_only
            )


def _enabled(enable_checkpointing: bool, enable_progress_bar: bool, trial: bool) -> list[type[Callback]]:
    """The kinds of callback that a trainer is to have."""
    unwanted: set[type[Callback]] = set(_DEFAULT_CALLBACKS) - {Progress} if trial else set()
    if not enable_checkpointing:
        unwanted |= {Checkpointing, GracefulShutdown}
    if not enable_progress_bar:
        unwanted.add(Progress)
    return [kind for kind in _DEFAULT_CALLBACKS if kind not in unwanted]


def _with_defaults(given: list[Callback], kinds: list[type[Callback]]) -> list[Callback]:
    """The callbacks of this framework, each as given or with its defaults, and then those of the user."""
    for kind in kinds:
        if sum(isinstance(callback, kind) for callback in given) > 1:
            raise ValueError(f"`callbacks` has more than one {kind.__name__}")
    ours = [next((callback for callback in given if isinstance(callback, kind)), None) or kind() for kind in kinds]
    return [*ours, *(callback for callback in given if not isinstance(callback, _DEFAULT_CALLBACKS))]


def _best_precision(accelerator: Any) -> Literal["bf16-mixed", "32-true"]:
    on_cuda = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_cuda and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
