"""The tiny networks of the Unrolled GAN's experiment on Stacked MNIST, with the larger of its discriminators.

Layers and sizes follow arXiv:1611.02163, appendix, as run by PacGAN (fjxmlzn/PacGAN, `unrolled_GAN_experiment/D=0.5G`):
kernels of 3 x 3 with stride 2, slopes of .3, images of 28 x 28 pixels. Weights start as PyTorch's.
"""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

CHANNELS = (64, 32, 16, 8)
SIZES = (4, 7, 14, 28)


class TinyGenerator(nn.Module):
    """Map latents to images by three transposed convolutions, 64 - 32 - 16 - 8 channels, and a last convolution."""

    def __init__(self, latent_dim: int, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, *size = image_shape
        if size != [28, 28]:
            raise ValueError(f"TinyGenerator makes images of 28 x 28 pixels, got `image_shape` {image_shape}")
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, CHANNELS[0] * SIZES[0] ** 2),
            nn.Unflatten(1, (CHANNELS[0], SIZES[0], SIZES[0])),
        ]
        for (inputs, outputs), (small, large) in zip(pairwise(CHANNELS), pairwise(SIZES), strict=True):
            even = large - (2 * small - 1)  # n pixels become 2n - 1, or 2n with one row of padding
            layers += [
                nn.BatchNorm2d(inputs),
                nn.ReLU(),
                nn.ConvTranspose2d(inputs, outputs, kernel_size=3, stride=2, padding=1, output_padding=even),
            ]
        last = nn.Conv2d(CHANNELS[-1], channels, kernel_size=3, padding=1)
        self.layers = nn.Sequential(*layers, nn.BatchNorm2d(CHANNELS[-1]), nn.ReLU(), last, nn.Tanh())

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.layers(latents)
        return images


class _Strided(nn.Module):
    def __init__(self, image_shape: tuple[int, ...], block: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        channels = (image_shape[0], 4, 8, 16)
        self.features = nn.Sequential(*(block(*pair) for pair in pairwise(channels)), nn.Flatten())
        self.logit = nn.Linear(channels[-1] * SIZES[0] ** 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.logit(self.features(images))
        return logits.squeeze(1)


class TinyDiscriminator(_Strided):
    """Judge images by three convolutions, 4 - 8 - 16 channels, under batch normalization."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__(
            image_shape,
            lambda inputs, outputs: nn.Sequential(_halved(inputs, outputs), nn.BatchNorm2d(outputs), _leaky()),
        )


class TinyCritic(_Strided):
    """The same without normalization, for games with penalties on single examples."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__(image_shape, lambda inputs, outputs: nn.Sequential(_halved(inputs, outputs), _leaky()))


def _halved(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1)


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.3)
