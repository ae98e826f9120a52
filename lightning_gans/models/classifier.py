"""A classifier, which is no game: what others are scored by."""

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

LOGIT_CHUNK = 500
"""Images that are classified at a time."""


class Classifier(SingleOptimizerModel):
    """Tell classes apart, by the cross entropy of labeled images; examples without a label (-1) are left out.

    What differs from the authors' code: Adam's learning rate is torch's 1e-3, theirs 1e-4 for 100,000 batches of 50;
    and images lie in [-1, 1].

    Source: the natural training of Madry et al. 2018, arXiv:1706.06083, section 5 and Table 1.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        num_classes: How many classes; the data's, which are None where it has no labels.
        network: Makes the network from (image_shape, num_classes); it returns logits, (b, num_classes).
        optimizer: Makes the optimizer from the network's parameters.
        **kwargs: What every `SingleOptimizerModel` takes.

    Raises:
        ValueError: `num_classes` is None or below 1; in training, a label lies beyond it.

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
            raise ValueError("`num_classes` is None: the data has no classes")
        check_positive(num_classes=num_classes)
        self.num_classes = num_classes
        self.network = network(self.image_shape, num_classes)

    @property
    def requires(self) -> tuple[str, ...]:
        """Images and their labels."""
        return ("image", "label")

    def model_loss(self, batch: Batch) -> Losses:
        """The cross entropy, over the examples of the batch that have a label."""
        label = batch["label"]
        if (largest := int(label.max())) >= self.num_classes:
            raise ValueError(f"`num_classes` is {self.num_classes}, but the data has the label {largest}")
        logits = self.network(batch["image"])
        known = label >= 0
        right = logits.detach().argmax(1) == label
        self.observe("model/accuracy", right.float().sum() / known.sum().clamp(min=1))
        loss = F.cross_entropy(logits, label, ignore_index=-1, reduction="sum")
        return {"cross_entropy": loss / known.sum().clamp(min=1)}

    @torch.no_grad()
    def logits(self, image: Tensor) -> Tensor:
        """Score images (n, *image_shape) for every class, (n, num_classes), in evaluation mode."""
        with self.eval_mode():
            return torch.cat([self.network(self.to_device_and_dtype(part)) for part in torch.split(image, LOGIT_CHUNK)])

    def predict(self, image: Tensor) -> Tensor:
        """The most probable class of each image (n, *image_shape), (n,) int64."""
        return self.logits(image).argmax(1)

    def scores(self, batch: Batch) -> dict[str, float]:
        """The share of the labeled examples that are classified rightly, where there are any."""
        known = batch["label"] >= 0
        if not known.any():
            return {}
        right = self.predict(batch["image"][known]) == batch["label"][known].to(self.device)
        return {"accuracy": right.cpu().double().mean().item()}
