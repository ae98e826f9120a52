"""The types every layer shares: what a batch holds, what a player's losses are, what shape the data has."""

from typing import TypedDict

from torch import Tensor

ImageShape = tuple[int, ...]
"""(channels, height, width) of an image with values in [-1, 1], or (dimensions,) of a point."""

Losses = dict[str, Tensor]
"""The named scalar terms of one player's loss; the player minimizes their sum."""


class Batch(TypedDict, total=False):
    """Examples side by side: every tensor has the batch axis first.

    Attributes:
        image: (b, *image_shape), float: images in [-1, 1], or points, scaled but not clamped.
        label: (b,), int64, -1 where unknown.
        text: (b, t), int64 token numbers, 0 pads.
        audio: (b, 1, m, t), float: log-mel spectrograms of m bands and t frames.
        code: (b, n), float: what the examples were generated to show, of models that have such codes.
    """

    image: Tensor
    label: Tensor
    text: Tensor
    audio: Tensor
    code: Tensor
