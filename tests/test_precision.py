"""Mixed precision: every game trains in it, a loss scale changes no gradient, penalties are float32 or better."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from cases import MLPS, Case, cases, images, is_adversarial, is_density, is_gan
from conftest import Fit, Record
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn

from lightning_gans.core.gan import GAN
from lightning_gans.models import WGANGP, VanillaGAN
from lightning_gans.objectives.penalties import gradient_penalty, zero_centered_gradient_penalty

every_case = pytest.mark.parametrize("case", cases())
STEPS = 6


def scaled(**scaler: Any) -> dict[str, Any]:
    """Options of a trainer in float16 with a GradScaler, on the CPU."""
    return {"plugins": [MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", **scaler))]}


def trained(fit: Fit, case: Case, **options: Any) -> dict[str, Tensor]:
    """The weights after a few steps, with the optimizers that amplify nothing: gradients show as they are."""
    gentle = partial(torch.optim.SGD, lr=1e-2)
    model = case.make(generator_optimizer=gentle, discriminator_optimizer=gentle, discriminator_steps=1)
    torch.manual_seed(1)
    fit(model, [case.batch(seed=seed) for seed in range(STEPS)], max_steps=STEPS, **options)
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


@every_case
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_every_model_trains(case: Case, precision: str, fit: Fit, record: Record) -> None:
    options = {"precision": precision} if precision == "bf16-mixed" else scaled(init_scale=1024.0)
    model = case.make(discriminator_steps=1)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    fit(model, [case.batch()], max_steps=STEPS, logger=record, log_every_n_steps=1, **options)
    for name, weight in model.named_parameters():
        assert weight.isfinite().all(), name
        assert weight.dtype == torch.float32
    for player in ("generator.", "discriminator."):
        assert any(
            not torch.equal(before[name], weight)
            for name, weight in model.named_parameters()
            if name.startswith(player)
        )
    assert all(torch.tensor(list(row.values())).isfinite().all() for _, row in record.rows)


@pytest.mark.parametrize("case", cases(lambda case: is_density(case) and not is_gan(case)))
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_every_likelihood_trains(case: Case, precision: str, fit: Fit, record: Record) -> None:
    options = {"precision": precision} if precision == "bf16-mixed" else scaled(init_scale=64.0)
    model, single = case.make(), case.make()
    batches = [case.batch(seed=seed) for seed in range(STEPS)]
    fit(model, batches, max_steps=STEPS, logger=record, log_every_n_steps=1, **options)
    fit(single, batches, max_steps=STEPS)
    assert all(weight.isfinite().all() and weight.dtype == torch.float32 for weight in model.parameters())
    assert all(torch.tensor(list(row.values())).isfinite().all() for _, row in record.rows)
    log_prob = model.log_prob(case.batch())
    torch.testing.assert_close(log_prob, single.log_prob(case.batch()), rtol=0.02, atol=0.5)


@pytest.mark.parametrize("case", cases(lambda case: case.name in ("made", "flow_gan", "classifier", "infogan")))
def test_scores_are_in_the_precision_of_the_weights(case: Case, fit: Fit) -> None:
    model = case.make()
    fit(model, [case.batch()], max_steps=1, precision="64-true")
    assert model.dtype == torch.float64
    assert all(math.isfinite(score) for score in model.scores(case.batch()).values())


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_probabilities_are_refused_in_sixteen_bits(precision: str, fit: Fit) -> None:
    (case,) = cases(lambda case: case.name == "made")
    said = f"`precision` '{precision}' holds images in 16 bits, too few for MADE's log-probabilities: take"
    with pytest.raises(ValueError, match=said):
        fit(case.values[0].make(), [case.values[0].batch()], max_steps=1, precision=precision)  # type: ignore[attr-defined]


# normalized over a batch of fakes that hardly differ yet, float16's rounding alone turns a gradient
@pytest.mark.parametrize("case", cases(lambda case: is_adversarial(case) and case.name != "infogan-points"))
def test_a_growing_scale_changes_no_gradient(case: Case, fit: Fit) -> None:
    """Scale 1, scale 1024, and one that doubles after every step of a player: the same weights, to float16's digits.

    A step that another scale had unscaled would be wrong by a factor of 2. At scale 1 the smallest gradients underflow.
    """
    start = {name: weight.detach() for name, weight in case.make().named_parameters()}
    expected = trained(fit, case, **scaled(init_scale=1024.0, growth_interval=10**6))
    for scaler in ({"init_scale": 1.0, "growth_interval": 10**6}, {"init_scale": 8.0, "growth_interval": 1}):
        weights = trained(fit, case, **scaled(**scaler))
        for player in ("generator", "discriminator"):
            names = [name for name in start if name.startswith(f"{player}.")]
            way = torch.cat([(expected[name] - start[name]).flatten() for name in names])
            error = torch.cat([(weights[name] - expected[name]).flatten() for name in names])
            assert error.norm() < 0.1 * way.norm() + 1e-6, (player, scaler, float(error.norm() / way.norm()))


@every_case
def test_one_player_is_finished_before_the_other_starts(case: Case, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scale that doubles with each step doubles between the players; each step must be unscaled by its own."""
    scaler = torch.amp.GradScaler("cpu", init_scale=16.0, growth_interval=1)
    calls: list[tuple[str, float]] = []
    turn = ["scale", "unscale_", "step", "update"]
    originals = {name: getattr(scaler, name) for name in turn}
    for name in turn:

        def spied(*args: Any, name: str = name, original: Any = originals[name], **kwargs: Any) -> Any:
            calls.append((name, scaler.get_scale()))
            return original(*args, **kwargs)

        monkeypatch.setattr(scaler, name, spied)
    model = case.make(discriminator_steps=1, accumulate_grad_batches=1)
    plugin = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    fit(model, [case.batch()], max_steps=2, plugins=[plugin])
    assert [name for name, _ in calls] == turn * 4
    assert [scale for _, scale in calls] == [scale for scale in (16.0, 32.0, 64.0, 128.0) for _ in turn]


# Penalties

AUTOCAST = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


def critic() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 32), nn.SiLU(), nn.Linear(32, 1))


def penalties(network: nn.Module) -> list[Tensor]:
    real, fake = images((5,), 16), images((5,), 16, seed=1)
    return [
        gradient_penalty(network, real, fake, torch.linspace(0, 1, 16)),
        zero_centered_gradient_penalty(network, real),
    ]


@AUTOCAST
def test_a_penalty_under_autocast_is_the_penalty(dtype: torch.dtype) -> None:
    expected = penalties(critic())
    with torch.autocast("cpu", dtype=dtype):
        values = penalties(critic())
    for value, reference in zip(values, expected, strict=True):
        assert value.dtype == torch.float32
        assert torch.equal(value, reference)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_penalty_changes_the_critics_gradient(compiled: bool, precision: str, fit: Fit) -> None:
    """By as much as its gradient alone, computed eagerly in float32, says."""
    steps = []
    real = images((2,), 8)
    for weight in (0.0, 10.0):
        model = game(WGANGP, penalty_weight=weight)
        if compiled:
            model.discriminator.compile(backend="aot_eager")
        before = flat(model)
        fit(model, [{"image": real}], max_steps=1, precision=precision)
        steps.append(before - flat(model))
    reference = game(WGANGP)
    with torch.no_grad(), torch.autocast("cpu", enabled=precision == "bf16-mixed", dtype=torch.bfloat16):
        fake = reference.fake({"image": real})["image"]
    penalty = 10 * gradient_penalty(reference.discriminator, real, fake, reference.rand(8))
    penalty.backward()
    expected = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in reference.discriminator.parameters()]
    )
    assert expected.norm() > 1e-2
    torch.testing.assert_close(steps[1] - steps[0], expected, rtol=1e-3, atol=1e-5)


def game(model: type[GAN] = VanillaGAN, **arguments: Any) -> GAN:
    torch.manual_seed(0)
    steepest = partial(torch.optim.SGD, lr=1.0)
    optimizers = {"generator_optimizer": steepest, "discriminator_optimizer": steepest}
    made = model(**{"image_shape": (2,), "latent_dim": 3, **MLPS, **optimizers, **arguments})
    made._noise = lambda distribution, shape: distribution(*shape, generator=torch.Generator().manual_seed(3))  # type: ignore[method-assign]
    return made


def flat(model: GAN) -> Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in model.discriminator.parameters()])
