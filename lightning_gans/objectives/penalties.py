"""Penalties on a discriminator's gradient at given points.

Wherever they are called, they are computed with autocast off, in float32 or better (a squared gradient has no digits to
spare in 16 bits), and with compiled modules run eagerly (a compiled graph cannot be differentiated twice).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Penalize mean_i (||grad D(x_i)||_2 - 1)^2 between the samples, at x_i = w_i real_i + (1 - w_i) fake_i.

    The norm is per sample, over all its axes. From *Improved Training of Wasserstein GANs*, arXiv:1704.00028, equation
    3, without its lambda.

    Args:
        discriminator: Maps points (b, ...) to outputs (b, ...), each sample on its own (no batch normalization). The
            sum of a sample's outputs is differentiated. Conditions are bound by a lambda or a `partial`.
        real: (b, ...) real samples.
        fake: (b, ...) generated samples.
        weight: (b,) in [0, 1], the share of the real sample; drawn uniformly if None.

    Returns:
        () differentiable in the discriminator's parameters; under `torch.no_grad` the same value, as a constant.

    Raises:
        ValueError: If the samples cannot be paired, or not one weight per pair is given.

    Example:
        >>> critic = lambda points: 3 * points.sum(1)  # its gradient (3, 3, 3, 3) has the norm 6
        >>> gradient_penalty(critic, torch.randn(8, 4), torch.randn(8, 4))
        tensor(25.)
    """
    if real.shape != fake.shape:
        raise ValueError(f"`fake` must pair with `real`, {tuple(real.shape)}, but has the shape {tuple(fake.shape)}")
    real, fake = _precise(discriminator, real), _precise(discriminator, fake)
    if weight is None:
        weight = torch.rand(len(real), dtype=real.dtype, device=real.device)
    if weight.shape != (len(real),):
        raise ValueError(
            f"`weight` must hold one number per sample, ({len(real)},), got the shape {tuple(weight.shape)}"
        )
    points = torch.lerp(fake, real, weight.to(real.dtype).view(-1, *(1,) * (real.dim() - 1)))
    # vector_norm, unlike sqrt of a sum, has the subgradient 0 at 0: a critic that is flat somewhere gets no NaN.
    norm: Tensor = torch.linalg.vector_norm(_gradient(discriminator, points).flatten(1), dim=1)
    return (norm - 1).square().mean()


def zero_centered_gradient_penalty(discriminator: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Penalize mean_i ||grad D(x_i)||_2^2: R1 at real points, R2 at generated ones.

    From *Which Training Methods for GANs do actually Converge?*, arXiv:1801.04406, equations 9 and 10, without their
    gamma / 2: the weight and its convention are the caller's.

    Args:
        discriminator: Maps points (b, ...) to outputs (b, ...), each sample on its own (no batch normalization). The
            sum of a sample's outputs is differentiated. Conditions are bound by a lambda or a `partial`.
        points: (b, ...) real or generated samples.

    Returns:
        () differentiable in the discriminator's parameters; under `torch.no_grad` the same value, as a constant.

    Example:
        >>> zero_centered_gradient_penalty(lambda points: 3 * points.sum(1), torch.randn(8, 4))
        tensor(36.)
    """
    return _gradient(discriminator, _precise(discriminator, points)).flatten(1).square().sum(1).mean()


def _gradient(discriminator: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Differentiate each sample's output with respect to that sample, to be differentiated again."""
    differentiable = torch.is_grad_enabled()
    points = points.detach().requires_grad_()  # a new leaf: the caller's tensors get no gradient
    with (
        torch.enable_grad(),
        torch.autocast(points.device.type, enabled=False),
        # Not discriminator.forward: that skips hooks (spectral norm) and misses modules compiled further inside.
        torch.compiler.set_stance("force_eager"),
    ):
        outputs = discriminator(points)
        # The samples do not touch each other, so the sum's gradient is every sample's own.
        (gradient,) = torch.autograd.grad(outputs.sum(), points, create_graph=differentiable)
    return gradient.to(torch.promote_types(gradient.dtype, torch.float32))


def _precise(discriminator: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """What the weights meet without autocast: float32, unless they are kept in 16 bits themselves (`bf16-true`)."""
    parameters = discriminator.parameters() if isinstance(discriminator, nn.Module) else iter(())
    kept = next((parameter.dtype for parameter in parameters), torch.float32)
    return samples.to(torch.promote_types(samples.dtype, kept))
