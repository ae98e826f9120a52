"""A fully connected network whose outputs see earlier pixels only."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_image, check_positive
from lightning_gans.networks.causal import CausalImageNetwork
from lightning_gans.networks.class_embedding import ClassEmbedding
from lightning_gans.types import ImageShape


class MADENetwork(CausalImageNetwork):
    """Tell of each pixel what layers of rectified units know from those before it, by weights that are masked out.

    From *MADE: Masked Autoencoder for Distribution Estimation*, arXiv:1502.03509, equations 8 to 13: a hidden unit of
    degree d sees pixels 0 to d, and units of lower or the same degree; the numbers of pixel p see units of lower
    degrees, and earlier pixels directly, which the paper allows: in raster order there may be no unit between a pixel
    and its neighbor. Pixels are in raster order, a pixel sees all channels of the earlier ones, and there is one mask:
    hidden degrees are spread evenly, where the paper draws them. A class, where there are some, shifts every layer, as
    in section 2.1 of arXiv:1606.05328. Weights start as PyTorch's.

    Args:
        image_shape: (channels, height, width).
        outputs: Numbers for each pixel.
        num_classes: How many classes; None where the network is not told of them.
        hidden: Units of each hidden layer.

    Raises:
        ValueError: `image_shape` is not an image's, there is no hidden layer, or a size is below 1.

    Example:
        >>> MADENetwork((1, 8, 8), 1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 1, 8, 8])
        >>> MADENetwork((3, 8, 8), 100, num_classes=10)(torch.zeros(2, 3, 8, 8), torch.tensor([3, -1])).shape
        torch.Size([2, 100, 8, 8])
    """

    def __init__(
        self,
        image_shape: ImageShape,
        outputs: int,
        *,
        num_classes: int | None = None,
        hidden: tuple[int, ...] = (500,),
    ) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(outputs=outputs)
        if not hidden or min(hidden) < 1:
            raise ValueError(f"`hidden` must hold sizes of at least 1, got {hidden}")
        channels, *self.size = image_shape
        pixel = torch.arange(self.size[0] * self.size[1])
        inputs, ends = pixel.repeat(channels), pixel.repeat(outputs)
        degrees = [inputs, *(_even(len(pixel), units) for units in hidden)]
        masks = [before <= after[:, None] for before, after in pairwise(degrees)]
        masks.append(torch.cat([degrees[-1], inputs]) < ends[:, None])
        self.layers = nn.ModuleList(_MaskedLinear(mask) for mask in masks)
        sizes = [len(mask) for mask in masks]
        self.shifts = nn.ModuleList(ClassEmbedding(num_classes, size) for size in sizes if num_classes is not None)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Map images (b, *image_shape), and the labels (b,) of a network with classes, to (b, outputs, h, w)."""
        numbers = self._shifted(-1, self.layers[-1](self._hidden(image, label)), label)
        return numbers.reshape(len(image), -1, *self.size)

    def row_predictor(self, image: Tensor, row: int, *given: Tensor) -> Callable[[int], Tensor]:
        """Make what tells of a pixel of a row, without working out the numbers of all others."""
        output, shape, label = self.layers[-1], self.size, given[0] if given else None

        def tell(column: int) -> Tensor:
            pixels = slice(row * shape[1] + column, None, shape[0] * shape[1])
            weight, mask, bias = (tensor[pixels] for tensor in (output.weight, output.mask, output.bias))  # type: ignore[index]
            shifts = self._shifted(-1, torch.zeros_like(output.bias), label)  # type: ignore[arg-type]
            return F.linear(self._hidden(image, label), weight * mask, bias) + shifts[..., pixels]

        return tell

    def _hidden(self, image: Tensor, label: Tensor | None) -> Tensor:
        seen = values = image.flatten(1)
        for index, layer in enumerate(self.layers[:-1]):
            values = self._shifted(index, layer(values), label).relu()
        return torch.cat([values, seen], dim=1)

    def _shifted(self, index: int, values: Tensor, label: Tensor | None) -> Tensor:
        shifted: Tensor = values + self.shifts[index](label) if self.shifts else values
        return shifted


class _MaskedLinear(nn.Linear):
    """A linear layer of which only the weights in `mask` (outputs, inputs) are used.

    The others are 0 and stay so: weight decay would take them to subnormal numbers, on which a CPU is slow.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(torch.uint8), persistent=False)
        with torch.no_grad():
            self.weight.mul_(self.mask)

    def forward(self, values: Tensor) -> Tensor:
        """Map (b, inputs) to (b, outputs)."""
        return F.linear(values, self.weight * self.mask, self.bias)


def _even(pixels: int, units: int) -> Tensor:
    """Degrees from 0 to pixels - 2, each as often as any other but one: nobody needs to see the last pixel."""
    return torch.arange(units) * max(pixels - 1, 1) // units
