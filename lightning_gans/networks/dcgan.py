"""Convolutional networks of DCGAN, for images of any size.

Each layer halves the size, rounding up, at least twice and until the larger side is at most 4 pixels: 28 - 14 - 7 - 4,
8 - 4 - 2. The paper's 64 - 32 - 16 - 8 - 4 is a special case. Kernels are 5 x 5 with stride 2, as in the authors' code
(Newmu/dcgan_code).
"""

import math
from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

from lightning_gans.checks import check_image, check_positive
from lightning_gans.networks.sizes import halvings
from lightning_gans.networks.spectral_norm import apply_spectral_norm, full_precision_spectral_norm
from lightning_gans.types import ImageShape


class DCGANGenerator(nn.Module):
    """Generate images from latents by transposed convolutions with batch normalization.

    From *Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks*,
    arXiv:1511.06434. Initial weights are drawn from N(0, 0.02) and the scales of batch normalization from N(1, 0.02);
    0.02 is the standard deviation. Initial biases are 0.

    Args:
        latent_dim: Size of a latent vector.
        image_shape: (channels, height, width).
        width: Channels before the last layer, default 64; they double with every halving of the size, up to 8 times the
            width.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), or a size is below 1.

    Example:
        >>> import torch
        >>> DCGANGenerator(100, (3, 61, 45))(torch.randn(8, 100)).shape
        torch.Size([8, 3, 61, 45])
    """

    def __init__(self, latent_dim: int, image_shape: ImageShape, *, width: int = 64) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(latent_dim=latent_dim, width=width)
        sizes = _sizes(image_shape)
        channels = _channels(image_shape, width)
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, channels[-1] * math.prod(sizes[-1]), bias=False),
            nn.Unflatten(1, (channels[-1], *sizes[-1])),
        ]
        for level in reversed(range(1, len(sizes))):
            (height_in, width_in), (height_out, width_out) = sizes[level], sizes[level - 1]
            layers += [
                nn.BatchNorm2d(channels[level]),
                nn.ReLU(),
                nn.ConvTranspose2d(
                    channels[level],
                    channels[level - 1],
                    kernel_size=5,
                    stride=2,
                    padding=2,
                    # n pixels become 2n - 1, or 2n with output padding 1: this inverts halving for odd and even sizes
                    output_padding=(height_out - (2 * height_in - 1), width_out - (2 * width_in - 1)),
                    bias=level == 1,  # batch normalization cancels all other biases
                ),
            ]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        _initialize(self)

    def forward(self, latents: Tensor) -> Tensor:
        """Map latents (b, latent_dim) to images (b, *image_shape) in [-1, 1]."""
        images: Tensor = self.layers(latents)
        return images


class _StridedNetwork(nn.Module):
    """Base class of discriminators made of strided convolutions and one linear layer."""

    def __init__(self, image_shape: ImageShape, width: int, block: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(width=width)
        channels = _channels(image_shape, width)
        self.features = nn.Sequential(
            _convolution(channels[0], channels[1]),
            *(block(inputs, outputs) for inputs, outputs in pairwise(channels[1:])),
            nn.Flatten(),
        )
        self.logit = nn.Linear(channels[-1] * math.prod(_sizes(image_shape)[-1]), 1)
        _initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to logits (b,)."""
        logits: Tensor = self.logit(self.features(images))
        return logits.squeeze(1)


class DCGANDiscriminator(_StridedNetwork):
    """Discriminate images by strided convolutions with batch normalization.

    From *Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks*,
    arXiv:1511.06434. The sizes, channels and initial weights mirror `DCGANGenerator`. The first layer is not
    normalized. With batch normalization a logit depends on the whole batch, so penalties on per-example gradients need
    `DCGANCritic` instead.

    Args:
        image_shape: (channels, height, width).
        width: Channels after the first layer, default 64; they double with every halving of the size, up to 8 times the
            width.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), or a size is below 1.

    Example:
        >>> import torch
        >>> DCGANDiscriminator((3, 61, 45))(torch.zeros(8, 3, 61, 45)).shape
        torch.Size([8])
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 64) -> None:
        super().__init__(image_shape, width, _normalized_convolution)


class DCGANCritic(_StridedNetwork):
    """Discriminate images by strided convolutions without normalization.

    This is `DCGANDiscriminator` without batch normalization, so that the logit of an image does not depend on other
    images. *Improved Training of Wasserstein GANs*, arXiv:1704.00028, section 4, requires this of a critic with a
    gradient penalty.

    Args:
        image_shape: (channels, height, width).
        width: Channels after the first layer, default 64; they double with every halving of the size, up to 8 times the
            width.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), or a size is below 1.

    Example:
        >>> import torch
        >>> DCGANCritic((3, 61, 45))(torch.zeros(8, 3, 61, 45)).shape
        torch.Size([8])
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 64) -> None:
        super().__init__(image_shape, width, _convolution)


class SpectralNormDiscriminator(_StridedNetwork):
    """Discriminate images by strided convolutions with spectral normalization.

    This is `DCGANCritic` with spectral normalization of all layers, from *Spectral Normalization for Generative
    Adversarial Networks*, arXiv:1802.05957. The paper's convolutional network alternates 3 x 3 and strided 4 x 4
    kernels; this network has the 5 x 5 kernels of DCGAN. The scale of the initial weights does not
    affect the initial outputs.

    Args:
        image_shape: (channels, height, width).
        width: Channels after the first layer, default 64; they double with every halving of the size, up to 8 times the
            width.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), or a size is below 1.

    Example:
        >>> import torch
        >>> SpectralNormDiscriminator((3, 61, 45))(torch.zeros(8, 3, 61, 45)).shape
        torch.Size([8])
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 64) -> None:
        super().__init__(image_shape, width, _convolution)
        apply_spectral_norm(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to logits (b,)."""
        with full_precision_spectral_norm(self, images.device.type):
            return super().forward(images)


def _sizes(image_shape: ImageShape) -> list[tuple[int, int]]:
    """List the sizes (height, width) from the image to the smallest feature map."""
    return halvings(image_shape, until=4)


def _channels(image_shape: ImageShape, width: int) -> list[int]:
    """List the channels at each of `_sizes`."""
    layers = len(_sizes(image_shape)) - 1
    return [image_shape[0], *(width * min(2**level, 8) for level in range(layers))]


def _convolution(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel_size=5, stride=2, padding=2), nn.LeakyReLU(0.2))


def _normalized_convolution(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.2),
    )


def _initialize(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, mean=float(isinstance(module, nn.BatchNorm2d)), std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
