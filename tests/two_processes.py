"""Train in two processes for `test_distributed.py`; this script is the first process, and Lightning starts the second.

`python two_processes.py FOLDER` writes the results of the processes to `0.pt` and `1.pt` in the folder.
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
from test_resume import SaveAt, training_state
from torch import Tensor, nn

from lightning_gans.callbacks import Checkpointing, Evaluation, Run, Samples, Wandb
from lightning_gans.core.gan import GAN
from lightning_gans.core.model import Model
from lightning_gans.models import VanillaGAN
from lightning_gans.trainer import Trainer
from lightning_gans.types import Batch

POINTS = Case("points", VanillaGAN, (2,), MLPS)
FIXED_STEPS, STEPS = 50, 8
STOP = 4  # within an epoch of 5 batches, and between two steps of a generator with `discriminator_steps` 3
DISCRIMINATOR_STEPS = (1, 3)


class LabeledByIndex(Noise):
    """Examples whose label is their index."""

    def _stored(self, image: Tensor) -> Batch:
        return {**super()._stored(image), "label": torch.arange(len(image))}


class BatchLabels(pl.Callback):
    """Record the labels of every batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, *_: Any) -> None:
        self.batches.append(batch["label"].tolist())


class Initialized(VanillaGAN):
    """A GAN that initializes a bias with the mean of the first batch and with random numbers."""

    def initialize_from_batch(self, batch: Batch) -> None:
        self.generator.layers[0].bias.copy_(batch["image"].mean() + torch.randn(16))  # type: ignore[union-attr, index]


def comparable(case: Case) -> bool:
    """Report whether the loss of a case is a mean over examples, with other arguments if necessary."""
    return not case.no_mean_over_samples or bool(case.mean_over_samples)


def fix_noise(model: GAN) -> None:
    """Make noise a function of the batch, the label of the example and the shape, independent of the process."""
    labels: list[int] = []

    def with_labels(loss: Callable[[Batch], Any]) -> Callable[[Batch], Any]:
        def labeled_loss(batch: Batch) -> Any:
            labels[:] = batch["label"].tolist()
            return loss(batch)

        return labeled_loss

    def noise(distribution: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        assert shape[0] == len(labels)
        seeds = [zlib.crc32(repr((model.batches_seen, label, shape[1:])).encode()) for label in labels]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return torch.stack([distribution(shape[1:], generator=each, dtype=model.dtype) for each in generators])

    vars(model).update(
        _noise=noise,
        initialize_from_batch=with_labels(model.initialize_from_batch),
        discriminator_loss=with_labels(model.discriminator_loss),
        generator_loss=with_labels(model.generator_loss),
    )


def record_latents(model: GAN) -> list[Tensor]:
    """Record every latent that the model draws."""
    sample, latents = model.sample_latents, []

    def sample_latents(n: int) -> Tensor:
        latents.append(sample(n))
        return latents[-1]

    vars(model).update(sample_latents=sample_latents)
    return latents


def fit(
    model: Model, data: pl.LightningDataModule, steps: int, *, ckpt_path: Path | None = None, **options: Any
) -> pl.Trainer:
    """Train with Lightning's own Trainer."""
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(accelerator="cpu", max_steps=steps, max_epochs=-1, logger=False, **quiet, **options)
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path)
    return trainer


def fit_with_fixed_noise(case: Case, discriminator_steps: int, devices: int) -> dict[str, Any]:
    """Train in float64 with fixed noise, and with arguments for which every loss is a mean over examples."""
    model, labels = case.make(discriminator_steps=discriminator_steps, **case.mean_over_samples).double(), BatchLabels()
    if case.is_gan:
        fix_noise(model)
    data = LabeledByIndex(**case.sizes(), batch_size=8, validation_size=16)
    trainer = fit(model, data, FIXED_STEPS, devices=devices, callbacks=[labels], precision="64-true")
    return {**training_state(trainer), "labels": labels.batches}


def fit_and_resume(case: Case, rank: int, path: Path, **changes: Any) -> dict[str, Any]:
    """Train a case from other weights on the second process, save during training, and resume from the checkpoint."""
    model = case.make(**changes)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.add_(rank)
    latents = record_latents(model) if case.is_adversarial else [torch.empty(0)]
    expected = training_state(fit(model, case.data(), STEPS, devices=2, callbacks=[SaveAt(path, STOP)]))
    other = case.make(**changes)
    torch.manual_seed(77)  # resuming replaces the random state
    return {
        "state": expected,
        "resumed": training_state(fit(other, case.data(), STEPS, devices=2, ckpt_path=path)),
        "latents": torch.cat(latents),
    }


def fit_with_callbacks(folder: Path) -> dict[str, Any]:
    """Train a GAN of images with the Trainer of this framework and all its callbacks."""
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
    return training_state(trainer)


class Idle(nn.Module):
    """A network with a frozen layer, a layer that is not used, and a layer that only the first process uses."""

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
    """Train a network with idle layers by an optimizer with weight decay, and find the weights that have changed."""
    model = POINTS.make(discriminator=Idle, discriminator_optimizer=torch.optim.AdamW)
    before = {name: parameter.detach().clone() for name, parameter in model.discriminator.named_parameters()}
    state = training_state(fit(model, POINTS.data(), 2, devices=2))
    after = model.discriminator.named_parameters()
    return {"state": state, "changed": {name for name, weight in after if not torch.equal(weight, before[name])}}


def batch_size_error() -> str:
    """Return the error message for a batch of 7 examples on two processes."""
    try:
        fit(POINTS.make(), POINTS.data(batch_size=7), 1, devices=2)
    except ValueError as error:
        return str(error)
    return ""


def main(folder: Path) -> None:
    """Run all fits; each of the two processes calls this function."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    results: dict[str, Any] = {"fixed": {}, "free": {}}
    for case in CASES:
        for steps in DISCRIMINATOR_STEPS:
            key = f"{case.name} {steps}"
            if comparable(case):
                results["fixed"][key] = fit_with_fixed_noise(case, steps, devices=2)
            results["free"][key] = fit_and_resume(case, rank, folder / f"{key}.ckpt", discriminator_steps=steps)
    initialized = Initialized(image_shape=(2,), **MLPS)
    results["initialized"] = training_state(fit(initialized, POINTS.data(), 1, devices=2))
    results["idle"] = fit_idle()
    results["callbacks"] = fit_with_callbacks(folder)
    results["batch_size_error"] = batch_size_error()
    torch.save(results, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
