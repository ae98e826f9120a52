"""MADE: the masked autoencoder for distribution estimation."""

from typing import Any

from lightning_gans.core.autoregressive import Autoregressive, NetworkFactory, OutputFactory
from lightning_gans.core.optimizers import MADEAdam, OptimizerFactory
from lightning_gans.networks.made import MADENetwork
from lightning_gans.networks.outputs import DiscretizedLogisticMixture
from lightning_gans.types import ImageShape


class MADE(Autoregressive):
    """Predict each pixel from earlier pixels by one fully connected network with masked weights.

    The settings are those of karpathy/pytorch-made, which reaches 94.5 nats on binarized MNIST with one hidden layer of
    500 units and one order. `made_binarized_mnist.yaml` has the settings that are not defaults here.

    What differs from that code: the order of the pixels is raster order instead of random. There are direct connections
    from pixels to outputs, as in the paper. The degrees of hidden units are evenly spread. The recipe has a cosine
    schedule of the learning rate. Samples and likelihoods come from the EMA of the weights.

    What differs from the paper: the paper uses Adagrad and binary pixels only. Here the default output is PixelCNN++'s
    mixture of logistics, for gray and color pixels. `--model.output Bernoulli` is for pixels of two levels.

    Source: Germain et al. 2015, arXiv:1502.03509.

    Args:
        image_shape: (channels, height, width).
        levels: Number of values that an element of the data's images can have.
        network: Factory of the network, default `MADENetwork`, from (image_shape, outputs) and, in class-conditional
            models, the keyword `num_classes`.
        output: Factory of the output distribution of a pixel from (channels, levels), default
            `DiscretizedLogisticMixture`.
        optimizer: Factory of the optimizer from the network's parameters, default `MADEAdam`.
        **kwargs: Further arguments of `Autoregressive`.

    Example:
        >>> MADE(image_shape=(1, 4, 4), levels=2).sample(2, seed=0)["image"].shape
        torch.Size([2, 1, 4, 4])
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        levels: int | None,
        network: NetworkFactory = MADENetwork,
        output: OutputFactory = DiscretizedLogisticMixture,
        optimizer: OptimizerFactory = MADEAdam,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_shape=image_shape, levels=levels, network=network, output=output, optimizer=optimizer, **kwargs
        )
