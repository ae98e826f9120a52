"""LAPGAN: one GAN for each level of a Laplacian pyramid."""

import math
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
    gaussian_pyramid,
    level_shapes,
)
from lightning_gans.objectives.losses import minimax_discriminator_loss, non_saturating_generator_loss
from lightning_gans.types import Batch, ImageShape, Losses


class LAPGAN(GAN):
    """Generate images from coarse to fine, with one GAN for each level of a Laplacian pyramid.

    The coarsest level is an unconditional GAN on small images. The generator of each finer level maps the real coarser
    image, upsampled, and one plane of noise to the residual. Its discriminator sees the sum of the upsampled image and
    the residual. The levels are trained independently of each other; only sampling chains them. A latent consists of a
    vector for the coarsest level and the planes of the other levels. The sum of all levels may exceed [-1, 1] and is
    clamped.

    What differs from the authors' code: the default optimizer is Adam, which needs fewer images; `lapgan_cifar10.yaml`
    has their SGD with its schedules. Their noise is uniform; here it is normal, so that a point between two latents is
    a valid latent. They resample by `image.scale`; here downsampling takes the mean of 2 x 2 pixels, and upsampling is
    bilinear.

    Source: Denton et al. 2015, arXiv:1506.05751; networks of the authors' `train_cifar_coarse_to_fine.lua`.

    Args:
        image_shape: (channels, height, width), multiples of 2^(depth - 1).
        depth: Number of levels of the pyramid, default 3; each has twice the height and width of the previous level.
        generator: Factory of the coarsest level's generator from (latent_dim, shape of that level), default
            `MLPGenerator`.
        discriminator: Factory of the coarsest level's discriminator from (shape of that level), default
            `MLPDiscriminator`.
        residual_generator: Factory of a finer level's generator from (shape of that level), default
            `LaplacianGenerator`. The generator maps (noise, image) to a residual; the noise is one plane.
        residual_discriminator: Factory of a finer level's discriminator from (shape of that level), default
            `LaplacianDiscriminator`.
        **kwargs: Further arguments of `GAN`; `latent_dim` is the coarsest level's.

    Raises:
        ValueError: If `image_shape` cannot be halved `depth` - 1 times.

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
        self._plane_sizes = [math.prod(shape[1:]) for shape in finer]

    def sample_latents(self, n: int) -> Tensor:
        """Sample n latents: the vector and the planes of all finer levels, concatenated."""
        return self.randn(n, self.latent_dim + sum(self._plane_sizes))

    def generate(self, generator: nn.Module, latents: Tensor, batch: Batch) -> Batch:
        """Map latents to samples, from the coarsest level to the finest; each level adds to the previous one."""
        return {"image": generator(latents)[-1].clamp(-1, 1)}

    def panels(self, columns: int, *, seed: int | None = None) -> dict[str, Batch]:
        """Add a panel for each coarser level, with the samples at that level."""

        def samples(level: int) -> Batch:
            return self.sample_in_chunks(
                columns**2, SAMPLE_CHUNK, seed, lambda _: {"image": self.ema(self.sample_latents(SAMPLE_CHUNK))[level]}
            )

        coarser = {f"level_{level}": samples(level) for level in range(self.depth - 1)}
        return {**super().panels(columns, seed=seed), **coarser}

    def discriminator_score(self, batch: Batch) -> Tensor:
        """Compute the mean logit of each example by the finest level's discriminator, (b,)."""
        logits: Tensor = self.discriminator[-1](batch["image"])
        return logits.unsqueeze(-1).flatten(1).mean(1)

    def discriminator_loss(self, batch: Batch) -> Losses:
        """Compute the cross-entropy of examples against samples at each level."""
        images = gaussian_pyramid(batch["image"], self.depth)
        real, fake = self._logits(images), self._logits(self._generate_levels(images))
        self.observe_logits(*(torch.cat([level.flatten() for level in logits]) for logits in (real, fake)))
        pairs = enumerate(zip(real, fake, strict=True))
        return {f"level_{level}": minimax_discriminator_loss(*logits) for level, logits in pairs}

    def generator_loss(self, batch: Batch) -> Losses:
        """Compute the non-saturating loss, -log D(G(z)), at each level."""
        fake = self._logits(self._generate_levels(gaussian_pyramid(batch["image"], self.depth)))
        return {f"level_{level}": non_saturating_generator_loss(logits) for level, logits in enumerate(fake)}

    def _generate_levels(self, images: list[Tensor]) -> list[Tensor]:
        samples: list[Tensor] = self.generator(self.sample_latents(len(images[0])), images)
        return samples

    def _logits(self, images: list[Tensor]) -> list[Tensor]:
        return [discriminator(level) for discriminator, level in zip(self.discriminator, images, strict=True)]
