"""Classifier of labeled images, for scores that need one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_positive
from lightning_gans.core.optimizers import OptimizerFactory
from lightning_gans.core.single_optimizer import SingleOptimizerModel
from lightning_gans.networks.classifier import ConvClassifier
from lightning_gans.types import Batch, ImageShape, Losses

ClassifierFactory = Callable[[ImageShape, int], nn.Module]
"""Factory of a classifier network from (image_shape, num_classes)."""

LOGIT_CHUNK = 500
"""Number of images whose logits are computed at once."""


class Classifier(SingleOptimizerModel):
    """Classify images; the training loss is the cross-entropy of their labels.

    Examples without a label (-1) are ignored.

    What differs from the authors' code: the learning rate of Adam is torch's 1e-3; the authors use 1e-4 for 100,000
    batches of 50 images. Images have values in [-1, 1].

    Source: the natural training of Madry et al. 2018, arXiv:1706.06083, section 5 and Table 1.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        num_classes: Number of classes of the data; None (data without labels) is refused.
        network: Factory of the network from (image_shape, num_classes), default `ConvClassifier`. The network returns
            logits, (b, num_classes).
        optimizer: Factory of the optimizer from the network's parameters.
        **kwargs: Further arguments of `SingleOptimizerModel`.

    Raises:
        ValueError: If `num_classes` is None or below 1; or, in training, a label is not below `num_classes`.

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
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape=image_shape, optimizer=optimizer, **kwargs)
        if num_classes is None:
            raise ValueError("`num_classes` is None: the data have no classes")
        check_positive(num_classes=num_classes)
        self.num_classes = num_classes
        self.network = network(self.image_shape, num_classes)

    @property
    def requires(self) -> tuple[str, ...]:
        """Batch keys that training needs: images and labels."""
        return ("image", "label")

    def model_loss(self, batch: Batch) -> Losses:
        """Compute the mean cross-entropy of the labeled examples, and log their accuracy."""
        label = batch["label"]
        if (largest := int(label.max())) >= self.num_classes:
            raise ValueError(f"`num_classes` is {self.num_classes}, but the data have the label {largest}")
        logits = self.network(batch["image"])
        count = (label >= 0).sum().clamp(min=1)
        correct = logits.detach().argmax(1) == label
        self.observe("model/accuracy", correct.float().sum() / count)
        return {"cross_entropy": F.cross_entropy(logits, label, ignore_index=-1, reduction="sum") / count}

    @torch.no_grad()
    def logits(self, image: Tensor) -> Tensor:
        """Compute the logits (n, num_classes) of images (n, *image_shape), in evaluation mode."""
        chunks = torch.split(image, LOGIT_CHUNK)
        with self.eval_mode():
            return torch.cat([self.network(self.to_device_and_dtype(chunk)) for chunk in chunks])

    def predict(self, image: Tensor) -> Tensor:
        """Predict the most probable class of images (n, *image_shape), (n,) int64."""
        return self.logits(image).argmax(1)

    def scores(self, batch: Batch) -> dict[str, float]:
        """Compute the accuracy on the labeled examples; without labels there are no scores."""
        labeled = batch["label"] >= 0
        if not labeled.any():
            return {}
        correct = self.predict(batch["image"][labeled]) == batch["label"][labeled].to(self.device)
        return {"accuracy": correct.cpu().double().mean().item()}
