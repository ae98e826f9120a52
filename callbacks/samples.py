"""Image grids of samples at regular numbers of images seen."""

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lightning_gans.callbacks.conditions import held_out_conditions
from lightning_gans.callbacks.loggers import log_image
from lightning_gans.callbacks.periodic import Periodic, format_images
from lightning_gans.callbacks.run import run_folder
from lightning_gans.callbacks.tracking import Wandb
from lightning_gans.callbacks.trainer_access import callbacks_of, data_of
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model
from lightning_gans.rendering.images import grid, save_animation, save_image
from lightning_gans.rendering.points import NUM_POINTS, ScatterPlot

FOLDER = "samples"
"""Name of the folder of the images in the run folder."""

COLUMNS = 8
"""Images per row of a panel, such as the steps of an interpolation."""


class Samples(Periodic):
    """Save and log samples of fixed latents at regular intervals, with the additional panels of the model.

    - Each grid of samples is saved as `samples/<images>.png` in the run folder, and logged as the panel `samples` in
      W&B and TensorBoard.
    - The model's `panels` are saved as `samples/<panel>_<images>.png` and logged under their names. A GAN has the panel
      `interpolation` between pairs of latents.
    - A model of captions or sound is conditioned on those of the first validation examples.
    - `training.gif` animates all grids at the end of training.
    - `real.png` shows training examples. It is not uploaded unless `Wandb(log_real=True)` is set.

    For points in the plane, a scatter plot of 2,500 samples replaces the grid. It shows the true density, if it is
    known, and contour lines of the discriminator score.

    Args:
        every: Images between grids, default 20,000.
        count: Number of samples in a grid, default 64.
        seed: Seed of the latents, default 0.

    Attributes:
        latest: Path of the latest grid, or None.

    Raises:
        ValueError: If `every` or `count` is below 1.
    """

    def __init__(self, *, every: int = 20_000, count: int = 64, seed: int = 0) -> None:
        super().__init__(every=every)
        if count < 1:
            raise ValueError(f"`count` must be at least 1, got {count}")
        self.count = count
        self.seed = seed
        self.latest: Path | None = None
        self._frames: list[Path] = []
        self._restored_frames: list[str] = []
        self._last_images = -1
        self._plot: ScatterPlot | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the file names of the animation's frames."""
        return {"frames": [path.name for path in self._frames]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the frames of the animation; missing files are omitted."""
        self._restored_frames = state_dict["frames"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save training examples, and samples of the untrained model."""
        super().on_train_start(trainer, pl_module)
        paths = (run_folder(trainer) / FOLDER / name for name in self._restored_frames)
        self._frames = [path for path in paths if path.is_file()]
        self._restored_frames = []
        if isinstance(pl_module, GenerativeModel) and pl_module.images_seen == 0:
            self._save_real(trainer)
            self.on_interval(trainer, pl_module, 0)

    def _save_real(self, trainer: pl.Trainer) -> None:
        data = data_of(trainer)
        if not trainer.is_global_zero or data is None:
            return
        match data.image_shape:
            case (2,):
                self._plot = ScatterPlot(data)
                image = self._plot.examples(data)
            case (_, _, _):
                image = grid(data.examples("train", self.count)["image"], self._grid_columns)
            case _:
                return
        save_image(image, run_folder(trainer) / "real.png")
        if any(wandb.log_real for wandb in callbacks_of(trainer, Wandb)):
            log_image(trainer, "real", image, images=0)

    @property
    def _grid_columns(self) -> int:
        return math.ceil(math.sqrt(self.count))

    def on_interval(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        """Save and log the samples and the panels."""
        if not trainer.is_global_zero or not isinstance(model, GenerativeModel):
            return
        data = data_of(trainer)
        count = self.count if len(model.image_shape) == 3 else NUM_POINTS
        condition = held_out_conditions(model, data, count)
        if condition is None:
            return
        match model.image_shape:
            case (2,):
                self._plot = self._plot or ScatterPlot(data)
                image = self._plot.samples(model, condition=condition, seed=self.seed)
            case (_, _, _):
                samples = model.sample(count, condition=condition, seed=self.seed)
                image = grid(samples["image"], self._grid_columns)
            case _:
                return
        folder = run_folder(trainer) / FOLDER
        path = folder / f"{format_images(images)}.png"
        save_image(image, path)
        if path.exists():  # false after a write error, such as a full disk
            self.latest = path
            self._frames.append(path)
        self._last_images = model.images_seen
        log_image(trainer, "samples", image, images=model.images_seen)
        if len(model.image_shape) != 3:
            return
        for name, batch in model.panels(COLUMNS, seed=self.seed).items():
            panel = grid(batch["image"], COLUMNS)
            save_image(panel, folder / f"{name}_{format_images(images)}.png")
            log_image(trainer, name, panel, images=model.images_seen)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save samples of the final model, and the animation."""
        if isinstance(pl_module, Model) and pl_module.images_seen > self._last_images:
            self.on_interval(trainer, pl_module, pl_module.images_seen)
        self._animate(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save the animation of the grids so far."""
        self._animate(trainer)

    def _animate(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero and self._frames:
            save_animation(self._frames, run_folder(trainer) / "training.gif")
