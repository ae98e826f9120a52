"""Data module for image data sets of Hugging Face's `datasets`."""

from typing import Any

from lightning_gans.datamodules.archives import FileTree
from lightning_gans.datamodules.captions import Captions
from lightning_gans.datamodules.folder_layout import FolderLayout
from lightning_gans.datamodules.hub_files import Columns, load_splits, open_hub, resolved_revision


class HuggingFace(Captions):
    """Serve the images of a data set of the Hugging Face Hub, with labels and captions where it has them.

    The data set is one of the Hub, a local folder that `datasets.load_dataset` opens, such as an `imagefolder` or
    parquet files, or a folder of `save_to_disk`. Images are decoded as by `ImageFolder`, whose options apply. Captions
    are served as by `Captions`, and only if there is a column for them.

    A split that the data set does not have is taken from the training images by a hash of each decoded image. The
    commit of a data set of the Hub is recorded in checkpoints. `HF_HUB_OFFLINE=1` forbids downloads.

    Args:
        path: Name of the data set on the Hub, or path of a folder; `~` is the home folder.
        name: Name of the configuration of the data set, default None for its only one.
        revision: Branch, tag or commit on the Hub, default None for the latest commit.
        image_column: Column of the images, default None for the only column of images.
        label_column: Column of the labels, default None for a column of classes or one that is named `label`.
        text_column: Column of the captions, default None for a column that is named `text` or `caption`.
        train_split: Name of the training split, default None for "train".
        validation_split: Name of the validation split, default None for "validation", "valid", "dev" or "val".
        test_split: Name of the test split, default None for "test" or "eval".
        **kwargs: Further arguments of `Captions` and `ImageFolder`.

    Raises:
        ValueError: The data set cannot be loaded, a column or a split does not exist, or as for `ImageFolder`.
    """

    def __init__(
        self,
        *,
        path: str,
        name: str | None = None,
        revision: str | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        text_column: str | None = None,
        train_split: str | None = None,
        validation_split: str | None = None,
        test_split: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._columns = Columns(image_column, label_column, text_column)
        self._chosen = {"train": train_split, "validation": validation_split, "test": test_split}
        self._splits_of_hub = load_splits(path, name, revision)
        super().__init__(root=path, **kwargs)
        self.name = path.rstrip("/").rpartition("/")[2]
        self.commit = resolved_revision(self._splits_of_hub)

    def open_files(self) -> tuple[FileTree, FolderLayout]:
        """Open the rows of the data set as files."""
        tree, layout, found = open_hub(self.root, self._splits_of_hub, self._chosen, self._columns)
        self.text_column = found.text
        return tree, layout

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Return the settings of decoding, and the commit of the data set."""
        return {**super().preprocessing, "revision": self.commit}
