"""Layers of normalizing flows: bijections whose Jacobian determinant is known.

`forward` maps x to y and returns log |det dy/dx| in nats, one number per example. `inverse` maps y back to x. A flow is
a bijection from examples to flat latents, built by a factory from (image_shape). The change of variables gives its
density: log p(x) = log p(y) + log |det dy/dx|.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.networks.mlp import hidden_layers
from lightning_gans.networks.module_list import ModuleList

MIN_STD = 1e-3
"""Lower bound of the standard deviation in `ActNorm`, for few examples or constant data."""

Indices = Sequence[int]
"""Indices of channels, along the axis after the batch axis."""

ConditionerFactory = Callable[[int, int], nn.Module]
"""Builds the conditioner of a coupling layer from (inputs, outputs), the sizes of the axis after the batch axis."""


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
    then the layer is the identity. Afterwards both are ordinary parameters, so the density of an example never depends
    on other examples, unlike with batch normalization. From *Glow*, arXiv:1807.03039, section 3.1.

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
        """Set the parameters such that x (b, ...) gets mean 0 and standard deviation 1; the latter is at least 1e-3."""
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


class Coupling(Bijection):
    """Base class of coupling layers.

    A coupling layer transforms some channels elementwise, with parameters that a conditioner computes from the other
    channels, which pass through unchanged. The conditioner can be any network, as it is never inverted. A subclass
    defines the elementwise transform. From *NICE*, arXiv:1410.8516, section 3.2.

    Args:
        identity_idx: Indices of the channels that pass through unchanged.
        transform_idx: Indices of the channels that are transformed; each index belongs to one of the two sets.
        conditioner: Factory of the conditioner from (inputs, outputs); it maps (b, inputs, ...) to (b, outputs, ...).
        params_per_element: Number of parameters of the transform of an element. All zero, they give the identity.
    """

    identity_idx: Tensor
    transform_idx: Tensor
    inverse_permutation: Tensor

    def __init__(
        self, identity_idx: Indices, transform_idx: Indices, conditioner: ConditionerFactory, *, params_per_element: int
    ) -> None:
        super().__init__()
        self.params_per_element = params_per_element
        permutation = [*identity_idx, *transform_idx]
        self.register_buffer("identity_idx", torch.tensor([*identity_idx]), persistent=False)
        self.register_buffer("transform_idx", torch.tensor([*transform_idx]), persistent=False)
        self.register_buffer("inverse_permutation", torch.tensor(permutation).argsort(), persistent=False)
        self.conditioner = conditioner(len(identity_idx), params_per_element * len(transform_idx))

    @abstractmethod
    def transform(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Transform elements (b, m, ...), and compute log |dy/dx| of each, (b, m, ...) nats.

        Args:
            x: Elements (b, m, ...).
            params: Parameters of their transforms, (b, params_per_element, m, ...).
        """

    @abstractmethod
    def transform_inverse(self, y: Tensor, params: Tensor) -> Tensor:
        """Invert `transform`."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Transform a part of x, given the other part."""
        identity = x.index_select(1, self.identity_idx)
        transformed, log_det = self.transform(x.index_select(1, self.transform_idx), self._params(identity))
        return self._merge(identity, transformed), log_det.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        """Invert the transform of a part of y, given the other part, which is unchanged."""
        identity = y.index_select(1, self.identity_idx)
        x = self.transform_inverse(y.index_select(1, self.transform_idx), self._params(identity))
        return self._merge(identity, x)

    def _params(self, identity: Tensor) -> Tensor:
        params: Tensor = self.conditioner(identity)
        return params.view(len(params), self.params_per_element, len(self.transform_idx), *params.shape[2:])

    def _merge(self, identity: Tensor, transformed: Tensor) -> Tensor:
        return torch.cat([identity, transformed], dim=1).index_select(1, self.inverse_permutation)


class AdditiveCoupling(Coupling):
    """Couple by a shift, which preserves volume. From *NICE*, arXiv:1410.8516, equation 8.

    The arguments are those of `Coupling`, without `params_per_element`.
    """

    def __init__(self, identity_idx: Indices, transform_idx: Indices, conditioner: ConditionerFactory) -> None:
        super().__init__(identity_idx, transform_idx, conditioner, params_per_element=1)

    def transform(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Compute y = x + t."""
        return x + params.squeeze(1), torch.zeros_like(x)

    def transform_inverse(self, y: Tensor, params: Tensor) -> Tensor:
        """Compute x = y - t."""
        return y - params.squeeze(1)


class AffineCoupling(Coupling):
    """Couple by a scale and a shift. From *Density estimation using Real NVP*, arXiv:1605.08803, equation 5.

    A hyperbolic tangent bounds the logarithm of the scale, as in the authors' code. The bound is a constant here and a
    learned parameter there. A layer therefore scales by at most exp(bound), which keeps the inverse accurate.

    Args:
        identity_idx: Indices of the channels that pass through unchanged.
        transform_idx: Indices of the channels that are transformed.
        conditioner: Factory of the conditioner from (inputs, outputs).
        bound: Largest absolute value of the logarithm of a scale.
    """

    def __init__(
        self, identity_idx: Indices, transform_idx: Indices, conditioner: ConditionerFactory, *, bound: float = 2.0
    ) -> None:
        super().__init__(identity_idx, transform_idx, conditioner, params_per_element=2)
        self.bound = bound

    def transform(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Compute y = x exp(s) + t."""
        log_scale, shift = self._log_scale_and_shift(params)
        return x * log_scale.exp() + shift, log_scale

    def transform_inverse(self, y: Tensor, params: Tensor) -> Tensor:
        """Compute x = (y - t) exp(-s)."""
        log_scale, shift = self._log_scale_and_shift(params)
        return (y - shift) * (-log_scale).exp()

    def _log_scale_and_shift(self, params: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = params.unbind(1)
        return self.bound * torch.tanh(raw / self.bound), shift


class Logit(Bijection):
    """Map images in [-1, 1] to real numbers, elementwise: y = logit(a + (1 - 2a) (x + 1) / 2).

    The inverse maps samples of a model of unbounded values to images. From *Density estimation using Real NVP*,
    arXiv:1605.08803, section 4.1, with one difference. The paper has a + (1 - a) x with a = 0.05, which keeps only one
    end away from infinity.

    Args:
        alpha: The constant a, which keeps both ends of [-1, 1] away from infinity.

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


def mlp(inputs: int, outputs: int, *, width: int, depth: int) -> nn.Sequential:
    """Build an MLP of ReLU units as a conditioner; its last layer is initialized to 0, which gives the identity.

    Args:
        inputs: Number of inputs.
        outputs: Number of outputs.
        width: Units per hidden layer.
        depth: Number of hidden layers.
    """
    layers = [*hidden_layers(inputs, width=width, depth=depth), nn.Linear(width, outputs)]
    for parameter in layers[-1].parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(*layers)


def even_odd_indices(size: int) -> tuple[list[int], list[int]]:
    """List the even and the odd indices below a size.

    Example:
        >>> even_odd_indices(5)
        ([0, 2, 4], [1, 3])
    """
    return [*range(0, size, 2)], [*range(1, size, 2)]
