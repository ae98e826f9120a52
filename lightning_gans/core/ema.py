"""Exponential moving average (EMA) of the weights of a network, from which samples are generated."""

import copy
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from lightning_gans.core.schedules import Linear, Schedule, value_at, value_range

DEFAULT_HALF_LIFE = Linear(0.0, 10_000.0, images=200_000)
"""A twentieth of the images seen, up to 10,000: with a longer half-life the initial weights would remain visible."""


class EMA(nn.Module):
    """Keep the exponential moving average of a network's weights (also called Polyak averaging).

    Running statistics of normalization layers are averaged like weights. All other buffers are copied: counters, and
    the singular vectors of spectral normalization, which are valid for one set of weights only. The averaged network is
    always in evaluation mode.

    Source: Yazici et al. 2018, arXiv:1806.04498; the half-life in images is Karras et al. 2018, arXiv:1710.10196.

    Args:
        network: The network to average. It is copied and not changed.
        half_life: Half-life of a weight in the average, in images. 0 disables averaging. None (default) lets it
            rise to 10,000 over the first 200,000 images, as in the code of StyleGAN2-ADA (arXiv:2006.06676).

    Attributes:
        network: The averaged network.
        images_seen: Images seen at the last update.

    Raises:
        ValueError: If `half_life` is negative, or torch cannot copy the network.

    Example:
        >>> network = nn.Linear(1, 1, bias=False)
        >>> ema = EMA(network, half_life=100)
        >>> with torch.no_grad():
        ...     _ = ema.network.weight.fill_(0.0), network.weight.fill_(1.0)
        >>> ema.update(network, images_seen=100)
        >>> ema.network.weight.item()
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
        except RuntimeError as error:  # computed tensors cannot be copied, as in `torch.nn.utils.weight_norm`
            raise ValueError(
                f"a {type(network).__name__} cannot be copied for the EMA: use torch.nn.utils.parametrizations in it"
            ) from error

    def update(self, network: nn.Module, *, images_seen: int) -> None:
        """Update the average with the current weights of the network.

        Args:
            network: The live network.
            images_seen: Images seen so far, over all devices.
        """
        half_life = value_at(self.half_life, images_seen)
        images, self.images_seen = images_seen - self.images_seen, images_seen
        self._interpolate(network, 1.0 - 0.5 ** (images / half_life) if half_life > 0 else 1.0)

    def copy(self, network: nn.Module) -> None:
        """Replace the average by the current weights of the network."""
        self._interpolate(network, 1.0)

    @torch.no_grad()
    def _interpolate(self, network: nn.Module, weight: float) -> None:
        averaged, copied = _tensors(self.network)
        live_averaged, live_copied = _tensors(network)
        if averaged:
            torch._foreach_lerp_(averaged, live_averaged, weight)
        for buffer, live in zip(copied, live_copied, strict=True):
            buffer.copy_(live)

    def get_extra_state(self) -> Tensor:
        """Return the images seen, for checkpoints."""
        return torch.tensor(self.images_seen)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the images seen."""
        self.images_seen = int(state)

    def train(self, mode: bool = True) -> Self:
        """Set evaluation mode, whatever `mode` is."""
        return super().train(False)

    def forward(self, *args: Any) -> Any:
        """Run the averaged network."""
        return self.network(*args)


def _tensors(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """List the averaged tensors and the copied tensors, in an order that depends on the architecture only."""
    averaged: list[Tensor] = list(network.parameters())
    copied: list[Tensor] = []
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            is_statistic = isinstance(module, _NormBase) and name in ("running_mean", "running_var")
            (averaged if is_statistic else copied).append(buffer)
    return averaged, copied
