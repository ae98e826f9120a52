"""Coupling layers of normalizing flows, and the MLP that serves as their conditioner."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lightning_gans.networks.flows import Bijection
from lightning_gans.networks.mlp import hidden_layers

Indices = Sequence[int]
"""Indices of channels, along the axis after the batch axis."""

ConditionerFactory = Callable[[int, int], nn.Module]
"""Factory of the conditioner of a coupling layer from (inputs, outputs), the sizes of the axis after the batch axis."""


class Coupling(Bijection):
    """Base class of coupling layers.

    A coupling layer transforms some channels elementwise, with parameters that a conditioner computes from the other
    channels, which pass through unchanged. The conditioner can be any network, as it is never inverted. A subclass
    defines the elementwise transform. From *NICE*, arXiv:1410.8516, section 3.2.

    Args:
        identity_idx: Indices of the channels that pass through unchanged.
        transform_idx: Indices of the channels that are transformed; each index is in exactly one of the two sets.
        conditioner: Factory of the conditioner from (inputs, outputs); it maps (b, inputs, ...) to (b, outputs, ...).
        params_per_element: Number of parameters of the transform of an element. If all are 0, the transform is the
            identity.
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
    """Transform channels by a shift, which preserves volume. From *NICE*, arXiv:1410.8516, equation 8.

    The arguments are the same as for `Coupling`, except `params_per_element`.
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
    """Transform channels by a scale and a shift. From *Density estimation using Real NVP*, arXiv:1605.08803, eq. 5.

    A hyperbolic tangent bounds the logarithm of the scale, as in the authors' code. The bound is a constant here; in
    the authors' code it is learned. A layer therefore scales by at most exp(bound), which keeps the inverse accurate.

    Args:
        identity_idx: Indices of the channels that pass through unchanged.
        transform_idx: Indices of the channels that are transformed.
        conditioner: Factory of the conditioner from (inputs, outputs).
        bound: Largest absolute value of the logarithm of a scale, default 2.
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
