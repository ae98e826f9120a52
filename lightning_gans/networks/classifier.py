"""Networks for image classification."""

import math

from torch import Tensor, nn

from lightning_gans.checks import check_image, check_positive
from lightning_gans.types import ImageShape


class ConvClassifier(nn.Module):
    """Classify images by two convolutions, each followed by max pooling, and one hidden layer.

    The network for MNIST of *Towards Deep Learning Models Resistant to Adversarial Attacks*, arXiv:1706.06083: 5 x 5
    convolutions of 32 and 64 channels, 2 x 2 pooling, 1,024 hidden units. Weights have PyTorch's default
    initialization. The network has neither dropout nor normalization, so the logits of an image do not depend on other
    images.

    Args:
        image_shape: (channels, height, width), at least 4 pixels high and wide.
        num_classes: Number of classes.
        width: Channels of the first convolution, default 32; the second has twice as many.
        hidden: Units of the hidden layer, default 1,024.

    Raises:
        ValueError: If `image_shape` is not the shape of an image or is too small for two poolings, or a size is
            below 1.

    Example:
        >>> import torch
        >>> ConvClassifier((1, 28, 28), 10)(torch.zeros(8, 1, 28, 28)).shape
        torch.Size([8, 10])
    """

    def __init__(self, image_shape: ImageShape, num_classes: int, *, width: int = 32, hidden: int = 1024) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(num_classes=num_classes, width=width, hidden=hidden)
        channels, *size = image_shape
        if min(size) < 4:
            raise ValueError(f"ConvClassifier needs images of at least 4 x 4 pixels, got `image_shape` {image_shape}")
        pooled = math.prod(side // 2 // 2 for side in size)
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
