"""Networks that tell classes apart."""

import math

from torch import Tensor, nn

from lightning_gans.checks import check_image, check_positive
from lightning_gans.types import ImageShape


class ConvClassifier(nn.Module):
    """Map images to a logit for each class by two convolutions, each followed by pooling, and a hidden layer.

    The network for MNIST of *Towards Deep Learning Models Resistant to Adversarial Attacks*, arXiv:1706.06083: 5 x 5
    convolutions of 32 and 64 channels, 2 x 2 pooling, 1024 hidden units. Weights start as PyTorch's. It has no dropout
    and no normalization: an image's logits depend on it alone.

    Args:
        image_shape: (channels, height, width), at least 4 pixels high and wide.
        num_classes: How many classes.
        width: Channels of the first convolution; the second has twice as many.
        hidden: Units of the hidden layer.

    Raises:
        ValueError: If `image_shape` is not an image's or too small to be pooled twice, or a size is below 1.

    Example:
        >>> import torch
        >>> ConvClassifier((1, 28, 28), 10)(torch.zeros(8, 1, 28, 28)).shape
        torch.Size([8, 10])
    """

    def __init__(self, image_shape: ImageShape, num_classes: int, *, width: int = 32, hidden: int = 1024) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(num_classes=num_classes, width=width, hidden=hidden)
        channels, height, breadth = image_shape
        if min(height, breadth) < 4:
            raise ValueError(f"ConvClassifier halves an image twice, got `image_shape` {image_shape}: 4 x 4 at least")
        pooled = math.prod(size // 2 // 2 for size in (height, breadth))
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * width * pooled, hidden),
            nn.ReLU(),
        )
        self.logits = nn.Linear(hidden, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (b, *image_shape) to logits (b, num_classes)."""
        logits: Tensor = self.logits(self.features(images))
        return logits
