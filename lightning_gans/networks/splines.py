"""Neural spline flows: coupling layers whose elementwise transform is a monotonic spline."""

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_gans.checks import check_image_shape, check_multivariate, check_positive
from lightning_gans.networks.couplings import ConditionerFactory, Coupling, Indices, even_odd_indices, mlp
from lightning_gans.networks.flows import ActNorm, Chain
from lightning_gans.types import ImageShape

MIN_BIN_SIZE = 1e-3
"""Smallest width and height of a bin, as shares of the whole interval."""

MIN_DERIVATIVE = 1e-3
"""Smallest derivative at a knot."""

UNIT_DERIVATIVE = math.log(math.expm1(1 - MIN_DERIVATIVE))
"""Unconstrained derivative that corresponds to the derivative 1: its softplus is 1 - `MIN_DERIVATIVE`."""


def rational_quadratic_spline(
    x: Tensor, params: Tensor, *, bound: float, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Apply monotonic rational-quadratic splines elementwise; outside [-bound, bound] they are the identity.

    From *Neural Spline Flows*, arXiv:1906.04032, section 3.1 and appendix A. If all parameters are 0, the spline is the
    identity.

    Args:
        x: Elements of any shape.
        params: Parameters (*x.shape, 3k - 1) of splines of k bins: k widths and k heights before a softmax, and k - 1
            derivatives at the inner knots before a softplus. The derivative at both ends is 1.
        bound: Half the length of the interval on which the spline differs from the identity.
        inverse: Whether to apply the inverse spline, from y to x, default False.

    Returns:
        y, or x for the inverse, and log dy/dx there.

    Example:
        >>> rational_quadratic_spline(torch.tensor([0.5, 9.0]), torch.zeros(2, 11), bound=3.0)[0]
        tensor([0.5000, 9.0000])
    """
    bins = (params.shape[-1] + 1) // 3
    widths, heights, derivatives = torch.split(params, [bins, bins, bins - 1], dim=-1)
    left, width = _knots(widths, bound)
    bottom, height = _knots(heights, bound)
    derivative = F.pad(F.softplus(derivatives + UNIT_DERIVATIVE) + MIN_DERIVATIVE, (1, 1), value=1.0)
    inside = x.abs() < bound
    inputs = torch.where(inside, x, torch.zeros_like(x))

    edges = (bottom if inverse else left)[..., 1:]  # the first bin begins at -bound, below all inputs
    index = (inputs.unsqueeze(-1) >= edges).sum(-1, keepdim=True)

    def select(values: Tensor, offset: int = 0) -> Tensor:
        return values.gather(-1, index + offset).squeeze(-1)

    x0, w, y0, h = select(left), select(width), select(bottom), select(height)
    d0, d1 = select(derivative), select(derivative, 1)
    s = h / w
    curvature = d0 + d1 - 2 * s
    if inverse:  # equations 6 to 8 of appendix A: the root in [0, 1]
        rise = inputs - y0
        a, b, c = h * (s - d0) + rise * curvature, h * d0 - rise * curvature, -s * rise
        xi = 2 * c / (-b - (b.square() - 4 * a * c).clamp(min=0).sqrt())
        outputs = x0 + xi * w
    else:  # equation 4
        xi = (inputs - x0) / w
        outputs = y0 + h * (s * xi.square() + d0 * xi * (1 - xi)) / (s + curvature * xi * (1 - xi))
    # equation 5
    numerator = d1 * xi.square() + 2 * s * xi * (1 - xi) + d0 * (1 - xi).square()
    log_slope = 2 * s.log() + numerator.log() - 2 * (s + curvature * xi * (1 - xi)).log()
    return torch.where(inside, outputs, x), torch.where(inside, log_slope, torch.zeros_like(x))


def _knots(raw: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Compute the lower ends of bins (..., k) and their sizes, which sum to 2 * bound."""
    shares = MIN_BIN_SIZE + (1 - MIN_BIN_SIZE * raw.shape[-1]) * raw.softmax(-1)
    ends = 2 * bound * shares.cumsum(-1) - bound
    begin = F.pad(ends[..., :-1], (1, 0), value=-bound)
    return begin, F.pad(ends[..., :-1], (0, 1), value=bound) - begin


class SplineCoupling(Coupling):
    """Transform channels by rational-quadratic splines. From *Neural Spline Flows*, arXiv:1906.04032.

    Args:
        identity_idx: Indices of the channels that pass through unchanged.
        transform_idx: Indices of the channels that are transformed.
        conditioner: Factory of the conditioner from (inputs, outputs).
        bins: Number of bins of a spline, default 16.
        bound: Half the length of the interval of a spline, default 4; elements outside [-bound, bound] are unchanged.

    Raises:
        ValueError: If `bins` is not from 2 to 999 (the smallest bin size is 0.001), or `bound` is not above 0.
    """

    def __init__(
        self,
        identity_idx: Indices,
        transform_idx: Indices,
        conditioner: ConditionerFactory,
        *,
        bins: int = 16,
        bound: float = 4.0,
    ) -> None:
        if not 2 <= bins < 1 / MIN_BIN_SIZE:
            raise ValueError(f"`bins` must be at least 2 and below {1 / MIN_BIN_SIZE:.0f}, got {bins}")
        if bound <= 0:
            raise ValueError(f"`bound` must be above 0, got {bound}")
        super().__init__(identity_idx, transform_idx, conditioner, params_per_element=3 * bins - 1)
        self.bound = bound

    def transform(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the splines."""
        return rational_quadratic_spline(x, params.movedim(1, -1), bound=self.bound)

    def transform_inverse(self, y: Tensor, params: Tensor) -> Tensor:
        """Apply the inverse splines."""
        return rational_quadratic_spline(y, params.movedim(1, -1), bound=self.bound, inverse=True)[0]


class SplineFlow(Chain):
    """Transform points by spline coupling layers on alternating halves of the coordinates.

    From *Neural Spline Flows*, arXiv:1906.04032. The prior is the standard normal distribution. The first layer is an
    `ActNorm`, which normalizes the first batch to mean 0 and standard deviation 1, within the bound of the splines.

    Args:
        image_shape: (dimensions,) of a point.
        width: Units per hidden layer of a conditioner, default 128.
        depth: Number of hidden layers of a conditioner, default 2.
        couplings: Number of coupling layers, default 4; each half of the coordinates is transformed by every other
            layer.
        bins: Number of bins of a spline, default 16.
        bound: Half the length of the interval of a spline, in standard deviations, default 4; coordinates outside are
            only shifted and scaled.

    Raises:
        ValueError: If `image_shape` is not (dimensions,) with at least 2 dimensions, or a number is out of its range.

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
        splits = [(even, odd), (odd, even)]
        conditioner = partial(mlp, width=width, depth=depth)
        layers = [SplineCoupling(*splits[index % 2], conditioner, bins=bins, bound=bound) for index in range(couplings)]
        super().__init__(ActNorm(image_shape), *layers)
