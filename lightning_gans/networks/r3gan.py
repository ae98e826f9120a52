"""Residual networks without normalization, after R3GAN, for images of any size.

A block is 1 x 1, grouped 3 x 3, 1 x 1, with a bias and a leaky ReLU after the first two, added to its input. The last
layer of every block starts at 0 and the others are scaled down by the number of blocks (Fixup, arXiv:1901.09321), which
takes the place of normalization: at first each network is linear between its ends, however deep. Images are resized
bilinearly. The outline is that of *The GAN is dead; long live the GAN! A Modern GAN Baseline*, arXiv:2501.05441; sizes
and initial weights are chosen here, and the generator ends in a tanh, which keeps images in [-1, 1].
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_image, check_positive
from lightning_gans.networks.sizes import halvings
from lightning_gans.types import ImageShape

SLOPE = 0.2
"""Of the leaky ReLU."""

EXPANSION = 2
"""Channels inside a block, as a multiple of those outside."""

GROUP = 16
"""Channels that one group of a 3 x 3 convolution sees, at most."""


class R3GANGenerator(nn.Module):
    """Map latents to images: a learned pattern, weighted by the latent, grows by residual blocks.

    From *The GAN is dead; long live the GAN!*, arXiv:2501.05441. Sizes go from at most 4 pixels, 4 - 8 - 16 - 32, or
    4 - 7 - 14 - 28.

    Args:
        latent_dim: Size of a latent vector.
        image_shape: (channels, height, width).
        width: Channels between blocks.
        blocks: Residual blocks at each size.

    Raises:
        ValueError: If `image_shape` is not an image's, or a size is below 1.

    Example:
        >>> R3GANGenerator(64, (3, 32, 32), width=16)(torch.randn(8, 64)).shape
        torch.Size([8, 3, 32, 32])
    """

    def __init__(self, latent_dim: int, image_shape: ImageShape, *, width: int = 128, blocks: int = 2) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(latent_dim=latent_dim, width=width, blocks=blocks)
        sizes = halvings(image_shape, until=4)[::-1]
        self.pattern = nn.Parameter(torch.randn(width, *sizes[0]))
        self.weights = nn.Linear(latent_dim, width)
        self.layers = nn.Sequential(
            *_blocks(width, blocks),
            *(nn.Sequential(_Resize(larger), *_blocks(width, blocks)) for larger in sizes[1:]),
        )
        self.image = nn.Conv2d(width, image_shape[0], kernel_size=1)
        _initialize(self)

    def forward(self, latents: Tensor) -> Tensor:
        """Map latents (b, latent_dim) to images (b, *image_shape) in [-1, 1]."""
        weighted = self.weights(latents)[..., None, None] * self.pattern
        return torch.tanh(self.image(self.layers(weighted)))


class R3GANDiscriminator(nn.Module):
    """Judge images by residual blocks without normalization, each image on its own.

    From *The GAN is dead; long live the GAN!*, arXiv:2501.05441: the mirror image of `R3GANGenerator`. At the smallest
    size every channel is weighted with a pattern of its own, and a linear layer makes the logit of the sums.

    Args:
        image_shape: (channels, height, width).
        width: Channels between blocks.
        blocks: Residual blocks at each size.

    Raises:
        ValueError: If `image_shape` is not an image's, or a size is below 1.

    Example:
        >>> R3GANDiscriminator((3, 32, 32), width=16)(torch.zeros(8, 3, 32, 32)).shape
        torch.Size([8])
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 128, blocks: int = 2) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(width=width, blocks=blocks)
        sizes = halvings(image_shape, until=4)
        self.layers = nn.Sequential(
            nn.Conv2d(image_shape[0], width, kernel_size=1),
            *(nn.Sequential(*_blocks(width, blocks), _Resize(smaller)) for _, smaller in pairwise(sizes)),
            *_blocks(width, blocks),
        )
        self.pattern = nn.Conv2d(width, width, kernel_size=sizes[-1], groups=width, bias=False)
        self.logit = nn.Linear(width, 1)
        _initialize(self)

    def features(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to what the logit is a linear function of, (b, width)."""
        features: Tensor = self.pattern(self.layers(images)).flatten(1)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to logits (b,)."""
        logits: Tensor = self.logit(self.features(images))
        return logits.squeeze(1)


class _Block(nn.Module):
    """Add a residual of three convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inside = EXPANSION * width
        self.residual = nn.Sequential(
            nn.Conv2d(width, inside, kernel_size=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(inside, inside, kernel_size=3, padding=1, groups=inside // math.gcd(inside, GROUP)),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(inside, width, kernel_size=1, bias=False),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (b, width, h, w) to the same shape."""
        residual: Tensor = self.residual(inputs)
        return inputs + residual


class _Resize(nn.Module):
    """Resize bilinearly; halving an even size takes the mean of 2 x 2 pixels."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (b, channels, h, w) to (b, channels, *size)."""
        return F.interpolate(inputs, self.size, mode="bilinear", align_corners=False)


def _blocks(width: int, count: int) -> list[nn.Module]:
    return [_Block(width) for _ in range(count)]


def _initialize(network: nn.Module) -> None:
    """Keep variances from layer to layer; in blocks, by Fixup: L^(-1 / (2m - 2)) for L blocks of m = 3 layers."""
    blocks = [module for module in network.modules() if isinstance(module, _Block)]
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for block in blocks:
        first, _, second, _, last = block.residual
        for convolution in (first, second):
            nn.init.kaiming_normal_(convolution.weight, SLOPE)  # type: ignore[arg-type]
            with torch.no_grad():
                convolution.weight.mul_(len(blocks) ** -0.25)  # type: ignore[operator]
        nn.init.zeros_(last.weight)  # type: ignore[arg-type]
