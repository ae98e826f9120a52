"""Gradient penalties: functions of the discriminator's gradient with respect to its inputs.

They are computed with autocast disabled and in at least float32, because a squared gradient is inaccurate in 16 bits.
Compiled modules run eagerly, because a compiled graph cannot be differentiated twice.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Compute the gradient penalty of WGAN-GP, mean_i (||grad D(x_i)||_2 - 1)^2.

    It is computed at interpolates x_i = w_i real_i + (1 - w_i) fake_i. The norm is over all elements of an input. From
    *Improved Training of Wasserstein GANs*, arXiv:1704.00028, equation 3, without its lambda.

    Args:
        discriminator: Maps inputs (b, ...) to logits (b, ...), each input independently (no batch normalization). The
            sum of the logits of an input is differentiated. Conditions are bound by a lambda or a `partial`.
        real: (b, ...) examples.
        fake: (b, ...) samples.
        weight: (b,) interpolation weights w in [0, 1]. By default they are drawn uniformly.

    Returns:
        (), differentiable with respect to the discriminator's parameters; under `torch.no_grad` the same value as a
        constant.

    Raises:
        ValueError: If `real` and `fake` have different shapes, or `weight` is not (b,).

    Example:
        >>> critic = lambda inputs: 3 * inputs.sum(1)  # its gradient (3, 3, 3, 3) has the norm 6
        >>> gradient_penalty(critic, torch.randn(8, 4), torch.randn(8, 4))
        tensor(25.)
    """
    if real.shape != fake.shape:
        raise ValueError(f"`fake` must have the shape of `real`, {tuple(real.shape)}, got {tuple(fake.shape)}")
    real, fake = _to_full_precision(discriminator, real), _to_full_precision(discriminator, fake)
    if weight is None:
        weight = torch.rand(len(real), dtype=real.dtype, device=real.device)
    if weight.shape != (len(real),):
        raise ValueError(
            f"`weight` must have one element per pair, ({len(real)},), got the shape {tuple(weight.shape)}"
        )
    interpolates = torch.lerp(fake, real, weight.to(real.dtype).view(-1, *(1,) * (real.dim() - 1)))
    # vector_norm, unlike sqrt of a sum, has the subgradient 0 at 0: a constant critic gets no NaN
    norm: Tensor = torch.linalg.vector_norm(_input_gradient(discriminator, interpolates).flatten(1), dim=1)
    return (norm - 1).square().mean()


def zero_centered_gradient_penalty(discriminator: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Compute the zero-centered gradient penalty, mean_i ||grad D(x_i)||_2^2: R1 for examples, R2 for samples.

    From *Which Training Methods for GANs do actually Converge?*, arXiv:1801.04406, equations 9 and 10, without the
    factor gamma / 2, which the caller applies.

    Args:
        discriminator: Maps inputs (b, ...) to logits (b, ...), each input independently (no batch normalization). The
            sum of the logits of an input is differentiated. Conditions are bound by a lambda or a `partial`.
        inputs: (b, ...) examples or samples.

    Returns:
        (), differentiable with respect to the discriminator's parameters; under `torch.no_grad` the same value as a
        constant.

    Example:
        >>> zero_centered_gradient_penalty(lambda inputs: 3 * inputs.sum(1), torch.randn(8, 4))
        tensor(36.)
    """
    return _input_gradient(discriminator, _to_full_precision(discriminator, inputs)).flatten(1).square().sum(1).mean()


def _input_gradient(discriminator: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Compute the gradient of the logits of each input with respect to that input; it can be differentiated again."""
    create_graph = torch.is_grad_enabled()
    inputs = inputs.detach().requires_grad_()  # a new leaf: the caller's tensors get no gradient
    with (
        torch.enable_grad(),
        torch.autocast(inputs.device.type, enabled=False),
        # not discriminator.forward, which skips hooks (spectral norm) and does not reach compiled submodules
        torch.compiler.set_stance("force_eager"),
    ):
        logits = discriminator(inputs)
        # inputs do not affect each other's logits, so the gradient of the sum is the gradient for each input
        (gradient,) = torch.autograd.grad(logits.sum(), inputs, create_graph=create_graph)
    return gradient.to(torch.promote_types(gradient.dtype, torch.float32))


def _to_full_precision(discriminator: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Convert inputs to at least the dtype of the weights, float32 unless they have 16 bits (`bf16-true`)."""
    parameters = discriminator.parameters() if isinstance(discriminator, nn.Module) else iter(())
    dtype = next((parameter.dtype for parameter in parameters), torch.float32)
    return inputs.to(torch.promote_types(inputs.dtype, dtype))
