"""Causal image networks: each output depends only on earlier pixels in raster order."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn


class CausalImageNetwork(nn.Module, ABC):
    """Base class of networks whose outputs at a pixel depend only on earlier pixels, in raster order.

    `forward` maps images (b, channels, h, w), and labels (b,) if the network is class-conditional, to
    (b, outputs, h, w). For sampling, a subclass also computes the outputs of a single pixel, at less cost than
    `forward`.
    """

    @abstractmethod
    def row_predictor(self, image: Tensor, row: int, *condition: Tensor) -> Callable[[int], Tensor]:
        """Prepare the prediction of a row of pixels.

        Args:
            image: Images (b, channels, h, w), of which the rows above are complete.
            row: Index of the row.
            *condition: Labels (b,), if the network is class-conditional.

        Returns:
            A function `predict(column)` that computes the outputs (b, outputs) of a pixel of the row. It reads `image`
            when it is called, so the pixels to the left must have been filled in by then.
        """


def row_predictor(network: nn.Module, image: Tensor, row: int, *condition: Tensor) -> Callable[[int], Tensor]:
    """Prepare the prediction of a row of pixels by any causal network.

    A network that is not a `CausalImageNetwork` runs a complete forward pass for each pixel.

    Args:
        network: A network whose outputs at a pixel depend only on earlier pixels.
        image: Images (b, channels, h, w), of which the rows above are complete.
        row: Index of the row.
        *condition: Labels (b,), if the network is class-conditional.

    Returns:
        A function `predict(column)`; see `CausalImageNetwork.row_predictor`.
    """
    if isinstance(network, CausalImageNetwork):
        return network.row_predictor(image, row, *condition)
    return lambda column: network(image, *condition)[:, :, row, column]
