"""Write files atomically. In training, write errors such as a full disk are tolerated with a warning."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_warn

_WARNED: set[tuple[Path, str]] = set()
"""The folders and suffixes whose write errors have been warned of; runs never share a folder."""

_ZIP_WRITER = ("PytorchStreamWriter", "inline_container")
"""Words that identify a write error of `torch.save`, which raises a RuntimeError."""


@contextmanager
def tolerate_write_errors(path: Path) -> Iterator[None]:
    """Ignore write errors, warning once per folder and suffix.

    Args:
        path: The file that the `with` block writes.
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
            rank_zero_warn(f"{path} cannot be written ({reason}): training continues without it")


@contextmanager
def atomic_write(path: Path, *, previous: Path | None = None) -> Iterator[Path]:
    """Write a file atomically, so that its name never refers to a part of it; write errors are ignored with a warning.

    Args:
        path: The file.
        previous: New path of an existing file, default None to replace the file.

    Yields:
        The temporary file to write.
    """
    with tolerate_write_errors(path), strict_atomic_write(path, previous=previous) as part:
        yield part


@contextmanager
def strict_atomic_write(path: Path, *, previous: Path | None = None) -> Iterator[Path]:
    """Write a file as `atomic_write` does, and raise write errors.

    Args:
        path: The file.
        previous: The new name of an existing file of that name; None replaces the file.

    Yields:
        The temporary file to write.

    Raises:
        OSError: The file cannot be written; an existing file of that name is unchanged.
    """
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if previous is not None and path.exists():
            _link_or_rename(path, previous)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _link_or_rename(path: Path, new: Path) -> None:
    """Give a file a second name by a hard link; a file system without hard links renames the file."""
    link = new.with_suffix(".part2")
    try:
        link.unlink(missing_ok=True)
        os.link(path, link)
    except OSError:
        os.replace(path, new)
    else:
        os.replace(link, new)


class FolderSnapshot:
    """Remember a folder, which need not exist, to remove what is added to it later.

    Args:
        folder: The folder.
        files: Names of its files whose content is restored as well.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "runs" / "x"
        >>> snapshot = FolderSnapshot(folder)
        >>> folder.mkdir(parents=True)
        >>> snapshot.restore()
        >>> folder.parent.exists()
        False
    """

    def __init__(self, folder: Path, files: Iterable[str] = ()) -> None:
        self.folder = folder
        self._missing = [path for path in (folder, *folder.parents) if not path.exists()]
        self._paths = {*folder.rglob("*")}
        self._links = {path: os.readlink(path) for path in self._paths if path.is_symlink()}
        self._contents = {path: path.read_bytes() for path in map(folder.joinpath, files) if path.is_file()}

    def restore(self) -> None:
        """Remove added files and folders, and restore symbolic links and the content of the named files."""
        for path, target in self._links.items():
            if os.readlink(path) != target:
                path.unlink()
                path.symlink_to(target)
        for path, content in self._contents.items():
            path.write_bytes(content)
        for path in sorted({*self.folder.rglob("*")} - self._paths, reverse=True):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        for path in self._missing:
            with suppress(OSError):  # another run has written to it meanwhile
                path.rmdir()
