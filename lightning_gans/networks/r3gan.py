"""Residual networks of R3GAN, without normalization, for images of any size.

A block adds to its input a residual of three convolutions: 1 x 1, grouped 3 x 3 and 1 x 1. The first two have a bias
and a leaky ReLU. Fixup initialization (arXiv:1901.09321) replaces normalization: the last layer of every block is
initialized to 0, and the initial weights of its other layers decrease with the number of blocks. Initially each block
is the identity, so each network is linear, however deep, up to the final tanh. Feature maps are resized bilinearly.

The structure is from *The GAN is dead; long live the GAN! A Modern GAN Baseline*, arXiv:2501.05441. Sizes and initial
weights are chosen here, and the generator ends in a tanh, which keeps images in [-1, 1].
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
"""Negative slope of the leaky ReLU."""

EXPANSION = 2
"""Channels in a block, as a multiple of the channels between blocks."""

GROUP_SIZE = 16
"""Maximum number of channels per group of a 3 x 3 convolution."""


class R3GANGenerator(nn.Module):
    """Generate images from latents by residual blocks without normalization.

    The channels of a learned feature map are scaled by a linear function of the latent. Residual blocks and upsampling
    map the result to an image. From *The GAN is dead; long live the GAN!*, arXiv:2501.05441. The smallest size is at
    most 4 pixels: 4 - 8 - 16 - 32, or 4 - 7 - 14 - 28.

    Args:
        latent_dim: Size of a latent vector.
        image_shape: (channels, height, width).
        width: Channels between blocks, default 128.
        blocks: Number of residual blocks at each size, default 2.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), or a size is below 1.

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
    """Discriminate images by residual blocks without normalization.

    From *The GAN is dead; long live the GAN!*, arXiv:2501.05441. The structure mirrors `R3GANGenerator`. At the
    smallest size, each channel is reduced to a weighted sum with learned weights, and a linear layer maps the sums to
    the logit. The logit of an image does not depend on other images.

    Args:
        image_shape: (channels, height, width).
        width: Channels between blocks, default 128.
        blocks: Number of residual blocks at each size, default 2.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), or a size is below 1.

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
        """Map images (b, *image_shape) to the features (b, width) before the last layer."""
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
        hidden = EXPANSION * width
        self.residual = nn.Sequential(
            nn.Conv2d(width, hidden, kernel_size=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(hidden, hidden, kernel_size=3, padding=1, groups=hidden // math.gcd(hidden, GROUP_SIZE)),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(hidden, width, kernel_size=1, bias=False),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (b, width, h, w) to the same shape."""
        residual: Tensor = self.residual(inputs)
        return inputs + residual


class _Resize(nn.Module):
    """Resize bilinearly; halving an even size is the mean of 2 x 2 pixels."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (b, channels, h, w) to (b, channels, *size)."""
        return F.interpolate(inputs, self.size, mode="bilinear", align_corners=False)


def _blocks(width: int, count: int) -> list[nn.Module]:
    return [_Block(width) for _ in range(count)]


def _initialize(network: nn.Module) -> None:
    """Preserve the variance from layer to layer; in blocks by Fixup: L^(-1 / (2m - 2)) for L blocks of m = 3 layers."""
    blocks = [module for module in network.modules() if isinstance(module, _Block)]
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for block in blocks:
        *convolutions, last = (layer for layer in block.residual if isinstance(layer, nn.Conv2d))
        for convolution in convolutions:
            nn.init.kaiming_normal_(convolution.weight, SLOPE)
            with torch.no_grad():
                convolution.weight.mul_(len(blocks) ** -0.25)
        nn.init.zeros_(last.weight)
