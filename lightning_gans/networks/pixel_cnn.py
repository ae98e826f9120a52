"""Gated PixelCNN: a convolutional network whose outputs depend only on earlier pixels, without a blind spot."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_image, check_positive
from lightning_gans.networks.causal import CausalImageNetwork
from lightning_gans.networks.class_embedding import ClassEmbedding
from lightning_gans.networks.module_list import ModuleList
from lightning_gans.types import ImageShape


class GatedPixelCNN(CausalImageNetwork):
    """Predict each pixel from the earlier pixels by gated convolutions.

    From *Conditional Image Generation with PixelCNN Decoders*, arXiv:1606.05328, section 2 and figure 2. A vertical
    stack sees the rows above. A horizontal stack sees the pixels to the left and the features of the vertical stack, so
    the receptive field has no blind spot. Convolutions are made causal by one-sided padding, as in PixelCNN++
    (arXiv:1701.05517), not by masks. The horizontal stack is residual, there is no normalization, and a class embedding
    shifts the gates. A channel of ones distinguishes the image from its padding.

    What differs from the paper: the kernel of the first block has the size of all others, and the layers are fewer and
    narrower, for training on a CPU.

    Args:
        image_shape: (channels, height, width).
        outputs: Number of outputs per pixel.
        num_classes: Number of classes; None for an unconditional network.
        width: Channels of each stack, default 32.
        blocks: Number of gated layers, default 6.
        kernel: Odd kernel size of each layer, default 5. With r = kernel // 2, a layer sees r pixels to the left, and
            in the r rows above also r pixels to the right.

    Attributes:
        reach: Number of rows above a pixel, and of pixels to its left, in the receptive field.

    Raises:
        ValueError: If `image_shape` is not (channels, height, width), `kernel` is even or 1, or a size is below 1.

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
        self.blocks: ModuleList[_Block] = ModuleList(
            _Block(width if index else inputs, width, kernel, num_classes, residual=index > 0)
            for index in range(blocks)
        )
        self.head = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, kernel_size=1), nn.ReLU(), nn.Conv2d(width, outputs, kernel_size=1)
        )
        self.reach = 1 + blocks * (kernel // 2)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Map images (b, *image_shape), and labels (b,) if class-conditional, to (b, outputs, h, w)."""
        above, left = _shift(image)
        for block in self.blocks:
            features, above = block.vertical_stack(above, label)
            left = block.horizontal_stack(left, features)
        outputs: Tensor = self.head(left)
        return outputs

    def row_predictor(self, image: Tensor, row: int, *condition: Tensor) -> Callable[[int], Tensor]:
        """Prepare the prediction of a row of pixels, computing only their receptive fields."""
        vertical = self.vertical_stack(image[:, :, max(0, row - self.reach) : row + 1], *condition)

        def predict(column: int) -> Tensor:
            seen = slice(max(0, column - self.reach), column + 1)
            features = [block_features[..., seen] for block_features in vertical]
            return self.horizontal_stack(image[:, :, row : row + 1, seen], features)[:, :, 0, -1]

        return predict

    def vertical_stack(self, image: Tensor, label: Tensor | None = None) -> list[Tensor]:
        """Compute the inputs that the horizontal stack gets from the vertical stack, in the last row of images.

        Args:
            image: Consecutive rows (b, channels, rows, w); more than `reach` rows above the last have no effect.
            label: Labels (b,), if the network is class-conditional.

        Returns:
            One tensor (b, 2 width, 1, w) per block.
        """
        above, _ = _shift(image)
        vertical = []
        for block in self.blocks:
            features, above = block.vertical_stack(above, label)
            vertical.append(features[:, :, -1:])
        return vertical

    def horizontal_stack(self, row: Tensor, vertical: list[Tensor]) -> Tensor:
        """Compute the outputs (b, outputs, 1, columns) of the pixels of one row.

        Args:
            row: Consecutive pixels (b, channels, 1, columns); more than `reach` pixels to the left of the last have no
                effect on it.
            vertical: The return value of `vertical_stack`, restricted to the same columns.
        """
        _, left = _shift(row)
        for block, features in zip(self.blocks, vertical, strict=True):
            left = block.horizontal_stack(left, features)
        outputs: Tensor = self.head(left)
        return outputs


class _Block(nn.Module):
    """Apply a gated layer to both stacks; the first block is not residual, as its inputs are images."""

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
        """Compute the inputs of the horizontal stack (b, 2 width, h, w) and the vertical features (b, width, h, w)."""
        vertical = self.vertical(F.pad(above, (self.side, self.side, self.side, 0)))
        features = self.across(vertical)
        if self.shift is not None:
            vertical_shift, horizontal_shift = self.shift(label)[..., None, None].chunk(2, dim=1)
            vertical, features = vertical + vertical_shift, features + horizontal_shift
        return features, _gate(vertical)

    def horizontal_stack(self, left: Tensor, vertical: Tensor) -> Tensor:
        """Compute the horizontal features, (b, width, h, w)."""
        features: Tensor = self.out(_gate(self.horizontal(F.pad(left, (self.side, 0))) + vertical))
        return left + features if self.residual else features


def _shift(image: Tensor) -> tuple[Tensor, Tensor]:
    """Append a channel of ones, and shift images down by a row and right by a column, so that no pixel sees itself."""
    padded = torch.cat([image, torch.ones_like(image[:, :1])], dim=1)
    padded = padded.contiguous(memory_format=torch.channels_last)  # inherited by all features, and a quarter faster
    return F.pad(padded, (0, 0, 1, -1)), F.pad(padded, (1, -1))


def _gate(features: Tensor) -> Tensor:
    """Multiply the tanh of half of the channels by the sigmoid of the other half; arXiv:1606.05328, equation 2."""
    signal, gate = features.chunk(2, dim=1)
    return signal.tanh() * gate.sigmoid()
