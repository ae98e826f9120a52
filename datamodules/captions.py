"""Data module for a folder of images with captions."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, get_args

import torch

from lightning_gans.datamodules.image_folder import ImageFolder
from lightning_gans.datamodules.metadata import Row
from lightning_gans.datamodules.module import Split
from lightning_gans.datamodules.pairs import Candidates, PairSource
from lightning_gans.datamodules.sources import Examples, Source, TensorSource, as_source
from lightning_gans.datamodules.vocabulary import Vocabulary, tokenize


class Captions(ImageFolder):
    r"""Serve the images of a folder or zip archive with their captions, from Hugging Face's `metadata` tables.

    A table `metadata.csv`, `.jsonl` or `.parquet` has the columns `file_name` and `text`. Several captions of an image
    are several rows, or a list in `text`. In training, one of them is drawn in each epoch, as a function of the seed,
    the epoch and the image. Everywhere else, an image has its first caption.

    Batches have the keys `image`, `text` and `label`. `text` is (b, text_length) int64: indices of words in
    `vocabulary`, padded with 0. The vocabulary has the words of the training captions; other words are 1, "<unk>".
    Checkpoints record it. An image whose caption is empty or missing has a `text` of padding only, as an unknown label
    is -1; the summary counts such images. A `text` that is neither a caption nor a list makes the file an error.

    `ImageFolder` describes everything else: files, labels (column `label`), splits and conversion.

    Args:
        root: Folder or zip archive of the images; `~` is the home folder.
        text_column: Column of the captions, default "text"; None for images without captions.
        min_count: Occurrences in the training captions from which a word is in the vocabulary, default 1.
        text_length: Words of a caption in a batch; longer captions are cut. Default None for the longest caption.
        **kwargs: Further arguments of `ImageFolder`.

    Attributes:
        vocabulary: Words of the training captions; the images are decoded on first access, since they determine the
            splits.

    Raises:
        ValueError: As `ImageFolder`; there is no table, it lacks the column, no image has a caption, or an argument is
            out of range.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as root:
        ...     rows = ["file_name,text"]
        ...     for value in range(60):
        ...         Image.new("RGB", (16, 16), (value, 0, 0)).save(Path(root, f"{value}.png"))
        ...         rows.append(f"{value}.png,a {'dark' if value < 30 else 'bright'} red")
        ...     _ = Path(root, "metadata.csv").write_text("\n".join(rows))
        ...     data = Captions(root=root, image_size=16, batch_size=4, validation_size=0.2)
        ...     data.setup()
        >>> sorted(data.vocabulary.words), data.text_length
        (['<pad>', '<unk>', 'a', 'bright', 'dark', 'red'], 3)
        >>> data.examples("train", 5)["text"].shape
        torch.Size([5, 3])
    """

    def __init__(
        self,
        *,
        root: str,
        text_column: str | None = "text",
        min_count: int = 1,
        text_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.text_column = text_column
        super().__init__(root=root, **kwargs)
        for name, value in (("min_count", min_count), ("text_length", text_length)):
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}")
        self.min_count = min_count
        self._captions: dict[str, tuple[str, ...]] = {}
        if self.text_column is None:
            return
        rows = {file: self._layout.rows.get(file, []) for file in self.files}
        _check_column(root, rows, self.text_column)
        found = {file: find_captions(rows[file], self.text_column) for file in self.files}
        self._captions = {file: captions for file, captions in found.items() if not isinstance(captions, str)}
        self._layout.exclude({file: reason for file, reason in found.items() if isinstance(reason, str)})
        self.files = self._layout.files
        lengths = [len(tokenize(caption)) for captions in self._captions.values() for caption in captions]
        if not any(lengths):
            raise ValueError(
                f"no image of `root` {root!r} has a caption in the column `{self.text_column}` of the metadata"
            )
        self.text_length = max(lengths) if text_length is None else text_length

    @cached_property
    def vocabulary(self) -> Vocabulary | None:  # type: ignore[override]
        """Return the words of the training captions; the images are decoded on first access."""
        if self.text_column is None:
            return None
        self._load_splits()
        return self._collect_words()

    def _collect_words(self) -> Vocabulary:
        captions = (caption for file in self._split_files["train"] for caption in self._captions[file])
        return Vocabulary.from_captions(captions, min_count=self.min_count)

    def load(self) -> tuple[Examples, Examples, Examples]:
        """Decode the images, divide them among the splits and encode their captions."""
        if self.text_column is None:
            return super().load()
        images = zip(get_args(Split), super().load(), strict=True)
        vocabulary = self._collect_words()
        assert self._summary is not None
        self._summary.captions = self._describe_captions()
        train, validation, test = (
            self._with_captions(as_source(part, num_workers=self.num_workers), split, vocabulary)
            for split, part in images
        )
        return train, validation, test

    def _with_captions(self, images: Source, split: Split, vocabulary: Vocabulary) -> PairSource:
        captions = [self._captions[file] or ("",) for file in self._split_files[split]]
        candidates = Candidates.consecutive(torch.tensor([len(each) for each in captions], dtype=torch.int64))
        text = vocabulary.encode([caption for each in captions for caption in each], self.text_length)
        return PairSource(images, TensorSource({"text": text}), ("text",), candidates, fixed=candidates.first())

    def _describe_captions(self) -> str:
        captions = [self._captions[file] for files in self._split_files.values() for file in files]
        without = sum(not each for each in captions)
        return f"{sum(map(len, captions)):,} captions of {len(captions) - without:,} images" + (
            f"; {without:,} images without a caption" if without else ""
        )

    def training_source(self) -> Source:
        """Return the training images, each with one of its captions, which is drawn in each epoch."""
        source = self.source("train")
        return source.drawn() if isinstance(source, PairSource) else source


def find_captions(rows: Sequence[Row], column: str) -> tuple[str, ...] | str:
    """Collect the captions of an image.

    Args:
        rows: Rows of the metadata about the image.
        column: Column of the captions.

    Returns:
        The captions that have a word, in order; or the reason why a value is neither a caption nor a list of captions.

    Example:
        >>> find_captions([{"text": "a cat"}, {"text": ["an animal", ""]}, {"text": None}], "text")
        ('a cat', 'an animal')
        >>> find_captions([{"text": 5}], "text")
        '`text` must be a caption or a list of captions, got 5'
    """
    captions: list[str] = []
    for row in rows:
        value = row.get(column)
        listed = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(caption, str) for caption in listed):
            return f"`{column}` must be a caption or a list of captions, got {value!r}"
        captions += [caption for caption in listed if tokenize(caption)]
    return tuple(captions)


def _check_column(root: str, rows: Mapping[str, Sequence[Row]], column: str) -> None:
    found = dict.fromkeys(name for each in rows.values() for row in each for name in row)
    if not found:
        raise ValueError(
            f"`root` {root!r} must contain metadata.csv, .jsonl or .parquet with the columns `file_name` and `{column}`"
        )
    if column not in found:
        raise ValueError(
            f"`text_column` must be a column of the metadata in `root` {root!r}, which are {', '.join(found)}, "
            f"got {column!r}"
        )
