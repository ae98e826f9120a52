"""A generator of points."""

from itertools import pairwise

from torch import Tensor, nn

from lightning_gans.checks import check_image_shape, check_positive
from lightning_gans.types import ImageShape


class PointGenerator(nn.Module):
    """Map latents to points by layers of rectified units, from PyTorch's initial weights.

    `MLPGenerator` starts from the small weights of the first GAN's wide layers, all latents close to one point,
    and narrow layers take long to spread them. The points are not bounded. Its opponent is `MLPDiscriminator`.

    Args:
        latent_dim: Size of a latent vector.
        image_shape: (dimensions,) of a point.
        width: Units per hidden layer.
        depth: Hidden layers.

    Raises:
        ValueError: If a size is below 1, or `image_shape` is not a point's.

    Example:
        >>> import torch
        >>> PointGenerator(2, (2,))(torch.randn(8, 2)).shape
        torch.Size([8, 2])
    """

    def __init__(self, latent_dim: int, image_shape: ImageShape, *, width: int = 128, depth: int = 2) -> None:
        super().__init__()
        check_positive(latent_dim=latent_dim, width=width, depth=depth)
        check_image_shape(image_shape)
        if len(image_shape) != 1:
            raise ValueError(f"`image_shape` must be that of points, (dimensions,), got {image_shape}")
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([latent_dim, *[width] * depth]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, *image_shape))

    def forward(self, latents: Tensor) -> Tensor:
        """Map latents (b, latent_dim) to points (b, dimensions)."""
        points: Tensor = self.layers(latents)
        return points
