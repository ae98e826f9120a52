"""InfoGAN: a GAN whose latent contains a code that can be predicted from each sample."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.core.gan import GAN, DiscriminatorFactory, GeneratorFactory
from lightning_gans.core.optimizers import InfoGANAdam, OptimizerFactory
from lightning_gans.core.schedules import Schedule, value_at, value_range
from lightning_gans.metrics.cluster_accuracy import cluster_accuracy
from lightning_gans.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from lightning_gans.networks.recognition import HeadFactory, InfoGANDiscriminator, RecognitionHead
from lightning_gans.objectives.information import categorical_information, continuous_information
from lightning_gans.objectives.losses import minimax_discriminator_loss, non_saturating_generator_loss
from lightning_gans.types import Batch, ImageShape, Losses


class Codes(NamedTuple):
    """Codes predicted from images.

    Attributes:
        categorical: Class probabilities (b, size) of each categorical code.
        continuous: Means (b, continuous) of the continuous codes.
    """

    categorical: list[Tensor]
    continuous: Tensor


class InfoGAN(GAN):
    """Learn categories and styles without labels: maximize the mutual information of a code and the samples.

    A part of the latent is a code. A recognition head on the discriminator's features predicts the code of a sample.
    Both players maximize lower bounds of the mutual information, logged as `categorical` and `continuous` in nats. The
    weights of the head belong to the discriminator and its optimizer, as in the authors' code.

    Latents are sampled from a normal distribution. The generator receives uniform noise erf(z / sqrt(2)) and, for each
    categorical code, the one-hot index of the largest of `size` elements. A point between two latents is therefore a
    valid latent.

    Source: Chen et al. 2016, arXiv:1606.03657; settings of the authors' `run_mnist_exp.py`, where both bounds have
    weight 1 and the standard deviation of continuous codes is fixed at 1. The networks here are DCGAN's.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        categorical: Sizes of the categorical codes, default (10,).
        continuous: Number of continuous codes, each uniform in [-1, 1], default 2.
        information_weight: Factor lambda of both bounds, default 1.
        latent_dim: Size of a latent vector, default 74; the codes are its last elements.
        generator: Factory of the generator from (latent_dim, image_shape), default `DCGANGenerator`.
        discriminator: Factory of the discriminator from (image_shape), default `DCGANDiscriminator`; it must have
            `features` and `logit`.
        recognition_head: Factory of the recognition head from (size of the features, number of code parameters),
            default `RecognitionHead`.
        generator_optimizer: Factory of the generator's optimizer from its parameters, default `InfoGANAdam`.
        **kwargs: Further arguments of `GAN`.

    Raises:
        ValueError: If a number is out of its range, there are no codes, or `discriminator` has no features.

    Example:
        >>> model = InfoGAN(image_shape=(1, 8, 8), categorical=[10], continuous=2)
        >>> samples = model.sample(5, seed=0)
        >>> samples["image"].shape, samples["code"].shape
        (torch.Size([5, 1, 8, 8]), torch.Size([5, 12]))
        >>> model.codes(samples).categorical[0].shape, model.codes(samples).continuous.shape
        (torch.Size([5, 10]), torch.Size([5, 2]))
    """

    generates = ("image", "code")
    discriminator: InfoGANDiscriminator

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        categorical: Sequence[int] = (10,),
        continuous: int = 2,
        information_weight: float | Schedule = 1.0,
        latent_dim: int = 74,
        generator: GeneratorFactory = DCGANGenerator,
        discriminator: DiscriminatorFactory = DCGANDiscriminator,
        recognition_head: HeadFactory = RecognitionHead,
        generator_optimizer: OptimizerFactory = InfoGANAdam,
        **kwargs: Any,
    ) -> None:
        if any(size < 2 for size in categorical):
            raise ValueError(f"`categorical` must hold sizes of at least 2, got {list(categorical)}")
        if continuous < 0:
            raise ValueError(f"`continuous` must be at least 0, got {continuous}")
        if value_range(information_weight)[0] < 0:
            raise ValueError(f"`information_weight` must be at least 0, got {information_weight}")
        code_dim = sum(categorical) + continuous
        if code_dim == 0:
            raise ValueError("`categorical` is empty and `continuous` is 0: there must be a code")
        if latent_dim < code_dim:
            raise ValueError(f"`latent_dim` must be at least {code_dim}, the size of all codes, got {latent_dim}")
        super().__init__(
            image_shape=image_shape,
            latent_dim=latent_dim,
            generator=generator,
            discriminator=lambda shape: InfoGANDiscriminator(
                discriminator(shape), recognition_head, shape, codes=code_dim
            ),
            generator_optimizer=generator_optimizer,
            **kwargs,
        )
        self.categorical = list(categorical)
        self.continuous = continuous
        self.information_weight = information_weight
        self.code_dim = code_dim

    def generate(self, generator: nn.Module, latents: Tensor, batch: Batch) -> Batch:
        """Map normal latents to noise and codes, and noise and codes to samples."""
        return self._generate(generator, self._generator_input(latents))

    def _generator_input(self, latents: Tensor) -> Tensor:
        """Map normal latents (n, latent_dim) to uniform noise, one-hot categories and uniform continuous codes."""
        noise, *scores, style = torch.split(latents, [self.latent_dim - self.code_dim, *self._code_sizes], dim=1)
        categories = [F.one_hot(score.argmax(1), score.shape[1]).to(latents) for score in scores]
        return torch.cat([_to_uniform(noise), *categories, _to_uniform(style)], dim=1)

    def _generate(self, generator: nn.Module, inputs: Tensor) -> Batch:
        return {"image": generator(inputs), "code": inputs[:, self.latent_dim - self.code_dim :]}

    @property
    def _code_sizes(self) -> list[int]:
        """Sizes of each categorical code, and of the continuous codes together."""
        return [*self.categorical, self.continuous]

    def discriminator_loss(self, batch: Batch) -> Losses:
        """Compute the cross-entropy of examples against samples, and the negated bounds of the information."""
        samples = self.fake(batch)
        real = self.discriminator(batch["image"])
        fake, code_params = self.discriminator.logits_and_codes(samples["image"])
        self.observe_logits(real, fake)
        return {
            "adversarial": minimax_discriminator_loss(real, fake),
            **self._information_terms(code_params, samples["code"]),
        }

    def generator_loss(self, batch: Batch) -> Losses:
        """Compute the non-saturating loss, -log D(G(z)), and the negated bounds of the information."""
        samples = self.fake(batch)
        fake, code_params = self.discriminator.logits_and_codes(samples["image"])
        return {
            "adversarial": non_saturating_generator_loss(fake),
            **self._information_terms(code_params, samples["code"]),
        }

    def _information_terms(self, code_params: Tensor, code: Tensor) -> Losses:
        """Compute the negated, weighted bounds for the categorical and for the continuous codes."""
        weight = value_at(self.information_weight, self.images_seen)
        *logits, mean = torch.split(code_params, self._code_sizes, dim=1)
        *categories, style = torch.split(code, self._code_sizes, dim=1)
        terms: Losses = {}
        if categories:
            bounds = torch.stack([*map(categorical_information, logits, categories)])
            terms["categorical"] = -weight * bounds.sum()
        if self.continuous:
            terms["continuous"] = -weight * continuous_information(mean, style)
        return terms

    @torch.no_grad()
    def codes(self, batch: Batch) -> Codes:
        """Predict the codes of images, in evaluation mode."""
        with self.eval_mode():
            _, code_params = self.discriminator.logits_and_codes(self.to_device_and_dtype(batch["image"]))
        *logits, mean = torch.split(code_params, self._code_sizes, dim=1)
        return Codes([logit.softmax(1) for logit in logits], mean)

    def scores(self, batch: Batch) -> dict[str, float]:
        """Compute the clustering accuracy of the first categorical code; without labels there are no scores."""
        if not self.categorical or (batch["label"] < 0).all():
            return {}
        return {"cluster_accuracy": cluster_accuracy(self.codes(batch).categorical[0].argmax(1).cpu(), batch["label"])}

    def panels(self, columns: int, *, seed: int | None = None) -> dict[str, Batch]:
        """Add a latent traversal for each code: its categories in rows, or its values in columns."""
        panels = super().panels(columns, seed=seed)
        start = self.latent_dim - self.code_dim
        for number, size in enumerate([*self.categorical, *[1] * self.continuous]):
            panels[f"code_{number}"] = self._traversal(start, size, columns, seed)
            start += size
        return panels

    def _traversal(self, start: int, size: int, columns: int, seed: int | None) -> Batch:
        """Vary the code at `start` of the generator's input, and keep all other inputs."""
        rows = columns if size == 1 else size

        def traverse(_: int) -> Batch:
            inputs = self._generator_input(self.sample_latents(columns))
            if size == 1:  # continuous: each row has its own noise, each column a value
                inputs = inputs.repeat_interleave(columns, 0)
                values = torch.linspace(-1, 1, columns).to(inputs).repeat(columns).unsqueeze(1)
            else:  # categorical: each column has its own noise, each row a category
                inputs = inputs.repeat(size, 1)
                values = torch.eye(size).to(inputs).repeat_interleave(columns, 0)
            inputs[:, start : start + size] = values
            return self._generate(self.ema, inputs)

        return self.sample_in_chunks(rows * columns, rows * columns, seed, traverse)


def _to_uniform(normal: Tensor) -> Tensor:
    """Map standard normal numbers to uniform numbers in [-1, 1] monotonically."""
    return torch.erf(normal / math.sqrt(2))
