"""What `test_distributed.py` looks at: fits of two processes, run as a script whose second process Lightning starts.

`python two_processes.py FOLDER` leaves `0.pt` and `1.pt` there, what each process saw.
"""

import os
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from cases import CASES, MLPS, Case, Noise
from test_resume import SaveAt, whole
from torch import Tensor, nn

from lightning_gans.callbacks import Checkpointing, Evaluation, Run, Samples, Wandb
from lightning_gans.core.gan import GAN
from lightning_gans.core.model import Model
from lightning_gans.models import VanillaGAN
from lightning_gans.trainer import Trainer
from lightning_gans.types import Batch

POINTS = Case("points", VanillaGAN, (2,), MLPS)
FIXED_STEPS, STEPS, STOP = (
    50,
    8,
    4,
)  # an epoch has 5 batches; 4 lies between two steps of a generator that plays every 3
DISCRIMINATOR_STEPS = (1, 3)


class Numbered(Noise):
    """Examples whose label is their number."""

    def _stored(self, image: Tensor) -> Batch:
        return {**super()._stored(image), "label": torch.arange(len(image))}


class Numbers(pl.Callback):
    """Remember the examples of every batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, *_: Any) -> None:
        self.batches.append(batch["label"].tolist())


class Initialized(VanillaGAN):
    """Start from the mean of the first batch, and from chance."""

    def initialize_from_batch(self, batch: Batch) -> None:
        self.generator.layers[0].bias.copy_(batch["image"].mean() + torch.randn(16))  # type: ignore[union-attr, index]


def comparable(case: Case) -> bool:
    """Whether the case is a mean over examples, or can be made one."""
    return not case.no_mean_over_samples or bool(case.mean_over_samples)


def fix_noise(model: GAN) -> None:
    """Make noise a function of the batch, the example's number and the shape, in whichever part it is drawn."""
    numbers: list[int] = []

    def numbered(loss: Callable[[Batch], Any]) -> Callable[[Batch], Any]:
        def numbered_loss(batch: Batch) -> Any:
            numbers[:] = batch["label"].tolist()
            return loss(batch)

        return numbered_loss

    def noise(distribution: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        assert shape[0] == len(numbers)
        seeds = [zlib.crc32(repr((model.batches_seen, number, shape[1:])).encode()) for number in numbers]
        streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        return torch.stack([distribution(shape[1:], generator=stream, dtype=model.dtype) for stream in streams])

    vars(model).update(
        _noise=noise,
        initialize_from_batch=numbered(model.initialize_from_batch),
        discriminator_loss=numbered(model.discriminator_loss),
        generator_loss=numbered(model.generator_loss),
    )


def record_latents(model: GAN) -> list[Tensor]:
    """Remember every latent that the model draws."""
    sample, latents = model.sample_latents, []

    def sample_latents(n: int) -> Tensor:
        latents.append(sample(n))
        return latents[-1]

    vars(model).update(sample_latents=sample_latents)
    return latents


def fit(
    model: Model, data: pl.LightningDataModule, steps: int, *, ckpt_path: Path | None = None, **options: Any
) -> pl.Trainer:
    """Train with Lightning's own Trainer as it is."""
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(accelerator="cpu", max_steps=steps, max_epochs=-1, logger=False, **quiet, **options)
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path)
    return trainer


def fit_fixed(case: Case, discriminator_steps: int, devices: int) -> dict[str, Any]:
    """Train in float64 under fixed noise, with arguments that make every loss a mean over examples."""
    model, numbers = case.make(discriminator_steps=discriminator_steps, **case.mean_over_samples).double(), Numbers()
    if case.is_gan:
        fix_noise(model)
    data = Numbered(**case.sizes(), batch_size=8, validation_size=16)
    trainer = fit(model, data, FIXED_STEPS, devices=devices, callbacks=[numbers], precision="64-true")
    return {**whole(trainer), "numbers": numbers.batches}


def fit_free(case: Case, rank: int, path: Path, **changes: Any) -> dict[str, Any]:
    """Train as the case is, from other weights on the second process; save on the way, and resume from there."""
    model = case.make(**changes)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.add_(rank)
    latents = record_latents(model) if case.is_adversarial else [torch.empty(0)]
    expected = whole(fit(model, case.data(), STEPS, devices=2, callbacks=[SaveAt(path, STOP)]))
    other = case.make(**changes)
    torch.manual_seed(77)  # a resumed run starts from any stream
    return {
        "whole": expected,
        "resumed": whole(fit(other, case.data(), STEPS, devices=2, ckpt_path=path)),
        "latents": torch.cat(latents),
    }


def fit_with_everything(folder: Path) -> dict[str, Any]:
    """Train an image's game with this framework's own Trainer and all its callbacks."""
    case = next(case for case in CASES if case.name == "dcgan")
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        enable_progress_bar=False,
        log_every_n_steps=2,
        callbacks=[
            Run(root=str(folder / "runs"), max_images=64),
            Wandb(mode="disabled"),
            Samples(every=16, count=4),
            Evaluation(every=16, count=12, k=2),
            Checkpointing(every=24),
        ],
    )
    trainer.fit(case.make(), datamodule=case.data())
    return whole(trainer)


class Idle(nn.Module):
    """A network with a layer that is frozen, one that nothing asks, and one that only the first process asks."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.unused = nn.Linear(2, 2)
        self.first = nn.Linear(2, 2)
        self.last = nn.Linear(image_shape[0], 1)

    def forward(self, image: Tensor) -> Tensor:
        image = self.frozen(image)
        first = os.environ.get("LOCAL_RANK", "0") == "0"
        logits: Tensor = self.last(image + self.first(image) if first else image)
        return logits


def fit_idle() -> dict[str, Any]:
    """Train a network with idle layers, by an optimizer that decays all that has a gradient; say which have moved."""
    model = POINTS.make(discriminator=Idle, discriminator_optimizer=torch.optim.AdamW)
    before = {name: parameter.detach().clone() for name, parameter in model.discriminator.named_parameters()}
    fitted = whole(fit(model, POINTS.data(), 2, devices=2))
    after = model.discriminator.named_parameters()
    return {"whole": fitted, "moved": {name for name, weight in after if not torch.equal(weight, before[name])}}


def refusal() -> str:
    """What is said of 7 examples for two processes."""
    try:
        fit(POINTS.make(), POINTS.data(batch_size=7), 1, devices=2)
    except ValueError as error:
        return str(error)
    return ""


def main(folder: Path) -> None:
    """Run it all, on each of the two processes."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    seen: dict[str, Any] = {"fixed": {}, "free": {}}
    for case in CASES:
        for steps in DISCRIMINATOR_STEPS:
            key = f"{case.name} {steps}"
            if comparable(case):
                seen["fixed"][key] = fit_fixed(case, steps, devices=2)
            seen["free"][key] = fit_free(case, rank, folder / f"{key}.ckpt", discriminator_steps=steps)
    initialized = Initialized(image_shape=(2,), **MLPS)
    seen["initialized"] = whole(fit(initialized, POINTS.data(), 1, devices=2))
    seen["idle"] = fit_idle()
    seen["everything"] = fit_with_everything(folder)
    seen["refusal"] = refusal()
    torch.save(seen, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
