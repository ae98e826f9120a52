"""FlowGAN: its loss is the weighted sum that it says, what it reports bounds the probabilities of what it samples."""

import itertools
import math
from functools import partial
from typing import Any

import pytest
import torch
from cases import CASES, images
from conftest import Fit, Record
from torch import Tensor, nn

from lightning_gans.core.model import load
from lightning_gans.core.schedules import Linear
from lightning_gans.datamodules import Toy2D
from lightning_gans.models import DCGAN, WGANGP, FlowGAN
from lightning_gans.networks import (
    NICE,
    DCGANCritic,
    FlowGenerator,
    MLPDiscriminator,
    RealNVP,
    SplineFlow,
    StandardLogistic,
    StandardNormal,
)
from lightning_gans.networks.couplings import AffineCoupling
from lightning_gans.networks.flows import Chain, Flatten, Logit
from lightning_gans.networks.levels import dequantize, from_index, round_to_levels
from lightning_gans.types import Batch, ImageShape

SHAPE = (1, 4, 4)
SMALL: dict[str, Any] = {
    "flow": partial(RealNVP, width=4, blocks=1, couplings=1),
    "prior": StandardNormal,
    "discriminator": partial(MLPDiscriminator, width=8),
}
POINTS: dict[str, Any] = {"flow": partial(SplineFlow, width=32), "prior": StandardNormal, "likelihood_weight": 1.0}


def made(image_shape: ImageShape = SHAPE, *, levels: int | None = 5, std: float = 0.1, **arguments: Any) -> FlowGAN:
    """A model whose live flow and average do something, and differ."""
    torch.manual_seed(0)
    model = FlowGAN(image_shape=image_shape, levels=levels, **{**SMALL, **arguments})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * std)
    return model


def batch(n: int = 6, levels: int = 5) -> Batch:
    return {"image": round_to_levels(images(SHAPE, n), levels)}


# -- the loss --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.9, 1.0])
def test_the_generator_minimizes_the_weighted_sum(weight: float) -> None:
    """Likelihood in nats per element by the flow itself, and the negated score of the critic, on the same noise."""
    model, data = made(likelihood_weight=weight), batch()
    torch.manual_seed(3)
    terms = model.generator_loss(data)
    torch.manual_seed(3)
    expected = {}
    if weight > 0:
        z, log_det = model.generator.flow(dequantize(data["image"], torch.rand(6, *SHAPE), 5))
        log_p = (-0.5 * z.square() - 0.5 * math.log(2 * math.pi)).sum(1) + log_det
        expected["likelihood"] = -weight * (log_p / 16 + math.log(2 / 5)).mean()
    if weight < 1:
        fake: Any = model.generator.flow.inverse(torch.randn(6, 16))  # type: ignore[operator]
        expected["wasserstein"] = -(1 - weight) * model.discriminator(fake).mean()
    assert terms.keys() == expected.keys()
    for name, term in expected.items():
        torch.testing.assert_close(terms[name], term)


def test_the_weight_of_the_paper_and_of_its_code() -> None:
    """`like_reg` 1: the negative log-likelihood of a whole example, and the game beside it, up to a factor."""
    weight = 16 / 17
    model, data = made(likelihood_weight=weight), batch()
    torch.manual_seed(3)
    terms = model.generator_loss(data)
    torch.manual_seed(3)
    nll = -model.log_density(model.generator, data).mean()
    game = WGANGP.generator_loss(model, data)["wasserstein"]
    torch.testing.assert_close(17 * (terms["likelihood"] + terms["wasserstein"]), nll + game)


def test_the_critic_sees_dequantized_images_and_unrounded_fakes() -> None:
    model, data = made(likelihood_weight=0.5), batch()
    seen: list[Tensor] = []
    model.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    assert set(model.discriminator_loss(data)) == {"wasserstein", "penalty"}
    real, fake = seen[:2]
    assert (real != data["image"]).all()
    fifth = ((real + 1) * 5 / 2).floor()
    torch.testing.assert_close(from_index(fifth, 5, like=fifth), data["image"])  # each in its own fifth of [-1, 1]
    assert (fake - round_to_levels(fake, 5)).abs().max() > 1e-3


def test_at_weight_one_the_critic_rests(fit: Fit, record: Record) -> None:
    model = made(likelihood_weight=1.0)
    assert model.discriminator_steps == 1
    assert model.discriminator_loss(batch()) == {}
    assert model.discriminator_score(batch()) is None
    before = {name: tensor.clone() for name, tensor in model.discriminator.state_dict().items()}
    flow = [parameter.detach().clone() for parameter in model.generator.parameters()]
    fit(model, [batch()] * 3, max_steps=3, logger=record, log_every_n_steps=1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.discriminator.state_dict().items())
    assert not any(torch.equal(ours, old) for ours, old in zip(model.generator.parameters(), flow, strict=True))
    nll = record.column("generator/likelihood")
    assert len(nll) == 3  # it moves at every batch
    bits = record.column("generator/bits_per_dim")
    assert bits == pytest.approx([value / math.log(2) for value in nll], rel=1e-5)
    assert record.column("generator/loss") == nll


def test_at_weight_zero_it_is_a_wasserstein_gan(fit: Fit, record: Record) -> None:
    model = made(likelihood_weight=0.0)
    assert model.discriminator_steps == 5
    fit(model, [batch()] * 5, max_steps=5, logger=record, log_every_n_steps=5)
    (row,) = (row for _, row in record.rows)
    assert {"generator/wasserstein", "discriminator/wasserstein", "discriminator/penalty"} <= set(row)
    assert not {"generator/likelihood", "generator/bits_per_dim"} & set(row)
    assert model.log_prob(batch()).isfinite().all()  # it is reported all the same


def test_a_weight_may_go_from_likelihood_to_the_game(fit: Fit) -> None:
    model = made(likelihood_weight=Linear(1.0, 0.0, images=12))
    assert model.discriminator_steps == 5
    names = []
    for seen in (0, 6, 12):
        model.images_seen = seen
        names.append((set(model.discriminator_loss(batch())), set(model.generator_loss(batch()))))
    critic = {"wasserstein", "penalty"}
    assert names == [(set(), {"likelihood"}), (critic, {"likelihood", "wasserstein"}), (critic, {"wasserstein"})]


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"likelihood_weight": 1.5}, "`likelihood_weight` must be from 0 to 1, got 1.5"),
        ({"likelihood_weight": -0.1}, "`likelihood_weight` must be from 0 to 1, got -0.1"),
        (
            {"likelihood_weight": Linear(2.0, 0.0, images=9)},
            r"`likelihood_weight` must be from 0 to 1, got Linear\(start=2",
        ),
        ({"likelihood_weight": Linear(1.0, -1.0, images=9)}, r"`likelihood_weight` must be from 0 to 1, got Linear"),
        ({"penalty_weight": Linear(1.0, -1.0, images=9)}, r"`penalty_weight` must be at least 0, got Linear"),
        ({"levels": 1}, "`levels` must be an integer of at least 2, got 1"),
        (
            {"likelihood_weight": 1, "discriminator_steps": 5},
            "`discriminator_steps` must be 1 where the critic rests, as it does with `likelihood_weight` 1, got 5",
        ),
        ({"discriminator_steps": 0}, "`discriminator_steps` must be at least 1, got 0"),
        ({"penalty_weight": -1.0}, "`penalty_weight` must be at least 0, got -1.0"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FlowGAN(**{"image_shape": SHAPE, "levels": 5, **SMALL, **arguments})


def test_a_flow_has_latents_of_one_size() -> None:
    with pytest.raises(ValueError, match="`latent_dim` must be 16, the number of elements of an example, got 100"):
        FlowGenerator(100, SHAPE, flow=NICE, prior=StandardNormal)


def test_the_defaults_are_those_of_the_authors() -> None:
    """NICE of 5 x 1000 with the logistic prior, WGAN-GP's critic, Adam 1e-4 (.5, .9), 5 critic steps, lambda 10."""
    model = FlowGAN(image_shape=(1, 16, 16), levels=256)
    assert type(model.generator.flow) is NICE
    assert type(model.generator.prior) is StandardLogistic
    sizes = [layer.out_features for layer in model.generator.flow.layers[1].conditioner if isinstance(layer, nn.Linear)]  # type: ignore[index, union-attr]
    assert sizes == [1000] * 5 + [128]
    assert type(model.discriminator) is DCGANCritic
    assert (model.latent_dim, model.discriminator_steps, model.penalty_weight) == (256, 5, 10.0)
    for optimizer in model.configure_optimizers():
        assert optimizer.param_groups[0]["lr"] == 1e-4
        assert optimizer.param_groups[0]["betas"] == (0.5, 0.9)
    assert type(FlowGAN(image_shape=(2,), levels=None).discriminator) is MLPDiscriminator


# -- what is reported ------------------------------------------------------------------------------------------------


class TwoPixels(Chain):
    """A flow of images (1, 1, 2)."""

    def __init__(self, image_shape: ImageShape) -> None:
        super().__init__(Logit(alpha=1e-4), Flatten(image_shape), AffineCoupling([0], [1], nn.Linear))


def test_the_probabilities_of_all_images_sum_to_one() -> None:
    """Each by the mean over many dequantizations, and each is as frequent among samples.

    The mean of one draw's logarithms, which is what is reported, lies below each.
    """
    model = made((1, 1, 2), levels=2, flow=TwoPixels, std=0.3)
    every = from_index(torch.tensor(list(itertools.product(range(2), repeat=2))), 2, like=torch.zeros(()))
    log_prob = torch.stack(
        [model.log_prob({"image": image.view(1, 1, 1, 2).expand(20_000, 1, 1, 2)}) for image in every]
    )
    probability = log_prob.exp().mean(1)
    assert probability.sum().item() == pytest.approx(1, abs=0.02)
    assert (log_prob.mean(1) < probability.log()).all()
    samples = model.sample(20_000, seed=0)["image"].view(-1, 2)
    shares = torch.stack([(samples == image).all(1).double().mean() for image in every])
    torch.testing.assert_close(shares, probability, rtol=0, atol=0.02)


def test_samples_and_walks_lie_on_the_levels() -> None:
    model = made(levels=5)
    for image in (model.sample(20, seed=0)["image"], model.interpolate(3, 4, seed=0)["image"]):
        torch.testing.assert_close(image, round_to_levels(image, 5))
        assert image.abs().max() <= 1
    assert (model.fake(batch())["image"].abs() > 1e-3).any()
    fake = model.fake(batch())["image"]
    assert fake.requires_grad
    assert (fake - round_to_levels(fake, 5)).abs().max() > 1e-3


@pytest.mark.parametrize("levels", [5, 256])
def test_a_density_of_levels_is_that_of_dequantized_images(levels: int) -> None:
    """By hand, with the model's own noise: log p of the spread image, and the volume of a level's part."""
    model = made(levels=levels)
    image = round_to_levels(images(SHAPE, 3), levels)
    torch.manual_seed(7)
    spread = dequantize(image, torch.rand(3, *SHAPE), levels)
    expected = model.ema.network.log_prob(spread).double() + 16 * math.log(2 / levels)  # type: ignore[operator]
    torch.testing.assert_close(model.log_prob({"image": image}, seed=7), expected)
    assert model.protocol() == {"levels": levels, "dequantization": "uniform", "given": None}


def test_points_are_taken_as_they_are() -> None:
    model = made((2,), levels=None, **POINTS)
    points: Batch = {"image": images((2,), 4)}
    torch.testing.assert_close(model.log_prob(points), model.ema.network.log_prob(points["image"]).double())  # type: ignore[operator]
    torch.testing.assert_close(model.log_prob(points, seed=0), model.log_prob(points, seed=1))
    assert model.protocol() == {"levels": None, "dequantization": "none", "given": None}
    assert "bits_per_dim" not in model.scores(points)


@pytest.mark.parametrize("case", [case for case in CASES if case.model is FlowGAN], ids=lambda case: case.name)
def test_the_density_of_a_sample_is_that_of_its_latents(case: Any) -> None:
    """In double precision: log p(x) = log p(z) - log |det dx/dz|, with the determinant of the way back by autograd."""
    model = case.make().double()
    generator: Any = model.generator
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    noise = torch.randn(1, model.latent_dim).double()
    z = generator.prior.from_normal(noise)
    jacobian: Any = torch.autograd.functional.jacobian(lambda z: generator.flow.inverse(z).flatten(), z)
    expected = generator.prior.log_prob(z) - torch.linalg.slogdet(jacobian[:, 0]).logabsdet
    torch.testing.assert_close(generator.log_prob(generator(noise)), expected, rtol=0, atol=1e-8)


def test_nothing_of_a_flow_is_computed_in_16_bits() -> None:
    model = made()
    x, noise = 0.9 * images(SHAPE, 8), torch.randn(8, 16)
    expected = model.generator(noise), model.generator.log_prob(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model.generator(noise), expected[0])
        assert torch.equal(model.generator.log_prob(x), expected[1])


def test_it_starts_from_the_first_batch_and_so_does_the_average(fit: Fit) -> None:
    data = Toy2D(name="ring", count=2000, validation_size=500, batch_size=1000)
    still = {"generator_optimizer": partial(torch.optim.SGD, lr=0.0)}
    model = FlowGAN(image_shape=(2,), levels=None, **POINTS, **still)
    fit(model, data, max_steps=1)
    z, _ = model.ema.network.flow(data.examples("train")["image"])  # type: ignore[operator, union-attr]
    torch.testing.assert_close(z.mean(0), torch.zeros(2), rtol=0, atol=0.1)
    torch.testing.assert_close(z.std(0), torch.ones(2), rtol=0, atol=0.1)


def test_it_starts_from_images_as_they_are_spread() -> None:
    """Of two levels, so that the mean of the spread ones is another."""
    model = made(levels=2, std=0.0)
    data: Batch = {"image": round_to_levels(images(SHAPE, 2000), 2)}
    model.initialize_from_batch(data)
    z, _ = model.generator.flow(dequantize(data["image"], torch.rand(2000, *SHAPE), 2))
    torch.testing.assert_close(z.mean(0), torch.zeros(16), rtol=0, atol=0.15)
    torch.testing.assert_close(z.std(0), torch.ones(16), rtol=0, atol=0.15)


def test_the_critic_rates_what_it_was_taught_on() -> None:
    model, data = made(likelihood_weight=0.5), batch()
    torch.manual_seed(3)
    rated = model.discriminator_score(data)
    torch.manual_seed(3)
    torch.testing.assert_close(rated, model.discriminator(dequantize(data["image"], torch.rand(6, *SHAPE), 5)))
    points = made((2,), levels=None, **{**POINTS, "likelihood_weight": 0.5, "discriminator": MLPDiscriminator})
    places: Batch = {"image": images((2,), 4)}
    torch.testing.assert_close(points.discriminator_score(places), points.discriminator(places["image"]))


def test_the_game_alone_is_not_chosen_by_a_likelihood_that_only_falls() -> None:
    assert made(likelihood_weight=0.0).monitor == DCGAN.monitor == "coverage"
    assert (
        made(likelihood_weight=0.5).monitor == made(likelihood_weight=Linear(1.0, 0.0, images=9)).monitor == "log_prob"
    )


# -- learning --------------------------------------------------------------------------------------------------------


def test_likelihood_finds_two_moons(fit: Fit, record: Record) -> None:
    """A few seconds: the truth within .15 nats, from a start that is more than a quarter away."""
    data = Toy2D(name="two_moons", count=20_000, validation_size=1000, batch_size=256)
    rate = 5e-3
    model = FlowGAN(
        image_shape=(2,),
        levels=None,
        **{**POINTS, "flow": partial(SplineFlow, width=32, bins=8)},
        generator_optimizer=partial(torch.optim.Adam, lr=rate),
        generator_schedules={"lr": Linear(rate, 0.0, images=150 * 256)},
        ema_half_life=0,
    )
    data.setup("fit")
    test = data.examples("test", 4000)
    truth = data.log_prob(test["image"]).mean().item()
    fit(model, data, max_steps=1, logger=record, log_every_n_steps=1)
    assert "generator/likelihood" in record.rows[0][1]
    assert "generator/bits_per_dim" not in record.rows[0][1]  # a point has no levels
    assert truth - model.log_prob(test).mean().item() > 0.25
    fit(model, data, max_steps=150)
    assert 0 < truth - model.log_prob(test).mean().item() < 0.15


def test_a_checkpoint_brings_flow_and_prior_back(fit: Fit, tmp_path: Any) -> None:
    model = made()
    fit(model, [batch()], max_steps=1).save_checkpoint(tmp_path / "model.ckpt")
    loaded = load(tmp_path / "model.ckpt")
    assert isinstance(loaded, FlowGAN)
    assert type(loaded.generator.flow) is RealNVP
    assert type(loaded.generator.prior) is StandardNormal
    assert torch.equal(loaded.log_prob(batch()), model.log_prob(batch()))
