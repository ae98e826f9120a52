"""The handwritten digits that come with scikit-learn."""

import torch
from sklearn.datasets import load_digits

from lightning_gans.datamodules.module import DataModule, index_batch
from lightning_gans.datamodules.splitting import hold_out
from lightning_gans.types import Batch


class Digits(DataModule):
    """Serve the 1,797 handwritten digits of 8x8 pixels and 17 levels bundled with scikit-learn: nothing to download.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (1998), doi:10.24432/C50P49, its test
    set. 360 fixed examples are the test set here.

    Args:
        batch_size: Examples per batch, in total over all devices.
        validation_size: How many of the 1,437 training examples are set aside for validation.
        seed: The order of the training examples.

    Raises:
        ValueError: If `batch_size` or `validation_size` does not suit the data.

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

    def __init__(self, *, batch_size: int = 64, validation_size: int = 137, seed: int = 0) -> None:
        super().__init__(batch_size=batch_size, validation_size=validation_size, seed=seed)

    def load(self) -> tuple[Batch, Batch]:
        """Read the digits and set 360 of them aside for testing."""
        images, labels = load_digits(return_X_y=True)
        examples: Batch = {
            "image": torch.from_numpy(images).to(torch.uint8).view(-1, *self.image_shape),
            "label": torch.from_numpy(labels).long(),
        }
        kept, held = hold_out(len(labels), 360, self.name)
        return index_batch(examples, kept), index_batch(examples, held)
