"""Spectral normalization: every layer divided by its largest singular value."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize


class SpectralNorm(nn.Module):
    """Divide a weight by its largest singular value: as a power iteration has it in training, itself in evaluation.

    The iteration takes one step at each forward pass in training mode, as the paper's does, and follows weights that
    move: it is never above the singular value, and below it by as much as the last steps have turned the first singular
    vectors, a few percent in training (20 seen on 8 x 8 digits). A trained network is judged without that lag, which
    PyTorch's `spectral_norm` keeps in evaluation. The iteration starts at its end: from a random start, the flat
    spectrum of large random weights would leave it a percent off for a hundred steps.

    A convolution's weight counts as the matrix (outputs, inputs * height * width).

    Source: Miyato et al. 2018, arXiv:1802.05957, section 2.1 and appendix A.

    Args:
        weight: The weight at first, (outputs, ...).
    """

    left: Tensor
    right: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = _precise(weight.detach().flatten(1))
        left = torch.linalg.eigh(matrix @ matrix.T).eigenvectors[:, -1]
        self.register_buffer("left", left.to(weight.dtype))
        self.register_buffer("right", F.normalize(matrix.T @ left, dim=0).to(weight.dtype))

    def forward(self, weight: Tensor) -> Tensor:
        """Normalize (outputs, ...)."""
        matrix = weight.flatten(1)
        if not self.training:
            largest: Tensor = torch.linalg.matrix_norm(_precise(matrix), 2)
            return weight / largest.to(weight.dtype)
        with torch.no_grad():
            self.left = F.normalize(torch.mv(matrix, self.right), dim=0)
            self.right = F.normalize(torch.mv(matrix.T, self.left), dim=0)
        return weight / torch.dot(self.left, torch.mv(matrix, self.right))


def _precise(matrix: Tensor) -> Tensor:
    """LAPACK has nothing in 16 bits, in which weights may be kept (`bf16-true`)."""
    return matrix.to(torch.promote_types(matrix.dtype, torch.float32))


def apply_spectral_norm(network: nn.Module) -> None:
    """Divide the weight of every linear and convolutional layer by its largest singular value, from now on.

    Args:
        network: What is changed, after its weights were initialized.

    Example:
        >>> layer = nn.Linear(6, 4)
        >>> apply_spectral_norm(layer)
        >>> round(torch.linalg.matrix_norm(layer.weight, 2).item(), 3)
        1.0
    """
    for layer in [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]:
        parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))


@contextmanager
def full_precision_spectral_norm(network: nn.Module, device_type: str) -> Iterator[None]:
    """Compute the normalized weights once, in the precision of the weights, for the forward pass inside.

    Under autocast a GPU would take the singular value in 16 bits, of which bfloat16 has 8 for the digits.

    Args:
        network: What is about to be called.
        device_type: Where autocast may be on.
    """
    with parametrize.cached():
        with torch.autocast(device_type, enabled=False):
            for layer in network.modules():
                if parametrize.is_parametrized(layer):
                    _ = layer.weight  # into the cache
        yield
