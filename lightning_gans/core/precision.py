"""Limits of the precisions of Lightning: settings that a precision rounds to 0, and advice that names the precision."""

import torch

from lightning_gans.errors import OPTIMIZER_HINT

RANGE = "float16 cannot represent numbers above 65,504 or below 6e-8"

PRECISION_HINTS = {
    "16-true": f"{RANGE}: train with `precision` 'bf16-mixed' or '32-true' in place of '16-true'",
    "16-mixed": f"{RANGE}: {OPTIMIZER_HINT}, or `precision` 'bf16-mixed' in place of '16-mixed'",
    "bf16-true": f"{OPTIMIZER_HINT}, or `precision` 'bf16-mixed', since the weights of 'bf16-true' have 3 digits",
}
"""Remedy of a value that is not finite, by the precision; `OPTIMIZER_HINT` for all others."""


def remedy(precision: object) -> str:
    """Return the remedy of a value that is not finite.

    Args:
        precision: Precision of the trainer, such as "16-true".

    Example:
        >>> remedy("32-true")
        'try a lower learning rate, or `gradient_clip_val`'
    """
    return PRECISION_HINTS.get(str(precision), OPTIMIZER_HINT)


def check_eps(player: str, optimizer: torch.optim.Optimizer, precision: object) -> None:
    """Check that no precision rounds the `eps` of an optimizer to 0, by which Adam would then divide.

    A fused optimizer computes in float32. The remedy is an `eps` of 1e-4: the square of a gradient below 2.4e-4 is 0 in
    float16, and a smaller `eps` would then allow steps of many times the learning rate.

    Args:
        player: Player whose optimizer it is, for the message.
        optimizer: The optimizer.
        precision: Precision of the trainer, for the message.

    Raises:
        ValueError: If an `eps` above 0 is 0 in the precision of the weights.
    """
    for group in optimizer.param_groups:
        eps, weights = group.get("eps"), group["params"]
        if not isinstance(eps, float) or eps == 0 or group.get("fused") or not weights:
            continue
        dtype = min((weight.dtype for weight in weights), key=lambda dtype: torch.finfo(dtype).max)
        if torch.tensor(eps, dtype=dtype) == 0:
            raise ValueError(
                f"`precision` {str(precision)!r} rounds `eps` {eps:g} of the {player}'s {type(optimizer).__name__} to"
                " 0, by which the first step would divide: use 'bf16-mixed', '16-mixed' or '32-true', or an `eps` of"
                " 1e-4"
            )
