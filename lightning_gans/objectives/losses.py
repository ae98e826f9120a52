"""Adversarial losses, as functions of the discriminator's logits; both players minimize.

Logits have the shape (b, ...): a patch discriminator returns several per image. All images have equally many, so a
plain mean is the mean over the batch of the means per image. The probability D = sigmoid(logit) of a discriminator is
never computed: log D = -softplus(-logit) and log(1 - D) = -softplus(logit) are exact even where D rounds to 0 or 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def minimax_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the discriminator loss of the minimax game, -E log D(x) - E log(1 - D(G(z))).

    The two terms are summed, not averaged: the loss is 2 log 2 for D = 1/2. From *Generative Adversarial Networks*,
    arXiv:1406.2661, equation 1.

    Args:
        real: (b, ...) logits of examples.
        fake: (b, ...) logits of samples.

    Returns:
        () in nats.

    Example:
        >>> minimax_discriminator_loss(torch.zeros(8), torch.zeros(8))
        tensor(1.3863)
    """
    return _mean(F.softplus(-real)) + _mean(F.softplus(fake))


def minimax_generator_loss(fake: Tensor) -> Tensor:
    """Compute the generator loss of the minimax game, E log(1 - D(G(z))).

    It is the negated term of the discriminator, and it saturates: the gradient vanishes for samples with D close to 0.
    From *Generative Adversarial Networks*, arXiv:1406.2661, equation 1.

    Args:
        fake: (b, ...) logits of samples.

    Returns:
        () in nats.

    Example:
        >>> minimax_generator_loss(torch.zeros(8))
        tensor(-0.6931)
    """
    return -_mean(F.softplus(fake))


def non_saturating_generator_loss(fake: Tensor) -> Tensor:
    """Compute the non-saturating generator loss, -E log D(G(z)).

    It has the fixed point of the minimax game, and strong gradients for samples with D close to 0. From *Generative
    Adversarial Networks*, arXiv:1406.2661, section 3.

    Args:
        fake: (b, ...) logits of samples.

    Returns:
        () in nats.

    Example:
        >>> non_saturating_generator_loss(torch.zeros(8))
        tensor(0.6931)
    """
    return _mean(F.softplus(-fake))


def least_squares_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the least-squares discriminator loss, 1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2.

    D is the logit itself. From *Least Squares Generative Adversarial Networks*, arXiv:1611.04076, equation 9 (a = 0,
    b = c = 1).

    Args:
        real: (b, ...) logits of examples.
        fake: (b, ...) logits of samples.

    Returns:
        ().

    Example:
        >>> least_squares_discriminator_loss(torch.tensor([0.0]), torch.tensor([2.0]))
        tensor(2.5000)
    """
    return (_mean((real - 1).square()) + _mean(fake.square())) / 2


def least_squares_generator_loss(fake: Tensor) -> Tensor:
    """Compute the least-squares generator loss, 1/2 E (D(G(z)) - 1)^2.

    D is the logit itself. From *Least Squares Generative Adversarial Networks*, arXiv:1611.04076, equation 9 (a = 0,
    b = c = 1).

    Args:
        fake: (b, ...) logits of samples.

    Returns:
        ().

    Example:
        >>> least_squares_generator_loss(torch.tensor([3.0]))
        tensor(2.)
    """
    return _mean((fake - 1).square()) / 2


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the hinge discriminator loss, E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))).

    D is the logit itself. Logits beyond the margin have no gradient. From *Geometric GAN*, arXiv:1705.02894.

    Args:
        real: (b, ...) logits of examples.
        fake: (b, ...) logits of samples.

    Returns:
        ().

    Example:
        >>> hinge_discriminator_loss(torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 0.0]))
        tensor(1.)
    """
    return _mean(F.relu(1 - real)) + _mean(F.relu(1 + fake))


def hinge_generator_loss(fake: Tensor) -> Tensor:
    """Compute the hinge generator loss, -E D(G(z)).

    D is the logit itself. From *Geometric GAN*, arXiv:1705.02894.

    Args:
        fake: (b, ...) logits of samples.

    Returns:
        ().

    Example:
        >>> hinge_generator_loss(torch.tensor([1.0, 3.0]))
        tensor(-2.)
    """
    return -_mean(fake)


def wasserstein_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the Wasserstein critic loss, E D(G(z)) - E D(x).

    D is the logit itself. For a 1-Lipschitz critic the loss is the negated estimate of the Wasserstein-1 distance. From
    *Wasserstein GAN*, arXiv:1701.07875, algorithm 1.

    Args:
        real: (b, ...) logits of examples.
        fake: (b, ...) logits of samples.

    Returns:
        () in the units of the data.

    Example:
        >>> wasserstein_discriminator_loss(torch.tensor([2.0, 4.0]), torch.tensor([1.0]))
        tensor(-2.)
    """
    return _mean(fake) - _mean(real)


def wasserstein_generator_loss(fake: Tensor) -> Tensor:
    """Compute the Wasserstein generator loss, -E D(G(z)).

    D is the logit itself. The loss is the part of the Wasserstein distance that depends on the generator. From
    *Wasserstein GAN*, arXiv:1701.07875, algorithm 1.

    Args:
        fake: (b, ...) logits of samples.

    Returns:
        () in the units of the data.

    Example:
        >>> wasserstein_generator_loss(torch.tensor([1.0, 3.0]))
        tensor(-2.)
    """
    return -_mean(fake)


def relativistic_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the relativistic pairing discriminator loss, -E log sigmoid(D(x) - D(G(z))).

    D is the logit itself. The loss depends only on the differences of paired logits. From *The relativistic
    discriminator*, arXiv:1807.00734, and *The GAN is dead; long live the GAN!*, arXiv:2501.05441 (RpGAN).

    Args:
        real: (b, ...) logits of examples.
        fake: (b, ...) logits of as many samples; pair i is (real[i], fake[i]).

    Returns:
        () in nats.

    Raises:
        ValueError: If `real` and `fake` have different shapes.

    Example:
        >>> relativistic_discriminator_loss(torch.tensor([3.0]), torch.tensor([3.0]))
        tensor(0.6931)
    """
    return _mean(F.softplus(-_paired_difference(real, fake)))


def relativistic_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the relativistic pairing generator loss, -E log sigmoid(D(G(z)) - D(x)).

    D is the logit itself. From *The relativistic discriminator*, arXiv:1807.00734 (RpGAN); see
    `relativistic_discriminator_loss`.

    Args:
        real: (b, ...) logits of examples.
        fake: (b, ...) logits of as many samples; pair i is (real[i], fake[i]).

    Returns:
        () in nats.

    Raises:
        ValueError: If `real` and `fake` have different shapes.

    Example:
        >>> relativistic_generator_loss(torch.tensor([1e4]), torch.tensor([0.0]))
        tensor(10000.)
    """
    return _mean(F.softplus(_paired_difference(real, fake)))


def _paired_difference(real: Tensor, fake: Tensor) -> Tensor:
    # without the check, (b,) and (b, 1) would broadcast to all b * b pairs, which is another loss
    if real.shape != fake.shape:
        raise ValueError(f"`fake` must have the shape of `real`, {tuple(real.shape)}, got {tuple(fake.shape)}")
    return real - fake


def _mean(values: Tensor) -> Tensor:
    # in at least float32: bfloat16 means have 3 digits, and their difference would have none
    return values.mean(dtype=torch.promote_types(values.dtype, torch.float32))
