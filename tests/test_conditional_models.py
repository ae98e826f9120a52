"""Test the losses of ACGAN, GANCLS and PairedGAN by independent formulas."""

from typing import Any

import pytest
import torch
from cases import MLPS, WORDS
from torch import Tensor
from torch.nn import functional as F

from lightning_gans.core.batches import mismatched_rows
from lightning_gans.models import ACGAN, GANCLS, PairedGAN
from lightning_gans.networks.mlp import MLPGenerator
from lightning_gans.types import Batch

IMAGE = torch.rand(4, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
FAKE = torch.rand(4, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
TEXT = torch.tensor([[2, 3], [2, 3], [4, 0], [5, 6]])


def bce(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


# Wrong captions


@pytest.mark.parametrize("seed", range(20))
def test_a_wrong_caption_differs_whenever_the_batch_has_two(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    text = torch.randint(2, (9, 2), generator=generator)
    label = torch.randint(2, (9,), generator=generator)
    for conditions in ([text], [label], [text, label]):
        rows, differs = mismatched_rows(conditions)
        changed = torch.stack([(each != each[rows]).view(9, -1).any(1) for each in conditions]).any(0)
        assert bool(differs)
        assert changed.all()


@pytest.mark.parametrize("size", [1, 3])
def test_equal_captions_have_no_wrong_one(size: int) -> None:
    rows, differs = mismatched_rows([torch.full((size, 2), 7)])
    assert rows.shape == (size,)
    assert not differs


# GANCLS


def gan_cls(monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> GANCLS:
    torch.manual_seed(0)
    gan = GANCLS(image_shape=(2,), latent_dim=3, vocabulary=WORDS, condition_dim=5, **{**MLPS, **arguments})
    monkeypatch.setattr(gan, "fake", lambda batch: {"image": FAKE})
    return gan


def logits(gan: GANCLS, image: Tensor, *batches: Batch) -> Tensor:
    with gan.condition_on(*batches):
        result: Tensor = gan.discriminator(image)
    return result


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.8])
def test_the_discriminator_of_gan_cls_rejects_samples_and_wrong_captions(
    weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    gan, batch = gan_cls(monkeypatch, mismatch_weight=weight), Batch(image=IMAGE, text=TEXT)
    with gan.condition_on(batch):
        terms = gan.discriminator_loss(batch)
    wrong = logits(gan, IMAGE, {"text": TEXT[[2, 2, 3, 0]]})
    expected = bce(logits(gan, IMAGE, batch), 1) + weight * bce(wrong, 0)
    expected += (1 - weight) * bce(logits(gan, FAKE, batch), 0)
    torch.testing.assert_close(terms["adversarial"] + terms["mismatch"], expected)


def test_a_batch_of_equal_captions_has_no_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    gan, batch = gan_cls(monkeypatch), Batch(image=IMAGE, text=TEXT[[0, 0, 0, 0]])
    with gan.condition_on(batch):
        terms = gan.discriminator_loss(batch)
    assert terms["mismatch"] == 0
    torch.testing.assert_close(
        terms["adversarial"], bce(logits(gan, IMAGE, batch), 1) + bce(logits(gan, FAKE, batch), 0)
    )


def test_the_generator_of_gan_cls_also_learns_from_the_mean_of_two_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    gan, batch = gan_cls(monkeypatch, interpolation_weight=0.7), Batch(image=IMAGE, text=TEXT)
    latents = torch.randn(4, 3)
    monkeypatch.setattr(gan, "sample_latents", lambda n: latents)
    with gan.condition_on(batch):
        terms = gan.generator_loss(batch)
    torch.testing.assert_close(terms["adversarial"], bce(logits(gan, FAKE, batch), 1))
    wrong: Batch = {"text": TEXT[[2, 2, 3, 0]]}
    with gan.condition_on(batch, wrong):
        image = gan.generator(latents)
    torch.testing.assert_close(terms["interpolation"], 0.7 * bce(logits(gan, image, batch, wrong), 1))
    plain = gan_cls(monkeypatch, interpolation_weight=0.0)
    with plain.condition_on(batch):
        assert list(plain.generator_loss(batch)) == ["adversarial"]


# ACGAN


def test_both_players_of_acgan_minimize_the_cross_entropy_of_known_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    gan = ACGAN(image_shape=(2,), num_classes=3, latent_dim=3, class_weight=0.6, **MLPS)
    monkeypatch.setattr(gan, "fake", lambda batch: {"image": FAKE})
    batch = Batch(image=IMAGE, label=torch.tensor([0, -1, 2, 1]))
    known = [0, 2, 3]
    (real, real_class), (fake, fake_class) = map(gan.discriminator.logits_and_codes, (IMAGE, FAKE))
    real_loss, fake_loss = (F.cross_entropy(part[known], batch["label"][known]) for part in (real_class, fake_class))
    terms = gan.discriminator_loss(batch)
    torch.testing.assert_close(terms["adversarial"], bce(real, 1) + bce(fake, 0))
    torch.testing.assert_close(terms["class"], 0.6 * (real_loss + fake_loss))
    terms = gan.generator_loss(batch)
    torch.testing.assert_close(terms["adversarial"], bce(fake, 1))
    torch.testing.assert_close(terms["class"], 0.6 * fake_loss)
    unlabeled = gan.discriminator_loss({**batch, "label": torch.full((4,), -1)})
    assert unlabeled["class"] == 0


# PairedGAN


def test_the_critic_of_pairs_is_penalized_for_both_parts() -> None:
    torch.manual_seed(0)
    gan = PairedGAN(
        image_shape=(1, 8, 8), audio_shape=(1, 8, 6), latent_dim=3, audio_generator=MLPGenerator, gamma=2.0, **MLPS
    ).double()
    batch = Batch(image=torch.rand(3, 1, 8, 8).double(), audio=torch.rand(3, 1, 8, 6).double())
    pair = gan.discriminator_input(batch).requires_grad_()
    assert pair.shape == (3, 64 + 48)
    (gradient,) = torch.autograd.grad(gan.discriminator(pair).sum(), pair)
    assert gradient[:, :64].any(1).all()
    assert gradient[:, 64:].any(1).all()
    torch.testing.assert_close(gan.discriminator_loss(batch)["r1"], gradient.square().sum(1).mean())
    samples = gan.sample(2, seed=0)
    assert (samples["image"].shape, samples["audio"].shape) == ((2, 1, 8, 8), (2, 1, 8, 6))
    assert gan.requires == ("image", "audio")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ACGAN(image_shape=(2,), num_classes=None), "`conditions` has label, but the data have no classes"),
        (lambda: ACGAN(image_shape=(2,), num_classes=3, conditions=[]), "`conditions` of ACGAN must have label"),
        (lambda: ACGAN(image_shape=(2,), num_classes=3, class_weight=-1), "`class_weight` must be at least 0, got -1"),
        (lambda: GANCLS(image_shape=(2,)), "`conditions` has text, but the data have no captions"),
        (lambda: GANCLS(image_shape=(2,), conditions=[]), "`conditions` of GANCLS must not be empty"),
        (lambda: GANCLS(image_shape=(2,), mismatch_weight=2), r"`mismatch_weight` must be a probability .* got 2"),
        (lambda: GANCLS(image_shape=(2,), interpolation_weight=-1), "`interpolation_weight` must be at least 0, got"),
        (lambda: PairedGAN(image_shape=(1, 8, 8), audio_shape=None), "PairedGAN needs data of images and sound"),
        (
            lambda: PairedGAN(image_shape=(1, 8, 8), audio_shape=(1, 8, 8), discriminator=torch.nn.Flatten),
            "has no linear layer `logit`",
        ),
    ],
)
def test_invalid_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
