"""LSGAN: the least-squares GAN."""

from typing import Any

from lightning_gans.core.gan import GAN, DiscriminatorFactory, GeneratorFactory
from lightning_gans.core.optimizers import LSGANAdam, OptimizerFactory
from lightning_gans.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from lightning_gans.objectives.losses import least_squares_discriminator_loss, least_squares_generator_loss
from lightning_gans.types import Batch, ImageShape, Losses


class LSGAN(GAN):
    """Train a GAN with least-squares losses: the targets of the discriminator are 1 for examples and 0 for samples.

    The loss grows with the distance from the target, so samples that the discriminator classifies with certainty still
    have a gradient.

    What differs from the authors' code: the networks are DCGAN's; the authors' networks are deeper, for 112 x 112
    pixels. Latents are normal; the authors use 1,024 uniform numbers.

    Source: Mao et al. 2016, arXiv:1611.04076, equation 9; settings of the authors' `train_lsun.py` (xudonmao/LSGAN).

    Args:
        image_shape: (channels, height, width).
        generator: Factory of the generator from (latent_dim, image_shape), default `DCGANGenerator`.
        discriminator: Factory of the discriminator from (image_shape), default `DCGANDiscriminator`.
        generator_optimizer: Factory of the generator's optimizer from its parameters, default `LSGANAdam`.
        discriminator_optimizer: Factory of the discriminator's optimizer from its parameters, default `LSGANAdam`.
        **kwargs: Further arguments of `GAN`.

    Example:
        >>> LSGAN(image_shape=(1, 28, 28)).sample(2, seed=0)["image"].shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        generator: GeneratorFactory = DCGANGenerator,
        discriminator: DiscriminatorFactory = DCGANDiscriminator,
        generator_optimizer: OptimizerFactory = LSGANAdam,
        discriminator_optimizer: OptimizerFactory = LSGANAdam,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_shape=image_shape,
            generator=generator,
            discriminator=discriminator,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            **kwargs,
        )

    def discriminator_loss(self, batch: Batch) -> Losses:
        """Compute half the mean squared error of the outputs, with target 1 for examples and 0 for samples."""
        real, fake = self.discriminate(batch["image"], self.fake(batch)["image"])
        return {"least_squares": least_squares_discriminator_loss(real, fake)}

    def generator_loss(self, batch: Batch) -> Losses:
        """Compute half the mean squared error of the outputs for samples, with target 1."""
        return {"least_squares": least_squares_generator_loss(self.discriminator(self.fake(batch)["image"]))}
