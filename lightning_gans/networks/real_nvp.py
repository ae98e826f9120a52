"""Real NVP: affine coupling layers of convolutional networks at several scales."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_image, check_positive
from lightning_gans.networks.couplings import AffineCoupling
from lightning_gans.networks.flows import ActNorm, Bijection, Chain, Flatten, Logit, Squeeze
from lightning_gans.networks.module_list import ModuleList
from lightning_gans.types import ImageShape


class RealNVP(Chain):
    """Transform images by affine coupling layers at several scales.

    A `Logit` maps elements from [-1, 1] to real numbers. At each scale, `Squeeze` rearranges each block of 2 x 2 pixels
    into channels. Coupling layers first alternate between the two colors of a checkerboard of pixels, then between two
    halves of the channels. After that, half of the elements become latents, and the other half is processed at the next
    scale, of half the height and width. The prior is the standard normal distribution. From *Density estimation using
    Real NVP*, arXiv:1605.08803.

    What differs from the authors' code: a checkerboard coupling works on squeezed channels. Its conditioner sees only
    the unchanged half of the channels, instead of a masked image of four times the size, at a quarter of the cost.
    `ActNorm` replaces batch normalization, which would make the density of an example depend on other examples. The
    bound of the scales is not learned. The last layers of the conditioners are initialized to 0.

    Args:
        image_shape: (channels, height, width); height and width are even.
        width: Channels inside the conditioners, default 32.
        blocks: Residual blocks per conditioner, default 2.
        scales: Number of scales, default 2. A larger number than height and width can be halved is reduced to that.
        couplings: Number of coupling layers of each kind per scale, default 3; with only one, a quarter of the elements
            is never transformed.
        alpha: Constant that keeps pixels away from infinity, see `Logit`, default 0.05.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width) with even sizes, or a number is out of its range.

    Example:
        >>> flow = RealNVP((3, 32, 32), width=8, blocks=1)
        >>> z, log_det = flow(torch.rand(4, 3, 32, 32) * 2 - 1)
        >>> z.shape, log_det.shape, flow.inverse(z).shape
        (torch.Size([4, 3072]), torch.Size([4]), torch.Size([4, 3, 32, 32]))
    """

    def __init__(
        self,
        image_shape: ImageShape,
        *,
        width: int = 32,
        blocks: int = 2,
        scales: int = 2,
        couplings: int = 3,
        alpha: float = 0.05,
    ) -> None:
        name = type(self).__name__
        check_image(name, image_shape)
        check_positive(width=width, blocks=blocks, scales=scales, couplings=couplings)
        channels, height, image_width = image_shape
        if height % 2 or image_width % 2:
            raise ValueError(f"{name} works on images of even height and width, got `image_shape` {image_shape}")
        max_scales = min((size & -size).bit_length() - 1 for size in (height, image_width))  # the powers of 2 in both

        def conditioner(inputs: int, outputs: int) -> nn.Module:
            return _ResidualNetwork(inputs, outputs, width, blocks)

        def build(scale: int) -> Bijection:
            """Build this scale and all coarser ones."""
            squeezed = channels * 2**scale * 4
            splits = [
                split
                for pair in (checkerboard(squeezed), _channel_halves(squeezed))
                for split in [pair, pair[::-1]] * (couplings // 2) + [pair] * (couplings % 2)
            ]
            layers = [
                layer for split in splits for layer in (ActNorm((squeezed, 1, 1)), AffineCoupling(*split, conditioner))
            ]
            size = (height // 2 ** (scale + 1), image_width // 2 ** (scale + 1))
            if scale + 1 == min(scales, max_scales):
                return Chain(Squeeze(), *layers, Flatten((squeezed, *size)))
            return Chain(Squeeze(), *layers, _FactorOut((squeezed // 2, *size), build(scale + 1)))

        super().__init__(Logit(alpha=alpha), build(0))


class _FactorOut(Bijection):
    """Factor out half of the channels as latents, and transform the rest. From arXiv:1605.08803, section 3.6."""

    def __init__(self, half: tuple[int, int, int], rest: Bijection) -> None:
        super().__init__()
        self.shape = half
        self.rest = rest

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, 2c, h, w) to (b, 2chw); the latents that are factored out here come first."""
        factored, rest = x.chunk(2, dim=1)
        z, log_det = self.rest(rest)
        return torch.cat([factored.flatten(1), z], dim=1), log_det

    def inverse(self, y: Tensor) -> Tensor:
        """Map (b, 2chw) to (b, 2c, h, w)."""
        factored, z = y.chunk(2, dim=1)
        return torch.cat([factored.reshape(len(y), *self.shape), self.rest.inverse(z)], dim=1)


class _ResidualNetwork(nn.Module):
    """Compute the parameters of a coupling layer by residual blocks without normalization; initially they are 0."""

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, width, kernel_size=3, padding=1)
        self.blocks: ModuleList[_Block] = ModuleList(_Block(width, blocks) for _ in range(blocks))
        self.last = nn.Conv2d(width, outputs, kernel_size=3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, inputs, h, w) to (b, outputs, h, w)."""
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        params: Tensor = self.last(F.relu(x))
        return params


class _Block(nn.Module):
    """Add a residual of two convolutions, with initial weights scaled down by the number of blocks."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.mixture = nn.Conv2d(width, width, kernel_size=1)
        nn.init.kaiming_normal_(self.convolution.weight, nonlinearity="relu")
        nn.init.normal_(self.mixture.weight, std=1 / math.sqrt(width * blocks))

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, width, h, w) to the same shape."""
        residual: Tensor = self.mixture(F.relu(self.convolution(F.relu(x))))
        return x + residual


def checkerboard(channels: int) -> tuple[list[int], list[int]]:
    """List the channels, after `Squeeze`, of the dark and of the light squares of a checkerboard of pixels.

    Example:
        >>> checkerboard(4)
        ([0, 3], [1, 2])
    """
    dark = [channel for channel in range(channels) if channel % 4 in (0, 3)]
    return dark, [channel for channel in range(channels) if channel not in dark]


def _channel_halves(channels: int) -> tuple[list[int], list[int]]:
    return [*range(channels // 2)], [*range(channels // 2, channels)]
