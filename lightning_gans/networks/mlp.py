"""Multilayer perceptrons (MLPs): the networks of the first GAN, and their hidden layers."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from lightning_gans.checks import check_image_shape, check_positive, check_probability
from lightning_gans.types import ImageShape


class MLPGenerator(nn.Module):
    """Generate images or points from latents by an MLP of ReLU units.

    The generator of *Generative Adversarial Networks*, arXiv:1406.2661, with the sizes and the initial weights
    U(-0.05, 0.05) of its code (goodfeli/adversarial, `mnist.yaml`). The authors have a sigmoid and data in [0, 1]; the
    tanh here, for data in [-1, 1], is equivalent: tanh(a) = 2 sigmoid(2a) - 1. The authors fit the output bias to the
    mean of the data; here it is initialized to 0. Points are unbounded, so they have no output activation.

    Args:
        latent_dim: Size of a latent vector.
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        width: Units per hidden layer, default 1,200.
        depth: Number of hidden layers, default 2.

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
        layers = hidden_layers(latent_dim, width=width, depth=depth)
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
    """Discriminate images or points by an MLP of maxout units with dropout.

    The discriminator of *Generative Adversarial Networks*, arXiv:1406.2661, with the sizes, the dropout and the initial
    weights U(-0.005, 0.005) of its code (goodfeli/adversarial, `mnist.yaml`). Maxout is from arXiv:1302.4389.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        width: Units per hidden layer, default 240.
        pieces: Number of linear functions over which a maxout unit takes the maximum, default 5.
        depth: Number of hidden layers, default 2.
        input_dropout: Probability of dropping an input, default 0.2.
        dropout: Probability of dropping a hidden unit, default 0.5.

    Raises:
        ValueError: If a size is below 1, a probability is outside [0, 1], or `image_shape` has neither one axis nor
            three.

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
        check_probability(input_dropout=input_dropout, dropout=dropout)
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
    """Discriminate points or small images by an MLP of leaky ReLU units.

    The network is deterministic, and the logit of a sample does not depend on other samples, so all gradient penalties
    apply. Weights have PyTorch's default initialization.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        width: Units per hidden layer, default 1,200.
        depth: Number of hidden layers, default 2.

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
        activation = partial(nn.LeakyReLU, 0.2)
        layers = hidden_layers(math.prod(image_shape), width=width, depth=depth, activation=activation)
        self.features = nn.Sequential(nn.Flatten(), *layers)
        self.logit = nn.Linear(width, 1)

    def forward(self, samples: Tensor) -> Tensor:
        """Map samples (b, *image_shape) to logits (b,)."""
        logits: Tensor = self.logit(self.features(samples))
        return logits.squeeze(1)


def hidden_layers(
    inputs: int, *, width: int, depth: int, activation: Callable[[], nn.Module] = nn.ReLU
) -> list[nn.Module]:
    """Build the hidden layers of an MLP: linear layers, each followed by an activation.

    Args:
        inputs: Size of the input.
        width: Units per hidden layer.
        depth: Number of hidden layers.
        activation: Factory of the activation.

    Example:
        >>> hidden_layers(2, width=8, depth=1)
        [Linear(in_features=2, out_features=8, bias=True), ReLU()]
    """
    sizes = pairwise([inputs, *[width] * depth])
    return [layer for fan_in, fan_out in sizes for layer in (nn.Linear(fan_in, fan_out), activation())]


class _Maxout(nn.Module):
    """Take the maximum of several linear functions, arXiv:1302.4389."""

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
