"""Test mixed precision: every model trains, a loss scale changes no gradient, and penalties are at least float32."""

import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import CASES, MLPS, Case, cases, images, is_adversarial, is_density, is_gan
from conftest import Fit, Record
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn

from lightning_gans.core.gan import GAN
from lightning_gans.errors import NonFiniteError
from lightning_gans.models import WGANGP, VanillaGAN
from lightning_gans.objectives.penalties import gradient_penalty, zero_centered_gradient_penalty
from lightning_gans.types import Batch, Losses

every_gan = pytest.mark.parametrize("case", cases())
STEPS = 6


def scaler_options(**scaler: Any) -> dict[str, Any]:
    """Return the trainer's options for float16 with a GradScaler, on the CPU."""
    return {"plugins": [MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", **scaler))]}


def train(fit: Fit, case: Case, **options: Any) -> dict[str, Tensor]:
    """Return the weights after a few steps of SGD, which are proportional to the gradients."""
    sgd = partial(torch.optim.SGD, lr=1e-2)
    model = case.make(generator_optimizer=sgd, discriminator_optimizer=sgd, discriminator_steps=1)
    torch.manual_seed(1)
    fit(model, [case.batch(seed=seed) for seed in range(STEPS)], max_steps=STEPS, **options)
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


@every_gan
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_every_gan_trains(case: Case, precision: str, fit: Fit, record: Record) -> None:
    options = {"precision": precision} if precision == "bf16-mixed" else scaler_options(init_scale=1024.0)
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
def test_every_likelihood_model_trains(case: Case, precision: str, fit: Fit, record: Record) -> None:
    options = {"precision": precision} if precision == "bf16-mixed" else scaler_options(init_scale=64.0)
    model, reference = case.make(), case.make()
    batches = [case.batch(seed=seed) for seed in range(STEPS)]
    fit(model, batches, max_steps=STEPS, logger=record, log_every_n_steps=1, **options)
    fit(reference, batches, max_steps=STEPS)
    assert all(weight.isfinite().all() and weight.dtype == torch.float32 for weight in model.parameters())
    assert all(torch.tensor(list(row.values())).isfinite().all() for _, row in record.rows)
    log_prob = model.log_prob(case.batch())
    torch.testing.assert_close(log_prob, reference.log_prob(case.batch()), rtol=0.02, atol=0.5)


@pytest.mark.parametrize("case", cases(lambda case: case.name in ("made", "flow_gan", "classifier", "infogan")))
def test_scores_are_computed_in_the_precision_of_the_weights(case: Case, fit: Fit) -> None:
    model = case.make()
    fit(model, [case.batch()], max_steps=1, precision="64-true")
    assert model.dtype == torch.float64
    assert all(math.isfinite(score) for score in model.scores(case.batch()).values())


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_log_probabilities_of_images_in_16_bits_are_refused(precision: str, fit: Fit) -> None:
    (case,) = (case for case in CASES if case.name == "made")
    message = f"`precision` '{precision}' stores images in 16 bits, too few for MADE's log-probabilities: use"
    with pytest.raises(ValueError, match=message):
        fit(case.make(), [case.batch()], max_steps=1, precision=precision)


# Batch normalization of `infogan-points` divides by the deviation of initial samples, which hardly differ. The rounding
# of float16 alone then changes the direction of its gradient.
@pytest.mark.parametrize("case", cases(lambda case: is_adversarial(case) and case.name != "infogan-points"))
def test_a_growing_loss_scale_changes_no_gradient(case: Case, fit: Fit) -> None:
    """Compare scale 1, scale 1024, and a scale that doubles after every step of a player, in float16's precision.

    A step that is unscaled by the wrong scale would be wrong by a factor of 2. At scale 1 the smallest gradients
    underflow.
    """
    start = {name: weight.detach() for name, weight in case.make().named_parameters()}
    expected = train(fit, case, **scaler_options(init_scale=1024.0, growth_interval=10**6))
    for scaler in ({"init_scale": 1.0, "growth_interval": 10**6}, {"init_scale": 8.0, "growth_interval": 1}):
        weights = train(fit, case, **scaler_options(**scaler))
        for player in ("generator", "discriminator"):
            names = [name for name in start if name.startswith(f"{player}.")]
            update = torch.cat([(expected[name] - start[name]).flatten() for name in names])
            error = torch.cat([(weights[name] - expected[name]).flatten() for name in names])
            assert error.norm() < 0.1 * update.norm() + 1e-6, (player, scaler, float(error.norm() / update.norm()))


@every_gan
def test_one_player_is_finished_before_the_other_starts(case: Case, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss scale doubles after each step, also between the players; each step must be unscaled by its own scale."""
    scaler = torch.amp.GradScaler("cpu", init_scale=16.0, growth_interval=1)
    calls: list[tuple[str, float]] = []
    order = ["scale", "unscale_", "step", "update"]
    originals = {name: getattr(scaler, name) for name in order}
    for name in order:

        def spied(*args: Any, name: str = name, original: Any = originals[name], **kwargs: Any) -> Any:
            calls.append((name, scaler.get_scale()))
            return original(*args, **kwargs)

        monkeypatch.setattr(scaler, name, spied)
    model = case.make(discriminator_steps=1, accumulate_grad_batches=1)
    plugin = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    fit(model, [case.batch()], max_steps=2, plugins=[plugin])
    assert [name for name, _ in calls] == order * 4
    assert [scale for _, scale in calls] == [scale for scale in (16.0, 32.0, 64.0, 128.0) for _ in order]


# -- float16 ---------------------------------------------------------------------------------------------------------


def points(count: int = 1) -> list[Batch]:
    return [{"image": images((2,), 8, seed=seed)} for seed in range(count)]


def make_vanilla(optimizer: Any = torch.optim.SGD, **arguments: Any) -> VanillaGAN:
    torch.manual_seed(0)
    optimizers = {"generator_optimizer": optimizer, "discriminator_optimizer": optimizer}
    return VanillaGAN(image_shape=(2,), latent_dim=3, **{**MLPS, **optimizers, **arguments})


@every_gan
def test_an_eps_that_float16_rounds_to_0_is_refused(case: Case, fit: Fit) -> None:
    adam = partial(torch.optim.Adam, eps=1e-8)
    model = case.make(generator_optimizer=adam, discriminator_optimizer=adam)
    with pytest.raises(ValueError, match="`precision` '16-true'") as error:
        fit(model, [case.batch()], max_steps=1, precision="16-true")
    if not is_density(case):  # whose probabilities need more bits, whatever the optimizer is
        assert str(error.value).startswith("`precision` '16-true' rounds `eps` 1e-08 of the generator's Adam to 0")
    assert model.batches_seen == 0


@pytest.mark.parametrize(
    ("optimizer", "precision"),
    [
        (partial(torch.optim.Adam, eps=1e-4), "16-true"),
        (torch.optim.SGD, "16-true"),
        (torch.optim.Adadelta, "16-true"),
        (torch.optim.Adam, "bf16-true"),
        (torch.optim.Adam, "64-true"),
        (torch.optim.Adam, "32-true"),
    ],
)
def test_other_optimizers_and_precisions_train(optimizer: Any, precision: str, fit: Fit) -> None:
    model = make_vanilla(optimizer)
    before = [weight.detach().clone() for weight in model.parameters()]
    fit(model, points(STEPS), max_steps=STEPS, precision=precision)
    assert all(weight.isfinite().all() for weight in model.parameters())
    assert any(not torch.equal(weight.to(old), old) for weight, old in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("optimizer", [torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.NAdam, torch.optim.AdamW])
def test_every_optimizer_with_an_eps_is_checked(optimizer: Any, fit: Fit) -> None:
    model = make_vanilla(discriminator_optimizer=optimizer)
    with pytest.raises(ValueError, match=rf"of the discriminator's {optimizer.__name__} to 0"):
        fit(model, points(), max_steps=1, precision="16-true")


REMEDIES = {
    "16-true": "train with `precision` 'bf16-mixed' or '32-true' in place of '16-true' (",
    "bf16-true": "try a lower learning rate, or `gradient_clip_val`, or `precision` 'bf16-mixed', since",
    "bf16-mixed": "; try a lower learning rate, or `gradient_clip_val` (",
    "32-true": "; try a lower learning rate, or `gradient_clip_val` (",
    "64-true": "; try a lower learning rate, or `gradient_clip_val` (",
}


class Overflowing(VanillaGAN):
    """A GAN whose generator's loss is infinite."""

    def generator_loss(self, batch: Batch) -> Losses:
        return {"extra": math.inf * next(iter(self.generator.parameters())).square().sum()}


@pytest.mark.parametrize("precision", REMEDIES)
def test_the_remedy_of_a_nonfinite_loss_fits_the_precision(precision: str, fit: Fit) -> None:
    """The cause is a weight, or a term of the loss."""
    sgd = torch.optim.SGD
    broken = make_vanilla()
    next(iter(broken.discriminator.parameters())).data.fill_(math.inf)
    optimizers = {"generator_optimizer": sgd, "discriminator_optimizer": sgd}
    for model in (broken, Overflowing(image_shape=(2,), latent_dim=3, **{**MLPS, **optimizers})):
        with pytest.raises(NonFiniteError, match=re.escape(REMEDIES[precision])):
            fit(model, points(), max_steps=1, precision=precision)


@pytest.mark.parametrize("precision", REMEDIES)
def test_the_remedy_of_weights_that_cannot_be_saved_fits_the_precision(
    precision: str, fit: Fit, tmp_path: Path
) -> None:
    model = make_vanilla()
    trainer = fit(model, points(), max_steps=1, precision=precision)
    next(iter(model.discriminator.parameters())).data.fill_(math.inf)
    with pytest.raises(NonFiniteError, match=re.escape(REMEDIES[precision])):
        trainer.save_checkpoint(tmp_path / "model.ckpt")


def test_the_remedy_under_a_grad_scaler_names_float16(fit: Fit) -> None:
    model = make_vanilla()
    next(iter(model.discriminator.parameters())).data.fill_(math.inf)
    with pytest.raises(NonFiniteError, match=r"65,504.*`precision` 'bf16-mixed' in place of '16-mixed'"):
        fit(model, points(), max_steps=1, **scaler_options())


# -- penalties -------------------------------------------------------------------------------------------------------

AUTOCAST = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


def make_critic() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 32), nn.SiLU(), nn.Linear(32, 1))


def penalties(network: nn.Module) -> list[Tensor]:
    real, fake = images((5,), 16), images((5,), 16, seed=1)
    return [
        gradient_penalty(network, real, fake, torch.linspace(0, 1, 16)),
        zero_centered_gradient_penalty(network, real),
    ]


@AUTOCAST
def test_autocast_does_not_change_a_penalty(dtype: torch.dtype) -> None:
    expected = penalties(make_critic())
    with torch.autocast("cpu", dtype=dtype):
        values = penalties(make_critic())
    for value, reference in zip(values, expected, strict=True):
        assert value.dtype == torch.float32
        assert torch.equal(value, reference)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_adds_the_gradient_of_the_penalty(compiled: bool, precision: str, fit: Fit) -> None:
    """Reference: the gradient of the penalty alone, computed eagerly in float32."""
    steps = []
    real = images((2,), 8)
    for weight in (0.0, 10.0):
        model = make_gan(WGANGP, penalty_weight=weight)
        if compiled:
            model.discriminator.compile(backend="aot_eager")
        before = flat(model)
        fit(model, [{"image": real}], max_steps=1, precision=precision)
        steps.append(before - flat(model))
    reference = make_gan(WGANGP)
    with torch.no_grad(), torch.autocast("cpu", enabled=precision == "bf16-mixed", dtype=torch.bfloat16):
        fake = reference.fake({"image": real})["image"]
    penalty = 10 * gradient_penalty(reference.discriminator, real, fake, reference.rand(8))
    penalty.backward()
    expected = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in reference.discriminator.parameters()]
    )
    assert expected.norm() > 1e-2
    torch.testing.assert_close(steps[1] - steps[0], expected, rtol=1e-3, atol=1e-5)


def make_gan(model: type[GAN], **arguments: Any) -> GAN:
    """Build a GAN on points, trained with SGD of learning rate 1, whose noise is the same in every call."""

    def noise(distribution: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        return distribution(*shape, generator=torch.Generator().manual_seed(3))

    torch.manual_seed(0)
    sgd = partial(torch.optim.SGD, lr=1.0)
    optimizers = {"generator_optimizer": sgd, "discriminator_optimizer": sgd}
    gan = model(**{"image_shape": (2,), "latent_dim": 3, **MLPS, **optimizers, **arguments})
    gan._noise = noise  # type: ignore[method-assign]
    return gan


def flat(model: GAN) -> Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in model.discriminator.parameters()])
