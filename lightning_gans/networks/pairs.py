"""Networks for pairs of an image and a spectrogram.

A pair is one vector, the elements of the image before those of the spectrogram, so that losses and gradient penalties
work as for any other sample.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.checks import check_positive
from lightning_gans.types import ImageShape


class PairGenerator(nn.Module):
    """Generate an image and a spectrogram from one latent, by a network for each.

    Args:
        image: Network that maps latents to images.
        audio: Network that maps latents to spectrograms.
    """

    def __init__(self, image: nn.Module, audio: nn.Module) -> None:
        super().__init__()
        self.image = image
        self.audio = audio

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Map latents (b, latent_dim) to images (b, *image_shape) and spectrograms (b, *audio_shape)."""
        return self.image(latents), self.audio(latents)


class PairDiscriminator(nn.Module):
    """Discriminate pairs of an image and a spectrogram by the features of both and one hidden layer.

    Args:
        image: Discriminator of images, whose last layer `logit` is removed.
        audio: Discriminator of spectrograms, whose last layer `logit` is removed.
        image_shape: (channels, height, width) of an image.
        audio_shape: (1, bands, frames) of a spectrogram.
        width: Units of the hidden layer, default 256.

    Raises:
        ValueError: A discriminator has no linear layer `logit`.

    Example:
        >>> from lightning_gans.networks import DCGANCritic
        >>> shapes = (1, 8, 8), (1, 16, 12)
        >>> critic = PairDiscriminator(*map(DCGANCritic, shapes), *shapes)
        >>> critic(torch.cat([torch.zeros(5, 64), torch.zeros(5, 192)], 1)).shape
        torch.Size([5])
    """

    def __init__(
        self, image: nn.Module, audio: nn.Module, image_shape: ImageShape, audio_shape: ImageShape, *, width: int = 256
    ) -> None:
        super().__init__()
        check_positive(width=width)
        self.shapes = (tuple(image_shape), tuple(audio_shape))
        features = _remove_logit(image) + _remove_logit(audio)
        self.image = image
        self.audio = audio
        self.features = nn.Sequential(nn.Linear(features, width), nn.LeakyReLU(0.2))
        self.logit = nn.Linear(width, 1)

    def forward(self, pairs: Tensor) -> Tensor:
        """Map pairs (b, elements of both) to logits (b,)."""
        parts = torch.split(pairs, [math.prod(shape) for shape in self.shapes], dim=1)
        image, audio = (part.view(-1, *shape) for part, shape in zip(parts, self.shapes, strict=True))
        joined = torch.cat([self.image(image).flatten(1), self.audio(audio).flatten(1)], dim=1)
        logits: Tensor = self.logit(self.features(joined))
        return logits.squeeze(1)


def _remove_logit(discriminator: Any) -> int:
    """Replace the layer `logit` of a discriminator, which then returns features, and return their number."""
    logit = getattr(discriminator, "logit", None)
    if not isinstance(logit, nn.Linear):
        raise ValueError(
            f"{type(discriminator).__name__} has no linear layer `logit`, before which images and sound are joined"
        )
    discriminator.logit = nn.Identity()
    return logit.in_features
