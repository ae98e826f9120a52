"""A GAN of pairs: one latent generates an image and its sound."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.checks import check_image
from lightning_gans.core.conditioning import Condition
from lightning_gans.core.gan import DiscriminatorFactory, GeneratorFactory
from lightning_gans.models.r3gan import R3GAN
from lightning_gans.networks.dcgan import DCGANCritic, DCGANGenerator
from lightning_gans.networks.pairs import PairDiscriminator, PairGenerator
from lightning_gans.types import Batch, ImageShape


class PairedGAN(R3GAN):
    """Generate an image and a spectrogram that belong together, from one latent.

    One network generates the image, another the spectrogram. The critic sees both, so only pairs that fit together are
    likely. The losses and penalties are those of `R3GAN`, on the elements of both.

    Source: the joint distribution of Liu and Tuzel 2016, arXiv:1606.07536, is learned there from separate sets by
    shared weights; here the data are pairs, as in the critic of Donahue et al. 2017, arXiv:1605.09782.

    Args:
        image_shape: (channels, height, width) of an image.
        audio_shape: (1, bands, frames) of a spectrogram; None (data without sound) is refused.
        generator: Factory of the generator of images from (latent_dim, image_shape), default `DCGANGenerator`.
        audio_generator: Factory of the generator of spectrograms from (latent_dim, audio_shape), default
            `DCGANGenerator`.
        discriminator: Factory of the features of images from (image_shape), default `DCGANCritic`; it must have a
            layer `logit`, which is removed.
        audio_discriminator: Factory of the features of spectrograms from (audio_shape), default `DCGANCritic`.
        conditions: Batch keys that pairs are conditioned on: "label" and "text"; none by default.
        **kwargs: Further arguments of `R3GAN`.

    Raises:
        ValueError: If the data have no images or no sound, or `conditions` has audio.

    Example:
        >>> samples = PairedGAN(image_shape=(1, 8, 8), audio_shape=(1, 64, 64)).sample(2, seed=0)
        >>> samples["image"].shape, samples["audio"].shape
        (torch.Size([2, 1, 8, 8]), torch.Size([2, 1, 64, 64]))
    """

    generates = ("image", "audio")

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        audio_shape: ImageShape | None,
        generator: GeneratorFactory = DCGANGenerator,
        audio_generator: GeneratorFactory = DCGANGenerator,
        discriminator: DiscriminatorFactory = DCGANCritic,
        audio_discriminator: DiscriminatorFactory = DCGANCritic,
        conditions: Sequence[Condition] = (),
        **kwargs: Any,
    ) -> None:
        check_image("PairedGAN", image_shape)
        if audio_shape is None:
            raise ValueError("`audio_shape` is None: PairedGAN needs data of images and sound, such as ImageAndSound")
        if "audio" in conditions:
            raise ValueError("`conditions` has audio, which PairedGAN generates")
        sound = tuple(audio_shape)
        super().__init__(
            image_shape=image_shape,
            audio_shape=sound,
            generator=lambda size, shape: PairGenerator(generator(size, shape), audio_generator(size, sound)),
            discriminator=lambda shape: PairDiscriminator(
                discriminator(shape), audio_discriminator(sound), shape, sound
            ),
            conditions=conditions,
            **kwargs,
        )

    @property
    def requires(self) -> tuple[str, ...]:
        """Batch keys of training: the image, its sound and the conditions of both."""
        return ("image", "audio", *self.conditions)

    def generate(self, generator: nn.Module, latents: Tensor, batch: Batch) -> Batch:
        """Map latents to images and spectrograms."""
        image, audio = generator(latents)
        return {"image": image, "audio": audio}

    def discriminator_input(self, batch: Batch) -> Tensor:
        """Join the elements of the images and of the spectrograms of a batch."""
        return torch.cat([batch["image"].flatten(1), batch["audio"].flatten(1)], dim=1)

    def discriminator_score(self, batch: Batch) -> Tensor | None:
        """Compute the critic's score of each pair, (b,); None if the batch lacks sound or a condition."""
        if any(key not in batch for key in self.requires):
            return None
        with self.condition_on(batch):
            logits: Tensor = self.discriminator(self.discriminator_input(batch))
        return logits
