"""Stacked MNIST: a thousand modes that can be counted."""

import zlib

import numpy as np
import torch
from torch import Tensor

from lightning_gans.datamodules.mnist import MNIST
from lightning_gans.datamodules.module import DataModule
from lightning_gans.types import Batch

TEST_SIZE = 10_000
"""Triples in the test set: as many as MNIST's has digits."""


class StackedMNIST(DataModule):
    """Serve Stacked MNIST: three random digits of MNIST as the red, green and blue of one image, 1,000 classes.

    The label of an image is the number that its digits make, 100 a + 10 b + c. Training and validation triples are of
    MNIST's training digits, test triples of its test digits. All are kept in memory: 2.4 kB an image.

    Source: Metz et al. 2017, arXiv:1611.02163; 128,000 training triples as in PacGAN, arXiv:1712.04086 (fjxmlzn/PacGAN,
    the VEEGAN experiment's `config.py`).

    Args:
        root: The folder of MNIST; the default is created, another one must exist.
        batch_size: Examples per batch, in total over all devices.
        train_size: How many triples there are to train on. With those of validation they are the first that the seed
            draws; which of them are set aside depends on how many there are.
        validation_size: How many further triples are set aside for validation.
        seed: The triples to train on, and their order; those of the test set never change.

    Raises:
        ValueError: If MNIST is not in `root` and cannot be downloaded into it, or if `train_size`, `batch_size` or
            `validation_size` does not suit.

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
    ) -> None:
        super().__init__(batch_size=batch_size, validation_size=validation_size, seed=seed)
        if train_size < 1:
            raise ValueError(f"`train_size` must be at least 1, got {train_size}")
        self.root = root
        self.train_size = train_size

    def prepare_data(self) -> None:
        """Download MNIST where it is missing."""
        MNIST(root=self.root).prepare_data()

    def load(self) -> tuple[Batch, Batch]:
        """Read MNIST, and stack its digits."""
        train, test = MNIST(root=self.root).load()
        return (
            stack(train, draw_triples(len(train["label"]), self.train_size + self.validation_size, seed=self.seed)),
            stack(test, draw_triples(len(test["label"]), TEST_SIZE, seed=0)),
        )


def draw_triples(digits: int, count: int, *, seed: int) -> Tensor:
    """Draw triples of places, each independently and uniformly; triple i depends on the seed and on i alone.

    Args:
        digits: How many places there are.
        count: How many triples.
        seed: Any integer from 0.

    Returns:
        (count, 3), int64.

    Example:
        >>> torch.equal(draw_triples(60_000, 2, seed=0), draw_triples(60_000, 5, seed=0)[:2])
        True
    """
    # numpy promises never to change the stream of a RandomState
    stream = np.random.RandomState([zlib.crc32(b"StackedMNIST"), seed])
    return torch.from_numpy((stream.random_sample((count, 3)) * digits).astype(np.int64))


def stack(digits: Batch, triples: Tensor) -> Batch:
    """Lay digits over each other as colors.

    Args:
        digits: `image`, (n, 1, h, w), and `label`, (n,), from 0 to 9.
        triples: (m, 3) places of digits.

    Returns:
        `image`, (m, 3, h, w), and `label`, (m,), from 0 to 999.

    Example:
        >>> digits: Batch = {"image": torch.zeros(3, 1, 2, 2), "label": torch.tensor([4, 0, 7])}
        >>> stack(digits, torch.tensor([[0, 1, 2]]))["label"]
        tensor([407])
    """
    label = digits["label"][triples] @ torch.tensor([100, 10, 1])
    return {"image": digits["image"].squeeze(1)[triples], "label": label}
