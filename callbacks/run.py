"""Run folder: the folder of everything that a run writes."""

import csv
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint

from lightning_gans.callbacks.csv_logger import ResilientCSVLogger
from lightning_gans.callbacks.trainer_access import callbacks_of, data_of
from lightning_gans.core import private
from lightning_gans.core.class_paths import class_path
from lightning_gans.core.manual_optimization import ManualOptimization
from lightning_gans.core.model import Model
from lightning_gans.core.recording import Recorded, serialize_arguments
from lightning_gans.files import FolderSnapshot, atomic_write
from lightning_gans.run_files import LAST


class Run(pl.Callback):
    """Create the run folder, write `config.yaml` and `metrics.csv` into it, and stop training at `max_images`.

    The folder is `<root>/<name>`, or `<root>/<name>-2` and so on if that exists, so that runs never share a folder.

    Args:
        name: Name of the run, used for the folder and in W&B; default None for `<model>-<data>-<n>`.
        max_images: Images to train on, over all devices; default None for the limits of the trainer.
        root: Folder of all runs, default "runs".
        reset_optimizers: When resuming, start with new optimizers instead of those of the checkpoint, default False.

    Attributes:
        folder: Run folder, available after `setup`.

    Raises:
        ValueError: If `max_images` is below 1, or `name` is not a valid file name.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        max_images: int | None = None,
        root: str = "runs",
        reset_optimizers: bool = False,
    ) -> None:
        if max_images is not None and max_images < 1:
            raise ValueError(f"`max_images` must be at least 1, got {max_images}")
        if name is not None and (name in ("", "..") or Path(name).name != name):
            raise ValueError(f"`name` must be a plain name, without slashes, got {name!r}")
        self.name = name
        self.max_images = max_images
        self.root = Path(root)
        self.reset_optimizers = reset_optimizers
        self.folder = Path()
        self._resumed: tuple[Path | None, int, int] = None, 0, 0
        self._max_steps: int | None = None
        self._snapshot: FolderSnapshot | None = None
        self._pending_config: str | None = None
        self._previous_config: str | None = None

    def continue_from(self, folder: Path | None, images: int, batches: int) -> None:
        """Make the next `fit` continue an existing run in its folder, unless this run has another name.

        Args:
            folder: Folder of the existing run.
            images: Images seen at the checkpoint; later rows of `metrics.csv` are removed.
            batches: Batches seen at the checkpoint, for rows of other callbacks, which lack the images seen.
        """
        self._resumed = (folder if folder is not None and self.name in (None, folder.name) else None), images, batches

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Create the run folder on rank 0, add the CSV logger, and write `config.yaml`.

        The `config.yaml` of a resumed run is replaced after its first batch, when the options have proved valid.
        """
        if stage != "fit":
            return
        (resumed, images, batches), self._resumed = self._resumed, (None, 0, 0)
        seen = images or (pl_module.images_seen if isinstance(pl_module, Model) else 0)
        if self.max_images is not None and seen >= self.max_images:
            raise ValueError(
                f"`max_images` is {self.max_images:,}, and the model has already seen {seen:,}:"
                " raise `max_images`, or create a new model"
            )
        self._pending_config = self._previous_config = None
        folder = ""
        if trainer.is_global_zero:
            folder = str(resumed) if resumed else self._make_folder(trainer, pl_module)
            if resumed:
                self._snapshot = FolderSnapshot(resumed, ["metrics.csv"])
        self.folder = Path(trainer.strategy.broadcast(folder))
        for checkpoint in callbacks_of(trainer, ModelCheckpoint):
            checkpoint.dirpath = checkpoint.dirpath or str(self.folder / LAST.parent)  # not the folder of some logger
        logger = ResilientCSVLogger(self.folder, name="", version="")
        if trainer.is_global_zero:
            _open_metrics(logger, self.folder / "metrics.csv", *((images, batches) if resumed else (0, 0)))
        trainer.loggers = [*trainer.loggers, logger]
        if trainer.is_global_zero:
            self.write_config(yaml.safe_dump(configuration(trainer, pl_module), sort_keys=False))

    def _make_folder(self, trainer: pl.Trainer, model: pl.LightningModule) -> str:
        name = self.name or "-".join(type(part).__name__.lower() for part in (model, data_of(trainer)) if part)
        number = 1
        while True:
            folder = self.root / (name if self.name and number == 1 else f"{name}-{number}")
            try:
                snapshot = FolderSnapshot(folder)
                folder.mkdir(parents=True)
            except FileExistsError:
                number += 1
            except OSError as error:
                raise ValueError(f"`root` {str(self.root)!r} cannot contain runs: {error.strerror}") from error
            else:
                self._snapshot = snapshot
                return str(folder)

    def write_config(self, text: str) -> None:
        """Write `config.yaml`, which `fit --config` accepts.

        Args:
            text: Content of the file.
        """
        path = self.folder / "config.yaml"
        if path.is_file() and self._snapshot is not None:
            self._pending_config = text
        else:
            path.write_text(text)

    def discard(self) -> None:
        """Restore the folder to its state before a `fit` that has failed before the end of its first batch."""
        self._pending_config = None
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            snapshot.restore()

    def restore_config(self) -> None:
        """Restore the `config.yaml` of a resumed run, after an error that one of the new options has caused."""
        if self._previous_config is not None:
            self._replace_config(self._previous_config)
            self._previous_config = None

    def _replace_config(self, text: str) -> None:
        with atomic_write(self.folder / "config.yaml") as part:
            part.write_text(text)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Replace the optimizers of the checkpoint by new ones, if `reset_optimizers` is set."""
        if self.reset_optimizers and isinstance(pl_module, ManualOptimization):
            classes = pl_module.reset_optimizers(checkpoint)
            if trainer.is_global_zero:
                print(f"New optimizers, without the state of the checkpoint: {', '.join(classes)}")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Replace the `config.yaml` of a resumed run, and stop training when the model has seen `max_images`.

        The latter lowers the maximum number of steps. With `trainer.should_stop`, Lightning would log the last metrics
        twice.
        """
        self._snapshot = None
        if self._pending_config is not None:
            self._previous_config = (self.folder / "config.yaml").read_text()
            self._replace_config(self._pending_config)
            self._pending_config = None
        if isinstance(pl_module, Model) and self.max_images is not None and pl_module.images_seen >= self.max_images:
            self._max_steps = trainer.max_steps
            private.set_max_steps(trainer, trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the maximum number of steps for the next `fit`."""
        if self._max_steps is not None:
            private.set_max_steps(trainer, self._max_steps)
            self._max_steps = None


def _open_metrics(logger: ResilientCSVLogger, path: Path, images: int, batches: int) -> None:
    """Create `metrics.csv`, keeping the rows that an existing file has up to a number of images or batches."""
    rows: list[dict[str, Any]] = []
    previous = path.with_suffix(".previous")  # kept until the new file is complete, because the process may be killed
    if path.is_file() and not previous.is_file():
        path.rename(previous)
    if previous.is_file():
        with previous.open(newline="") as file:
            rows = [
                row
                for row in csv.DictReader(file)
                if (float(row["images_seen"]) <= images if row.get("images_seen") else int(row["step"]) < batches)
            ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Experiment logs directory .* exists and is not empty")
        writer = logger.experiment
    for row in rows:
        values = {name: value for name, value in row.items() if value}  # as strings, so that no digit changes
        writer.log_metrics(values, step=int(values.pop("step")))
    logger.save()
    previous.unlink(missing_ok=True)


def run_folder(trainer: pl.Trainer) -> Path:
    """Return the run folder of a trainer, or the trainer's `default_root_dir` if it has no `Run` callback."""
    return next((run.folder for run in callbacks_of(trainer, Run)), Path(trainer.default_root_dir))


def configuration(trainer: pl.Trainer, model: pl.LightningModule) -> dict[str, Any]:
    """Return the constructor arguments of the model and the data, in the format of the command line's YAML."""
    parts = {"model": model, "data": data_of(trainer)}
    return {key: _configuration(part) for key, part in parts.items() if isinstance(part, Recorded)}


def _configuration(part: Recorded) -> dict[str, Any]:
    arguments = {name: _to_yaml(value) for name, value in serialize_arguments(part.init_args).items()}
    arguments.pop("image_shape", None)  # the command line takes it from the data
    return {"class_path": class_path(type(part)), "init_args": arguments}


def _to_yaml(value: Any) -> Any:
    """Convert a serialized argument to the format of the command line's YAML."""
    match value:
        case {"__unserializable__": str(reason)}:
            return reason
        case {"__class__": path} | {"__partial__": path}:
            return {"class_path": path, "init_args": _to_yaml(value.get("init_args", {}))}
        case dict():
            return {key: _to_yaml(item) for key, item in value.items()}
        case list() | tuple():
            return [_to_yaml(item) for item in value]
        case _:
            return value
