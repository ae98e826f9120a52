"""Semi-supervised GAN: a classifier that learns from few labels and from unlabeled images."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.checks import check_positive
from lightning_gans.core.batches import index_batch
from lightning_gans.core.classification import ClassificationModel
from lightning_gans.core.ema import EMA
from lightning_gans.core.gan import GAN, GeneratorFactory
from lightning_gans.core.optimizers import OptimizerFactory, SemiSupervisedAdam
from lightning_gans.core.schedules import Schedule
from lightning_gans.networks.semi_supervised import (
    BatchNormMLPGenerator,
    NoisyMLPClassifier,
    initialize_weight_norm,
)
from lightning_gans.objectives.classification import feature_matching_loss, labeled_accuracy, labeled_cross_entropy
from lightning_gans.objectives.losses import minimax_discriminator_loss
from lightning_gans.types import Batch, ImageShape, Losses

ClassifierFactory = Callable[[ImageShape, int], nn.Module]
"""Factory of a classifier network with `features` from (image_shape, num_classes)."""


class SemiSupervisedGAN(GAN, ClassificationModel):
    """Learn to classify from few labels: the discriminator is a classifier, and unlabeled images show it the data.

    The discriminator has K class logits. Their logsumexp is the logit of "real", so that samples are a class K + 1
    whose logit is 0. The discriminator minimizes the cross-entropy of the labeled examples, and the minimax loss of
    examples against samples. The generator matches the means of the features of the discriminator's last hidden layer.

    The minimax loss and feature matching use the examples without a label, or all examples if all have one, because
    labeled examples may be repeated (`labeled_per_batch` of the data). Predictions are those of the EMA of the
    discriminator. With an adversarial weight of 0 the model is its supervised twin: only labeled examples are learned
    from, and the generator is not trained.

    Source: Salimans et al. 2016, arXiv:1606.03498; settings of the authors' `train_mnist_feature_matching.py`.

    What differs from the authors' code: latents are normal instead of uniform; the generator's step uses the batch of
    the discriminator's step; the EMA has the half-life of `ema_half_life` instead of 693,000 images.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        num_classes: Number of classes of the data; None (data without labels) is refused.
        adversarial_weight: Factor of the minimax loss, default 0.5; 0 trains the supervised twin.
        generator: Factory of the generator from (latent_dim, image_shape), default `BatchNormMLPGenerator`.
        classifier: Factory of the discriminator from (image_shape, num_classes), default `NoisyMLPClassifier`; it must
            have `features`, and return logits, (b, num_classes).
        generator_optimizer: Factory of the generator's optimizer from its parameters, default `SemiSupervisedAdam`.
        discriminator_optimizer: Factory of the discriminator's optimizer, default `SemiSupervisedAdam`.
        ema_half_life: Half-life in images of the EMA of both networks, as for `GAN`.
        **kwargs: Further arguments of `GAN`.

    Raises:
        ValueError: If `num_classes` is None or below 1, or `adversarial_weight` is negative; or, in training, a label
            is not below `num_classes`.

    Example:
        >>> model = SemiSupervisedGAN(image_shape=(1, 8, 8), num_classes=10)
        >>> model.probabilities(torch.zeros(4, 1, 8, 8)).shape, model.sample(2, seed=0)["image"].shape
        (torch.Size([4, 10]), torch.Size([2, 1, 8, 8]))
    """

    monitor = "accuracy"

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        num_classes: int | None,
        adversarial_weight: float = 0.5,
        generator: GeneratorFactory = BatchNormMLPGenerator,
        classifier: ClassifierFactory = NoisyMLPClassifier,
        generator_optimizer: OptimizerFactory = SemiSupervisedAdam,
        discriminator_optimizer: OptimizerFactory = SemiSupervisedAdam,
        ema_half_life: float | Schedule | None = None,
        **kwargs: Any,
    ) -> None:
        if num_classes is None:
            raise ValueError("`num_classes` is None: the data have no classes")
        check_positive(num_classes=num_classes)
        if adversarial_weight < 0:
            raise ValueError(f"`adversarial_weight` must be at least 0, got {adversarial_weight}")
        super().__init__(
            image_shape=image_shape,
            generator=generator,
            discriminator=lambda shape: classifier(shape, num_classes),
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            ema_half_life=ema_half_life,
            **kwargs,
        )
        self.num_classes = num_classes
        self.adversarial_weight = adversarial_weight
        self.discriminator_ema = EMA(self.discriminator, half_life=ema_half_life)

    @property
    def requires(self) -> tuple[str, ...]:
        """Batch keys that training needs: images and labels."""
        return ("image", "label")

    def initialize_from_batch(self, batch: Batch) -> None:
        """Initialize weight normalization from the examples, and the EMA of the discriminator."""
        initialize_weight_norm(self.discriminator, batch["image"])
        self.discriminator_ema.copy(self.discriminator)

    def discriminator_loss(self, batch: Batch) -> Losses:
        """Compute the cross-entropy of the labeled examples, and the minimax loss of examples against samples."""
        logits = self.discriminator(batch["image"])
        self.observe("discriminator/accuracy", labeled_accuracy(logits, batch["label"]))
        terms = {"cross_entropy": labeled_cross_entropy(logits, batch["label"])}
        if self.adversarial_weight > 0:
            rows = _unlabeled_rows(batch["label"])
            samples = self.fake(index_batch(batch, rows))
            real, fake = logits[rows].logsumexp(1), self.discriminator(samples["image"]).logsumexp(1)
            self.observe_logits(real, fake)
            terms["adversarial"] = self.adversarial_weight * minimax_discriminator_loss(real, fake)
        return terms

    def generator_loss(self, batch: Batch) -> Losses:
        """Compute the feature matching loss; none for the supervised twin."""
        if self.adversarial_weight == 0:
            return {}
        examples = index_batch(batch, _unlabeled_rows(batch["label"]))
        features: Any = self.discriminator.features
        real, fake = features(examples["image"]), features(self.fake(examples)["image"])
        return {"feature_matching": feature_matching_loss(real, fake)}

    def classify(self, image: Tensor) -> Tensor:
        """Compute the logits (n, num_classes) of images with the EMA of the discriminator."""
        logits: Tensor = self.discriminator_ema(image)
        return logits

    def discriminator_score(self, batch: Batch) -> Tensor:
        """Compute the discriminator's logit of each example to be real, (b,)."""
        logits: Tensor = self.discriminator(batch["image"])
        return logits.logsumexp(1)

    def after_discriminator_step(self) -> None:
        """Update the EMA of the discriminator."""
        self.discriminator_ema.update(self.discriminator, images_seen=self.images_after_batch)


def _unlabeled_rows(label: Tensor) -> Tensor:
    """Return the indices of the examples without a label, or of all examples if all have one."""
    rows = (label < 0).nonzero().flatten()
    return rows if len(rows) else torch.arange(len(label), device=label.device)
