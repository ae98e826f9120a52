"""Describe a data module: shapes, splits, storage, classes, captions and duplicates."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from lightning_gans.datamodules.module import DataModule
from lightning_gans.datamodules.pairs import PairSource
from lightning_gans.datamodules.sources import Source, StoredSource, Subset

MAX_CLASSES = 20
"""Classes that are listed with their numbers of examples."""


def summarize(data: DataModule) -> str:
    """Describe a data module in a few lines.

    Args:
        data: The data module, whose data are read.
    """
    source, rows = _training_rows(data)
    lines = [
        f"{data.name}: {_shape(data)}",
        "splits: " + ", ".join(f"{count:,} {split}" for split, count in data.sizes.items()),
        f"storage: {data.storage}{_size(source)}",
        f"fingerprint: {data.fingerprint()}",
    ]
    if data.class_names is not None:
        lines.append(_classes(data, source, rows))
    if data.vocabulary is not None:
        lines.append(f"captions: {len(data.vocabulary) - 2:,} words, at most {data.text_length} per caption")
    if isinstance(source, StoredSource):
        copies = sum(count - 1 for count in Counter(source.hashes[rows].tolist()).values())
        lines.append(f"exact duplicates: {copies:,}" if copies else "exact duplicates: none")
    return "\n".join([*lines, *filter(None, [data.describe_files()])])


def _training_rows(data: DataModule) -> tuple[Source, npt.NDArray[np.int64]]:
    """Return the source and the rows of the training split, with the validation split if it is in the same source."""
    train, validation = data.source("train"), data.source("validation")
    while isinstance(train, PairSource):
        train = train.source
    while isinstance(validation, PairSource):
        validation = validation.source
    if not isinstance(train, Subset):
        return train, np.arange(len(train))
    parts = [train, validation] if isinstance(validation, Subset) and validation.source is train.source else [train]
    return train.source, np.concatenate([part.indices.numpy() for part in parts])


def _shape(data: DataModule) -> str:
    keys = data.dummy_batch(1).keys()
    parts = []
    if "image" in keys and len(data.image_shape) == 1:
        parts.append(f"{data.image_shape[0]}-dimensional points")
    elif "image" in keys:
        channels, height, width = data.image_shape
        parts.append(f"images of {height} x {width} pixels, {channels} channels, {data.levels or 'continuous'} levels")
    if data.audio_shape is not None:
        parts.append("spectrograms of {1} frequency bands and {2} frames".format(*data.audio_shape))
    return "; ".join(parts)


def _size(source: Source) -> str:
    if not isinstance(source, StoredSource):
        return ""
    return f", {sum(array.nbytes for array in source.arrays.values()) / 1e6:,.1f} MB"


def _classes(data: DataModule, source: Source, rows: npt.NDArray[np.int64]) -> str:
    names = data.class_names or ()
    if len(names) > MAX_CLASSES or not isinstance(source, StoredSource):
        return f"classes: {len(names)}, {names[0]} to {names[-1]}"
    labels = source.arrays["label"][rows]
    counts = np.bincount(labels[labels >= 0], minlength=len(names))
    listed = ", ".join(f"{name} ({count:,})" for name, count in zip(names, counts, strict=True))
    unlabeled = f"; {np.sum(labels < 0):,} without a label" if np.any(labels < 0) else ""
    return f"classes: {listed}{unlabeled}"
