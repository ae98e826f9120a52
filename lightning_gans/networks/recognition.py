"""Networks of InfoGAN, which predict the code of a generated sample from the features of the discriminator."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.checks import check_positive
from lightning_gans.networks.spectral_norm import full_precision_spectral_norm
from lightning_gans.types import ImageShape

HeadFactory = Callable[[int, int], nn.Module]
"""Factory of a recognition head from (features, codes), the sizes of its inputs and outputs."""


class RecognitionHead(nn.Module):
    """Predict the parameters of the code distribution from features, by one hidden layer with batch normalization.

    The recognition network of *InfoGAN*, arXiv:1606.03657, as in the authors' code (openai/InfoGAN).

    Args:
        features: Size of a feature vector.
        codes: Number of parameters of the code distribution.
        width: Units of the hidden layer, default 128.

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> RecognitionHead(1024, 12)(torch.zeros(8, 1024)).shape
        torch.Size([8, 12])
    """

    def __init__(self, features: int, codes: int, *, width: int = 128) -> None:
        super().__init__()
        check_positive(features=features, codes=codes, width=width)
        self.layers = nn.Sequential(
            nn.Linear(features, width, bias=False),  # batch normalization cancels any bias
            nn.BatchNorm1d(width),
            nn.LeakyReLU(0.01),
            nn.Linear(width, codes),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map features (b, features) to code parameters (b, codes)."""
        code_params: Tensor = self.layers(features)
        return code_params


class InfoGANDiscriminator(nn.Module):
    """Discriminate samples, and predict their codes from the same features.

    Args:
        discriminator: A network with two layers or methods: `features` maps samples to features, and `logit` maps
            features to a logit.
        head: Factory of the recognition head from (features, codes).
        image_shape: Shape of a sample.
        codes: Number of parameters of the code distribution.

    Raises:
        ValueError: If `discriminator` lacks `features` or `logit`, or they do not map a sample to a single logit.

    Example:
        >>> from lightning_gans.networks import MLPDiscriminator
        >>> both = InfoGANDiscriminator(MLPDiscriminator((2,)), RecognitionHead, (2,), codes=12)
        >>> logits, code_params = both.logits_and_codes(torch.zeros(8, 2))
        >>> logits.shape, code_params.shape
        (torch.Size([8]), torch.Size([8, 12]))
    """

    def __init__(self, discriminator: nn.Module, head: HeadFactory, image_shape: ImageShape, *, codes: int) -> None:
        super().__init__()
        network: Any = discriminator.eval()  # the trial pass must not draw random numbers or change running statistics
        try:
            with torch.no_grad():
                features = network.features(torch.zeros(1, *image_shape))
                logits = network.logit(features)
        except (AttributeError, RuntimeError) as error:
            raise ValueError(
                f"`discriminator` {type(discriminator).__name__} must have `features` and `logit`, to predict codes"
                f" from the features: {error}"
            ) from error
        if logits.numel() != 1:
            raise ValueError(
                f"`discriminator` {type(discriminator).__name__} must map the `features` of a sample to one logit, got"
                f" {logits.numel()}"
            )
        self.discriminator = discriminator.train()
        self.head = head(features.flatten(1).shape[1], codes)

    def forward(self, samples: Tensor) -> Tensor:
        """Map samples (b, ...) to logits (b,)."""
        logits: Tensor = self.discriminator(samples)
        return logits

    def logits_and_codes(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Map samples (b, ...) to logits (b,) and code parameters (b, codes)."""
        network: Any = self.discriminator
        with full_precision_spectral_norm(network, samples.device.type):  # as in its `forward`
            features = network.features(samples)
            return network.logit(features).flatten(), self.head(features.flatten(1))
