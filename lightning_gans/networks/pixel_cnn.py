"""A convolutional network whose outputs see earlier pixels only, and all of them within its reach."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_image, check_positive
from lightning_gans.networks.causal import CausalImageNetwork
from lightning_gans.networks.class_embedding import ClassEmbedding
from lightning_gans.types import ImageShape


class GatedPixelCNN(CausalImageNetwork):
    """Tell of each pixel what gated convolutions know from those before it.

    From *Conditional Image Generation with PixelCNN Decoders*, arXiv:1606.05328, section 2 and figure 2: a vertical
    stack sees the rows above, a horizontal one the pixels to the left and what the vertical one found, so that no
    earlier pixel in reach is left out. What is not to be seen is cropped by padding on one side, as in PixelCNN++
    (arXiv:1701.05517), not masked. The horizontal stack is residual, there is no normalization, and a class shifts the
    gates. Unlike there, the kernel of the first block is as small as the others', and there are fewer and narrower
    layers, for a CPU. A channel of ones tells the image from the padding around it.

    Args:
        image_shape: (channels, height, width).
        outputs: Numbers for each pixel.
        num_classes: How many classes; None where the network is not told of them.
        width: Channels of each stack.
        blocks: How many gated layers.
        kernel: Width of the window of each layer, odd: it reaches kernel // 2 pixels up, left and, above, right.

    Attributes:
        reach: How many rows above its own an output sees.

    Raises:
        ValueError: `image_shape` is not an image's, `kernel` is even, or a size is below 1.

    Example:
        >>> network = GatedPixelCNN((1, 8, 8), 1, blocks=4, kernel=3)
        >>> network(torch.zeros(2, 1, 8, 8)).shape, network.reach
        (torch.Size([2, 1, 8, 8]), 5)
    """

    def __init__(
        self,
        image_shape: ImageShape,
        outputs: int,
        *,
        num_classes: int | None = None,
        width: int = 32,
        blocks: int = 6,
        kernel: int = 5,
    ) -> None:
        super().__init__()
        check_image(type(self).__name__, image_shape)
        check_positive(outputs=outputs, width=width, blocks=blocks, kernel=kernel)
        if kernel % 2 == 0 or kernel < 3:
            raise ValueError(f"`kernel` must be odd and at least 3, got {kernel}")
        inputs = image_shape[0] + 1
        self.blocks = nn.ModuleList(
            _Block(width if index else inputs, width, kernel, num_classes, residual=index > 0)
            for index in range(blocks)
        )
        self.head = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, kernel_size=1), nn.ReLU(), nn.Conv2d(width, outputs, kernel_size=1)
        )
        self.reach = 1 + blocks * (kernel // 2)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Map images (b, *image_shape), and the labels (b,) of a network with classes, to (b, outputs, h, w)."""
        above, left = _shifted(image)
        for block in self.blocks:
            found, above = block.vertical_stack(above, label)  # type: ignore[operator]
            left = block.horizontal_stack(left, found)  # type: ignore[operator]
        numbers: Tensor = self.head(left)
        return numbers

    def row_predictor(self, image: Tensor, row: int, *given: Tensor) -> Callable[[int], Tensor]:
        """Make what tells of a pixel of a row, from no more than it can see."""
        told = self.vertical_stack(image[:, :, max(0, row - self.reach) : row + 1], *given)

        def tell(column: int) -> Tensor:
            seen = slice(max(0, column - self.reach), column + 1)
            return self.horizontal_stack(image[:, :, row : row + 1, seen], [found[..., seen] for found in told])[
                :, :, 0, -1
            ]

        return tell

    def vertical_stack(self, image: Tensor, label: Tensor | None = None) -> list[Tensor]:
        """What the horizontal stack is told in the last row of images, one tensor for each block.

        Args:
            image: Consecutive rows (b, channels, rows, w); `reach` rows above the last are as good as all.
            label: (b,), of a network with classes.
        """
        above, _ = _shifted(image)
        told = []
        for block in self.blocks:
            found, above = block.vertical_stack(above, label)  # type: ignore[operator]
            told.append(found[:, :, -1:])
        return told

    def horizontal_stack(self, row: Tensor, told: list[Tensor]) -> Tensor:
        """The numbers (b, outputs, 1, columns) of pixels of one row.

        Args:
            row: Consecutive pixels (b, channels, 1, columns); `reach` to the left of the last are as good as all.
            told: What `vertical_stack` returned, of the same columns.
        """
        _, left = _shifted(row)
        for block, found in zip(self.blocks, told, strict=True):
            left = block.horizontal_stack(left, found)  # type: ignore[operator]
        numbers: Tensor = self.head(left)
        return numbers


class _Block(nn.Module):
    """A gated layer of both stacks; that of the first block is not residual, as it has the image for features."""

    def __init__(self, inputs: int, width: int, kernel: int, num_classes: int | None, *, residual: bool) -> None:
        super().__init__()
        self.side = kernel // 2
        self.vertical = nn.Conv2d(inputs, 2 * width, (self.side + 1, kernel))
        self.across = nn.Conv2d(2 * width, 2 * width, kernel_size=1)
        self.horizontal = nn.Conv2d(inputs, 2 * width, (1, self.side + 1), bias=False)
        self.out = nn.Conv2d(width, width, kernel_size=1)
        self.shift = None if num_classes is None else ClassEmbedding(num_classes, 4 * width)
        self.residual = residual

    def vertical_stack(self, above: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the horizontal stack is told, (b, 2 width, h, w), and the vertical features, (b, width, h, w)."""
        vertical = self.vertical(F.pad(above, (self.side, self.side, self.side, 0)))
        told = self.across(vertical)
        if self.shift is not None:
            first, second = self.shift(label)[..., None, None].chunk(2, dim=1)
            vertical, told = vertical + first, told + second
        return told, _gate(vertical)

    def horizontal_stack(self, left: Tensor, told: Tensor) -> Tensor:
        """The horizontal features, (b, width, h, w)."""
        features: Tensor = self.out(_gate(self.horizontal(F.pad(left, (self.side, 0))) + told))
        return left + features if self.residual else features


def _shifted(image: Tensor) -> tuple[Tensor, Tensor]:
    """Images and a channel of ones, moved down by a row, and right by a column, so that no pixel sees itself."""
    seen = torch.cat([image, torch.ones_like(image[:, :1])], dim=1)
    seen = seen.contiguous(memory_format=torch.channels_last)  # all that follows has it, and is a quarter faster
    return F.pad(seen, (0, 0, 1, -1)), F.pad(seen, (1, -1))


def _gate(features: Tensor) -> Tensor:
    """Tanh of one half of the channels, times the sigmoid of the other; arXiv:1606.05328, equation 2."""
    signal, gate = features.chunk(2, dim=1)
    return signal.tanh() * gate.sigmoid()
