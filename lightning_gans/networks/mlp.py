"""Fully connected networks: the first GAN's, and small ones for points."""

import math
from itertools import pairwise

from torch import Tensor, nn

from lightning_gans.checks import check_image_shape, check_positive
from lightning_gans.types import ImageShape


class MLPGenerator(nn.Module):
    """Map latents to samples by layers of rectified units.

    The generator of *Generative Adversarial Networks*, arXiv:1406.2661, with the sizes and the initial weights
    U(-.05, .05) of its code (goodfeli/adversarial, `mnist.yaml`). Its sigmoid on data in [0, 1] is here a tanh on data
    in [-1, 1], the same family, as tanh(a) = 2 sigmoid(2a) - 1. Its output bias, there fitted to the data's mean,
    starts at 0. Points are not bounded, and get no output function.

    Args:
        latent_dim: Size of a latent vector.
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        width: Units per hidden layer.
        depth: Hidden layers.

    Raises:
        ValueError: If a size is below 1, or `image_shape` has neither one axis nor three.

    Example:
        >>> import torch
        >>> MLPGenerator(100, (1, 28, 28))(torch.randn(8, 100)).shape
        torch.Size([8, 1, 28, 28])
        >>> MLPGenerator(2, (2,), width=128)(torch.randn(8, 2)).shape
        torch.Size([8, 2])
    """

    def __init__(self, latent_dim: int, image_shape: ImageShape, *, width: int = 1200, depth: int = 2) -> None:
        super().__init__()
        check_positive(latent_dim=latent_dim, width=width, depth=depth)
        check_image_shape(image_shape)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([latent_dim, *[width] * depth]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        layers += [nn.Linear(width, math.prod(image_shape)), nn.Unflatten(1, image_shape)]
        if len(image_shape) == 3:
            layers += [nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        _initialize(self, 0.05)

    def forward(self, latents: Tensor) -> Tensor:
        """Map latents (b, latent_dim) to samples (b, *image_shape)."""
        samples: Tensor = self.layers(latents)
        return samples


class MaxoutDiscriminator(nn.Module):
    """Judge samples by layers of maxout units under dropout.

    The discriminator of *Generative Adversarial Networks*, arXiv:1406.2661, with the sizes, the dropout and the initial
    weights U(-.005, .005) of its code (goodfeli/adversarial, `mnist.yaml`). Maxout is arXiv:1302.4389.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        width: Units per hidden layer.
        pieces: Linear functions that a unit takes the largest of.
        depth: Hidden layers.
        input_dropout: Probability of dropping an input.
        dropout: Probability of dropping a hidden unit.

    Raises:
        ValueError: If a size is below 1, a probability outside [0, 1], or `image_shape` has neither one axis nor three.

    Example:
        >>> import torch
        >>> MaxoutDiscriminator((1, 28, 28))(torch.zeros(8, 1, 28, 28)).shape
        torch.Size([8])
    """

    def __init__(
        self,
        image_shape: ImageShape,
        *,
        width: int = 240,
        pieces: int = 5,
        depth: int = 2,
        input_dropout: float = 0.2,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_image_shape(image_shape)
        check_positive(width=width, pieces=pieces, depth=depth)
        for name, probability in (("input_dropout", input_dropout), ("dropout", dropout)):
            if not 0 <= probability <= 1:
                raise ValueError(f"`{name}` must be a probability in [0, 1], got {probability}")
        layers: list[nn.Module] = [nn.Flatten(), nn.Dropout(input_dropout)]
        for inputs, outputs in pairwise([math.prod(image_shape), *[width] * depth]):
            layers += [_Maxout(inputs, outputs, pieces), nn.Dropout(dropout)]
        self.features = nn.Sequential(*layers)
        self.logit = nn.Linear(width, 1)
        _initialize(self, 0.005)

    def forward(self, samples: Tensor) -> Tensor:
        """Map samples (b, *image_shape) to logits (b,)."""
        logits: Tensor = self.logit(self.features(samples))
        return logits.squeeze(1)


class MLPDiscriminator(nn.Module):
    """Judge samples by layers of leaky rectified units, for points and for small images.

    It treats each sample on its own and draws no noise, so every penalty applies. Weights start as PyTorch's.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        width: Units per hidden layer.
        depth: Hidden layers.

    Raises:
        ValueError: If a size is below 1, or `image_shape` has neither one axis nor three.

    Example:
        >>> import torch
        >>> MLPDiscriminator((2,), width=128)(torch.zeros(8, 2)).shape
        torch.Size([8])
    """

    def __init__(self, image_shape: ImageShape, *, width: int = 1200, depth: int = 2) -> None:
        super().__init__()
        check_image_shape(image_shape)
        check_positive(width=width, depth=depth)
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise([math.prod(image_shape), *[width] * depth]):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        self.logit = nn.Linear(width, 1)

    def forward(self, samples: Tensor) -> Tensor:
        """Map samples (b, *image_shape) to logits (b,)."""
        logits: Tensor = self.logit(self.features(samples))
        return logits.squeeze(1)


class _Maxout(nn.Module):
    """Take the largest of several linear functions, arXiv:1302.4389."""

    def __init__(self, inputs: int, outputs: int, pieces: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs * pieces)
        self.pieces = pieces

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (b, inputs) to (b, outputs)."""
        values: Tensor = self.linear(inputs)
        return values.view(len(values), -1, self.pieces).amax(2)


def _initialize(network: nn.Module, bound: float) -> None:
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.uniform_(module.weight, -bound, bound)
            nn.init.zeros_(module.bias)
