"""MNIST."""

from torchvision import datasets

from lightning_gans.datamodules.module import TorchvisionDataModule


class MNIST(TorchvisionDataModule):
    """Serve MNIST: 70,000 handwritten digits of 28x28 pixels in ten classes.

    Source: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-Based Learning Applied to Document Recognition
    (1998), doi:10.1109/5.726791.

    Args:
        root: The folder for the data; the default is created, another one must exist.
        batch_size: Examples per batch, in total over all devices.
        validation_size: How many of the 60,000 training examples are set aside for validation.
        seed: The order of the training examples.

    Raises:
        ValueError: If the data set is not in `root` and cannot be downloaded into it, or if `batch_size` or
            `validation_size` does not suit the data.

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

    def __init__(self, *, root: str = "data", batch_size: int = 64, validation_size: int = 5000, seed: int = 0) -> None:
        super().__init__(root=root, batch_size=batch_size, validation_size=validation_size, seed=seed)
