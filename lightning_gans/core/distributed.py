"""Synchronize several processes: average gradients and buffers, broadcast weights, decorrelate random generators.

DDP expects one backward pass through all parameters per step. A GAN has two, each through the parameters of one player.
The gradients of a player are therefore flattened and averaged between its backward pass and its optimizer step, as in
StyleGAN's training loop. This is correct for any number of backward passes. DDP's reducer is not used.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy, Strategy
from torch import Tensor, nn

from lightning_gans.core import private

COPIES = (
    "`strategy` 'ddp_spawn', 'ddp_fork' or 'ddp_notebook' trains copies of the model and leaves this model untrained;"
    " a notebook has no other strategy for several devices: train on one device, or in a script, and use 'ddp'"
)
"""Error message for a strategy that trains a copy of the model."""


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Average the gradients over all processes, in place.

    A gradient that is missing on some processes counts as zero there. A gradient that is missing on all processes
    remains None: with a gradient of zero, an optimizer would apply weight decay to the parameter.

    Args:
        parameters: Parameters in the same order on every process; frozen parameters are ignored.
    """
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    if not _is_distributed() or not trainable:
        return
    missing = [parameter.grad is None for parameter in trainable]
    gradients = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in trainable]
    present = gradients[0].new_tensor([not none for none in missing])
    _average([*gradients, present])
    if any(missing):  # `tolist` synchronizes with the device
        for parameter, gradient, share in zip(trainable, gradients, present.tolist(), strict=True):
            parameter.grad = gradient if share else None


@torch.no_grad()
def average_buffers(model: nn.Module) -> None:
    """Average the floating-point buffers of a model over all processes, in place, except for the buffers of the EMA.

    Running statistics are means over examples, and each process has seen only its share of a batch. The buffers of both
    players are averaged, because a forward pass updates the statistics of either. Integer buffers count steps and are
    equal on all processes.

    Args:
        model: The model, with the same architecture on every process.
    """
    if _is_distributed():
        named = (named for named in model.named_buffers() if not named[0].startswith("ema."))
        _average([buffer for _, buffer in named if buffer.is_floating_point()])


@torch.no_grad()
def broadcast_state(network: nn.Module) -> None:
    """Broadcast the parameters and buffers of the first process to all processes.

    Args:
        network: The network, with the same architecture on every process.
    """
    if _is_distributed():
        for tensor in (*network.parameters(), *network.buffers()):
            first = tensor.contiguous()  # gloo supports no other memory layout
            torch.distributed.broadcast(first, src=0)
            tensor.copy_(first)


def decorrelate_rng() -> None:
    """Seed each process differently; the first process keeps its random state.

    Launchers give all processes the same seed, so that the weights are equal. All processes would then draw the same
    latents, and a batch would contain duplicates (Lightning-AI/pytorch-lightning#16166).
    """
    if _is_distributed() and (rank := torch.distributed.get_rank()):
        seed = np.random.SeedSequence([torch.initial_seed(), rank])  # hashed: consecutive seeds may be in use
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0]))


def gather(value: Any) -> list[Any]:
    """Gather the value of every process, in the order of ranks; every process must call this function."""
    if not _is_distributed():
        return [value]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def check_strategy(strategy: Strategy) -> None:
    """Check that a strategy trains this model: neither parts of it nor a copy of it.

    Raises:
        ValueError: If the strategy shards the model, or copies it into other processes.
    """
    if private.copies_the_program(strategy):
        raise ValueError(COPIES)
    if isinstance(strategy, FSDPStrategy | DeepSpeedStrategy | ModelParallelStrategy):
        raise ValueError(
            f"`strategy` {type(strategy).__name__} shards the model, which two players cannot share:"
            " use 'auto' or 'ddp'"
        )


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _average(tensors: Sequence[Tensor]) -> None:
    """Average tensors over all processes, in place and with a single all-reduce."""
    if not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
