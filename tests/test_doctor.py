"""Test that `Doctor` warns once of each training failure, and never of a healthy GAN."""

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from cases import MLPS, Case, cases, images
from conftest import Fit
from torch import Tensor, nn

from lightning_gans.callbacks import Doctor
from lightning_gans.core.gan import GAN
from lightning_gans.models import WGANGP, VanillaGAN
from lightning_gans.objectives.losses import (
    hinge_discriminator_loss,
    hinge_generator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    minimax_generator_loss,
)
from lightning_gans.types import Batch, Losses

OVERPOWERING = "the discriminator overpowers the generator"
UNBOUNDED = "the critic's gradient grows without bound"
VANISHING = "the generator has vanishing gradients"
COLLAPSED = "the generator shows mode collapse"

FROZEN = partial(torch.optim.SGD, lr=0.0)


def warned(fit: Fit, model: GAN, data: Any, steps: int, *, every: int = 80, **options: Any) -> list[str]:
    """Train for a number of steps and return the warnings of `Doctor`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(model, data, max_steps=steps, callbacks=[Doctor(every=every)], log_every_n_steps=1, **options)
    return [str(warning.message) for warning in caught if str(warning.message).startswith("after ")]


def diagnoses(messages: Sequence[str]) -> set[str]:
    """Find the diagnoses in the messages; each occurs once."""
    known = (OVERPOWERING, UNBOUNDED, VANISHING, COLLAPSED)
    found = [next(diagnosis for diagnosis in known if diagnosis in message) for message in messages]
    assert len(set(found)) == len(found)
    return set(found)


@pytest.mark.parametrize("case", cases())
def test_there_is_no_warning_for_a_healthy_gan(case: Case, fit: Fit) -> None:
    assert warned(fit, case.make(), case.data(), 100, every=100) == []


class LeastSquares(VanillaGAN):
    def discriminator_loss(self, batch: Batch) -> Losses:
        real, fake = self._scores(batch)
        return {"adversarial": least_squares_discriminator_loss(real, fake)}

    def generator_loss(self, batch: Batch) -> Losses:
        return {"adversarial": least_squares_generator_loss(self.discriminator(self.fake(batch)["image"]))}

    def _scores(self, batch: Batch) -> tuple[Tensor, Tensor]:
        real, fake = self.discriminator(batch["image"]), self.discriminator(self.fake(batch)["image"])
        self.observe("discriminator/real", real)
        self.observe("discriminator/fake", fake)
        return real, fake


class Hinge(LeastSquares):
    def discriminator_loss(self, batch: Batch) -> Losses:
        return {"adversarial": hinge_discriminator_loss(*self._scores(batch))}

    def generator_loss(self, batch: Batch) -> Losses:
        return {"adversarial": hinge_generator_loss(self.discriminator(self.fake(batch)["image"]))}


class Saturating(VanillaGAN):
    def generator_loss(self, batch: Batch) -> Losses:
        return {"adversarial": minimax_generator_loss(self.discriminator(self.fake(batch)["image"]))}


def make(model: type[GAN], **arguments: Any) -> GAN:
    torch.manual_seed(0)
    return model(**{"image_shape": (2,), "latent_dim": 3, **MLPS, **arguments})


def far(distance: float = 3.0) -> list[Batch]:
    """Create batches of points far away from the samples of an untrained generator."""
    return [{"image": images((2,), 16, seed=seed) + distance} for seed in range(4)]


@pytest.mark.parametrize("model", [VanillaGAN, LeastSquares, Hinge])
def test_a_discriminator_that_overpowers_the_generator(model: type[GAN], fit: Fit) -> None:
    """The generator is frozen, so the discriminator has nothing left to learn, whatever the loss is."""
    fast = partial(torch.optim.Adam, lr=3e-2)
    failing = make(model, generator_optimizer=FROZEN, discriminator_optimizer=fast)
    assert OVERPOWERING in diagnoses(warned(fit, failing, far(), 100, every=10**6))


def test_a_critic_with_a_gradient_penalty_never_overpowers_the_generator(fit: Fit) -> None:
    fast = partial(torch.optim.Adam, lr=1e-2)
    penalized = make(WGANGP, generator_optimizer=FROZEN, discriminator_optimizer=fast)
    assert diagnoses(warned(fit, penalized, far(), 100, every=1600)) == set()


def test_a_critic_without_a_penalty_is_unbounded(fit: Fit) -> None:
    fast = partial(torch.optim.Adam, lr=1e-2)
    failing = make(WGANGP, generator_optimizer=FROZEN, discriminator_optimizer=fast, penalty_weight=0.0)
    messages = warned(fit, failing, far(), 60, every=320)
    assert diagnoses(messages) == {UNBOUNDED}
    assert messages[0].endswith("; increase its penalty weight, or lower its learning rate")


@pytest.mark.parametrize(
    ("precision", "remedy"),
    [
        ("32-true", "use a non-saturating or Wasserstein loss, and look for dead layers in both networks"),
        ("bf16-true", "use a non-saturating or Wasserstein loss, and look for dead layers in both networks"),
        ("16-true", "gradients are smaller: use `precision` 'bf16-mixed' or '32-true'"),
    ],
)
def test_a_saturated_generator_has_vanishing_gradients(precision: str, remedy: str, fit: Fit) -> None:
    """The minimax loss saturates with a discriminator whose logits are about -30."""
    optimizers = {"generator_optimizer": FROZEN} if precision == "16-true" else {}  # the default's `eps` is refused
    failing = make(Saturating, discriminator_optimizer=FROZEN, **optimizers)
    last = [module for module in failing.discriminator.modules() if isinstance(module, nn.Linear)][-1]
    last.bias.data.fill_(-30.0)
    messages = warned(fit, failing, far(), 20, every=10**6, precision=precision)
    assert diagnoses(messages) == {VANISHING}
    assert messages[0].endswith(remedy)
    assert messages[0].startswith("after 80 images, ")


class Shrinking(VanillaGAN):
    """GAN whose generator weights halve with every step, so that all samples approach one point."""

    def generator_loss(self, batch: Batch) -> Losses:
        return {"half": 0.5 * sum(parameter.square().sum() for parameter in self.generator.parameters())}


def linear(latent_dim: int, image_shape: tuple[int, ...]) -> nn.Module:
    return nn.Linear(latent_dim, *image_shape)


@pytest.mark.filterwarnings("ignore:a checkpoint cannot record")
def test_samples_that_become_identical(fit: Fit) -> None:
    """The samples are diverse at first; their distance halves with every step, to 5 % after about five steps."""
    halving = partial(torch.optim.SGD, lr=0.5)
    failing = make(Shrinking, generator=linear, generator_optimizer=halving, ema_half_life=0.0)
    messages = warned(fit, failing, far(), 12, every=16)
    assert diagnoses(messages) == {COLLAPSED}
    assert 4 * 16 <= int(messages[0].split()[1]) <= 7 * 16


@pytest.mark.filterwarnings("ignore:a checkpoint cannot record")
def test_samples_that_never_differed(fit: Fit) -> None:
    failing = make(VanillaGAN, generator_optimizer=FROZEN)
    messages = warned(fit, failing, far(0.0), 30, every=32)
    assert diagnoses(messages) == {COLLAPSED}
    assert messages[0].startswith("after 320 images, ")


def test_a_resumed_run_does_not_repeat_a_warning() -> None:
    symptom = "vanishing_gradients"
    saved, resumed = Doctor(every=16), Doctor(every=16)
    saved._warned, saved._initial = [symptom], {"discriminator/loss": 1.0}
    saved._consecutive, saved._was_diverse = {symptom: 7}, True
    resumed.load_state_dict(saved.state_dict())
    assert resumed.state_dict() == saved.state_dict()
    model = VanillaGAN(image_shape=(2,), **MLPS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed._count(symptom, True, 5, model)
    with pytest.warns(UserWarning, match=f"after 0 images, {OVERPOWERING}"):
        resumed._count("overpowering_discriminator", True, 1, model)


def test_doctor_works_with_a_plain_trainer(fit: Fit) -> None:
    trainer = fit(make(VanillaGAN), far(), max_steps=2, callbacks=[Doctor()])
    assert isinstance(trainer, pl.Trainer)
