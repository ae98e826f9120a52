"""Flow-GAN: a generator whose samples have a known density, taught by likelihood, by a critic, or by both."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from lightning_gans.checks import check_levels
from lightning_gans.core.density import DensityModel, bits_per_dim
from lightning_gans.core.ema import EMA
from lightning_gans.core.gan import DiscriminatorFactory
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.schedules import Schedule, value_at, value_range
from lightning_gans.models.wgan_gp import WGANGP
from lightning_gans.networks import flows
from lightning_gans.networks.dcgan import DCGANCritic
from lightning_gans.networks.levels import dequantize, quantize
from lightning_gans.networks.mlp import MLPDiscriminator
from lightning_gans.networks.nice import NICE
from lightning_gans.networks.priors import FlowFactory, FlowGenerator, Prior, StandardLogistic
from lightning_gans.types import Batch, ImageShape, Losses


class FlowGAN(WGANGP, DensityModel):
    """Generate by an invertible network, and weigh maximum likelihood against WGAN-GP's game.

    The generator minimizes w NLL / d + (1 - w) A: the negative log-likelihood in nats per element of an example, and
    the negated score of the critic. With w = 1 the critic rests, with w = 0 the likelihood is only reported. The paper
    adds lambda times the likelihood of a whole example to the game, whose code divides the game by `like_reg` instead:
    both are w / ((1 - w) d), so that 1 on MNIST is w = 784 / 785.

    Images that have levels are dequantized, for the likelihood and for the critic, and samples are rounded to levels:
    the log-probability reported is a lower bound of that of the rounded samples, by one even draw within each level.
    Points, and images without levels, are taken as they are, and what is reported is their density.

    Source: Grover, Dhar and Ermon 2018, arXiv:1705.08868; the bound is arXiv:1511.01844, section 3.1.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        levels: How many values an element of an image can have, the data's; None where they are continuous.
        flow: Makes the flow from (image_shape): `forward(x)` gives latents (b, d) and log |det dz/dx|, (b,) nats,
            `inverse(z)` examples. `NICE`, `RealNVP` (of images), `SplineFlow` (of points), or any other.
        prior: Makes the distribution of latents: `StandardLogistic` is NICE's, `StandardNormal` the other flows'.
        likelihood_weight: w, from 0 to 1.
        discriminator: Makes the critic from (image_shape); None: `DCGANCritic` for images,
            `MLPDiscriminator` for points.
        discriminator_steps: Critic steps per generator step, each on fresh data; None: 5, or 1 where the critic rests.
        **kwargs: What every `WGANGP` takes, but for the generator and the latents, which are the flow's.

    Raises:
        ValueError: A number is out of its range, or a resting critic is given steps.

    Example:
        >>> model = FlowGAN(image_shape=(1, 8, 8), levels=17, flow=partial(NICE, width=32), likelihood_weight=0.9)
        >>> digits = model.sample(2, seed=0)
        >>> digits["image"].shape, model.log_prob(digits).shape
        (torch.Size([2, 1, 8, 8]), torch.Size([2]))
    """

    generator: FlowGenerator

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        levels: int | None,
        flow: FlowFactory = NICE,
        prior: Callable[[], Prior] = StandardLogistic,
        likelihood_weight: float | Schedule = 0.99,
        discriminator: DiscriminatorFactory | None = None,
        discriminator_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        least, greatest = value_range(likelihood_weight)
        if least < 0 or greatest > 1:
            raise ValueError(f"`likelihood_weight` must be from 0 to 1, got {likelihood_weight}")
        if levels is not None:
            check_levels(levels)
        rests = likelihood_weight == 1
        if rests and discriminator_steps not in (None, 1):
            raise ValueError(
                f"`discriminator_steps` must be 1 where the critic rests, as it does with `likelihood_weight` 1,"
                f" got {discriminator_steps}"
            )
        if discriminator_steps is None:
            discriminator_steps = 1 if rests else 5
        super().__init__(
            image_shape=image_shape,
            generator=partial(FlowGenerator, flow=flow, prior=prior),
            discriminator=discriminator or (DCGANCritic if len(image_shape) == 3 else MLPDiscriminator),
            latent_dim=math.prod(image_shape),
            discriminator_steps=discriminator_steps,
            **kwargs,
        )
        self.levels = levels
        self.dequantization = "none" if levels is None else "uniform"
        self.likelihood_weight = likelihood_weight
        if likelihood_weight == 0:  # whose likelihood only falls
            self.monitor = GenerativeModel.monitor

    def discriminator_loss(self, batch: Batch) -> Losses:
        """WGAN-GP's, on dequantized images; nothing where likelihood is all that counts."""
        return {} if self.weight == 1 else super().discriminator_loss({**batch, "image": self.dequantized(batch)})

    def generator_loss(self, batch: Batch) -> Losses:
        """Both terms, weighted, but for one of no weight."""
        terms: Losses = {}
        if self.weight > 0:
            log_prob = self.log_density(self.generator, batch).mean()
            if self.levels is not None:
                self.observe("generator/bits_per_dim", bits_per_dim(log_prob, self.latent_dim))
            terms["likelihood"] = -self.weight / self.latent_dim * log_prob
        if self.weight < 1:
            terms["wasserstein"] = (1 - self.weight) * super().generator_loss(batch)["wasserstein"]
        return terms

    def log_density(self, network: nn.Module, batch: Batch) -> Tensor:
        """The log-density of examples, or that of dequantized images as a bound of their log-probability, (b,)."""
        generator = network.network if isinstance(network, EMA) else network
        assert isinstance(generator, FlowGenerator)
        volume = 0.0 if self.levels is None else self.latent_dim * math.log(2 / self.levels)
        return generator.log_prob(self.dequantized(batch)) + volume

    def generate(self, generator: nn.Module, latents: Tensor, batch: Batch) -> Batch:
        """Go back through the flow; samples, which nobody differentiates, are rounded to levels."""
        image = super().generate(generator, latents, batch)["image"]
        return {"image": image if self.levels is None or not self.sampling else quantize(image, self.levels)}

    def initialize_from_batch(self, batch: Batch) -> None:
        """Let the flow's normalization start from the first batch."""
        flows.initialize_from_batch(self.generator.flow, self.dequantized(batch))

    def dequantized(self, batch: Batch) -> Tensor:
        """Images spread evenly over their levels; what has none as it is."""
        image = batch["image"]
        return image if self.levels is None else dequantize(image, self.rand(*image.shape), self.levels)

    def discriminator_score(self, batch: Batch) -> Tensor | None:
        """The critic's score of dequantized images; None where it rests."""
        return None if self.weight == 1 else super().discriminator_score({**batch, "image": self.dequantized(batch)})

    @property
    def weight(self) -> float:
        """The weight of the likelihood now."""
        return value_at(self.likelihood_weight, self.images_seen)
