"""The first flow: additive couplings of fully connected networks."""

import math

from torch import nn

from lightning_gans.checks import check_image_shape, check_multivariate, check_positive
from lightning_gans.networks.flows import ActNorm, AdditiveCoupling, Chain, Flatten, even_odd_indices, mlp
from lightning_gans.types import ImageShape


class NICE(Chain):
    """Add to every other element what a network tells of the rest, in turns, and scale each at last.

    From *NICE: Non-linear Independent Components Estimation*, arXiv:1410.8516; its prior is the logistic one. Width and
    depth are those of the flow-GAN's code (`ermongroup/flow-gan`, README). Two things are set here, for few steps to be
    enough: the last layers start at 0, and the scales at what gives the first batch standard deviation 1, as the shift
    beside them gives it mean 0.

    Images come dequantized, in [-1, 1], points as they are; what comes back is not bounded.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        width: Units per hidden layer.
        depth: Hidden layers of each coupling.
        couplings: How many there are; a half moves at every other one.

    Raises:
        ValueError: If a size is below 1, or an example has only one element.

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

        def network(inputs: int, outputs: int) -> nn.Module:
            return mlp(inputs, outputs, width=width, depth=depth)

        turns = [(even, odd) if turn % 2 == 0 else (odd, even) for turn in range(couplings)]
        layers = [AdditiveCoupling(kept, moved, network) for kept, moved in turns]
        super().__init__(Flatten(image_shape), *layers, ActNorm((size,)))
