"""MADE: a fully connected network whose outputs depend only on earlier pixels."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_image, check_positive
from lightning_gans.networks.causal import CausalImageNetwork
from lightning_gans.networks.class_embedding import ClassEmbedding
from lightning_gans.networks.module_list import ModuleList
from lightning_gans.types import ImageShape


class MADENetwork(CausalImageNetwork):
    """Predict each pixel from the earlier pixels by an MLP of ReLU units with masked weights.

    From *MADE: Masked Autoencoder for Distribution Estimation*, arXiv:1502.03509, equations 8 to 13. A hidden unit of
    degree d is connected to pixels 0 to d, or to units of degrees up to d. The outputs of pixel p are connected to
    units of degrees below p, and directly to earlier pixels. The paper has direct connections as an option. In raster
    order they are needed, as there may be no unit between a pixel and its neighbor.

    Pixels are in raster order, and a pixel depends on all channels of the earlier pixels. There is a single mask, with
    evenly spread hidden degrees; the paper draws them at random. In a class-conditional network, a class embedding
    shifts every layer, as in section 2.1 of arXiv:1606.05328. Weights have PyTorch's default initialization.

    Args:
        image_shape: (channels, height, width).
        outputs: Number of outputs per pixel.
        num_classes: Number of classes; None for an unconditional network.
        hidden: Number of units of each hidden layer.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), there is no hidden layer, or a size is below 1.

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
        input_degrees, output_degrees = pixel.repeat(channels), pixel.repeat(outputs)
        degrees = [input_degrees, *(_hidden_degrees(len(pixel), units) for units in hidden)]
        masks = [before <= after[:, None] for before, after in pairwise(degrees)]
        masks.append(torch.cat([degrees[-1], input_degrees]) < output_degrees[:, None])
        self.layers: ModuleList[_MaskedLinear] = ModuleList(_MaskedLinear(mask) for mask in masks)
        sizes = [len(mask) for mask in masks]
        self.shifts = nn.ModuleList(ClassEmbedding(num_classes, size) for size in sizes if num_classes is not None)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Map images (b, *image_shape), and labels (b,) if class-conditional, to (b, outputs, h, w)."""
        *_, output = self.layers
        outputs = self._shift(-1, output(self._hidden(image, label)), label)
        return outputs.reshape(len(image), -1, *self.size)

    def row_predictor(self, image: Tensor, row: int, *condition: Tensor) -> Callable[[int], Tensor]:
        """Prepare the prediction of a row of pixels, without computing the outputs of other pixels."""
        *_, output = self.layers
        label = condition[0] if condition else None
        height, width = self.size

        def predict(column: int) -> Tensor:
            pixel = slice(row * width + column, None, height * width)
            shift = self._shift(-1, torch.zeros_like(output.bias), label)
            weight = output.weight[pixel] * output.mask[pixel]
            return F.linear(self._hidden(image, label), weight, output.bias[pixel]) + shift[..., pixel]

        return predict

    def _hidden(self, image: Tensor, label: Tensor | None) -> Tensor:
        pixels = values = image.flatten(1)
        *hidden, _ = self.layers
        for index, layer in enumerate(hidden):
            values = self._shift(index, layer(values), label).relu()
        return torch.cat([values, pixels], dim=1)

    def _shift(self, index: int, values: Tensor, label: Tensor | None) -> Tensor:
        shifted: Tensor = values + self.shifts[index](label) if self.shifts else values
        return shifted


class _MaskedLinear(nn.Linear):
    """Apply a linear layer whose weights outside of `mask` (outputs, inputs) are 0.

    Masked weights are also initialized to 0. Otherwise weight decay would shrink them to subnormal numbers, which are
    slow on a CPU.
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


def _hidden_degrees(pixels: int, units: int) -> Tensor:
    """Spread degrees from 0 to pixels - 2 evenly over the units; no output depends on the last pixel."""
    return torch.arange(units) * max(pixels - 1, 1) // units
