"""The Laplacian pyramid of LAPGAN: images in levels that can be put together again, and the networks of a level.

Downsampling is the mean of 2 x 2 pixels, upsampling is bilinear; a finer level holds what upsampling leaves out. So
whatever the two filters are, putting the levels together undoes taking them apart.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_image, check_positive
from lightning_gans.types import ImageShape

ResidualGeneratorFactory = Callable[[ImageShape], nn.Module]


def upsample(images: Tensor) -> Tensor:
    """Double height and width, bilinearly."""
    return F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)


def scales(images: Tensor, depth: int) -> list[Tensor]:
    """Shrink images again and again; the coarsest comes first, the images themselves last.

    Args:
        images: (b, c, h, w).
        depth: How many sizes.

    Raises:
        ValueError: If the size cannot be halved that often.

    Example:
        >>> [tuple(level.shape) for level in scales(torch.zeros(8, 1, 28, 28), 3)]
        [(8, 1, 7, 7), (8, 1, 14, 14), (8, 1, 28, 28)]
    """
    level_shapes(tuple(images.shape[1:]), depth)
    sizes = [images]
    for _ in range(depth - 1):
        sizes.append(F.avg_pool2d(sizes[-1], 2))
    return sizes[::-1]


def split(images: Tensor, depth: int) -> list[Tensor]:
    """Take images apart: the coarsest one, then what each doubling of the size leaves out.

    From *Deep Generative Image Models using a Laplacian Pyramid of Adversarial Networks*, arXiv:1506.05751,
    section 2.2.

    Args:
        images: (b, c, h, w).
        depth: How many levels; the first has 1 / 2^(depth - 1) of the height and the width.

    Raises:
        ValueError: If the size cannot be halved that often.

    Example:
        >>> coarsest, residual = split(torch.ones(8, 1, 4, 4), 2)
        >>> coarsest.shape, residual.any()
        (torch.Size([8, 1, 2, 2]), tensor(False))
    """
    sizes = scales(images, depth)
    return [sizes[0], *(fine - upsample(coarse) for coarse, fine in pairwise(sizes))]


def merge(levels: Sequence[Tensor]) -> Tensor:
    """Put images together from their levels, coarse to fine; of fewer levels, the coarser image.

    Args:
        levels: What `split` made.

    Example:
        >>> images = torch.rand(8, 3, 12, 20)
        >>> torch.allclose(merge(split(images, 3)), images, atol=1e-6)
        True
    """
    image, *residuals = levels
    for residual in residuals:
        image = upsample(image) + residual
    return image


def level_shapes(image_shape: ImageShape, depth: int) -> list[ImageShape]:
    """List the shapes of a pyramid's levels, from coarse to fine.

    Args:
        image_shape: (channels, height, width).
        depth: How many.

    Raises:
        ValueError: If it is not an image's shape, or the size cannot be halved that often.

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
    return [(channels, height >> fold, width >> fold) for fold in reversed(range(depth))]


class PyramidGenerator(nn.Module):
    """Generate coarse to fine: an image from a latent vector, then level by level what upsampling leaves out.

    Args:
        networks: The generator of the coarsest images, then those of the residuals.
        latent_dim: Numbers that the coarsest level takes.
        shapes: (channels, height, width) of every level, coarse to fine.

    Attributes:
        sizes: The numbers of a latent that each level takes: a vector, then one plane each.

    Raises:
        ValueError: At `forward`, if a network makes another shape than its level's.
    """

    def __init__(self, networks: Iterable[nn.Module], latent_dim: int, shapes: Sequence[ImageShape]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(networks)
        self.shapes = list(shapes)
        self.sizes = [latent_dim, *(height * width for _, height, width in shapes[1:])]

    def forward(self, latents: Tensor, real: Sequence[Tensor] = ()) -> list[Tensor]:
        """Make an image at every level, coarse to fine.

        Args:
            latents: (b, sum of `sizes`).
            real: Images at every level, which the next level then starts from; without them, from what was made.
        """
        latent, *planes = torch.split(latents, self.sizes, dim=1)
        first, *others = self.levels
        images = [self._checked(first(latent), 0)]
        for level, (network, plane) in enumerate(zip(others, planes, strict=True), 1):
            coarse = upsample(real[level - 1] if real else images[-1])
            noise = plane.view(-1, 1, *coarse.shape[2:])
            images.append(coarse + self._checked(network(noise, coarse), level))
        return images

    def _checked(self, made: Tensor, level: int) -> Tensor:
        if (shape := tuple(made.shape[1:])) != tuple(self.shapes[level]):
            name = "residual_generator" if level else "generator"
            raise ValueError(f"`{name}` makes {shape} at level {level}, whose shape is {self.shapes[level]}")
        return made


class LaplacianGenerator(nn.Module):
    """Add to an upsampled image what upsampling left out, from one plane of noise.

    The convolutional generator of arXiv:1506.05751, after the authors' CIFAR-10 script: 7 x 7, 7 x 7 and 5 x 5 kernels
    under rectifiers, for any size. Weights start as PyTorch's.

    Args:
        image_shape: (channels, height, width) of the level.
        width: Channels of the hidden layers.

    Raises:
        ValueError: If `image_shape` is not an image's, or a size is below 1.

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
    """Judge the images of a level, upsampled ones with their residuals added, by two convolutions under dropout.

    The convolutional discriminator of arXiv:1506.05751, after the authors' CIFAR-10 script: 5 x 5 kernels, the second
    with stride 2, and one linear layer. It pads, so that images of any size go in. Weights start as PyTorch's.

    Args:
        image_shape: (channels, height, width) of the level.
        width: Channels of the hidden layers.
        dropout: Probability of dropping a feature.

    Raises:
        ValueError: If `image_shape` is not an image's, a size is below 1, or `dropout` is outside [0, 1].

    Example:
        >>> LaplacianDiscriminator((3, 16, 16))(torch.zeros(8, 3, 16, 16)).shape
        torch.Size([8])
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 64, dropout: float = 0.5) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(width=width)
        if not 0 <= dropout <= 1:
            raise ValueError(f"`dropout` must be a probability in [0, 1], got {dropout}")
        channels, height, breadth = image_shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.Conv2d(width, width, kernel_size=5, stride=2, padding=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
        )
        self.logit = nn.Linear(width * ((height + 1) // 2) * ((breadth + 1) // 2), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to logits (b,)."""
        logits: Tensor = self.logit(self.features(images))
        return logits.squeeze(1)
