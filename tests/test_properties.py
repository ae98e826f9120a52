"""Test the properties that every model has, with the cases of `cases.py`."""

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
from lightning_gans.core.ema import EMA
from lightning_gans.core.gan import GAN
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model, load
from lightning_gans.networks.mlp import MLPDiscriminator, MLPGenerator
from lightning_gans.trainer import Trainer
from lightning_gans.types import Batch, Losses

every_gan = pytest.mark.parametrize("case", cases())
every_generative_model = pytest.mark.parametrize("case", cases(is_generative))
every_likelihood_model = pytest.mark.parametrize("case", cases(lambda case: is_density(case) and not is_gan(case)))


def test_every_model_has_a_case() -> None:
    assert {case.model for case in CASES} == {getattr(models, name) for name in models.__all__}


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


class StepRecorder:
    """Record the state of a model before and after the update of each player, its losses and its samples.

    Attributes:
        states: The return value of `get_state`, by moment ("before generator", ...).
        terms: The terms of the loss, by player.
        samples: The output of the generator, by player.
    """

    def __init__(self, model: GAN, get_state: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.states: dict[str, Any] = {}
        self.terms: dict[str, Losses] = {}
        self.samples: dict[str, Tensor] = {}
        self._player = ""

        def record_samples(generator: nn.Module, latents: Any, output: Tensor | list[Tensor]) -> None:
            self.samples[self._player] = output if isinstance(output, Tensor) else output[-1]

        model.generator.register_forward_hook(record_samples)
        for player in ("discriminator", "generator"):
            self._spy(model, player, get_state, monkeypatch)

    def _spy(self, model: GAN, player: str, get_state: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
        loss, after = getattr(model, f"{player}_loss"), getattr(model, f"after_{player}_step")

        def spied_loss(batch: Batch) -> Losses:
            self._player = player
            self.states[f"before {player}"] = get_state()
            self.terms[player] = loss(batch)
            return self.terms[player]

        def spied_after() -> None:
            after()
            self.states[f"after {player}"] = get_state()

        monkeypatch.setattr(model, f"{player}_loss", spied_loss)
        monkeypatch.setattr(model, f"after_{player}_step", spied_after)


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Copy the weights of a model, by name."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """Return the names of the weights that differ."""
    return {name for name, weight in before.items() if not torch.equal(weight, after[name])}


@every_gan
def test_a_step_of_a_player_changes_only_its_own_weights(case: Case, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    model = case.make(discriminator_steps=1, accumulate_grad_batches=1)
    recorder = StepRecorder(model, lambda: weights(model), monkeypatch)
    fit(model, [case.batch()], max_steps=1)
    averages = {name for name, module in model.named_children() if isinstance(module, EMA)}
    seen: set[str] = set()
    for player in ("discriminator", "generator"):
        names = changed(recorder.states[f"before {player}"], recorder.states[f"after {player}"])
        parts = {name.partition(".")[0] for name in names}
        assert parts - averages == {player}
        seen |= parts
    last = {name.partition(".")[0] for name in changed(recorder.states["after generator"], weights(model))}
    assert last <= averages
    assert averages <= seen | last


class Gradients(pl.Callback):
    """Record the gradients of an optimizer's weights before each of its steps."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Tensor | None]] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        named = [(name, parameter) for name, parameter in pl_module.named_parameters() if id(parameter) in own]
        self.steps.append({name: None if p.grad is None else p.grad.detach().clone() for name, p in named})


@every_gan
def test_every_parameter_of_each_player_gets_a_gradient(case: Case, fit: Fit) -> None:
    model, gradients = case.make(discriminator_steps=1), Gradients()
    fit(model, [case.batch(), case.batch(seed=1)], max_steps=2, callbacks=[gradients])
    for player, first, second in zip(
        ("discriminator", "generator"), gradients.steps[:2], gradients.steps[2:], strict=True
    ):
        assert set(first) == {name for name, _ in model.named_parameters() if name.startswith(f"{player}.")}
        for name, gradient in first.items():
            next_gradient = second[name]
            assert gradient is not None, name
            assert next_gradient is not None, name
            assert gradient.isfinite().all(), name
            # A bias may have the gradient 0: the last bias of a critic shifts real and fake scores equally.
            # Layers before a weight that is initialized to 0 have the gradient 0 in the first step.
            assert gradient.dim() < 2 or gradient.any() or next_gradient.any(), name


@every_gan
def test_the_terms_of_a_loss_are_finite_scalars(case: Case, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    model = case.make(discriminator_steps=1)
    recorder = StepRecorder(model, lambda: None, monkeypatch)
    fit(model, [case.batch(seed=seed) for seed in range(3)], max_steps=3)
    for terms in recorder.terms.values():
        assert terms
        assert all(term.shape == () and term.isfinite() for term in terms.values())


@every_gan
def test_only_the_updated_player_is_differentiated(case: Case, fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    model = case.make(discriminator_steps=1, accumulate_grad_batches=1)

    def get_state() -> dict[str, Any]:
        critic = list(model.discriminator.parameters())
        return {
            "gradients": [None if parameter.grad is None else parameter.grad.clone() for parameter in critic],
            "requires_grad": {
                name.partition(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad
            },
        }

    recorder = StepRecorder(model, get_state, monkeypatch)
    fit(model, [case.batch()], max_steps=1)
    assert not recorder.samples["discriminator"].requires_grad
    assert recorder.samples["generator"].requires_grad
    assert recorder.states["before discriminator"]["requires_grad"] == {"discriminator"}
    assert recorder.states["before generator"]["requires_grad"] == {"generator"}
    before, after = recorder.states["after discriminator"]["gradients"], recorder.states["after generator"]["gradients"]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert {name.partition(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {
        "discriminator",
        "generator",
    }


@every_likelihood_model
def test_every_parameter_of_a_likelihood_model_gets_a_gradient_and_changes(case: Case, fit: Fit) -> None:
    model, gradients = case.make(), Gradients()
    before = weights(model)
    fit(model, [case.batch(), case.batch(seed=1)], max_steps=2, callbacks=[gradients])
    names = {name for name in before if name.startswith("network.")}
    for step in gradients.steps:
        assert set(step) == names
        assert all(gradient is not None and gradient.isfinite().all() for gradient in step.values())
    first, second = gradients.steps
    pairs = {name: (first[name], second[name]) for name in names}
    assert [name for name, pair in pairs.items() if not any(g is not None and g.any() for g in pair)] == []
    assert {name for name in changed(before, weights(model)) if name.startswith("network.")} == names


@pytest.mark.parametrize("case", cases(is_density))
def test_log_probabilities_are_reproducible_and_computed_by_the_ema(case: Case, fit: Fit) -> None:
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
def test_a_density_model_has_log_probabilities_of_its_samples(case: Case) -> None:
    model = case.make()
    batch = model.sample(5, seed=0)
    model.validate_values(batch["image"])
    assert model.log_prob({"label": torch.zeros(5, dtype=torch.int64), **batch}).isfinite().all()


@every_generative_model
def test_samples_have_the_shape_and_range_of_the_data(case: Case) -> None:
    image = case.sample(case.make(), 5, seed=0)["image"]
    assert image.shape == (5, *case.image_shape)
    assert image.dtype == torch.float32
    assert not image.requires_grad
    assert image.isfinite().all()
    if len(case.image_shape) == 3:
        assert image.abs().max() <= 1


@every_generative_model
def test_sampling_leaves_random_streams_and_training_modes_unchanged(case: Case) -> None:
    model = case.make()
    model.train()
    next(model.children()).eval()
    modes = [module.training for module in model.modules()]
    state = model.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    streams = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]
    case.sample(model, 70, seed=1)
    case.sample(model, 3)
    if case.is_gan and not model.conditions:
        model.interpolate(2, 3)
    assert torch.equal(streams[0], torch.get_rng_state())
    assert streams[1:] == (np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[index]
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@every_generative_model
def test_a_sample_depends_on_the_seed_and_its_index_only(case: Case) -> None:
    model = case.make()
    ten = case.sample(model, 10, seed=3)["image"]
    assert torch.equal(ten, case.sample(model, 1000, seed=3)["image"][:10])
    assert torch.equal(ten, case.sample(model, 10, seed=3)["image"])
    assert not torch.equal(ten, case.sample(model, 10, seed=4)["image"])
    assert not torch.equal(case.sample(model, 10)["image"], case.sample(model, 10)["image"])


@pytest.mark.parametrize("case", cases(is_any))
def test_callbacks_and_loggers_change_no_bit_of_the_weights(
    case: Case, fit: Fit, record: Record, tmp_path: Path
) -> None:
    plain, monitored = case.make(), case.make()
    torch.manual_seed(1)
    fit(plain, case.data(), max_steps=7)
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
    trainer.fit(monitored, datamodule=case.data())
    assert record.rows
    assert [path.name for path in tmp_path.glob("runs/*/checkpoints/last.ckpt")] == ["last.ckpt"]
    assert list(tmp_path.glob("runs/*/evaluation.json"))
    expected, state = plain.state_dict(), monitored.state_dict()
    assert [name for name in expected if not torch.equal(expected[name], state[name])] == []


@every_likelihood_model
def test_every_likelihood_model_logs_the_basic_metrics(case: Case, fit: Fit, record: Record) -> None:
    fit(case.make(), [case.batch()] * 2, max_steps=2, logger=record, log_every_n_steps=1)
    for _, row in record.rows:
        terms = {f"model/{key}" for key in ("loss", "negative_log_likelihood", "gradient_norm", "learning_rate")}
        assert terms | {"model/bits_per_dim", "images_per_second", "images_seen"} <= set(row)
        assert all(np.isfinite(value) for value in row.values())


@every_gan
def test_every_gan_logs_the_basic_metrics(case: Case, fit: Fit, record: Record) -> None:
    fit(case.make(discriminator_steps=1), [case.batch()] * 2, max_steps=2, logger=record, log_every_n_steps=1)
    for _, row in record.rows:
        for player in ("discriminator", "generator"):
            assert {f"{player}/loss", f"{player}/gradient_norm", f"{player}/learning_rate"} <= set(row)
        assert {"discriminator/real", "discriminator/fake", "images_per_second", "images_seen"} <= set(row)
        assert all(np.isfinite(value) for value in row.values())


def assert_loads(path: Path, case: Case, model: Model, **arguments: Any) -> None:
    """Check that `load` returns an equal model without a warning."""
    torch.load(path, weights_only=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load(path, **arguments)
    assert type(loaded) is type(model)
    assert isinstance(loaded, GenerativeModel)
    assert isinstance(model, GenerativeModel)
    assert not loaded.training
    assert (loaded.images_seen, loaded.batches_seen) == (model.images_seen, model.batches_seen)
    assert torch.equal(case.sample(loaded, 5, seed=2)["image"], case.sample(model, 5, seed=2)["image"])
    state = model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())


@every_generative_model
def test_a_model_is_loaded_from_a_checkpoint_alone(case: Case, fit: Fit, tmp_path: Path) -> None:
    model = case.make()
    trainer = fit(model, [case.batch()], max_steps=2)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    assert_loads(tmp_path / "model.ckpt", case, model)


@every_generative_model
def test_loading_a_checkpoint_requires_a_network_that_cannot_be_recorded(case: Case, fit: Fit, tmp_path: Path) -> None:
    name, factory = case.network, case.arguments[case.network]

    def build(*sizes: Any, **options: Any) -> nn.Module:
        network: nn.Module = factory(*sizes, **options)
        return network

    model = case.make(**{name: build})
    with pytest.warns(UserWarning, match=rf"cannot record `{name}` of \w+ .*load\(path, {name}=\.\.\.\)") as seen:
        trainer = fit(model, [case.batch()], max_steps=1)
    assert len([warning for warning in seen if "cannot record" in str(warning.message)]) == 1
    path = tmp_path / "model.ckpt"
    trainer.save_checkpoint(path)
    with pytest.raises(ValueError, match=rf"could not record `{name}` .* load\(path, {name}=\.\.\.\)"):
        load(path)
    assert_loads(path, case, model, **{name: factory})


def test_every_gan_with_a_generator_accepts_mlps() -> None:
    needs_more = {"classifier", "num_classes", "vocabulary", "audio_shape"}
    plain = [case for case in GANS if case.network == "generator" and not needs_more & case.arguments.keys()]
    for model, shape in {(case.model, case.image_shape) for case in plain}:
        gan = model(image_shape=shape, generator=MLPGenerator, discriminator=MLPDiscriminator)
        assert gan.sample(2, seed=0)["image"].shape == (2, *shape)


@pytest.mark.parametrize("case", cases(lambda case: case.name.startswith("wgan_gp")))
@pytest.mark.parametrize("stop", [1, 3, 7])
def test_a_run_resumed_within_an_epoch_equals_an_uninterrupted_run(
    case: Case, stop: int, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, EMA, optimizers, counters and the order of the data are restored; noise depends on the images seen."""

    def make_model() -> GAN:
        model = case.make(discriminator_steps=2)

        def noise(distribution: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
            return distribution(*shape, generator=torch.Generator().manual_seed(model.images_seen))

        monkeypatch.setattr(model, "_noise", noise)
        return model

    uninterrupted, stopped, resumed = make_model(), make_model(), make_model()
    fit(uninterrupted, case.data(), max_steps=8)
    fit(stopped, case.data(), max_steps=stop).save_checkpoint(tmp_path / "stopped.ckpt")
    fit(resumed, case.data(), max_steps=8, ckpt_path=tmp_path / "stopped.ckpt")
    expected, state = uninterrupted.state_dict(), resumed.state_dict()
    assert [name for name in expected if not torch.equal(expected[name], state[name])] == []
    assert resumed.images_seen == uninterrupted.images_seen == 64
