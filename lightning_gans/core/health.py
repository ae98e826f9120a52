"""Detect NaN and infinity in losses, gradients and weights, and locate the first occurrence.

A check is a single comparison. The cause is located only after a check has failed, by computing the loss again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.core import private
from lightning_gans.errors import OPTIMIZER_HINT, NonFiniteError

DATA_HINT = "check the data"


def loss_error(
    model: nn.Module,
    player: str,
    terms: Mapping[str, Tensor],
    batch: Mapping[str, Any],
    loss: Callable[[], Any],
    *,
    images: int,
    hint: str = OPTIMIZER_HINT,
) -> NonFiniteError:
    """Create the error for a loss that is not finite, with the term and the cause.

    The cause is an example of the batch, a weight, or the first layer whose output is not finite.

    Args:
        model: The model.
        player: The player whose loss it is.
        terms: The terms of the loss, and their sum.
        batch: The batch on which the loss was computed.
        loss: Function that computes the loss again; it runs under `torch.no_grad` and without compilation.
        images: Images seen.
        hint: Remedy, unless the data are the cause; default `OPTIMIZER_HINT`.
    """
    name, value = next((name, term) for name, term in terms.items() if not is_finite(term))
    message = f"the term `{name}` of the {player}'s loss is {float(value.detach()):.0f}"
    if place := find_example(batch):
        return NonFiniteError(f"{message}: {place}", images=images, hint=DATA_HINT)
    if weight := first_nonfinite(model.named_parameters()):  # not running statistics, which this batch has changed
        return NonFiniteError(f"{message}: the weight `{weight}` is not finite", images=images, hint=hint)
    layer = find_layer(model, loss)
    return NonFiniteError(f"{message}, first in the layer `{layer}`" if layer else message, images=images, hint=hint)


def check_gradient(model: nn.Module, player: str, *, images: int, hint: str = OPTIMIZER_HINT) -> None:
    """Check that all gradients are finite.

    Raises:
        NonFiniteError: If a gradient is not finite; the message names its parameter.
    """
    gradients = ((name, weight.grad) for name, weight in model.named_parameters() if weight.grad is not None)
    if name := first_nonfinite(gradients):
        message = f"the {player}'s gradient of `{name}` is not finite, though its loss is"
        raise NonFiniteError(message, images=images, hint=hint)


def check_weights(model: nn.Module, *, images: int, hint: str = OPTIMIZER_HINT) -> None:
    """Check that all weights are finite, those of the EMA included.

    Raises:
        NonFiniteError: If a weight is not finite; the message names it.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> _ = nn.init.constant_(layer.bias, float("inf"))
        >>> check_weights(layer, images=64)
        Traceback (most recent call last):
        lightning_gans.errors.NonFiniteError: after 64 images the weight `bias` is not finite; ...
    """
    if name := first_nonfinite(named_weights(model)):
        raise NonFiniteError(f"the weight `{name}` is not finite", images=images, hint=hint)


def named_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and the running statistics of normalization; other buffers (masks) may contain infinity."""
    yield from model.named_parameters()
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            yield name, buffer


def first_nonfinite(named: Iterable[tuple[str, Tensor]]) -> str | None:
    """Return the name of the first tensor that contains NaN or infinity; it synchronizes with the device once.

    Example:
        >>> first_nonfinite([("a", torch.zeros(2)), ("b", torch.tensor([0.0, float("nan")]))])
        'b'
    """
    names, tensors = zip(*named, strict=True)
    flags = torch.stack([tensor.detach().isfinite().all() for tensor in tensors]).tolist()
    return next((private.plain_name(name) for name, finite in zip(names, flags, strict=True) if not finite), None)


def find_example(batch: Mapping[str, Any]) -> str | None:
    """Describe the place of the first NaN or infinity in a batch.

    Example:
        >>> find_example({"image": torch.tensor([[1.0], [float("nan")]])})
        'the batch itself contains nan: `image`, example 1'
    """
    for key, tensor in batch.items():
        if not is_finite(tensor):
            nonfinite = ~tensor.flatten(1).isfinite() if tensor.dim() > 1 else ~tensor.isfinite().unsqueeze(1)
            example = int(nonfinite.any(1).nonzero()[0])
            value = float(tensor[example].flatten()[nonfinite[example]][0])
            return f"the batch itself contains {value:.0f}: `{key}`, example {example}"
    return None


def find_layer(model: nn.Module, run: Callable[[], Any]) -> str | None:
    """Find the first module whose output is not finite although its inputs are, and return its name and class.

    Compiled modules run eagerly. The result is None if new random numbers give a finite output this time.

    Args:
        model: The model whose modules are observed.
        run: Function that calls modules of the model.

    Example:
        >>> class Log(nn.Module):
        ...     def forward(self, x):
        ...         return x.log()
        >>> model = nn.Sequential(nn.Tanh(), nn.Sequential(nn.Identity(), Log()))
        >>> find_layer(model, lambda: model(torch.zeros(1)))
        '1.1 (Log)'
    """
    found: list[str] = []

    def observe(name: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if not found and not is_finite(output) and is_finite([args, kwargs]):
            found.append(f"{private.plain_name(name)} ({type(module).__name__})")

    hooks = [
        module.register_forward_hook(partial(observe, name), with_kwargs=True)
        for name, module in model.named_modules()
        if name
    ]
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return next(iter(found), None)


def is_finite(value: Any) -> bool:
    """Report whether all numbers are finite, in a tensor or in a nested structure of tensors.

    Example:
        >>> is_finite([torch.zeros(2), {"weight": torch.tensor(float("inf"))}, "text"])
        False
    """
    match value:
        case Tensor():
            return bool(value.detach().isfinite().all())
        case Mapping():
            return all(is_finite(item) for item in value.values())
        case list() | tuple():
            return all(is_finite(item) for item in value)
        case _:
            return True
