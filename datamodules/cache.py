"""Folders of decoded data, which are built once and opened by later runs."""

import json
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_warn

INDEX = "index.json"
"""File of a cache with its key; it is written last, so a folder without it is incomplete."""

_HOST = platform.node().replace("-", "_") or "localhost"


def open_or_build(root: str | Path, key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """Return the folder of a cache, which is built if it does not exist.

    A cache is built in a temporary folder and renamed when it is complete, so that a run that is killed leaves no
    incomplete cache under the final name. Its remains are removed by the next run.

    Args:
        root: Folder of all caches; `~` is the home folder.
        key: Plain values that determine the content: the files with their sizes and times, and the preprocessing.
        build: Function that writes the files of the cache into a folder.

    Returns:
        The folder.

    Raises:
        ValueError: The folder cannot be written.
    """
    text = json.dumps(key, sort_keys=True)
    folder = Path(root).expanduser() / blake2b(text.encode(), digest_size=16).hexdigest()
    if not (folder / INDEX).is_file():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _remove_remains(folder)
            _build(folder, text, build)
        except OSError as error:
            raise ValueError(f"`cache` {str(root)!r} cannot be written: {error}") from error
    return folder


def _remove_remains(folder: Path) -> None:
    """Remove the temporary folders of processes that ended before the cache was complete."""
    for remains in folder.parent.glob(f"{folder.name}-*-*"):
        host, process = remains.name.rsplit("-", 2)[1:]
        if host == _HOST and not _is_alive(int(process)):
            rank_zero_warn(f"the cache {str(remains)!r} is incomplete, since its run ended early: it is built anew")
            shutil.rmtree(remains, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _build(folder: Path, key: str, build: Callable[[Path], None]) -> None:
    """Write a cache into a temporary folder, and rename the folder."""
    temporary = folder.with_name(f"{folder.name}-{_HOST}-{os.getpid()}")
    temporary.mkdir()
    try:
        build(temporary)
        (temporary / INDEX).write_text(key)
        try:
            temporary.rename(folder)
        except OSError:
            if not (folder / INDEX).is_file():  # otherwise another process has built the same cache
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
