"""CIFAR-10."""

from torchvision import datasets

from lightning_gans.datamodules.torchvision import TorchvisionDataModule


class CIFAR10(TorchvisionDataModule):
    """Serve CIFAR-10: 60,000 color photographs of 32 x 32 pixels in ten classes.

    Images are (3, 32, 32), float in [-1, 1] (256 levels); labels are int64 from 0 to 9. The official test set has
    10,000 examples.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009), technical report.

    Args:
        root: Folder of the data set, default "data". The default folder is created; any other folder must exist.
        batch_size: Examples per batch in total over all devices, default 64.
        validation_size: Number of the 50,000 training examples that are held out for validation, default 5,000.
        seed: Seed of the order of the training examples, default 0.
        horizontal_flip: Whether to mirror each training image with probability 0.5, default False.
        **kwargs: Further arguments of `DataModule`, such as `labels_per_class`.

    Raises:
        ValueError: If the data set is not in `root` and cannot be downloaded, or `batch_size` or `validation_size` does
            not fit the data.

    Example:
        >>> data = CIFAR10(batch_size=128, horizontal_flip=True)
        >>> data.image_shape, data.levels, data.class_names[0]
        ((3, 32, 32), 256, 'airplane')
    """

    image_shape = (3, 32, 32)
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    dataset_cls = datasets.CIFAR10
    subfolder = "cifar-10-batches-py"
