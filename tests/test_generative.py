"""Test the contract of `sample`: conditions, seeds, chunks, the EMA and interpolations."""

from typing import Any

import pytest
import torch
from cases import MLPS, Case
from torch import Tensor, nn

from lightning_gans.core.generative import SAMPLE_CHUNK, GenerativeModel
from lightning_gans.models import MADE, VanillaGAN
from lightning_gans.types import Batch

POINTS = Case("points", VanillaGAN, (2,), MLPS)


class Echo(GenerativeModel):
    """Generative model without training whose samples are noise and the label of the condition."""

    generates = ("image", "text")
    conditions = ("label",)
    requires = ("image", "label")

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.dropout = nn.Dropout(0.5)
        self.drawn: list[int] = []

    def draw(self, n: int, condition: Batch) -> Batch:
        self.drawn.append(n)
        assert not self.training
        assert not torch.is_grad_enabled()
        label = condition["label"]
        return {"image": self.dropout(torch.randn(n, 2)), "text": label[:, None], "label": label}


@pytest.mark.parametrize("n", [1, SAMPLE_CHUNK - 1, SAMPLE_CHUNK, SAMPLE_CHUNK + 1, 3 * SAMPLE_CHUNK])
def test_each_sample_gets_its_own_condition(n: int) -> None:
    model = Echo(image_shape=(2,))
    batch = model.sample(n, condition={"label": torch.arange(n)}, seed=0)
    assert set(batch) == {"image", "text"}
    assert batch["text"].flatten().tolist() == list(range(n))
    assert batch["image"].shape == (n, 2)


def test_a_condition_does_not_change_the_noise() -> None:
    model = Echo(image_shape=(2,))
    zeros, ones = (
        model.sample(70, condition={"label": label}, seed=5)
        for label in (torch.zeros(70).long(), torch.ones(70).long())
    )
    assert torch.equal(zeros["image"], ones["image"])


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"class": torch.zeros(2).long()}, r"`condition` may have \['label'\] for MADE, got \['class'\]"),
        ({"label": torch.tensor([7, 1])}, r"`label` must be from 0 to 2, or -1 where unknown, got \[7\]"),
        ({"label": torch.tensor([0.5, 1.0])}, r"`label` must be \(n,\) integers, got torch.float32"),
    ],
)
def test_an_unknown_or_invalid_condition_is_refused(condition: Any, message: str) -> None:
    model = MADE(image_shape=(1, 2, 2), levels=2, class_conditional=True, num_classes=3)
    with pytest.raises(ValueError, match=message):
        model.sample(2, condition=condition)
    with pytest.raises(ValueError, match=r"`condition` may have \[\] for MADE, got \['"):
        MADE(image_shape=(1, 2, 2), levels=2).sample(2, condition=condition)


def test_a_missing_condition_is_named() -> None:
    with pytest.raises(ValueError, match=r"^Echo is conditional: pass `condition` with \['label'\]$"):
        Echo(image_shape=(2,)).sample(3)


def test_labels_that_are_not_given_are_drawn_uniformly() -> None:
    """Drawn labels depend on the seed but not on the number of samples; given labels are used."""
    model = Echo(image_shape=(2,))
    model.num_classes = 3
    before = torch.get_rng_state()
    labels = model.sample(3000, seed=1)["text"].flatten()
    assert torch.equal(torch.get_rng_state(), before)
    assert (torch.bincount(labels, minlength=3) - 1000).abs().max() < 4 * (3000 * 2 / 9) ** 0.5
    assert torch.equal(model.sample(10, seed=1)["text"].flatten(), labels[:10])
    assert not torch.equal(model.sample(10, seed=2)["text"].flatten(), labels[:10])
    assert model.sample(4, condition={"label": torch.full((4,), 2)})["text"].flatten().tolist() == [2] * 4


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"n": 0}, "`n` must be at least 1, got 0"), ({"n": 1, "seed": -1}, "`seed` must be at least 0, got -1")],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        POINTS.make().sample(**arguments)


@pytest.mark.parametrize("n", [2, 5, 70])
def test_conditions_for_another_number_of_samples_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match="`condition`"):
        Echo(image_shape=(2,)).sample(n, condition={"label": torch.arange(3)}, seed=0)


def test_neighboring_seeds_and_chunks_have_independent_random_streams() -> None:
    model = POINTS.make(generator=lambda latent_dim, shape: nn.Identity(), latent_dim=2)
    seeds = [model.sample(2 * SAMPLE_CHUNK, seed=seed)["image"] for seed in range(20)]
    latents = torch.cat(seeds)
    assert len({tuple(latent) for latent in latents.tolist()}) == len(latents)
    assert latents.mean().abs() < 0.06  # four standard errors of 5,120 numbers
    assert (latents.std() - 1).abs() < 0.04


def test_training_modes_and_random_streams_are_restored_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = POINTS.make()
    model.discriminator.eval()
    modes = [module.training for module in model.modules()]

    def fail(*_: Any) -> Batch:
        torch.rand(3)
        raise RuntimeError("while drawing")

    monkeypatch.setattr(model, "draw", fail)
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="while drawing"):
        model.sample(3, seed=0)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(before, torch.get_rng_state())


class NoisyGenerator(nn.Module):
    """Generator of a user that adds its own noise."""

    def __init__(self, latent_dim: int, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.linear = nn.Linear(latent_dim, image_shape[0])

    def forward(self, z: Tensor) -> Tensor:
        mixed: Tensor = self.linear(z) + torch.randn(len(z), 1)
        return mixed


def test_a_generator_that_adds_noise_has_reproducible_samples() -> None:
    model = POINTS.make(generator=NoisyGenerator)
    before = torch.get_rng_state()
    ten = model.sample(10, seed=3)["image"]
    assert torch.equal(ten, model.sample(200, seed=3)["image"][:10])
    assert torch.equal(before, torch.get_rng_state())


def test_samples_come_from_the_ema() -> None:
    model = POINTS.make()
    before = model.sample(4, seed=0)["image"]
    with torch.no_grad():
        for parameter in model.generator.parameters():
            parameter.zero_()
    assert torch.equal(before, model.sample(4, seed=0)["image"])
    model.ema.copy(model.generator)
    assert not model.sample(4, seed=0)["image"].any()


# -- interpolations between latents --------------------------------------------------------------------------------


def test_an_interpolation_preserves_variance_and_includes_both_ends() -> None:
    model = POINTS.make(generator=lambda latent_dim, shape: nn.Identity(), latent_dim=2000)
    paths = model.interpolate(3, 5, seed=1)["image"].view(3, 5, -1)
    ends = model.interpolate(3, 2, seed=1)["image"].view(3, 2, -1)
    torch.testing.assert_close(paths[:, [0, -1]], ends)
    torch.testing.assert_close(paths[:, 2], (paths[:, 0] + paths[:, -1]) / 2**0.5)
    assert (paths.std(dim=-1) - 1).abs().max() < 0.08


def test_an_interpolation_leaves_the_global_random_stream_unchanged() -> None:
    model = POINTS.make()
    before = torch.get_rng_state()
    image = model.interpolate(2, 3)["image"]
    assert image.shape == (6, 2)
    assert not image.requires_grad
    assert torch.equal(before, torch.get_rng_state())
