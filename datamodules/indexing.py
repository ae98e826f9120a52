"""Indexing of the examples in a batch."""

from typing import cast

from torch import Tensor

from lightning_gans.types import Batch


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
        >>> import torch
        >>> index_batch({"label": torch.tensor([3, 1, 4])}, slice(2))
        {'label': tensor([3, 1])}
    """
    return cast("Batch", {key: tensor[indices] for key, tensor in as_dict(batch).items()})
