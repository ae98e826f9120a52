"""Classifier of labeled images: natural training, and adversarial training by FGSM or PGD."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_gans.checks import check_positive, check_probability
from lightning_gans.core.classification import ClassificationModel
from lightning_gans.core.optimizers import OptimizerFactory
from lightning_gans.core.schedules import Schedule, value_at, value_range
from lightning_gans.core.single_optimizer import SingleOptimizerModel
from lightning_gans.networks.classifier import ConvClassifier
from lightning_gans.objectives.attacks import FGSM_STEP, pgd
from lightning_gans.objectives.classification import labeled_accuracy, labeled_cross_entropy
from lightning_gans.types import Batch, ImageShape, Losses

ClassifierFactory = Callable[[ImageShape, int], nn.Module]
"""Factory of a classifier network from (image_shape, num_classes)."""


class Classifier(SingleOptimizerModel, ClassificationModel):
    """Classify images; the training loss is the cross-entropy of their labels, natural, adversarial or a mixture.

    The loss is (1 - w) times the cross-entropy of the images plus w times that of adversarial images, with the
    adversarial weight w. Adversarial images are found in evaluation mode by FGSM with a random start if `attack_steps`
    is 1, which is cheap, and otherwise by PGD with a random start. Examples without a label (-1) are ignored.

    What differs from the authors' code: the learning rate of Adam is torch's 1e-3; the authors use 1e-4 for 100,000
    batches of 50 images. Images have values in [-1, 1], in which the eps 0.3 of the paper is 0.6.

    Source: Madry et al. 2018, arXiv:1706.06083, sections 2 and 5; FGSM with a random start is Wong et al. 2020,
    arXiv:2001.03994.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        num_classes: Number of classes of the data; None (data without labels) is refused.
        network: Factory of the network from (image_shape, num_classes), default `ConvClassifier`. The network returns
            logits, (b, num_classes).
        optimizer: Factory of the optimizer from the network's parameters.
        adversarial_weight: Weight of the adversarial loss, from 0 (default, natural training) to 1.
        eps: Largest change of a pixel by training's attack, in the units of the images, default 0.6.
        attack_steps: Gradient steps of training's attack, default 1.
        attack_step_size: Step size of training's attack, default None for 1.25 eps (one step) or 2.5 eps / steps.
        **kwargs: Further arguments of `SingleOptimizerModel`.

    Raises:
        ValueError: If `num_classes` is None or below 1, or a number is out of its range; or, in training, a label is
            not below `num_classes`.

    Example:
        >>> model = Classifier(image_shape=(1, 8, 8), num_classes=10)
        >>> model.predict(torch.zeros(4, 1, 8, 8)).shape
        torch.Size([4])
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        num_classes: int | None,
        network: ClassifierFactory = ConvClassifier,
        optimizer: OptimizerFactory = torch.optim.Adam,
        adversarial_weight: float = 0.0,
        eps: float | Schedule = 0.6,
        attack_steps: int = 1,
        attack_step_size: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape=image_shape, optimizer=optimizer, **kwargs)
        if num_classes is None:
            raise ValueError("`num_classes` is None: the data have no classes")
        check_positive(num_classes=num_classes, attack_steps=attack_steps)
        check_probability(adversarial_weight=adversarial_weight)
        if value_range(eps)[0] < 0:
            raise ValueError(f"`eps` must be at least 0, got {eps}")
        self.num_classes = num_classes
        self.network = network(self.image_shape, num_classes)
        self.adversarial_weight = adversarial_weight
        self.eps = eps
        self.attack_steps = attack_steps
        self.attack_step_size = attack_step_size

    @property
    def requires(self) -> tuple[str, ...]:
        """Batch keys that training needs: images and labels."""
        return ("image", "label")

    def model_loss(self, batch: Batch) -> Losses:
        """Compute the mean cross-entropies of the labeled examples, and log their accuracy."""
        image, label = batch["image"], batch["label"]
        terms: Losses = {}
        if self.adversarial_weight < 1:
            logits = self.network(image)
            terms["cross_entropy"] = (1 - self.adversarial_weight) * labeled_cross_entropy(logits, label)
            self.observe("model/accuracy", labeled_accuracy(logits, label))
        if self.adversarial_weight > 0:
            logits = self.network(self._attack(image, label))
            terms["adversarial"] = self.adversarial_weight * labeled_cross_entropy(logits, label)
            self.observe("model/adversarial_accuracy", labeled_accuracy(logits, label))
        return terms

    def _attack(self, image: Tensor, label: Tensor) -> Tensor:
        """Perturb training images; the random start is drawn from the random stream of training."""
        eps = value_at(self.eps, self.images_seen)
        step_size = FGSM_STEP * eps if self.attack_steps == 1 else None
        with self.eval_mode():
            return pgd(
                self.network,
                image,
                label,
                eps=eps,
                steps=self.attack_steps,
                step_size=self.attack_step_size or step_size,
                generator=torch.default_generator,
            )

    def classify(self, image: Tensor) -> Tensor:
        """Compute the logits (n, num_classes) of images."""
        logits: Tensor = self.network(image)
        return logits
