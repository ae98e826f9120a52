"""The original GAN of Goodfellow et al."""

from typing import Any

from lightning_gans.core.gan import GAN, DiscriminatorFactory, GeneratorFactory
from lightning_gans.networks.mlp import MaxoutDiscriminator, MLPGenerator
from lightning_gans.objectives.losses import minimax_discriminator_loss, non_saturating_generator_loss
from lightning_gans.types import Batch, ImageShape, Losses


class VanillaGAN(GAN):
    """Train the original GAN: MLPs with the minimax discriminator loss and the non-saturating generator loss.

    The discriminator minimizes the cross-entropy of the minimax game. The generator maximizes log D(G(z)), which has
    the same fixed point and does not saturate. The authors' SGD is `GoodfellowSGD`, and `vanilla_gan_mnist.yaml` has
    its schedules. The default, Adam, needs fewer images.

    Source: Goodfellow et al. 2014, arXiv:1406.2661; networks of the authors' `mnist.yaml`.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        generator: Factory of the generator from (latent_dim, image_shape), default `MLPGenerator`.
        discriminator: Factory of the discriminator from (image_shape), default `MaxoutDiscriminator`.
        **kwargs: Further arguments of `GAN`.

    Example:
        >>> VanillaGAN(image_shape=(1, 8, 8)).sample(3, seed=0)["image"].shape
        torch.Size([3, 1, 8, 8])
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        generator: GeneratorFactory = MLPGenerator,
        discriminator: DiscriminatorFactory = MaxoutDiscriminator,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape=image_shape, generator=generator, discriminator=discriminator, **kwargs)

    def discriminator_loss(self, batch: Batch) -> Losses:
        """Compute the cross-entropy of examples against samples."""
        real, fake = self.discriminate(batch["image"], self.fake(batch)["image"])
        return {"adversarial": minimax_discriminator_loss(real, fake)}

    def generator_loss(self, batch: Batch) -> Losses:
        """Compute the non-saturating loss, -log D(G(z))."""
        return {"adversarial": non_saturating_generator_loss(self.discriminator(self.fake(batch)["image"]))}
