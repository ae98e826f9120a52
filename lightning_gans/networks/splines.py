"""The flow of points: couplings that move each coordinate along a spline."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_image_shape, check_multivariate, check_positive
from lightning_gans.networks.flows import ActNorm, Chain, ConditionerFactory, Coupling, even_odd_indices, mlp
from lightning_gans.types import ImageShape

SMALLEST = 1e-3
"""Of a bin's width and height, as shares of all, and of a slope at a knot."""

IDENTITY = math.log(math.expm1(1 - SMALLEST))
"""Softplus of this is the slope 1, less the smallest."""


def rational_quadratic_spline(x: Tensor, told: Tensor, *, bound: float, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """Move numbers along a monotonic curve of rational quadratic pieces; beyond [-bound, bound] they stay.

    From *Neural Spline Flows*, arXiv:1906.04032, section 3.1 and appendix A. All numbers told being 0, it is the
    identity.

    Args:
        x: Any shape.
        told: (*x.shape, 3k - 1) for k pieces: k widths and k heights before a softmax, k - 1 slopes at the inner knots
            before a softplus; at the ends the slope is 1.
        bound: How far the curve goes.
        inverse: Whether to go back, from y to x.

    Returns:
        y, or x for the inverse, and the logarithm of the slope dy/dx there.

    Example:
        >>> rational_quadratic_spline(torch.tensor([0.5, 9.0]), torch.zeros(2, 11), bound=3.0)[0]
        tensor([0.5000, 9.0000])
    """
    pieces = (told.shape[-1] + 1) // 3
    widths, heights, slopes = torch.split(told, [pieces, pieces, pieces - 1], dim=-1)
    left, width = _knots(widths, bound)
    bottom, height = _knots(heights, bound)
    slope = F.pad(F.softplus(slopes + IDENTITY) + SMALLEST, (1, 1), value=1.0)
    inside = x.abs() < bound
    place = torch.where(inside, x, torch.zeros_like(x))

    edges = (bottom if inverse else left)[..., 1:]  # the first piece begins below all
    piece = (place.unsqueeze(-1) >= edges).sum(-1, keepdim=True)

    def at(values: Tensor, offset: int = 0) -> Tensor:
        return values.gather(-1, piece + offset).squeeze(-1)

    x0, w, y0, h, d0, d1 = at(left), at(width), at(bottom), at(height), at(slope), at(slope, 1)
    s = h / w
    bend = d0 + d1 - 2 * s
    if inverse:  # equations 6 to 8 of appendix A: the root that lies in [0, 1]
        rise = place - y0
        a, b, c = h * (s - d0) + rise * bend, h * d0 - rise * bend, -s * rise
        share = 2 * c / (-b - (b.square() - 4 * a * c).clamp(min=0).sqrt())
        moved = x0 + share * w
    else:
        share = (place - x0) / w
        moved = y0 + h * (s * share.square() + d0 * share * (1 - share)) / (s + bend * share * (1 - share))
    # equation 5
    mixed = d1 * share.square() + 2 * s * share * (1 - share) + d0 * (1 - share).square()
    log_slope = 2 * s.log() + mixed.log() - 2 * (s + bend * share * (1 - share)).log()
    return torch.where(inside, moved, x), torch.where(inside, log_slope, torch.zeros_like(x))


def _knots(raw: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Where pieces begin, (..., k), and their sizes: at least a thousandth of the whole, which they add up to."""
    shares = SMALLEST + (1 - SMALLEST * raw.shape[-1]) * raw.softmax(-1)
    ends = 2 * bound * shares.cumsum(-1) - bound
    begin = F.pad(ends[..., :-1], (1, 0), value=-bound)
    return begin, F.pad(ends[..., :-1], (0, 1), value=bound) - begin


class SplineCoupling(Coupling):
    """Move each element along a spline that the network tells. From *Neural Spline Flows*, arXiv:1906.04032.

    Args:
        kept: Which indices of the axis after the batch's stay.
        moved: Which move.
        network: Makes the network from (inputs, outputs).
        bins: Pieces of a spline.
        bound: How far it goes; elements beyond stay.

    Raises:
        ValueError: If there are fewer than 2 pieces, or more than a thousandth of the whole allows.
    """

    def __init__(
        self,
        kept: Sequence[int],
        moved: Sequence[int],
        network: ConditionerFactory,
        *,
        bins: int = 16,
        bound: float = 4.0,
    ) -> None:
        if not 2 <= bins < 1 / SMALLEST:
            raise ValueError(f"`bins` must be at least 2 and below {1 / SMALLEST:.0f}, got {bins}")
        if bound <= 0:
            raise ValueError(f"`bound` must be above 0, got {bound}")
        super().__init__(kept, moved, network, numbers=3 * bins - 1)
        self.bound = bound

    def move(self, x: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Along the curve."""
        return rational_quadratic_spline(x, told.movedim(1, -1), bound=self.bound)

    def move_back(self, y: Tensor, told: Tensor) -> Tensor:
        """And back."""
        return rational_quadratic_spline(y, told.movedim(1, -1), bound=self.bound, inverse=True)[0]


class SplineFlow(Chain):
    """Move half of a point's coordinates along splines that a network tells of the others, in turns.

    From *Neural Spline Flows*, arXiv:1906.04032. Its prior is the normal one. `ActNorm` brings the points of the first
    batch to mean 0 and standard deviation 1, within reach of the splines.

    Args:
        image_shape: (dimensions,) of a point.
        width: Units per hidden layer.
        depth: Hidden layers of each network.
        couplings: How many there are; a half moves at every other one.
        bins: Pieces of a spline.
        bound: How far splines go, in standard deviations; coordinates beyond are only scaled and shifted.

    Raises:
        ValueError: If `image_shape` is not a point's of at least 2 coordinates, or a number is out of its range.

    Example:
        >>> flow = SplineFlow((2,), width=16)
        >>> z, log_det = flow(torch.randn(8, 2))
        >>> z.shape, log_det.shape, flow.inverse(z).shape
        (torch.Size([8, 2]), torch.Size([8]), torch.Size([8, 2]))
    """

    def __init__(
        self,
        image_shape: ImageShape,
        *,
        width: int = 128,
        depth: int = 2,
        couplings: int = 4,
        bins: int = 16,
        bound: float = 4.0,
    ) -> None:
        check_image_shape(image_shape)
        check_positive(width=width, depth=depth, couplings=couplings)
        name = type(self).__name__
        if len(image_shape) != 1:
            raise ValueError(f"{name} works on points (dimensions,), got `image_shape` {image_shape}")
        check_multivariate(name, image_shape)
        even, odd = even_odd_indices(*image_shape)

        def network(inputs: int, outputs: int) -> nn.Module:
            return mlp(inputs, outputs, width=width, depth=depth)

        turns = [(even, odd) if turn % 2 == 0 else (odd, even) for turn in range(couplings)]
        layers = [SplineCoupling(kept, moved, network, bins=bins, bound=bound) for kept, moved in turns]
        super().__init__(ActNorm(image_shape), *layers)
