"""A generator of points."""

from torch import Tensor, nn

from lightning_gans.checks import check_image_shape, check_positive
from lightning_gans.networks.mlp import hidden_layers
from lightning_gans.types import ImageShape


class PointGenerator(nn.Module):
    """Generate points from latents by an MLP with PyTorch's default initialization.

    `MLPGenerator` has the small initial weights of the first GAN's wide layers, which map all latents close to one
    point. Narrow layers spread such points only slowly. The outputs are unbounded. `MLPDiscriminator` is the matching
    discriminator.

    Args:
        latent_dim: Size of a latent vector.
        image_shape: (dimensions,) of a point.
        width: Units per hidden layer, default 128.
        depth: Number of hidden layers, default 2.

    Raises:
        ValueError: If a size is below 1, or `image_shape` is not (dimensions,).

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
            raise ValueError(f"PointGenerator works on points (dimensions,), got `image_shape` {image_shape}")
        self.layers = nn.Sequential(
            *hidden_layers(latent_dim, width=width, depth=depth), nn.Linear(width, *image_shape)
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Map latents (b, latent_dim) to points (b, dimensions)."""
        points: Tensor = self.layers(latents)
        return points
