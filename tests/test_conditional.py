"""Test conditional GANs: binding, the layers that read the condition, every variant, and invalid conditions."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import GANS, MLPS, WORDS, Case, Noise
from conftest import Fit
from torch import Tensor, nn

from lightning_gans.core.gan import GAN
from lightning_gans.core.model import load
from lightning_gans.models import DCGAN, R3GAN, WGANGP, FlowGAN, PairedGAN, SemiSupervisedGAN
from lightning_gans.networks.conditional import (
    ConditionalBatchNorm2d,
    ConditionEncoder,
    ProjectionHead,
    apply_conditional_batch_norm,
    bound,
)
from lightning_gans.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from lightning_gans.networks.encoders import BagOfWords, LabelEncoder
from lightning_gans.networks.mlp import MLPDiscriminator
from lightning_gans.networks.spectral_norm import apply_spectral_norm
from lightning_gans.objectives.penalties import gradient_penalty
from lightning_gans.types import Batch

UNCONDITIONAL = [
    case for case in GANS if case.model not in (FlowGAN, SemiSupervisedGAN) and not case.arguments.get("conditions")
]
LABELED: dict[str, Any] = {"conditions": ["label"], "condition_dim": 5, "num_classes": 3}
LABEL = torch.tensor([0, 1, 2, 1])


def first_of_each_model() -> list[Any]:
    """List one case of each GAN that is not conditional already."""
    cases = {case.model: case for case in reversed(UNCONDITIONAL)}
    others = [case for case in UNCONDITIONAL if case is not cases[case.model]]
    return [
        *(pytest.param(case, id=case.name) for case in cases.values()),
        *(pytest.param(case, id=case.name, marks=pytest.mark.full) for case in others),
    ]


every_gan = pytest.mark.parametrize("case", first_of_each_model())


def labeled_gan(**arguments: Any) -> R3GAN:
    torch.manual_seed(0)
    return R3GAN(image_shape=(2,), latent_dim=3, **{**MLPS, **LABELED, **arguments})


def label_encoder(size: int = 4) -> ConditionEncoder:
    torch.manual_seed(0)
    return ConditionEncoder({"label": LabelEncoder(3, size)}, size)


# Every GAN


@every_gan
def test_every_gan_is_conditional_by_an_option(case: Case, fit: Fit, tmp_path: Path) -> None:
    arguments = {**LABELED, "discriminator_steps": 1}
    data = {**case.sizes(), "classes": 3, "batch_size": 8, "validation_size": 16}
    whole, stopped, resumed = (case.make(**arguments) for _ in range(3))
    torch.manual_seed(1)
    trainer = fit(whole, Noise(**data), max_steps=4)
    torch.manual_seed(1)
    fit(stopped, Noise(**data), max_steps=2).save_checkpoint(tmp_path / "two.ckpt")
    fit(resumed, Noise(**data), max_steps=4, ckpt_path=tmp_path / "two.ckpt")
    state = resumed.state_dict()
    assert [name for name, weight in whole.state_dict().items() if not torch.equal(weight, state[name])] == []
    trainer.save_checkpoint(tmp_path / "four.ckpt")
    torch.load(tmp_path / "four.ckpt", weights_only=True)
    loaded = load(tmp_path / "four.ckpt")
    assert isinstance(loaded, GAN)
    condition: Batch = {"label": LABEL}
    samples = loaded.sample(4, condition=condition, seed=0)
    assert samples["image"].shape == (4, *case.image_shape)
    assert torch.equal(samples["label"], LABEL)
    assert torch.equal(samples["image"], whole.sample(4, condition=condition, seed=0)["image"])
    other = loaded.sample(4, condition={"label": torch.tensor([1, 1, 2, 1])}, seed=0)["image"]
    assert not torch.equal(samples["image"][0], other[0])
    torch.testing.assert_close(samples["image"][1:], other[1:])


@every_gan
def test_each_player_owns_its_encoder(case: Case) -> None:
    model = case.make(**LABELED)
    owned = {
        player: {id(weight) for name, weight in network.named_parameters() if "encoder." in name}
        for player, network in {"G": model.generator, "D": model.discriminator, "EMA": model.ema}.items()
    }
    assert owned["G"]
    assert owned["EMA"]
    assert bool(owned["D"]) == model.projects_condition
    assert not owned["G"] & owned["D"]
    assert not owned["G"] & owned["EMA"]


# Binding


def test_a_condition_is_bound_in_a_block_only_and_is_not_a_part_of_the_state() -> None:
    model, image = labeled_gan(), torch.zeros(4, 2)
    before = set(model.state_dict())
    with pytest.raises(ValueError, match=r"its condition \['label'\] is not bound: call it in a loss, or in `with"):
        model.discriminator(image)
    with model.condition_on({"image": image, "label": LABEL}):
        logits = model.discriminator(image)
        assert set(model.state_dict()) == before
        with model.condition_on({"label": LABEL.flip(0)}):
            assert not torch.equal(model.discriminator(image), logits)
        assert torch.equal(model.discriminator(image), logits)
    with pytest.raises(ValueError, match="is not bound"):
        model.discriminator(image)
    with pytest.raises(ValueError, match=r"the batch lacks \['label'\]"), model.condition_on({"image": image}):
        pass
    encoders = [module for module in model.modules() if isinstance(module, ConditionEncoder)]
    assert [encoder.bound for encoder in encoders] == [None] * 3


def test_a_failing_loss_leaves_no_condition_bound() -> None:
    model = labeled_gan()
    with pytest.raises(ZeroDivisionError), model.condition_on({"label": LABEL}):
        raise ZeroDivisionError
    assert all(m.bound is None for m in model.modules() if isinstance(m, ConditionEncoder))


def test_equal_conditions_are_encoded_once_and_several_batches_are_averaged() -> None:
    encoder = label_encoder()
    calls: list[Any] = []
    encoder.register_forward_hook(lambda *_: calls.append(None))
    first: Batch = {"label": LABEL}
    with bound([encoder], first):
        one = encoder.vector
        with bound([encoder], {**first, "image": torch.zeros(4)}):
            assert encoder.vector is one
        assert len(calls) == 1
        with bound([encoder], {"label": LABEL.flip(0)}):
            other = encoder.vector
        with bound([encoder], first, {"label": LABEL.flip(0)}):
            torch.testing.assert_close(encoder.vector, (one + other) / 2)


def test_samples_use_the_encoder_of_the_ema() -> None:
    model = labeled_gan()
    before = model.sample(4, condition={"label": LABEL}, seed=0)["image"]
    with torch.no_grad():
        for weight in model.generator.parameters():
            weight.add_(1)
    assert torch.equal(model.sample(4, condition={"label": LABEL}, seed=0)["image"], before)
    with torch.no_grad():
        for name, weight in model.ema.named_parameters():
            weight.add_("encoder." in name)
    assert not torch.equal(model.sample(4, condition={"label": LABEL}, seed=0)["image"], before)


def test_fakes_have_the_condition_of_their_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, latents = labeled_gan(), torch.randn(4, 3)
    monkeypatch.setattr(model, "sample_latents", lambda n: latents)
    batch, other = (Batch(image=torch.zeros(4, 2), label=label) for label in (LABEL, LABEL.flip(0)))
    with model.condition_on(batch):
        expected = model.generator(latents)
        assert torch.equal(model.fake(batch)["image"], expected)
        assert not torch.equal(model.fake(other)["image"], expected)
    assert torch.equal(model.fake(batch)["image"], expected)


def test_the_score_of_the_discriminator_needs_the_condition() -> None:
    model, image = labeled_gan(), torch.rand(4, 2)
    assert model.discriminator_score({"image": image}) is None
    score = model.discriminator_score({"image": image, "label": LABEL})
    with model.condition_on({"label": LABEL}):
        assert score is not None
        torch.testing.assert_close(score, model.discriminator(image))


@pytest.mark.parametrize("condition", ["label", "text"])
def test_the_gradient_of_a_batch_is_the_mean_over_its_parts(condition: str, fit: Fit) -> None:
    batch: Batch = {"image": torch.rand(4, 2).double(), "label": LABEL, "text": torch.tensor([[2], [3], [0], [5]])}

    def weights(parts: int) -> dict[str, Tensor]:
        options = {"conditions": [condition], "vocabulary": WORDS, "text_encoder": BagOfWords}
        model = labeled_gan(**options, accumulate_grad_batches=parts).double()
        noise = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).double()
        rows = iter(range(99))
        vars(model)["_noise"] = lambda _, shape: noise if parts == 1 else noise[2 * (next(rows) % 2) :][:2]
        fit(model, [batch], max_steps=1, precision="64-true")
        return model.state_dict()

    whole, halves = weights(1), weights(2)
    for name, weight in whole.items():
        torch.testing.assert_close(weight, halves[name], rtol=0, atol=1e-9)


# Layers


def test_the_projection_adds_the_inner_product_of_features_and_condition() -> None:
    torch.manual_seed(0)
    linear, encoder, features = nn.Linear(6, 1), label_encoder(), torch.randn(4, 6)
    head = ProjectionHead(linear, encoder)
    with bound([head], {"label": LABEL}):
        logits, vector = head(features), encoder.vector
    expected = linear(features) + torch.einsum("bf,fe,be->b", features, head.projection.weight, vector)[:, None]
    torch.testing.assert_close(logits, expected)
    with bound([head], {"label": torch.full((4,), -1)}):  # unknown
        torch.testing.assert_close(head(features), linear(features))


def test_the_projection_of_a_spectrally_normalized_network_is_1_lipschitz() -> None:
    linear = nn.Linear(6, 1)
    apply_spectral_norm(linear)
    head = ProjectionHead(linear, label_encoder()).eval()
    one, other = 9 * torch.randn(2, 64, 6)
    with bound([head], {"label": torch.arange(64) % 3}):
        added = (head(one) - linear(one)) - (head(other) - linear(other))
    assert (added.abs().squeeze(1) <= (one - other).norm(dim=1) * (1 + 1e-5)).all()


def test_the_gradient_penalty_is_that_of_the_condition_of_each_example() -> None:
    head = ProjectionHead(nn.Linear(6, 1), label_encoder())
    with bound([head], {"label": LABEL}):
        penalty = gradient_penalty(head, torch.randn(4, 6), torch.randn(4, 6))
        slopes = head.linear.weight + head.encoder.vector @ head.projection.weight.T
    torch.testing.assert_close(penalty, (slopes.norm(dim=1) - 1).square().mean())


def test_conditional_batch_normalization_begins_as_the_unconditional_one() -> None:
    torch.manual_seed(0)
    generator, latents = DCGANGenerator(5, (1, 8, 8), width=4), torch.randn(4, 5)
    encoder, expected = label_encoder(), generator(latents)
    assert apply_conditional_batch_norm(generator, encoder) == 2
    with bound([encoder], {"label": LABEL}):
        torch.testing.assert_close(generator(latents), expected)
        layers = [module for module in generator.modules() if isinstance(module, ConditionalBatchNorm2d)]
        nn.init.ones_(layers[-1].shift.weight)
        assert not torch.allclose(generator(latents), expected)
    assert not [name for name in generator.state_dict() if "encoder" in name]


# Invalid conditions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": None}, r"`conditions` has label, but the data have no classes \(`num_classes` is None\): use"),
        ({"conditions": ["text"]}, r"`conditions` has text, but the data have no captions .* such as Sprites"),
        ({"conditions": ["audio"]}, r"`conditions` has audio, but the data have no sound .* such as ImageAndSound"),
        ({"conditions": ["image"]}, r"`conditions` may have label, text and audio, got 'image'"),
        ({"conditions": ["label", "label"]}, r"`conditions` must be different, got \['label', 'label'\]"),
        ({"condition_dim": 0}, "`condition_dim` must be at least 1, got 0"),
        ({"generator_conditioning": "x"}, "`generator_conditioning` must be concatenation or batch_norm, got 'x'"),
        ({"generator_conditioning": "batch_norm"}, "`generator` MLPGenerator has no `BatchNorm2d`: use concatenation"),
        ({"discriminator": lambda _: nn.Linear(2, 1)}, "`discriminator` Linear cannot be conditional: name its last"),
    ],
)
def test_an_invalid_condition_is_refused_in_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        labeled_gan(**arguments)
    assert "\n" not in str(error.value)


def test_models_refuse_conditions_that_they_cannot_have() -> None:
    with pytest.raises(ValueError, match=r"`conditions` must be empty, got \['label'\]: the flow of FlowGAN is an"):
        FlowGAN(image_shape=(2,), levels=None, **LABELED)
    with pytest.raises(ValueError, match="`conditions` has audio, which PairedGAN generates"):
        PairedGAN(image_shape=(1, 8, 8), audio_shape=(1, 8, 8), conditions=["audio"])


def test_a_batch_without_the_condition_is_refused(fit: Fit) -> None:
    with pytest.raises(ValueError, match=r"needs the batch keys \['image', 'label'\].*\['label'\] missing"):
        fit(labeled_gan(), [{"image": torch.rand(4, 2) * 2 - 1}], max_steps=1)


def test_any_encoder_and_several_conditions_are_accepted() -> None:
    class Halves(nn.Module):
        def __init__(self, num_classes: int, size: int) -> None:
            super().__init__()
            self.linear = nn.Linear(num_classes, size)

        def forward(self, label: Tensor) -> Tensor:
            vectors: Tensor = self.linear(nn.functional.one_hot(label, 3).to(self.linear.weight))
            return vectors

    model = WGANGP(
        image_shape=(1, 8, 8),
        generator=partial(DCGANGenerator, width=2),
        discriminator=MLPDiscriminator,
        label_encoder=Halves,
        vocabulary=WORDS,
        **{**LABELED, "conditions": ["label", "text"]},
    )
    batch: Batch = {"image": torch.rand(2, 1, 8, 8), "label": LABEL[:2], "text": torch.tensor([[2, 3], [4, 0]])}
    with model.condition_on(batch):
        terms = model.discriminator_loss(batch)
    assert all(term.isfinite() for term in terms.values())
    assert model.required_conditions == ("text",)
    with pytest.raises(ValueError, match=r"WGANGP is conditional: pass `condition` with \['text'\]"):
        model.sample(2)
    assert model.sample(2, condition={"text": batch["text"]}, seed=0)["label"].shape == (2,)


def test_an_unconditional_gan_is_unchanged_by_the_properties_of_the_data() -> None:
    torch.manual_seed(0)
    plain = DCGAN(image_shape=(1, 8, 8), discriminator=partial(DCGANDiscriminator, width=2))
    torch.manual_seed(0)
    linked = DCGAN(
        image_shape=(1, 8, 8), discriminator=partial(DCGANDiscriminator, width=2), num_classes=10, vocabulary=WORDS
    )
    assert plain.conditions == linked.conditions == ()
    assert all(torch.equal(weight, linked.state_dict()[name]) for name, weight in plain.state_dict().items())
