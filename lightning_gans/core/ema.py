"""The averaged copy of a network, which samples are drawn from."""

import copy
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from lightning_gans.core.schedules import Linear, Schedule, value_at, value_range

DEFAULT_HALF_LIFE = Linear(0.0, 10_000.0, images=200_000)
"""A twentieth of the images seen so far: a longer memory would still show the beginning."""


class EMA(nn.Module):
    """Keep the exponential moving average of a network's weights.

    Running statistics of normalization layers are averaged with the weights; counters and the vectors of spectral
    normalization, which belong to one set of weights, are copied. The copy is always in evaluation mode.

    Source: Yazici et al. 2018, arXiv:1806.04498; the half-life in images is Karras et al. 2018, arXiv:1710.10196.

    Args:
        network: What is averaged; it is copied, and stays as it is.
        half_life: Images after which a weight's share has halved; 0 does not average, None lets it rise to 10,000 over
            the first 200,000 images, as StyleGAN2-ADA (arXiv:2006.06676, its code).

    Raises:
        ValueError: `half_life` is negative, or torch cannot copy the network.

    Example:
        >>> live = nn.Linear(1, 1, bias=False)
        >>> average = EMA(live, half_life=100)
        >>> with torch.no_grad():
        ...     _ = average.network.weight.fill_(0.0), live.weight.fill_(1.0)
        >>> average.update(live, images_seen=100)
        >>> average.network.weight.item()
        0.5
    """

    def __init__(self, network: nn.Module, *, half_life: float | Schedule | None = None) -> None:
        super().__init__()
        self.half_life = DEFAULT_HALF_LIFE if half_life is None else half_life
        if value_range(self.half_life)[0] < 0:
            raise ValueError(f"`ema_half_life` must be at least 0 images, got {half_life}")
        self.images_seen = 0
        try:
            self.network = copy.deepcopy(network).requires_grad_(False).eval()
        except RuntimeError as error:  # torch copies no tensor that was computed, as `torch.nn.utils.weight_norm` makes
            raise ValueError(
                f"a {type(network).__name__} cannot be copied for the average:"
                " use torch.nn.utils.parametrizations in it"
            ) from error

    def update(self, network: nn.Module, *, images_seen: int) -> None:
        """Move towards the network's present weights.

        Args:
            network: The live network.
            images_seen: Images seen so far.
        """
        half_life = value_at(self.half_life, images_seen)
        images, self.images_seen = images_seen - self.images_seen, images_seen
        self._move(network, 1.0 - 0.5 ** (images / half_life) if half_life > 0 else 1.0)

    def copy(self, network: nn.Module) -> None:
        """Take the network's present weights."""
        self._move(network, 1.0)

    @torch.no_grad()
    def _move(self, network: nn.Module, share: float) -> None:
        averaged, copied = _state(self.network)
        live_averaged, live_copied = _state(network)
        if averaged:
            torch._foreach_lerp_(averaged, live_averaged, share)
        for ours, theirs in zip(copied, live_copied, strict=True):
            ours.copy_(theirs)

    def get_extra_state(self) -> Tensor:
        """The clock, for checkpoints."""
        return torch.tensor(self.images_seen)

    def set_extra_state(self, state: Tensor) -> None:
        """Set the clock."""
        self.images_seen = int(state)

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
