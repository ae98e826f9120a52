"""What the latents of flows are distributed as, and how a flow generates from them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.types import ImageShape


class Prior(nn.Module, ABC):
    """How latents are distributed; it has no parameters."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of latents (b, d) in nats, (b,)."""

    @abstractmethod
    def from_normal(self, noise: Tensor) -> Tensor:
        """Make latents of standard normal noise of the same shape, monotonically in each element."""


class StandardNormal(Prior):
    """Mean 0, standard deviation 1.

    Example:
        >>> StandardNormal().log_prob(torch.zeros(1, 2))  # -log 2 pi
        tensor([-1.8379])
    """

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of latents (b, d) in nats, (b,)."""
        return -0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1)

    def from_normal(self, noise: Tensor) -> Tensor:
        """Return the noise."""
        return noise


class StandardLogistic(Prior):
    """Density 1 / (4 cosh(z/2)^2), standard deviation pi / sqrt(3): NICE's, with heavier tails than the normal.

    Example:
        >>> StandardLogistic().log_prob(torch.zeros(1, 2))  # -2 log 4
        tensor([-2.7726])
    """

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of latents (b, d) in nats, (b,)."""
        return -(F.softplus(z) + F.softplus(-z)).flatten(1).sum(1)

    def from_normal(self, noise: Tensor) -> Tensor:
        """The logistic quantile of the normal probability: logit(p) = log p - log(1 - p), exact in both tails."""
        below: Tensor = torch.special.log_ndtr(noise)
        above: Tensor = torch.special.log_ndtr(-noise)
        return below - above


FlowFactory = Callable[[ImageShape], nn.Module]
"""Makes a flow from (image_shape): see `lightning_gans.networks.flows`."""


class FlowGenerator(nn.Module):
    """Generate by going back through a flow, and tell the density of what it generates.

    Where a trainer would compute in 16 bits, this does not: the way back would lose what little they hold.

    Args:
        latent_dim: Size of a latent, that of an example.
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        flow: Makes the flow from (image_shape): `forward(x)` gives latents (b, d) and log |det dz/dx|, (b,) nats;
            `inverse(z)` gives examples.
        prior: Makes the distribution of the latents.

    Raises:
        ValueError: If `latent_dim` is not the number of an example's elements.

    Example:
        >>> from lightning_gans.networks import SplineFlow
        >>> generator = FlowGenerator(2, (2,), flow=SplineFlow, prior=StandardNormal)
        >>> points = generator(torch.randn(8, 2))
        >>> points.shape, generator.log_prob(points).shape
        (torch.Size([8, 2]), torch.Size([8]))
    """

    def __init__(
        self, latent_dim: int, image_shape: ImageShape, *, flow: FlowFactory, prior: Callable[[], Prior]
    ) -> None:
        super().__init__()
        if latent_dim != math.prod(image_shape):
            raise ValueError(
                f"`latent_dim` must be {math.prod(image_shape)}, the number of an example's elements, got {latent_dim}"
            )
        self.flow = flow(image_shape)
        self.prior = prior()

    def forward(self, latents: Tensor) -> Tensor:
        """Map standard normal noise (b, latent_dim) to examples (b, *image_shape)."""
        with torch.autocast(latents.device.type, enabled=False):
            examples: Tensor = self.flow.inverse(self.prior.from_normal(latents))  # type: ignore[operator]
        return examples

    def log_prob(self, examples: Tensor) -> Tensor:
        """The log-density of examples (b, *image_shape) in nats, (b,)."""
        with torch.autocast(examples.device.type, enabled=False):
            z, log_det = self.flow(examples)
            log_prob: Tensor = self.prior.log_prob(z) + log_det
        return log_prob
