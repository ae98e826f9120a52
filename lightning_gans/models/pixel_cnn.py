"""Gated PixelCNN."""

from typing import Any

from lightning_gans.core.autoregressive import Autoregressive, NetworkFactory, OutputFactory
from lightning_gans.core.optimizers import OptimizerFactory, PixelCNNAdam
from lightning_gans.networks.outputs import DiscretizedLogisticMixture
from lightning_gans.networks.pixel_cnn import GatedPixelCNN
from lightning_gans.types import ImageShape


class PixelCNN(Autoregressive):
    """Predict each pixel from earlier pixels by gated convolutions, with the same weights at all pixels.

    The network is a gated PixelCNN that is small enough for a CPU. The output distribution and the optimizer are from
    PixelCNN++.

    What differs from the gated PixelCNN: the channels of a pixel depend on each other through the output distribution,
    not through the network.

    What differs from PixelCNN++: the network is not a U-Net and has no dropout. The learning rate is constant by
    default; a schedule reproduces the authors' decay by 0.999995 per step. The half-life of the EMA rises to 10,000
    images, as in all models here. The authors' decay of 0.9995 per step is a half-life of 22,000 images with batches of
    16.

    Source: van den Oord et al. 2016, arXiv:1606.05328; Salimans et al. 2017, arXiv:1701.05517, and its `train.py`
    (openai/pixel-cnn).

    Args:
        image_shape: (channels, height, width).
        levels: Number of values that an element of the data's images can have.
        network: Factory of the network, default `GatedPixelCNN`, from (image_shape, outputs) and, in class-conditional
            models, the keyword `num_classes`.
        output: Factory of the output distribution of a pixel from (channels, levels), default
            `DiscretizedLogisticMixture`.
        optimizer: Factory of the optimizer from the network's parameters, default `PixelCNNAdam`.
        **kwargs: Further arguments of `Autoregressive`.

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
