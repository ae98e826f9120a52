"""Listing of the files in a folder."""

import os
from pathlib import Path
from typing import NoReturn


def list_files(root: str | Path) -> list[str]:
    """List the files in a folder and its subfolders, sorted by path.

    Symbolic links are followed, each folder once. Hidden folders are left out.

    Args:
        root: The folder.

    Returns:
        Paths relative to the folder, with forward slashes.

    Raises:
        ValueError: The folder or a subfolder does not exist or cannot be read.
    """

    def raise_error(error: OSError) -> NoReturn:
        raise ValueError(f"`root` {str(root)!r} cannot be listed: {error}") from error

    if not os.path.isdir(root):
        problem = "is a file" if os.path.exists(root) else "does not exist"
        raise ValueError(f"`root` must be a folder, but {str(root)!r} {problem}")
    files = []
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, onerror=raise_error, followlinks=True):
        if (real_path := os.path.realpath(folder)) in visited:  # reached again through a symbolic link
            subfolders.clear()
            continue
        visited.add(real_path)
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files += [Path(folder, name).relative_to(root).as_posix() for name in names]
    return sorted(files)


def printable(text: str) -> str:
    r"""Replace the bytes of file names that are not UTF-8, which Python represents as surrogates, by question marks.

    Example:
        >>> printable("caf\udce9.wav")
        'caf?.wav'
    """
    return text.encode(errors="replace").decode()
