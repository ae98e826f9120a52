"""WGAN-GP: the Wasserstein GAN with gradient penalty."""

from typing import Any

from lightning_gans.core.gan import GAN, DiscriminatorFactory, GeneratorFactory
from lightning_gans.core.optimizers import OptimizerFactory, WGANGPAdam
from lightning_gans.core.schedules import Schedule, value_at, value_range
from lightning_gans.networks.dcgan import DCGANCritic, DCGANGenerator
from lightning_gans.objectives.losses import wasserstein_discriminator_loss, wasserstein_generator_loss
from lightning_gans.objectives.penalties import gradient_penalty
from lightning_gans.types import Batch, ImageShape, Losses


class WGANGP(GAN):
    """Minimize the Wasserstein distance with a critic that a gradient penalty keeps 1-Lipschitz.

    The critic has no batch normalization, which would couple the examples of a batch and invalidate the penalty.

    What differs from the authors' code: the networks are half as wide, 64 channels, and samples come from the EMA.

    Source: Gulrajani et al. 2017, arXiv:1704.00028; settings of the authors' `gan_cifar.py`.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        generator: Factory of the generator from (latent_dim, image_shape), default `DCGANGenerator`.
        discriminator: Factory of the critic from (image_shape), default `DCGANCritic`.
        penalty_weight: Factor lambda of the penalty, the mean of (|gradient| - 1)^2, default 10.
        latent_dim: Size of a latent vector, default 128.
        discriminator_steps: Critic updates per generator update, each on a new batch, default 5.
        generator_optimizer: Factory of the generator's optimizer from its parameters, default `WGANGPAdam`.
        discriminator_optimizer: Factory of the critic's optimizer from its parameters, default `WGANGPAdam`.
        **kwargs: Further arguments of `GAN`.

    Raises:
        ValueError: If `penalty_weight` is negative.

    Example:
        >>> WGANGP(image_shape=(1, 28, 28), penalty_weight=5.0).sample(2, seed=0)["image"].shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        generator: GeneratorFactory = DCGANGenerator,
        discriminator: DiscriminatorFactory = DCGANCritic,
        penalty_weight: float | Schedule = 10.0,
        latent_dim: int = 128,
        discriminator_steps: int = 5,
        generator_optimizer: OptimizerFactory = WGANGPAdam,
        discriminator_optimizer: OptimizerFactory = WGANGPAdam,
        **kwargs: Any,
    ) -> None:
        if value_range(penalty_weight)[0] < 0:
            raise ValueError(f"`penalty_weight` must be at least 0, got {penalty_weight}")
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
        self.penalty_weight = penalty_weight

    def discriminator_loss(self, batch: Batch) -> Losses:
        """Compute the critic loss, which is the negated estimate of the distance, and the weighted penalty."""
        real, fake = batch["image"], self.fake(batch)["image"]
        real_score, fake_score = self.discriminate(real, fake)
        penalty = gradient_penalty(self.discriminator, real, fake, self.rand(len(real)))
        return {
            "wasserstein": wasserstein_discriminator_loss(real_score, fake_score),
            "penalty": value_at(self.penalty_weight, self.images_seen) * penalty,
        }

    def generator_loss(self, batch: Batch) -> Losses:
        """Compute the negated mean score of samples."""
        return {"wasserstein": wasserstein_generator_loss(self.discriminator(self.fake(batch)["image"]))}
