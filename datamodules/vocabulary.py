"""Words and their indices: captions as tensors."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

PADDING = "<pad>"
"""Index 0: fills captions that are shorter than the longest."""

UNKNOWN = "<unk>"
"""Index 1: stands for words that are not in the vocabulary."""


class Vocabulary:
    """Indices of words.

    Args:
        words: The words, of which the first has the index 2.

    Attributes:
        words: All words by index, with "<pad>" and "<unk>" first.

    Raises:
        ValueError: A word occurs twice.

    Example:
        >>> vocabulary = Vocabulary.from_captions(["a red heart", "a big heart"])
        >>> vocabulary.words
        ('<pad>', '<unk>', 'a', 'heart', 'big', 'red')
        >>> vocabulary.encode(["a small heart", "red"])
        tensor([[2, 1, 3],
                [5, 0, 0]])
        >>> vocabulary.decode(vocabulary.encode(["A red, red heart"]))
        ['a red <unk> red heart']
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = (PADDING, UNKNOWN, *words)
        self._indices = {word: index for index, word in enumerate(self.words)}
        if len(self._indices) < len(self.words):
            repeated = next(word for word, count in Counter(self.words).items() if count > 1)
            raise ValueError(f"`words` must be different, got {repeated!r} twice")

    @classmethod
    def from_captions(cls, captions: Iterable[str], *, min_count: int = 1) -> "Vocabulary":
        """Collect the words of captions, the most frequent first, then in alphabetical order.

        Args:
            captions: The captions, of the training split only.
            min_count: Occurrences from which a word is included, default 1; rarer words become "<unk>".
        """
        counts = Counter(word for caption in captions for word in tokenize(caption))
        frequent = [word for word, count in counts.items() if count >= min_count]
        return cls(sorted(frequent, key=lambda word: (-counts[word], word)))

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, captions: Sequence[str], length: int | None = None) -> Tensor:
        """Convert captions to indices.

        Args:
            captions: n captions.
            length: Number of words t; longer captions are cut. Default None for the longest caption, at least 1.

        Returns:
            (n, t) int64, padded with 0.
        """
        rows = [[self._indices.get(word, 1) for word in tokenize(caption)] for caption in captions]
        length = max([1, *map(len, rows)]) if length is None else length
        encoded = torch.zeros(len(rows), length, dtype=torch.int64)
        for row, indices in zip(encoded, rows, strict=True):
            kept = indices[:length]
            row[: len(kept)] = torch.tensor(kept, dtype=torch.int64)
        return encoded

    def decode(self, text: Tensor) -> list[str]:
        """Convert (n, t) indices to captions, without the padding."""
        return [" ".join(self.words[index] for index in row if index) for row in text.tolist()]

    def unknown(self, caption: str) -> list[str]:
        """List the words of a caption that are not in the vocabulary."""
        return [word for word in tokenize(caption) if word not in self._indices]


def tokenize(caption: str) -> list[str]:
    """Split a caption into words in lower case, and punctuation marks.

    Example:
        >>> tokenize("A man's hat, red!")
        ['a', "man's", 'hat', ',', 'red', '!']
    """
    return re.findall(r"\w+(?:['-]\w+)*|[^\w\s]", caption.lower())


def text_state(vocabulary: Vocabulary | None, text_length: int) -> dict[str, Any]:
    """Return plain values for checkpoints, which encode new captions without the data; empty without captions.

    Example:
        >>> state = text_state(Vocabulary(["red"]), 4)
        >>> state
        {'vocabulary': ['<pad>', '<unk>', 'red'], 'text_length': 4}
        >>> Vocabulary(state["vocabulary"][2:]).encode(["a red"], state["text_length"])
        tensor([[1, 2, 0, 0]])
    """
    return {} if vocabulary is None else {"vocabulary": list(vocabulary.words), "text_length": text_length}


def check_text_state(saved: Mapping[str, Any], present: Mapping[str, Any]) -> None:
    """Check that the words have the indices that they have in a checkpoint.

    Args:
        saved: State of the data module in the checkpoint.
        present: Result of `text_state`.

    Raises:
        ValueError: The words differ, so that an index stands for another word.
    """
    before, now = (len(state.get("vocabulary", ())) for state in (saved, present))
    if before and now and saved["vocabulary"] != present["vocabulary"]:
        raise ValueError(
            f"the captions have other words than the checkpoint ({now}, before {before}), so that the model would "
            "confuse them: restore the captions, or start a new run"
        )
