"""The losses, networks and settings of each GAN against its paper."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from cases import GANS, MLPS, PUBLISHED, Defaults, images
from torch import nn
from torch.nn import functional as F

from lightning_gans import configs
from lightning_gans.core.gan import GAN
from lightning_gans.core.optimizers import (
    GoodfellowSGD,
)
from lightning_gans.core.schedules import Linear
from lightning_gans.models import DCGAN, LSGAN, R3GAN, SNGAN, WGANGP, VanillaGAN
from lightning_gans.networks.resnet import SpectralNormResNetDiscriminator
from lightning_gans.types import Batch


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.model.__name__)
def test_the_defaults_are_the_published_ones(published: Defaults) -> None:
    gan = published.model(image_shape=(1, 16, 16), **dict(published.needs))
    assert gan.latent_dim == published.latent_dim
    assert gan.discriminator_steps == published.discriminator_steps
    assert type(gan.generator) is published.generator
    assert type(gan.discriminator) is published.discriminator
    generator, discriminator = gan.configure_optimizers()
    assert type(generator) is (published.generator_optimizer or published.optimizer)
    assert (published.generator_settings or published.settings).items() <= generator.param_groups[0].items()
    assert type(discriminator) is published.optimizer
    assert published.settings.items() <= discriminator.param_groups[0].items()


def test_every_gan_has_a_row() -> None:
    assert {row.model for row in PUBLISHED} == {case.model for case in GANS}


# -- losses, by independent formulas -------------------------------------------------------------------------------


def with_fakes(model: type[GAN], fakes: torch.Tensor, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> GAN:
    """Build a GAN whose samples are given."""
    torch.manual_seed(0)
    gan = model(image_shape=(2,), latent_dim=3, **{**MLPS, **arguments}).double()
    monkeypatch.setattr(gan, "fake", lambda batch: {"image": fakes})
    return gan


def test_the_vanilla_losses_are_cross_entropies(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = images((2,), 6).double(), images((2,), 6, seed=1).double()
    gan = with_fakes(VanillaGAN, fake, monkeypatch)
    real_logits, fake_logits = gan.discriminator(real), gan.discriminator(fake)
    ones, zeros = torch.ones_like(real_logits), torch.zeros_like(real_logits)
    entropy = F.binary_cross_entropy_with_logits
    discriminator, generator = gan.discriminator_loss({"image": real}), gan.generator_loss({"image": real})
    assert list(discriminator) == list(generator) == ["adversarial"]
    torch.testing.assert_close(discriminator["adversarial"], entropy(real_logits, ones) + entropy(fake_logits, zeros))
    torch.testing.assert_close(generator["adversarial"], entropy(fake_logits, ones))


def test_the_losses_of_sngan_are_hinge_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare with the means of max(0, 1 - D(x)) and max(0, 1 + D(G(z))), with logits on both sides of the margin."""
    real, fake = 4 * images((2,), 32).double(), 4 * images((2,), 32, seed=1).double()
    gan = with_fakes(SNGAN, fake, monkeypatch, discriminator=Line)
    real_logits, fake_logits = (x @ torch.tensor([3.0, 4.0], dtype=torch.float64) for x in (real, fake))
    assert 0 < (real_logits > 1).sum() < 32
    pairs = zip(real_logits.tolist(), fake_logits.tolist(), strict=True)
    hinge = sum(max(0.0, 1 - real_logit) + max(0.0, 1 + fake_logit) for real_logit, fake_logit in pairs) / 32
    discriminator, generator = gan.discriminator_loss({"image": real}), gan.generator_loss({"image": real})
    assert list(discriminator) == list(generator) == ["hinge"]
    assert discriminator["hinge"].item() == pytest.approx(hinge, rel=1e-12)
    torch.testing.assert_close(generator["hinge"], -fake_logits.mean())


def test_the_losses_of_lsgan_are_half_squared_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = images((2,), 6).double(), images((2,), 6, seed=1).double()
    gan = with_fakes(LSGAN, fake, monkeypatch)
    real_logits, fake_logits = gan.discriminator(real), gan.discriminator(fake)
    ones, zeros = torch.ones_like(real_logits), torch.zeros_like(real_logits)
    discriminator, generator = gan.discriminator_loss({"image": real}), gan.generator_loss({"image": real})
    assert list(discriminator) == list(generator) == ["least_squares"]
    errors = F.mse_loss(real_logits, ones) + F.mse_loss(fake_logits, zeros)
    torch.testing.assert_close(discriminator["least_squares"], errors / 2)
    torch.testing.assert_close(generator["least_squares"], F.mse_loss(fake_logits, ones) / 2)


def test_what_differs_from_the_authors_of_sngan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both players have the same batch size, and the learning rate is constant; their residual networks fit."""
    gan = SNGAN(image_shape=(1, 8, 8), discriminator=SpectralNormResNetDiscriminator)
    sizes: list[int] = []
    sample = gan.sample_latents
    monkeypatch.setattr(gan, "sample_latents", lambda n: (sizes.append(n), sample(n))[1])
    batch: Batch = {"image": images((1, 8, 8), 4)}
    gan.discriminator_loss(batch)
    gan.generator_loss(batch)
    assert sizes == [4, 4]
    gan.images_seen = 10**9
    assert {optimizer.param_groups[0]["lr"] for optimizer in gan.configure_optimizers()} == {2e-4}


def test_dcgan_has_the_losses_of_the_original_gan() -> None:
    assert DCGAN.discriminator_loss is VanillaGAN.discriminator_loss
    assert DCGAN.generator_loss is VanillaGAN.generator_loss


class Line(nn.Module):
    """Critic with the constant gradient (3, 4), of norm 5."""

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
    gan = with_fakes(WGANGP, fake, monkeypatch, discriminator=Line, penalty_weight=weight)
    gan.images_seen = 25
    slope = torch.tensor([3.0, 4.0], dtype=torch.float64)
    critic, generator = gan.discriminator_loss({"image": real}), gan.generator_loss({"image": real})
    torch.testing.assert_close(critic["wasserstein"], (fake @ slope).mean() - (real @ slope).mean())
    torch.testing.assert_close(critic["penalty"], torch.tensor(factor * (5.0 - 1) ** 2, dtype=torch.float64))
    torch.testing.assert_close(generator["wasserstein"], -(fake @ slope).mean())


def test_the_weight_of_the_penalty_is_10() -> None:
    assert WGANGP(image_shape=(2,), **MLPS).penalty_weight == 10.0


def test_the_critic_of_wgan_gp_does_not_couple_examples() -> None:
    """There is no batch normalization, and the score of an example does not depend on the other examples."""
    critic = WGANGP(image_shape=(1, 16, 16)).discriminator.train()
    assert not any(isinstance(module, nn.modules.batchnorm._NormBase) for module in critic.modules())
    x = images((1, 16, 16), 6)
    torch.testing.assert_close(critic(x)[:2], critic(x[:2]))


def test_the_penalty_is_computed_between_examples_and_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = torch.zeros(4, 2), torch.ones(4, 2)
    gan = with_fakes(WGANGP, fake.double(), monkeypatch)
    inputs: list[torch.Tensor] = []
    gan.discriminator.register_forward_hook(lambda module, args, output: inputs.append(args[0].detach()))
    gan.discriminator_loss({"image": real.double()})
    *_, points = inputs
    assert (points[:, 0] == points[:, 1]).all()
    assert ((points > 0) & (points < 1)).all()
    assert len(set(points[:, 0].tolist())) == 4


class Tiny(nn.Module):
    """Network tanh(x W1 + b1) w2 + b2; a relativistic loss does not depend on the bias b2."""

    def __init__(self, sizes: tuple[int, int, int]) -> None:
        super().__init__()
        inputs, hidden, outputs = sizes
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x)))


def test_the_gradients_of_r3gan_are_derived_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute every derivative in NumPy by the chain rule, with s = sigmoid(D(fake) - D(real)).

    D(x) = w . h + c and h = tanh(W x + b), so grad D(x) = W^T (w * (1 - h^2)); the penalties are its mean squares for
    examples and for samples. G(z) = V k + d and k = tanh(U z + a).
    """
    gamma, rng = 0.7, np.random.default_rng(0)
    real, latents = rng.standard_normal((5, 2)), rng.standard_normal((5, 3))
    gan = R3GAN(
        image_shape=(2,),
        latent_dim=3,
        gamma=gamma,
        generator=lambda latent_dim, shape: Tiny((latent_dim, 4, 2)),
        discriminator=lambda shape: Tiny((2, 6, 1)),
    ).double()
    monkeypatch.setattr(gan, "randn", lambda *shape: torch.from_numpy(latents))

    def arrays(network: Any) -> list[Any]:
        return [parameter.detach().numpy() for parameter in network.parameters()]

    (W, b, w, c), (U, a, V, d) = arrays(gan.discriminator), arrays(gan.generator)  # noqa: N806
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
        hidden_gradient = (sign * s / n)[:, None] * w * slope
        grads["W"] += hidden_gradient.T @ points
        grads["b"] += hidden_gradient.sum(0)
        grads["w"] += (sign * s / n) @ hidden
        gradient = (w * slope) @ W  # (n, 2), of D at the points
        penalties[name] = gamma / 2 * (gradient**2).sum(1).mean()
        outer = gamma / n * gradient @ W.T  # gamma / 2 times the derivative of |gradient|^2 with respect to w * slope
        curvature = outer * w * -2 * hidden * slope  # through the slope, with respect to W x + b
        grads["W"] += (w * slope).T @ (gamma / n * gradient) + curvature.T @ points
        grads["b"] += curvature.sum(0)
        grads["w"] += (outer * slope).sum(0)

    batch: Batch = {"image": torch.from_numpy(real)}
    terms = gan.discriminator_loss(batch)
    losses = {"relativistic": np.log1p(np.exp(logit["fake"] - logit["real"])).mean()}
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {**losses, "r1": penalties["real"], "r2": penalties["fake"]}, rel=1e-12
    )
    first, bias, second, last = torch.autograd.grad(
        torch.stack(list(terms.values())).sum(), list(gan.discriminator.parameters())
    )
    np.testing.assert_allclose(first, grads["W"], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(bias, grads["b"], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(second[0], grads["w"], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(last, [0.0], atol=1e-14)

    (loss,) = gan.generator_loss(batch).values()
    assert loss.item() == pytest.approx(np.log1p(np.exp(logit["real"] - logit["fake"])).mean(), rel=1e-12)
    sample_gradient = (-(1 - s) / n)[:, None] * ((w * (1 - h["fake"] ** 2)) @ W)  # with respect to G(z)
    inner = sample_gradient @ V * (1 - k**2)
    expected = [inner.T @ latents, inner.sum(0), sample_gradient.T @ k, sample_gradient.sum(0)]
    for ours, theirs in zip(torch.autograd.grad(loss, list(gan.generator.parameters())), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-14)


def test_gamma_can_be_a_schedule_but_not_negative() -> None:
    gan = R3GAN(image_shape=(2,), **MLPS, gamma=Linear(1.0, 0.0, images=100))
    batch: Batch = {"image": images((2,), 6)}
    torch.manual_seed(0)
    whole = gan.discriminator_loss(batch)
    gan.images_seen = 75
    torch.manual_seed(0)
    quarter = gan.discriminator_loss(batch)
    for name, factor in (("relativistic", 1.0), ("r1", 0.25), ("r2", 0.25)):
        torch.testing.assert_close(quarter[name], factor * whole[name])
    with pytest.raises(ValueError, match=r"`gamma` must be at least 0, got -0.1"):
        R3GAN(image_shape=(2,), **MLPS, gamma=-0.1)


# -- the optimizer of the original GAN -------------------------------------------------------------------------------


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_the_recipe_of_the_original_gan_has_the_settings_of_its_code(player: str) -> None:
    """Compare with goodfeli/adversarial, mnist.yaml."""
    (folder,) = configs.__path__
    with open(f"{folder}/vanilla_gan_mnist.yaml") as file:
        recipe = yaml.safe_load(file)
    model = recipe["model"]["init_args"]
    assert model[f"{player}_optimizer"]["class_path"] == "GoodfellowSGD"
    schedules = {name: value["init_args"] for name, value in model[f"{player}_schedules"].items()}
    share = 0.5 if player == "discriminator" else 1.0  # their discriminator loss is half of ours (`AdversaryCost2`)
    assert schedules["lr"] == {"start": share * 0.1, "half_life": 17_328_715, "floor": share * 1e-6}
    assert schedules["momentum"] == {"start": 0.5, "end": 0.7, "images": 250 * 50_000}
    assert recipe["data"]["init_args"]["batch_size"] == 100


def test_the_optimizer_of_the_original_gan_trains_it() -> None:
    gan = VanillaGAN(
        image_shape=(2,), generator_optimizer=GoodfellowSGD, discriminator_optimizer=partial(GoodfellowSGD, lr=0.2)
    )
    generator, discriminator = gan.configure_optimizers()
    assert (generator.param_groups[0]["lr"], generator.param_groups[0]["momentum"]) == (0.1, 0.5)
    assert (discriminator.param_groups[0]["lr"], discriminator.param_groups[0]["momentum"]) == (0.2, 0.5)
