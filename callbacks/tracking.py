"""Experiment tracking with Weights & Biases."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_warn

from lightning_gans.callbacks.loggers import STEP_METRIC
from lightning_gans.callbacks.run import Run, configuration, run_folder
from lightning_gans.callbacks.trainer_access import callbacks_of
from lightning_gans.callbacks.wandb_settings import (
    ResolvedMode,
    check_name,
    read_setting,
    resolve_mode,
    valid_mode_variable,
)
from lightning_gans.core import private
from lightning_gans.run_files import LAST

FINISH_TIMEOUT = 120
"""Maximum seconds to upload the remaining data at the end of a run; `wandb sync` can upload it later."""

Mode = Literal["auto", "online", "offline", "disabled"]

DEFAULT_PROJECT = "lightning-gans"
"""W&B project of runs without a project of their own."""


class ImagesSeenLogger(WandbLogger):
    """Log to W&B with images seen as the x axis of every metric, and continue after a failure of W&B.

    Each metric is declared by its full name at its first value, because the order in which W&B resolves name patterns
    is not defined.

    Args:
        experiment: W&B run; None on ranks other than 0.
        reopen: Function that starts a replacement run after the first failure of W&B, default None.
    """

    def __init__(self, experiment: Any = None, reopen: Callable[[], Any] | None = None) -> None:
        super().__init__(experiment=experiment)
        self._reopen = reopen
        self._failed = False
        self._declared: frozenset[str] = frozenset()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics, which must include `images_seen`.

        Args:
            metrics: Values by name.
            step: Batches seen.
        """
        self._send(lambda: self._log(metrics, step))

    def finish(self, artifact: Path | None = None) -> None:
        """Finish the W&B run.

        Args:
            artifact: Checkpoint to upload first, default None.
        """
        self._reopen = None  # a replacement run would be empty
        if artifact is not None:
            self._send(lambda: self.experiment.log_artifact(artifact, name=self.experiment.name, type="model"))
        self._send(self.experiment.finish)

    def _log(self, metrics: Mapping[str, float], step: int | None) -> None:
        for name in sorted(metrics.keys() - self._declared):
            self.experiment.define_metric(name, step_metric=None if name == STEP_METRIC else STEP_METRIC)
        self._declared = self._declared | metrics.keys()
        super().log_metrics(metrics, step)

    def _send(self, send: Callable[[], Any]) -> None:
        """Call `send`. After the first failure repeat it with a replacement run; after the second do nothing."""
        if self._failed:
            return
        try:
            send()
        except Exception as error:  # W&B raises many types, and none of them should end training
            import wandb  # noqa: PLC0415

            with suppress(Exception):
                wandb.teardown()  # otherwise W&B raises again when Python exits
            reopen, self._reopen = self._reopen, None
            consequence = "training continues without it" if reopen is None else "the run continues offline"
            rank_zero_warn(f"W&B failed ({_one_line(error)}): {consequence}")
            self._failed = reopen is None
            if reopen is not None:
                private.replace_experiment(self, reopen())
                self._declared = frozenset()
                self._send(send)


class Wandb(pl.Callback):
    """Track the run in Weights & Biases; everything that is uploaded is also in the run folder.

    Without an API key the run is stored offline in the run folder, without a login prompt, and `wandb sync` uploads it
    later. Real images are not uploaded unless `log_real` is set.

    Args:
        project: W&B project, default None for the project of W&B's own settings, or else "lightning-gans".
        entity: W&B user or team, default None for W&B's own settings, or else the default entity of the account.
        tags: Tags of the run, default None for W&B's own settings.
        mode: "online", "offline", "disabled" or "auto" (default). "auto" uses W&B's own settings: `WANDB_DISABLED`,
            `WANDB_MODE`, or what `wandb offline` has stored. Without them, the mode is "online" with an API key and
            "offline" without.
        log_model: Whether to upload the last checkpoint as an artifact, default False.
        log_real: Whether to upload a grid of training images, default False.

    Attributes:
        status: URL of the run, or its mode.

    Raises:
        ValueError: If `mode` is unknown.
    """

    def __init__(
        self,
        *,
        project: str | None = None,
        entity: str | None = None,
        tags: list[str] | None = None,
        mode: Mode = "auto",
        log_model: bool = False,
        log_real: bool = False,
    ) -> None:
        if mode not in get_args(Mode):
            raise ValueError(f"`mode` must be one of {', '.join(get_args(Mode))}, got {mode!r}")
        check_name("`project`", project)
        self.project = project
        self.entity = entity
        self.tags = tags
        self.mode = mode
        self.log_model = log_model
        self.log_real = log_real
        self.status = "disabled"
        self._logger: ImagesSeenLogger | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Start the W&B run and add its logger, unless the trainer already has a `WandbLogger`."""
        mode = _resolve_mode(self.mode)
        if stage == "fit" and mode != "disabled":
            check_name("the setting `project` of W&B (`WANDB_PROJECT`)", self.project or read_setting("project"))
            check_name("`WANDB_RUN_ID`", os.environ.get("WANDB_RUN_ID"))
        if stage != "fit" or mode == "disabled" or any(isinstance(own, WandbLogger) for own in trainer.loggers):
            return
        self._logger = ImagesSeenLogger()
        if trainer.is_global_zero:
            run = self._start(trainer, pl_module, mode)
            self._logger = ImagesSeenLogger(run, reopen=lambda: self._start(trainer, pl_module, "offline"))
        trainer.loggers = [*trainer.loggers, self._logger]

    def _start(self, trainer: pl.Trainer, model: pl.LightningModule, mode: Literal["online", "offline"]) -> Any:
        import wandb  # noqa: PLC0415 (the import takes a second)

        folder = run_folder(trainer)
        id_file = folder / "wandb" / "run-id"  # a resumed online run keeps its id; offline runs share a group
        variable: Any = os.environ.get  # passed on explicitly, because W&B reads the environment once per process
        is_named = any(run.name is not None for run in callbacks_of(trainer, Run))
        previous_id = id_file.read_text() if mode == "online" and id_file.is_file() else None
        try:
            with valid_mode_variable(mode):
                run = wandb.init(
                    name=folder.name if is_named else variable("WANDB_NAME") or folder.name,
                    group=variable("WANDB_RUN_GROUP") or folder.name,
                    id=variable("WANDB_RUN_ID") or previous_id,
                    resume=variable("WANDB_RESUME") or "allow",
                    dir=variable("WANDB_DIR") or folder,
                    notes=variable("WANDB_NOTES"),
                    project=self.project or read_setting("project") or DEFAULT_PROJECT,
                    entity=self.entity or read_setting("entity"),
                    tags=self.tags or [tag for tag in variable("WANDB_TAGS", "").split(",") if tag] or None,
                    mode=mode,
                    config=configuration(trainer, model),
                    settings=wandb.Settings(silent=True, init_timeout=20, finish_timeout=FINISH_TIMEOUT),
                )
        except (wandb.errors.UsageError, wandb.errors.CommError, OSError, ValueError) as error:
            if mode == "offline":
                raise ValueError(f"W&B cannot start a run: {_one_line(error)}") from error
            rank_zero_warn(f"W&B cannot be reached ({_one_line(error)}): the run is stored offline")
            return self._start(trainer, model, "offline")
        if mode == "online":
            id_file.parent.mkdir(exist_ok=True)  # with `WANDB_DIR`, W&B writes elsewhere
            id_file.write_text(run.id)
        self.status = (run.url if mode == "online" else None) or mode
        return run

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Finish the W&B run, so that the next `fit` in this process starts a new run."""
        if self._logger is None or not trainer.is_global_zero:
            return
        checkpoint = run_folder(trainer) / LAST
        self._logger.finish(checkpoint if self.log_model and checkpoint.is_file() else None)
        self._logger = None


def _resolve_mode(mode: Mode) -> ResolvedMode:
    return resolve_mode() if mode == "auto" else mode


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
