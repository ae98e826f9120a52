"""The GAN with spectral normalization."""

from typing import Any

from lightning_gans.core.gan import GAN, DiscriminatorFactory, GeneratorFactory
from lightning_gans.core.optimizers import OptimizerFactory, SNGANAdam
from lightning_gans.networks.dcgan import DCGANGenerator, SpectralNormDiscriminator
from lightning_gans.objectives.losses import hinge_discriminator_loss, hinge_generator_loss
from lightning_gans.types import Batch, ImageShape, Losses


class SNGAN(GAN):
    """Play the hinge game against a discriminator whose every layer has spectral norm 1.

    What differs from the authors' code: the default networks are DCGAN's, not residual ones (those are in
    `sngan_cifar10.yaml`); the generator moves on as many examples as the discriminator, where theirs takes twice as
    many (128 and 64); it moves after `discriminator_steps` batches, theirs before; and learning rates stay, unless a
    schedule lets them fall, which has to know how long the run is (theirs fall linearly to 0 at its end).

    Source: Miyato et al. 2018, arXiv:1802.05957; settings of the authors' `sn_cifar10_unconditional.yml`
    (pfnet-research/sngan_projection).

    Args:
        image_shape: (channels, height, width).
        generator: Makes the generator from (latent_dim, image_shape).
        discriminator: Makes the discriminator from (image_shape); the normalization is its own affair.
        latent_dim: Numbers in a latent vector.
        discriminator_steps: Discriminator steps per generator step, each on fresh data.
        generator_optimizer: Makes the generator's optimizer from its parameters.
        discriminator_optimizer: Makes the discriminator's optimizer from its parameters.
        **kwargs: What every `GAN` takes.

    Example:
        >>> SNGAN(image_shape=(1, 28, 28)).sample(2, seed=0)["image"].shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        generator: GeneratorFactory = DCGANGenerator,
        discriminator: DiscriminatorFactory = SpectralNormDiscriminator,
        latent_dim: int = 128,
        discriminator_steps: int = 5,
        generator_optimizer: OptimizerFactory = SNGANAdam,
        discriminator_optimizer: OptimizerFactory = SNGANAdam,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_shape=image_shape,
            generator=generator,
            discriminator=discriminator,
            latent_dim=latent_dim,
            discriminator_steps=discriminator_steps,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            **kwargs,
        )

    def discriminator_loss(self, batch: Batch) -> Losses:
        """The hinge loss of real against generated."""
        real, fake = self.discriminate(batch["image"], self.fake(batch)["image"])
        return {"hinge": hinge_discriminator_loss(real, fake)}

    def generator_loss(self, batch: Batch) -> Losses:
        """The negated score of generated examples."""
        return {"hinge": hinge_generator_loss(self.discriminator(self.fake(batch)["image"]))}
