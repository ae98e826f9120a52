"""MNIST."""

from typing import Any

from torchvision import datasets

from lightning_gans.datamodules.torchvision import TorchvisionDataModule


class MNIST(TorchvisionDataModule):
    """Serve MNIST: 70,000 grayscale images of handwritten digits, 28 x 28 pixels, in ten classes.

    Images are (1, 28, 28), float in [-1, 1] (256 levels); labels are int64 from 0 to 9. The official test set has
    10,000 examples.

    Source: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-Based Learning Applied to Document Recognition
    (1998), doi:10.1109/5.726791.

    Args:
        root: Folder of the data set, default "data". The default folder is created; any other folder must exist.
        batch_size: Examples per batch in total over all devices, default 64.
        validation_size: Number of the 60,000 training examples that are held out for validation, default 5,000.
        seed: Seed of the order of the training examples, default 0.
        **kwargs: Further arguments of `DataModule`, such as `labels_per_class`.

    Raises:
        ValueError: If the data set is not in `root` and cannot be downloaded, or `batch_size` or `validation_size` does
            not fit the data.

    Example:
        >>> data = MNIST(batch_size=128)
        >>> data.image_shape, data.levels, data.num_classes
        ((1, 28, 28), 256, 10)
        >>> data.dummy_batch(4)["image"].shape
        torch.Size([4, 1, 28, 28])
    """

    image_shape = (1, 28, 28)
    class_names = tuple("0123456789")
    dataset_cls = datasets.MNIST
    subfolder = "MNIST/raw"

    def __init__(
        self, *, root: str = "data", batch_size: int = 64, validation_size: int = 5000, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(root=root, batch_size=batch_size, validation_size=validation_size, seed=seed, **kwargs)
