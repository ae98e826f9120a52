"""Residual networks of WGAN-GP and SNGAN, for images of any size.

Blocks are pre-activated: ReLU, 3 x 3, ReLU, 3 x 3, plus a shortcut. The shortcut is a 1 x 1 convolution in blocks that
change the size or the channels, and the identity in others. Every block of a network has `width` channels, as in the
authors' networks for 32 x 32 images:

* *Improved Training of Wasserstein GANs*, arXiv:1704.00028 (`gan_cifar_resnet.py`);
* *Spectral Normalization for Generative Adversarial Networks*, arXiv:1802.05957 (pfnet-research/sngan_projection,
  `resnet_32.py` and `snresnet_32.py`).

Both initialize weights by Glorot's uniform distribution and biases to 0. The gain is sqrt(2) in the 3 x 3 layers of a
block (`he_init` in WGAN-GP's code) and 1 elsewhere.

Images of other sizes than 32 x 32 have more or fewer of the same blocks. The papers' networks for larger images also
double the channels.
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
    """Generate images from latents by residual blocks with batch normalization, each of which doubles the size.

    From *Improved Training of Wasserstein GANs*, arXiv:1704.00028, where the width is 128; SNGAN has width 256. The
    smallest size is at most 4 pixels: 4 - 8 - 16 - 32, or 4 - 7 - 14 - 28.

    Args:
        latent_dim: Size of a latent vector.
        image_shape: (channels, height, width).
        width: Channels of every block, default 128.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), or a size is below 1.

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
    """Discriminate images by residual blocks without normalization.

    From *Improved Training of Wasserstein GANs*, arXiv:1704.00028. Blocks halve the size, rounding up, at least twice
    and until the larger side is at most 8 pixels. Two more blocks, a mean over the pixels and a linear layer follow.
    The first block has no ReLU before its first convolution, as its inputs are images. The logit of an image does not
    depend on other images.

    Args:
        image_shape: (channels, height, width).
        width: Channels of every block, default 128.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), or a size is below 1.

    Example:
        >>> import torch
        >>> ResNetDiscriminator((3, 32, 32), width=16)(torch.zeros(8, 3, 32, 32)).shape
        torch.Size([8])
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 128) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(width=width)
        num_halvings = len(halvings(image_shape, until=8)) - 1
        self.features = nn.Sequential(
            _Block(image_shape[0], width, first=True, downsample=True),
            *(_Block(width, width, downsample=True) for _ in range(num_halvings - 1)),
            _Block(width, width),
            _Block(width, width),
            nn.ReLU(),
            _GlobalPool("mean"),
        )
        self.logit = nn.Linear(width, 1)
        _initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to logits (b,)."""
        logits: Tensor = self.logit(self.features(images))
        return logits.squeeze(1)


class SpectralNormResNetDiscriminator(ResNetDiscriminator):
    """Discriminate images by residual blocks with spectral normalization.

    From *Spectral Normalization for Generative Adversarial Networks*, arXiv:1802.05957. This is `ResNetDiscriminator`
    with spectral normalization of all layers, a sum over the pixels instead of the mean, and no bias in the last layer.

    Args:
        image_shape: (channels, height, width).
        width: Channels of every block, default 128.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), or a size is below 1.

    Example:
        >>> import torch
        >>> SpectralNormResNetDiscriminator((3, 32, 32), width=16)(torch.zeros(8, 3, 32, 32)).shape
        torch.Size([8])
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 128) -> None:
        super().__init__(image_shape, width=width)
        self.features[-1] = _GlobalPool("sum")
        self.logit.register_parameter("bias", None)
        apply_spectral_norm(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to logits (b,)."""
        with full_precision_spectral_norm(self, images.device.type):
            return super().forward(images)


class _GlobalPool(nn.Module):
    """Pool features globally, by the mean or the sum over the pixels."""

    def __init__(self, reduction: Literal["mean", "sum"]) -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (b, channels, h, w) to (b, channels)."""
        return inputs.mean((2, 3)) if self.reduction == "mean" else inputs.sum((2, 3))


class _UpBlock(nn.Module):
    """Double the size of features, cropped if the target size is odd, and add a residual."""

    def __init__(self, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        # Without biases: a later batch normalization, of this block or of another, cancels each of them.
        self.conv1 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(width, width, kernel_size=1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (b, width, h, w) to (b, width, *size)."""
        residual = self.conv1(self._upsample(F.relu(self.norm1(inputs))))
        residual = self.conv2(F.relu(self.norm2(residual)))
        # The authors upsample first; a 1 x 1 convolution before gives the same result from a quarter of the pixels.
        outputs: Tensor = self._upsample(self.shortcut(inputs)) + residual
        return outputs

    def _upsample(self, inputs: Tensor) -> Tensor:
        height, width = self.size
        return F.interpolate(inputs, scale_factor=2.0)[..., :height, :width]


class _Block(nn.Module):
    """Add a residual; a block that downsamples then averages 2 x 2 pixels, or fewer at the edge of an odd size."""

    def __init__(self, inputs: int, outputs: int, *, first: bool = False, downsample: bool = False) -> None:
        super().__init__()
        self.activation = nn.Identity() if first else nn.ReLU()
        self.pool = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False) if downsample else nn.Identity()
        self.conv1 = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, kernel_size=1) if first or downsample else nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (b, inputs, h, w) to (b, outputs, h, w), or half that height and width."""
        residual = self.conv2(F.relu(self.conv1(self.activation(inputs))))
        # The authors pool last; a 1 x 1 convolution after pooling gives the same result from a quarter of the pixels.
        outputs: Tensor = self.shortcut(self.pool(inputs)) + self.pool(residual)
        return outputs


def _initialize(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            in_block = name.endswith(("conv1", "conv2"))
            nn.init.xavier_uniform_(module.weight, gain=math.sqrt(2) if in_block else 1.0)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
