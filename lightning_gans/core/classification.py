"""Base class of models that classify images: predictions, accuracy and robustness."""

from abc import abstractmethod
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model
from lightning_gans.objectives.attacks import discriminator_as_classifier
from lightning_gans.types import Batch

Attack = Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor]
"""Function from (classifier, image, label) to perturbed images, such as a partial of `objectives.attacks.pgd`."""

LOGIT_CHUNK = 500
"""Number of images whose logits are computed at once."""


class ClassificationModel(Model):
    """Classify images; a subclass implements `classify`, and users call `predict`, `probabilities` or `logits`."""

    @abstractmethod
    def classify(self, image: Tensor) -> Tensor:
        """Compute the logits (n, num_classes) of images on the model's device, in the present mode, differentiably.

        Args:
            image: (n, *image_shape).
        """

    @torch.no_grad()
    def logits(self, image: Tensor) -> Tensor:
        """Compute the logits (n, num_classes) of images (n, *image_shape), in evaluation mode."""
        chunks = torch.split(image, LOGIT_CHUNK)
        with self.eval_mode():
            return torch.cat([self.classify(self.to_device_and_dtype(chunk)) for chunk in chunks])

    def probabilities(self, image: Tensor) -> Tensor:
        """Predict the probability (n, num_classes) of each class of images (n, *image_shape)."""
        return self.logits(image).softmax(1)

    def predict(self, image: Tensor) -> Tensor:
        """Predict the most probable class of images (n, *image_shape), (n,) int64."""
        return self.logits(image).argmax(1)

    def perturb(self, image: Tensor, label: Tensor, attack: Attack) -> Tensor:
        """Perturb images by an attack on this model in evaluation mode.

        Args:
            image: (n, *image_shape) images in [-1, 1].
            label: (n,) int64 true classes.
            attack: The attack.

        Returns:
            (n, *image_shape) on the model's device.

        Example:
            >>> from functools import partial
            >>> from lightning_gans.models import Classifier
            >>> from lightning_gans.objectives import fgsm
            >>> model, image = Classifier(image_shape=(1, 8, 8), num_classes=10), torch.zeros(4, 1, 8, 8)
            >>> model.perturb(image, torch.arange(4), partial(fgsm, eps=0.1)).abs().max()
            tensor(0.1000)
        """
        chunks = zip(torch.split(image, LOGIT_CHUNK), torch.split(label, LOGIT_CHUNK), strict=True)
        with self.eval_mode():
            return torch.cat([attack(self.classify, *map(self.to_device_and_dtype, chunk)) for chunk in chunks])

    def scores(self, batch: Batch) -> dict[str, float]:
        """Compute the accuracy on the labeled examples; without labels there are no scores."""
        labeled = batch["label"] >= 0
        if not labeled.any():
            return {}
        correct = self.predict(batch["image"][labeled]) == batch["label"][labeled].to(self.device)
        return {"accuracy": correct.cpu().double().mean().item()}


class DiscriminatorClassifier(ClassificationModel):
    """Classify images by the discriminator of a GAN, with the classes 0 (sample) and 1 (example).

    Args:
        gan: The GAN, which is not changed.

    Raises:
        ValueError: If the model has no discriminator, or a conditional one.

    Example:
        >>> from lightning_gans.models import DCGAN
        >>> DiscriminatorClassifier(DCGAN(image_shape=(1, 8, 8))).probabilities(torch.zeros(4, 1, 8, 8)).shape
        torch.Size([4, 2])
    """

    def __init__(self, gan: GenerativeModel) -> None:
        super().__init__(image_shape=gan.image_shape)
        self.gan = gan
        with torch.no_grad(), self.eval_mode():
            score = gan.discriminator_score({"image": gan.to_device_and_dtype(torch.zeros(1, *gan.image_shape))})
        if score is None:
            raise ValueError(f"{type(gan).__name__} has no discriminator, or a conditional one")

    @property
    def requires(self) -> tuple[str, ...]:
        """Batch keys that training needs; this model is not trained."""
        return self.gan.requires

    def classify(self, image: Tensor) -> Tensor:
        """Compute the logits (n, 2) of images."""
        return discriminator_as_classifier(self._score)(image)

    def _score(self, image: Tensor) -> Tensor:
        return cast("Tensor", self.gan.discriminator_score({"image": image}))
