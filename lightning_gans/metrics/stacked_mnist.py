"""Coverage of the 1,000 modes of Stacked MNIST."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_gans.metrics.modes import reverse_kl

Predict = Callable[[Tensor], Tensor]
"""Predicts the digits, (n,) int64 from 0 to 9, of gray images (n, 1, h, w)."""


class StackedMNISTModes(Metric):
    """Accumulate the triples of digits in samples, and compute the number of modes and the reverse KL divergence.

    A classifier predicts the digit in each color channel of an image. `modes` is the number of distinct triples of the
    1,000 possible. `reverse_kl` is the KL divergence of their histogram from the uniform distribution, in nats. Both
    depend on the number of samples. 26,000 real examples have all 1,000 modes and a divergence of 0.0236 +- 0.001.
    The divergence is mostly due to the finite number of examples, and partly to the unequal frequencies of MNIST's
    digits.

    Source: Metz et al. 2017, arXiv:1611.02163; 26,000 samples as in VEEGAN, arXiv:1705.07761.

    Args:
        predict: Function that predicts the digits of gray images, such as `Classifier.predict`.
        **kwargs: Arguments of `torchmetrics.Metric`.

    Example:
        >>> metric = StackedMNISTModes(lambda digits: digits.mean((1, 2, 3)).long())
        >>> metric.update(torch.tensor([4.0, 0.0, 7.0]).view(1, 3, 1, 1).expand(5, 3, 28, 28))
        >>> metric.compute()
        {'modes': tensor(1.), 'reverse_kl': tensor(6.9078)}
    """

    is_differentiable = False
    full_state_update = False

    counts: Tensor

    def __init__(self, predict: Predict, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.predict = predict
        self.add_state("counts", default=torch.zeros(1000, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, images: Tensor) -> None:
        """Add samples (b, 3, h, w) in [-1, 1].

        Raises:
            ValueError: If `images` do not have three color channels.
        """
        if images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(f"`images` must be of shape (b, 3, height, width), got {tuple(images.shape)}")
        digits = self.predict(images.flatten(0, 1).unsqueeze(1)).view(-1, 3)
        triples = digits @ torch.tensor([100, 10, 1], device=digits.device)
        self.counts += torch.bincount(triples, minlength=1000).to(self.counts.device)

    def compute(self) -> dict[str, Tensor]:
        """Compute both scores of all samples, by name."""
        return {"modes": (self.counts > 0).sum().float(), "reverse_kl": reverse_kl(self.counts).float()}
