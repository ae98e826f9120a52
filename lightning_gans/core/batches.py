"""Gradient accumulation: the parts of a batch, and the sum of the terms of a loss."""

from typing import cast

import torch
from torch import Tensor

from lightning_gans.types import Batch, Losses


def split_batch(batch: Batch, count: int) -> list[tuple[Batch, float]]:
    """Split a batch into parts.

    Args:
        batch: Batch of n examples.
        count: Number of parts.

    Returns:
        Each part, and its fraction of the n examples.

    Raises:
        ValueError: If the batch has fewer than `count` examples.

    Example:
        >>> [(len(part["image"]), fraction) for part, fraction in split_batch({"image": torch.zeros(4, 2)}, 2)]
        [(2, 0.5), (2, 0.5)]
    """
    size = len(batch["image"])
    check_parts(size, count)
    chunks = {key: tensor.tensor_split(count) for key, tensor in cast("dict[str, Tensor]", batch).items()}
    parts = [cast("Batch", {key: chunks[key][i] for key in chunks}) for i in range(count)]
    return [(part, len(part["image"]) / size) for part in parts]


def check_parts(size: int, count: int) -> None:
    """Check that a batch has at least one example for each of its parts.

    Args:
        size: Examples of a batch on one device.
        count: Parts that the batch is split into.

    Raises:
        ValueError: `size` is below `count`.
    """
    if size < count:
        raise ValueError(f"`accumulate_grad_batches` is {count}, but a batch on one device has only {size} examples")


def explain_single_example(error: ValueError, size: int, count: int) -> None:
    """Raise an error that names the remedy, if batch normalization has rejected a part with a single example.

    Args:
        error: Error that a loss has raised.
        size: Examples of the batch on one device.
        count: Parts that the batch is split into.

    Raises:
        ValueError: `error` is from batch normalization.
    """
    if size // count > 1 or "more than 1 value per channel" not in str(error):
        return
    remedy = (
        "increase `batch_size` (a loader of your own: `drop_last=True` avoids a last batch of one)"
        if size == 1
        else f"decrease `accumulate_grad_batches`, which is {count} for a batch of {size} on one device"
    )
    raise ValueError(f"batch normalization needs at least 2 examples at a time, got 1: {remedy}") from error


def sum_terms(terms: Losses, player: str) -> Tensor:
    """Sum the terms of a player's loss.

    Args:
        terms: Named scalar terms, as returned by the player's loss.
        player: Name of the player, such as "generator".

    Raises:
        ValueError: If `terms` is not a dictionary of scalars, or does not depend on the player's weights.

    Example:
        >>> sum_terms({"hinge": torch.zeros(64)}, "generator")
        Traceback (most recent call last):
        ValueError: `generator_loss` must return named scalar terms, got `hinge` of shape (64,)
    """
    if not isinstance(terms, dict):
        raise ValueError(
            f"`{player}_loss` must return a dictionary of named scalar terms, got a {type(terms).__name__}"
        )
    for name, term in terms.items():
        if term.dim() > 0:
            raise ValueError(
                f"`{player}_loss` must return named scalar terms, got `{name}` of shape {tuple(term.shape)}"
            )
    loss = torch.stack(list(terms.values())).sum()
    if not loss.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"`{player}_loss` does not depend on the weights of the {player}")
    return loss
