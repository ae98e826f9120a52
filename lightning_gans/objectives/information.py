"""Lower bounds of the mutual information between a code and the samples generated from it, in nats.

For any distribution Q, H(c) + E log Q(c | x) is at most I(c; x). The two are equal if Q is the posterior. This is the
variational bound of Barber and Agakov, used in *InfoGAN*, arXiv:1606.03657, equation 4.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def categorical_information(logits: Tensor, code: Tensor) -> Tensor:
    """Compute the lower bound of the information about a uniform categorical code, log K + E log Q(c | x).

    It is log K if Q predicts each category with certainty, and 0 if Q is uniform. From *InfoGAN*, arXiv:1606.03657,
    equation 5.

    Args:
        logits: (b, K) logits of Q.
        code: (b, K) one-hot categories.

    Returns:
        () in nats.

    Example:
        >>> categorical_information(torch.zeros(4, 10), torch.eye(10)[:4])
        tensor(0.)
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return math.log(logits.shape[1]) - F.cross_entropy(logits, code.to(logits))


def continuous_information(mean: Tensor, code: Tensor) -> Tensor:
    """Compute the lower bound of the information about codes uniform in [-1, 1], d log 2 + E log N(c; mean, 1).

    The standard deviation of Q is fixed at 1, as in the authors' MNIST script (`fix_std`), so the bound depends on
    squared errors only. Its maximum is d (log 2 - log(2 pi) / 2) = -0.226 d. From *InfoGAN*, arXiv:1606.03657,
    equation 5.

    Args:
        mean: (b, d) means of Q.
        code: (b, d) codes.

    Returns:
        () in nats.

    Example:
        >>> continuous_information(torch.zeros(4, 2), torch.zeros(4, 2))
        tensor(-0.4516)
    """
    mean = mean.to(torch.promote_types(mean.dtype, torch.float32))
    squared_error = (code.to(mean) - mean).square().sum(1).mean()
    return mean.shape[1] * (math.log(2) - math.log(2 * math.pi) / 2) - squared_error / 2
