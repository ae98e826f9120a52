"""GAN-CLS: the GAN that learns from images with wrong captions."""

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor

from lightning_gans.checks import check_probability
from lightning_gans.core.batches import as_dict, mismatched_rows
from lightning_gans.core.conditioning import Condition
from lightning_gans.core.gan import GAN, DiscriminatorFactory, GeneratorFactory
from lightning_gans.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from lightning_gans.objectives.losses import minimax_discriminator_loss, non_saturating_generator_loss
from lightning_gans.types import Batch, ImageShape, Losses


class GANCLS(GAN):
    """Generate images from captions, with a discriminator that also rejects examples with a wrong caption.

    The discriminator separates examples with their captions from samples, and from examples with the captions of other
    examples of the batch (`mismatch`). The wrong caption of an example is that of the next example whose caption
    differs. A batch of equal captions has no mismatch. The generator also minimizes the loss of samples for the mean of
    two encoded captions (`interpolation`), for which there are no examples.

    What differs from the authors' code: captions are encoded by a network that is trained with each player, not by a
    fixed one, and the discriminator receives them by projection. The learning rate is constant by default.

    Source: Reed et al. 2016, arXiv:1605.05396, algorithm 1 and section 4.3; settings of the authors' code
    (reedscot/icml2016).

    Args:
        image_shape: (channels, height, width).
        generator: Factory of the generator from (latent_dim, image_shape), default `DCGANGenerator`.
        discriminator: Factory of the discriminator from (image_shape), default `DCGANDiscriminator`.
        mismatch_weight: Weight of wrong captions among the rejected pairs, from 0 to 1, default 0.5.
        interpolation_weight: Factor of the loss for interpolated captions, default 1; 0 disables it.
        conditions: Batch keys of the conditions, default "text".
        **kwargs: Further arguments of `GAN`.

    Raises:
        ValueError: If there are no conditions, or a weight is out of its range.

    Example:
        >>> import torch
        >>> model = GANCLS(image_shape=(3, 16, 16), vocabulary=("<pad>", "<unk>", "red", "heart"))
        >>> model.sample(2, condition={"text": torch.tensor([[2, 3], [3, 0]])}, seed=0)["image"].shape
        torch.Size([2, 3, 16, 16])
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        generator: GeneratorFactory = DCGANGenerator,
        discriminator: DiscriminatorFactory = DCGANDiscriminator,
        mismatch_weight: float = 0.5,
        interpolation_weight: float = 1.0,
        conditions: Sequence[Condition] = ("text",),
        **kwargs: Any,
    ) -> None:
        check_probability(mismatch_weight=mismatch_weight)
        if interpolation_weight < 0:
            raise ValueError(f"`interpolation_weight` must be at least 0, got {interpolation_weight}")
        if not conditions:
            raise ValueError("`conditions` of GANCLS must not be empty")
        super().__init__(
            image_shape=image_shape,
            generator=generator,
            discriminator=discriminator,
            conditions=conditions,
            **kwargs,
        )
        self.mismatch_weight = mismatch_weight
        self.interpolation_weight = interpolation_weight

    def discriminator_loss(self, batch: Batch) -> Losses:
        """Compute the cross-entropies of right pairs against samples, and against wrong pairs."""
        real, fake = self.discriminate(batch["image"], self.fake(batch)["image"])
        mismatched, differs = self._mismatched(batch)
        with self.condition_on(mismatched):
            wrong = self.discriminator(batch["image"])
        weight = self.mismatch_weight * differs
        return {
            "adversarial": (1 - weight) * minimax_discriminator_loss(real, fake),
            "mismatch": weight * minimax_discriminator_loss(real, wrong),
        }

    def generator_loss(self, batch: Batch) -> Losses:
        """Compute the non-saturating loss, -log D(G(z)), for captions and for the mean of two captions."""
        terms = {"adversarial": non_saturating_generator_loss(self.discriminator(self.fake(batch)["image"]))}
        if self.interpolation_weight > 0:
            with self.condition_on(batch, self._mismatched(batch)[0]):
                latents = self.sample_latents(len(batch["image"]))
                fake = self.discriminator(self.generate(self.generator, latents, batch)["image"])
            terms["interpolation"] = self.interpolation_weight * non_saturating_generator_loss(fake)
        return terms

    def _mismatched(self, batch: Batch) -> tuple[Batch, Tensor]:
        """Exchange the conditions of a batch; also return 1, or 0 if all are equal."""
        conditions = {key: as_dict(batch)[key] for key in self.conditions}
        rows, differs = mismatched_rows([*conditions.values()])
        exchanged = {key: tensor[rows] for key, tensor in conditions.items()}
        return cast("Batch", {**batch, **exchanged}), differs.to(batch["image"].dtype)
