"""Operations on batches, and the sum of the terms of a loss."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from lightning_gans.types import Batch, Losses


def as_dict(batch: Batch) -> dict[str, Tensor]:
    """Return a batch as a plain dictionary of tensors."""
    return cast("dict[str, Tensor]", dict(batch))


def index_batch(batch: Batch, indices: Tensor | slice) -> Batch:
    """Index every tensor of a batch along the batch axis.

    Args:
        batch: Batch of n examples.
        indices: (m,) int64 indices, or a slice.

    Returns:
        Batch of the m selected examples.

    Example:
        >>> index_batch({"label": torch.tensor([3, 1, 4])}, slice(2))
        {'label': tensor([3, 1])}
    """
    return cast("Batch", {key: tensor[indices] for key, tensor in as_dict(batch).items()})


def num_examples(batch: Batch) -> int:
    """Return the number of examples in a batch.

    Example:
        >>> num_examples({"label": torch.tensor([3, 1, 4])})
        3
    """
    return len(next(iter(as_dict(batch).values())))


def join_batches(batches: Iterable[Batch], n: int) -> Batch:
    """Concatenate batches with n rows in total, one by one, so that each row is in memory once.

    Args:
        batches: At least one batch; all have the same keys.
        n: Number of rows of all batches.

    Example:
        >>> join_batches([{"label": torch.tensor([3, 1])}, {"label": torch.tensor([4])}], 3)
        {'label': tensor([3, 1, 4])}
    """
    joined: dict[str, Tensor] = {}
    start = 0
    for batch in batches:
        for key, tensor in as_dict(batch).items():
            if key not in joined:
                joined[key] = tensor.new_empty(n, *tensor.shape[1:])
            joined[key][start : start + len(tensor)] = tensor
        start += num_examples(batch)
    return cast("Batch", joined)


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
    chunks = {key: _split(value, count, size) for key, value in as_dict(batch).items()}
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


def mismatched_rows(conditions: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Choose another example of a batch for each example, the next one whose conditions differ.

    Args:
        conditions: The conditions (b, ...) of the batch, one tensor of each kind.

    Returns:
        (b,) int64 rows, and whether they differ, () bool: it is false only if all conditions of the batch are equal.

    Example:
        >>> mismatched_rows([torch.tensor([3, 3, 5, 3])])
        (tensor([2, 2, 3, 2]), tensor(True))
    """
    size = len(conditions[0])
    different = torch.stack(
        [(values.unsqueeze(0) != values.unsqueeze(1)).any(2) for values in (each.view(size, -1) for each in conditions)]
    ).any(0)
    following = (torch.arange(size).unsqueeze(1) + torch.arange(1, size + 1)).to(different.device) % size
    first = different.gather(1, following).int().argmax(1, keepdim=True)  # the first maximum
    return following.gather(1, first).squeeze(1), different.any()


def _split(value: Any, count: int, size: int) -> Sequence[Any]:
    """Split a value of a batch as `Tensor.tensor_split` does; a value that does not belong to examples is repeated."""
    if isinstance(value, Tensor) and value.dim() > 0:
        return value.tensor_split(count)
    if isinstance(value, list | tuple) and len(value) == size:
        rows = torch.arange(size).tensor_split(count)
        return [[value[row] for row in part] for part in rows]
    return [value] * count


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
