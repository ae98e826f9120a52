"""Fashion-MNIST."""

from typing import Any

from torchvision import datasets

from lightning_gans.datamodules.torchvision import TorchvisionDataModule


class FashionMNIST(TorchvisionDataModule):
    """Serve Fashion-MNIST: 70,000 grayscale images of clothing, 28 x 28 pixels, in ten classes.

    Images are (1, 28, 28), float in [-1, 1] (256 levels); labels are int64 from 0 to 9. The official test set has
    10,000 examples.

    Source: H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms (2017), arXiv:1708.07747.

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
        >>> data = FashionMNIST(batch_size=128)
        >>> data.image_shape, data.levels, data.class_names[0]
        ((1, 28, 28), 256, 'T-shirt/top')
    """

    image_shape = (1, 28, 28)
    class_names = tuple(datasets.FashionMNIST.classes)
    dataset_cls = datasets.FashionMNIST
    subfolder = "FashionMNIST/raw"

    def __init__(
        self, *, root: str = "data", batch_size: int = 64, validation_size: int = 5000, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(root=root, batch_size=batch_size, validation_size=validation_size, seed=seed, **kwargs)
