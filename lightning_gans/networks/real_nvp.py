"""The flow of images: affine couplings of convolutional networks at several scales."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_image, check_positive
from lightning_gans.networks.flows import ActNorm, AffineCoupling, Bijection, Chain, Flatten, Logit, Squeeze
from lightning_gans.types import ImageShape


class RealNVP(Chain):
    """Scale and shift half of the pixels as a network tells of the others, in turns, at several scales.

    At each scale halves of the pixels take turns in a checkerboard, then halves of the channels that every 2 x 2 pixels
    become; then half of all elements are done, and become latents, and the others go on at half the size. Elements are
    taken from [-1, 1] to the real line at first. The prior is the normal one. From *Density estimation using Real NVP*,
    arXiv:1605.08803.

    What differs: a checkerboard coupling works on every 2 x 2 pixels as channels, of which its network sees only
    the two that stay, rather than on a masked image of four times the size: a quarter of the cost. `ActNorm` takes
    the place of batch normalization, in whose statistics one example's density would depend on the others. The bound of
    the scales is no parameter. The networks' last layers start at 0.

    Args:
        image_shape: (channels, height, width); height and width are even.
        width: Channels inside the networks.
        blocks: Residual blocks of each network.
        scales: How many there are, if the sizes can be halved as often; as many as they can be, otherwise.
        couplings: How many of each kind there are at each scale; with only one, a quarter of the elements never moves.
        alpha: What keeps pixels from infinity, see `Logit`.

    Raises:
        ValueError: If `image_shape` is not an image's of even sizes, or a number is out of its range.

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
        channels, height, breadth = image_shape
        if height % 2 or breadth % 2:
            raise ValueError(f"{name} works on images of even height and width, got `image_shape` {image_shape}")
        possible = min((size & -size).bit_length() - 1 for size in (height, breadth))  # how often 2 divides both

        def network(inputs: int, outputs: int) -> nn.Module:
            return _ResidualNetwork(inputs, outputs, width, blocks)

        def scale(index: int) -> Bijection:
            """All scales from that one on."""
            grown = channels * 2**index * 4
            turns = [
                split
                for pair in (checkerboard(grown), _halved(grown))
                for split in [pair, pair[::-1]] * (couplings // 2) + [pair] * (couplings % 2)
            ]
            steps = [
                step for kept, moved in turns for step in (ActNorm((grown, 1, 1)), AffineCoupling(kept, moved, network))
            ]
            smaller = (height // 2 ** (index + 1), breadth // 2 ** (index + 1))
            if index + 1 == min(scales, possible):
                return Chain(Squeeze(), *steps, Flatten((grown, *smaller)))
            return Chain(Squeeze(), *steps, _FactorOut((grown // 2, *smaller), scale(index + 1)))

        super().__init__(Logit(alpha=alpha), scale(0))


class _FactorOut(Bijection):
    """Let half of the channels be latents, and the others go on. From arXiv:1605.08803, section 3.6."""

    def __init__(self, half: tuple[int, int, int], rest: Bijection) -> None:
        super().__init__()
        self.shape = half
        self.rest = rest

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (b, 2c, h, w) to (b, 2chw): those that are done first."""
        done, going = x.chunk(2, dim=1)
        z, log_det = self.rest(going)
        return torch.cat([done.flatten(1), z], dim=1), log_det

    def inverse(self, y: Tensor) -> Tensor:
        """Map (b, 2chw) to (b, 2c, h, w)."""
        done, z = y.chunk(2, dim=1)
        return torch.cat([done.reshape(len(y), *self.shape), self.rest.inverse(z)], dim=1)


class _ResidualNetwork(nn.Module):
    """Tell how a half moves, by residual blocks without normalization; it tells nothing at first."""

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, width, kernel_size=3, padding=1)
        self.blocks = nn.ModuleList(_Block(width, blocks) for _ in range(blocks))
        self.last = nn.Conv2d(width, outputs, kernel_size=3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, inputs, h, w) to (b, outputs, h, w)."""
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        told: Tensor = self.last(F.relu(x))
        return told


class _Block(nn.Module):
    """Add a residual of two convolutions, scaled down by the number of blocks."""

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
    """The channels, after `Squeeze`, that are the dark and the light squares of a checkerboard of pixels.

    Example:
        >>> checkerboard(4)
        ([0, 3], [1, 2])
    """
    dark = [channel for channel in range(channels) if channel % 4 in (0, 3)]
    return dark, [channel for channel in range(channels) if channel not in dark]


def _halved(channels: int) -> tuple[list[int], list[int]]:
    return [*range(channels // 2)], [*range(channels // 2, channels)]
