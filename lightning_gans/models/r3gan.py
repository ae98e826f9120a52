"""R3GAN: the relativistic GAN with zero-centered gradient penalties on examples and samples."""

from typing import Any

from torch import Tensor

from lightning_gans.core.gan import GAN, DiscriminatorFactory, GeneratorFactory
from lightning_gans.core.optimizers import OptimizerFactory, R3GANAdam
from lightning_gans.core.schedules import Schedule, value_at, value_range
from lightning_gans.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from lightning_gans.objectives.losses import relativistic_discriminator_loss, relativistic_generator_loss
from lightning_gans.objectives.penalties import zero_centered_gradient_penalty
from lightning_gans.types import Batch, ImageShape, Losses


class R3GAN(GAN):
    """Train a GAN with relativistic pairing losses (RpGAN) and the gradient penalties R1 and R2.

    The generator raises the logit of each sample above the logit of a paired example. Pairing removes the local minima
    that drop modes; with both penalties, training converges locally. Both penalties are computed at every step. Batch
    normalization in the discriminator would couple the examples of a batch, and invalidate the penalties.

    The paper has cosine schedules: the learning rate falls from 2e-4 to 5e-5, gamma falls, and Adam's beta2 rises from
    0.9 to 0.99. The recipe `r3gan_cifar10.yaml` has these schedules.

    Source: Huang et al. 2024, arXiv:2501.05441; the pairing is arXiv:1807.00734, the penalties arXiv:1801.04406.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        generator: Factory of the generator from (latent_dim, image_shape), default `R3GANGenerator`.
        discriminator: Factory of the discriminator from (image_shape), default `R3GANDiscriminator`; it processes each
            example independently.
        gamma: Weight of the penalties, default 0.1. Each penalty is gamma / 2 times the mean squared norm of the
            gradient. The best value depends on the scale of the data, because the gradient norm does.
        latent_dim: Size of a latent vector, default 64.
        generator_optimizer: Factory of the generator's optimizer from its parameters, default `R3GANAdam`.
        discriminator_optimizer: Factory of the discriminator's optimizer from its parameters, default `R3GANAdam`.
        **kwargs: Further arguments of `GAN`.

    Raises:
        ValueError: If `gamma` is negative.

    Example:
        >>> R3GAN(image_shape=(1, 28, 28), gamma=0.5).sample(2, seed=0)["image"].shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        generator: GeneratorFactory = R3GANGenerator,
        discriminator: DiscriminatorFactory = R3GANDiscriminator,
        gamma: float | Schedule = 0.1,
        latent_dim: int = 64,
        generator_optimizer: OptimizerFactory = R3GANAdam,
        discriminator_optimizer: OptimizerFactory = R3GANAdam,
        **kwargs: Any,
    ) -> None:
        if value_range(gamma)[0] < 0:
            raise ValueError(f"`gamma` must be at least 0, got {gamma}")
        super().__init__(
            image_shape=image_shape,
            generator=generator,
            discriminator=discriminator,
            latent_dim=latent_dim,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            **kwargs,
        )
        self.gamma = gamma

    def discriminator_input(self, batch: Batch) -> Tensor:
        """Return the part of a batch that the discriminator receives: the images."""
        return batch["image"]

    def discriminator_loss(self, batch: Batch) -> Losses:
        """Compute the relativistic loss and the weighted penalties R1 and R2."""
        real, fake = self.discriminator_input(batch), self.discriminator_input(self.fake(batch))
        real_logit, fake_logit = self.discriminate(real, fake)
        weight = value_at(self.gamma, self.images_seen) / 2
        return {
            "relativistic": relativistic_discriminator_loss(real_logit, fake_logit),
            "r1": weight * zero_centered_gradient_penalty(self.discriminator, real),
            "r2": weight * zero_centered_gradient_penalty(self.discriminator, fake),
        }

    def generator_loss(self, batch: Batch) -> Losses:
        """Compute the relativistic loss with the two roles exchanged."""
        real, fake = self.discriminator_input(batch), self.discriminator_input(self.fake(batch))
        real_logit, fake_logit = self.discriminator(real), self.discriminator(fake)
        return {"relativistic": relativistic_generator_loss(real_logit, fake_logit)}
