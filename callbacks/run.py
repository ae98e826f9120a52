"""The folder of a run: where everything that it leaves behind goes."""

import csv
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml

from lightning_gans.callbacks.csv_logger import ResilientCSVLogger
from lightning_gans.callbacks.trainer_access import callbacks_of, data_of
from lightning_gans.core.model import Model
from lightning_gans.core.recording import Recorded, class_path, serialize_arguments


class Run(pl.Callback):
    """Give the run its own folder, its configuration and metrics in it, and its end.

    The folder is `<root>/<name>`, or `<root>/<name>-2` and so on where that exists: runs never collide.

    Args:
        name: Name of the run, here and in W&B; None makes `<model>-<data>-<n>`.
        max_images: Images to train on, over all devices; None leaves the end to the trainer's limits.
        root: The folder of all runs.

    Attributes:
        folder: The run's folder, from `setup` on.

    Raises:
        ValueError: `max_images` is below 1, or `name` is no plain file name.
    """

    def __init__(self, *, name: str | None = None, max_images: int | None = None, root: str = "runs") -> None:
        if max_images is not None and max_images < 1:
            raise ValueError(f"`max_images` must be at least 1, got {max_images}")
        if name is not None and (name in ("", "..") or Path(name).name != name):
            raise ValueError(f"`name` must be a plain name, without slashes, got {name!r}")
        self.name = name
        self.max_images = max_images
        self.root = Path(root)
        self.folder = Path()
        self._previous: tuple[Path, int] | None = None
        self._max_steps: int | None = None

    def continue_from(self, folder: Path | None, images: int) -> None:
        """Let the next run be the continuation of an earlier one, in its folder, unless it was given another name.

        Args:
            folder: The earlier run's folder.
            images: Images it had seen: what it wrote down afterwards is written again.
        """
        if folder is not None and self.name in (None, folder.name):
            self._previous = folder, images

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the folder, once and for all ranks, and keep metrics in it."""
        if stage != "fit":
            return
        seen = self._previous[1] if self._previous else pl_module.images_seen if isinstance(pl_module, Model) else 0
        if self.max_images is not None and seen >= self.max_images:
            raise ValueError(
                f"`max_images` is {self.max_images:,}, and the model has already seen {seen:,}:"
                " raise it, or make a new model"
            )
        previous, self._previous = self._previous, None
        folder = None
        if trainer.is_global_zero:
            folder = str(previous[0]) if previous else self._make_folder(trainer, pl_module)
        self.folder = Path(trainer.strategy.broadcast(folder))  # type: ignore[arg-type]
        logger = ResilientCSVLogger(self.folder, name="", version="")
        if trainer.is_global_zero:
            _open(logger, self.folder / "metrics.csv", previous[1] if previous else 0)
        trainer.loggers = [*trainer.loggers, logger]
        if trainer.is_global_zero:
            self.write_config(yaml.safe_dump(configuration(trainer, pl_module), sort_keys=False))

    def _make_folder(self, trainer: pl.Trainer, model: pl.LightningModule) -> str:
        name = self.name or "-".join(type(part).__name__.lower() for part in (model, data_of(trainer)) if part)
        number = 1
        while True:
            folder = self.root / (name if self.name and number == 1 else f"{name}-{number}")
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                number += 1
            except OSError as error:
                raise ValueError(f"`root` {str(self.root)!r} can hold no runs: {error.strerror}") from error
            else:
                return str(folder)

    def write_config(self, text: str) -> None:
        """Write `config.yaml`, which `fit --config` takes."""
        (self.folder / "config.yaml").write_text(text)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """End the training when it has seen its images.

        By the number of steps: `trainer.should_stop` would have Lightning log the last numbers once more.
        """
        if isinstance(pl_module, Model) and self.max_images is not None and pl_module.images_seen >= self.max_images:
            self._max_steps, trainer.fit_loop.epoch_loop.max_steps = trainer.max_steps, trainer.global_step

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the trainer's own limit to its next run."""
        if self._max_steps is not None:
            trainer.fit_loop.epoch_loop.max_steps, self._max_steps = self._max_steps, None


def _open(logger: ResilientCSVLogger, path: Path, images: int) -> None:
    """Open the file of metrics, keeping what was written in it up to those images."""
    rows: list[dict[str, Any]] = []
    previous = path.with_suffix(".previous")  # stays until the new file is whole: the process may be killed in between
    if path.is_file() and not previous.is_file():
        path.rename(previous)
    if previous.is_file():
        with previous.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if float(row["images_seen"] or 0) <= images]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Experiment logs directory .* exists and is not empty")
        writer = logger.experiment
    for row in rows:
        values = {name: value for name, value in row.items() if value}  # as it was written
        writer.log_metrics(values, step=int(values.pop("step")))
    logger.save()
    previous.unlink(missing_ok=True)


def run_folder(trainer: pl.Trainer) -> Path:
    """The folder of this trainer's run; the trainer's own where no `Run` made one."""
    return next((run.folder for run in callbacks_of(trainer, Run)), Path(trainer.default_root_dir))


def configuration(trainer: pl.Trainer, model: pl.LightningModule) -> dict[str, Any]:
    """What model and data were made with, as the command line's YAML has it."""
    parts = {"model": model, "data": data_of(trainer)}
    return {key: _configuration(part) for key, part in parts.items() if isinstance(part, Recorded)}


def _configuration(part: Recorded) -> dict[str, Any]:
    arguments = {name: _plain(value) for name, value in serialize_arguments(part.init_args).items()}
    arguments.pop("image_shape", None)  # the data says it
    return {"class_path": class_path(type(part)), "init_args": arguments}


def _plain(value: Any) -> Any:
    match value:
        case {"__unrecorded__": str(reason)}:
            return reason
        case {"__class__": path} | {"__partial__": path}:
            return {"class_path": path, "init_args": _plain(value.get("init_args", {}))}
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value
