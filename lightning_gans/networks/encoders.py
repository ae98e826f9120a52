"""Encoders of conditions: labels, captions and spectrograms become vectors.

An encoder is built from the size of its condition and the size of its vector, and maps a batch of conditions to vectors
(b, embedding_dim). An unknown condition, a label of -1 or a caption without words, becomes the zero vector.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lightning_gans.checks import check_positive
from lightning_gans.networks.class_embedding import ClassEmbedding
from lightning_gans.networks.sizes import halvings
from lightning_gans.types import ImageShape

RESERVED = 2
"""Indices of padding and of unknown words, which come before the words of a vocabulary."""


class Encoder(nn.Module, ABC):
    """Base class of the encoders in this file; any other module with the same arguments works too."""

    @abstractmethod
    def forward(self, condition: Tensor) -> Tensor:
        """Map conditions (b, ...) to vectors (b, embedding_dim)."""


class LabelEncoder(Encoder):
    """Encode labels by learned vectors, initialized from N(0, 1); the vector of an unknown label (-1) is zero.

    Args:
        num_classes: Number of classes.
        embedding_dim: Size of a vector.

    Raises:
        ValueError: If a size is below 1; at `forward`, if a label is out of range.

    Example:
        >>> vectors = LabelEncoder(10, 3)(torch.tensor([7, -1]))
        >>> vectors.shape, vectors[1].tolist()
        (torch.Size([2, 3]), [0.0, 0.0, 0.0])
    """

    def __init__(self, num_classes: int, embedding_dim: int) -> None:
        super().__init__()
        self.classes = ClassEmbedding(num_classes, embedding_dim)
        with torch.no_grad():
            nn.init.normal_(self.classes.embedding.weight[1:])  # row 0 is the unknown label

    def forward(self, condition: Tensor) -> Tensor:
        """Map labels (b,) to vectors (b, embedding_dim)."""
        vectors: Tensor = self.classes(condition)
        return vectors


class BagOfWords(Encoder):
    """Encode captions by the mean of learned vectors of their words, whose order has no effect.

    Args:
        vocabulary: The words by index; the first two stand for padding and for unknown words.
        embedding_dim: Size of a vector.

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> encoder = BagOfWords(("<pad>", "<unk>", "red", "heart"), 3)
        >>> vectors = encoder(torch.tensor([[2, 3, 0], [3, 2, 0], [0, 0, 0]]))
        >>> torch.equal(vectors[0], vectors[1]), vectors[2].tolist()
        (True, [0.0, 0.0, 0.0])
    """

    def __init__(self, vocabulary: Sequence[str], embedding_dim: int) -> None:
        super().__init__()
        check_positive(embedding_dim=embedding_dim)
        self.words = _word_embedding(vocabulary, embedding_dim)

    def forward(self, condition: Tensor) -> Tensor:
        """Map words (b, t), 0 where there is none, to vectors (b, embedding_dim)."""
        counts = _lengths(condition).clamp(min=1).unsqueeze(1)
        vectors: Tensor = self.words(condition).sum(1) / counts
        return vectors


class GRUEncoder(Encoder):
    """Encode captions by the last state of a recurrent network of gated units (GRU) that reads word after word.

    Source: Cho et al. 2014, arXiv:1406.1078.

    Args:
        vocabulary: The words by index; the first two stand for padding and for unknown words.
        embedding_dim: Size of a vector.
        word_dim: Size of the vector of a word, default 64.

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> encoder = GRUEncoder(("<pad>", "<unk>", "red", "heart"), 3)
        >>> vectors = encoder(torch.tensor([[2, 3, 0], [0, 0, 0]]))
        >>> vectors.shape, vectors[1].tolist()
        (torch.Size([2, 3]), [0.0, 0.0, 0.0])
    """

    def __init__(self, vocabulary: Sequence[str], embedding_dim: int, *, word_dim: int = 64) -> None:
        super().__init__()
        check_positive(embedding_dim=embedding_dim, word_dim=word_dim)
        self.words = _word_embedding(vocabulary, word_dim)
        self.gru = nn.GRU(word_dim, embedding_dim, batch_first=True)

    def forward(self, condition: Tensor) -> Tensor:
        """Map words (b, t), 0 where there is none, to vectors (b, embedding_dim)."""
        lengths = _lengths(condition)
        states, _ = self.gru(self.words(condition))
        last = (lengths - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, states.shape[2])
        vectors: Tensor = states.gather(1, last).squeeze(1).masked_fill((lengths == 0).unsqueeze(1), 0)
        return vectors


class LogMelEncoder(Encoder):
    """Encode spectrograms by strided convolutions and one linear layer, as `DCGANCritic` reads images.

    Args:
        audio_shape: (1, bands, frames) of a spectrogram.
        embedding_dim: Size of a vector.
        width: Channels after the first layer, default 32; they double with every halving of the size, up to 8 times the
            width.

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> LogMelEncoder((1, 64, 40), 3)(torch.zeros(2, 1, 64, 40)).shape
        torch.Size([2, 3])
    """

    def __init__(self, audio_shape: ImageShape, embedding_dim: int, *, width: int = 32) -> None:
        super().__init__()
        check_positive(embedding_dim=embedding_dim, width=width)
        sizes = halvings(audio_shape, until=4)
        channels = [audio_shape[0], *(width * min(2**level, 8) for level in range(len(sizes) - 1))]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, kernel_size=5, stride=2, padding=2), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(channels[-1] * math.prod(sizes[-1]), embedding_dim)
        )

    def forward(self, condition: Tensor) -> Tensor:
        """Map spectrograms (b, 1, bands, frames) to vectors (b, embedding_dim)."""
        vectors: Tensor = self.layers(condition)
        return vectors


def _word_embedding(vocabulary: Sequence[str], word_dim: int) -> nn.Embedding:
    """Create the vectors of words; padding has the zero vector, and an unknown word too until training has seen one."""
    embedding = nn.Embedding(max(len(vocabulary), RESERVED), word_dim, padding_idx=0)
    with torch.no_grad():
        embedding.weight[:RESERVED] = 0
    return embedding


def _lengths(words: Tensor) -> Tensor:
    """Count the words of captions (b, t), whose padding is at the end."""
    return (words != 0).sum(1)
