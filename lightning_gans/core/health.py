"""Numbers gone bad: where in a game the first one is that is no number, in one line.

A check is a single comparison. Only after it failed is the cause looked for, by playing the loss once more.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.errors import NonFiniteError

DATA = "check the data"


def loss_error(
    model: nn.Module,
    player: str,
    terms: Mapping[str, Tensor],
    batch: Mapping[str, Any],
    loss: Callable[[], Any],
    *,
    images: int,
) -> NonFiniteError:
    """Say which term of a player's loss is no number, and where that came from.

    Args:
        model: The game.
        player: Who plays.
        terms: The terms, and their sum.
        batch: What the loss was computed on.
        loss: Computes it again; under `torch.no_grad`, and eagerly.
        images: Images seen.
    """
    name, value = next((name, term) for name, term in terms.items() if not is_finite(term))
    what = f"the term `{name}` of the {player}'s loss is {float(value.detach()):.0f}"
    if place := find_example(batch):
        return NonFiniteError(f"{what}: {place}", images=images, cure=DATA)
    if weight := first_nonfinite(model.named_parameters()):  # not running statistics, which this very batch has spoilt
        return NonFiniteError(f"{what}: the weight `{weight}` is not finite", images=images)
    layer = find_layer(model, loss)
    return NonFiniteError(f"{what}, first in the layer `{layer}`" if layer else what, images=images)


def check_gradient(model: nn.Module, player: str, *, images: int) -> None:
    """Refuse a gradient that holds NaN or infinity.

    Raises:
        NonFiniteError: Names the first parameter that has such a gradient.
    """
    gradients = ((name, weight.grad) for name, weight in model.named_parameters() if weight.grad is not None)
    if name := first_nonfinite(gradients):
        raise NonFiniteError(f"the {player}'s gradient of `{name}` is not finite, though its loss is", images=images)


def check_weights(model: nn.Module, *, images: int) -> None:
    """Refuse weights, averages among them, that hold NaN or infinity.

    Raises:
        NonFiniteError: Names the first of them.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> _ = nn.init.constant_(layer.bias, float("inf"))
        >>> check_weights(layer, images=64)
        Traceback (most recent call last):
        lightning_gans.errors.NonFiniteError: after 64 images the weight `bias` is not finite; ...
    """
    if name := first_nonfinite(named_weights(model)):
        raise NonFiniteError(f"the weight `{name}` is not finite", images=images)


def named_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The parameters, and the running statistics of normalization; other buffers (masks) may hold infinity."""
    yield from model.named_parameters()
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            yield name, buffer


def first_nonfinite(named: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first tensor that holds NaN or infinity; a device is waited for once.

    Example:
        >>> first_nonfinite([("a", torch.zeros(2)), ("b", torch.tensor([0.0, float("nan")]))])
        'b'
    """
    names, tensors = zip(*named, strict=True)
    flags = torch.stack([tensor.detach().isfinite().all() for tensor in tensors]).tolist()
    return next((name for name, good in zip(names, flags, strict=True) if not good), None)


def find_example(batch: Mapping[str, Any]) -> str | None:
    """Where a batch itself holds NaN or infinity.

    Example:
        >>> find_example({"image": torch.tensor([[1.0], [float("nan")]])})
        'the batch itself holds nan: `image`, example 1'
    """
    for key, tensor in batch.items():
        if not is_finite(tensor):
            bad = ~tensor.flatten(1).isfinite() if tensor.dim() > 1 else ~tensor.isfinite().unsqueeze(1)
            example = int(bad.any(1).nonzero()[0])
            value = float(tensor[example].flatten()[bad[example]][0])
            return f"the batch itself holds {value:.0f}: `{key}`, example {example}"
    return None


def find_layer(model: nn.Module, run: Callable[[], Any]) -> str | None:
    """The first module that makes NaN or infinity of finite inputs while `run` runs, by name and class.

    Modules that were compiled run eagerly. What `run` draws anew may be finite this time: then there is none.

    Example:
        >>> class Root(nn.Module):
        ...     def forward(self, x):
        ...         return x.log()
        >>> model = nn.Sequential(nn.Tanh(), nn.Sequential(nn.Identity(), Root()))
        >>> find_layer(model, lambda: model(torch.zeros(1)))
        '1.1 (Root)'
    """
    found: list[str] = []

    def look(name: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if not found and not is_finite(output) and is_finite([args, kwargs]):
            found.append(f"{name} ({type(module).__name__})")

    hooks = [
        module.register_forward_hook(partial(look, name), with_kwargs=True)
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
    """Whether every number is one, in a tensor or in a nest of them.

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
