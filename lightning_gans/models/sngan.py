"""SNGAN: the GAN with spectral normalization."""

from typing import Any

from lightning_gans.core.gan import GAN, DiscriminatorFactory, GeneratorFactory
from lightning_gans.core.optimizers import OptimizerFactory, SNGANAdam
from lightning_gans.networks.dcgan import DCGANGenerator, SpectralNormDiscriminator
from lightning_gans.objectives.losses import hinge_discriminator_loss, hinge_generator_loss
from lightning_gans.types import Batch, ImageShape, Losses


class SNGAN(GAN):
    """Train a GAN with hinge losses against a discriminator whose layers all have spectral norm 1.

    What differs from the authors' code: the default networks are DCGAN's; `sngan_cifar10.yaml` has the residual ones.
    Both players have the same batch size; the authors use 128 for the generator and 64 for the discriminator. The
    generator is updated after `discriminator_steps` batches; the authors update it before. The learning rate is
    constant by default; a schedule reproduces the authors' linear decay to 0, which needs the run's length.

    Source: Miyato et al. 2018, arXiv:1802.05957; settings of the authors' `sn_cifar10_unconditional.yml`
    (pfnet-research/sngan_projection).

    Args:
        image_shape: (channels, height, width).
        generator: Factory of the generator from (latent_dim, image_shape), default `DCGANGenerator`.
        discriminator: Factory of the discriminator from (image_shape), default `SpectralNormDiscriminator`; it applies
            spectral normalization itself.
        latent_dim: Size of a latent vector, default 128.
        discriminator_steps: Discriminator updates per generator update, each on a new batch, default 5.
        generator_optimizer: Factory of the generator's optimizer from its parameters, default `SNGANAdam`.
        discriminator_optimizer: Factory of the discriminator's optimizer from its parameters, default `SNGANAdam`.
        **kwargs: Further arguments of `GAN`.

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
        """Compute the hinge loss of examples against samples."""
        real, fake = self.discriminate(batch["image"], self.fake(batch)["image"])
        return {"hinge": hinge_discriminator_loss(real, fake)}

    def generator_loss(self, batch: Batch) -> Losses:
        """Compute the negated mean logit of samples."""
        return {"hinge": hinge_generator_loss(self.discriminator(self.fake(batch)["image"]))}
