"""Embeddings of class labels."""

import torch
from torch import Tensor, nn

from lightning_gans.checks import check_positive


class ClassEmbedding(nn.Module):
    """Embed class labels as learned vectors, which networks add to their features.

    All vectors are initialized to 0, so that the initial network ignores the class. The vector of an unknown class (-1)
    remains 0.

    Args:
        num_classes: Number of classes.
        embedding_dim: Size of a vector.

    Raises:
        ValueError: If a size is below 1; at `forward`, if the label is missing or out of range.

    Example:
        >>> ClassEmbedding(10, 3)(torch.tensor([7, -1]))
        tensor([[0., 0., 0.],
                [0., 0., 0.]], grad_fn=<EmbeddingBackward0>)
    """

    def __init__(self, num_classes: int, embedding_dim: int) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, embedding_dim=embedding_dim)
        self.embedding = nn.Embedding(num_classes + 1, embedding_dim, padding_idx=0)  # row 0 gets no gradient
        nn.init.zeros_(self.embedding.weight)

    def forward(self, label: Tensor | None) -> Tensor:
        """Map labels (b,), -1 where unknown, to vectors (b, embedding_dim)."""
        if label is None:
            raise ValueError("`label` is missing: this network is class-conditional; use -1 for an unknown class")
        classes = self.embedding.num_embeddings - 1
        # Reading values would synchronize with a GPU, which checks indices itself, and breaks the graph when compiling.
        validate = label.device.type == "cpu" and not torch.compiler.is_compiling() and len(label) > 0
        if validate and not -1 <= int(label.min()) <= int(label.max()) < classes:
            raise ValueError(f"`label` must be from 0 to {classes - 1}, or -1, got {label.tolist()}")
        vectors: Tensor = self.embedding(label + 1)
        return vectors
