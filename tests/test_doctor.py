"""The doctor warns of games that are sick, once for each cause, and of none that is well."""

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

WINS = "the discriminator always wins"
STEEP = "the critic's slope grows without bound"
VANISHED = "the generator's gradient has vanished"
COLLAPSED = "the samples are nearly all the same"

RESTING = partial(torch.optim.SGD, lr=0.0)


def warned(fit: Fit, model: GAN, data: Any, steps: int, *, every: int = 80, **options: Any) -> list[str]:
    """What the doctor says in so many steps."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        fit(model, data, max_steps=steps, callbacks=[Doctor(every=every)], log_every_n_steps=1, **options)
    return [str(warning.message) for warning in seen if str(warning.message).startswith("after ")]


def causes(said: Sequence[str]) -> set[str]:
    known = (WINS, STEEP, VANISHED, COLLAPSED)
    found = [next(cause for cause in known if cause in line) for line in said]
    assert len(set(found)) == len(found)
    return set(found)


@pytest.mark.parametrize("case", cases())
def test_it_has_nothing_to_say_of_a_healthy_game(case: Case, fit: Fit) -> None:
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


def game(model: type[GAN], **arguments: Any) -> GAN:
    torch.manual_seed(0)
    return model(**{"image_shape": (2,), "latent_dim": 3, **MLPS, **arguments})


def far(distance: float = 3.0) -> list[Batch]:
    """Points away from where an untrained generator is."""
    return [{"image": images((2,), 16, seed=seed) + distance} for seed in range(4)]


@pytest.mark.parametrize("model", [VanillaGAN, LeastSquares, Hinge])
def test_a_discriminator_that_always_wins(model: type[GAN], fit: Fit) -> None:
    """Its generator does not move: nothing is left to learn after a while, whatever the loss is."""
    quick = partial(torch.optim.Adam, lr=3e-2)
    sick = game(model, generator_optimizer=RESTING, discriminator_optimizer=quick)
    assert WINS in causes(warned(fit, sick, far(), 100, every=10**6))


def test_a_critic_that_is_held_never_wins_by_its_loss(fit: Fit) -> None:
    quick = partial(torch.optim.Adam, lr=1e-2)
    held = game(WGANGP, generator_optimizer=RESTING, discriminator_optimizer=quick)
    assert causes(warned(fit, held, far(), 100, every=1600)) == set()


def test_a_critic_without_a_penalty_grows_steep(fit: Fit) -> None:
    quick = partial(torch.optim.Adam, lr=1e-2)
    sick = game(WGANGP, generator_optimizer=RESTING, discriminator_optimizer=quick, penalty_weight=0.0)
    said = warned(fit, sick, far(), 60, every=320)
    assert causes(said) == {STEEP}
    assert said[0].endswith(": raise the weight of its penalty, or lower its learning rate")


def test_a_saturated_generator_has_no_gradient(fit: Fit) -> None:
    """The minimax loss of a discriminator that is sure by 30 nats."""
    sick = game(Saturating, discriminator_optimizer=RESTING)
    last = [module for module in sick.discriminator.modules() if isinstance(module, nn.Linear)][-1]
    last.bias.data.fill_(-30.0)
    said = warned(fit, sick, far(), 20, every=10**6)
    assert causes(said) == {VANISHED}
    assert said[0].startswith("after 80 images ")


class Shrinking(VanillaGAN):
    """The generator's weights halve with every step: what differed ends in one point."""

    def generator_loss(self, batch: Batch) -> Losses:
        return {"half": 0.5 * sum(parameter.square().sum() for parameter in self.generator.parameters())}


def linear(latent_dim: int, image_shape: tuple[int, ...]) -> nn.Module:
    return nn.Linear(latent_dim, *image_shape)


@pytest.mark.filterwarnings("ignore:a checkpoint cannot record")
def test_samples_that_have_become_one(fit: Fit) -> None:
    """They spread, at first; their distance falls by a half with every step, to 5 % in the fifth or so."""
    halving = partial(torch.optim.SGD, lr=0.5)
    sick = game(Shrinking, generator=linear, generator_optimizer=halving, ema_half_life=0.0)
    said = warned(fit, sick, far(), 12, every=16)
    assert causes(said) == {COLLAPSED}
    assert 4 * 16 <= int(said[0].split()[1]) <= 7 * 16


@pytest.mark.filterwarnings("ignore:a checkpoint cannot record")
def test_samples_that_never_differed(fit: Fit) -> None:
    sick = game(VanillaGAN, generator_optimizer=RESTING)
    said = warned(fit, sick, far(0.0), 30, every=32)
    assert causes(said) == {COLLAPSED}
    assert said[0].startswith("after 320 images ")


def test_a_resumed_run_does_not_hear_it_again() -> None:
    one, other = Doctor(every=16), Doctor(every=16)
    one._warned, one._first, one._lasted, one._spread = ["vanished"], {"discriminator/loss": 1.0}, {"vanished": 7}, True
    other.load_state_dict(one.state_dict())
    assert other.state_dict() == one.state_dict()
    model = VanillaGAN(image_shape=(2,), **MLPS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other._count("vanished", True, 5, model)
    with pytest.warns(UserWarning, match=f"after 0 images {WINS}"):
        other._count("winning", True, 1, model)


def test_lightnings_own_trainer_takes_it(fit: Fit) -> None:
    trainer = fit(game(VanillaGAN), far(), max_steps=2, callbacks=[Doctor()])
    assert isinstance(trainer, pl.Trainer)
