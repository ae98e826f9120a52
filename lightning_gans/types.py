"""The types that all layers share: a batch, the losses of a player, and the shape of the data."""

from typing import TypedDict

from torch import Tensor

ImageShape = tuple[int, ...]
"""(channels, height, width) of an image with values in [-1, 1], or (dimensions,) of a point."""

Losses = dict[str, Tensor]
"""The named scalar terms of the loss of a player, which minimizes their sum."""


class Batch(TypedDict, total=False):
    """A batch of examples or samples; the first axis of every tensor is the batch axis.

    Attributes:
        image: (b, *image_shape), float: images in [-1, 1], or points, scaled but not clamped.
        label: (b,), int64, -1 if unknown.
        text: (b, t) int64 token indices, padded with 0.
        audio: (b, 1, m, t), float: log-mel spectrograms of m bands and t frames.
        code: (b, n), float: the latent codes of samples, from models that have such codes.
    """

    image: Tensor
    label: Tensor
    text: Tensor
    audio: Tensor
    code: Tensor
