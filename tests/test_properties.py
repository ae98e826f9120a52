"""What holds for every model, over the table in `cases.py`."""

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from cases import CASES, GANS, Case, cases, is_any, is_density, is_gan, is_generative
from conftest import Fit, Record
from torch import Tensor, nn

from lightning_gans import models
from lightning_gans.callbacks import Checkpointing, Doctor, Evaluation, Run, Samples, Wandb
from lightning_gans.core.gan import GAN
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model, load
from lightning_gans.networks.mlp import MLPDiscriminator, MLPGenerator
from lightning_gans.trainer import Trainer
from lightning_gans.types import Batch, Losses

every_case = pytest.mark.parametrize("case", cases())
every_generative_case = pytest.mark.parametrize("case", cases(is_generative))
every_likelihood_case = pytest.mark.parametrize("case", cases(lambda case: is_density(case) and not is_gan(case)))


def test_every_model_has_a_case() -> None:
    assert {case.model for case in CASES} == {getattr(models, name) for name in models.__all__}


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


class Phases:
    """Look at a model whenever a player is about to play, and right after it.

    Attributes:
        looks: By moment, what `look` returned there.
        terms: By player, the losses.
        fakes: By player, what the generator made.
    """

    def __init__(self, model: GAN, look: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks: dict[str, Any] = {}
        self.terms: dict[str, Losses] = {}
        self.fakes: dict[str, Tensor] = {}
        self._player = ""

        def look_at_made(generator: nn.Module, latents: Any, made: Tensor | list[Tensor]) -> None:
            self.fakes[self._player] = made if isinstance(made, Tensor) else made[-1]

        model.generator.register_forward_hook(look_at_made)
        for player in ("discriminator", "generator"):
            self._spy(model, player, look, monkeypatch)

    def _spy(self, model: GAN, player: str, look: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
        loss, after = getattr(model, f"{player}_loss"), getattr(model, f"after_{player}_step")

        def spied_loss(batch: Batch) -> Losses:
            self._player = player
            self.looks[f"before {player}"] = look()
            self.terms[player] = loss(batch)
            return self.terms[player]

        def spied_after() -> None:
            after()
            self.looks[f"after {player}"] = look()

        monkeypatch.setattr(model, f"{player}_loss", spied_loss)
        monkeypatch.setattr(model, f"after_{player}_step", spied_after)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, weight in before.items() if not torch.equal(weight, after[name])}


@every_case
def test_each_player_moves_only_its_own_weights(case: Case, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    model = case.make(discriminator_steps=1, accumulate_grad_batches=1)
    phases = Phases(model, lambda: weights(model), monkeypatch)
    fit(model, [case.batch()], max_steps=1)
    for player in ("discriminator", "generator"):
        names = moved(phases.looks[f"before {player}"], phases.looks[f"after {player}"])
        assert names
        assert {name.partition(".")[0] for name in names} == {player}
    final = weights(model)
    assert {name.partition(".")[0] for name in moved(phases.looks["after generator"], final)} == {"ema"}


class Gradients(pl.Callback):
    """Remember which weights an optimizer is about to move, and their gradients."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Tensor | None]] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        named = [(name, parameter) for name, parameter in pl_module.named_parameters() if id(parameter) in own]
        self.steps.append({name: None if p.grad is None else p.grad.detach().clone() for name, p in named})


@every_case
def test_every_parameter_of_each_player_gets_a_gradient(case: Case, fit: Fit) -> None:
    model, gradients = case.make(discriminator_steps=1), Gradients()
    fit(model, [case.batch(), case.batch(seed=1)], max_steps=2, callbacks=[gradients])
    for player, first, second in zip(
        ("discriminator", "generator"), gradients.steps[:2], gradients.steps[2:], strict=True
    ):
        assert set(first) == {name for name, _ in model.named_parameters() if name.startswith(f"{player}.")}
        for name, gradient in first.items():
            later = second[name]
            assert gradient is not None, name
            assert later is not None, name
            assert gradient.isfinite().all(), name
            # a bias may have the gradient 0: the last one of a critic moves real and fake scores alike;
            # what is in front of a layer that starts at 0 learns from the second step on
            assert gradient.dim() < 2 or gradient.any() or later.any(), name


@every_case
def test_terms_are_finite_scalars(case: Case, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    model = case.make(discriminator_steps=1)
    phases = Phases(model, lambda: None, monkeypatch)
    fit(model, [case.batch(seed=seed) for seed in range(3)], max_steps=3)
    for terms in phases.terms.values():
        assert terms
        assert all(term.shape == () and term.isfinite() for term in terms.values())


@every_case
def test_only_the_player_that_plays_is_differentiated(case: Case, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    model = case.make(discriminator_steps=1, accumulate_grad_batches=1)

    def look() -> dict[str, Any]:
        critic = list(model.discriminator.parameters())
        return {
            "gradients": [None if parameter.grad is None else parameter.grad.clone() for parameter in critic],
            "trained": {
                name.partition(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad
            },
        }

    phases = Phases(model, look, monkeypatch)
    fit(model, [case.batch()], max_steps=1)
    assert not phases.fakes["discriminator"].requires_grad
    assert phases.fakes["generator"].requires_grad
    assert phases.looks["before discriminator"]["trained"] == {"discriminator"}
    assert phases.looks["before generator"]["trained"] == {"generator"}
    kept, left = phases.looks["after discriminator"]["gradients"], phases.looks["after generator"]["gradients"]
    assert all(torch.equal(a, b) for a, b in zip(kept, left, strict=True))
    assert {name.partition(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {
        "discriminator",
        "generator",
    }


@every_likelihood_case
def test_every_parameter_of_a_likelihood_gets_a_gradient_and_moves(case: Case, fit: Fit) -> None:
    model, gradients = case.make(), Gradients()
    before = weights(model)
    fit(model, [case.batch(), case.batch(seed=1)], max_steps=2, callbacks=[gradients])
    names = {name for name in before if name.startswith("network.")}
    for step in gradients.steps:
        assert set(step) == names
        assert all(gradient is not None and gradient.isfinite().all() for gradient in step.values())
    first, second = gradients.steps
    assert [name for name in names if not first[name].any() and not second[name].any()] == []  # type: ignore[union-attr]
    assert {name for name in moved(before, weights(model)) if name.startswith("network.")} == names


@pytest.mark.parametrize("case", cases(is_density))
def test_log_probabilities_are_of_each_example_by_the_average(case: Case, fit: Fit) -> None:
    model, batch = case.make(), case.batch(20)
    log_prob = model.log_prob(batch, seed=1)
    assert log_prob.shape == (20,)
    assert log_prob.dtype == torch.float64
    assert log_prob.isfinite().all()
    state, modes = torch.get_rng_state(), [module.training for module in model.modules()]
    assert torch.equal(log_prob, model.log_prob(batch, seed=1))
    assert torch.equal(state, torch.get_rng_state())
    assert [module.training for module in model.modules()] == modes
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("ema."):
                parameter.add_(1.0)
    assert torch.equal(log_prob, model.log_prob(batch, seed=1))
    one: Batch = {"image": batch["image"][:1], "label": batch["label"][:1]}
    torch.testing.assert_close(model.log_prob(one, seed=1), log_prob[:1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", cases(is_density))
def test_a_density_is_of_the_values_that_it_samples(case: Case) -> None:
    model = case.make()
    batch = model.sample(5, seed=0)
    model.validate_values(batch["image"])
    assert model.log_prob({"label": torch.zeros(5, dtype=torch.int64), **batch}).isfinite().all()


@every_generative_case
def test_samples_have_the_shape_and_range_of_the_data(case: Case) -> None:
    image = case.make().sample(5, seed=0)["image"]
    assert image.shape == (5, *case.image_shape)
    assert image.dtype == torch.float32
    assert not image.requires_grad
    assert image.isfinite().all()
    if len(case.image_shape) == 3:
        assert image.abs().max() <= 1


@every_generative_case
def test_sampling_leaves_random_streams_and_training_flags_alone(case: Case) -> None:
    model = case.make()
    model.train()
    next(model.children()).eval()
    modes = [module.training for module in model.modules()]
    state = model.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    streams = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]
    model.sample(70, seed=1)
    model.sample(3)
    if case.is_gan:
        model.interpolate(2, 3)
    assert torch.equal(streams[0], torch.get_rng_state())
    assert streams[1:] == (np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[index]
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@every_generative_case
def test_an_example_depends_on_seed_and_place_alone(case: Case) -> None:
    model = case.make()
    ten = model.sample(10, seed=3)["image"]
    assert torch.equal(ten, model.sample(1000, seed=3)["image"][:10])
    assert torch.equal(ten, model.sample(10, seed=3)["image"])
    assert not torch.equal(ten, model.sample(10, seed=4)["image"])
    assert not torch.equal(model.sample(10)["image"], model.sample(10)["image"])


@pytest.mark.parametrize("case", cases(is_any))
def test_watching_changes_no_bit_of_the_weights(case: Case, fit: Fit, record: Record, tmp_path: Path) -> None:
    alone, watched = case.make(), case.make()
    torch.manual_seed(1)
    fit(alone, case.data(), max_steps=7)
    torch.manual_seed(1)
    trainer = Trainer(
        accelerator="cpu",
        precision="32-true",
        callbacks=[
            Run(root=str(tmp_path / "runs")),
            Wandb(mode="disabled"),
            Samples(every=16, count=4),
            Evaluation(every=16, count=12, k=2),
            Doctor(every=16),
            Checkpointing(every=24),
        ],
        logger=record,
        log_every_n_steps=1,
        enable_progress_bar=False,
        max_steps=7,
    )
    trainer.fit(watched, datamodule=case.data())
    assert record.rows
    assert [path.name for path in tmp_path.glob("runs/*/checkpoints/last.ckpt")] == ["last.ckpt"]
    assert list(tmp_path.glob("runs/*/evaluation.json"))
    expected, state = alone.state_dict(), watched.state_dict()
    assert [name for name in expected if not torch.equal(expected[name], state[name])] == []


@every_likelihood_case
def test_every_likelihood_logs_the_basic_keys(case: Case, fit: Fit, record: Record) -> None:
    fit(case.make(), [case.batch()] * 2, max_steps=2, logger=record, log_every_n_steps=1)
    for _, row in record.rows:
        terms = {f"model/{key}" for key in ("loss", "negative_log_likelihood", "gradient_norm", "learning_rate")}
        assert terms | {"model/bits_per_dim", "images_per_second", "images_seen"} <= set(row)
        assert all(np.isfinite(value) for value in row.values())


@every_case
def test_every_game_logs_the_basic_keys(case: Case, fit: Fit, record: Record) -> None:
    fit(case.make(discriminator_steps=1), [case.batch()] * 2, max_steps=2, logger=record, log_every_n_steps=1)
    for _, row in record.rows:
        for player in ("discriminator", "generator"):
            assert {f"{player}/loss", f"{player}/gradient_norm", f"{player}/learning_rate"} <= set(row)
        assert {"discriminator/real", "discriminator/fake", "images_per_second", "images_seen"} <= set(row)
        assert all(np.isfinite(value) for value in row.values())


def assert_loads(path: Path, model: Model, **arguments: Any) -> None:
    torch.load(path, weights_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load(path, **arguments)
    assert type(loaded) is type(model)
    assert isinstance(loaded, GenerativeModel)
    assert isinstance(model, GenerativeModel)
    assert not loaded.training
    assert (loaded.images_seen, loaded.batches_seen) == (model.images_seen, model.batches_seen)
    assert torch.equal(loaded.sample(5, seed=2)["image"], model.sample(5, seed=2)["image"])
    state = model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())


@every_generative_case
def test_a_checkpoint_alone_gives_the_model_back(case: Case, fit: Fit, tmp_path: Path) -> None:
    model = case.make()
    trainer = fit(model, [case.batch()], max_steps=2)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    assert_loads(tmp_path / "model.ckpt", model)


@every_generative_case
def test_a_checkpoint_asks_for_a_network_that_is_a_lambda(case: Case, fit: Fit, tmp_path: Path) -> None:
    name, factory = case.network, case.arguments[case.network]

    def made(*sizes: Any, **options: Any) -> nn.Module:
        network: nn.Module = factory(*sizes, **options)
        return network

    model = case.make(**{name: made})
    with pytest.warns(UserWarning, match=rf"cannot record `{name}` of \w+ .*load\(path, {name}=\.\.\.\)") as seen:
        trainer = fit(model, [case.batch()], max_steps=1)
    assert len([warning for warning in seen if "cannot record" in str(warning.message)]) == 1
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    with pytest.raises(ValueError, match=rf"could not record `{name}` .* load\(path, {name}=\.\.\.\)"):
        load(path)
    assert_loads(path, model, **{name: factory})


def test_perceptrons_go_into_every_game() -> None:
    for model, shape in {(case.model, case.image_shape) for case in GANS if case.network == "generator"}:
        game = model(image_shape=shape, generator=MLPGenerator, discriminator=MLPDiscriminator)
        assert game.sample(2, seed=0)["image"].shape == (2, *shape)


@pytest.mark.parametrize("case", cases(lambda case: case.name.startswith("wgan_gp")))
@pytest.mark.parametrize("stop", [1, 3, 7])
def test_resuming_within_an_epoch_goes_on_where_it_stopped(
    case: Case, stop: int, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, averages, optimizers, schedules, clock and the data's order; noise is made a function of the clock."""

    def made() -> GAN:
        model = case.make(discriminator_steps=2)

        def noise(distribution: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
            return distribution(*shape, generator=torch.Generator().manual_seed(model.images_seen))

        monkeypatch.setattr(model, "_noise", noise)
        return model

    whole, part, rest = made(), made(), made()
    fit(whole, case.data(), max_steps=8)
    fit(part, case.data(), max_steps=stop).save_checkpoint(tmp_path / "part.ckpt")
    fit(rest, case.data(), max_steps=8, ckpt_path=tmp_path / "part.ckpt")
    expected, state = whole.state_dict(), rest.state_dict()
    assert [name for name in expected if not torch.equal(expected[name], state[name])] == []
    assert rest.images_seen == whole.images_seen == 64
