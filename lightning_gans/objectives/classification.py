"""Objectives of classifiers, of which some examples may have no label (-1), and feature matching."""

from torch import Tensor
from torch.nn import functional as F


def labeled_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Compute the mean cross-entropy of the labeled examples; 0 if there are none.

    Args:
        logits: (b, classes).
        label: (b,) int64, -1 where unknown.

    Returns:
        () in nats.

    Raises:
        ValueError: If a label is not below the number of classes.

    Example:
        >>> import torch
        >>> labeled_cross_entropy(torch.zeros(3, 4), torch.tensor([2, -1, 0]))
        tensor(1.3863)
        >>> labeled_cross_entropy(torch.zeros(2, 4), torch.tensor([-1, -1]))
        tensor(0.)
    """
    if (largest := int(label.max())) >= logits.shape[1]:
        raise ValueError(f"`num_classes` is {logits.shape[1]}, but the data have the label {largest}")
    count = (label >= 0).sum().clamp(min=1)
    return F.cross_entropy(logits, label, ignore_index=-1, reduction="sum") / count


def labeled_accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Compute the accuracy on the labeled examples; 0 if there are none.

    Args:
        logits: (b, classes).
        label: (b,) int64, -1 where unknown.

    Example:
        >>> import torch
        >>> labeled_accuracy(torch.eye(3), torch.tensor([0, -1, 1]))
        tensor(0.5000)
    """
    return (logits.argmax(1) == label).float().sum() / (label >= 0).sum().clamp(min=1)


def feature_matching_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the feature matching loss, the mean square of E f(x) - E f(G(z)) over the features.

    From *Improved Techniques for Training GANs*, arXiv:1606.03498, section 3.1. The paper has the sum of the squares,
    the authors' code the mean.

    Args:
        real: (b, features) features of examples.
        fake: (b, features) features of samples.

    Returns:
        ().

    Example:
        >>> import torch
        >>> feature_matching_loss(torch.tensor([[1.0, 4.0], [3.0, 4.0]]), torch.tensor([[2.0, 2.0]]))
        tensor(2.)
    """
    return (real.mean(0) - fake.mean(0)).square().mean()
