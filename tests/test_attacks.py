"""Test FGSM and PGD: closed forms, the ball, the untouched classifier, and the agreement with a reference library."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import images
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.datamodules import Digits
from lightning_gans.networks.classifier import ConvClassifier
from lightning_gans.objectives.attacks import (
    discriminator_as_classifier,
    fgsm,
    margin,
    pgd,
    random_perturbation,
)

Attack = Callable[..., Tensor]

ATTACKS: dict[str, Attack] = {
    "fgsm": fgsm,
    "fgsm, random start": lambda *data, eps: fgsm(*data, eps=eps, random_start=True),
    "pgd": lambda *data, eps: pgd(*data, eps=eps, steps=5),
    "pgd, l2": lambda *data, eps: pgd(*data, eps=eps, steps=5, norm=2),
    "pgd, large steps": lambda *data, eps: pgd(*data, eps=eps, steps=3, step_size=10 * eps, restarts=2),
}

every_attack = pytest.mark.parametrize("name", ATTACKS)


class Linear(nn.Module):
    """A linear classifier of two classes, whose logits differ by the product of a weight and the image."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, image: Tensor) -> Tensor:
        logit = image.flatten(1) @ self.weight
        return torch.stack([torch.zeros_like(logit), logit], 1)


@pytest.fixture(scope="module")
def network() -> ConvClassifier:
    torch.manual_seed(0)
    return ConvClassifier((1, 8, 8), 10, width=4, hidden=16).eval()


def batch(size: int = 16) -> tuple[Tensor, Tensor]:
    return images((1, 8, 8), size), torch.arange(size) % 10


def distance(name: str, perturbed: Tensor, image: Tensor) -> Tensor:
    return torch.linalg.vector_norm((perturbed - image).flatten(1), 2 if "l2" in name else math.inf, dim=1)


@pytest.mark.parametrize("label", [0, 1])
def test_fgsm_of_a_linear_classifier_equals_the_closed_form(label: int) -> None:
    weight, image = torch.randn(12), images((3, 2, 2), 5) * 0.5
    sign = -1 if label else 1
    expected = image + sign * 0.3 * weight.sign().view(3, 2, 2)
    torch.testing.assert_close(fgsm(Linear(weight), image, torch.full((5,), label), eps=0.3), expected)


def test_pgd_of_a_linear_classifier_reaches_the_optimum_of_each_ball() -> None:
    weight, image, label = torch.randn(12), images((3, 2, 2), 5) * 0.1, torch.zeros(5, dtype=torch.int64)
    for norm, direction in ((math.inf, weight.sign()), (2, F.normalize(weight, dim=0))):
        found = pgd(Linear(weight), image, label, eps=0.5, norm=norm, steps=400, step_size=0.05)
        torch.testing.assert_close(found, image + 0.5 * direction.view(3, 2, 2), atol=2e-3, rtol=0)


@every_attack
@pytest.mark.parametrize("eps", [0.0, 0.1, 0.6, 3.0])
def test_an_attack_leaves_neither_the_ball_nor_the_range_of_images(
    name: str, eps: float, network: ConvClassifier
) -> None:
    image, label = batch()
    image[:4] = image[:4].sign()  # at the ends of the range
    perturbed = ATTACKS[name](network, image, label, eps=eps)
    assert distance(name, perturbed, image).max() <= eps + 1e-6
    assert perturbed.abs().max() <= 1
    assert torch.equal(perturbed, image) == (eps == 0)


@every_attack
def test_an_attack_changes_neither_gradients_nor_modes_nor_random_streams(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Linear(16, 10))
    network[2].eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    image, label = batch()
    copy, stream = image.clone(), torch.get_rng_state()
    with torch.no_grad():  # as within a scoring method
        perturbed = ATTACKS[name](network, image, label, eps=0.1)
    assert [parameter.grad for parameter in network.parameters()] == [None] * 6
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(stream, torch.get_rng_state())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert torch.equal(image, copy)
    assert not image.requires_grad
    assert not perturbed.requires_grad


@every_attack
def test_the_attack_of_an_image_does_not_depend_on_the_other_images(name: str, network: ConvClassifier) -> None:
    image, label = batch()
    together = ATTACKS[name](network, image, label, eps=0.2)
    changed = torch.cat([image[:8], images((1, 8, 8), 8, seed=1)])
    torch.testing.assert_close(ATTACKS[name](network, changed, label, eps=0.2)[:8], together[:8])


def test_more_steps_and_restarts_find_larger_margins(network: ConvClassifier) -> None:
    image, label = batch(64)

    def margins(**options: Any) -> Tensor:
        with torch.no_grad():
            return margin(network(pgd(network, image, label, eps=0.2, **options)), label)

    once, several = margins(steps=5), margins(steps=5, restarts=4)
    assert (several >= once).all()
    assert (several > once).any()
    assert margins(steps=40).mean() > once.mean() > margins(steps=1, step_size=1e-6).mean()


@pytest.mark.parametrize("norm", [2, math.inf])
def test_random_starts_are_uniform_in_the_ball(norm: float) -> None:
    noise = random_perturbation(torch.zeros(20_000, 2), 0.5, norm, torch.Generator().manual_seed(0))
    radius = torch.linalg.vector_norm(noise, norm, dim=1) / 0.5
    # the area within a radius grows with its square, in both norms
    torch.testing.assert_close(radius.square().mean(), torch.tensor(0.5), atol=0.01, rtol=0)
    assert radius.max() <= 1
    assert noise.mean(0).abs().max() < 0.01


def test_images_without_a_label_get_their_random_start_only(network: ConvClassifier) -> None:
    image = batch()[0]
    unknown = torch.full((len(image),), -1)
    start = pgd(network, image, unknown, eps=0.1, steps=1)
    assert torch.equal(start, pgd(network, image, unknown, eps=0.1, steps=9))
    assert torch.equal(image, fgsm(network, image, unknown, eps=0.1))


def test_the_generator_determines_the_random_start(network: ConvClassifier) -> None:
    def attack(seed: int) -> Tensor:
        return pgd(network, *batch(), eps=0.1, steps=1, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(attack(1), attack(1))
    assert not torch.equal(attack(1), attack(2))


def test_a_discriminator_is_attacked_as_a_classifier_of_examples_and_samples() -> None:
    weight, image = torch.randn(64), batch()[0] * 0.5
    classifier = discriminator_as_classifier(lambda image: image.flatten(1) @ weight)
    for label, sign in ((1, -1), (0, 1)):
        perturbed = fgsm(classifier, image, torch.full((16,), label), eps=0.25)
        torch.testing.assert_close(perturbed, image + sign * 0.25 * weight.sign().view(1, 8, 8))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"eps": -0.1}, "`eps` must be at least 0, got -0.1"),
        ({"steps": 0}, "`steps` must be at least 1, got 0"),
        ({"restarts": 0}, "`restarts` must be at least 1, got 0"),
        ({"norm": 1}, "`norm` must be 2 or infinity, got 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], text: str, network: ConvClassifier) -> None:
    with pytest.raises(ValueError, match=text):
        pgd(network, *batch(), **{"eps": 0.1, **options})


# The reference library


@pytest.fixture(scope="module")
def trained() -> tuple[ConvClassifier, Tensor, Tensor]:
    """Train a small classifier on Digits; return it with the test digits and their labels."""
    torch.manual_seed(0)
    data, network = Digits(), ConvClassifier((1, 8, 8), 10, width=8, hidden=32)
    train, test = data.examples("train"), data.examples("test")
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(network(train["image"]), train["label"]).backward()
        optimizer.step()
    return network.eval(), test["image"], test["label"]


def accuracy(network: nn.Module, image: Tensor, label: Tensor) -> float:
    with torch.no_grad():
        return (network(image).argmax(1) == label).double().mean().item()


@pytest.mark.parametrize("eps", [0.1, 0.3])
def test_fgsm_equals_the_reference_library(eps: float, trained: tuple[ConvClassifier, Tensor, Tensor]) -> None:
    network, image, label = trained
    reference = reference_attack("FastGradientMethod", network, eps=eps, batch_size=512)
    ours = fgsm(network, image, label, eps=eps)
    theirs = torch.from_numpy(reference.generate(image.numpy(), label.numpy()))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("norm", "eps"), [(math.inf, 0.1), (math.inf, 0.3), (2, 0.5), (2, 1.5)])
def test_pgd_is_as_strong_as_the_reference_library(
    norm: float, eps: float, trained: tuple[ConvClassifier, Tensor, Tensor]
) -> None:
    network, image, label = trained
    steps = {"norm": norm, "eps": eps, "eps_step": eps / 10, "max_iter": 40}
    reference = reference_attack(
        "ProjectedGradientDescentPyTorch", network, **steps, batch_size=512, num_random_init=0, verbose=False
    )
    ours = pgd(network, image, label, eps=eps, norm=norm, steps=40, step_size=eps / 10, random_start=False)
    theirs = torch.from_numpy(reference.generate(image.numpy(), label.numpy()))
    assert accuracy(network, image, label) > accuracy(network, ours, label) + 0.05
    assert abs(accuracy(network, ours, label) - accuracy(network, theirs, label)) <= 0.005
    assert distance("l2" if norm == 2 else "", theirs, image).max() <= eps + 1e-4


def reference_attack(name: str, network: nn.Module, **options: Any) -> Any:
    """Build an attack of the Adversarial Robustness Toolbox."""
    evasion = pytest.importorskip("art.attacks.evasion", reason="needs adversarial-robustness-toolbox (test extra)")
    estimators = pytest.importorskip("art.estimators.classification")
    classifier = estimators.PyTorchClassifier(
        network,
        loss=nn.CrossEntropyLoss(),
        input_shape=(1, 8, 8),
        nb_classes=10,
        clip_values=(-1, 1),
        device_type="cpu",
    )
    if name == "ProjectedGradientDescentPyTorch":
        module = "art.attacks.evasion.projected_gradient_descent.projected_gradient_descent_pytorch"
        return getattr(pytest.importorskip(module), name)(classifier, **options)
    return getattr(evasion, name)(classifier, **options)
