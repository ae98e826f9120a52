"""Layers of normalizing flows: bijections whose Jacobian determinant is known.

`forward` maps x to y and returns log |det dy/dx| in nats, one number per example. `inverse` maps y back to x. A flow is
a bijection from examples to flat latents, built by a factory from (image_shape). The change of variables gives its
density: log p(x) = log p(y) + log |det dy/dx|.
"""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.networks.module_list import ModuleList

MIN_STD = 1e-3
"""Lower bound of the standard deviation in `ActNorm`, for few examples or constant data."""


class Bijection(nn.Module, ABC):
    """Base class of invertible layers."""

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (b, ...) to y (b, ...), and compute log |det dy/dx|, (b,) nats."""

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """Map y back to x."""


class Chain(Bijection):
    """Compose bijections.

    Args:
        *layers: The bijections, in the order of `forward`.

    Example:
        >>> chain = Chain(Flatten((1, 2, 2)), ActNorm((4,)))
        >>> z, log_det = chain(torch.randn(8, 1, 2, 2))
        >>> z.shape, log_det.shape, chain.inverse(z).shape
        (torch.Size([8, 4]), torch.Size([8]), torch.Size([8, 1, 2, 2]))
    """

    def __init__(self, *layers: Bijection) -> None:
        super().__init__()
        self.layers: ModuleList[Bijection] = ModuleList(layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x to y, and sum the log-determinants, (b,) nats."""
        total = x.new_zeros(len(x))
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return x, total

    def inverse(self, y: Tensor) -> Tensor:
        """Map y back to x, from the last layer to the first."""
        for layer in reversed([*self.layers]):
            y = layer.inverse(y)
        return y


class Flatten(Bijection):
    """Flatten examples to vectors.

    Args:
        shape: Shape of an example.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, *shape) to (b, d), with log-determinant 0."""
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        """Map (b, d) to (b, *shape)."""
        return y.view(len(y), *self.shape)


class Squeeze(Bijection):
    """Rearrange each block of 2 x 2 pixels into one pixel with four times as many channels.

    The four pixels of channel k become the channels 4k (upper left), 4k + 1 (upper right), 4k + 2 (lower left) and
    4k + 3 (lower right). From *Density estimation using Real NVP*, arXiv:1605.08803, section 3.6.

    Example:
        >>> Squeeze()(torch.arange(4.0).view(1, 1, 2, 2))[0].flatten()
        tensor([0., 1., 2., 3.])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, c, 2h, 2w) to (b, 4c, h, w), with log-determinant 0."""
        return F.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        """Map (b, 4c, h, w) to (b, c, 2h, 2w)."""
        return F.pixel_shuffle(y, 2)


class ActNorm(Bijection):
    """Shift and scale activations, with an initialization that normalizes the first batch (activation normalization).

    `initialize_from_batch` sets the shift and the scale such that a batch gets mean 0 and standard deviation 1. Until
    then the layer is the identity. Afterwards the shift and the scale are ordinary parameters, so the density of an
    example never depends on other examples, unlike with batch normalization. From *Glow*, arXiv:1807.03039, section
    3.1.

    Args:
        shape: Shape of the parameters: (c, 1, 1) for one shift and scale per channel, (d,) for one per element.

    Example:
        >>> norm = ActNorm((2,))
        >>> initialize_from_batch(norm, torch.tensor([[0.0, 10.0], [4.0, 20.0]]))
        >>> norm(torch.tensor([[0.0, 10.0], [4.0, 20.0]]))[0].round(decimals=4).tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(shape))
        self.log_scale = nn.Parameter(torch.zeros(shape))

    @torch.no_grad()
    def initialize_from_batch(self, x: Tensor) -> None:
        """Set the parameters such that x (b, ...) gets mean 0 and standard deviation 1.

        A standard deviation below 1e-3 counts as 1e-3.
        """
        shared = [0, *(axis + 1 for axis, size in enumerate(self.shift.shape) if size == 1 and x.shape[axis + 1] > 1)]
        std, mean = torch.std_mean(x, dim=shared, correction=0, keepdim=True)
        self.shift.copy_(-mean[0])
        self.log_scale.copy_(-std[0].clamp(min=MIN_STD).log())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute y = (x + shift) exp(log_scale)."""
        positions = x.shape[1:].numel() // self.log_scale.numel()
        return (x + self.shift) * self.log_scale.exp(), (positions * self.log_scale.sum()).expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        """Compute x = y exp(-log_scale) - shift."""
        return y * (-self.log_scale).exp() - self.shift


@torch.no_grad()
def initialize_from_batch(flow: nn.Module, x: Tensor) -> None:
    """Initialize every `ActNorm` of a flow from its inputs for a batch; a flow without `ActNorm` is unchanged.

    Args:
        flow: Any module; x passes through it once.
        x: The batch (b, ...).
    """

    def initialize(norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(norm, ActNorm)
        norm.initialize_from_batch(inputs[0])

    norms = [module for module in flow.modules() if isinstance(module, ActNorm)]
    hooks = [norm.register_forward_pre_hook(initialize) for norm in norms]
    try:
        if norms:
            flow(x)
    finally:
        for hook in hooks:
            hook.remove()


class Logit(Bijection):
    """Map images in [-1, 1] to real numbers, elementwise: y = logit(a + (1 - 2a) (x + 1) / 2).

    The inverse maps unbounded values to images. From *Density estimation using Real NVP*, arXiv:1605.08803, section
    4.1, with one difference: the paper's a + (1 - a) x keeps only one end away from infinity. As in the paper, a is
    0.05.

    Args:
        alpha: The constant a, which keeps both ends of [-1, 1] away from infinity, default 0.05.

    Raises:
        ValueError: If `alpha` is not between 0 and 0.5.

    Example:
        >>> Logit()(torch.tensor([[-1.0, 0.0, 1.0]]))[0]
        tensor([[-2.9444,  0.0000,  2.9444]])
    """

    def __init__(self, *, alpha: float = 0.05) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise ValueError(f"`alpha` must be above 0 and below 0.5, got {alpha}")
        self.alpha = alpha

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x to y; dy/dx = (1/2 - a) / (p (1 - p)), where y = logit(p)."""
        y = torch.logit(self.alpha + (0.5 - self.alpha) * (x + 1))
        log_slope = math.log(0.5 - self.alpha) + F.softplus(y) + F.softplus(-y)
        return y, log_slope.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        """Map y to x, which may exceed [-1, 1] by 2a / (1 - 2a)."""
        eps = torch.finfo(y.dtype).eps
        p = torch.sigmoid(y).clamp(eps, 1 - eps)  # a probability rounded to 0 or 1 would have an infinite logit
        return (p - self.alpha) / (0.5 - self.alpha) - 1
