"""The two-player step: its clock, its schedule of players, accumulation, clipping, averages, logging and its words."""

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
STEEP = partial(torch.optim.SGD, lr=1.0)


def game(model: type[GAN] = VanillaGAN, **arguments: Any) -> GAN:
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


class Still(GAN):
    """A game whose losses are given from outside."""

    losses: dict[str, Callable[[GAN, Batch], Losses]]

    def discriminator_loss(self, batch: Batch) -> Losses:
        return self.losses["discriminator"](self, batch)

    def generator_loss(self, batch: Batch) -> Losses:
        return self.losses["generator"](self, batch)


def nothing(_: GAN, __: Batch) -> Losses:
    return {}


def sum_of_squares(player: str) -> Callable[[GAN, Batch], Losses]:
    """Half the squared norm of a player's weights, whose gradient is the weights."""
    return lambda model, _: {"half": 0.5 * sum(p.square().sum() for p in getattr(model, player).parameters())}


def still(*, discriminator: Any = nothing, generator: Any = nothing, **arguments: Any) -> Still:
    model = game(Still, **arguments)
    assert isinstance(model, Still)
    model.losses = {"discriminator": discriminator, "generator": generator}
    return model


# -- the clock and the players' turns ------------------------------------------------------------------------------


@pytest.mark.parametrize("discriminator_steps", [1, 5])
@pytest.mark.parametrize("max_steps", [1, 7, 11])
def test_global_step_counts_batches(discriminator_steps: int, max_steps: int, fit: Fit, record: Record) -> None:
    model = game(discriminator_steps=discriminator_steps)
    trainer = fit(model, batches(4), max_steps=max_steps, logger=record, log_every_n_steps=1)
    assert trainer.global_step == model.batches_seen == max_steps
    assert record.steps == list(range(1, max_steps + 1))
    assert record.column("images_seen") == [8 * step for step in range(1, max_steps + 1)]


@pytest.mark.parametrize("discriminator_steps", [1, 5])
def test_the_clock_goes_on_after_resuming(discriminator_steps: int, fit: Fit, record: Record, tmp_path: Path) -> None:
    path = tmp_path / "seven.ckpt"
    fit(game(discriminator_steps=discriminator_steps), batches(4), max_steps=7).save_checkpoint(path)
    model = game(discriminator_steps=discriminator_steps)
    with pytest.warns(UserWarning, match="your dataloader is not resumable"):
        trainer = fit(model, batches(4), max_steps=13, ckpt_path=path, logger=record, log_every_n_steps=1)
    assert trainer.global_step == model.batches_seen == 13
    assert record.steps == list(range(8, 14))
    assert model.images_seen == 8 * 13


def test_our_trainer_keeps_the_same_clock(record: Record, tmp_path: Path) -> None:
    model = game(discriminator_steps=5)
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


def test_the_last_batch_of_an_epoch_counts_its_own_images(fit: Fit) -> None:
    model = game()
    fit(model, [*batches(2), *batches(1, size=3)], max_steps=4)
    assert model.images_seen == 8 + 8 + 3 + 8


@pytest.mark.parametrize("discriminator_steps", [1, 3])
def test_the_discriminator_sees_every_batch_and_the_generator_every_kth(
    discriminator_steps: int, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = game(discriminator_steps=discriminator_steps), batches(7)
    seen = {player: spy(monkeypatch, model, f"{player}_loss") for player in ("discriminator", "generator")}
    fit(model, data, max_steps=7)
    expected = {"discriminator": data, "generator": data[discriminator_steps - 1 :: discriminator_steps]}
    for player, calls in seen.items():
        assert len(calls) == len(expected[player])
        assert all(torch.equal(got["image"], b["image"]) for (got,), b in zip(calls, expected[player], strict=True))


def test_the_turns_go_on_after_resuming(fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(game(discriminator_steps=5), batches(9), max_steps=3).save_checkpoint(tmp_path / "three.ckpt")
    model = game(discriminator_steps=5)
    calls = spy(monkeypatch, model, "generator_loss")
    with pytest.warns(UserWarning, match="your dataloader is not resumable"):
        fit(model, batches(9), max_steps=6, ckpt_path=tmp_path / "three.ckpt")
    assert len(calls) == 1  # at the fifth batch


@pytest.mark.parametrize("resting", ["discriminator", "generator"])
def test_a_player_without_terms_rests(resting: str, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    (playing,) = {"discriminator", "generator"} - {resting}
    model = still(**{playing: sum_of_squares(playing)}, generator_optimizer=STEEP, discriminator_optimizer=STEEP)
    after = spy(monkeypatch, model, f"after_{resting}_step")
    before = flat(getattr(model, resting).parameters())
    fit(model, batches(2), max_steps=2)
    assert after == []
    assert torch.equal(before, flat(getattr(model, resting).parameters()))
    assert not flat(getattr(model, playing).parameters()).any()  # w - 1 * w
    assert all(parameter.requires_grad for parameter in model.discriminator.parameters())


def test_all_terms_are_minimized_and_logged(fit: Fit, record: Record) -> None:
    """One step down 1/2 |w|^2 and 1/4 |w|^2 at a rate of 1 leaves w - w - w / 2."""

    def terms(model: GAN, _: Batch) -> Losses:
        square = sum(p.square().sum() for p in model.discriminator.parameters())
        return {"half": torch.as_tensor(0.5 * square), "quarter": torch.as_tensor(0.25 * square)}

    model = still(discriminator=terms, discriminator_optimizer=STEEP)
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
    model = game(discriminator_steps=2)
    order: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
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
        monkeypatch.setattr(model, name, noted(name))
    fit(model, batches(2), max_steps=2)
    discriminator = ["discriminator_loss", "after_discriminator_step"]
    assert order == ["initialize_from_batch", *discriminator, *discriminator, "generator_loss", "after_generator_step"]


def test_initialize_comes_once_and_before_the_average_is_copied(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(model: GAN, value: float) -> Callable[[Batch], None]:
        def initialize_from_batch(batch: Batch) -> None:
            assert not torch.is_grad_enabled()
            assert batch["image"].shape == (8, *SHAPE)
            for parameter in model.generator.parameters():
                parameter.fill_(value)

        return initialize_from_batch

    first = still()
    monkeypatch.setattr(first, "initialize_from_batch", fill(first, 0.25))
    fit(first, batches(2), max_steps=2).save_checkpoint(tmp_path / "two.ckpt")
    resumed = still()
    monkeypatch.setattr(resumed, "initialize_from_batch", fill(resumed, 7.0))
    with pytest.warns(UserWarning, match="your dataloader is not resumable"):
        fit(resumed, batches(3), max_steps=3, ckpt_path=tmp_path / "two.ckpt")
    for model in (first, resumed):
        for network in (model.generator, model.ema):
            assert set(flat(network.parameters()).tolist()) == {0.25}


# -- accumulation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [VanillaGAN, WGANGP])
@pytest.mark.parametrize(("size", "parts"), [(8, 4), (10, 4), (7, 7)])
def test_parts_of_a_batch_add_up_to_it(
    model: type[GAN], size: int, parts: int, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The noise of an example depends on the call's place in the step and on the example alone."""
    wholes: list[tuple[Tensor, Tensor]] = []
    for count in (1, parts):
        played = game(model, accumulate_grad_batches=count, discriminator_steps=1).double()
        drawn: dict[tuple[int, ...], int] = {}
        player = [""]
        for name in ("discriminator_loss", "generator_loss"):
            original = getattr(played, name)

            def start(batch: Batch, name: str = name, original: Any = original, player: list[str] = player) -> Losses:
                player[0] = name
                return original(batch)  # type: ignore[no-any-return]

            monkeypatch.setattr(played, name, start)

        def noise(
            distribution: Callable[..., Tensor],
            sizes: tuple[int, ...],
            played: GAN = played,
            drawn: dict[Any, int] = drawn,
            player: list[str] = player,
        ) -> Tensor:
            n, *shape = sizes
            key = (played.batches_seen, player[0], *shape, distribution is torch.rand)
            start = drawn.get(key, 0)
            drawn[key] = start + n
            seed = played.batches_seen * 100 + 10 * (player[0] == "generator_loss") + (distribution is torch.rand)
            stream = torch.Generator().manual_seed(seed)
            return distribution(size, *shape, generator=stream, dtype=torch.float64)[start : start + n]

        monkeypatch.setattr(played, "_noise", noise)
        fit(played, batches(3, size, torch.float64), max_steps=3, precision="64-true")
        assert set(drawn.values()) == {size}
        wholes.append((flat(played.generator.parameters()), flat(played.discriminator.parameters())))
    for whole, accumulated in zip(*wholes, strict=True):
        torch.testing.assert_close(accumulated, whole, rtol=0, atol=1e-10)


def test_a_logged_loss_and_gradient_are_those_of_the_whole_batch(fit: Fit, record: Record) -> None:
    """Of 5 examples in 2 parts the first part has 3: a mean of the parts' means would be another number."""
    model = still(
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


@pytest.mark.parametrize("fused", [False, True])  # a fused optimizer unscales within its step, if nobody did before
@pytest.mark.parametrize("scale", [None, 1024.0])
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_long_gradient_is_clipped_to_the_given_norm(
    scale: float | None, player: str, fused: bool, fit: Fit, record: Record
) -> None:
    """At a rate of 1 the weights move by the clipped gradient, which points where it pointed."""
    steep = partial(STEEP, fused=fused)
    model = still(**{player: sum_of_squares(player), f"{player}_optimizer": steep}, gradient_clip_val=0.25)
    before = flat(getattr(model, player).parameters())
    assert before.norm() > 0.5
    fit(model, batches(1), max_steps=1, logger=record, log_every_n_steps=1, **scaled(scale))
    assert record.column(f"{player}/gradient_norm") == [pytest.approx(before.norm().item(), rel=1e-4)]
    step = before - flat(getattr(model, player).parameters())
    torch.testing.assert_close(step.norm(), torch.tensor(0.25), rtol=1e-4, atol=0)
    torch.testing.assert_close(step, 0.25 * before / before.norm(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", [None, 1024.0])
def test_a_short_gradient_is_not_touched(scale: float | None, fit: Fit, record: Record) -> None:
    norms = []
    for limit in (None, 1000.0):
        model = still(discriminator=sum_of_squares("discriminator"), discriminator_optimizer=STEEP)
        model.gradient_clip_val = limit
        before = flat(model.discriminator.parameters())
        fit(model, batches(1), max_steps=1, logger=record, log_every_n_steps=1, **scaled(scale))
        assert not flat(model.discriminator.parameters()).any()
        norms.append(before.norm().item())
    assert record.column("discriminator/gradient_norm") == pytest.approx(norms)


def scaled(scale: float | None) -> dict[str, Any]:
    if scale is None:
        return {}
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return {"plugins": [MixedPrecision("16-mixed", "cpu", scaler=scaler)]}


def test_both_players_keep_their_step_under_a_loss_scale(fit: Fit) -> None:
    """Two backwards before two steps once halved one player's gradients."""
    player = {name: sum_of_squares(name) for name in ("discriminator", "generator")}
    model = still(**player, generator_optimizer=STEEP, discriminator_optimizer=STEEP)
    fit(model, batches(1), max_steps=1, **scaled(1024.0))
    assert not flat(model.generator.parameters()).any()
    assert not flat(model.discriminator.parameters()).any()


# -- schedules -----------------------------------------------------------------------------------------------------


def test_settings_follow_the_images(fit: Fit, record: Record) -> None:
    model = game(
        generator_schedules={"lr": Linear(1e-2, 0.0, images=64)},
        discriminator_schedules={"lr": Linear(0.0, 1e-2, images=64), "beta1": Linear(0.5, 0.9, images=64)},
    )
    trainer = fit(model, batches(4), max_steps=10, logger=record, log_every_n_steps=1)
    at = [min(8 * step / 64, 1) for step in range(10)]  # of the images seen before the batch
    assert record.column("generator/learning_rate") == pytest.approx([1e-2 * (1 - share) for share in at])
    assert record.column("discriminator/learning_rate") == pytest.approx([1e-2 * share for share in at])
    assert trainer.optimizers[1].param_groups[0]["betas"] == (0.9, 0.999)
    assert trainer.optimizers[0].param_groups[0]["betas"] == (0.5, 0.999)


def test_a_rate_is_the_schedules_before_its_player_moved(fit: Fit, record: Record) -> None:
    model = game(generator_schedules={"lr": Linear(1e-2, 0.0, images=80)}, discriminator_steps=3)
    fit(model, batches(4), max_steps=4, logger=record, log_every_n_steps=1)
    assert record.column("generator/learning_rate") == pytest.approx([1e-2, 1e-2, 8e-3, 8e-3])


def test_an_untouched_rate_moves_nothing(fit: Fit) -> None:
    """The schedule is applied before the step that it is for."""
    model = game(discriminator_schedules={"lr": Linear(0.0, 1.0, images=8, delay=16)})
    before = flat(model.discriminator.parameters())
    fit(model, batches(2), max_steps=2)
    assert torch.equal(before, flat(model.discriminator.parameters()))


def test_a_penalty_weight_may_be_a_schedule(fit: Fit, record: Record) -> None:
    model = game(WGANGP, penalty_weight=Linear(10.0, 0.0, images=16))
    fit(model, batches(3), max_steps=3, logger=record, log_every_n_steps=1)
    penalty = record.column("discriminator/penalty")
    assert min(penalty[:2]) > 0
    assert penalty[2] == 0.0


# -- the average ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half_life", [16.0, Linear(16.0, 16.0, images=1)])
@pytest.mark.parametrize("discriminator_steps", [1, 2])
def test_the_average_halves_old_weights_in_images(half_life: Any, discriminator_steps: int, fit: Fit) -> None:
    """Weights go from w to 0 in the first generator step and stay: the average is w 2^(-images / half-life)."""
    model = still(
        generator=sum_of_squares("generator"),
        generator_optimizer=STEEP,
        ema_half_life=half_life,
        discriminator_steps=discriminator_steps,
    )
    before = flat(model.generator.parameters())
    fit(model, batches(6), max_steps=6)
    assert not flat(model.generator.parameters()).any()
    torch.testing.assert_close(flat(model.ema.parameters()), before * 0.5 ** (6 * 8 / 16))


def test_the_average_counts_the_images_of_every_batch(fit: Fit) -> None:
    """Batches of 8 and 3 by turns: each step of the generator is 11 images after the one before."""
    model = still(
        generator=sum_of_squares("generator"),
        generator_optimizer=STEEP,
        ema_half_life=16.0,
        discriminator_steps=2,
    )
    before = flat(model.generator.parameters())
    fit(model, [*batches(1, size=8), *batches(1, size=3)], max_steps=6)
    torch.testing.assert_close(flat(model.ema.parameters()), before * 0.5 ** (33 / 16))


def test_without_a_half_life_the_average_is_the_generator(fit: Fit) -> None:
    model = game(ema_half_life=0)
    fit(model, batches(3), max_steps=3)
    assert torch.equal(flat(model.generator.parameters()), flat(model.ema.parameters()))


def test_the_average_is_no_players_and_never_trains(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
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
    moved = {id(p) for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]}
    assert moved == {id(p) for network in (model.generator, model.discriminator) for p in network.parameters()}
    assert all(parameter.grad is None for parameter in model.ema.parameters())


# -- logging -------------------------------------------------------------------------------------------------------


def test_logging_happens_on_logging_steps_only(fit: Fit, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    model = game()
    logged = spy(monkeypatch, model, "log_dict")
    fit(model, batches(4), max_steps=10, logger=record, log_every_n_steps=4)
    assert record.steps == [4, 8]
    assert len(logged) == 2


def test_observing_costs_nothing_between_logging_steps(fit: Fit, record: Record) -> None:
    """A value that would fail when it is read is not read."""
    read = []

    class Expensive:
        def detach(self) -> Tensor:
            read.append(model.batches_seen)
            return torch.zeros(2)

    def loss(model: GAN, batch: Batch) -> Losses:
        model.observe("expensive", Expensive())  # type: ignore[arg-type]
        return sum_of_squares("discriminator")(model, batch)

    model = still(discriminator=loss)
    fit(model, batches(4), max_steps=7, logger=record, log_every_n_steps=3)
    assert read == [3, 6]
    assert record.column("expensive") == [0.0, 0.0]


def test_an_observation_is_the_mean_over_the_parts(fit: Fit, record: Record) -> None:
    def loss(model: GAN, batch: Batch) -> Losses:
        model.observe("mean", batch["image"])
        return sum_of_squares("discriminator")(model, batch)

    (batch,) = batches(1)
    fit(
        still(discriminator=loss, accumulate_grad_batches=4),
        [batch],
        max_steps=1,
        logger=record,
        log_every_n_steps=1,
    )
    assert record.column("mean") == [pytest.approx(batch["image"].mean().item())]


def test_discriminate_returns_and_logs_both_logits(fit: Fit, record: Record) -> None:
    """Conditions reach the discriminator for examples and for samples; samples carry no graph to the generator."""
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

    model = still(discriminator=loss)
    model.discriminator = Scaled(SHAPE)
    fit(model, batches(1), max_steps=1, logger=record, log_every_n_steps=1)
    torch.testing.assert_close(seen["fake"], 2 * seen["points"].sum(1))
    for key in ("real", "fake"):
        assert record.column(f"discriminator/{key}") == [pytest.approx(seen[key].mean().item(), abs=1e-6)]


def test_images_per_second_is_a_rate(fit: Fit, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 1000, 2))
    monkeypatch.setattr("lightning_gans.core.manual_optimization.time.perf_counter", lambda: float(next(ticks)))
    fit(game(), batches(4), max_steps=2, logger=record, log_every_n_steps=2)
    assert record.column("images_per_second")[0] <= 16 / 2


# -- what a user may get wrong -------------------------------------------------------------------------------------


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
        game(**arguments)
    assert str(error.value) == text


def test_a_negative_penalty_weight_is_named() -> None:
    with pytest.raises(ValueError, match="`penalty_weight` must be at least 0, got -1"):
        game(WGANGP, penalty_weight=-1)


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
def test_a_batch_of_another_kind_is_refused(batch: Any, text: str) -> None:
    with pytest.raises(ValueError, match="VanillaGAN") as error:
        game().validate_batch(batch)
    assert str(error.value) == text


@pytest.mark.parametrize("batch", [{"label": torch.zeros(8)}, [torch.zeros(8, 2), torch.zeros(8)]])
def test_training_checks_its_batches(batch: Any, fit: Fit) -> None:
    with pytest.raises(ValueError, match=r"^VanillaGAN needs"):
        fit(game(), [batch], max_steps=1)


def test_more_parts_than_examples_are_refused(fit: Fit) -> None:
    with pytest.raises(ValueError, match="`accumulate_grad_batches` is 4, but a batch on one device has only 3 examp"):
        fit(game(accumulate_grad_batches=4), batches(1, size=3), max_steps=1)


def test_a_schedule_of_what_an_optimizer_lacks_is_refused(fit: Fit) -> None:
    model = game(generator_optimizer=GoodfellowSGD, generator_schedules={"beta1": Linear(0.5, 0.9, images=10)})
    with pytest.raises(ValueError, match=r"a schedule drives 'beta1', but GoodfellowSGD has only .*, momentum, "):
        fit(model, batches(1), max_steps=1)


@pytest.mark.parametrize(("option", "value"), [("gradient_clip_val", 1.0), ("accumulate_grad_batches", 2)])
def test_our_trainer_sends_options_of_the_players_to_the_model(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"`{option}` belongs to the model, which applies it to each player"):
        Trainer(accelerator="cpu", **{option: value})


def test_a_game_without_losses_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        GAN(image_shape=SHAPE)  # type: ignore[abstract]


# -- networks with state -------------------------------------------------------------------------------------------


class Normalized(nn.Module):
    """A generator under spectral and batch normalization."""

    def __init__(self, latent_dim: int, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.linear = spectral_norm(nn.Linear(latent_dim, image_shape[0]))
        self.norm = nn.BatchNorm1d(image_shape[0])

    def forward(self, latents: Tensor) -> Tensor:
        normalized: Tensor = self.norm(self.linear(latents))
        return normalized


def test_a_network_under_spectral_normalization_trains_and_samples(fit: Fit) -> None:
    model = game(generator=Normalized, generator_optimizer=DCGANAdam, ema_half_life=8.0)
    fit(model, batches(2), max_steps=4)
    state = model.state_dict()
    for name in ("_u", "_v"):
        key = f"linear.parametrizations.weight.0.{name}"
        assert torch.equal(state[f"generator.{key}"], state[f"ema.network.{key}"])
    assert not torch.equal(state["generator.norm.running_mean"], state["ema.network.norm.running_mean"])
    assert model.sample(2, seed=0)["image"].isfinite().all()


def test_lightnings_own_trainer_needs_no_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = pl.Trainer(accelerator="cpu", max_steps=3)
    trainer.fit(game(), torch.utils.data.DataLoader(batches(4), batch_size=None))  # type: ignore[arg-type]
    assert trainer.global_step == 3


def test_subnormal_numbers_are_flushed(fit: Fit) -> None:
    """A CPU is slow on them: weights that decay for long would slow training down."""
    torch.set_flush_denormal(False)
    tiny = torch.tensor([torch.finfo(torch.float32).tiny])
    assert (tiny / 2).item() > 0
    fit(game(), batches(1), max_steps=1)
    assert (tiny / 2).item() == 0
