"""The averaged copy of a network, which samples are drawn from."""

import copy
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


class Average(nn.Module):
    """Keep the exponential moving average of a network's weights.

    Running statistics of normalisation layers are averaged with the weights; counters and the vectors of spectral
    normalisation, which belong to one set of weights, are copied. The copy is always in evaluation mode.

    Source: Yazici et al. 2018, arXiv:1806.04498; the half-life in images is Karras et al. 2018, arXiv:1710.10196.

    Args:
        network: What is averaged; it is copied, and stays as it is.

    Example:
        >>> live = nn.Linear(1, 1, bias=False)
        >>> average = Average(live)
        >>> with torch.no_grad():
        ...     _ = average.network.weight.fill_(0.0), live.weight.fill_(1.0)
        >>> average.update(live, images=100, half_life=100)
        >>> average.network.weight.item()
        0.5
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, network: nn.Module, *, images: int, half_life: float) -> None:
        """Move towards the network's present weights.

        Args:
            network: The live network.
            images: Images seen since the last update.
            half_life: Images after which a weight's share has halved; 0 copies the network.
        """
        share = 1.0 - 0.5 ** (images / half_life) if half_life > 0 else 1.0
        averaged, copied = _state(self.network)
        live_averaged, live_copied = _state(network)
        if averaged:
            torch._foreach_lerp_(averaged, live_averaged, share)
        for ours, theirs in zip(copied, live_copied, strict=True):
            ours.copy_(theirs)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        return super().train(False)

    def forward(self, *args: Any) -> Any:
        """Run the averaged network."""
        return self.network(*args)


def _state(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors that are averaged and those that are copied, in an order that depends on the architecture alone."""
    averaged: list[Tensor] = list(network.parameters())
    copied: list[Tensor] = []
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            statistic = isinstance(module, _NormBase) and name in ("running_mean", "running_var")
            (averaged if statistic else copied).append(buffer)
    return averaged, copied
