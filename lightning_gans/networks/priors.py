"""What the latents of flows are distributed as: independent elements, each made from a normal one."""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Prior(nn.Module):
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
