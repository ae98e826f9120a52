"""The least-squares GAN."""

from typing import Any

from lightning_gans.core.gan import GAN, DiscriminatorFactory, GeneratorFactory
from lightning_gans.core.optimizers import LSGANAdam, OptimizerFactory
from lightning_gans.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from lightning_gans.objectives.losses import least_squares_discriminator_loss, least_squares_generator_loss
from lightning_gans.types import Batch, ImageShape, Losses


class LSGAN(GAN):
    """Regress real examples on 1 and generated ones on 0, and move what is generated towards 1.

    An example that the discriminator is sure of still pulls: the loss grows with the distance from its label. What
    differs from the authors' code: DCGAN's networks in place of deeper ones for 112 x 112 pixels, and normal latents in
    place of 1,024 uniform ones.

    Source: Mao et al. 2016, arXiv:1611.04076, equation 9; settings of the authors' `train_lsun.py` (xudonmao/LSGAN).

    Args:
        image_shape: (channels, height, width).
        generator: Makes the generator from (latent_dim, image_shape).
        discriminator: Makes the discriminator from (image_shape).
        generator_optimizer: Makes the generator's optimizer from its parameters.
        discriminator_optimizer: Makes the discriminator's optimizer from its parameters.
        **kwargs: What every `GAN` takes.

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
        """Half the squared distances of real outputs from 1 and of generated ones from 0."""
        real, fake = self.discriminate(batch["image"], self.fake(batch)["image"])
        return {"least_squares": least_squares_discriminator_loss(real, fake)}

    def generator_loss(self, batch: Batch) -> Losses:
        """Half the squared distance of generated outputs from 1."""
        return {"least_squares": least_squares_generator_loss(self.discriminator(self.fake(batch)["image"]))}
