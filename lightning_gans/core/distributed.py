"""Several processes: gradients are averaged here, after each player's own backward, not by DDP's reducer.

DDP expects one backward through every parameter per step; a game has two, through half of them each. Flattening a
player's gradients and averaging them before its step is right for any number of backwards (as in StyleGAN's loop).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy, Strategy
from torch import Tensor, nn


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Average the gradients over all processes, in place; where only some have one, it is zero on the others.

    A parameter that has none on any process stays without: an optimizer would decay what one process leaves alone.

    Args:
        parameters: The same ones on every process; those that are frozen are left out.
    """
    moving = [parameter for parameter in parameters if parameter.requires_grad]
    if not _is_distributed() or not moving:
        return
    missing = [parameter.grad is None for parameter in moving]
    gradients = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in moving]
    present = gradients[0].new_tensor([not none for none in missing])
    _average([*gradients, present])
    if any(missing):  # only then is the device waited for
        for parameter, gradient, share in zip(moving, gradients, present.tolist(), strict=True):
            parameter.grad = gradient if share else None


@torch.no_grad()
def average_buffers(game: nn.Module) -> None:
    """Average floating-point buffers over all processes, in place; integer ones count steps, and agree by themselves.

    All but those of the average: not only of the player whose turn it is, for the other's statistics move when it is
    asked, too.

    Running statistics are means over the examples that passed, so each process knows those of its share.

    Args:
        game: The same on every process.
    """
    if _is_distributed():
        named = (named for named in game.named_buffers() if not named[0].startswith("ema."))
        _average([buffer for _, buffer in named if buffer.is_floating_point()])


@torch.no_grad()
def broadcast_state(network: nn.Module) -> None:
    """Give every process the parameters and buffers of the first.

    Args:
        network: The same architecture on every process.
    """
    if _is_distributed():
        for tensor in (*network.parameters(), *network.buffers()):
            first = tensor.contiguous()  # gloo takes no other memory layout
            torch.distributed.broadcast(first, src=0)
            tensor.copy_(first)


def decorrelate_rng() -> None:
    """Let the processes draw different numbers, whatever they were seeded with; the first keeps its stream.

    Launchers seed all processes alike, so that the weights agree; every one would then draw the same latents, and a
    batch would have copies of them (Lightning-AI/pytorch-lightning#16166).
    """
    if _is_distributed() and (rank := torch.distributed.get_rank()):
        seed = np.random.SeedSequence([torch.initial_seed(), rank])  # mixed: seeds next to each other may be in use
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0]))


def gather(value: Any) -> list[Any]:
    """What every process has for a value, in the order of ranks; all call it."""
    if not _is_distributed():
        return [value]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def check_strategy(strategy: Strategy) -> None:
    """Refuse the strategies that cut a model in pieces.

    Raises:
        ValueError: Names the strategy and what to use.
    """
    if isinstance(strategy, FSDPStrategy | DeepSpeedStrategy | ModelParallelStrategy):
        raise ValueError(
            f"`strategy` {type(strategy).__name__} shards the model, which two players cannot share:"
            " use 'auto' or 'ddp'"
        )


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _average(tensors: Sequence[Tensor]) -> None:
    """Average tensors over all processes, in place and in one message."""
    if not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
