"""Log-probabilities: levels, dequantization, bits per dimension, and training by maximum likelihood."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from cases import Noise
from conftest import Fit, Record
from torch import Tensor, nn

from lightning_gans.callbacks import Evaluation, Run
from lightning_gans.core import density
from lightning_gans.core.density import bits_per_dim
from lightning_gans.core.likelihood import LikelihoodModel
from lightning_gans.models import DCGAN, MADE
from lightning_gans.networks.levels import dequantize, from_index, quantize, round_to_levels, to_index
from lightning_gans.trainer import Trainer
from lightning_gans.types import Batch

SHAPE = (1, 2, 3)


class LogitTable(nn.Module):
    """Logits of each level, independently for each element."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(256, *SHAPE))


class Independent(LikelihoodModel):
    """Model the frequency of each level, independently for each element."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{"image_shape": SHAPE, "levels": 4, "network": LogitTable, **arguments})

    def log_density(self, network: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(network, LogitTable)
        log_probs = network.logits[: self.levels].log_softmax(0)
        return log_probs.gather(0, to_index(batch["image"], self.levels or 2)).flatten(1).sum(1)

    def draw(self, n: int, condition: Batch) -> Batch:
        index = (self.rand(n, *SHAPE) * (self.levels or 2)).long()
        return {"image": from_index(index, self.levels or 2, like=torch.zeros(()))}


def images(n: int, levels: int = 4, *, seed: int = 0) -> Tensor:
    index = torch.randint(levels, (n, *SHAPE), generator=torch.Generator().manual_seed(seed))
    return from_index(index, levels, like=torch.zeros(()))


# -- levels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
def test_levels_are_evenly_spaced_from_minus_one_to_one(levels: int) -> None:
    values = from_index(torch.arange(levels), levels, like=torch.zeros(()))
    torch.testing.assert_close(values, torch.linspace(-1, 1, levels))
    assert torch.equal(to_index(values, levels), torch.arange(levels))
    stored = (torch.arange(levels).float() * (2 / (levels - 1))) - 1  # as data modules convert what they store
    assert torch.equal(round_to_levels(stored, levels), values)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("noise", [1e-3, 0.5, 0.999])
def test_quantizing_inverts_dequantizing(levels: int, noise: float) -> None:
    values = from_index(torch.arange(levels), levels, like=torch.zeros(()))
    dequantized = dequantize(values, torch.full((levels,), noise), levels)
    assert (dequantized >= -1).all()
    assert (dequantized < 1).all()
    torch.testing.assert_close(quantize(dequantized, levels), values)


def test_dequantizing_keeps_values_that_are_not_finite() -> None:
    dequantized = dequantize(torch.tensor([torch.nan, torch.inf, -torch.inf]), torch.rand(3), 256)
    assert not dequantized.isfinite().any()


def test_dequantized_uniform_levels_are_uniform() -> None:
    """Compare the quantiles of 100,000 values with the uniform distribution on [-1, 1]."""
    stream = torch.Generator().manual_seed(0)
    index, noise = torch.randint(5, (100_000,), generator=stream), torch.rand(100_000, generator=stream)
    quantiles = dequantize(from_index(index, 5, like=noise), noise, 5).sort().values
    assert (quantiles - torch.linspace(-1, 1, 100_000)).abs().max() < 0.015


def test_the_bits_per_dimension_of_uniform_levels() -> None:
    for levels in (2, 17, 256):
        assert bits_per_dim(torch.tensor(-64 * math.log(levels)), 64).item() == pytest.approx(math.log2(levels))


# -- log-probabilities -----------------------------------------------------------------------------------------------


def test_an_untrained_model_needs_the_bits_of_its_levels() -> None:
    batch: Batch = {"image": images(5)}
    model = Independent()
    torch.testing.assert_close(model.log_prob(batch), torch.full((5,), -6 * math.log(4)).double())
    torch.testing.assert_close(model.bits_per_dim(batch), torch.full((5,), 2.0).double())
    assert model.scores(batch) == {"log_prob": pytest.approx(-6 * math.log(4)), "bits_per_dim": pytest.approx(2)}
    assert model.protocol() == {"levels": 4, "dequantization": "none", "given": None}


def test_the_ema_computes_log_probabilities_in_chunks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Independent()
    batch: Batch = {"image": images(11)}
    with torch.no_grad():
        next(model.ema.network.parameters()).normal_()
    whole = model.log_prob(batch)
    assert whole.std() > 0.1
    monkeypatch.setattr(density, "DENSITY_CHUNK", 3)
    assert torch.equal(model.log_prob(batch), whole)
    assert model.scores(batch)["log_prob"] == whole.mean().item()
    with torch.no_grad():
        next(model.network.parameters()).normal_()
    assert torch.equal(model.log_prob(batch), whole)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"image": torch.full((2, *SHAPE), 5.0)}, "was built for images of 4 `levels` from -1 to 1"),
        (
            {"image": torch.zeros(2, *SHAPE).byte()},
            r"`image` must be floating-point images .*, but .* torch.uint8",
        ),
        (
            {"image": torch.ones(2, 1, 9, 9)},
            r"was built for `image_shape` \(1, 2, 3\), but the data yields \(1, 9, 9\)",
        ),
        ({"label": torch.zeros(2)}, r"needs the batch keys \['image'\], but the data yields \['label'\]"),
        (torch.ones(2, *SHAPE), "needs batches that are dictionaries"),
    ],
)
def test_batches_that_do_not_fit_the_model_are_refused(batch: Any, message: str) -> None:
    for method in (Independent().log_prob, Independent().bits_per_dim, Independent().scores):
        with pytest.raises(ValueError, match=message):
            method(batch)


def test_an_empty_batch_has_no_log_probabilities() -> None:
    assert Independent().log_prob({"image": torch.empty(0, *SHAPE)}).shape == (0,)


def test_images_in_double_precision_are_accepted() -> None:
    batch: Batch = {"image": images(5)}
    model = MADE(image_shape=SHAPE, levels=4)
    torch.testing.assert_close(model.log_prob({"image": batch["image"].double()}), model.log_prob(batch))


def test_the_protocol_names_the_conditions() -> None:
    arguments: Any = {"image_shape": SHAPE, "levels": 4, "num_classes": 10}
    assert MADE(**arguments, class_conditional=True).protocol()["given"] == "label"
    assert MADE(**arguments).protocol()["given"] is None


class RandomDensity(Independent):
    """Model with a random log-density, as with dequantization."""

    def log_density(self, network: nn.Module, batch: Batch) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        return self.rand(len(batch["image"]))


def test_the_noise_depends_on_the_seed_only() -> None:
    model = RandomDensity()
    batch: Batch = {"image": images(4)}
    before = torch.get_rng_state()
    first = model.log_prob(batch, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(model.log_prob(batch, seed=1), first)
    assert not torch.equal(model.log_prob(batch, seed=2), first)
    assert model.training


@pytest.mark.parametrize("levels", [5, 256])
def test_images_with_other_levels_are_refused(levels: int, fit: Fit) -> None:
    message = "Independent was built for images of 4 `levels` from -1 to 1, but the data have other values"
    with pytest.raises(ValueError, match=message):
        fit(Independent(), [{"image": images(8, levels)}], max_steps=1)


def test_one_level_is_refused() -> None:
    with pytest.raises(ValueError, match="`levels` must be an integer of at least 2, got 1"):
        Independent(levels=1)


# -- training ------------------------------------------------------------------------------------------------------


def test_maximum_likelihood_finds_the_frequencies_of_the_levels(fit: Fit, record: Record) -> None:
    """The minimum of the loss is the entropy of the marginals; with half-life 0 the EMA has the live weights."""
    image = images(64).clamp(min=-0.5)  # merges two levels
    image = round_to_levels(image, 4)
    model = Independent(optimizer=partial(torch.optim.Adam, lr=0.2), ema_half_life=0)
    fit(model, [{"image": image}], max_steps=120, logger=record, log_every_n_steps=40)
    frequencies = torch.nn.functional.one_hot(to_index(image, 4), 4).double().mean(0)
    entropy = -torch.xlogy(frequencies, frequencies).sum().item()
    assert -model.log_prob({"image": image}).mean().item() == pytest.approx(entropy, abs=0.01)
    assert record.column("model/bits_per_dim")[-1] == pytest.approx(entropy / 6 / math.log(2), abs=0.01)
    assert record.column("model/negative_log_likelihood") == record.column("model/loss")


@pytest.mark.parametrize("half_life", [8.0, 24.0])
def test_the_half_life_of_the_ema_is_in_images(half_life: float, fit: Fit) -> None:
    """Compare with the closed form for weights that jump from 0 to 1 in the first step."""

    class Jump(Independent):
        def after_step(self) -> None:
            with torch.no_grad():
                next(self.network.parameters()).fill_(1.0)
            super().after_step()

    model = Jump(ema_half_life=half_life)
    fit(model, [{"image": images(8, seed=seed)} for seed in range(3)], max_steps=3)
    logits = next(model.ema.network.parameters())
    torch.testing.assert_close(logits, torch.full_like(logits, 1 - 0.5 ** (24 / half_life)))


def test_the_best_checkpoint_has_the_highest_log_probability(tmp_path: Path) -> None:
    model = Independent(levels=256, optimizer=partial(torch.optim.Adam, lr=0.05))
    data = Noise(image_shape=list(SHAPE), batch_size=8, validation_size=16)
    run = Run(root=str(tmp_path), name="run", max_images=160)
    evaluation = Evaluation(every=40, count=20)
    pl.seed_everything(0)
    Trainer(callbacks=[run, evaluation], enable_progress_bar=False, accelerator="cpu", logger=False).fit(model, data)
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert result["levels"] == 256
    assert result["dequantization"] == "none"
    assert result["log_prob"] == pytest.approx(model.log_prob(data.examples("test")).mean().item())
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").exists()
    assert "evaluation/validation/log_prob_best" in (tmp_path / "run" / "metrics.csv").read_text()


def test_a_model_without_probabilities_cannot_be_monitored_by_them(fit: Fit) -> None:
    with pytest.raises(ValueError, match="`monitor` is log_prob, but a DCGAN has no probabilities"):
        fit(DCGAN(image_shape=(1, 8, 8)), [], max_steps=1, callbacks=[Evaluation(monitor="log_prob")])
