"""The GAN on the levels of a Laplacian pyramid."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.core.gan import GAN, DiscriminatorFactory, GeneratorFactory
from lightning_gans.core.generative import SAMPLE_CHUNK
from lightning_gans.networks.mlp import MLPDiscriminator, MLPGenerator
from lightning_gans.networks.pyramid import (
    LaplacianDiscriminator,
    LaplacianGenerator,
    PyramidGenerator,
    ResidualGeneratorFactory,
    level_shapes,
    scales,
)
from lightning_gans.objectives.losses import minimax_discriminator_loss, non_saturating_generator_loss
from lightning_gans.types import Batch, ImageShape, Losses


class LAPGAN(GAN):
    """Generate coarse to fine, with a game of its own for every level of a Laplacian pyramid.

    The coarsest level is an ordinary GAN on small images. Each finer generator gets the real coarser image,
    upsampled, and one plane of noise, and makes the residual; its discriminator sees their sum. So the levels learn
    independently of each other, and only samples chain them: a latent is one vector for the coarsest level and the
    planes of the others. What the levels add up to may leave [-1, 1], and is clamped there.

    The authors' SGD, with its schedules, is in `lapgan_cifar10.yaml`; Adam, the default, needs fewer images. Their
    noise is uniform, here it is normal, so that what lies between two latents is one; their filters are those of
    `image.scale`, here means of 2 x 2 pixels and bilinear.

    Source: Denton et al. 2015, arXiv:1506.05751; networks of the authors' `train_cifar_coarse_to_fine.lua`.

    Args:
        image_shape: (channels, height, width), multiples of 2^(depth - 1).
        depth: Levels of the pyramid; each has twice the size of the one before.
        generator: Makes the coarsest level's generator from (latent_dim, shape of that level).
        discriminator: Makes the coarsest level's discriminator from (shape of that level).
        residual_generator: Makes a finer level's generator from (shape of that level); it maps (noise, image) to a
            residual, the noise being one plane.
        residual_discriminator: Makes a finer level's discriminator from (shape of that level).
        **kwargs: What every `GAN` takes; `latent_dim` is the coarsest level's.

    Raises:
        ValueError: `image_shape` cannot be halved that often.

    Example:
        >>> LAPGAN(image_shape=(3, 32, 48), depth=3).sample(2, seed=0)["image"].shape
        torch.Size([2, 3, 32, 48])
    """

    generator: PyramidGenerator
    discriminator: nn.ModuleList

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        depth: int = 3,
        generator: GeneratorFactory = MLPGenerator,
        discriminator: DiscriminatorFactory = MLPDiscriminator,
        residual_generator: ResidualGeneratorFactory = LaplacianGenerator,
        residual_discriminator: DiscriminatorFactory = LaplacianDiscriminator,
        **kwargs: Any,
    ) -> None:
        coarsest, *finer = shapes = level_shapes(image_shape, depth)
        super().__init__(
            image_shape=image_shape,
            generator=lambda latent_dim, _: PyramidGenerator(
                [generator(latent_dim, coarsest), *map(residual_generator, finer)], latent_dim, shapes
            ),
            discriminator=lambda _: nn.ModuleList([discriminator(coarsest), *map(residual_discriminator, finer)]),
            **kwargs,
        )
        self.depth = depth

    def sample_latents(self, n: int) -> Tensor:
        """Draw n latents: a vector, and the planes of all finer levels, side by side."""
        return self.randn(n, sum(self.generator.sizes))

    def generate(self, generator: nn.Module, latents: Tensor, batch: Batch) -> Batch:
        """Go from the coarsest level to the finest, each on what the one before made."""
        return {"image": generator(latents)[-1].clamp(-1, 1)}

    def panels(self, columns: int, *, seed: int | None = None) -> dict[str, Batch]:
        """Add the samples as they are at each coarser level."""

        def drawn(level: int) -> Batch:
            return self.sample_in_chunks(
                columns**2, SAMPLE_CHUNK, seed, lambda _: {"image": self.ema(self.sample_latents(SAMPLE_CHUNK))[level]}
            )

        coarser = {f"level_{level}": drawn(level) for level in range(self.depth - 1)}
        return {**super().panels(columns, seed=seed), **coarser}

    def discriminator_score(self, batch: Batch) -> Tensor:
        """The logit of the finest level's discriminator."""
        logits: Tensor = self.discriminator[-1](batch["image"])
        return logits.unsqueeze(-1).flatten(1).mean(1)

    def discriminator_loss(self, batch: Batch) -> Losses:
        """The cross-entropy of real against generated images, of each level."""
        images = scales(batch["image"], self.depth)
        real, fake = self._logits(images), self._logits(self._generated(images))
        self.observe_logits(*(torch.cat([level.flatten() for level in logits]) for logits in (real, fake)))
        pairs = enumerate(zip(real, fake, strict=True))
        return {f"level_{level}": minimax_discriminator_loss(*logits) for level, logits in pairs}

    def generator_loss(self, batch: Batch) -> Losses:
        """The non-saturating loss, -log D(G(z)), of each level."""
        fake = self._logits(self._generated(scales(batch["image"], self.depth)))
        return {f"level_{level}": non_saturating_generator_loss(logits) for level, logits in enumerate(fake)}

    def _generated(self, images: list[Tensor]) -> list[Tensor]:
        samples: list[Tensor] = self.generator(self.sample_latents(len(images[0])), images)
        return samples

    def _logits(self, images: list[Tensor]) -> list[Tensor]:
        return [discriminator(level) for discriminator, level in zip(self.discriminator, images, strict=True)]
