"""Adversarial attacks on a classifier: FGSM and PGD, in the l-infinity and in the l2 norm.

Images have values in [-1, 1], and `eps` is in the same units. A perturbation of 0.3 for images in [0, 1], as in the
literature on MNIST, is 0.6 here.

Attacks leave the classifier as it is: only gradients with respect to the images are computed, the training mode is not
changed, and random starts are drawn from a generator that the caller passes. A classifier with dropout or batch
normalization should be in evaluation mode.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_gans.checks import check_positive

Classifier = Callable[[Tensor], Tensor]
"""Function from images (b, ...) to logits (b, classes), in which the logits of an image depend on that image only."""

FGSM_STEP = 1.25
"""Step size of FGSM with a random start, as a multiple of `eps` (arXiv:2001.03994, section 4)."""

PGD_REACH = 2.5
"""Default sum of the step sizes of PGD, as a multiple of `eps`: every point of the ball is in reach of any start."""


def fgsm(
    classifier: Classifier,
    image: Tensor,
    label: Tensor,
    *,
    eps: float,
    random_start: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Perturb images by the fast gradient sign method (FGSM): one step of PGD in the l-infinity norm.

    From *Explaining and Harnessing Adversarial Examples*, arXiv:1412.6572. With a random start, the step size is
    1.25 eps and the result is projected, as in *Fast is better than free*, arXiv:2001.03994.

    Args:
        classifier: Function from images to logits.
        image: (b, ...) images in [-1, 1].
        label: (b,) int64 true classes; images with the label -1 have no gradient.
        eps: Largest change of a pixel, in the units of the images.
        random_start: Whether to start at a random point of the ball, default False.
        generator: Generator of the random start, on the CPU; None (default) takes a new one with the seed 0.

    Returns:
        (b, ...) images in [-1, 1], within `eps` of the given images.

    Raises:
        ValueError: If `eps` is negative.

    Example:
        >>> weight = torch.tensor([[1.0, -1.0], [0.0, 0.0]])
        >>> fgsm(lambda image: image @ weight.T, torch.tensor([[0.5, 0.0]]), torch.tensor([0]), eps=0.25)
        tensor([[0.2500, 0.2500]])
    """
    step_size = eps * (FGSM_STEP if random_start else 1)
    return pgd(
        classifier,
        image,
        label,
        eps=eps,
        steps=1,
        step_size=step_size,
        random_start=random_start,
        generator=generator,
    )


def pgd(
    classifier: Classifier,
    image: Tensor,
    label: Tensor,
    *,
    eps: float,
    steps: int = 40,
    step_size: float | None = None,
    norm: float = math.inf,
    random_start: bool = True,
    restarts: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Perturb images by projected gradient descent (PGD), which maximizes the cross-entropy of the true classes.

    The result of a run is its last iterate. Of several runs, each image keeps the result with the largest margin of a
    wrong class over the true class, which is positive exactly if the image is misclassified.

    From *Towards Deep Learning Models Resistant to Adversarial Attacks*, arXiv:1706.06083.

    Args:
        classifier: Function from images to logits.
        image: (b, ...) images in [-1, 1].
        label: (b,) int64 true classes; images with the label -1 have no gradient, and need `restarts` 1.
        eps: Radius of the ball around each image, in the units of the images.
        steps: Gradient steps of a run, default 40.
        step_size: Length of a step in the norm, default None for 2.5 eps / steps.
        norm: Norm of the ball and of the steps: infinity (default) or 2.
        random_start: Whether runs start at a random point of the ball, default True.
        restarts: Number of runs, default 1.
        generator: Generator of the random starts, on the CPU; None (default) takes a new one with the seed 0.

    Returns:
        (b, ...) images in [-1, 1], within `eps` of the given images.

    Raises:
        ValueError: If `eps` is negative, `steps` or `restarts` is below 1, or `norm` is neither infinity nor 2.

    Example:
        >>> weight = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
        >>> image, label = torch.zeros(1, 2), torch.tensor([0])
        >>> pgd(lambda image: image @ weight.T, image, label, eps=0.5, norm=2, random_start=False)
        tensor([[-0.3000,  0.4000]])
    """
    if eps < 0:
        raise ValueError(f"`eps` must be at least 0, got {eps}")
    if norm not in (2, math.inf):
        raise ValueError(f"`norm` must be 2 or infinity, got {norm}")
    check_positive(steps=steps, restarts=restarts)
    step_size = PGD_REACH * eps / steps if step_size is None else step_size
    generator = torch.Generator().manual_seed(0) if generator is None else generator

    def run() -> Tensor:
        perturbed = image
        if random_start:
            perturbed = project(image + random_perturbation(image, eps, norm, generator), image, eps, norm)
        for _ in range(steps):
            direction = _steepest_direction(_input_gradient(classifier, perturbed, label), norm)
            perturbed = project(perturbed + step_size * direction, image, eps, norm)
        return perturbed

    best = run()
    for _ in range(restarts - 1):
        other = run()
        with torch.no_grad():
            is_better = margin(classifier(other), label) > margin(classifier(best), label)
        best = torch.where(_per_image(is_better, image), other, best)
    return best


def margin(logits: Tensor, label: Tensor) -> Tensor:
    """Compute the largest logit of a wrong class minus the logit of the true class; positive if misclassified.

    Args:
        logits: (b, classes).
        label: (b,) int64 true classes.

    Returns:
        (b,).

    Example:
        >>> margin(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([1]))
        tensor([1.])
    """
    wrong = logits.scatter(1, label.unsqueeze(1), -math.inf)
    return wrong.amax(1) - logits.gather(1, label.unsqueeze(1)).squeeze(1)


def project(perturbed: Tensor, image: Tensor, eps: float, norm: float = math.inf) -> Tensor:
    """Project perturbed images onto the intersection of the ball around the images and of [-1, 1].

    Args:
        perturbed: (b, ...) images.
        image: (b, ...) centers of the balls, in [-1, 1].
        eps: Radius of the balls.
        norm: Norm of the balls: infinity (default) or 2.

    Example:
        >>> project(torch.tensor([[3.0, 0.5]]), torch.tensor([[0.9, 0.0]]), eps=0.25)
        tensor([[1.0000, 0.2500]])
    """
    change = perturbed - image
    if norm == math.inf:
        change = change.clamp(-eps, eps)
    else:
        length = _per_image(torch.linalg.vector_norm(change.flatten(1), dim=1), image)
        change = change * (eps / length.clamp(min=torch.finfo(image.dtype).tiny)).clamp(max=1)
    # no pixel moves away from its image here, so the result remains within the ball
    return (image + change).clamp(-1, 1)


def random_perturbation(image: Tensor, eps: float, norm: float, generator: torch.Generator) -> Tensor:
    """Draw uniformly from the ball of each image.

    Args:
        image: (b, ...) images, for their shape, dtype and device.
        eps: Radius of the balls.
        norm: Norm of the balls: infinity or 2.
        generator: Generator on the CPU.

    Example:
        >>> random_perturbation(torch.zeros(2, 3), 0.5, 2, torch.Generator()).norm(dim=1) <= 0.5
        tensor([True, True])
    """
    if norm == math.inf:
        return (eps * (2 * torch.rand(image.shape, generator=generator) - 1)).to(image)
    direction = F.normalize(torch.randn(image.shape, generator=generator).flatten(1), dim=1)
    radius = eps * torch.rand(len(image), 1, generator=generator) ** (1 / direction.shape[1])
    return (radius * direction).view(image.shape).to(image)


def discriminator_as_classifier(discriminator: Callable[[Tensor], Tensor]) -> Classifier:
    """Turn a discriminator into a classifier with the classes 0 (sample) and 1 (example).

    The probability of class 1 is sigmoid(logit). The logits (b, ...) of an image are averaged.

    Args:
        discriminator: Function from images (b, ...) to logits (b, ...).

    Example:
        >>> classifier = discriminator_as_classifier(lambda image: image.sum(1))
        >>> fgsm(classifier, torch.zeros(1, 2), torch.tensor([1]), eps=0.5)
        tensor([[-0.5000, -0.5000]])
    """

    def classify(image: Tensor) -> Tensor:
        logit = discriminator(image).unsqueeze(-1).flatten(1).mean(1)
        return torch.stack([torch.zeros_like(logit), logit], 1)

    return classify


def _input_gradient(classifier: Classifier, image: Tensor, label: Tensor) -> Tensor:
    """Compute the gradient of each image's cross-entropy with respect to that image."""
    with torch.enable_grad():
        inputs = image.detach().requires_grad_()
        # a sum, so that the gradient of an image does not depend on the others
        loss = F.cross_entropy(classifier(inputs), label, ignore_index=-1, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, inputs)
    return gradient


def _steepest_direction(gradient: Tensor, norm: float) -> Tensor:
    """Return the direction of length 1 in the norm that increases the loss most; 0 where the gradient is 0."""
    if norm == math.inf:
        return gradient.sign()
    length = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return gradient / _per_image(length, gradient).clamp(min=torch.finfo(gradient.dtype).tiny)


def _per_image(values: Tensor, image: Tensor) -> Tensor:
    """View values (b,) so that they broadcast over images (b, ...)."""
    return values.view(-1, *[1] * (image.dim() - 1))
