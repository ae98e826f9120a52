"""What makes an image pixel by pixel asks of a network that sees earlier pixels only."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn


class CausalImageNetwork(nn.Module, ABC):
    """Tell numbers of each pixel from those before it, in raster order, and of one pixel without the work on all.

    `forward` maps images (b, channels, h, w), and labels (b,) of a network with classes, to (b, outputs, h, w).
    """

    @abstractmethod
    def row_predictor(self, image: Tensor, row: int, *given: Tensor) -> Callable[[int], Tensor]:
        """Make what tells of a pixel of a row, by its column, (b, outputs).

        Args:
            image: (b, channels, h, w), made up to that row; what is told of a pixel is asked for once those before are.
            row: Its number.
            *given: The labels, of a network with classes.
        """


def row_predictor(network: nn.Module, image: Tensor, row: int, *given: Tensor) -> Callable[[int], Tensor]:
    """Make what tells of a pixel of a row: as the network does, or by a whole pass of one that is not ours.

    Args:
        network: Any network that sees earlier pixels only.
        image: As in `CausalImageNetwork.row_predictor`.
        row: Its number.
        *given: The labels, of a network with classes.
    """
    if isinstance(network, CausalImageNetwork):
        return network.row_predictor(image, row, *given)
    return lambda column: network(image, *given)[:, :, row, column]
