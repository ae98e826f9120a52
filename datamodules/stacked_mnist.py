"""Stacked MNIST: a data set of 1,000 modes that a classifier can count."""

import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_gans.datamodules.mnist import MNIST
from lightning_gans.datamodules.module import DataModule
from lightning_gans.types import Batch

TEST_SIZE = 10_000
"""Number of test images, equal to the size of MNIST's test set."""


class StackedMNIST(DataModule):
    """Serve Stacked MNIST: three random MNIST digits as the red, green and blue channels of one image; 1,000 classes.

    Images are (3, 28, 28), float in [-1, 1] (256 levels). The label of an image with the digits a, b and c is 100 a +
    10 b + c, int64. Training and validation images use MNIST's training digits, test images use its test digits. The
    test split has 10,000 images. All images are kept in memory, 2.4 kB each.

    Source: Metz et al. 2017, arXiv:1611.02163; 128,000 training images as in PacGAN, arXiv:1712.04086 (fjxmlzn/PacGAN,
    the VEEGAN experiment's `config.py`).

    Args:
        root: Folder of MNIST, default "data". The default folder is created; any other folder must exist.
        batch_size: Examples per batch in total over all devices, default 64.
        train_size: Number of training images, default 128,000. Training and validation images together are the first
            `train_size + validation_size` images of the seed; the split between them depends on their total number.
        validation_size: Number of additional images for validation, default 5,000.
        seed: Seed of the training and validation images and of their order, default 0. The test images are fixed.
        **kwargs: Further arguments of `DataModule`, such as `labels_per_class`.

    Raises:
        ValueError: If MNIST is not in `root` and cannot be downloaded, `train_size` is below 1, or `batch_size` or
            `validation_size` does not fit the data.

    Example:
        >>> data = StackedMNIST(batch_size=128)
        >>> data.image_shape, data.levels, data.num_classes, data.class_names[407]
        ((3, 28, 28), 256, 1000, '407')
    """

    image_shape = (3, 28, 28)
    class_names = tuple(f"{label:03d}" for label in range(1000))

    def __init__(
        self,
        *,
        root: str = "data",
        batch_size: int = 64,
        train_size: int = 128_000,
        validation_size: int = 5000,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, validation_size=validation_size, seed=seed, **kwargs)
        if train_size < 1:
            raise ValueError(f"`train_size` must be at least 1, got {train_size}")
        self.root = root
        self.train_size = train_size

    def prepare_data(self) -> None:
        """Download MNIST if it is missing."""
        MNIST(root=self.root).prepare_data()

    def load(self) -> tuple[Batch, Batch]:
        """Read MNIST and stack its digits."""
        train, test = MNIST(root=self.root).load()
        return (
            stack_digits(
                train, sample_triples(len(train["label"]), self.train_size + self.validation_size, seed=self.seed)
            ),
            stack_digits(test, sample_triples(len(test["label"]), TEST_SIZE, seed=0)),
        )


def sample_triples(num_digits: int, count: int, *, seed: int) -> Tensor:
    """Sample triples of indices, independently and uniformly; triple i depends only on the seed and i.

    Args:
        num_digits: Number of digits to choose from.
        count: Number of triples.
        seed: Any integer from 0.

    Returns:
        (count, 3) int64 indices.

    Example:
        >>> torch.equal(sample_triples(60_000, 2, seed=0), sample_triples(60_000, 5, seed=0)[:2])
        True
    """
    # NumPy guarantees that the numbers of a RandomState never change between releases
    rng = np.random.RandomState([zlib.crc32(b"StackedMNIST"), seed])
    return torch.from_numpy((rng.random_sample((count, 3)) * num_digits).astype(np.int64))


def stack_digits(digits: Batch, triples: Tensor) -> Batch:
    """Stack digits as the color channels of new images.

    Args:
        digits: `image`, (n, 1, h, w), and `label`, (n,), from 0 to 9.
        triples: (m, 3) indices of digits.

    Returns:
        `image`, (m, 3, h, w), and `label`, (m,), from 0 to 999.

    Example:
        >>> digits: Batch = {"image": torch.zeros(3, 1, 2, 2), "label": torch.tensor([4, 0, 7])}
        >>> stack_digits(digits, torch.tensor([[0, 1, 2]]))["label"]
        tensor([407])
    """
    label = digits["label"][triples] @ torch.tensor([100, 10, 1])
    return {"image": digits["image"].squeeze(1)[triples], "label": label}
