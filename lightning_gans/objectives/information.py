"""Lower bounds of the mutual information between a code and what was generated from it.

For any distribution Q, H(c) + E log Q(c | x) is at most I(c; x), and equal to it where Q is the posterior: Barber and
Agakov's variational bound, as *InfoGAN*, arXiv:1606.03657, equation 4, uses it. All are in nats.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def categorical_information(logits: Tensor, code: Tensor) -> Tensor:
    """Bound the information about a uniform category: log K + E log Q(c | x).

    It is log K where each category is read off without doubt, and 0 where Q is uniform. From *InfoGAN*,
    arXiv:1606.03657, equation 5.

    Args:
        logits: (b, K) of Q.
        code: (b, K), one-hot.

    Returns:
        () in nats.

    Example:
        >>> categorical_information(torch.zeros(4, 10), torch.eye(10)[:4])
        tensor(0.)
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return math.log(logits.shape[1]) - F.cross_entropy(logits, code.to(logits))


def continuous_information(mean: Tensor, code: Tensor) -> Tensor:
    """Bound the information about codes uniform in [-1, 1]: d log 2 + E log N(c; mean, 1).

    The deviation of Q is fixed at 1, as in the authors' MNIST script (`fix_std`), which leaves squared errors: at best
    the bound is d (log 2 - log(2 pi) / 2) = -.226 d. From *InfoGAN*, arXiv:1606.03657, equation 5.

    Args:
        mean: (b, d) of Q.
        code: (b, d).

    Returns:
        () in nats.

    Example:
        >>> continuous_information(torch.zeros(4, 2), torch.zeros(4, 2))
        tensor(-0.4516)
    """
    mean = mean.to(torch.promote_types(mean.dtype, torch.float32))
    errors = (code.to(mean) - mean).square().sum(1).mean() / 2
    return mean.shape[1] * (math.log(2) - math.log(2 * math.pi) / 2) - errors
