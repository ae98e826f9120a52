"""Robustness of classifiers: accuracy over eps, a check for masked gradients, and transfer between models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lightning_gans.core.classification import ClassificationModel
from lightning_gans.objectives.attacks import fgsm, pgd

STRONGER = {"steps": 100, "restarts": 5}
"""Settings of the attack that the check for masked gradients compares with."""

TOLERANCE = 0.04
"""Difference of accuracies up to which gradients count as not masked."""

CHECKED = 200
"""Maximum number of images of the check for masked gradients, whose stronger attack is slow."""


@dataclass(frozen=True)
class Target:
    """A classifier with the images on which it is attacked.

    Attributes:
        model: The classifier.
        image: (n, *image_shape) images in [-1, 1].
        label: (n,) int64 true classes.
        class_names: Name of each class.
    """

    model: ClassificationModel
    image: Tensor
    label: Tensor
    class_names: Sequence[str]

    def accuracy(self, image: Tensor) -> float:
        """Compute the accuracy on perturbed images (n, *image_shape)."""
        return (self.model.predict(image).cpu() == self.label).double().mean().item()

    def first(self, count: int) -> "Target":
        """Return the target with the first images only."""
        return replace(self, image=self.image[:count], label=self.label[:count])


@dataclass(frozen=True)
class Attacks:
    """Settings of PGD.

    Attributes:
        norm: Norm of the ball: infinity or 2.
        steps: Gradient steps of a run.
        restarts: Number of runs.
        seed: Seed of the random starts.
    """

    norm: float
    steps: int
    restarts: int
    seed: int

    def perturb(self, target: Target, eps: float, **changes: Any) -> Tensor:
        """Perturb the images of a target by PGD, with some settings changed."""
        settings = {"norm": self.norm, "steps": self.steps, "restarts": self.restarts, **changes}
        generator = torch.Generator().manual_seed(self.seed)
        attack = partial(pgd, eps=eps, generator=generator, **settings)
        return target.model.perturb(target.image, target.label, attack)


def accuracies(target: Target, eps: Sequence[float], attacks: Attacks) -> list[float]:
    """Compute the accuracy under PGD for each eps; the accuracy for eps 0 is the clean accuracy."""
    return [target.accuracy(target.image if radius == 0 else attacks.perturb(target, radius)) for radius in eps]


def masking_check(target: Target, eps: float, attacks: Attacks) -> dict[str, Any]:
    """Compare attacks of different strength on the first 200 images; masked gradients let a weaker attack win.

    Source: the signs of masked gradients in Athalye et al. 2018, arXiv:1802.00420, section 3.1.

    Args:
        target: The classifier.
        eps: Radius of the attacks.
        attacks: Settings of PGD.

    Returns:
        The accuracies under FGSM, PGD and stronger PGD, and `masked`, whether FGSM beats PGD, or stronger PGD beats PGD
        by more than 4 points. FGSM is left out for the l2 norm.
    """
    target = target.first(CHECKED)
    result: dict[str, Any] = {
        "images": len(target.label),
        "pgd": target.accuracy(attacks.perturb(target, eps)),
        "stronger_pgd": target.accuracy(attacks.perturb(target, eps, **STRONGER)),
    }
    masked = result["pgd"] - result["stronger_pgd"] > TOLERANCE
    if attacks.norm == torch.inf:
        result["fgsm"] = target.accuracy(target.model.perturb(target.image, target.label, partial(fgsm, eps=eps)))
        masked |= result["pgd"] - result["fgsm"] > TOLERANCE
    return {**result, "masked": masked}


def transfer(targets: Mapping[str, Target], eps: float, attacks: Attacks) -> dict[str, dict[str, float]]:
    """Compute the accuracy of each model on the adversarial examples of each other model (black-box attacks).

    Args:
        targets: Classifiers of the same images, by name.
        eps: Radius of the attacks.
        attacks: Settings of PGD.

    Returns:
        Accuracy by the name of the attacked model and of the model that the examples were made for.
    """
    perturbed = {name: attacks.perturb(target, eps) for name, target in targets.items()}
    return {
        name: {source: target.accuracy(image) for source, image in perturbed.items() if source != name}
        for name, target in targets.items()
    }
