"""Test the two-player training step: counters, updates, accumulation, clipping, schedules, EMA, logging and errors."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from cases import MLPS, images
from conftest import Fit, Record
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lightning_gans.callbacks import Run
from lightning_gans.core.gan import GAN
from lightning_gans.core.optimizers import DCGANAdam, GoodfellowSGD
from lightning_gans.core.schedules import Linear
from lightning_gans.models import DCGAN, WGANGP, VanillaGAN
from lightning_gans.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from lightning_gans.trainer import Trainer
from lightning_gans.types import Batch, ImageShape, Losses

SHAPE = (2,)
UNIT_SGD = partial(torch.optim.SGD, lr=1.0)
"""Moves the weights by exactly the negated gradient."""


def make_gan(model: type[GAN] = VanillaGAN, **arguments: Any) -> GAN:
    torch.manual_seed(0)
    return model(**{"image_shape": SHAPE, "latent_dim": 3, **MLPS, **arguments})


def batches(count: int, size: int = 8, dtype: torch.dtype = torch.float32) -> list[Batch]:
    return [{"image": images(SHAPE, size, seed=seed).to(dtype)} for seed in range(count)]


def flat(parameters: Iterable[Tensor]) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in parameters])


def spy(monkeypatch: pytest.MonkeyPatch, target: Any, method: str) -> list[tuple[Any, ...]]:
    """Record the arguments of each call of a method."""
    calls: list[tuple[Any, ...]] = []
    original = getattr(target, method)

    def spied(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(target, method, spied)
    return calls


class CustomLossGAN(GAN):
    """GAN whose losses are given as functions; a player without one is never updated."""

    losses: dict[str, Callable[[GAN, Batch], Losses]]

    def discriminator_loss(self, batch: Batch) -> Losses:
        return self.losses["discriminator"](self, batch)

    def generator_loss(self, batch: Batch) -> Losses:
        return self.losses["generator"](self, batch)


def no_terms(_: GAN, __: Batch) -> Losses:
    return {}


def sum_of_squares(player: str) -> Callable[[GAN, Batch], Losses]:
    """Return a loss that is half the squared norm of a player's weights; its gradient is the weights."""
    return lambda model, _: {"half": 0.5 * sum(p.square().sum() for p in getattr(model, player).parameters())}


def make_custom(*, discriminator: Any = no_terms, generator: Any = no_terms, **arguments: Any) -> CustomLossGAN:
    model = make_gan(CustomLossGAN, **arguments)
    assert isinstance(model, CustomLossGAN)
    model.losses = {"discriminator": discriminator, "generator": generator}
    return model


# -- counters and the order of updates -----------------------------------------------------------------------------


@pytest.mark.parametrize("discriminator_steps", [1, 5])
@pytest.mark.parametrize("max_steps", [1, 7, 11])
def test_global_step_counts_batches(discriminator_steps: int, max_steps: int, fit: Fit, record: Record) -> None:
    model = make_gan(discriminator_steps=discriminator_steps)
    trainer = fit(model, batches(4), max_steps=max_steps, logger=record, log_every_n_steps=1)
    assert trainer.global_step == model.batches_seen == max_steps
    assert record.steps == list(range(1, max_steps + 1))
    assert record.column("images_seen") == [8 * step for step in range(1, max_steps + 1)]


@pytest.mark.parametrize("discriminator_steps", [1, 5])
def test_the_counters_continue_after_resuming(
    discriminator_steps: int, fit: Fit, record: Record, tmp_path: Path
) -> None:
    path = tmp_path / "seven.ckpt"
    fit(make_gan(discriminator_steps=discriminator_steps), batches(4), max_steps=7).save_checkpoint(path)
    model = make_gan(discriminator_steps=discriminator_steps)
    with pytest.warns(UserWarning, match="your dataloader is not resumable"):
        trainer = fit(model, batches(4), max_steps=13, ckpt_path=path, logger=record, log_every_n_steps=1)
    assert trainer.global_step == model.batches_seen == 13
    assert record.steps == list(range(8, 14))
    assert model.images_seen == 8 * 13


def test_the_trainer_of_the_package_counts_batches_as_well(record: Record, tmp_path: Path) -> None:
    model = make_gan(discriminator_steps=5)
    trainer = Trainer(
        callbacks=[Run(root=str(tmp_path))],
        accelerator="cpu",
        logger=record,
        log_every_n_steps=3,
        max_steps=7,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(model, torch.utils.data.DataLoader(batches(4), batch_size=None))  # type: ignore[arg-type]
    assert trainer.global_step == model.batches_seen == 7
    assert record.steps == [3, 6]


def test_a_smaller_last_batch_of_an_epoch_counts_its_own_images(fit: Fit) -> None:
    model = make_gan()
    fit(model, [*batches(2), *batches(1, size=3)], max_steps=4)
    assert model.images_seen == 8 + 8 + 3 + 8


@pytest.mark.parametrize("discriminator_steps", [1, 3])
def test_the_discriminator_trains_on_every_batch_and_the_generator_on_every_kth(
    discriminator_steps: int, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = make_gan(discriminator_steps=discriminator_steps), batches(7)
    calls = {player: spy(monkeypatch, model, f"{player}_loss") for player in ("discriminator", "generator")}
    fit(model, data, max_steps=7)
    expected = {"discriminator": data, "generator": data[discriminator_steps - 1 :: discriminator_steps]}
    for player, arguments in calls.items():
        assert len(arguments) == len(expected[player])
        pairs = zip(arguments, expected[player], strict=True)
        assert all(torch.equal(seen["image"], batch["image"]) for (seen,), batch in pairs)


def test_the_generator_is_updated_at_the_same_batches_after_resuming(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(make_gan(discriminator_steps=5), batches(9), max_steps=3).save_checkpoint(tmp_path / "three.ckpt")
    model = make_gan(discriminator_steps=5)
    calls = spy(monkeypatch, model, "generator_loss")
    with pytest.warns(UserWarning, match="your dataloader is not resumable"):
        fit(model, batches(9), max_steps=6, ckpt_path=tmp_path / "three.ckpt")
    assert len(calls) == 1  # at the fifth batch


@pytest.mark.parametrize("skipped", ["discriminator", "generator"])
def test_a_player_without_terms_is_not_updated(skipped: str, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    (trained,) = {"discriminator", "generator"} - {skipped}
    optimizers = {"generator_optimizer": UNIT_SGD, "discriminator_optimizer": UNIT_SGD}
    model = make_custom(**{trained: sum_of_squares(trained)}, **optimizers)
    after = spy(monkeypatch, model, f"after_{skipped}_step")
    before = flat(getattr(model, skipped).parameters())
    fit(model, batches(2), max_steps=2)
    assert after == []
    assert torch.equal(before, flat(getattr(model, skipped).parameters()))
    assert not flat(getattr(model, trained).parameters()).any()  # w - 1 * w
    assert all(parameter.requires_grad for parameter in model.discriminator.parameters())


def test_all_terms_are_minimized_and_logged(fit: Fit, record: Record) -> None:
    """One step on 1/2 |w|^2 and 1/4 |w|^2 with learning rate 1 results in w - w - w / 2."""

    def terms(model: GAN, _: Batch) -> Losses:
        square = sum(p.square().sum() for p in model.discriminator.parameters())
        return {"half": torch.as_tensor(0.5 * square), "quarter": torch.as_tensor(0.25 * square)}

    model = make_custom(discriminator=terms, discriminator_optimizer=UNIT_SGD)
    before = flat(model.discriminator.parameters())
    fit(model, batches(1), max_steps=1, logger=record, log_every_n_steps=1)
    torch.testing.assert_close(flat(model.discriminator.parameters()), -before / 2)
    ((_, row),) = record.rows
    square = before.square().sum().item()
    assert row["discriminator/half"] == pytest.approx(square / 2)
    assert row["discriminator/quarter"] == pytest.approx(square / 4)
    assert row["discriminator/loss"] == pytest.approx(0.75 * square)
    assert row["discriminator/gradient_norm"] == pytest.approx(1.5 * square**0.5)


def test_hooks_are_called_in_order(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_gan(discriminator_steps=2)
    order: list[str] = []

    def recorded(name: str) -> Callable[..., Any]:
        original = getattr(model, name)

        def hook(*args: Any) -> Any:
            order.append(name)
            return original(*args)

        return hook

    for name in (
        "initialize_from_batch",
        "discriminator_loss",
        "after_discriminator_step",
        "generator_loss",
        "after_generator_step",
    ):
        monkeypatch.setattr(model, name, recorded(name))
    fit(model, batches(2), max_steps=2)
    discriminator = ["discriminator_loss", "after_discriminator_step"]
    assert order == ["initialize_from_batch", *discriminator, *discriminator, "generator_loss", "after_generator_step"]


def test_a_model_is_initialized_once_and_before_its_ema_is_copied(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(model: GAN, value: float) -> Callable[[Batch], None]:
        def initialize_from_batch(batch: Batch) -> None:
            assert not torch.is_grad_enabled()
            assert batch["image"].shape == (8, *SHAPE)
            for parameter in model.generator.parameters():
                parameter.fill_(value)

        return initialize_from_batch

    first = make_custom()
    monkeypatch.setattr(first, "initialize_from_batch", fill(first, 0.25))
    fit(first, batches(2), max_steps=2).save_checkpoint(tmp_path / "two.ckpt")
    resumed = make_custom()
    monkeypatch.setattr(resumed, "initialize_from_batch", fill(resumed, 7.0))
    with pytest.warns(UserWarning, match="your dataloader is not resumable"):
        fit(resumed, batches(3), max_steps=3, ckpt_path=tmp_path / "two.ckpt")
    for model in (first, resumed):
        for network in (model.generator, model.ema):
            assert set(flat(network.parameters()).tolist()) == {0.25}


# -- accumulation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [VanillaGAN, WGANGP])
@pytest.mark.parametrize(("size", "parts"), [(8, 4), (10, 4), (7, 7)])
def test_accumulating_over_parts_equals_training_on_the_complete_batch(
    model: type[GAN], size: int, parts: int, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The noise of an example depends only on the batch, the player, the kind of noise and the example's index."""
    weights: list[tuple[Tensor, Tensor]] = []
    for count in (1, parts):
        gan = make_gan(model, accumulate_grad_batches=count, discriminator_steps=1).double()
        drawn: dict[tuple[int, ...], int] = {}
        current = [""]
        for name in ("discriminator_loss", "generator_loss"):
            original = getattr(gan, name)

            def loss(batch: Batch, name: str = name, original: Any = original, current: list[str] = current) -> Losses:
                current[0] = name
                return original(batch)  # type: ignore[no-any-return]

            monkeypatch.setattr(gan, name, loss)

        def noise(
            distribution: Callable[..., Tensor],
            sizes: tuple[int, ...],
            gan: GAN = gan,
            drawn: dict[Any, int] = drawn,
            current: list[str] = current,
        ) -> Tensor:
            n, *shape = sizes
            key = (gan.batches_seen, current[0], *shape, distribution is torch.rand)
            start = drawn.get(key, 0)
            drawn[key] = start + n
            seed = gan.batches_seen * 100 + 10 * (current[0] == "generator_loss") + (distribution is torch.rand)
            stream = torch.Generator().manual_seed(seed)
            return distribution(size, *shape, generator=stream, dtype=torch.float64)[start : start + n]

        monkeypatch.setattr(gan, "_noise", noise)
        fit(gan, batches(3, size, torch.float64), max_steps=3, precision="64-true")
        assert set(drawn.values()) == {size}
        weights.append((flat(gan.generator.parameters()), flat(gan.discriminator.parameters())))
    for complete, accumulated in zip(*weights, strict=True):
        torch.testing.assert_close(accumulated, complete, rtol=0, atol=1e-10)


def test_the_logged_loss_and_gradient_are_means_over_the_complete_batch(fit: Fit, record: Record) -> None:
    """The first of two parts has 3 of the 5 examples, so an unweighted mean over the parts would be wrong."""
    model = make_custom(
        discriminator=lambda model, batch: {"mean": model.discriminator(batch["image"]).mean()},
        discriminator_optimizer=partial(torch.optim.SGD, lr=0.0),
        accumulate_grad_batches=2,
    )
    (batch,) = batches(1, size=5)
    fit(model, [batch], max_steps=1, logger=record, log_every_n_steps=1)
    mean = model.discriminator(batch["image"]).mean()
    gradient = flat(torch.autograd.grad(mean, list(model.discriminator.parameters())))
    assert record.column("discriminator/loss") == [pytest.approx(mean.item(), rel=1e-5)]
    assert record.column("discriminator/gradient_norm") == [pytest.approx(gradient.norm().item(), rel=1e-5)]


# -- clipping ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fused", [False, True])  # a fused optimizer unscales a scaled gradient within its step
@pytest.mark.parametrize("scale", [None, 1024.0])
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_large_gradient_is_clipped_to_the_given_norm(
    scale: float | None, player: str, fused: bool, fit: Fit, record: Record
) -> None:
    """With learning rate 1 the weights move by the clipped gradient, whose direction is unchanged."""
    optimizer = partial(UNIT_SGD, fused=fused)
    model = make_custom(**{player: sum_of_squares(player), f"{player}_optimizer": optimizer}, gradient_clip_val=0.25)
    before = flat(getattr(model, player).parameters())
    assert before.norm() > 0.5
    fit(model, batches(1), max_steps=1, logger=record, log_every_n_steps=1, **scaler_options(scale))
    assert record.column(f"{player}/gradient_norm") == [pytest.approx(before.norm().item(), rel=1e-4)]
    step = before - flat(getattr(model, player).parameters())
    torch.testing.assert_close(step.norm(), torch.tensor(0.25), rtol=1e-4, atol=0)
    torch.testing.assert_close(step, 0.25 * before / before.norm(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", [None, 1024.0])
def test_a_small_gradient_is_not_clipped(scale: float | None, fit: Fit, record: Record) -> None:
    norms = []
    for limit in (None, 1000.0):
        model = make_custom(discriminator=sum_of_squares("discriminator"), discriminator_optimizer=UNIT_SGD)
        model.gradient_clip_val = limit
        before = flat(model.discriminator.parameters())
        fit(model, batches(1), max_steps=1, logger=record, log_every_n_steps=1, **scaler_options(scale))
        assert not flat(model.discriminator.parameters()).any()
        norms.append(before.norm().item())
    assert record.column("discriminator/gradient_norm") == pytest.approx(norms)


def scaler_options(scale: float | None) -> dict[str, Any]:
    """Return the trainer's options for float16 on the CPU with a loss scale; None is float32."""
    if scale is None:
        return {}
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return {"plugins": [MixedPrecision("16-mixed", "cpu", scaler=scaler)]}


def test_a_loss_scale_changes_the_step_of_neither_player(fit: Fit) -> None:
    """Two backward passes before the two steps once halved the gradient of one player."""
    losses = {player: sum_of_squares(player) for player in ("discriminator", "generator")}
    model = make_custom(**losses, generator_optimizer=UNIT_SGD, discriminator_optimizer=UNIT_SGD)
    fit(model, batches(1), max_steps=1, **scaler_options(1024.0))
    assert not flat(model.generator.parameters()).any()
    assert not flat(model.discriminator.parameters()).any()


# -- schedules -----------------------------------------------------------------------------------------------------


def test_optimizer_settings_are_functions_of_the_images_seen(fit: Fit, record: Record) -> None:
    model = make_gan(
        generator_schedules={"lr": Linear(1e-2, 0.0, images=64)},
        discriminator_schedules={"lr": Linear(0.0, 1e-2, images=64), "beta1": Linear(0.5, 0.9, images=64)},
    )
    trainer = fit(model, batches(4), max_steps=10, logger=record, log_every_n_steps=1)
    progress = [min(8 * step / 64, 1) for step in range(10)]  # by the images seen before the batch
    assert record.column("generator/learning_rate") == pytest.approx([1e-2 * (1 - share) for share in progress])
    assert record.column("discriminator/learning_rate") == pytest.approx([1e-2 * share for share in progress])
    assert trainer.optimizers[1].param_groups[0]["betas"] == (0.9, 0.999)
    assert trainer.optimizers[0].param_groups[0]["betas"] == (0.5, 0.999)


def test_the_logged_learning_rate_is_that_of_the_players_last_update(fit: Fit, record: Record) -> None:
    model = make_gan(generator_schedules={"lr": Linear(1e-2, 0.0, images=80)}, discriminator_steps=3)
    fit(model, batches(4), max_steps=4, logger=record, log_every_n_steps=1)
    assert record.column("generator/learning_rate") == pytest.approx([1e-2, 1e-2, 8e-3, 8e-3])


def test_a_schedule_is_applied_before_the_step(fit: Fit) -> None:
    """The learning rate is 0 until 16 images were seen, so two steps of 8 images change nothing."""
    model = make_gan(discriminator_schedules={"lr": Linear(0.0, 1.0, images=8, delay=16)})
    before = flat(model.discriminator.parameters())
    fit(model, batches(2), max_steps=2)
    assert torch.equal(before, flat(model.discriminator.parameters()))


def test_a_penalty_weight_may_be_a_schedule(fit: Fit, record: Record) -> None:
    model = make_gan(WGANGP, penalty_weight=Linear(10.0, 0.0, images=16))
    fit(model, batches(3), max_steps=3, logger=record, log_every_n_steps=1)
    penalty = record.column("discriminator/penalty")
    assert min(penalty[:2]) > 0
    assert penalty[2] == 0.0


# -- the EMA of the generator --------------------------------------------------------------------------------------


@pytest.mark.parametrize("half_life", [16.0, Linear(16.0, 16.0, images=1)])
@pytest.mark.parametrize("discriminator_steps", [1, 2])
def test_the_half_life_of_the_ema_is_in_images(half_life: Any, discriminator_steps: int, fit: Fit) -> None:
    """The first generator step changes the weights from w to 0, so the EMA is w 2^(-images / half-life)."""
    model = make_custom(
        generator=sum_of_squares("generator"),
        generator_optimizer=UNIT_SGD,
        ema_half_life=half_life,
        discriminator_steps=discriminator_steps,
    )
    before = flat(model.generator.parameters())
    fit(model, batches(6), max_steps=6)
    assert not flat(model.generator.parameters()).any()
    torch.testing.assert_close(flat(model.ema.parameters()), before * 0.5 ** (6 * 8 / 16))


def test_the_ema_counts_the_images_of_every_batch(fit: Fit) -> None:
    """With alternating batches of 8 and 3, two steps of the generator are 11 images apart."""
    model = make_custom(
        generator=sum_of_squares("generator"),
        generator_optimizer=UNIT_SGD,
        ema_half_life=16.0,
        discriminator_steps=2,
    )
    before = flat(model.generator.parameters())
    fit(model, [*batches(1, size=8), *batches(1, size=3)], max_steps=6)
    torch.testing.assert_close(flat(model.ema.parameters()), before * 0.5 ** (33 / 16))


def test_with_half_life_zero_the_ema_is_the_generator(fit: Fit) -> None:
    model = make_gan(ema_half_life=0)
    fit(model, batches(3), max_steps=3)
    assert torch.equal(flat(model.generator.parameters()), flat(model.ema.parameters()))


def test_no_optimizer_updates_the_ema(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    model = DCGAN(
        image_shape=(1, 8, 8),
        latent_dim=3,
        generator=partial(DCGANGenerator, width=2),
        discriminator=partial(DCGANDiscriminator, width=2),
        ema_half_life=8.0,
    )
    model.train()
    assert not any(module.training for module in model.ema.modules())
    assert not any(parameter.requires_grad for parameter in model.ema.parameters())
    trainer = fit(model, [{"image": images((1, 8, 8), 8)}], max_steps=2)
    assert not any(module.training for module in model.ema.modules())
    updated = {id(p) for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]}
    assert updated == {id(p) for network in (model.generator, model.discriminator) for p in network.parameters()}
    assert all(parameter.grad is None for parameter in model.ema.parameters())


# -- logging -------------------------------------------------------------------------------------------------------


def test_metrics_are_logged_on_logging_steps_only(fit: Fit, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_gan()
    logged = spy(monkeypatch, model, "log_dict")
    fit(model, batches(4), max_steps=10, logger=record, log_every_n_steps=4)
    assert record.steps == [4, 8]
    assert len(logged) == 2


def test_an_observed_value_is_computed_on_logging_steps_only(fit: Fit, record: Record) -> None:
    read = []

    class Expensive:
        def detach(self) -> Tensor:
            read.append(model.batches_seen)
            return torch.zeros(2)

    def loss(model: GAN, batch: Batch) -> Losses:
        model.observe("expensive", Expensive())  # type: ignore[arg-type]
        return sum_of_squares("discriminator")(model, batch)

    model = make_custom(discriminator=loss)
    fit(model, batches(4), max_steps=7, logger=record, log_every_n_steps=3)
    assert read == [3, 6]
    assert record.column("expensive") == [0.0, 0.0]


def test_an_observed_value_is_the_mean_over_the_parts_of_a_batch(fit: Fit, record: Record) -> None:
    def loss(model: GAN, batch: Batch) -> Losses:
        model.observe("mean", batch["image"])
        return sum_of_squares("discriminator")(model, batch)

    (batch,) = batches(1)
    fit(
        make_custom(discriminator=loss, accumulate_grad_batches=4),
        [batch],
        max_steps=1,
        logger=record,
        log_every_n_steps=1,
    )
    assert record.column("mean") == [pytest.approx(batch["image"].mean().item())]


def test_discriminate_returns_and_logs_both_logits(fit: Fit, record: Record) -> None:
    """The discriminator gets the conditions of examples and of samples; samples have no graph to the generator."""
    scale = torch.tensor(2.0)
    seen: dict[str, Tensor] = {}

    class Scaled(nn.Module):
        def __init__(self, image_shape: ImageShape) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, points: Tensor, factor: Tensor) -> Tensor:
            return self.weight * factor * points.sum(1)

    def loss(model: GAN, batch: Batch) -> Losses:
        fake = model.fake(batch)["image"]
        assert not fake.requires_grad
        real_logits, fake_logits = model.discriminate(batch["image"], fake, scale)
        seen.update(real=real_logits.detach(), fake=fake_logits.detach(), points=fake)
        torch.testing.assert_close(real_logits, 2 * batch["image"].sum(1))
        return {"difference": fake_logits.mean() - real_logits.mean()}

    model = make_custom(discriminator=loss)
    model.discriminator = Scaled(SHAPE)
    fit(model, batches(1), max_steps=1, logger=record, log_every_n_steps=1)
    torch.testing.assert_close(seen["fake"], 2 * seen["points"].sum(1))
    for key in ("real", "fake"):
        assert record.column(f"discriminator/{key}") == [pytest.approx(seen[key].mean().item(), abs=1e-6)]


def test_images_per_second_are_divided_by_the_elapsed_time(
    fit: Fit, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(0, 1000, 2))
    monkeypatch.setattr("lightning_gans.core.manual_optimization.time.perf_counter", lambda: float(next(ticks)))
    fit(make_gan(), batches(4), max_steps=2, logger=record, log_every_n_steps=2)
    assert record.column("images_per_second")[0] <= 16 / 2


# -- error messages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"latent_dim": 0}, "`latent_dim` must be at least 1, got 0"),
        ({"discriminator_steps": 0}, "`discriminator_steps` must be at least 1, got 0"),
        ({"accumulate_grad_batches": 0}, "`accumulate_grad_batches` must be at least 1, got 0"),
        ({"gradient_clip_val": 0.0}, "`gradient_clip_val` must be above 0 (None does not clip), got 0.0"),
        ({"gradient_clip_val": -1}, "`gradient_clip_val` must be above 0 (None does not clip), got -1"),
        ({"ema_half_life": -1.0}, "`ema_half_life` must be at least 0 images, got -1.0"),
        ({"image_shape": (8, 8)}, "`image_shape` must be (channels, height, width) or (dimensions,), got (8, 8)"),
        ({"image_shape": (0,)}, "`image_shape` must hold sizes of at least 1, got (0,)"),
    ],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match="`") as error:
        make_gan(**arguments)
    assert str(error.value) == text


def test_a_negative_penalty_weight_is_named() -> None:
    with pytest.raises(ValueError, match="`penalty_weight` must be at least 0, got -1"):
        make_gan(WGANGP, penalty_weight=-1)


@pytest.mark.parametrize(
    ("batch", "text"),
    [
        (
            {"label": torch.zeros(8)},
            "VanillaGAN needs the batch keys ['image'], but the data yields ['label']: ['image'] missing",
        ),
        (
            {"image": torch.zeros(8, 3, 4, 4)},
            "VanillaGAN was built for `image_shape` (2,), but the data yields (3, 4, 4)",
        ),
        (
            [torch.zeros(8, 2), torch.zeros(8)],
            "VanillaGAN needs batches that are dictionaries with the keys ['image'], but the data yields a list",
        ),
        (
            (torch.zeros(8, 2), torch.zeros(8)),
            "VanillaGAN needs batches that are dictionaries with the keys ['image'], but the data yields a tuple",
        ),
        (
            torch.zeros(8, 2),
            "VanillaGAN needs batches that are dictionaries with the keys ['image'], but the data yields a Tensor",
        ),
    ],
)
def test_a_batch_that_does_not_fit_the_model_is_refused(batch: Any, text: str) -> None:
    with pytest.raises(ValueError, match="VanillaGAN") as error:
        make_gan().validate_batch(batch)
    assert str(error.value) == text


@pytest.mark.parametrize("batch", [{"label": torch.zeros(8)}, [torch.zeros(8, 2), torch.zeros(8)]])
def test_training_validates_its_batches(batch: Any, fit: Fit) -> None:
    with pytest.raises(ValueError, match=r"^VanillaGAN needs"):
        fit(make_gan(), [batch], max_steps=1)


def test_more_parts_than_examples_are_refused(fit: Fit) -> None:
    with pytest.raises(ValueError, match="`accumulate_grad_batches` is 4, but a batch on one device has only 3 examp"):
        fit(make_gan(accumulate_grad_batches=4), batches(1, size=3), max_steps=1)


def test_a_schedule_of_a_setting_that_the_optimizer_lacks_is_refused(fit: Fit) -> None:
    model = make_gan(generator_optimizer=GoodfellowSGD, generator_schedules={"beta1": Linear(0.5, 0.9, images=10)})
    with pytest.raises(ValueError, match=r"there is a schedule for 'beta1', but GoodfellowSGD has only .*, momentum, "):
        fit(model, batches(1), max_steps=1)


@pytest.mark.parametrize(("option", "value"), [("gradient_clip_val", 1.0), ("accumulate_grad_batches", 2)])
def test_the_trainer_of_the_package_refuses_options_of_the_model(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"`{option}` belongs to the model, which applies it to each player"):
        Trainer(accelerator="cpu", **{option: value})


def test_a_gan_without_losses_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        GAN(image_shape=SHAPE)  # type: ignore[abstract]


# -- networks and trainers of users --------------------------------------------------------------------------------


class NormalizedGenerator(nn.Module):
    """Generator with spectral and batch normalization."""

    def __init__(self, latent_dim: int, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.linear = spectral_norm(nn.Linear(latent_dim, image_shape[0]))
        self.norm = nn.BatchNorm1d(image_shape[0])

    def forward(self, latents: Tensor) -> Tensor:
        normalized: Tensor = self.norm(self.linear(latents))
        return normalized


def test_a_network_with_spectral_normalization_trains_and_samples(fit: Fit) -> None:
    model = make_gan(generator=NormalizedGenerator, generator_optimizer=DCGANAdam, ema_half_life=8.0)
    fit(model, batches(2), max_steps=4)
    state = model.state_dict()
    for name in ("_u", "_v"):
        key = f"linear.parametrizations.weight.0.{name}"
        assert torch.equal(state[f"generator.{key}"], state[f"ema.network.{key}"])
    assert not torch.equal(state["generator.norm.running_mean"], state["ema.network.norm.running_mean"])
    assert model.sample(2, seed=0)["image"].isfinite().all()


def test_the_trainer_of_lightning_needs_no_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = pl.Trainer(accelerator="cpu", max_steps=3)
    trainer.fit(make_gan(), torch.utils.data.DataLoader(batches(4), batch_size=None))  # type: ignore[arg-type]
    assert trainer.global_step == 3


def test_training_flushes_subnormal_numbers_to_zero(fit: Fit) -> None:
    """A CPU computes slowly with subnormal numbers, which weights become after a long decay."""
    torch.set_flush_denormal(False)
    tiny = torch.tensor([torch.finfo(torch.float32).tiny])
    assert (tiny / 2).item() > 0
    fit(make_gan(), batches(1), max_steps=1)
    assert (tiny / 2).item() == 0
