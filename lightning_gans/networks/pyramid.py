"""The Laplacian pyramid of LAPGAN, and the networks of its levels.

Downsampling takes the mean of 2 x 2 pixels, and upsampling is bilinear. The residual of a finer level is the image
minus the upsampled coarser image. Reconstruction is therefore exact, whatever the two filters are.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_image, check_positive, check_probability
from lightning_gans.types import ImageShape

ResidualGeneratorFactory = Callable[[ImageShape], nn.Module]
"""Factory of the generator of a residual from the shape of its level."""


def upsample(images: Tensor) -> Tensor:
    """Double height and width by bilinear interpolation."""
    return F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)


def gaussian_pyramid(images: Tensor, depth: int) -> list[Tensor]:
    """Compute the Gaussian pyramid: images downsampled repeatedly, from the coarsest to the images themselves.

    The name is the standard name of the data structure; the filter here is a mean of 2 x 2 pixels, not a Gaussian.

    Args:
        images: (b, c, h, w).
        depth: Number of levels.

    Raises:
        ValueError: If height or width is not a multiple of 2^(depth - 1).

    Example:
        >>> [tuple(level.shape) for level in gaussian_pyramid(torch.zeros(8, 1, 28, 28), 3)]
        [(8, 1, 7, 7), (8, 1, 14, 14), (8, 1, 28, 28)]
    """
    level_shapes(tuple(images.shape[1:]), depth)  # raises an error if the images cannot be halved that often
    levels = [images]
    for _ in range(depth - 1):
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels[::-1]


def laplacian_pyramid(images: Tensor, depth: int) -> list[Tensor]:
    """Compute the Laplacian pyramid: the coarsest images, then the residual of each upsampling.

    From *Deep Generative Image Models using a Laplacian Pyramid of Adversarial Networks*, arXiv:1506.05751,
    section 2.2.

    Args:
        images: (b, c, h, w).
        depth: Number of levels; the first has 1 / 2^(depth - 1) of the height and the width.

    Raises:
        ValueError: If height or width is not a multiple of 2^(depth - 1).

    Example:
        >>> coarsest, residual = laplacian_pyramid(torch.ones(8, 1, 4, 4), 2)
        >>> coarsest.shape, residual.any()
        (torch.Size([8, 1, 2, 2]), tensor(False))
    """
    scales = gaussian_pyramid(images, depth)
    return [scales[0], *(fine - upsample(coarse) for coarse, fine in pairwise(scales))]


def reconstruct(levels: Sequence[Tensor]) -> Tensor:
    """Reconstruct images from their Laplacian pyramid; the first levels alone give a coarser image.

    Args:
        levels: The levels of `laplacian_pyramid`, from coarse to fine.

    Example:
        >>> images = torch.rand(8, 3, 12, 20)
        >>> torch.allclose(reconstruct(laplacian_pyramid(images, 3)), images, atol=1e-6)
        True
    """
    image, *residuals = levels
    for residual in residuals:
        image = upsample(image) + residual
    return image


def level_shapes(image_shape: ImageShape, depth: int) -> list[ImageShape]:
    """List the shapes of the levels of a pyramid, from coarse to fine.

    Args:
        image_shape: (channels, height, width).
        depth: Number of levels.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), or height or width is not a multiple of
            2^(depth - 1).

    Example:
        >>> level_shapes((3, 32, 48), 2)
        [(3, 16, 24), (3, 32, 48)]
        >>> level_shapes((3, 30, 48), 3)
        Traceback (most recent call last):
        ValueError: `depth` 3 needs a height and a width that are multiples of 4, got (30, 48)
    """
    check_image("A Laplacian pyramid", image_shape)
    check_positive(depth=depth)
    channels, height, width = image_shape
    if height % 2 ** (depth - 1) or width % 2 ** (depth - 1):
        raise ValueError(
            f"`depth` {depth} needs a height and a width that are multiples of {2 ** (depth - 1)},"
            f" got {(height, width)}"
        )
    return [(channels, height >> halvings, width >> halvings) for halvings in reversed(range(depth))]


class PyramidGenerator(nn.Module):
    """Generate images from coarse to fine: the coarsest from a latent vector, then the residual of each level.

    Args:
        networks: The generator of the coarsest images, then the generators of the residuals.
        latent_dim: Size of the latent vector of the coarsest level.
        shapes: (channels, height, width) of every level, from coarse to fine.

    Attributes:
        sizes: Number of latent elements of each level: a vector for the coarsest level, a plane for every other level.

    Raises:
        ValueError: At `forward`, if the output of a network does not have the shape of its level.
    """

    def __init__(self, networks: Iterable[nn.Module], latent_dim: int, shapes: Sequence[ImageShape]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(networks)
        self.shapes = list(shapes)
        self.sizes = [latent_dim, *(height * width for _, height, width in shapes[1:])]

    def forward(self, latents: Tensor, real: Sequence[Tensor] = ()) -> list[Tensor]:
        """Generate an image at every level, from coarse to fine.

        Args:
            latents: (b, sum of `sizes`).
            real: Real images at every level, to which the next level then adds its residual. By default, residuals are
                added to the generated images.
        """
        latent, *planes = torch.split(latents, self.sizes, dim=1)
        first, *others = self.levels
        images = [self._checked(first(latent), 0)]
        for level, (network, plane) in enumerate(zip(others, planes, strict=True), 1):
            coarse = upsample(real[level - 1] if real else images[-1])
            noise = plane.view(-1, 1, *coarse.shape[2:])
            images.append(coarse + self._checked(network(noise, coarse), level))
        return images

    def _checked(self, output: Tensor, level: int) -> Tensor:
        if (shape := tuple(output.shape[1:])) != tuple(self.shapes[level]):
            name = "residual_generator" if level else "generator"
            raise ValueError(f"`{name}` must return shape {self.shapes[level]} at level {level}, got {shape}")
        return output


class LaplacianGenerator(nn.Module):
    """Generate the residual of an upsampled image, from the image and one plane of noise.

    The convolutional generator of arXiv:1506.05751, as in the authors' CIFAR-10 script: 7 x 7, 7 x 7 and 5 x 5 kernels
    with ReLU, for any size. Weights have PyTorch's default initialization.

    Args:
        image_shape: (channels, height, width) of the level.
        width: Channels of the hidden layers, default 64.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), or a size is below 1.

    Example:
        >>> LaplacianGenerator((3, 16, 16))(torch.randn(8, 1, 16, 16), torch.zeros(8, 3, 16, 16)).shape
        torch.Size([8, 3, 16, 16])
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 64) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(width=width)
        channels = image_shape[0]
        self.layers = nn.Sequential(
            nn.Conv2d(1 + channels, width, kernel_size=7, padding=3),
            nn.ReLU(),
            nn.Conv2d(width, width, kernel_size=7, padding=3),
            nn.ReLU(),
            nn.Conv2d(width, channels, kernel_size=5, padding=2),
        )

    def forward(self, noise: Tensor, coarse: Tensor) -> Tensor:
        """Map noise (b, 1, h, w) and upsampled images (b, c, h, w) to residuals (b, c, h, w)."""
        residuals: Tensor = self.layers(torch.cat([noise, coarse], dim=1))
        return residuals


class LaplacianDiscriminator(nn.Module):
    """Discriminate the images of a level, upsampled images plus residuals, by two convolutions with dropout.

    The convolutional discriminator of arXiv:1506.05751, as in the authors' CIFAR-10 script: 5 x 5 kernels, the second
    with stride 2, and one linear layer. Padding allows images of any size. Weights have PyTorch's default
    initialization.

    Args:
        image_shape: (channels, height, width) of the level.
        width: Channels of the hidden layers, default 64.
        dropout: Probability of dropping a feature, default 0.5.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), a size is below 1, or `dropout` is outside
            [0, 1].

    Example:
        >>> LaplacianDiscriminator((3, 16, 16))(torch.zeros(8, 3, 16, 16)).shape
        torch.Size([8])
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 64, dropout: float = 0.5) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(width=width)
        check_probability(dropout=dropout)
        channels, height, image_width = image_shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.Conv2d(width, width, kernel_size=5, stride=2, padding=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
        )
        self.logit = nn.Linear(width * ((height + 1) // 2) * ((image_width + 1) // 2), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to logits (b,)."""
        logits: Tensor = self.logit(self.features(images))
        return logits.squeeze(1)
