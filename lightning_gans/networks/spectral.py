"""Spectral normalisation: every layer divided by its largest singular value.

PyTorch's parametrisation holds the vectors of a power iteration as buffers, and takes one step of it at each forward
pass in training mode, none in evaluation mode. That is the paper's algorithm, and follows weights that move: the norm
is never below 1, and above it by as much as the last steps have turned the weight's first singular vectors (a few
percent in training, 20 seen on 8 x 8 digits); it is 1 at the start, and again where weights come to rest.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm


def normalise_spectrally(network: nn.Module) -> None:
    """Divide the weight of every linear and convolutional layer by its largest singular value, from now on.

    A convolution's weight counts as the matrix (outputs, inputs * height * width), as in *Spectral Normalization for
    Generative Adversarial Networks*, arXiv:1802.05957, section 2.1. The power iteration starts at its end: from a
    random start, the flat spectrum of large random weights would leave it a percent off for a hundred steps.

    Args:
        network: What is changed, after its weights were initialised.

    Example:
        >>> layer = nn.Linear(6, 4)
        >>> normalise_spectrally(layer)
        >>> round(torch.linalg.matrix_norm(layer.weight, 2).item(), 3)
        1.0
    """
    for layer in [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]:
        matrix = layer.weight.detach().flatten(1)
        left = torch.linalg.eigh(matrix @ matrix.T).eigenvectors[:, -1]
        right = functional.normalize(matrix.T @ left, dim=0)
        spectral_norm(layer)
        layer.parametrizations.weight[0].load_state_dict({"_u": left, "_v": right})  # type: ignore[index, union-attr]


@contextmanager
def precisely_normalised(network: nn.Module, device_type: str) -> Iterator[None]:
    """Compute the normalised weights once, in the precision of the weights, for the forward pass inside.

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
