"""Flow-GAN: a normalizing flow as the generator, trained by maximum likelihood, by a critic or by both."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from lightning_gans.checks import check_image_shape, check_levels
from lightning_gans.core.conditioning import Condition
from lightning_gans.core.density import DensityModel, bits_per_dim
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
    """Train a normalizing flow by a weighted sum of maximum likelihood and WGAN-GP.

    The generator minimizes w NLL / d + (1 - w) A. NLL is the negative log-likelihood of an example in nats, d is the
    number of its elements, and A is the negated score of the critic. With w = 1 the critic is not trained. With w = 0
    the likelihood is only reported. The paper weights NLL by lambda and A by 1; the authors' code divides A by
    `like_reg` instead. Both lambda and `like_reg` are w / ((1 - w) d), so `like_reg` 1 on MNIST is w = 784 / 785.

    Images with levels are dequantized, for the likelihood and for the critic, and samples are rounded to levels. The
    reported log-probability is a lower bound of the log-probability of the discrete image, estimated from one uniform
    draw within each level. Points, and images without levels, are unchanged, and their density is reported.

    Source: Grover, Dhar and Ermon 2018, arXiv:1705.08868; the bound is arXiv:1511.01844, section 3.1.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        levels: Number of values that an element of the data's images can have; None for continuous data.
        flow: Factory of the flow from (image_shape), default `NICE`. `forward(x)` returns latents (b, d) and log |det
            dz/dx|, (b,) nats; `inverse(z)` returns examples. `NICE`, `RealNVP` (images), `SplineFlow` (points) or any
            other flow.
        prior: Factory of the distribution of latents, default `StandardLogistic` as in NICE. Use `StandardNormal` for
            other flows.
        likelihood_weight: Weight w of the likelihood, from 0 to 1, default 0.99.
        discriminator: Factory of the critic from (image_shape). None is `DCGANCritic` for images and
            `MLPDiscriminator` for points.
        discriminator_steps: Critic updates per generator update, each on a new batch. None is 1 if
            `likelihood_weight` is 1, and 5 otherwise.
        conditions: Empty, because a flow is an invertible map without a condition.
        **kwargs: Further arguments of `WGANGP`, except for the generator and the latents, which are the flow's.

    Raises:
        ValueError: If a number is out of its range, `conditions` are given, or `discriminator_steps` is not 1 although
            the critic is not trained.

    Example:
        >>> model = FlowGAN(image_shape=(1, 8, 8), levels=17, flow=partial(NICE, width=32), likelihood_weight=0.9)
        >>> samples = model.sample(2, seed=0)
        >>> samples["image"].shape, model.log_prob(samples).shape
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
        conditions: Sequence[Condition] = (),
        **kwargs: Any,
    ) -> None:
        check_image_shape(image_shape)
        if conditions:
            raise ValueError(
                f"`conditions` must be empty, got {list(conditions)}: the flow of {type(self).__name__}"
                " is an invertible map without a condition"
            )
        lowest, highest = value_range(likelihood_weight)
        if lowest < 0 or highest > 1:
            raise ValueError(f"`likelihood_weight` must be from 0 to 1, got {likelihood_weight}")
        if levels is not None:
            check_levels(levels)
        default_steps = 1 if likelihood_weight == 1 else 5
        if likelihood_weight == 1 and discriminator_steps not in (None, 1):
            raise ValueError(
                "`discriminator_steps` must be 1 if `likelihood_weight` is 1, because the critic is not trained,"
                f" got {discriminator_steps}"
            )
        super().__init__(
            image_shape=image_shape,
            generator=partial(FlowGenerator, flow=flow, prior=prior),
            discriminator=discriminator or (DCGANCritic if len(image_shape) == 3 else MLPDiscriminator),
            latent_dim=math.prod(image_shape),
            discriminator_steps=default_steps if discriminator_steps is None else discriminator_steps,
            conditions=conditions,
            **kwargs,
        )
        self.levels = levels
        self.dequantization = "none" if levels is None else "uniform"
        self.likelihood_weight = likelihood_weight
        if likelihood_weight == 0:  # the likelihood, which is not trained, only falls
            self.monitor = GenerativeModel.monitor

    def discriminator_loss(self, batch: Batch) -> Losses:
        """Compute the terms of WGAN-GP on dequantized images; none if only the likelihood has weight."""
        return {} if self._weight == 1 else super().discriminator_loss({**batch, "image": self._dequantize(batch)})

    def generator_loss(self, batch: Batch) -> Losses:
        """Compute the weighted terms whose weight is not 0."""
        weight = self._weight
        terms: Losses = {}
        if weight > 0:
            log_prob = self.log_density(self.generator, batch).mean()
            if self.levels is not None:
                self.observe("generator/bits_per_dim", bits_per_dim(log_prob, self.latent_dim))
            terms["likelihood"] = -weight / self.latent_dim * log_prob
        if weight < 1:
            terms["wasserstein"] = (1 - weight) * super().generator_loss(batch)["wasserstein"]
        return terms

    def log_density(self, network: nn.Module, batch: Batch) -> Tensor:
        """Compute the log-density of examples, or a lower bound of the log-probability of images with levels, (b,)."""
        assert isinstance(network, FlowGenerator)
        log_volume = 0.0 if self.levels is None else self.latent_dim * math.log(2 / self.levels)
        return network.log_prob(self._dequantize(batch)) + log_volume

    def generate(self, generator: nn.Module, latents: Tensor, batch: Batch) -> Batch:
        """Map latents to samples by the inverse flow; outside of training they are rounded to levels."""
        image = super().generate(generator, latents, batch)["image"]
        return {"image": image if self.levels is None or not self.sampling else quantize(image, self.levels)}

    def initialize_from_batch(self, batch: Batch) -> None:
        """Initialize the flow's normalization from the first batch."""
        flows.initialize_from_batch(self.generator.flow, self._dequantize(batch))

    def discriminator_score(self, batch: Batch) -> Tensor | None:
        """Compute the critic's score of dequantized images; None if the critic is not trained."""
        return None if self._weight == 1 else super().discriminator_score({**batch, "image": self._dequantize(batch)})

    def _dequantize(self, batch: Batch) -> Tensor:
        image = batch["image"]
        return image if self.levels is None else dequantize(image, self.rand(*image.shape), self.levels)

    @property
    def _weight(self) -> float:
        """Current weight of the likelihood."""
        return value_at(self.likelihood_weight, self.images_seen)
