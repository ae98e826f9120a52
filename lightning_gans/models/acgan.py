"""AC-GAN: the GAN whose discriminator also classifies."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.core.conditioning import Condition
from lightning_gans.core.gan import GAN, DiscriminatorFactory, GeneratorFactory
from lightning_gans.core.schedules import Schedule, value_at, value_range
from lightning_gans.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from lightning_gans.networks.recognition import HeadFactory, InfoGANDiscriminator
from lightning_gans.objectives.losses import minimax_discriminator_loss, non_saturating_generator_loss
from lightning_gans.types import Batch, ImageShape, Losses


class ACGAN(GAN):
    """Generate images of a class: the discriminator classifies examples and samples, instead of receiving the class.

    Both players minimize the cross-entropy of the labels, logged as `class`. The weights of the classifier belong to
    the discriminator. Examples without a label (-1) have no cross-entropy.

    What differs from the paper: the networks are DCGAN's, and the embedded label is concatenated to the latent.

    Source: Odena, Olah and Shlens 2017, arXiv:1610.09585.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        num_classes: Number of classes of the data; None (data without labels) is refused.
        class_weight: Factor of both cross-entropies, default 1.
        generator: Factory of the generator from (latent_dim, image_shape), default `DCGANGenerator`.
        discriminator: Factory of the discriminator from (image_shape), default `DCGANDiscriminator`; it must have
            `features` and `logit`.
        class_head: Factory of the classifier from (size of the features, num_classes), default one linear layer.
        conditions: Conditions of the generator, default "label", which is required.
        **kwargs: Further arguments of `GAN`.

    Raises:
        ValueError: If the data have no classes, `class_weight` is negative, or `discriminator` has no features.

    Example:
        >>> import torch
        >>> model = ACGAN(image_shape=(1, 8, 8), num_classes=10)
        >>> model.sample(2, condition={"label": torch.tensor([3, 7])}, seed=0)["image"].shape
        torch.Size([2, 1, 8, 8])
    """

    projects_condition = False
    discriminator: InfoGANDiscriminator

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        num_classes: int | None,
        class_weight: float | Schedule = 1.0,
        generator: GeneratorFactory = DCGANGenerator,
        discriminator: DiscriminatorFactory = DCGANDiscriminator,
        class_head: HeadFactory = nn.Linear,
        conditions: Sequence[Condition] = ("label",),
        **kwargs: Any,
    ) -> None:
        if value_range(class_weight)[0] < 0:
            raise ValueError(f"`class_weight` must be at least 0, got {class_weight}")
        if "label" not in conditions:
            raise ValueError(f"`conditions` of ACGAN must have label, got {list(conditions)}")
        super().__init__(
            image_shape=image_shape,
            num_classes=num_classes,
            generator=generator,
            discriminator=lambda shape: InfoGANDiscriminator(
                discriminator(shape), class_head, shape, codes=num_classes or 0
            ),
            conditions=conditions,
            **kwargs,
        )
        self.class_weight = class_weight

    def discriminator_loss(self, batch: Batch) -> Losses:
        """Compute the cross-entropy of examples against samples, and that of the labels of both."""
        real, real_class = self.discriminator.logits_and_codes(batch["image"])
        fake, fake_class = self.discriminator.logits_and_codes(self.fake(batch)["image"])
        self.observe_logits(real, fake)
        return {
            "adversarial": minimax_discriminator_loss(real, fake),
            "class": self._class_loss(real_class, batch) + self._class_loss(fake_class, batch),
        }

    def generator_loss(self, batch: Batch) -> Losses:
        """Compute the non-saturating loss, -log D(G(z)), and the cross-entropy of the labels of samples."""
        fake, fake_class = self.discriminator.logits_and_codes(self.fake(batch)["image"])
        return {"adversarial": non_saturating_generator_loss(fake), "class": self._class_loss(fake_class, batch)}

    def _class_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Compute the weighted mean cross-entropy of the labels that are known."""
        label = batch["label"]
        total = F.cross_entropy(logits, label, ignore_index=-1, reduction="sum")
        return value_at(self.class_weight, self.images_seen) * total / (label >= 0).sum().clamp(min=1)
