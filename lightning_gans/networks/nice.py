"""NICE: additive coupling layers of fully connected networks."""

import math
from functools import partial

from lightning_gans.checks import check_image_shape, check_multivariate, check_positive
from lightning_gans.networks.couplings import AdditiveCoupling, even_odd_indices, mlp
from lightning_gans.networks.flows import ActNorm, Chain, Flatten
from lightning_gans.types import ImageShape


class NICE(Chain):
    """Transform examples by additive coupling layers on alternating halves, followed by one scaling layer.

    From *NICE: Non-linear Independent Components Estimation*, arXiv:1410.8516, where the prior is logistic. The default
    width and depth come from the Flow-GAN code (`ermongroup/flow-gan`, README). Two initializations differ from the
    paper, to save training steps. The last layer of each conditioner is initialized to 0. The final layer is an
    `ActNorm`, which normalizes the first batch to mean 0 and standard deviation 1.

    Images must be dequantized and in [-1, 1]; points have any range. The outputs of `inverse` are unbounded.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        width: Units per hidden layer of a conditioner, default 1,000.
        depth: Number of hidden layers of a conditioner, default 5.
        couplings: Number of coupling layers, default 4; each half of the elements is transformed by every other layer.

    Raises:
        ValueError: If a size is below 1, or an example has a single element.

    Example:
        >>> import torch
        >>> flow = NICE((1, 8, 8), width=32)
        >>> z, log_det = flow(torch.rand(4, 1, 8, 8) * 2 - 1)
        >>> z.shape, log_det.shape, flow.inverse(z).shape
        (torch.Size([4, 64]), torch.Size([4]), torch.Size([4, 1, 8, 8]))
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 1000, depth: int = 5, couplings: int = 4) -> None:
        check_image_shape(image_shape)
        check_positive(width=width, depth=depth, couplings=couplings)
        check_multivariate(type(self).__name__, image_shape)
        size = math.prod(image_shape)
        even, odd = even_odd_indices(size)
        splits = [(even, odd), (odd, even)]
        conditioner = partial(mlp, width=width, depth=depth)
        layers = [AdditiveCoupling(*splits[index % 2], conditioner) for index in range(couplings)]
        super().__init__(Flatten(image_shape), *layers, ActNorm((size,)))
