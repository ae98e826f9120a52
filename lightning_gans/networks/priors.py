"""Prior distributions of the latents of flows, and the generator that inverts a flow."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.types import ImageShape


class Prior(nn.Module, ABC):
    """Base class of prior distributions of latents, which have no parameters."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Compute the log-density of latents (b, d), (b,) nats."""

    @abstractmethod
    def from_normal(self, noise: Tensor) -> Tensor:
        """Map standard normal noise to latents of the same shape, by a monotonic function of each element."""


class StandardNormal(Prior):
    """Model latents by the standard normal distribution: independent elements of mean 0 and standard deviation 1.

    Example:
        >>> StandardNormal().log_prob(torch.zeros(1, 2))  # -log 2 pi
        tensor([-1.8379])
    """

    def log_prob(self, z: Tensor) -> Tensor:
        """Compute the log-density of latents (b, d), (b,) nats."""
        return -0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1)

    def from_normal(self, noise: Tensor) -> Tensor:
        """Return the noise unchanged."""
        return noise


class StandardLogistic(Prior):
    """Model latents by the standard logistic distribution, the prior of NICE.

    An element has density 1 / (4 cosh(z/2)^2) and standard deviation pi / sqrt(3); the tails are heavier than the
    normal distribution's.

    Example:
        >>> StandardLogistic().log_prob(torch.zeros(1, 2))  # -2 log 4
        tensor([-2.7726])
    """

    def log_prob(self, z: Tensor) -> Tensor:
        """Compute the log-density of latents (b, d), (b,) nats."""
        return -(F.softplus(z) + F.softplus(-z)).flatten(1).sum(1)

    def from_normal(self, noise: Tensor) -> Tensor:
        """Compute the logistic quantile of the normal CDF p: logit(p) = log p - log(1 - p), exact in both tails."""
        below: Tensor = torch.special.log_ndtr(noise)
        above: Tensor = torch.special.log_ndtr(-noise)
        return below - above


FlowFactory = Callable[[ImageShape], nn.Module]
"""Factory of a flow from (image_shape); see `lightning_gans.networks.flows`."""


class FlowGenerator(nn.Module):
    """Generate samples by the inverse of a flow, and compute the density of examples.

    Autocast is disabled inside, because the inverse of a flow is inaccurate in 16 bits.

    Args:
        latent_dim: Size of a latent vector; it equals the number of elements of an example.
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        flow: Factory of the flow from (image_shape). `forward(x)` returns latents (b, d) and log |det dz/dx|, (b,)
            nats; `inverse(z)` returns examples.
        prior: Factory of the distribution of the latents.

    Raises:
        ValueError: If `latent_dim` is not the number of elements of an example.

    Example:
        >>> from lightning_gans.networks import SplineFlow
        >>> generator = FlowGenerator(2, (2,), flow=SplineFlow, prior=StandardNormal)
        >>> points = generator(torch.randn(8, 2))
        >>> points.shape, generator.log_prob(points).shape
        (torch.Size([8, 2]), torch.Size([8]))
    """

    flow: Any  # a `Bijection`, or any module with `forward` and `inverse`

    def __init__(
        self, latent_dim: int, image_shape: ImageShape, *, flow: FlowFactory, prior: Callable[[], Prior]
    ) -> None:
        super().__init__()
        if latent_dim != math.prod(image_shape):
            raise ValueError(
                f"`latent_dim` must be {math.prod(image_shape)}, the number of elements of an example, got {latent_dim}"
            )
        self.flow = flow(image_shape)
        self.prior = prior()

    def forward(self, latents: Tensor) -> Tensor:
        """Map standard normal noise (b, latent_dim) to samples (b, *image_shape)."""
        with torch.autocast(latents.device.type, enabled=False):
            samples: Tensor = self.flow.inverse(self.prior.from_normal(latents))
        return samples

    def log_prob(self, examples: Tensor) -> Tensor:
        """Compute the log-density of examples (b, *image_shape), (b,) nats."""
        with torch.autocast(examples.device.type, enabled=False):
            z, log_det = self.flow(examples)
            log_prob: Tensor = self.prior.log_prob(z) + log_det
        return log_prob
