"""Data module for shards that the command `prepare` writes."""

from typing import Any

import torch

from lightning_gans.datamodules.litdata_source import LitDataSource
from lightning_gans.datamodules.module import DataModule, Split
from lightning_gans.datamodules.sources import Source, TensorSource
from lightning_gans.datamodules.storage import CACHE
from lightning_gans.datamodules.vocabulary import Vocabulary


class LitData(DataModule):
    """Serve shards that the command `prepare` has written, from a folder or an object store.

    Shards are for data that neither memory nor one disk holds, or that many machines read. Images, labels, captions and
    splits are those of the data module that was prepared. The order is shuffled within a window of shards, as
    `LitDataSource` describes; resuming is exact. It needs litdata: `pip install 'lightning-gans[litdata]'`.

    Args:
        root: Folder or URL of the shards: `s3://`, `gs://`, `azure://`, `r2://` or `hf://`.
        batch_size: Examples per batch in total over all devices, default 64.
        seed: Seed of the order of the training examples, default 0.
        horizontal_flip: Whether to mirror each training image with probability 0.5, default False.
        cache: Folder for downloaded shards, default "~/.cache/lightning-gans". Shards in folders are not copied.

    Raises:
        ValueError: litdata is not installed, or there are no complete shards at `root`.
    """

    def __init__(
        self,
        *,
        root: str,
        batch_size: int = 64,
        seed: int = 0,
        horizontal_flip: bool = False,
        cache: str = CACHE,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, horizontal_flip=horizontal_flip)
        self.root = root
        self.cache = cache
        self._train = self._open("train")
        described = self._train.metadata
        self.image_shape = tuple(described["image_shape"])
        self.levels = described["levels"]
        self.class_names = None if described["class_names"] is None else tuple(described["class_names"])
        self.vocabulary = None if described["words"] is None else Vocabulary(described["words"])
        self.text_length = described["text_length"]

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Return the options with which the shards were prepared, and the settings of the normalization."""
        return {**super().preprocessing, "prepared": self._train.metadata["options"]}

    def load(self) -> tuple[Source, Source, Source]:
        """Open the shards of the splits."""
        return self._train, self._held_out("validation"), self._held_out("test")

    def _held_out(self, split: Split) -> Source:
        if self._train.metadata["sizes"][split] == 0:
            return TensorSource({key: rows[:0] for key, rows in self._train.fetch(torch.tensor([0])).items()})
        return self._open(split)

    def _open(self, split: Split) -> LitDataSource:
        return LitDataSource(f"{self.root.rstrip('/')}/{split}", self.cache)
