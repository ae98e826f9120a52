"""Test FlowGAN: the weighted loss, and bounds on the probabilities of its samples."""

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


def make_model(
    image_shape: ImageShape = SHAPE, *, levels: int | None = 5, std: float = 0.1, **arguments: Any
) -> FlowGAN:
    """Build a model with perturbed weights, so that neither the flow nor its EMA is an identity, and they differ."""
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
    """Reference: the flow's likelihood in nats per element, and the critic's negated score, with the same noise."""
    model, data = make_model(likelihood_weight=weight), batch()
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


def test_the_loss_of_the_authors_code_is_the_weighted_sum_up_to_a_factor() -> None:
    """Compare `like_reg` 1, which adds the likelihood of an example of 16 elements, with weight 16 / 17."""
    weight = 16 / 17
    model, data = make_model(likelihood_weight=weight), batch()
    torch.manual_seed(3)
    terms = model.generator_loss(data)
    torch.manual_seed(3)
    nll = -model.log_density(model.generator, data).mean()
    wasserstein = WGANGP.generator_loss(model, data)["wasserstein"]
    torch.testing.assert_close(17 * (terms["likelihood"] + terms["wasserstein"]), nll + wasserstein)


def test_the_critic_sees_dequantized_images_and_unrounded_samples() -> None:
    model, data = make_model(likelihood_weight=0.5), batch()
    seen: list[Tensor] = []
    model.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    assert set(model.discriminator_loss(data)) == {"wasserstein", "penalty"}
    real, fake = seen[:2]
    assert (real != data["image"]).all()
    index = ((real + 1) * 5 / 2).floor()  # of the fifth of [-1, 1] that an element is in
    torch.testing.assert_close(from_index(index, 5, like=index), data["image"])
    assert (fake - round_to_levels(fake, 5)).abs().max() > 1e-3


def test_with_weight_one_the_critic_is_not_trained(fit: Fit, record: Record) -> None:
    model = make_model(likelihood_weight=1.0)
    assert model.discriminator_steps == 1
    assert model.discriminator_loss(batch()) == {}
    assert model.discriminator_score(batch()) is None
    before = {name: tensor.clone() for name, tensor in model.discriminator.state_dict().items()}
    flow = [parameter.detach().clone() for parameter in model.generator.parameters()]
    fit(model, [batch()] * 3, max_steps=3, logger=record, log_every_n_steps=1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.discriminator.state_dict().items())
    assert not any(torch.equal(new, old) for new, old in zip(model.generator.parameters(), flow, strict=True))
    nll = record.column("generator/likelihood")
    assert len(nll) == 3  # the flow is updated on every batch
    bits = record.column("generator/bits_per_dim")
    assert bits == pytest.approx([value / math.log(2) for value in nll], rel=1e-5)
    assert record.column("generator/loss") == nll


def test_with_weight_zero_the_model_is_a_wasserstein_gan(fit: Fit, record: Record) -> None:
    model = make_model(likelihood_weight=0.0)
    assert model.discriminator_steps == 5
    fit(model, [batch()] * 5, max_steps=5, logger=record, log_every_n_steps=5)
    (row,) = (row for _, row in record.rows)
    assert {"generator/wasserstein", "discriminator/wasserstein", "discriminator/penalty"} <= set(row)
    assert not {"generator/likelihood", "generator/bits_per_dim"} & set(row)
    assert model.log_prob(batch()).isfinite().all()  # the likelihood is reported, although it is not trained


def test_a_schedule_may_move_the_weight_from_the_likelihood_to_the_critic(fit: Fit) -> None:
    model = make_model(likelihood_weight=Linear(1.0, 0.0, images=12))
    assert model.discriminator_steps == 5
    names = []
    for seen in (0, 6, 12):
        model.images_seen = seen
        names.append((set(model.discriminator_loss(batch())), set(model.generator_loss(batch()))))
    critic = {"wasserstein", "penalty"}
    assert names == [(set(), {"likelihood"}), (critic, {"likelihood", "wasserstein"}), (critic, {"wasserstein"})]


# -- arguments -------------------------------------------------------------------------------------------------------


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
            "`discriminator_steps` must be 1 if `likelihood_weight` is 1, because the critic is not trained, got 5",
        ),
        ({"discriminator_steps": 0}, "`discriminator_steps` must be at least 1, got 0"),
        ({"penalty_weight": -1.0}, "`penalty_weight` must be at least 0, got -1.0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FlowGAN(**{"image_shape": SHAPE, "levels": 5, **SMALL, **arguments})


def test_latents_of_another_size_than_an_example_are_refused() -> None:
    with pytest.raises(ValueError, match="`latent_dim` must be 16, the number of elements of an example, got 100"):
        FlowGenerator(100, SHAPE, flow=NICE, prior=StandardNormal)


def test_the_defaults_are_those_of_the_authors() -> None:
    """Reference: NICE of 5 x 1000, the logistic prior, WGAN-GP's critic with lambda 10 and 5 steps, Adam (0.5, 0.9)."""
    model = FlowGAN(image_shape=(1, 16, 16), levels=256)
    assert type(model.generator.flow) is NICE
    assert type(model.generator.prior) is StandardLogistic
    flow: Any = model.generator.flow
    sizes = [layer.out_features for layer in flow.layers[1].conditioner if isinstance(layer, nn.Linear)]
    assert sizes == [1000] * 5 + [128]
    assert type(model.discriminator) is DCGANCritic
    assert (model.latent_dim, model.discriminator_steps, model.penalty_weight) == (256, 5, 10.0)
    for optimizer in model.configure_optimizers():
        assert optimizer.param_groups[0]["lr"] == 1e-4
        assert optimizer.param_groups[0]["betas"] == (0.5, 0.9)
    assert type(FlowGAN(image_shape=(2,), levels=None).discriminator) is MLPDiscriminator


# -- densities and samples -------------------------------------------------------------------------------------------


class TwoPixelFlow(Chain):
    """Flow of images (1, 1, 2)."""

    def __init__(self, image_shape: ImageShape) -> None:
        super().__init__(Logit(alpha=1e-4), Flatten(image_shape), AffineCoupling([0], [1], nn.Linear))


def test_the_probabilities_of_all_images_sum_to_one() -> None:
    """Estimate each probability by a mean over many dequantizations, and compare it with the frequency among samples.

    The mean of the logarithms, which is reported, is a lower bound.
    """
    model = make_model((1, 1, 2), levels=2, flow=TwoPixelFlow, std=0.3)
    all_images = from_index(torch.tensor(list(itertools.product(range(2), repeat=2))), 2, like=torch.zeros(()))
    log_prob = torch.stack(
        [model.log_prob({"image": image.view(1, 1, 1, 2).expand(20_000, 1, 1, 2)}) for image in all_images]
    )
    probability = log_prob.exp().mean(1)
    assert probability.sum().item() == pytest.approx(1, abs=0.02)
    assert (log_prob.mean(1) < probability.log()).all()
    samples = model.sample(20_000, seed=0)["image"].view(-1, 2)
    frequency = torch.stack([(samples == image).all(1).double().mean() for image in all_images])
    torch.testing.assert_close(frequency, probability, rtol=0, atol=0.02)


def test_samples_and_interpolations_are_rounded_to_levels_but_not_in_training() -> None:
    model = make_model(levels=5)
    for image in (model.sample(20, seed=0)["image"], model.interpolate(3, 4, seed=0)["image"]):
        torch.testing.assert_close(image, round_to_levels(image, 5))
        assert image.abs().max() <= 1
    assert (model.fake(batch())["image"].abs() > 1e-3).any()
    fake = model.fake(batch())["image"]
    assert fake.requires_grad
    assert (fake - round_to_levels(fake, 5)).abs().max() > 1e-3


@pytest.mark.parametrize("levels", [5, 256])
def test_the_bound_is_the_density_of_a_dequantized_image_times_the_volume_of_a_level(levels: int) -> None:
    """Reference: the same sum of logarithms by hand, with the same noise."""
    model = make_model(levels=levels)
    image = round_to_levels(images(SHAPE, 3), levels)
    torch.manual_seed(7)
    dequantized = dequantize(image, torch.rand(3, *SHAPE), levels)
    expected = model.ema.network.log_prob(dequantized).double() + 16 * math.log(2 / levels)  # type: ignore[operator]
    torch.testing.assert_close(model.log_prob({"image": image}, seed=7), expected)
    assert model.protocol() == {"levels": levels, "dequantization": "uniform", "given": None}


def test_points_are_not_dequantized() -> None:
    model = make_model((2,), levels=None, **POINTS)
    points: Batch = {"image": images((2,), 4)}
    flow: Any = model.ema.network
    torch.testing.assert_close(model.log_prob(points), flow.log_prob(points["image"]).double())
    torch.testing.assert_close(model.log_prob(points, seed=0), model.log_prob(points, seed=1))
    assert model.protocol() == {"levels": None, "dequantization": "none", "given": None}
    assert "bits_per_dim" not in model.scores(points)


@pytest.mark.parametrize("case", [case for case in CASES if case.model is FlowGAN], ids=lambda case: case.name)
def test_the_density_of_a_sample_follows_from_the_density_of_its_latents(case: Any) -> None:
    """Reference: log p(x) = log p(z) - log |det dx/dz| in double precision, with the Jacobian dx/dz by autograd."""
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


def test_autocast_does_not_change_a_flow() -> None:
    model = make_model()
    x, noise = 0.9 * images(SHAPE, 8), torch.randn(8, 16)
    expected = model.generator(noise), model.generator.log_prob(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model.generator(noise), expected[0])
        assert torch.equal(model.generator.log_prob(x), expected[1])


def test_the_flow_and_its_ema_are_initialized_from_the_first_batch(fit: Fit) -> None:
    data = Toy2D(name="ring", count=2000, validation_size=500, batch_size=1000)
    optimizer = partial(torch.optim.SGD, lr=0.0)
    model = FlowGAN(image_shape=(2,), levels=None, **POINTS, generator_optimizer=optimizer)
    fit(model, data, max_steps=1)
    z, _ = model.ema.network.flow(data.examples("train")["image"])  # type: ignore[operator, union-attr]
    torch.testing.assert_close(z.mean(0), torch.zeros(2), rtol=0, atol=0.1)
    torch.testing.assert_close(z.std(0), torch.ones(2), rtol=0, atol=0.1)


def test_the_flow_is_initialized_from_dequantized_images() -> None:
    """With two levels, dequantization changes the standard deviation considerably."""
    model = make_model(levels=2, std=0.0)
    data: Batch = {"image": round_to_levels(images(SHAPE, 2000), 2)}
    model.initialize_from_batch(data)
    z, _ = model.generator.flow(dequantize(data["image"], torch.rand(2000, *SHAPE), 2))
    torch.testing.assert_close(z.mean(0), torch.zeros(16), rtol=0, atol=0.15)
    torch.testing.assert_close(z.std(0), torch.ones(16), rtol=0, atol=0.15)


def test_the_discriminator_score_is_the_critics_score_of_dequantized_images() -> None:
    model, data = make_model(likelihood_weight=0.5), batch()
    torch.manual_seed(3)
    score = model.discriminator_score(data)
    torch.manual_seed(3)
    torch.testing.assert_close(score, model.discriminator(dequantize(data["image"], torch.rand(6, *SHAPE), 5)))
    model = make_model((2,), levels=None, **{**POINTS, "likelihood_weight": 0.5, "discriminator": MLPDiscriminator})
    points: Batch = {"image": images((2,), 4)}
    torch.testing.assert_close(model.discriminator_score(points), model.discriminator(points["image"]))


def test_the_best_checkpoint_is_selected_by_the_likelihood_only_if_it_is_trained() -> None:
    assert make_model(likelihood_weight=0.0).monitor == DCGAN.monitor == "coverage"
    for weight in (0.5, Linear(1.0, 0.0, images=9)):
        assert make_model(likelihood_weight=weight).monitor == "log_prob"


# -- training --------------------------------------------------------------------------------------------------------


def test_maximum_likelihood_fits_two_moons(fit: Fit, record: Record) -> None:
    """The mean log-probability is more than 0.25 nats below the true density's at first, and less than 0.15 at last."""
    data = Toy2D(name="two_moons", count=20_000, validation_size=1000, batch_size=256)
    lr = 5e-3
    model = FlowGAN(
        image_shape=(2,),
        levels=None,
        **{**POINTS, "flow": partial(SplineFlow, width=32, bins=8)},
        generator_optimizer=partial(torch.optim.Adam, lr=lr),
        generator_schedules={"lr": Linear(lr, 0.0, images=150 * 256)},
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


def test_a_checkpoint_restores_the_flow_and_the_prior(fit: Fit, tmp_path: Any) -> None:
    model = make_model()
    fit(model, [batch()], max_steps=1).save_checkpoint(tmp_path / "model.ckpt")
    loaded = load(tmp_path / "model.ckpt")
    assert isinstance(loaded, FlowGAN)
    assert type(loaded.generator.flow) is RealNVP
    assert type(loaded.generator.prior) is StandardNormal
    assert torch.equal(loaded.log_prob(batch()), model.log_prob(batch()))
