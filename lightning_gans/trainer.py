"""The trainer of the command line, which scripts and notebooks use as well."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ProgressBar
from pytorch_lightning.loggers import Logger

from lightning_gans.callbacks import Checkpointing, Doctor, Evaluation, GracefulShutdown, Progress, Run, Samples, Wandb
from lightning_gans.callbacks.graceful_shutdown import keyboard_interrupts
from lightning_gans.callbacks.trainer_access import callbacks_of
from lightning_gans.core import private
from lightning_gans.core.batches import check_parts
from lightning_gans.core.checkpoints import CHECKPOINT_KEY, find_checkpoint, latest_checkpoint, read_checkpoint, run_of
from lightning_gans.core.distributed import COPIES, check_strategy
from lightning_gans.core.hooks import check_hooks
from lightning_gans.core.lightning_options import check_lightning_options
from lightning_gans.core.manual_optimization import ManualOptimization
from lightning_gans.core.model import Model
from lightning_gans.datamodules import DataModule
from lightning_gans.errors import NonFiniteError
from lightning_gans.lightning_messages import ignored_messages

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

_REPLACED_OPTIONS = {
    "barebones": "turns off the run folder, logs and checkpoints: use `pytorch_lightning.Trainer(barebones=True)`",
    "default_root_dir": "has no effect: `--run.root` is the folder of all runs, Run(root=...) in Python",
    "model_registry": "has no effect: `--wandb.log_model true` uploads the model, Wandb(log_model=True) in Python",
}
"""Arguments of Lightning that the callbacks of this trainer replace."""


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
        ValueError: An argument belongs to the model or to a callback instead, a callback is given twice, or the
            strategy shards or copies the model.

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
        for option, replacement in _REPLACED_OPTIONS.items():
            if kwargs.get(option):
                raise ValueError(f"`{option}` {replacement}")
        if "ps1" in vars(sys) and str(kwargs.get("strategy")).startswith("ddp"):
            raise ValueError(COPIES)  # Lightning's own message recommends another strategy of this kind
        given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or [])
        run = next((callback for callback in given if isinstance(callback, Run)), Run())
        if max_epochs is None and max_steps == -1 and max_time is None and run.max_images is None:
            run.max_images = DEFAULT_IMAGES
        self._first_step = 0
        self._max_time = max_time
        with ignored_messages():
            super().__init__(
                callbacks=_with_defaults(
                    given if run in given else [*given, run],
                    _enabled(given, enable_checkpointing, enable_progress_bar, bool(fast_dev_run)),
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
        check_strategy(self.strategy)

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
            KeyboardInterrupt: Ctrl-C was pressed, or a notebook's kernel was interrupted; the state is saved first.
            SystemExit: SIGTERM was received; the state is saved, and the exit code is 143.
        """
        data = train_dataloaders if datamodule is None else datamodule
        self._first_step = self.global_step
        if resumed := self.check(model, data, ckpt_path):
            ckpt_path, checkpoint = resumed
            self._first_step = checkpoint["global_step"]
            for run in callbacks_of(self, Run):
                record = checkpoint[CHECKPOINT_KEY]
                run.continue_from(run_of(ckpt_path), record["images_seen"], record["batches_seen"])
        if isinstance(train_dataloaders, list | tuple) and all(isinstance(b, Mapping) for b in train_dataloaders):
            train_dataloaders = _Batches(train_dataloaders)  # Lightning takes a list for several loaders
        with ignored_messages(), keyboard_interrupts():
            try:
                super().fit(
                    model,
                    train_dataloaders,
                    val_dataloaders,
                    datamodule,
                    ckpt_path,
                    weights_only is None or weights_only,
                )
                self._check_has_trained()
            except NonFiniteError:
                raise
            except Exception as error:
                if not self.has_trained:
                    self._discard(model)
                elif isinstance(error, ValueError):  # an option that proved invalid later, such as an unknown `monitor`
                    for run in callbacks_of(self, Run):
                        run.restore_config()
                raise

    @property
    def has_trained(self) -> bool:
        """Report whether the last `fit` has completed a batch; an error before that is due to its options."""
        return self.global_step > self._first_step

    def check(
        self, model: pl.LightningModule, data: object = None, ckpt_path: str | Path | None = None
    ) -> tuple[Path, dict[str, Any]] | None:
        """Check, before anything is created, what can be checked without reading data.

        Args:
            model: The model.
            data: The data module; other sources of batches are not checked.
            ckpt_path: The checkpoint to resume from, as in `fit`.

        Returns:
            The path and the content of the checkpoint, or None if `ckpt_path` is None.

        Raises:
            ValueError: The checkpoint does not exist, cannot be read, or belongs to another model, to other optimizers
                or to other batches; an optimizer cannot train the model, or a batch is smaller than its parts.
        """
        if isinstance(model, Model):
            check_hooks(type(model))
            check_lightning_options(self, model)
        runs = callbacks_of(self, Run)
        if ckpt_path is None and any(run.reset_optimizers for run in runs):
            raise ValueError("`reset_optimizers` has no effect without a checkpoint to resume from, `ckpt_path`")
        resumed = None
        if ckpt_path is not None:
            path = latest_checkpoint(runs[0].root) if ckpt_path == "last" and runs else find_checkpoint(ckpt_path)
            resumed = path, read_checkpoint(path)
            if isinstance(model, Model):
                model.check_checkpoint(resumed[1])
            if isinstance(data, DataModule):
                data.check_state(resumed[1].get(private.data_state_key(data), {}))
        if isinstance(model, ManualOptimization):
            keeps = not any(run.reset_optimizers for run in runs)
            model.check_optimizers(resumed[1] if resumed and keeps else None)
            if isinstance(data, DataModule):
                check_parts(data.batch_size // self.world_size, model.accumulate_grad_batches)
        return resumed

    def _check_has_trained(self) -> None:
        limits = {"max_steps": self.max_steps, "max_epochs": self.max_epochs, "max_time": self._max_time}
        given = ", ".join(f"`{name}` {limit}" for name, limit in limits.items() if limit not in (-1, None))
        if not self.has_trained and given:
            raise ValueError(f"no batch was trained, because the limit {given} is reached already: raise it")

    def _discard(self, model: pl.LightningModule) -> None:
        """Remove what a `fit` has written that failed before the end of its first batch."""
        for tracking in callbacks_of(self, Wandb):
            tracking.teardown(self, model, "fit")  # it writes to the run folder until then
        for run in callbacks_of(self, Run):
            run.discard()


class _Batches:
    """A loader of batches that are in memory."""

    def __init__(self, batches: Sequence[Mapping[str, Any]]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._batches)


def _enabled(
    given: list[Callback], enable_checkpointing: bool, enable_progress_bar: bool, fast_dev_run: bool
) -> list[type[Callback]]:
    """Select the default callbacks that the options of the trainer and another progress bar leave enabled."""
    disabled: set[type[Callback]] = DEFAULT_CALLBACKS.keys() - {Progress} if fast_dev_run else set()
    if not enable_checkpointing:
        disabled |= {Checkpointing, GracefulShutdown}
    if not enable_progress_bar or any(
        isinstance(callback, ProgressBar) and not isinstance(callback, Progress) for callback in given
    ):
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
