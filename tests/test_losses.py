"""Adversarial losses against the sigmoid formulas of their papers in float64, and against derivatives by hand."""

import math
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from lightning_gans.objectives.losses import (
    hinge_discriminator_loss,
    hinge_generator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    minimax_discriminator_loss,
    minimax_generator_loss,
    non_saturating_generator_loss,
    relativistic_discriminator_loss,
    relativistic_generator_loss,
    wasserstein_discriminator_loss,
    wasserstein_generator_loss,
)

Array = NDArray[np.float64]

# each loss as in its paper, as a function of the logits of examples and of samples
LOSSES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Array, Array], float]]] = {
    "minimax_discriminator_loss": (
        minimax_discriminator_loss,
        lambda r, f: -np.log(expit(r)).mean() - np.log(1 - expit(f)).mean(),
    ),
    "minimax_generator_loss": (lambda r, f: minimax_generator_loss(f), lambda r, f: np.log(1 - expit(f)).mean()),
    "non_saturating_generator_loss": (
        lambda r, f: non_saturating_generator_loss(f),
        lambda r, f: -np.log(expit(f)).mean(),
    ),
    "least_squares_discriminator_loss": (
        least_squares_discriminator_loss,
        lambda r, f: 0.5 * ((r - 1) ** 2).mean() + 0.5 * (f**2).mean(),
    ),
    "least_squares_generator_loss": (
        lambda r, f: least_squares_generator_loss(f),
        lambda r, f: 0.5 * ((f - 1) ** 2).mean(),
    ),
    "hinge_discriminator_loss": (
        hinge_discriminator_loss,
        lambda r, f: -np.minimum(0, -1 + r).mean() - np.minimum(0, -1 - f).mean(),
    ),
    "hinge_generator_loss": (lambda r, f: hinge_generator_loss(f), lambda r, f: -f.mean()),
    "wasserstein_discriminator_loss": (wasserstein_discriminator_loss, lambda r, f: f.mean() - r.mean()),
    "wasserstein_generator_loss": (lambda r, f: wasserstein_generator_loss(f), lambda r, f: -f.mean()),
    "relativistic_discriminator_loss": (relativistic_discriminator_loss, lambda r, f: -np.log(expit(r - f)).mean()),
    "relativistic_generator_loss": (relativistic_generator_loss, lambda r, f: -np.log(expit(f - r)).mean()),
}

each_loss = pytest.mark.parametrize(("loss", "formula"), LOSSES.values(), ids=LOSSES.keys())


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def logits(random: torch.Generator, *shape: int) -> Tensor:
    return 3 * torch.randn(shape, generator=random, dtype=torch.float64)


@each_loss
@pytest.mark.parametrize("shape", [(16,), (16, 1), (4, 1, 3, 5)], ids=str)
def test_a_loss_is_the_formula_of_its_paper(
    loss: Callable[[Tensor, Tensor], Tensor],
    formula: Callable[[Array, Array], float],
    shape: tuple[int, ...],
    random: torch.Generator,
) -> None:
    real, fake = logits(random, *shape), logits(random, *shape)
    value = loss(real, fake)
    assert value.shape == ()
    assert value.item() == pytest.approx(formula(real.numpy(), fake.numpy()), rel=1e-9)


@each_loss
def test_a_loss_is_the_mean_over_the_batch_of_the_means_of_each_image(
    loss: Callable[[Tensor, Tensor], Tensor], formula: Callable[[Array, Array], float], random: torch.Generator
) -> None:
    real, fake = logits(random, 4, 1, 3, 5), logits(random, 4, 1, 3, 5)
    individual = torch.stack([loss(r, f) for r, f in zip(real.split(1), fake.split(1), strict=True)])
    torch.testing.assert_close(loss(real, fake), individual.mean())


@each_loss
@pytest.mark.parametrize("scale", [-1e4, 1e4])
def test_extreme_logits_keep_value_and_gradient_finite(
    loss: Callable[[Tensor, Tensor], Tensor], formula: Callable[[Array, Array], float], scale: float
) -> None:
    real, fake = torch.tensor([scale], requires_grad=True), torch.tensor([-scale], requires_grad=True)
    value = loss(real, fake)
    value.backward()
    assert value.isfinite()
    for player in (real, fake):
        assert player.grad is None or player.grad.isfinite().all()


def derivative(loss: Callable[[Tensor], Tensor], value: float) -> float:
    logit = torch.tensor([value], requires_grad=True)
    loss(logit).backward()
    return cast(Tensor, logit.grad).item()


@pytest.mark.parametrize(
    ("loss", "very_negative", "zero", "very_positive"),
    [
        (minimax_generator_loss, 0, -0.5, -1),  # saturates for samples with D close to 0
        (non_saturating_generator_loss, -1, -0.5, 0),  # does not saturate
        (lambda fake: minimax_discriminator_loss(torch.zeros(1), fake), 0, 0.5, 1),
        (lambda real: minimax_discriminator_loss(real, torch.zeros(1)), -1, -0.5, 0),
        (lambda real: relativistic_discriminator_loss(real, torch.zeros(1)), -1, -0.5, 0),
        (lambda fake: relativistic_generator_loss(torch.zeros(1), fake), -1, -0.5, 0),
        (lambda real: hinge_discriminator_loss(real, torch.zeros(1)), -1, -1, 0),
        (lambda fake: hinge_discriminator_loss(torch.zeros(1), fake), 0, 1, 1),
        (hinge_generator_loss, -1, -1, -1),
        (wasserstein_generator_loss, -1, -1, -1),
        (lambda real: wasserstein_discriminator_loss(real, torch.zeros(1)), -1, -1, -1),
        (least_squares_generator_loss, -10_001, -1, 9_999),
    ],
)
def test_the_derivative_has_its_limits(
    loss: Callable[[Tensor], Tensor], very_negative: float, zero: float, very_positive: float
) -> None:
    assert [derivative(loss, value) for value in (-1e4, 0.0, 1e4)] == pytest.approx(
        [very_negative, zero, very_positive]
    )


def test_extreme_logits_have_a_proportional_loss() -> None:
    wrong = torch.tensor([1e4])
    assert minimax_discriminator_loss(-wrong, wrong).item() == pytest.approx(2e4)
    assert non_saturating_generator_loss(-wrong).item() == pytest.approx(1e4)
    assert relativistic_discriminator_loss(-wrong, wrong).item() == pytest.approx(2e4)
    assert minimax_discriminator_loss(wrong, -wrong).item() == 0


def test_an_undecided_discriminator_has_a_loss_of_two_bits_and_no_gradient() -> None:
    undecided = torch.zeros(8, requires_grad=True)
    value = minimax_discriminator_loss(undecided, undecided)
    value.backward()
    assert value.item() == pytest.approx(2 * math.log(2))
    torch.testing.assert_close(undecided.grad, torch.zeros(8))
    assert relativistic_discriminator_loss(undecided, undecided).item() == pytest.approx(math.log(2))


def test_the_best_discriminator_of_known_densities_is_their_log_ratio() -> None:
    # two outcomes with p = (3/4, 1/4), q = (1/4, 3/4): D* = p / (p + q), value 2 log 2 - 2 JS(p, q) (arXiv:1406.2661).
    logit = torch.tensor([math.log(3), -math.log(3)], dtype=torch.float64, requires_grad=True)
    value = minimax_discriminator_loss(logit[[0, 0, 0, 1]], logit[[0, 1, 1, 1]])
    value.backward()
    divergence = math.log(2) - (0.75 * math.log(4 / 3) + 0.25 * math.log(4))
    assert value.item() == pytest.approx(2 * math.log(2) - 2 * divergence)
    torch.testing.assert_close(logit.grad, torch.zeros(2, dtype=torch.float64))


def test_losses_have_their_antisymmetries(random: torch.Generator) -> None:
    real, fake = logits(random, 16), logits(random, 16)
    torch.testing.assert_close(wasserstein_discriminator_loss(real, fake), -wasserstein_discriminator_loss(fake, real))
    torch.testing.assert_close(relativistic_discriminator_loss(real, fake), relativistic_generator_loss(fake, real))
    torch.testing.assert_close(minimax_discriminator_loss(real, fake), minimax_discriminator_loss(-fake, -real))
    torch.testing.assert_close(hinge_discriminator_loss(real, fake), hinge_discriminator_loss(-fake, -real))
    # -log D(-l) = -log(1 - D(l)), and the minimax players' terms of the samples cancel
    torch.testing.assert_close(non_saturating_generator_loss(-fake), -minimax_generator_loss(fake))
    torch.testing.assert_close(
        minimax_discriminator_loss(real, fake) + minimax_generator_loss(fake), non_saturating_generator_loss(real)
    )


@pytest.mark.parametrize("loss", [relativistic_discriminator_loss, relativistic_generator_loss])
def test_relativistic_losses_are_invariant_to_a_common_shift(
    loss: Callable[[Tensor, Tensor], Tensor], random: torch.Generator
) -> None:
    real, fake = logits(random, 16), logits(random, 16)
    torch.testing.assert_close(loss(real + 7, fake + 7), loss(real, fake))


@pytest.mark.parametrize("loss", [relativistic_discriminator_loss, relativistic_generator_loss])
def test_relativistic_losses_refuse_shapes_that_would_broadcast(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match=r"`fake` must have the shape of `real`, \(8,\), got \(8, 1\)"):
        loss(torch.zeros(8), torch.zeros(8, 1))


def test_sixteen_bit_logits_are_averaged_in_float32() -> None:
    real, fake = torch.full((1000,), 100.0).bfloat16(), torch.full((1000,), 100.0).bfloat16()
    fake[:100] = 101
    value = wasserstein_discriminator_loss(real, fake)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(0.1, abs=1e-4)
