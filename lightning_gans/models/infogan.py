"""The GAN whose generator lets a code be read off what it makes."""

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
    """What is read off examples.

    Attributes:
        categorical: (b, size) probabilities, for each categorical code.
        continuous: (b, continuous) means.
    """

    categorical: list[Tensor]
    continuous: Tensor


class InfoGAN(GAN):
    """Find categories and styles without labels: make part of the latent a code that can be read off each sample.

    A recognition head on the discriminator's features estimates the code; both players maximize the bound of the mutual
    information that it gives, `categorical` and `continuous` in nats. The head's weights are the discriminator's, and
    its optimizer moves them, as in the authors' code.

    A latent is drawn from a normal distribution. The generator gets uniform numbers of it, erf(z / sqrt(2)), and for
    each categorical code the place of the largest of `size` numbers, one-hot: so what lies between two latents is one.

    Source: Chen et al. 2016, arXiv:1606.03657; settings of the authors' `run_mnist_exp.py`, where both bounds weigh 1
    and the deviation of continuous codes is fixed at 1. The networks here are DCGAN's.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        categorical: Sizes of the categorical codes.
        continuous: How many continuous codes there are, each uniform in [-1, 1].
        information_weight: Lambda, the factor of both bounds.
        latent_dim: Numbers in a latent vector, the codes among them: they come last.
        generator: Makes the generator from (latent_dim, image_shape).
        discriminator: Makes the discriminator from (image_shape); it needs `features` and `logit`.
        recognition_head: Makes the recognition head from (size of the features, numbers to read).
        generator_optimizer: Makes the generator's optimizer from its parameters.
        **kwargs: What every `GAN` takes.

    Raises:
        ValueError: A number is out of its range, there is no code, or `discriminator` has no features.

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
        codes = sum(categorical) + continuous
        if codes == 0:
            raise ValueError("`categorical` is empty and `continuous` is 0: there must be a code")
        if latent_dim < codes:
            raise ValueError(f"`latent_dim` must be at least {codes}, the numbers in the codes, got {latent_dim}")
        super().__init__(
            image_shape=image_shape,
            latent_dim=latent_dim,
            generator=generator,
            discriminator=lambda shape: InfoGANDiscriminator(
                discriminator(shape), recognition_head, shape, codes=codes
            ),
            generator_optimizer=generator_optimizer,
            **kwargs,
        )
        self.categorical = list(categorical)
        self.continuous = continuous
        self.information_weight = information_weight

    def generate(self, generator: nn.Module, latents: Tensor, batch: Batch) -> Batch:
        """Make codes of normal latents, and examples of both."""
        return self._generated(generator, self._inputs(latents))

    def _inputs(self, latents: Tensor) -> Tensor:
        noise, *scores, style = torch.split(latents, self._sizes, dim=1)
        categories = [F.one_hot(score.argmax(1), score.shape[1]).to(latents) for score in scores]
        return torch.cat([_uniform(noise), *categories, _uniform(style)], dim=1)

    def _generated(self, generator: nn.Module, inputs: Tensor) -> Batch:
        return {"image": generator(inputs), "code": inputs[:, self._sizes[0] :]}

    @property
    def _sizes(self) -> list[int]:
        """The numbers of a latent: of noise, of each categorical code, of the continuous ones."""
        codes = [*self.categorical, self.continuous]
        return [self.latent_dim - sum(codes), *codes]

    def discriminator_loss(self, batch: Batch) -> Losses:
        """The cross-entropy of real against generated, and minus what is known of the codes."""
        samples = self.fake(batch)
        real = self.discriminator(batch["image"])
        fake, code_params = self.discriminator.logits_and_codes(samples["image"])
        self.observe_logits(real, fake)
        return {
            "adversarial": minimax_discriminator_loss(real, fake),
            **self._information(code_params, samples["code"]),
        }

    def generator_loss(self, batch: Batch) -> Losses:
        """The non-saturating loss, -log D(G(z)), and minus what is known of the codes."""
        samples = self.fake(batch)
        fake, code_params = self.discriminator.logits_and_codes(samples["image"])
        return {"adversarial": non_saturating_generator_loss(fake), **self._information(code_params, samples["code"])}

    def _information(self, code_params: Tensor, code: Tensor) -> Losses:
        """Minus the weighted bounds, by kind of code."""
        weight = value_at(self.information_weight, self.images_seen)
        *logits, mean = torch.split(code_params, self._sizes[1:], dim=1)
        *categories, style = torch.split(code, self._sizes[1:], dim=1)
        terms: Losses = {}
        if categories:
            bounds = [categorical_information(*pair) for pair in zip(logits, categories, strict=True)]
            terms["categorical"] = -weight * torch.stack(bounds).sum()
        if self.continuous:
            terms["continuous"] = -weight * continuous_information(mean, style)
        return terms

    @torch.no_grad()
    def codes(self, batch: Batch) -> Codes:
        """Read the codes off examples: probabilities of each category, means of the continuous codes."""
        with self.eval_mode():
            _, code_params = self.discriminator.logits_and_codes(self.to_device_and_dtype(batch["image"]))
        *logits, mean = torch.split(code_params, self._sizes[1:], dim=1)
        return Codes([logit.softmax(1) for logit in logits], mean)

    def scores(self, batch: Batch) -> dict[str, float]:
        """How far the categories of the first code agree with the labels, where there are both."""
        if not self.categorical or (batch["label"] < 0).all():
            return {}
        return {"cluster_accuracy": cluster_accuracy(self.codes(batch).categorical[0].argmax(1).cpu(), batch["label"])}

    def panels(self, columns: int, *, seed: int | None = None) -> dict[str, Batch]:
        """Add a panel for each code: its categories in rows, or its values in columns; all else is as it was."""
        panels = super().panels(columns, seed=seed)
        start = self._sizes[0]
        for number, size in enumerate([*self.categorical, *[1] * self.continuous]):
            panels[f"code_{number}"] = self._traversal(start, size, columns, seed)
            start += size
        return panels

    def _traversal(self, start: int, size: int, columns: int, seed: int | None) -> Batch:
        rows = columns if size == 1 else size

        def made() -> Batch:
            inputs = self._inputs(self.sample_latents(columns))
            if size == 1:  # a row is an example, and its columns are values
                inputs = inputs.repeat_interleave(columns, 0)
                values = torch.linspace(-1, 1, columns).to(inputs).repeat(columns).unsqueeze(1)
            else:  # a column is an example, and its rows are categories
                inputs = inputs.repeat(size, 1)
                values = torch.eye(size).to(inputs).repeat_interleave(columns, 0)
            inputs[:, start : start + size] = values
            return self._generated(self.ema, inputs)

        return self.sample_in_chunks(rows * columns, rows * columns, seed, lambda _: made())


def _uniform(normal: Tensor) -> Tensor:
    """Map normal numbers to uniform ones in [-1, 1], in their order."""
    return torch.erf(normal / math.sqrt(2))
