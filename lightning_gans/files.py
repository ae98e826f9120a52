"""Files that may fail: on a full disk training goes on, and says once what it could not write."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_warn

_WARNED: set[tuple[Path, str]] = set()
"""The kinds of file, by folder and suffix, that could not be written; runs never share a folder."""

_ZIP_WRITER = ("PytorchStreamWriter", "inline_container")
"""What `torch.save` says of a file that could not be written, in a RuntimeError."""


@contextmanager
def tolerate_write_errors(path: Path) -> Iterator[None]:
    """Go on where a file cannot be written; the first of each kind (`*.png`) is warned of.

    Args:
        path: The file, for the warning.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not isinstance(error, OSError) and not any(word in str(error) for word in _ZIP_WRITER):
            raise
        kind = path.parent.absolute(), path.suffix
        if kind not in _WARNED:
            _WARNED.add(kind)
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
            rank_zero_warn(f"{path} cannot be written ({reason}): training goes on without it")


@contextmanager
def atomic_write(path: Path, *, previous: Path | None = None) -> Iterator[Path]:
    """Write a file so that its name only ever holds a whole one; survive where it cannot be written.

    Args:
        path: The file.
        previous: Where to keep the file that had this name.

    Yields:
        Where to write.
    """
    part = path.with_suffix(".part")
    with tolerate_write_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            if previous is not None and path.exists():
                _keep(path, previous)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name; where there are no links, another one."""
    link = previous.with_suffix(".part2")
    try:
        link.unlink(missing_ok=True)
        os.link(path, link)
    except OSError:
        os.replace(path, previous)
    else:
        os.replace(link, previous)
