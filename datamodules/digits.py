"""The handwritten digits of scikit-learn."""

from typing import Any

import torch
from sklearn.datasets import load_digits

from lightning_gans.core.batches import index_batch
from lightning_gans.datamodules.module import DataModule
from lightning_gans.datamodules.splitting import hold_out
from lightning_gans.types import Batch

TEST_SIZE = 360
"""Number of test examples."""


class Digits(DataModule):
    """Serve the 1,797 handwritten digits of scikit-learn, 8 x 8 pixels in ten classes; nothing is downloaded.

    Images are (1, 8, 8), float in [-1, 1] (17 levels); labels are int64 from 0 to 9. The test split has 360 fixed
    examples.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (1998), doi:10.24432/C50P49. The digits
    are the test set of that data set.

    Args:
        batch_size: Examples per batch in total over all devices, default 64.
        validation_size: Number of the 1,437 training examples that are held out for validation, default 137.
        seed: Seed of the order of the training examples, default 0.
        **kwargs: Further arguments of `DataModule`, such as `labels_per_class`.

    Raises:
        ValueError: If `batch_size` or `validation_size` does not fit the data.

    Example:
        >>> data = Digits(batch_size=100)
        >>> data.image_shape, data.levels, data.num_classes
        ((1, 8, 8), 17, 10)
        >>> data.sizes
        {'train': 1300, 'validation': 137, 'test': 360}
    """

    image_shape = (1, 8, 8)
    levels = 17
    class_names = tuple("0123456789")

    def __init__(self, *, batch_size: int = 64, validation_size: int = 137, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(batch_size=batch_size, validation_size=validation_size, seed=seed, **kwargs)

    def load(self) -> tuple[Batch, Batch]:
        """Read the digits and hold out 360 of them for testing."""
        images, labels = load_digits(return_X_y=True)
        examples: Batch = {
            "image": torch.from_numpy(images).to(torch.uint8).view(-1, *self.image_shape),
            "label": torch.from_numpy(labels).long(),
        }
        train_indices, test_indices = hold_out(len(labels), TEST_SIZE, self.name)
        return index_batch(examples, train_indices), index_batch(examples, test_indices)
