"""Batches in parts, and the terms of a loss put together."""

from typing import Any

import torch
from torch import Tensor

from lightning_gans.types import Batch, Losses


def split(batch: Batch, count: int) -> list[tuple[Batch, float]]:
    """Split a batch into parts, each with its share of the examples.

    Args:
        batch: The batch.
        count: How many parts.

    Raises:
        ValueError: The batch has fewer examples.

    Example:
        >>> [(len(part["image"]), share) for part, share in split({"image": torch.zeros(4, 2)}, 2)]
        [(2, 0.5), (2, 0.5)]
    """
    size = len(batch["image"])
    if size < count:
        raise ValueError(f"`accumulate_grad_batches` is {count}, but a batch on one device has only {size} examples")
    columns = {key: tensor.tensor_split(count) for key, tensor in dict(batch).items()}  # type: ignore[attr-defined]
    parts: list[Any] = [{key: pieces[i] for key, pieces in columns.items()} for i in range(count)]
    return [(part, len(part["image"]) / size) for part in parts]


def sum_terms(terms: Losses, player: str) -> Tensor:
    """The sum of a player's terms.

    Args:
        terms: What the game's loss returned.
        player: "generator" or "discriminator".

    Raises:
        ValueError: It is no dictionary of scalars, or does not depend on the player's weights.

    Example:
        >>> sum_terms({"h": torch.zeros(64)}, "generator")
        Traceback (most recent call last):
        ValueError: `generator_loss` must return named scalar terms, got `h` of shape (64,)
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
