"""What networks are told of a class."""

import torch
from torch import Tensor, nn

from lightning_gans.checks import check_positive


class ClassEmbedding(nn.Module):
    """Give every class a learned vector, which networks add to their units; an unknown class (-1) always has 0.

    All vectors start at 0, so that at first a network does not know the class.

    Args:
        num_classes: How many classes.
        width: Size of a vector.

    Raises:
        ValueError: A size is below 1; when called, a label is missing or beyond the classes.

    Example:
        >>> ClassEmbedding(10, 3)(torch.tensor([7, -1]))
        tensor([[0., 0., 0.],
                [0., 0., 0.]], grad_fn=<EmbeddingBackward0>)
    """

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, width=width)
        self.embedding = nn.Embedding(num_classes + 1, width, padding_idx=0)  # row 0 gets no gradient
        nn.init.zeros_(self.embedding.weight)

    def forward(self, label: Tensor | None) -> Tensor:
        """Map labels (b,), -1 where unknown, to (b, width)."""
        if label is None:
            raise ValueError("`label` is missing: this network has classes; -1 is for unknown ones")
        classes = self.embedding.num_embeddings - 1
        # elsewhere a look would wait for the device, which refuses by itself, and compiled code cannot look
        looks = label.device.type == "cpu" and not torch.compiler.is_compiling() and len(label) > 0
        if looks and not -1 <= int(label.min()) <= int(label.max()) < classes:
            raise ValueError(f"`label` must be from 0 to {classes - 1}, or -1, got {label.tolist()}")
        vectors: Tensor = self.embedding(label + 1)
        return vectors
