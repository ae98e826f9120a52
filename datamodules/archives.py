"""Open the files of a folder or of a zip archive through one interface."""

import io
import os
import stat
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Listing(NamedTuple):
    """The files of a tree.

    Attributes:
        files: Paths relative to the root, with forward slashes on every operating system, sorted.
        hidden: Number of hidden files and folders, which are not listed: their names begin with a dot.
        unreadable: Reasons why subfolders cannot be listed, by their relative paths.
    """

    files: list[str]
    hidden: int
    unreadable: dict[str, str]


class FileTree(ABC):
    """Base class of folders and archives of files.

    Attributes:
        path: Path of the folder or of the archive.
    """

    path: Path

    @abstractmethod
    def list(self) -> Listing:
        """List the files.

        Raises:
            ValueError: The root itself cannot be listed.
        """

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """Open a file for reading; its stream is seekable.

        Args:
            name: Relative path with forward slashes.

        Raises:
            OSError: The file cannot be opened.
        """

    @abstractmethod
    def stamp(self, names: Iterable[str]) -> str:
        """Return a text that differs if a file has changed, without reading the files.

        Args:
            names: Relative paths of the files.
        """


class Folder(FileTree):
    """Open the files of a folder and of its subfolders; symbolic links are followed.

    Args:
        root: The folder; `~` is the home folder.
    """

    def __init__(self, root: str) -> None:
        self.path = Path(root).expanduser()
        self._root = root

    def list(self) -> Listing:
        """List the files of the folder and of its subfolders."""
        if not self.path.is_dir():
            problem = "is a file" if self.path.exists() else "does not exist"
            raise ValueError(f"`root` must be a folder, but {self._root!r} {problem}")
        files: list[str] = []
        unreadable: dict[str, str] = {}
        hidden = 0

        def record(error: OSError) -> None:
            if os.path.samefile(error.filename, self.path):
                raise ValueError(f"`root` {self._root!r} cannot be listed: {error}") from error
            unreadable[self._relative(error.filename)] = f"the folder cannot be listed: {error.strerror}"

        visited: set[str] = set()
        for folder, subfolders, names in os.walk(self.path, onerror=record, followlinks=True):
            if (real_path := os.path.realpath(folder)) in visited:  # reached again through a symbolic link
                subfolders.clear()
                continue
            visited.add(real_path)
            visible = [name for name in names if not _is_hidden(name)]
            hidden += len(names) - len(visible) + sum(map(_is_hidden, subfolders))
            subfolders[:] = sorted(name for name in subfolders if not _is_hidden(name))
            relative = self._relative(folder)
            prefix = "" if relative == "." else f"{relative}/"
            files += [prefix + name for name in visible]
        return Listing(sorted(files), hidden, unreadable)

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, self.path).replace(os.sep, "/")

    def stamp(self, names: Iterable[str]) -> str:
        """Hash the names, sizes, times and permissions of the files."""
        text = "\0".join(f"{name}\0{_describe_state(f'{self.path}/{name}')}" for name in names)
        return blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()

    def open(self, name: str) -> BinaryIO:
        """Open a regular file; a pipe or a device would block."""
        path = os.path.join(self.path, name)
        if os.path.islink(path) and not os.path.exists(path):
            raise OSError("it is a broken symbolic link")
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError("it is not a regular file")
        return open(path, "rb")


class ZipArchive(FileTree):
    """Read the files of a zip archive without extracting it; threads and forked processes may share it.

    Args:
        root: The archive; `~` is the home folder.

    Raises:
        ValueError: The file is not a readable zip archive.
    """

    def __init__(self, root: str) -> None:
        self.path = Path(root).expanduser()
        self._handles: dict[int, zipfile.ZipFile] = {}
        try:
            self._handle()
        except (OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"`root` {root!r} is not a readable zip archive: {error}") from error

    def _handle(self) -> zipfile.ZipFile:
        """Return the handle of this process: processes that share the position of a file would read wrong bytes."""
        if os.getpid() not in self._handles:
            self._handles[os.getpid()] = zipfile.ZipFile(self.path)
        return self._handles[os.getpid()]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_handles": {}}

    def list(self) -> Listing:
        """List the files of the archive."""
        names = {entry.filename for entry in self._handle().infolist() if not entry.is_dir()}
        visible = {name for name in names if not any(_is_hidden(part) for part in name.split("/"))}
        return Listing(sorted(visible), len(names - visible), {})

    def stamp(self, names: Iterable[str]) -> str:
        """Hash the names of the files, and the size and the time of the archive."""
        text = "\0".join((_describe_state(self.path), *names))
        return blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()

    def open(self, name: str) -> BinaryIO:
        """Decompress a file into memory and verify its checksum."""
        try:
            return io.BytesIO(self._handle().read(name))
        except KeyError as error:
            raise OSError("it is not in the archive") from error


def _describe_state(path: str | Path) -> str:
    """Write the size, the time of the last change and the permissions of a file; "" if it cannot be reached."""
    try:
        state = os.stat(path)
    except OSError:
        return ""
    return f"{state.st_size} {state.st_mtime_ns} {state.st_mode}"


def open_tree(root: str) -> FileTree:
    """Open a folder or a zip archive.

    Args:
        root: Path of the folder or of the archive; `~` is the home folder.

    Raises:
        ValueError: `root` is neither.
    """
    path = os.path.expanduser(root)
    if os.path.isdir(path):
        return Folder(root)
    if not os.path.exists(path):
        raise ValueError(f"`root` must be a folder of images, but {root!r} does not exist")
    if os.path.splitext(path)[1].lower() == ".zip" or zipfile.is_zipfile(path):
        return ZipArchive(root)
    raise ValueError(f"`root` must be a folder of images, but {root!r} is a file (and not a zip archive)")


def _is_hidden(name: str) -> bool:
    return name.startswith(".")
