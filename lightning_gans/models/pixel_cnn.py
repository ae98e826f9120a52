"""The gated PixelCNN."""

from typing import Any

from lightning_gans.core.autoregressive import Autoregressive, NetworkFactory, OutputFactory
from lightning_gans.core.optimizers import OptimizerFactory, PixelCNNAdam
from lightning_gans.networks.outputs import DiscretizedLogisticMixture
from lightning_gans.networks.pixel_cnn import GatedPixelCNN
from lightning_gans.types import ImageShape


class PixelCNN(Autoregressive):
    """Tell each pixel from those before it by gated convolutions, the same ones for all pixels.

    The network is the gated PixelCNN, small enough for a CPU; the output and the optimizer are PixelCNN++'s. What
    differs from the previous: channels of a pixel depend on each other through the output, not through the network. What
    differs from the latter: it is no U-net and has no dropout; the learning rate stays, unless a schedule lets it fall
    (theirs by .999995 a step); and the average is this project's, whose half-life rises to 10,000 images
    (theirs is .9995 a step, 22,000 images of batches of 16).

    Source: van den Oord et al. 2016, arXiv:1606.05328; Salimans et al. 2017, arXiv:1701.05517, and its `train.py`
    (openai/pixel-cnn).

    Args:
        image_shape: (channels, height, width).
        levels: How many values an element can have, the data's.
        network: Makes the network from (image_shape, outputs), and the keyword `num_classes` if it is given classes.
        output: Makes the distribution of a pixel from (channels, levels).
        optimizer: Makes the optimizer from the network's parameters.
        **kwargs: What every `Autoregressive` takes.

    Example:
        >>> PixelCNN(image_shape=(1, 4, 4), levels=2).sample(2, seed=0)["image"].shape
        torch.Size([2, 1, 4, 4])
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        levels: int | None,
        network: NetworkFactory = GatedPixelCNN,
        output: OutputFactory = DiscretizedLogisticMixture,
        optimizer: OptimizerFactory = PixelCNNAdam,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_shape=image_shape, levels=levels, network=network, output=output, optimizer=optimizer, **kwargs
        )
