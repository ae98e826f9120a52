"""Networks of semi-supervised GANs: classifiers with Gaussian noise and weight normalization, and their generator."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lightning_gans.checks import check_image, check_image_shape, check_positive
from lightning_gans.networks.sizes import halvings
from lightning_gans.types import ImageShape


class GaussianNoise(nn.Module):
    """Add Gaussian noise in training mode; in evaluation mode the inputs are unchanged.

    Args:
        std: Standard deviation, in the units of the inputs.

    Raises:
        ValueError: If `std` is negative.

    Example:
        >>> GaussianNoise(0.5).eval()(torch.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        if std < 0:
            raise ValueError(f"`std` must be at least 0, got {std}")
        self.std = std

    def forward(self, inputs: Tensor) -> Tensor:
        """Add noise to inputs of any shape."""
        return inputs + self.std * torch.randn_like(inputs) if self.training and self.std > 0 else inputs


class WeightNorm(nn.Module):
    """Parametrize a weight by its direction: each output has the weight scale * v / |v|.

    The scales are constant by default, so that a network cannot outgrow the noise on its hidden units.

    From *Weight Normalization*, arXiv:1602.07868.

    Args:
        weight: The initial weight v, (outputs, ...).
        trains_scale: Whether the scales are trained, default False.

    Example:
        >>> layer = apply_weight_norm(nn.Linear(3, 2))
        >>> layer.weight.norm(dim=1)
        tensor([1.0000, 1.0000], grad_fn=...)
    """

    scale: Tensor

    def __init__(self, weight: Tensor, *, trains_scale: bool = False) -> None:
        super().__init__()
        scale = torch.ones(len(weight), *[1] * (weight.dim() - 1))
        if trains_scale:
            self.scale = nn.Parameter(scale)
        else:
            self.register_buffer("scale", scale)

    def forward(self, weight: Tensor) -> Tensor:
        """Normalize a weight (outputs, ...)."""
        norm = torch.linalg.vector_norm(weight.flatten(1), dim=1).view(self.scale.shape)
        normalized: Tensor = weight * (self.scale / norm)
        return normalized


DIRECTION_STD = 0.1
"""Standard deviation of initial directions, as in the code of arXiv:1606.03498.

The outputs do not depend on it, but the change of a direction by a step of Adam does.
"""


def apply_weight_norm(layer: nn.Module, *, trains_scale: bool = False) -> nn.Module:
    """Apply weight normalization to a linear or convolutional layer, in place, and initialize its direction.

    Args:
        layer: The layer.
        trains_scale: Whether the scales are trained, default False.
    """
    weight: Tensor = layer.weight  # type: ignore[assignment]
    nn.init.normal_(weight, std=DIRECTION_STD)
    parametrize.register_parametrization(layer, "weight", WeightNorm(weight, trains_scale=trains_scale))
    return layer


class NoisyMLPClassifier(nn.Module):
    """Classify images or points by an MLP with Gaussian noise before each layer and weight normalization.

    The discriminator for MNIST of *Improved Techniques for Training GANs*, arXiv:1606.03498. As in the authors' code,
    the input noise is 0.3 for images in [0, 1], which is 0.6 here, and the hidden noise is 0.5. Only the scales of the
    last layer are trained.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        num_classes: Number of classes.
        hidden: Units of each hidden layer, default 1,000, 500, 250, 250 and 250.
        input_noise: Standard deviation of the noise on the images, default 0.6.
        noise: Standard deviation of the noise on the hidden units, default 0.5.

    Raises:
        ValueError: If a size is below 1, a noise is negative, or `image_shape` has neither one axis nor three.

    Example:
        >>> NoisyMLPClassifier((1, 28, 28), 10)(torch.zeros(8, 1, 28, 28)).shape
        torch.Size([8, 10])
    """

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        *,
        hidden: tuple[int, ...] = (1000, 500, 250, 250, 250),
        input_noise: float = 0.6,
        noise: float = 0.5,
    ) -> None:
        super().__init__()
        check_image_shape(image_shape)
        check_positive(num_classes=num_classes, **{f"hidden[{i}]": size for i, size in enumerate(hidden)})
        layers: list[nn.Module] = [nn.Flatten()]
        sizes = [math.prod(image_shape), *hidden]
        for number, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            std = noise if number else input_noise
            layers += [GaussianNoise(std), apply_weight_norm(nn.Linear(fan_in, fan_out)), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.logits = nn.Sequential(GaussianNoise(noise), _output(sizes[-1], num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to logits (b, num_classes)."""
        logits: Tensor = self.logits(self.features(images))
        return logits


class NoisyConvClassifier(nn.Module):
    """Classify images by strided convolutions with Gaussian noise before each layer and weight normalization.

    The convolutional counterpart of `NoisyMLPClassifier`: the layers of `DCGANDiscriminator`, with 3 x 3 kernels and
    the mean over the positions of the last feature map as features.

    Args:
        image_shape: (channels, height, width).
        num_classes: Number of classes.
        width: Channels after the first layer, default 64; they double with every halving of the size, up to 4 times the
            width.
        input_noise: Standard deviation of the noise on the images, default 0.3.
        noise: Standard deviation of the noise on the hidden units, default 0.3.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), a size is below 1, or a noise is negative.

    Example:
        >>> NoisyConvClassifier((3, 61, 45), 10)(torch.zeros(8, 3, 61, 45)).shape
        torch.Size([8, 10])
    """

    def __init__(
        self,
        image_shape: ImageShape,
        num_classes: int,
        *,
        width: int = 64,
        input_noise: float = 0.3,
        noise: float = 0.3,
    ) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(num_classes=num_classes, width=width)
        count = len(halvings(image_shape, until=4)) - 1
        channels = [image_shape[0], *(width * min(2**level, 4) for level in range(count))]
        layers: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(pairwise(channels)):
            convolution = nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1)
            layers += [
                GaussianNoise(noise if number else input_noise),
                apply_weight_norm(convolution),
                nn.LeakyReLU(0.2),
            ]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.logits = nn.Sequential(GaussianNoise(noise), _output(channels[-1], num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to logits (b, num_classes)."""
        logits: Tensor = self.logits(self.features(images))
        return logits


class BatchNormMLPGenerator(nn.Module):
    """Generate images or points from latents by an MLP of softplus units with batch normalization.

    The generator for MNIST of *Improved Techniques for Training GANs*, arXiv:1606.03498: weight normalization in the
    last layer. The authors have a sigmoid and data in [0, 1], here tanh and [-1, 1]; points have no output activation.

    Args:
        latent_dim: Size of a latent vector.
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        width: Units per hidden layer, default 500.
        depth: Number of hidden layers, default 2.

    Raises:
        ValueError: If a size is below 1, or `image_shape` has neither one axis nor three.

    Example:
        >>> BatchNormMLPGenerator(100, (1, 28, 28))(torch.randn(8, 100)).shape
        torch.Size([8, 1, 28, 28])
    """

    def __init__(self, latent_dim: int, image_shape: ImageShape, *, width: int = 500, depth: int = 2) -> None:
        super().__init__()
        check_positive(latent_dim=latent_dim, width=width, depth=depth)
        check_image_shape(image_shape)
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise([latent_dim, *[width] * depth]):
            # batch normalization cancels any bias
            layers += [nn.Linear(fan_in, fan_out, bias=False), nn.BatchNorm1d(fan_out), nn.Softplus()]
        output = nn.Linear(width, math.prod(image_shape))
        self.layers = nn.Sequential(*layers, output, nn.Unflatten(1, image_shape))
        for module in self.layers:
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        apply_weight_norm(output, trains_scale=True)
        if len(image_shape) == 3:
            self.layers.append(nn.Tanh())

    def forward(self, latents: Tensor) -> Tensor:
        """Map latents (b, latent_dim) to samples (b, *image_shape)."""
        samples: Tensor = self.layers(latents)
        return samples


def _output(features: int, num_classes: int) -> nn.Module:
    return apply_weight_norm(nn.Linear(features, num_classes), trains_scale=True)


@torch.no_grad()
def initialize_weight_norm(network: nn.Module, inputs: Tensor) -> None:
    """Scale and shift each layer with weight normalization so that its outputs for a batch have mean 0 and variance 1.

    Layers without weight normalization are unchanged. From *Weight Normalization*, arXiv:1602.07868, section 3.

    Args:
        network: A network whose layers with weight normalization have biases.
        inputs: Batch of inputs of the network.

    Example:
        >>> layer = apply_weight_norm(nn.Linear(3, 2))
        >>> inputs = torch.rand(8, 3)
        >>> initialize_weight_norm(layer, inputs)
        >>> layer(inputs).mean(0).abs().max() < 1e-5, layer(inputs).std(0, correction=0).round(decimals=3).tolist()
        (tensor(True), [1.0, 1.0])
    """

    def normalize(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
        channels = output.transpose(0, 1).flatten(1)
        std, mean = torch.std_mean(channels, dim=1, correction=0)
        std = std.clamp(min=torch.finfo(std.dtype).eps)  # a unit whose output is constant
        normalization: WeightNorm = layer.parametrizations.weight[0]  # type: ignore[union-attr, assignment, index]
        bias: Tensor = layer.bias  # type: ignore[assignment]
        normalization.scale.div_(std.view(normalization.scale.shape))
        bias.sub_(mean).div_(std)
        shape = (1, -1, *[1] * (output.dim() - 2))
        return (output - mean.view(shape)) / std.view(shape)

    layers = [module for module in network.modules() if parametrize.is_parametrized(module, "weight")]
    hooks = [layer.register_forward_hook(normalize) for layer in layers]
    try:
        network(inputs)
    finally:
        for hook in hooks:
            hook.remove()
