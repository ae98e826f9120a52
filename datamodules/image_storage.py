"""Store the images of a folder or archive: in memory, in memory-mapped files, or decoded again for every batch."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from lightning_gans.datamodules.archives import FileTree
from lightning_gans.datamodules.cache import open_or_build
from lightning_gans.datamodules.decoded_files import DecodedFiles
from lightning_gans.datamodules.image_decoding import ImageFiles, NoRows, Rows, decode_into
from lightning_gans.datamodules.image_files import decoder_versions
from lightning_gans.datamodules.mapped import MappedSource, announce, create_array
from lightning_gans.datamodules.opened_image import ImageTarget
from lightning_gans.datamodules.sources import Source, TensorSource, WorkerSource
from lightning_gans.datamodules.storage import Storage
from lightning_gans.datamodules.value_range import ValueRange

FORMAT = 1
"""Version of the caches; it must change with everything that changes the decoded images or the files of a cache."""


def store_images(
    files: Sequence[str],
    tree: FileTree,
    target: ImageTarget,
    *,
    value_range: ValueRange,
    storage: Storage,
    cache: str | Path,
    num_workers: int,
    check: Callable[[DecodedFiles], object],
) -> tuple[Source, DecodedFiles]:
    """Decode image files once, and store the images and the facts about the files.

    "mapped" keeps both in the cache. "workers" keeps only the facts: it needs the hashes for the splits, and decodes
    the images again for every batch. All storages serve the same images.

    Args:
        files: Names of the files in `tree`.
        tree: Folder or archive.
        target: Form of the images.
        value_range: Values that become black and white in images of more than 8 bits.
        storage: "memory", "mapped" or "workers".
        cache: Folder of all caches.
        num_workers: Worker processes of "workers".
        check: Function that raises an error for facts that are not acceptable, which are then not kept.

    Returns:
        The images, under the key `image`, and the facts. The rows of files that cannot be decoded are undefined.

    Raises:
        ValueError: The cache cannot be written.
    """
    shape = (len(files), target.channels, *target.size)

    def decode(out: Rows) -> DecodedFiles:
        decoded = decode_into(out, files, tree, resize=target.resize, value_range=value_range)
        check(decoded)
        return decoded

    def build(folder: Path) -> None:
        announce(len(files), folder.parent)
        out = create_array(folder / "image.npy", shape, np.uint8) if storage == "mapped" else NoRows(shape)
        decode(out).save(folder)

    if storage == "memory":
        image = torch.empty(shape, dtype=torch.uint8)
        return TensorSource({"image": image}), decode(image.numpy())
    key = {
        "format": FORMAT,
        "root": str(tree.path.resolve()),
        "files": tree.stamp(files),
        "target": target,
        "value_range": value_range,
        "storage": storage,
        "decoders": decoder_versions(),
    }
    folder = open_or_build(cache, key, build)
    decoded = DecodedFiles.load(folder, files)
    if storage == "mapped":
        return MappedSource(folder), decoded
    return WorkerSource(ImageFiles(files, tree, target, decoded.ranges), num_workers=num_workers), decoded
