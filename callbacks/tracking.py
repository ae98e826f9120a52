"""Weights & Biases: one run there for each run folder, online where there is a key, offline where there is none."""

import netrc
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_warn

from lightning_gans.callbacks.run import configuration, run_folder
from lightning_gans.core import private
from lightning_gans.core.checkpoints import LAST
from lightning_gans.errors import one_line
from lightning_gans.rendering.images import RGBImage

CLOCK = "images_seen"
"""The x axis of every chart."""

FINISH_TIMEOUT = 120
"""Seconds that the end of a run waits for what is not sent yet; `wandb sync` sends it later."""

Mode = Literal["auto", "online", "offline", "disabled"]

WANDB_MODES: dict[str, Mode] = {
    "online": "online",
    "run": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}
"""What the environment variable `WANDB_MODE` may say, in old words and new."""


class ImagesSeenLogger(WandbLogger):
    """Log to W&B with images seen as the axis of every metric, and do without W&B when its process is gone.

    Each name is declared when it first comes up: W&B resolves patterns of names in an order of its own.

    Args:
        experiment: The run in W&B; None where another rank has it.
        reopen: Starts the run in which to go on when W&B fails midway.
    """

    def __init__(self, experiment: Any = None, reopen: Callable[[], Any] | None = None) -> None:
        super().__init__(experiment=experiment)
        self._reopen = reopen
        self._lost = False
        self._declared: frozenset[str] = frozenset()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics, among them `images_seen`."""
        self._send(lambda: self._log(metrics, step))

    def finish(self, artifact: Path | None = None) -> None:
        """End the run in W&B.

        Args:
            artifact: A checkpoint to send before.
        """
        self._reopen = None  # nothing more would come
        if artifact is not None:
            self._send(lambda: self.experiment.log_artifact(artifact, name=self.experiment.name, type="model"))
        self._send(self.experiment.finish)

    def _log(self, metrics: Mapping[str, float], step: int | None) -> None:
        for name in sorted(metrics.keys() - self._declared):
            self.experiment.define_metric(name, step_metric=None if name == CLOCK else CLOCK)
        self._declared = self._declared | metrics.keys()
        super().log_metrics(metrics, step)

    def _send(self, send: Callable[[], Any]) -> None:
        """Send something; when W&B fails for the first time, to a new run, and from the second time on nothing."""
        if self._lost:
            return
        try:
            send()
        except Exception as error:  # of many kinds, and none is worth the training
            import wandb  # noqa: PLC0415

            with suppress(Exception):
                wandb.teardown()  # or it would raise once more when Python exits
            reopen, self._reopen = self._reopen, None
            goes_on = "training goes on without it" if reopen is None else "the run goes on offline"
            rank_zero_warn(f"W&B failed ({one_line(error)}): {goes_on}")
            self._lost = reopen is None
            if reopen is not None:
                private.replace_experiment(self, reopen())
                self._declared = frozenset()
                self._send(send)


class Wandb(pl.Callback):
    """Follow the run in Weights & Biases; what goes there also goes to the run folder.

    Without a key the run is written offline, into the run folder, and `wandb sync` sends it later. Nothing asks for a
    login. Real images stay on this machine unless `log_real` says otherwise.

    Args:
        project: Project in W&B.
        entity: User or team; None is your default.
        tags: Tags of the run.
        mode: "online", "offline", "disabled", or "auto": what `WANDB_MODE` says, else online with a key.
        log_model: Send the last checkpoint as an artifact.
        log_real: Send a grid of real images.

    Attributes:
        status: Where the run can be followed, in words.
    """

    def __init__(
        self,
        *,
        project: str = "lightning-gans",
        entity: str | None = None,
        tags: list[str] | None = None,
        mode: Mode = "auto",
        log_model: bool = False,
        log_real: bool = False,
    ) -> None:
        self.project = project
        self.entity = entity
        self.tags = tags
        self.mode = mode
        self.log_model = log_model
        self.log_real = log_real
        self.status = "disabled"
        self._logger: ImagesSeenLogger | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Start the run in W&B."""
        mode = _resolved(self.mode)
        if stage != "fit" or mode == "disabled" or any(isinstance(own, WandbLogger) for own in trainer.loggers):
            return
        self._logger = ImagesSeenLogger()
        if trainer.is_global_zero:
            run = self._start(trainer, pl_module, mode)
            self._logger = ImagesSeenLogger(run, reopen=lambda: self._start(trainer, pl_module, "offline"))
        trainer.loggers = [*trainer.loggers, self._logger]

    def _start(self, trainer: pl.Trainer, model: pl.LightningModule, mode: Literal["online", "offline"]) -> Any:
        import wandb  # noqa: PLC0415 (its import takes a second)

        folder = run_folder(trainer)
        known = folder / "wandb" / "run-id"  # an online run goes on under its id, offline ones share a group
        try:
            run = wandb.init(
                name=folder.name,
                group=folder.name,
                id=known.read_text() if mode == "online" and known.is_file() else None,
                resume="allow",
                dir=folder,
                project=self.project,
                entity=self.entity,
                tags=self.tags,
                mode=mode,
                config=configuration(trainer, model),
                settings=wandb.Settings(silent=True, init_timeout=20, finish_timeout=FINISH_TIMEOUT),
            )
        except (wandb.errors.UsageError, wandb.errors.CommError, OSError) as error:
            if mode == "offline":
                raise ValueError(f"W&B cannot begin a run: {one_line(error)}") from error
            rank_zero_warn(f"W&B cannot be reached ({one_line(error)}): the run is written offline")
            return self._start(trainer, model, "offline")
        if mode == "online":
            known.write_text(run.id)
        self.status = (run.url if mode == "online" else None) or mode
        return run

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """End the run in W&B, so that the next one of this process is another."""
        if self._logger is None or not trainer.is_global_zero:
            return
        checkpoint = run_folder(trainer) / LAST
        self._logger.finish(checkpoint if self.log_model and checkpoint.is_file() else None)
        self._logger = None


def _resolved(mode: Mode) -> Literal["online", "offline", "disabled"]:
    if mode == "auto":
        mode = WANDB_MODES.get(os.environ.get("WANDB_MODE", ""), "auto")
    if mode == "auto":
        mode = "online" if _has_key() else "offline"
    return mode


def _has_key() -> bool:
    """Whether there is a key for the server, found without asking the server (as `wandb.login` does, for minutes)."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    import wandb  # noqa: PLC0415 (its import takes a second)

    given = os.environ.get("WANDB_BASE_URL")
    hosts = [urlsplit(given).netloc] if given else [urlsplit(wandb.Settings().base_url).netloc, "api.wandb.ai"]
    for path in (os.environ.get("NETRC"), Path.home() / ".netrc", Path.home() / "_netrc"):
        try:
            keys = netrc.netrc(path) if path else None
        except (OSError, netrc.NetrcParseError):
            continue
        if keys is not None:
            return any(keys.authenticators(host) for host in hosts)
    return False


def log_scalars(trainer: pl.Trainer, scalars: dict[str, float], *, images: int, batches: int) -> None:
    """Send numbers to every logger, outside of Lightning's logging steps.

    Args:
        trainer: Whose loggers.
        scalars: Numbers by key.
        images: Images seen.
        batches: Batches seen.
    """
    for logger in trainer.loggers:
        logger.log_metrics({**scalars, CLOCK: images}, step=batches)
        logger.save()


def log_image(trainer: pl.Trainer, key: str, image: RGBImage, *, images: int) -> None:
    """Send an image to W&B and TensorBoard, under one key for the whole run.

    Args:
        trainer: Whose loggers.
        key: The panel.
        image: uint8; W&B shows floats as black.
        images: Images seen.
    """
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            import wandb  # noqa: PLC0415

            metrics: dict[str, Any] = {key: wandb.Image(image), CLOCK: images}
            logger.log_metrics(metrics)
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(key, image, images, dataformats="HWC")
