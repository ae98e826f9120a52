"""Images of how a generator gets on."""

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lightning_gans.callbacks.periodic import Periodic, format_images
from lightning_gans.callbacks.run import run_folder
from lightning_gans.callbacks.tracking import Wandb, log_image
from lightning_gans.callbacks.trainer_access import callbacks_of, data_of
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model
from lightning_gans.rendering.images import grid, save_animation, save_image
from lightning_gans.rendering.points import Scatter

FOLDER = "samples"
"""Where in the run folder the images are."""

STEPS = 8
"""Examples in a row of a panel, such as one walk of the interpolation."""


class Samples(Periodic):
    """Draw the same latents every so many images: a grid, walks between latents, and what else the model has to show.

    Each grid is `samples/<images>.png` in the run folder and the panel `samples` in W&B and TensorBoard; the walks are
    `interpolation`, and whatever the model's `panels` names goes beside them. At the end `training.gif` shows all
    grids. Points in the plane are drawn as such, 2,500 of them, over their true density where it is known and over the
    discriminator's level lines. `real.png` shows real examples; it stays on this machine unless `Wandb(log_real=True)`.

    Args:
        every: Images from one grid to the next.
        count: Images in a grid.
        seed: Seed of the latents.

    Attributes:
        latest: The last grid's file.

    Raises:
        ValueError: `every` or `count` is below 1.
    """

    def __init__(self, *, every: int = 20_000, count: int = 64, seed: int = 0) -> None:
        super().__init__(every=every)
        if count < 1:
            raise ValueError(f"`count` must be at least 1, got {count}")
        self.count = count
        self.seed = seed
        self.latest: Path | None = None
        self._frames: list[Path] = []
        self._restored: list[str] = []
        self._drawn_at = -1
        self._scatter: Scatter | None = None

    def state_dict(self) -> dict[str, Any]:
        """The frames of the animation so far."""
        return {"frames": [path.name for path in self._frames]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with these frames, where they are still there."""
        self._restored = state_dict["frames"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show real images, and what the untrained generator makes."""
        super().on_train_start(trainer, pl_module)
        paths = (run_folder(trainer) / FOLDER / name for name in self._restored)
        self._frames = [path for path in paths if path.is_file()]
        self._restored = []
        if isinstance(pl_module, GenerativeModel) and pl_module.images_seen == 0:
            self._show_real(trainer)
            self.on_interval(trainer, pl_module, 0)

    def _show_real(self, trainer: pl.Trainer) -> None:
        data = data_of(trainer)
        if not trainer.is_global_zero or data is None:
            return
        match data.image_shape:
            case (2,):
                self._scatter = Scatter(data)
                image = self._scatter.real(data)
            case (_, _, _):
                image = grid(data.examples("train", self.count)["image"], self._columns)
            case _:
                return
        save_image(image, run_folder(trainer) / "real.png")
        if any(wandb.log_real for wandb in callbacks_of(trainer, Wandb)):
            log_image(trainer, "real", image, images=0)

    @property
    def _columns(self) -> int:
        return math.ceil(math.sqrt(self.count))

    def on_interval(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        """Draw, save and log the samples and the other panels."""
        if not trainer.is_global_zero or not isinstance(model, GenerativeModel) or model.required_conditions:
            return
        match model.image_shape:
            case (2,):
                self._scatter = self._scatter or Scatter(data_of(trainer))
                image = self._scatter.of(model, seed=self.seed)
            case (_, _, _):
                image = grid(model.sample(self.count, seed=self.seed)["image"], self._columns)
            case _:
                return
        folder = run_folder(trainer) / FOLDER
        path = folder / f"{format_images(images)}.png"
        save_image(image, path)
        if path.exists():  # the disk may be full
            self.latest = path
            self._frames.append(path)
        self._drawn_at = model.images_seen
        log_image(trainer, "samples", image, images=model.images_seen)
        if len(model.image_shape) != 3:
            return
        for name, batch in model.panels(STEPS, seed=self.seed).items():
            panel = grid(batch["image"], STEPS)
            save_image(panel, folder / f"{name}_{format_images(images)}.png")
            log_image(trainer, name, panel, images=model.images_seen)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the final state and the animation."""
        if isinstance(pl_module, Model) and pl_module.images_seen > self._drawn_at:
            self.on_interval(trainer, pl_module, pl_module.images_seen)
        self._animate(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Animate what there is."""
        self._animate(trainer)

    def _animate(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero and self._frames:
            save_animation(self._frames, run_folder(trainer) / "training.gif")
