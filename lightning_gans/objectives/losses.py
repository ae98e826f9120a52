"""The adversarial games, as losses to minimize, written in logits.

Logits have the shape (b, ...): a network that judges patches gives several per sample. Every sample has equally many,
so a plain mean is the mean over the batch of the per-sample means. A discriminator's probability D = sigmoid(logit) is
never formed: log D = -softplus(-logit) and log(1 - D) = -softplus(logit) stay exact where it rounds to 0 or 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def minimax_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Lose -E log D(x) - E log(1 - D(G(z))), the discriminator's side of the minimax game.

    The two terms are summed, not averaged: 2 log 2 where the discriminator cannot tell. From *Generative Adversarial
    Networks*, arXiv:1406.2661, equation 1.

    Args:
        real: (b, ...) logits of real samples.
        fake: (b, ...) logits of generated samples.

    Returns:
        () in nats.

    Example:
        >>> minimax_discriminator_loss(torch.zeros(8), torch.zeros(8))
        tensor(1.3863)
    """
    return _mean(F.softplus(-real)) + _mean(F.softplus(fake))


def minimax_generator_loss(fake: Tensor) -> Tensor:
    """Lose E log(1 - D(G(z))), the generator's side of the minimax game.

    It is minus the discriminator's term, and saturates: where D is sure of a fake the gradient vanishes. From
    *Generative Adversarial Networks*, arXiv:1406.2661, equation 1.

    Args:
        fake: (b, ...) logits of generated samples.

    Returns:
        () in nats.

    Example:
        >>> minimax_generator_loss(torch.zeros(8))
        tensor(-0.6931)
    """
    return -_mean(F.softplus(fake))


def non_saturating_generator_loss(fake: Tensor) -> Tensor:
    """Lose -E log D(G(z)), which has the minimax game's fixed point and strong gradients where D is sure of a fake.

    From *Generative Adversarial Networks*, arXiv:1406.2661, section 3.

    Args:
        fake: (b, ...) logits of generated samples.

    Returns:
        () in nats.

    Example:
        >>> non_saturating_generator_loss(torch.zeros(8))
        tensor(0.6931)
    """
    return _mean(F.softplus(-fake))


def least_squares_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Lose 1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2, where D is the logit itself.

    From *Least Squares Generative Adversarial Networks*, arXiv:1611.04076, equation 9 (a = 0, b = c = 1).

    Args:
        real: (b, ...) outputs for real samples.
        fake: (b, ...) outputs for generated samples.

    Returns:
        ().

    Example:
        >>> least_squares_discriminator_loss(torch.tensor([0.0]), torch.tensor([2.0]))
        tensor(2.5000)
    """
    return (_mean((real - 1).square()) + _mean(fake.square())) / 2


def least_squares_generator_loss(fake: Tensor) -> Tensor:
    """Lose 1/2 E (D(G(z)) - 1)^2, where D is the logit itself.

    From *Least Squares Generative Adversarial Networks*, arXiv:1611.04076, equation 9 (a = 0, b = c = 1).

    Args:
        fake: (b, ...) outputs for generated samples.

    Returns:
        ().

    Example:
        >>> least_squares_generator_loss(torch.tensor([3.0]))
        tensor(2.)
    """
    return _mean((fake - 1).square()) / 2


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Lose E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), which leaves alone what is beyond the margin.

    From *Geometric GAN*, arXiv:1705.02894.

    Args:
        real: (b, ...) outputs for real samples.
        fake: (b, ...) outputs for generated samples.

    Returns:
        ().

    Example:
        >>> hinge_discriminator_loss(torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 0.0]))
        tensor(1.)
    """
    return _mean(F.relu(1 - real)) + _mean(F.relu(1 + fake))


def hinge_generator_loss(fake: Tensor) -> Tensor:
    """Lose -E D(G(z)), the generator's side of the hinge game.

    From *Geometric GAN*, arXiv:1705.02894.

    Args:
        fake: (b, ...) outputs for generated samples.

    Returns:
        ().

    Example:
        >>> hinge_generator_loss(torch.tensor([1.0, 3.0]))
        tensor(-2.)
    """
    return -_mean(fake)


def wasserstein_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Lose E D(G(z)) - E D(x): minus the critic's estimate of the Wasserstein-1 distance, if it is 1-Lipschitz.

    From *Wasserstein GAN*, arXiv:1701.07875, algorithm 1.

    Args:
        real: (b, ...) outputs for real samples.
        fake: (b, ...) outputs for generated samples.

    Returns:
        () in the units of the data.

    Example:
        >>> wasserstein_discriminator_loss(torch.tensor([2.0, 4.0]), torch.tensor([1.0]))
        tensor(-2.)
    """
    return _mean(fake) - _mean(real)


def wasserstein_generator_loss(fake: Tensor) -> Tensor:
    """Lose -E D(G(z)), the part of the Wasserstein distance that the generator can change.

    From *Wasserstein GAN*, arXiv:1701.07875, algorithm 1.

    Args:
        fake: (b, ...) outputs for generated samples.

    Returns:
        () in the units of the data.

    Example:
        >>> wasserstein_generator_loss(torch.tensor([1.0, 3.0]))
        tensor(-2.)
    """
    return -_mean(fake)


def relativistic_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Lose -E log sigmoid(D(x) - D(G(z))): each real sample is to look more real than the fake one it is paired with.

    From *The relativistic discriminator*, arXiv:1807.00734, and *The GAN is dead; long live the GAN!*, arXiv:2501.05441
    (RpGAN). Only differences of logits count.

    Args:
        real: (b, ...) logits of real samples.
        fake: (b, ...) logits of as many generated samples; pair i is (real[i], fake[i]).

    Returns:
        () in nats.

    Raises:
        ValueError: If `real` and `fake` cannot be paired.

    Example:
        >>> relativistic_discriminator_loss(torch.tensor([3.0]), torch.tensor([3.0]))
        tensor(0.6931)
    """
    return _mean(F.softplus(-_pair(real, fake)))


def relativistic_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Lose -E log sigmoid(D(G(z)) - D(x)): each fake sample is to look more real than the real one it is paired with.

    From *The relativistic discriminator*, arXiv:1807.00734 (RpGAN); see `relativistic_discriminator_loss`.

    Args:
        real: (b, ...) logits of real samples.
        fake: (b, ...) logits of as many generated samples; pair i is (real[i], fake[i]).

    Returns:
        () in nats.

    Raises:
        ValueError: If `real` and `fake` cannot be paired.

    Example:
        >>> relativistic_generator_loss(torch.tensor([1e4]), torch.tensor([0.0]))
        tensor(10000.)
    """
    return _mean(F.softplus(_pair(real, fake)))


def _pair(real: Tensor, fake: Tensor) -> Tensor:
    # Without the check (b,) and (b, 1) would broadcast to all b * b pairs: another game, and no error.
    if real.shape != fake.shape:
        raise ValueError(f"`fake` must pair with `real`, {tuple(real.shape)}, but has the shape {tuple(fake.shape)}")
    return real - fake


def _mean(values: Tensor) -> Tensor:
    # In at least float32: two bfloat16 means of 3 digits each would leave their difference none.
    return values.mean(dtype=torch.promote_types(values.dtype, torch.float32))
