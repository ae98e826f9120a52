"""Spectral normalization: weights divided by their largest singular value."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize


class SpectralNorm(nn.Module):
    """Divide a weight by its largest singular value: estimated by power iteration in training, exact in evaluation.

    As in the paper, each forward pass in training mode takes one step of the power iteration. The estimate is never
    above the singular value. Because each update rotates the first singular vectors, the estimate is too low by a few
    percent in training, and by up to 20 % on 8 x 8 digits. PyTorch's `spectral_norm` keeps this error in evaluation;
    here evaluation computes the singular value exactly. The iteration is initialized with the exact singular vectors.
    From random vectors, the flat spectrum of large random weights would leave an error of 1 % for a hundred steps.

    The weight of a convolution is treated as the matrix (outputs, inputs * height * width).

    Source: Miyato et al. 2018, arXiv:1802.05957, section 2.1 and appendix A.

    Args:
        weight: The initial weight, (outputs, ...).

    Attributes:
        u: Estimate of the first left singular vector, (outputs,).
        v: Estimate of the first right singular vector, (inputs * height * width,).
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = _at_least_float32(weight.detach().flatten(1))
        u = torch.linalg.eigh(matrix @ matrix.T).eigenvectors[:, -1]
        self.register_buffer("u", u.to(weight.dtype))
        self.register_buffer("v", F.normalize(matrix.T @ u, dim=0).to(weight.dtype))

    def forward(self, weight: Tensor) -> Tensor:
        """Normalize a weight (outputs, ...)."""
        matrix = weight.flatten(1)
        if not self.training:
            sigma: Tensor = torch.linalg.matrix_norm(_at_least_float32(matrix), 2)
            return weight / sigma.to(weight.dtype)
        with torch.no_grad():
            self.u = F.normalize(torch.mv(matrix, self.v), dim=0)
            self.v = F.normalize(torch.mv(matrix.T, self.u), dim=0)
        return weight / torch.dot(self.u, torch.mv(matrix, self.v))


def _at_least_float32(matrix: Tensor) -> Tensor:
    """Convert weights of 16 bits (`bf16-true`) to 32 bits, as LAPACK does not support 16 bits."""
    return matrix.to(torch.promote_types(matrix.dtype, torch.float32))


def apply_spectral_norm(network: nn.Module) -> None:
    """Apply spectral normalization to every linear and convolutional layer of a network, in place.

    Args:
        network: A network whose weights have been initialized.

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
    """Compute normalized weights once, in the precision of the weights, for the forward pass inside the context.

    Under autocast, a GPU would compute the singular value in 16 bits; bfloat16 has 8 bits of precision.

    Args:
        network: The network that is called inside the context.
        device_type: Device type on which autocast may be enabled.
    """
    with parametrize.cached():
        with torch.autocast(device_type, enabled=False):
            for layer in network.modules():
                if parametrize.is_parametrized(layer):
                    _ = layer.weight  # computes and caches the normalized weight
        yield
