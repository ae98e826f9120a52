"""Residual networks of WGAN-GP and SNGAN, for images of any size.

Blocks are pre-activated: ReLU, 3 x 3, ReLU, 3 x 3, beside a shortcut that is the identity where nothing changes, else
a 1 x 1 convolution. Every block of a network has `width` channels, as in the networks for 32 x 32 images of *Improved
Training of Wasserstein GANs*, arXiv:1704.00028 (`gan_cifar_resnet.py` of the authors), and of *Spectral Normalization
for Generative Adversarial Networks*, arXiv:1802.05957 (pfnet-research/sngan_projection, `resnet_32.py` and
`snresnet_32.py`). Both start weights by Glorot's uniform rule, with the gain sqrt(2) in the 3 x 3 layers of a block and
1 elsewhere (`he_init` of the first means this gain), and biases at 0.

Other sizes than 32 x 32 get more or fewer halvings of the same blocks; the papers' own networks for larger images
also double the channels.
"""

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_image, check_positive
from lightning_gans.networks.sizes import halvings
from lightning_gans.networks.spectral_norm import apply_spectral_norm, full_precision_spectral_norm
from lightning_gans.types import ImageShape


class ResNetGenerator(nn.Module):
    """Map latents to images by residual blocks under batch normalization, each doubling the size.

    From *Improved Training of Wasserstein GANs*, arXiv:1704.00028, whose width is 128; SNGAN's is 256. Sizes go from at
    most 4 pixels, 4 - 8 - 16 - 32, or 4 - 7 - 14 - 28.

    Args:
        latent_dim: Size of a latent vector.
        image_shape: (channels, height, width).
        width: Channels of every block.

    Raises:
        ValueError: If `image_shape` is not an image's, or a size is below 1.

    Example:
        >>> import torch
        >>> ResNetGenerator(128, (3, 32, 32), width=16)(torch.randn(8, 128)).shape
        torch.Size([8, 3, 32, 32])
    """

    def __init__(self, latent_dim: int, image_shape: ImageShape, *, width: int = 128) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(latent_dim=latent_dim, width=width)
        smallest, *larger = reversed(halvings(image_shape, until=4))
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, width * math.prod(smallest)),
            nn.Unflatten(1, (width, *smallest)),
            *(_UpBlock(width, size) for size in larger),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, image_shape[0], kernel_size=3, padding=1),
            nn.Tanh(),
        )
        _initialize(self)

    def forward(self, latents: Tensor) -> Tensor:
        """Map latents (b, latent_dim) to images (b, *image_shape) in [-1, 1]."""
        images: Tensor = self.layers(latents)
        return images


class ResNetDiscriminator(nn.Module):
    """Judge images by residual blocks without normalization, each image on its own.

    From *Improved Training of Wasserstein GANs*, arXiv:1704.00028: blocks that halve the size, rounding up, twice and
    until the larger side is at most 8 pixels, two more blocks, and a linear function of the mean over the pixels. The
    first block, which sees pixels, has no ReLU before them.

    Args:
        image_shape: (channels, height, width).
        width: Channels of every block.

    Raises:
        ValueError: If `image_shape` is not an image's, or a size is below 1.

    Example:
        >>> import torch
        >>> ResNetDiscriminator((3, 32, 32), width=16)(torch.zeros(8, 3, 32, 32)).shape
        torch.Size([8])
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 128) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(width=width)
        halved = len(halvings(image_shape, until=8)) - 1
        self.features = nn.Sequential(
            _Block(image_shape[0], width, first=True, halves=True),
            *(_Block(width, width, halves=True) for _ in range(halved - 1)),
            _Block(width, width),
            _Block(width, width),
            nn.ReLU(),
            _OverPixels("mean"),
        )
        self.logit = nn.Linear(width, 1)
        _initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to logits (b,)."""
        logits: Tensor = self.logit(self.features(images))
        return logits.squeeze(1)


class SpectralNormResNetDiscriminator(ResNetDiscriminator):
    """Judge images by residual blocks of layers of spectral norm 1, each image on its own.

    From *Spectral Normalization for Generative Adversarial Networks*, arXiv:1802.05957: `ResNetDiscriminator` with
    every layer normalized, the sum over the pixels in place of the mean, and no last bias.

    Args:
        image_shape: (channels, height, width).
        width: Channels of every block.

    Raises:
        ValueError: If `image_shape` is not an image's, or a size is below 1.

    Example:
        >>> import torch
        >>> SpectralNormResNetDiscriminator((3, 32, 32), width=16)(torch.zeros(8, 3, 32, 32)).shape
        torch.Size([8])
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 128) -> None:
        super().__init__(image_shape, width=width)
        self.features[-1] = _OverPixels("sum")
        self.logit.register_parameter("bias", None)
        apply_spectral_norm(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to logits (b,)."""
        with full_precision_spectral_norm(self, images.device.type):
            return super().forward(images)


class _OverPixels(nn.Module):
    """Take the mean or the sum over the pixels."""

    def __init__(self, reduction: Literal["mean", "sum"]) -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (b, channels, h, w) to (b, channels)."""
        return inputs.mean((2, 3)) if self.reduction == "mean" else inputs.sum((2, 3))


class _UpBlock(nn.Module):
    """Add a residual to an image that is doubled, and cut to the size if that is odd."""

    def __init__(self, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        # Without biases: batch normalization, the next one or the last, takes every one of them away.
        self.conv1 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(width, width, kernel_size=1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (b, width, h, w) to (b, width, *size)."""
        residual = self.conv1(self._doubled(F.relu(self.norm1(inputs))))
        residual = self.conv2(F.relu(self.norm2(residual)))
        # The authors double first; a 1 x 1 convolution gives the same before, from a quarter of the pixels.
        total: Tensor = self._doubled(self.shortcut(inputs)) + residual
        return total

    def _doubled(self, inputs: Tensor) -> Tensor:
        height, width = self.size
        return F.interpolate(inputs, scale_factor=2.0)[..., :height, :width]


class _Block(nn.Module):
    """Add a residual; then take the mean of 2 x 2 pixels, if the block halves, of fewer at an odd edge."""

    def __init__(self, inputs: int, outputs: int, *, first: bool = False, halves: bool = False) -> None:
        super().__init__()
        self.activation = nn.Identity() if first else nn.ReLU()
        self.pool = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False) if halves else nn.Identity()
        self.conv1 = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, kernel_size=1) if first or halves else nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (b, inputs, h, w) to (b, outputs, h, w), or half of it."""
        residual = self.conv2(F.relu(self.conv1(self.activation(inputs))))
        # A 1 x 1 convolution gives the same after the pool as before, from a quarter of the pixels.
        outputs: Tensor = self.shortcut(self.pool(inputs)) + self.pool(residual)
        return outputs


def _initialize(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            in_a_block = name.endswith(("conv1", "conv2"))
            nn.init.xavier_uniform_(module.weight, gain=math.sqrt(2) if in_a_block else 1.0)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
