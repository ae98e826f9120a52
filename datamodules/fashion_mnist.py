"""Fashion-MNIST."""

from torchvision import datasets

from lightning_gans.datamodules.module import TorchvisionDataModule


class FashionMNIST(TorchvisionDataModule):
    """Serve Fashion-MNIST: 70,000 gray images of clothes of 28x28 pixels in ten classes.

    Source: H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms (2017), arXiv:1708.07747.

    Args:
        root: The folder for the data; the default is created, another one must exist.
        batch_size: Examples per batch, in total over all devices.
        validation_size: How many of the 60,000 training examples are set aside for validation.
        seed: The order of the training examples.

    Raises:
        ValueError: If the data set is not in `root` and cannot be downloaded into it, or if `batch_size` or
            `validation_size` does not suit the data.

    Example:
        >>> data = FashionMNIST(batch_size=128)
        >>> data.image_shape, data.levels, data.class_names[0]
        ((1, 28, 28), 256, 'T-shirt/top')
    """

    image_shape = (1, 28, 28)
    class_names = tuple(datasets.FashionMNIST.classes)
    dataset_cls = datasets.FashionMNIST
    subfolder = "FashionMNIST/raw"

    def __init__(self, *, root: str = "data", batch_size: int = 64, validation_size: int = 5000, seed: int = 0) -> None:
        super().__init__(root=root, batch_size=batch_size, validation_size=validation_size, seed=seed)
