"""Each game has its paper's losses, networks and settings."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import yaml
from cases import GANS, MLPS, images
from torch import nn
from torch.nn import functional as F

from lightning_gans import configs
from lightning_gans.core.gan import GAN
from lightning_gans.core.optimizers import (
    DCGANAdam,
    GoodfellowSGD,
    InfoGANAdam,
    LSGANAdam,
    R3GANAdam,
    SNGANAdam,
    WGANGPAdam,
)
from lightning_gans.core.schedules import Linear
from lightning_gans.models import DCGAN, LAPGAN, LSGAN, R3GAN, SNGAN, WGANGP, FlowGAN, InfoGAN, VanillaGAN
from lightning_gans.networks.dcgan import DCGANCritic, DCGANDiscriminator, DCGANGenerator, SpectralNormDiscriminator
from lightning_gans.networks.mlp import MaxoutDiscriminator, MLPGenerator
from lightning_gans.networks.priors import FlowGenerator
from lightning_gans.networks.pyramid import PyramidGenerator
from lightning_gans.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from lightning_gans.networks.recognition import InfoGANDiscriminator
from lightning_gans.networks.resnet import SpectralNormResNetDiscriminator
from lightning_gans.types import Batch

ADAM_DCGAN = {"lr": 2e-4, "betas": (0.5, 0.999)}
ADAM_INFOGAN = {"lr": 1e-3, "betas": (0.5, 0.999)}
ADAM_R3GAN = {"lr": 2e-4, "betas": (0.0, 0.9)}
ADAM_WGAN_GP = {"lr": 1e-4, "betas": (0.5, 0.9)}
ADAM_SNGAN = {"lr": 2e-4, "betas": (0.0, 0.9)}
ADAM_LSGAN = {"lr": 1e-3, "betas": (0.5, 0.999)}


class Published(NamedTuple):
    """What a game is made of by default."""

    model: type[GAN]
    latent_dim: int
    discriminator_steps: int
    generator: type[nn.Module]
    discriminator: type[nn.Module]
    optimizer: type[torch.optim.Optimizer]
    settings: dict[str, Any]
    generator_optimizer: type[torch.optim.Optimizer] | None = None  # where it is another than the discriminator's
    generator_settings: dict[str, Any] | None = None
    needs: tuple[tuple[str, Any], ...] = ()  # arguments without a default


PUBLISHED = [
    Published(VanillaGAN, 100, 1, MLPGenerator, MaxoutDiscriminator, DCGANAdam, ADAM_DCGAN),
    Published(DCGAN, 100, 1, DCGANGenerator, DCGANDiscriminator, DCGANAdam, ADAM_DCGAN),
    Published(WGANGP, 128, 5, DCGANGenerator, DCGANCritic, WGANGPAdam, ADAM_WGAN_GP),
    Published(LAPGAN, 100, 1, PyramidGenerator, nn.ModuleList, DCGANAdam, ADAM_DCGAN),
    Published(InfoGAN, 74, 1, DCGANGenerator, InfoGANDiscriminator, DCGANAdam, ADAM_DCGAN, InfoGANAdam, ADAM_INFOGAN),
    Published(R3GAN, 64, 1, R3GANGenerator, R3GANDiscriminator, R3GANAdam, ADAM_R3GAN),
    Published(SNGAN, 128, 5, DCGANGenerator, SpectralNormDiscriminator, SNGANAdam, ADAM_SNGAN),
    Published(FlowGAN, 256, 5, FlowGenerator, DCGANCritic, WGANGPAdam, ADAM_WGAN_GP, needs=(("levels", 256),)),
    Published(LSGAN, 100, 1, DCGANGenerator, DCGANDiscriminator, LSGANAdam, ADAM_LSGAN),
]


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.model.__name__)
def test_the_defaults_are_the_published_ones(published: Published) -> None:
    game = published.model(image_shape=(1, 16, 16), **dict(published.needs))
    assert game.latent_dim == published.latent_dim
    assert game.discriminator_steps == published.discriminator_steps
    assert type(game.generator) is published.generator
    assert type(game.discriminator) is published.discriminator
    generator, discriminator = game.configure_optimizers()
    assert type(generator) is (published.generator_optimizer or published.optimizer)
    assert (published.generator_settings or published.settings).items() <= generator.param_groups[0].items()
    assert type(discriminator) is published.optimizer
    assert published.settings.items() <= discriminator.param_groups[0].items()


def test_every_game_has_its_settings_here() -> None:
    assert {row.model for row in PUBLISHED} == {case.model for case in GANS}


# -- losses, by independent formulas -------------------------------------------------------------------------------


def played(model: type[GAN], fakes: torch.Tensor, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> GAN:
    torch.manual_seed(0)
    game = model(image_shape=(2,), latent_dim=3, **{**MLPS, **arguments}).double()
    monkeypatch.setattr(game, "fake", lambda batch: {"image": fakes})
    return game


def test_the_vanilla_losses_are_cross_entropies(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = images((2,), 6).double(), images((2,), 6, seed=1).double()
    game = played(VanillaGAN, fake, monkeypatch)
    on_real, on_fake = game.discriminator(real), game.discriminator(fake)
    ones, zeros = torch.ones_like(on_real), torch.zeros_like(on_real)
    entropy = F.binary_cross_entropy_with_logits
    discriminator, generator = game.discriminator_loss({"image": real}), game.generator_loss({"image": real})
    assert list(discriminator) == list(generator) == ["adversarial"]
    torch.testing.assert_close(discriminator["adversarial"], entropy(on_real, ones) + entropy(on_fake, zeros))
    torch.testing.assert_close(generator["adversarial"], entropy(on_fake, ones))


def test_the_losses_of_sngan_are_hinges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reference: the means of max(0, 1 - D(x)) and max(0, 1 + D(G(z))), some examples on either side of the margin."""
    real, fake = 4 * images((2,), 32).double(), 4 * images((2,), 32, seed=1).double()
    game = played(SNGAN, fake, monkeypatch, discriminator=Line)
    on_real, on_fake = (x @ torch.tensor([3.0, 4.0], dtype=torch.float64) for x in (real, fake))
    assert 0 < (on_real > 1).sum() < 32
    hinge = sum(max(0.0, 1 - y) for y in on_real.tolist()) / 32 + sum(max(0.0, 1 + y) for y in on_fake.tolist()) / 32
    discriminator, generator = game.discriminator_loss({"image": real}), game.generator_loss({"image": real})
    assert list(discriminator) == list(generator) == ["hinge"]
    assert discriminator["hinge"].item() == pytest.approx(hinge, rel=1e-12)
    torch.testing.assert_close(generator["hinge"], -on_fake.mean())


def test_the_losses_of_lsgan_are_half_squared_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = images((2,), 6).double(), images((2,), 6, seed=1).double()
    game = played(LSGAN, fake, monkeypatch)
    on_real, on_fake = game.discriminator(real), game.discriminator(fake)
    ones, zeros = torch.ones_like(on_real), torch.zeros_like(on_real)
    discriminator, generator = game.discriminator_loss({"image": real}), game.generator_loss({"image": real})
    assert list(discriminator) == list(generator) == ["least_squares"]
    errors = F.mse_loss(on_real, ones) + F.mse_loss(on_fake, zeros)
    torch.testing.assert_close(discriminator["least_squares"], errors / 2)
    torch.testing.assert_close(generator["least_squares"], F.mse_loss(on_fake, ones) / 2)


def test_what_differs_from_the_authors_of_sngan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equally many examples for both players, and a learning rate that stays; their residual nets go in."""
    game = SNGAN(image_shape=(1, 8, 8), discriminator=SpectralNormResNetDiscriminator)
    asked: list[int] = []
    sample = game.sample_latents
    monkeypatch.setattr(game, "sample_latents", lambda n: (asked.append(n), sample(n))[1])
    batch: Batch = {"image": images((1, 8, 8), 4)}
    game.discriminator_loss(batch)
    game.generator_loss(batch)
    assert asked == [4, 4]
    game.images_seen = 10**9
    assert {optimizer.param_groups[0]["lr"] for optimizer in game.configure_optimizers()} == {2e-4}


def test_dcgan_plays_the_first_game() -> None:
    assert DCGAN.discriminator_loss is VanillaGAN.discriminator_loss
    assert DCGAN.generator_loss is VanillaGAN.generator_loss


class Line(nn.Module):
    """A critic with the gradient (3, 4), of norm 5, everywhere."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([3.0, 4.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.slope


@pytest.mark.parametrize(("weight", "factor"), [(10.0, 10.0), (0.0, 0.0), (Linear(10.0, 0.0, images=100), 7.5)])
def test_the_losses_of_wgan_gp_with_a_linear_critic(
    weight: Any, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fake = images((2,), 6).double(), images((2,), 6, seed=1).double()
    game = played(WGANGP, fake, monkeypatch, discriminator=Line, penalty_weight=weight)
    game.images_seen = 25
    slope = torch.tensor([3.0, 4.0], dtype=torch.float64)
    critic, generator = game.discriminator_loss({"image": real}), game.generator_loss({"image": real})
    torch.testing.assert_close(critic["wasserstein"], (fake @ slope).mean() - (real @ slope).mean())
    torch.testing.assert_close(critic["penalty"], torch.tensor(factor * (5.0 - 1) ** 2, dtype=torch.float64))
    torch.testing.assert_close(generator["wasserstein"], -(fake @ slope).mean())


def test_the_weight_of_the_penalty_is_10() -> None:
    assert WGANGP(image_shape=(2,), **MLPS).penalty_weight == 10.0


def test_the_critic_of_wgan_gp_ties_no_examples_together() -> None:
    """No normalization over the batch: an example's score does not depend on its neighbors."""
    critic = WGANGP(image_shape=(1, 16, 16)).discriminator.train()
    assert not any(isinstance(module, nn.modules.batchnorm._NormBase) for module in critic.modules())
    x = images((1, 16, 16), 6)
    torch.testing.assert_close(critic(x)[:2], critic(x[:2]))


def test_the_penalty_is_taken_on_lines_between_real_and_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = torch.zeros(4, 2), torch.ones(4, 2)
    game = played(WGANGP, fake.double(), monkeypatch)
    seen: list[torch.Tensor] = []
    game.discriminator.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach()))
    game.discriminator_loss({"image": real.double()})
    *_, points = seen
    assert (points[:, 0] == points[:, 1]).all()
    assert ((points > 0) & (points < 1)).all()
    assert len(set(points[:, 0].tolist())) == 4


class Tiny(nn.Module):
    """tanh(x W1 + b1) w2 + b2 (the bias b2 is there, and moves no relativistic loss)."""

    def __init__(self, sizes: tuple[int, int, int]) -> None:
        super().__init__()
        inputs, hidden, outputs = sizes
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x)))


def test_the_gradients_of_r3gan_are_those_written_out_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """In numpy, with s = sigmoid(D(fake) - D(real)): every derivative by the chain rule, none by autograd.

    D(x) = w . h + c, h = tanh(W x + b), so grad D(x) = W^T (w * (1 - h^2)), whose square the penalty takes at real and
    at generated points; G(z) = V k + d, k = tanh(U z + a).
    """
    gamma, rng = 0.7, np.random.default_rng(0)
    real, latents = rng.standard_normal((5, 2)), rng.standard_normal((5, 3))
    game = R3GAN(
        image_shape=(2,),
        latent_dim=3,
        gamma=gamma,
        generator=lambda latent_dim, shape: Tiny((latent_dim, 4, 2)),
        discriminator=lambda shape: Tiny((2, 6, 1)),
    ).double()
    monkeypatch.setattr(game, "randn", lambda *shape: torch.from_numpy(latents))

    def of(network: Any) -> list[Any]:
        return [parameter.detach().numpy() for parameter in network.parameters()]

    (W, b, w, c), (U, a, V, d) = of(game.discriminator), of(game.generator)  # noqa: N806
    w = w[0]
    k = np.tanh(latents @ U.T + a)
    fake = k @ V.T + d
    h = {"real": np.tanh(real @ W.T + b), "fake": np.tanh(fake @ W.T + b)}
    logit = {name: hidden @ w + c for name, hidden in h.items()}
    s = 1 / (1 + np.exp(logit["real"] - logit["fake"]))  # the slope of softplus at D(fake) - D(real)
    n = len(real)

    grads = {"W": np.zeros_like(W), "b": np.zeros_like(b), "w": np.zeros_like(w)}
    penalties = {}
    for name, points, sign in (("real", real, -1), ("fake", fake, 1)):
        hidden, slope = h[name], 1 - h[name] ** 2
        pulled = (sign * s / n)[:, None] * w * slope
        grads["W"] += pulled.T @ points
        grads["b"] += pulled.sum(0)
        grads["w"] += (sign * s / n) @ hidden
        gradient = (w * slope) @ W  # (n, 2), of D at the points
        penalties[name] = gamma / 2 * (gradient**2).sum(1).mean()
        outer = gamma / n * gradient @ W.T  # gamma / 2 times the derivative of |gradient|^2 by w * slope
        bent = outer * w * -2 * hidden * slope  # through the slope, by W x + b
        grads["W"] += (w * slope).T @ (gamma / n * gradient) + bent.T @ points
        grads["b"] += bent.sum(0)
        grads["w"] += (outer * slope).sum(0)

    batch: Batch = {"image": torch.from_numpy(real)}
    terms = game.discriminator_loss(batch)
    losses = {"relativistic": np.log1p(np.exp(logit["fake"] - logit["real"])).mean()}
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {**losses, "r1": penalties["real"], "r2": penalties["fake"]}, rel=1e-12
    )
    first, bias, second, last = torch.autograd.grad(
        torch.stack(list(terms.values())).sum(), list(game.discriminator.parameters())
    )
    np.testing.assert_allclose(first, grads["W"], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(bias, grads["b"], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(second[0], grads["w"], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(last, [0.0], atol=1e-14)

    (loss,) = game.generator_loss(batch).values()
    assert loss.item() == pytest.approx(np.log1p(np.exp(logit["real"] - logit["fake"])).mean(), rel=1e-12)
    moved = (-(1 - s) / n)[:, None] * ((w * (1 - h["fake"] ** 2)) @ W)  # by G(z)
    inner = moved @ V * (1 - k**2)
    expected = [inner.T @ latents, inner.sum(0), moved.T @ k, moved.sum(0)]
    for ours, theirs in zip(torch.autograd.grad(loss, list(game.generator.parameters())), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-14)


def test_gamma_may_be_a_schedule_and_not_negative() -> None:
    game = R3GAN(image_shape=(2,), **MLPS, gamma=Linear(1.0, 0.0, images=100))
    batch: Batch = {"image": images((2,), 6)}
    torch.manual_seed(0)
    whole = game.discriminator_loss(batch)
    game.images_seen = 75
    torch.manual_seed(0)
    quarter = game.discriminator_loss(batch)
    for name, factor in (("relativistic", 1.0), ("r1", 0.25), ("r2", 0.25)):
        torch.testing.assert_close(quarter[name], factor * whole[name])
    with pytest.raises(ValueError, match=r"`gamma` must be at least 0, got -0.1"):
        R3GAN(image_shape=(2,), **MLPS, gamma=-0.1)


# -- the first paper's optimizer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_the_recipe_of_the_first_paper_has_its_settings(player: str) -> None:
    """Reference: goodfeli/adversarial, mnist.yaml."""
    (folder,) = configs.__path__
    with open(f"{folder}/vanilla_gan_mnist.yaml") as file:
        recipe = yaml.safe_load(file)
    model = recipe["model"]["init_args"]
    assert model[f"{player}_optimizer"]["class_path"] == "GoodfellowSGD"
    schedules = {name: value["init_args"] for name, value in model[f"{player}_schedules"].items()}
    share = 0.5 if player == "discriminator" else 1.0  # their discriminator's loss is half of ours (`AdversaryCost2`)
    assert schedules["lr"] == {"start": share * 0.1, "half_life": 17_328_715, "floor": share * 1e-6}
    assert schedules["momentum"] == {"start": 0.5, "end": 0.7, "images": 250 * 50_000}
    assert recipe["data"]["init_args"]["batch_size"] == 100


def test_the_first_papers_sgd_goes_into_its_game() -> None:
    game = VanillaGAN(
        image_shape=(2,), generator_optimizer=GoodfellowSGD, discriminator_optimizer=partial(GoodfellowSGD, lr=0.2)
    )
    generator, discriminator = game.configure_optimizers()
    assert (generator.param_groups[0]["lr"], generator.param_groups[0]["momentum"]) == (0.1, 0.5)
    assert (discriminator.param_groups[0]["lr"], discriminator.param_groups[0]["momentum"]) == (0.2, 0.5)
