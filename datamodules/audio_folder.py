"""Data module for a folder of recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_gans.datamodules.archives import Folder
from lightning_gans.datamodules.audio import AudioDataModule
from lightning_gans.datamodules.folder_layout import FOLDER_TO_SPLIT, find_classes
from lightning_gans.datamodules.metadata import Row, common_label, is_table, number_labels, read_tables
from lightning_gans.datamodules.module import Split
from lightning_gans.datamodules.recordings import FoundRecordings, Recording, sort_by_suffix

_COLUMNS = ("file_name", "audio_file_name")
"""Columns of a table with the path of a recording."""


class AudioFolder(AudioDataModule):
    """Serve the recordings (WAV, FLAC, OGG, MP3, AIFF) of a folder and its subfolders as log-mel spectrograms.

    The folder follows the `audiofolder` convention of Hugging Face:

    - Top-level folders such as `train`, `validation` and `test` are splits. A missing validation or test split is taken
      from the training recordings by their content: adding or removing a recording moves no other recording to another
      split, and exact duplicates are in the same split.
    - A file `metadata.jsonl`, `.csv` or `.parquet`, in any folder, names recordings in the column `file_name` (or
      `audio_file_name`), and may have the columns `label` and `text`. A recording may have several rows with captions.
      Recordings without a row are skipped.
    - Without metadata, the folders in `root`, or in the folder of each split, are the classes, if every recording is in
      a folder and there are at least two.

    `AudioDataModule` describes the conversion of the recordings.

    Args:
        root: Folder of the recordings; `~` is expanded.
        validation_size: Fraction of the recordings for validation, if there is no such folder, default 0.05.
        test_size: Fraction of the recordings for testing, if there is no such folder, default 0.1.
        **kwargs: Further arguments of `AudioDataModule`.

    Raises:
        ValueError: `root` is not a readable folder with recordings, its metadata cannot be read, or a setting is out of
            range; in `setup`, if a recording cannot be decoded, or soundfile is missing.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import torch
        >>> from lightning_gans.audio import write_wav
        >>> with TemporaryDirectory() as root:
        ...     for name in ("no", "yes"):
        ...         Path(root, name).mkdir()
        ...         for i in range(10):
        ...             write_wav(Path(root, name, f"{i}.wav"), torch.linspace(-i / 10, i / 10, 8000), 8000)
        ...     data = AudioFolder(root=root, batch_size=4, test_size=0.25, validation_size=0.25)
        ...     data.setup()
        >>> data.audio_shape, data.class_names, sum(data.sizes.values())
        ((1, 64, 64), ('no', 'yes'), 20)
        >>> data.log_mel.inverse(data.examples("train", 2)["audio"]).shape  # sound again
        torch.Size([2, 16128])
    """

    def __init__(self, *, root: str, validation_size: float = 0.05, test_size: float = 0.1, **kwargs: Any) -> None:
        fractions = {"test": test_size, "validation": validation_size}
        if min(fractions.values()) < 0 or not sum(fractions.values()) < 1:
            raise ValueError(
                f"`validation_size` and `test_size` are fractions, at least 0 and together below 1, "
                f"got {validation_size} and {test_size}"
            )
        self.root = root
        folder = Path(root).expanduser()
        found = find_recordings(folder)
        folders = {recording.split for recording in found.recordings}
        missing = {split: fraction for split, fraction in fractions.items() if split not in folders}
        super().__init__(root=folder, found=found, fractions=missing, **kwargs)


def find_recordings(root: Path) -> FoundRecordings:
    """Find the recordings of a folder with their splits, labels and captions; nothing is decoded.

    Args:
        root: The folder.

    Returns:
        The contents of the folder. `split` of a training recording is None, so that missing splits can be taken from
        the training recordings.

    Raises:
        ValueError: The folder cannot be read or has no recordings for training, only some recordings are in the folder
            of a split, or the metadata cannot be read.
    """
    tree = Folder(str(root))
    listing = tree.list()
    rows = read_tables(tree, listing.files, columns=_COLUMNS)
    others = [file for file in listing.files if not is_table(file)]
    files, skipped, ignored = sort_by_suffix(listing._replace(files=others))
    if rows is not None:
        skipped |= {file: "not in the metadata" for file in files if file not in rows}
        files = sorted(rows)  # a file that is missing is an error of decoding
    splits = [_split(file) for file in files]
    if None in splits and set(splits) != {None}:
        inside, outside = (
            next(f for f, s in zip(files, splits, strict=True) if (s is None) == n) for n in (False, True)
        )
        raise ValueError(
            f"`root` {str(root)!r} has recordings in the folder of a split ({inside}) and outside of any ({outside}): "
            "move or rename a folder"
        )
    if not set(splits) & {None, "train"}:
        raise ValueError(f"`root` {str(root)!r} must contain recordings (such as .wav) for training, but has none")
    labels, class_names = (
        _labels_of_folders(files) if rows is None else number_labels(common_label(file, rows[file]) for file in files)
    )
    recordings = tuple(
        Recording(
            file=file,
            label=label,
            split=None if split == "train" else split,
            texts=() if rows is None else _texts(rows[file]),
        )
        for file, label, split in zip(files, labels, splits, strict=True)
    )
    return FoundRecordings(recordings=recordings, class_names=class_names, skipped=skipped, ignored=ignored)


def _split(file: str) -> Split | None:
    folder, slash, _ = file.partition("/")
    return FOLDER_TO_SPLIT.get(folder.lower()) if slash else None


def _labels_of_folders(files: Sequence[str]) -> tuple[list[int], tuple[str, ...] | None]:
    inner = [file.partition("/")[2] if _split(file) else file for file in files]
    class_names = find_classes(inner)
    if class_names is None:
        return [-1] * len(files), None
    return [class_names.index(file.partition("/")[0]) for file in inner], class_names


def _texts(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(str(row["text"]) for row in rows if row.get("text") not in (None, ""))
