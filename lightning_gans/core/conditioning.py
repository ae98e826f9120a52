"""The conditions of a GAN: checks, and the encoders and conditional networks that they need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from lightning_gans.checks import check_positive
from lightning_gans.networks.conditional import (
    ConditionalGenerator,
    ConditionEncoder,
    add_projection,
    apply_conditional_batch_norm,
)
from lightning_gans.types import ImageShape

Condition = Literal["label", "text", "audio"]
"""Batch key of a condition."""

GeneratorConditioning = Literal["concatenation", "batch_norm"]
"""How a generator receives the vector of its condition."""

LabelEncoderFactory = Callable[[int, int], nn.Module]
"""Factory of an encoder of labels from (num_classes, embedding_dim)."""

TextEncoderFactory = Callable[[Sequence[str], int], nn.Module]
"""Factory of an encoder of captions from (vocabulary, embedding_dim)."""

AudioEncoderFactory = Callable[[ImageShape, int], nn.Module]
"""Factory of an encoder of spectrograms from (audio_shape, embedding_dim)."""

REMEDIES = {
    "label": "classes (`num_classes` is None): use data with labels, such as Digits or an ImageFolder of class folders",
    "text": "captions (`vocabulary` is None): use data with captions, such as Sprites",
    "audio": "sound (`audio_shape` is None): use data of images and sound, such as ImageAndSound",
}
"""The property of the data that each condition needs, and data that have it."""


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """Build the conditional networks of a GAN.

    Args:
        conditions: Batch keys of the conditions.
        embedding_dim: Size of the vector of each condition.
        method: How the generator receives the vector.
        label_encoder: Factory of the encoder of labels.
        text_encoder: Factory of the encoder of captions.
        audio_encoder: Factory of the encoder of spectrograms.
        num_classes: Number of classes of the data, if any.
        vocabulary: Words of the captions of the data, if any.
        audio_shape: Shape of the spectrograms of the data, if any.

    Raises:
        ValueError: If a condition is unknown, repeated, or not in the data, or a setting is out of its range.
    """

    conditions: tuple[str, ...]
    embedding_dim: int
    method: GeneratorConditioning
    label_encoder: LabelEncoderFactory
    text_encoder: TextEncoderFactory
    audio_encoder: AudioEncoderFactory
    num_classes: int | None
    vocabulary: Sequence[str] | None
    audio_shape: ImageShape | None

    def __post_init__(self) -> None:
        check_positive(condition_dim=self.embedding_dim)
        if self.method not in ("concatenation", "batch_norm"):
            raise ValueError(f"`generator_conditioning` must be concatenation or batch_norm, got {self.method!r}")
        if unknown := [key for key in self.conditions if key not in REMEDIES]:
            raise ValueError(f"`conditions` may have label, text and audio, got {unknown[0]!r}")
        if len(set(self.conditions)) < len(self.conditions):
            raise ValueError(f"`conditions` must be different, got {list(self.conditions)}")
        sizes = {"label": self.num_classes, "text": self.vocabulary, "audio": self.audio_shape}
        for key in self.conditions:
            if sizes[key] is None:
                raise ValueError(f"`conditions` has {key}, but the data have no {REMEDIES[key]}")

    def encoder(self) -> ConditionEncoder:
        """Create an encoder of the conditions."""
        encoders: dict[str, nn.Module] = {}
        for key in self.conditions:
            if key == "label" and self.num_classes is not None:
                encoders[key] = self.label_encoder(self.num_classes, self.embedding_dim)
            elif key == "text" and self.vocabulary is not None:
                encoders[key] = self.text_encoder(tuple(self.vocabulary), self.embedding_dim)
            elif key == "audio" and self.audio_shape is not None:
                encoders[key] = self.audio_encoder(tuple(self.audio_shape), self.embedding_dim)
        return ConditionEncoder(encoders, self.embedding_dim)

    def generator(
        self, factory: Callable[[int, ImageShape], nn.Module], latent_dim: int, image_shape: ImageShape
    ) -> nn.Module:
        """Create a conditional generator.

        Args:
            factory: Factory of the generator from (latent_dim, image_shape).
            latent_dim: Size of a latent vector, without the vector of the condition.
            image_shape: Shape of a sample.

        Raises:
            ValueError: The generator has no batch normalization, but shall be conditional through it.
        """
        if not self.conditions:
            return factory(latent_dim, image_shape)
        encoder = self.encoder()
        if self.method == "concatenation":
            return ConditionalGenerator(factory(encoder.size + latent_dim, image_shape), encoder)
        network = factory(latent_dim, image_shape)
        if not apply_conditional_batch_norm(network, encoder):
            raise ValueError(
                f"`generator_conditioning` is batch_norm, but `generator` {type(network).__name__} has no"
                " `BatchNorm2d`: use concatenation"
            )
        return ConditionalGenerator(network, encoder, concatenate=False)

    def discriminator(self, network: nn.Module) -> nn.Module:
        """Add the projection of the condition to a discriminator, in place.

        Raises:
            ValueError: The discriminator has no layer `logit`.
        """
        if self.conditions:
            add_projection(network, self.encoder)
        return network
