"""Binarized MNIST, the benchmark of likelihood models."""

import zlib

import numpy as np
import torch
from torch import Tensor

from lightning_gans.datamodules.mnist import MNIST
from lightning_gans.types import Batch

SEED = "BinarisedMNIST"
"""Seed of the pixels and of the validation split, with which the likelihoods in the documentation were measured."""


class BinarizedMNIST(MNIST):
    """Serve statically binarized MNIST: each pixel is white with a probability equal to its gray value.

    Images are (1, 28, 28), float, with the two values -1 and 1; labels are int64 from 0 to 9. Each pixel is sampled
    once, and the result depends only on the position of the image in MNIST, so every run uses the same images.
    Larochelle and Murray 2011 sampled their images in the same way, but this class does not use their file.
    Likelihoods on the two sets of images differ only slightly, because both have the same distribution.

    Source: Salakhutdinov and Murray 2008, doi:10.1145/1390156.1390266.

    Args:
        root: Folder of MNIST, default "data". The default folder is created; any other folder must exist.
        batch_size: Examples per batch in total over all devices, default 64.
        validation_size: Number of the 60,000 training examples that are held out for validation, default 5,000.
        seed: Seed of the order of the training examples, default 0. Binarization does not depend on it.

    Raises:
        ValueError: If MNIST is not in `root` and cannot be downloaded, or `batch_size` or `validation_size` does not
            fit the data.

    Example:
        >>> data = BinarizedMNIST(batch_size=128)
        >>> data.image_shape, data.levels, data.num_classes
        ((1, 28, 28), 2, 10)
    """

    levels = 2
    split_seed = SEED

    def load(self) -> tuple[Batch, Batch]:
        """Read MNIST and binarize every image."""
        train, test = super().load()
        return _binarize_split(train, "train"), _binarize_split(test, "test")


def binarize(gray: Tensor, rng: np.random.RandomState) -> Tensor:
    """Sample binary pixels: 1 with probability gray / 255, otherwise 0.

    Args:
        gray: (n, ...) uint8.
        rng: NumPy random state; one number is drawn per pixel.

    Returns:
        uint8 tensor of the same shape.

    Example:
        >>> binarize(torch.tensor([0, 255], dtype=torch.uint8), np.random.RandomState(0))
        tensor([0, 1], dtype=torch.uint8)
    """
    images = [torch.from_numpy(rng.random_sample(image.shape)) * 255 < image for image in gray]
    return torch.stack(images).to(torch.uint8)


def _binarize_split(examples: Batch, split: str) -> Batch:
    # NumPy guarantees that the numbers of a RandomState never change between releases
    rng = np.random.RandomState(zlib.crc32(f"{SEED} {split}".encode()))
    return {**examples, "image": binarize(examples["image"], rng)}
