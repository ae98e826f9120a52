"""The GAN whose generator can be inverted, and so has a likelihood."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.core.density import Density, bits_per_dim, dequantise, quantise
from lightning_gans.core.schedules import Schedule, value_at
from lightning_gans.models.wgan_gp import WGANGP
from lightning_gans.networks.flows import initialise
from lightning_gans.networks.nice import NICE
from lightning_gans.networks.priors import Prior, StandardLogistic
from lightning_gans.types import Batch, ImageShape, Losses

FlowFactory = Callable[[ImageShape], nn.Module]
"""Makes a flow: `forward(x) -> (z, log_det)`, z flat, and `inverse(z) -> x`."""


class FlowGAN(WGANGP, Density):
    """Teach a generator that can be inverted by its exact likelihood, by the game of a Wasserstein critic, or by both.

    What the generator minimises is w times -log p per element, in nats, and 1 - w times the critic's loss: the game
    alone at w = 0, maximum likelihood alone at 1, where the critic rests. The paper's lambda, the factor of the
    likelihood of a whole example beside the game, is w / ((1 - w) d) for d elements.

    Pictures are dequantised, for the critic as for the likelihood; samples are rounded down to the data's levels, which
    gives each picture the probability that `log_prob` bounds. Points are taken as they are.

    Source: Grover, Dhar and Ermon 2018, arXiv:1705.08868; NICE, its logistic prior and the critic's settings as in its
    code (ermongroup/flow-gan).

    Args:
        image_shape: (channels, height, width) of a picture, or (dimensions,) of a point.
        levels: How many values an element of a picture can have, the data's; None where they are continuous.
        flow: Makes the flow from (image_shape), any module with `forward(x) -> (z, log_det)` and `inverse(z) -> x`, z
            being flat.
        prior: Makes the distribution of z.
        likelihood_weight: w, from 0 to 1.
        discriminator_steps: Critic steps per generator step, each on fresh data; None is 5, and 1 where w is 1.
        **kwargs: What `WGANGP` takes but for `generator` and `latent_dim`.

    Raises:
        ValueError: `likelihood_weight` is not from 0 to 1, or `levels` below 2.

    Example:
        >>> model = FlowGAN(image_shape=(1, 8, 8), levels=17)
        >>> model.bits_per_dim(model.sample(2, seed=0)).shape
        torch.Size([2])
    """

    dequantisation = "uniform"
    generator: "FlowGenerator"

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        levels: int | None,
        flow: FlowFactory = NICE,
        prior: Callable[[], Prior] = StandardLogistic,
        likelihood_weight: float | Schedule = 0.5,
        discriminator_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(likelihood_weight, float | int) and not 0 <= likelihood_weight <= 1:
            raise ValueError(f"`likelihood_weight` must be from 0 to 1, got {likelihood_weight}")
        if levels is not None and levels < 2:
            raise ValueError(f"`levels` must be at least 2, got {levels}")
        if discriminator_steps is None:
            discriminator_steps = 1 if likelihood_weight == 1 else 5
        super().__init__(
            image_shape=image_shape,
            generator=lambda _, shape: FlowGenerator(flow(shape), prior()),
            latent_dim=math.prod(image_shape),
            discriminator_steps=discriminator_steps,
            **kwargs,
        )
        self.levels = levels
        self.likelihood_weight = likelihood_weight

    def initialise(self, batch: Batch) -> None:
        """Let the flow take its first numbers from data."""
        initialise(self.generator.flow, self._continuous(batch["image"]))

    def log_density(self, network: nn.Module, batch: Batch) -> Tensor:
        """The log-density of points, or of pictures a bound of their log-probability by one dequantisation, (b,)."""
        x = self._continuous(batch["image"])
        volume = 0.0 if self.levels is None else x[0].numel() * math.log(2 / self.levels)
        generator = network.network if network is self.average else network
        log_prob: Tensor = generator.log_prob(x)  # type: ignore[operator]
        return log_prob + volume

    def discriminator_loss(self, batch: Batch) -> Losses:
        """The critic's loss on dequantised pictures; {} where likelihood is all."""
        if self._weight == 1:
            return {}
        return super().discriminator_loss({**batch, "image": self._continuous(batch["image"])})

    def generator_loss(self, batch: Batch) -> Losses:
        """The weighted terms, of those whose weight is not 0."""
        terms: Losses = {}
        if self._weight > 0:
            log_prob = self.log_density(self.generator, batch).mean()
            dimensions = batch["image"][0].numel()
            self.observe("generator/bits_per_dim", bits_per_dim(log_prob, dimensions))
            terms["likelihood"] = -self._weight * log_prob / dimensions
        if self._weight < 1:
            terms["wasserstein"] = (1 - self._weight) * super().generator_loss(batch)["wasserstein"]
        return terms

    def draw(self, n: int, condition: Batch) -> Batch:
        """Draw n examples from the averaged generator, pictures on their levels."""
        made = super().draw(n, condition)
        return made if self.levels is None else {"image": quantise(made["image"], self.levels)}

    @property
    def _weight(self) -> float:
        return value_at(self.likelihood_weight, self.images_seen)

    def _continuous(self, image: Tensor) -> Tensor:
        if self.levels is None:
            return image
        return dequantise(image, self.noise(*image.shape, draw=torch.rand), self.levels)


class FlowGenerator(nn.Module):
    """A flow, run from noise to examples.

    Args:
        flow: Maps examples to latents.
        prior: How these are distributed.
    """

    def __init__(self, flow: nn.Module, prior: Prior) -> None:
        super().__init__()
        self.flow = flow
        self.prior = prior

    def forward(self, noise: Tensor) -> Tensor:
        """Map standard normal noise (b, d) to examples."""
        examples: Tensor = self.flow.inverse(self.prior.from_normal(noise))  # type: ignore[operator]
        return examples

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density of examples, (b,) nats."""
        z, log_det = self.flow(x)
        log_prob: Tensor = self.prior.log_prob(z) + log_det
        return log_prob
