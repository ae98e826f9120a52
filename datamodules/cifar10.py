"""CIFAR-10."""

from torchvision import datasets

from lightning_gans.datamodules.module import TorchvisionDataModule


class CIFAR10(TorchvisionDataModule):
    """Serve CIFAR-10: 60,000 color photographs of 32x32 pixels in ten classes.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009), technical report.

    Args:
        root: The folder for the data; the default is created, another one must exist.
        batch_size: Examples per batch, in total over all devices.
        validation_size: How many of the 50,000 training examples are set aside for validation.
        seed: The order of the training examples.
        horizontal_flip: Whether training images are mirrored at random, each for itself.

    Raises:
        ValueError: If the data set is not in `root` and cannot be downloaded into it, or if `batch_size` or
            `validation_size` does not suit the data.

    Example:
        >>> data = CIFAR10(batch_size=128, horizontal_flip=True)
        >>> data.image_shape, data.levels, data.class_names[0]
        ((3, 32, 32), 256, 'airplane')
    """

    image_shape = (3, 32, 32)
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    dataset_cls = datasets.CIFAR10
    subfolder = "cifar-10-batches-py"
