"""DCGAN: the deep convolutional GAN."""

from typing import Any

from lightning_gans.core.gan import DiscriminatorFactory, GeneratorFactory
from lightning_gans.models.vanilla_gan import VanillaGAN
from lightning_gans.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from lightning_gans.types import ImageShape


class DCGAN(VanillaGAN):
    """Train the original GAN with convolutional networks: strides, batch normalization, Adam with beta1 = 0.5.

    Source: Radford et al. 2015, arXiv:1511.06434.

    Args:
        image_shape: (channels, height, width).
        generator: Factory of the generator from (latent_dim, image_shape), default `DCGANGenerator`.
        discriminator: Factory of the discriminator from (image_shape), default `DCGANDiscriminator`.
        **kwargs: Further arguments of `GAN`.

    Example:
        >>> DCGAN(image_shape=(3, 61, 45)).sample(2, seed=0)["image"].shape
        torch.Size([2, 3, 61, 45])
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        generator: GeneratorFactory = DCGANGenerator,
        discriminator: DiscriminatorFactory = DCGANDiscriminator,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape=image_shape, generator=generator, discriminator=discriminator, **kwargs)
