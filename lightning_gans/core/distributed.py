"""Several processes: gradients are averaged here, after each player's own backward, not by DDP's reducer.

DDP expects one backward through every parameter per step; a game has two, through half of them each. Flattening a
player's gradients and averaging them before its step is right for any number of backwards (as in StyleGAN's loop).
"""

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy, Strategy
from torch import nn


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Average the gradients over all processes, in place; a parameter without one counts as zero.

    Args:
        parameters: The same ones on every process.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def gather(value: Any) -> list[Any]:
    """What every process has for a value, in the order of ranks; all call it."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def refuse_sharding(strategy: Strategy) -> None:
    """Refuse the strategies that cut a model in pieces.

    Raises:
        ValueError: Names the strategy and what to use.
    """
    if isinstance(strategy, FSDPStrategy | DeepSpeedStrategy | ModelParallelStrategy):
        raise ValueError(
            f"`strategy` {type(strategy).__name__} shards the model, which two players cannot share:"
            " use 'auto' or 'ddp'"
        )
