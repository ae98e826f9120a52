"""What flows are made of: layers that can be gone through both ways, and whose Jacobian is known.

A layer maps x to y by `forward`, which also tells the logarithm of the absolute value of the Jacobian's determinant, in
nats, one number for each example; `inverse` maps y back to x. A flow is such a layer whose y, the latent, is flat, and
is made by a factory from (image_shape). By the change of variables, log p(x) = log p(y) + log |det dy/dx|.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST_STD = 1e-3
"""What `ActNorm` takes a smaller standard deviation for: one of too few examples, or of data that do not vary."""

ConditionerFactory = Callable[[int, int], nn.Module]
"""Makes the network of a coupling from (inputs, outputs), sizes of the axis after the batch's."""


class Bijection(nn.Module, ABC):
    """A layer that can be gone through both ways."""

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (b, ...) to y (b, ...), and tell log |det dy/dx|, (b,) nats."""

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """Map y back to x."""


class Chain(Bijection):
    """Go through layers one after the other.

    Args:
        *layers: The first one first.

    Example:
        >>> chain = Chain(Flatten((1, 2, 2)), ActNorm((4,)))
        >>> z, log_det = chain(torch.randn(8, 1, 2, 2))
        >>> z.shape, log_det.shape, chain.inverse(z).shape
        (torch.Size([8, 4]), torch.Size([8]), torch.Size([8, 1, 2, 2]))
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x to y, and add up the log-determinants, (b,) nats."""
        total = x.new_zeros(len(x))
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return x, total

    def inverse(self, y: Tensor) -> Tensor:
        """Map y back to x, from the last layer to the first."""
        for layer in reversed(self.layers):
            y = layer.inverse(y)  # type: ignore[operator]
        return y


class Flatten(Bijection):
    """Put the elements of an example in one row.

    Args:
        shape: That of an example.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, *shape) to (b, d); the volume stays."""
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        """Map (b, d) to (b, *shape)."""
        return y.view(len(y), *self.shape)


class Squeeze(Bijection):
    """Make every 2 x 2 pixels one pixel of four times as many channels.

    The four of channel k become the channels 4k (upper left), 4k + 1 (upper right), 4k + 2 and 4k + 3 (below). From
    *Density estimation using Real NVP*, arXiv:1605.08803, section 3.6.

    Example:
        >>> Squeeze()(torch.arange(4.0).view(1, 1, 2, 2))[0].flatten()
        tensor([0., 1., 2., 3.])
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, c, 2h, 2w) to (b, 4c, h, w); the volume stays."""
        return F.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        """Map (b, 4c, h, w) to (b, c, 2h, 2w)."""
        return F.pixel_shuffle(y, 2)


class ActNorm(Bijection):
    """Shift and scale, by numbers that start where the first batch gets mean 0 and standard deviation 1.

    After that they are learned like all weights, so that the density of an example never depends on other examples, as
    it would with the statistics of a batch. `initialize` lets them start there; before, they do nothing. From *Glow*,
    arXiv:1807.03039, section 3.1.

    Args:
        shape: What has a shift and a scale of its own: (c, 1, 1) for every channel, (d,) for every element.

    Example:
        >>> norm = ActNorm((2,))
        >>> initialize(norm, torch.tensor([[0.0, 10.0], [4.0, 20.0]]))
        >>> norm(torch.tensor([[0.0, 10.0], [4.0, 20.0]]))[0].round(decimals=4).tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(shape))
        self.log_scale = nn.Parameter(torch.zeros(shape))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Start where x (b, ...) gets mean 0 and standard deviation 1; one below 1e-3 is taken for 1e-3."""
        shared = [0, *(axis + 1 for axis, size in enumerate(self.shift.shape) if size == 1 and x.shape[axis + 1] > 1)]
        std, mean = torch.std_mean(x, dim=shared, correction=0, keepdim=True)
        self.shift.copy_(-mean[0])
        self.log_scale.copy_(-std[0].clamp(min=SMALLEST_STD).log())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x to (x + shift) exp(log_scale)."""
        positions = x.shape[1:].numel() // self.log_scale.numel()
        return (x + self.shift) * self.log_scale.exp(), (positions * self.log_scale.sum()).expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        """Divide, and shift back."""
        return y * (-self.log_scale).exp() - self.shift


@torch.no_grad()
def initialize(flow: nn.Module, x: Tensor) -> None:
    """Let every `ActNorm` of a flow start from what reaches it of a batch; a flow without any stays as it is.

    Args:
        flow: Any module; x goes through it once.
        x: The batch, (b, ...).
    """

    def fit(norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(norm, ActNorm)
        norm.fit(inputs[0])

    norms = [module for module in flow.modules() if isinstance(module, ActNorm)]
    hooks = [norm.register_forward_pre_hook(fit) for norm in norms]
    try:
        if norms:
            flow(x)
    finally:
        for hook in hooks:
            hook.remove()


class Coupling(Bijection):
    """Move some of the channels, as a network tells of the others, which stay.

    The network is never inverted, and may be anything. A subclass says how one element moves. From *NICE*,
    arXiv:1410.8516, section 3.2.

    Args:
        kept: Which indices of the axis after the batch's stay.
        moved: Which move; each index of the axis is in one of both.
        network: Makes the network from (inputs, outputs): it maps (b, inputs, ...) to (b, outputs, ...).
        numbers: What the network tells of an element that moves, in how many numbers; 0 lets it stay.
    """

    kept: Tensor
    moved: Tensor
    back: Tensor

    def __init__(self, kept: Sequence[int], moved: Sequence[int], network: ConditionerFactory, *, numbers: int) -> None:
        super().__init__()
        self.numbers = numbers
        for name, index in (("kept", [*kept]), ("moved", [*moved]), ("back", _inverse([*kept, *moved]))):
            self.register_buffer(name, torch.tensor(index), persistent=False)
        self.network = network(len(kept), numbers * len(moved))

    @abstractmethod
    def move(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Move elements (b, m, ...) as told, (b, numbers, m, ...); also log |dy/dx| of each, (b, m, ...) nats."""

    @abstractmethod
    def move_back(self, y: Tensor, told: Tensor) -> Tensor:
        """Undo `move`."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Move a part of x as told by the rest of it."""
        kept = x.index_select(1, self.kept)
        moved, log_det = self.move(x.index_select(1, self.moved), self._tell(kept))
        return torch.cat([kept, moved], dim=1).index_select(1, self.back), log_det.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        """Move that part back: the rest, which tells how, is as it was."""
        kept = y.index_select(1, self.kept)
        moved = self.move_back(y.index_select(1, self.moved), self._tell(kept))
        return torch.cat([kept, moved], dim=1).index_select(1, self.back)

    def _tell(self, kept: Tensor) -> Tensor:
        told: Tensor = self.network(kept)
        return told.view(len(told), self.numbers, len(self.moved), *told.shape[2:])


class AdditiveCoupling(Coupling):
    """Add what the network tells: the volume stays. From *NICE*, arXiv:1410.8516, equation 8.

    The arguments are those of `Coupling`, without `numbers`.
    """

    def __init__(self, kept: Sequence[int], moved: Sequence[int], network: ConditionerFactory) -> None:
        super().__init__(kept, moved, network, numbers=1)

    def move(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Add: y = x + t."""
        return x + told.squeeze(1), torch.zeros_like(x)

    def move_back(self, y: Tensor, told: Tensor) -> Tensor:
        """Subtract: x = y - t."""
        return y - told.squeeze(1)


class AffineCoupling(Coupling):
    """Scale and shift as the network tells. From *Density estimation using Real NVP*, arXiv:1605.08803, equation 5.

    The logarithm of the scale is bounded by a hyperbolic tangent, as the authors' is, times a number here where theirs
    is learned: one layer scales by at most exp(bound), and none makes an inverse lose its digits.

    Args:
        kept: Which indices of the axis after the batch's stay.
        moved: Which move.
        network: Makes the network from (inputs, outputs).
        bound: The largest logarithm of a scale.
    """

    def __init__(
        self, kept: Sequence[int], moved: Sequence[int], network: ConditionerFactory, *, bound: float = 2.0
    ) -> None:
        super().__init__(kept, moved, network, numbers=2)
        self.bound = bound

    def move(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift: y = x exp(s) + t."""
        log_scale, shift = self._split(told)
        return x * log_scale.exp() + shift, log_scale

    def move_back(self, y: Tensor, told: Tensor) -> Tensor:
        """Shift and scale back: x = (y - t) exp(-s)."""
        log_scale, shift = self._split(told)
        return (y - shift) * (-log_scale).exp()

    def _split(self, told: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = told.unbind(1)
        return self.bound * torch.tanh(raw / self.bound), shift


class Logit(Bijection):
    """Take images in [-1, 1] to the real line: y = logit(a + (1 - 2a) (x + 1) / 2), of each element.

    What a model of unbounded values makes is an image again on the way back. After *Density estimation using Real
    NVP*, arXiv:1605.08803, section 4.1, whose a + (1 - a) x keeps only one end away; a is .05.

    Args:
        alpha: a, which keeps the ends away from infinity.

    Raises:
        ValueError: `alpha` is not between 0 and .5.

    Example:
        >>> Logit()(torch.tensor([[-1.0, 0.0, 1.0]]))[0]
        tensor([[-2.9444,  0.0000,  2.9444]])
    """

    def __init__(self, *, alpha: float = 0.05) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise ValueError(f"`alpha` must be above 0 and below .5, got {alpha}")
        self.alpha = alpha

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x to y; dy/dx = (1/2 - a) / (p (1 - p)), where y = logit(p)."""
        y = torch.logit(self.alpha + (0.5 - self.alpha) * (x + 1))
        slope = math.log(0.5 - self.alpha) + F.softplus(y) + F.softplus(-y)
        return y, slope.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        """Map y to x, which may lie beyond [-1, 1] by 2a / (1 - 2a)."""
        tiny = torch.finfo(y.dtype).eps
        p = torch.sigmoid(y).clamp(tiny, 1 - tiny)  # what rounds to 0 or 1 would have no way forward again
        return (p - self.alpha) / (0.5 - self.alpha) - 1


def mlp(inputs: int, outputs: int, *, width: int, depth: int) -> nn.Sequential:
    """Layers of rectified units, the last of which starts at 0: a coupling does nothing at first.

    Args:
        inputs: How many.
        outputs: How many.
        width: Units per hidden layer.
        depth: Hidden layers.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *[width] * depth]):
        layers += [nn.Linear(before, after), nn.ReLU()]
    last = nn.Linear(width, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def even_odd_indices(size: int) -> tuple[list[int], list[int]]:
    """The even and the odd ones of so many indices, which interleave.

    Example:
        >>> even_odd_indices(5)
        ([0, 2, 4], [1, 3])
    """
    return [*range(0, size, 2)], [*range(1, size, 2)]


def _inverse(permutation: Sequence[int]) -> list[int]:
    """Where each index has gone."""
    return sorted(range(len(permutation)), key=permutation.__getitem__)
