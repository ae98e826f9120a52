"""MNIST in black and white, as likelihoods are reported on."""

import zlib

import numpy as np
import torch
from torch import Tensor

from lightning_gans.datamodules.mnist import MNIST
from lightning_gans.types import Batch


class BinarizedMNIST(MNIST):
    """Serve MNIST of two levels: each pixel is white with the probability of its gray, drawn once and for all.

    Drawn as Larochelle and Murray 2011 drew theirs, whose file is not used: the draw depends on the image's place in
    MNIST and on nothing else, so that every run is scored on the same images. Likelihoods on another draw differ by
    little: it has the same distribution.

    Source: Salakhutdinov and Murray 2008, doi:10.1145/1390156.1390266.

    Args:
        root: The folder for the data; the default is created, another one must exist.
        batch_size: Examples per batch, in total over all devices.
        validation_size: How many of the 60,000 training examples are set aside for validation.
        seed: The order of the training examples; not of the draw.

    Raises:
        ValueError: If MNIST is not in `root` and cannot be downloaded into it, or if `batch_size` or
            `validation_size` does not suit the data.

    Example:
        >>> data = BinarizedMNIST(batch_size=128)
        >>> data.image_shape, data.levels, data.num_classes
        ((1, 28, 28), 2, 10)
    """

    levels = 2

    def load(self) -> tuple[Batch, Batch]:
        """Read MNIST, and draw black or white for every pixel."""
        train, test = super().load()
        return _drawn(train, "train"), _drawn(test, "test")


def binarize(gray: Tensor, stream: np.random.RandomState) -> Tensor:
    """Draw 1 with the probability gray / 255, and else 0.

    Args:
        gray: (n, ...) uint8.
        stream: Where the randomness comes from, one number for each pixel.

    Returns:
        The same shape, uint8.

    Example:
        >>> binarize(torch.tensor([0, 255], dtype=torch.uint8), np.random.RandomState(0))
        tensor([0, 1], dtype=torch.uint8)
    """
    rows = [torch.from_numpy(stream.random_sample(image.shape)) * 255 < image for image in gray]
    return torch.stack(rows).to(torch.uint8)


def _drawn(examples: Batch, split: str) -> Batch:
    # numpy promises never to change the stream of a RandomState
    stream = np.random.RandomState(zlib.crc32(f"BinarizedMNIST {split}".encode()))
    return {**examples, "image": binarize(examples["image"], stream)}
