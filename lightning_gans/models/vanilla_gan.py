"""The first GAN."""

from typing import Any

from lightning_gans.core.gan import GAN, DiscriminatorFactory, GeneratorFactory
from lightning_gans.networks.mlp import MaxoutDiscriminator, MLPGenerator
from lightning_gans.objectives.losses import minimax_discriminator_loss, non_saturating_generator_loss
from lightning_gans.types import Batch, ImageShape, Losses


class VanillaGAN(GAN):
    """Tell real from generated with a classifier, and maximize its error: perceptrons, as in the first paper.

    The discriminator minimizes the cross-entropy of the minimax game; the generator maximizes log D(G(z)), which has
    the same fixed point and does not saturate. The authors' SGD, with its schedules, is `GoodfellowSGD` (see
    `vanilla_gan_mnist.yaml`); Adam, the default, needs fewer images.

    Source: Goodfellow et al. 2014, arXiv:1406.2661; networks of the authors' `mnist.yaml`.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        generator: Makes the generator from (latent_dim, image_shape).
        discriminator: Makes the discriminator from (image_shape).
        **kwargs: What every `GAN` takes.

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
        """The cross-entropy of real against generated."""
        real, fake = self.discriminate(batch["image"], self.fake(batch)["image"])
        return {"adversarial": minimax_discriminator_loss(real, fake)}

    def generator_loss(self, batch: Batch) -> Losses:
        """The non-saturating loss, -log D(G(z))."""
        return {"adversarial": non_saturating_generator_loss(self.discriminator(self.fake(batch)["image"]))}
