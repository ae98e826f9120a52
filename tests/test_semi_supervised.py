"""Test the semi-supervised GAN: its losses, few, no and all labels, its networks, and its use of unlabeled digits."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from cases import CASES, images
from conftest import Fit, Record
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.datamodules import Digits
from lightning_gans.models import SemiSupervisedGAN
from lightning_gans.networks.classifier import ConvClassifier
from lightning_gans.networks.semi_supervised import (
    BatchNormMLPGenerator,
    GaussianNoise,
    NoisyConvClassifier,
    NoisyMLPClassifier,
    apply_weight_norm,
    initialize_weight_norm,
)
from lightning_gans.types import Batch

CASE = next(case for case in CASES if case.model is SemiSupervisedGAN)


class Logits(nn.Module):
    """Return the coordinates of points as features and as the logits of their classes."""

    def __init__(self, image_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def features(self, points: Tensor) -> Tensor:
        return self.scale * points

    def forward(self, points: Tensor) -> Tensor:
        return self.features(points)


class Constant(nn.Module):
    """Generate the same point for each latent."""

    def __init__(self, latent_dim: int, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.tensor([0.5, -0.25, 0.0]))

    def forward(self, latents: Tensor) -> Tensor:
        return self.point.expand(len(latents), 3)


def make_points(**changes: Any) -> SemiSupervisedGAN:
    networks: dict[str, Any] = {"classifier": Logits, "generator": Constant}
    return SemiSupervisedGAN(image_shape=(3,), num_classes=3, **networks, **changes)


def batch_of(label: list[int]) -> Batch:
    return {"image": images((3,), len(label)), "label": torch.tensor(label)}


# The losses


def test_the_terms_equal_those_of_a_classifier_with_one_more_class_for_samples() -> None:
    batch = batch_of([2, -1, 0, -1, -1])
    terms = make_points().discriminator_loss(batch)
    image, label = batch["image"], batch["label"]
    expected = F.cross_entropy(image[[0, 2]], label[[0, 2]])
    torch.testing.assert_close(terms["cross_entropy"], expected)

    def log_probabilities(points: Tensor) -> Tensor:  # of K classes and, with the logit 0, of samples
        return torch.cat([points, torch.zeros(len(points), 1)], 1).log_softmax(1)

    real, fake = log_probabilities(image[[1, 3, 4]]), log_probabilities(torch.tensor([[0.5, -0.25, 0.0]]))
    unsupervised = -real[:, :3].logsumexp(1).mean() - fake[:, 3].mean()
    torch.testing.assert_close(terms["adversarial"], 0.5 * unsupervised)


def test_feature_matching_compares_the_means_of_unlabeled_examples_and_samples() -> None:
    batch = batch_of([2, -1, 0, -1, -1])
    (term,) = make_points().generator_loss(batch).values()
    difference = batch["image"][[1, 3, 4]].mean(0) - torch.tensor([0.5, -0.25, 0.0])
    torch.testing.assert_close(term, difference.square().mean())


def test_without_labels_the_cross_entropy_is_zero_and_with_all_labels_all_examples_are_real() -> None:
    model = make_points()
    none, every = batch_of([-1] * 4), batch_of([0, 1, 2, 0])
    without, complete = model.discriminator_loss(none), model.discriminator_loss(every)
    assert without["cross_entropy"] == 0
    assert complete["cross_entropy"] > 0
    torch.testing.assert_close(without["adversarial"], complete["adversarial"])


def test_the_supervised_twin_learns_from_labeled_examples_only(fit: Fit, record: Record) -> None:
    model = CASE.make(adversarial_weight=0.0)
    generator = {name: weight.clone() for name, weight in model.generator.state_dict().items()}
    labeled = CASE.batch()
    batch: Batch = {**labeled, "label": torch.where(torch.arange(8) < 4, labeled["label"], -1)}
    assert list(model.discriminator_loss(batch)) == ["cross_entropy"]
    assert model.generator_loss(batch) == {}
    fit(model, [batch], max_steps=3, logger=record, log_every_n_steps=1)
    assert all(torch.equal(generator[name], weight) for name, weight in model.generator.state_dict().items())
    assert "discriminator/adversarial" not in record.rows[-1][1]


@pytest.mark.parametrize("labels", [{"labels_per_class": 0}, {"labels_per_class": 1, "labeled_per_batch": 4}, {}])
def test_no_few_and_all_labels_train(labels: dict[str, int], fit: Fit, record: Record) -> None:
    model = SemiSupervisedGAN(image_shape=(1, 8, 8), num_classes=10, classifier=ConvClassifier)
    fit(model, Digits(batch_size=16, **labels), max_steps=4, logger=record, log_every_n_steps=1)
    for _, row in record.rows:
        assert all(math.isfinite(value) for value in row.values())
        assert (row["discriminator/cross_entropy"] == 0) == (labels.get("labels_per_class") == 0)


def test_a_label_beyond_the_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="`num_classes` is 3, but the data have the label 3"):
        make_points().discriminator_loss(batch_of([3, 0]))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"num_classes": None}, "`num_classes` is None: the data have no classes"),
        ({"num_classes": 0}, "`num_classes` must be at least 1, got 0"),
        ({"adversarial_weight": -1.0}, "`adversarial_weight` must be at least 0, got -1.0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SemiSupervisedGAN(**{"image_shape": (1, 8, 8), "num_classes": 10, **arguments})


# Predictions


def test_predictions_are_those_of_the_averaged_discriminator(fit: Fit) -> None:
    model = CASE.make(ema_half_life=1000.0)
    fit(model, [CASE.batch()], max_steps=3)
    image = images((1, 8, 8), 5)
    model.train()
    logits = model.logits(image)
    assert torch.equal(logits, model.logits(image))  # without noise
    torch.testing.assert_close(logits, model.discriminator_ema(image))
    assert not torch.allclose(logits, model.discriminator.eval()(image))
    torch.testing.assert_close(model.probabilities(image), logits.softmax(1))
    assert torch.equal(model.predict(image), logits.argmax(1))


def test_the_first_average_is_the_initialized_discriminator(fit: Fit) -> None:
    model = CASE.make(ema_half_life=1e12, discriminator_optimizer=partial(torch.optim.SGD, lr=0.0))
    fit(model, [CASE.batch()], max_steps=1)
    for expected, weight in zip(model.discriminator.parameters(), model.discriminator_ema.parameters(), strict=True):
        assert torch.equal(expected, weight)


# The networks


def test_noise_has_its_standard_deviation_in_training_and_is_absent_in_evaluation() -> None:
    noise = GaussianNoise(0.5)
    added = noise(torch.ones(100_000)) - 1
    torch.testing.assert_close(added.std(), torch.tensor(0.5), atol=0.01, rtol=0)
    assert torch.equal(noise.eval()(torch.ones(3)), torch.ones(3))


def test_weight_normalization_removes_the_scale_of_a_weight() -> None:
    layer = apply_weight_norm(nn.Conv2d(2, 3, 3))
    weight = layer.weight.clone()
    torch.testing.assert_close(weight.flatten(1).norm(dim=1), torch.ones(3))
    with torch.no_grad():
        layer.parametrizations.weight.original.mul_(7.0)
    torch.testing.assert_close(layer.weight, weight)


@pytest.mark.parametrize("network", [NoisyMLPClassifier, NoisyConvClassifier])
def test_initialized_layers_have_outputs_of_mean_0_and_variance_1(network: Any) -> None:
    classifier, image = network((1, 8, 8), 10, input_noise=0.0, noise=0.0), images((1, 8, 8), 64)
    initialize_weight_norm(classifier, image)
    logits = classifier(image)
    torch.testing.assert_close(logits.mean(0), torch.zeros(10), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits.std(0, correction=0), torch.ones(10), atol=1e-4, rtol=0)


def test_the_networks_have_the_published_sizes() -> None:
    """Reference: `train_mnist_feature_matching.py` of openai/improved-gan."""
    classifier, generator = NoisyMLPClassifier((1, 28, 28), 10), BatchNormMLPGenerator(100, (1, 28, 28))

    def shapes(network: nn.Module) -> list[tuple[int, ...]]:
        return [tuple(module.weight.shape) for module in network.modules() if isinstance(module, nn.Linear)]

    assert shapes(classifier) == [(1000, 784), (500, 1000), (250, 500), (250, 250), (250, 250), (10, 250)]
    assert shapes(generator) == [(500, 100), (500, 500), (784, 500)]
    noises = [module.std for module in classifier.modules() if isinstance(module, GaussianNoise)]
    assert noises == [0.6, 0.5, 0.5, 0.5, 0.5, 0.5]


# Unlabeled digits help


def accuracy(seed: int, steps: int, fit: Fit, *, adversarial_weight: float) -> float:
    torch.manual_seed(seed)
    data = Digits(seed=seed, batch_size=150, validation_size=0, labels_per_class=5, labeled_per_batch=50)
    model = SemiSupervisedGAN(
        image_shape=data.image_shape,
        num_classes=10,
        generator=partial(BatchNormMLPGenerator, width=200),
        classifier=partial(NoisyMLPClassifier, hidden=(200, 100), input_noise=0.3, noise=0.3),
        adversarial_weight=adversarial_weight,
    )
    fit(model, data, max_steps=steps)
    return model.scores(data.examples("test"))["accuracy"]


def test_unlabeled_digits_raise_the_accuracy_with_5_labels_per_class_by_5_points(fit: Fit) -> None:
    """The mean of three draws of the labels, against the supervised twin with the same number of steps."""
    gan, twin = ([accuracy(seed, 600, fit, adversarial_weight=weight) for seed in range(3)] for weight in (1.0, 0.0))
    assert sum(gan) / 3 >= sum(twin) / 3 + 0.05
