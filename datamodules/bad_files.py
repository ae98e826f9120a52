"""List the files that cannot be used, so that they can be repaired or removed together."""

import os
from collections.abc import Mapping
from pathlib import Path


def printable(name: str) -> str:
    r"""Return a file name with escapes for characters that cannot be printed, such as bytes that are not UTF-8.

    Example:
        >>> print(printable("line\nbreak.png"), printable("plain name.png"))
        line\nbreak.png plain name.png
    """
    return name if name.isprintable() else repr(name)[1:-1]


def describe_error(error: Exception) -> str:
    """Describe why a file cannot be read, in one line.

    Example:
        >>> describe_error(PermissionError(13, "Permission denied", "/private/x.png")), describe_error(MemoryError())
        ('Permission denied', 'MemoryError')
    """
    reason = getattr(error, "error_string", None) or getattr(error, "strerror", None)  # of soundfile, of the system
    text = str(reason or error)
    if reason is None and not isinstance(error, OSError | ValueError):
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return " ".join(text.split()).rstrip(".")


def write_bad_files(data: Path, errors: Mapping[str, str]) -> Path | None:
    """Write a list of files with the reasons why they cannot be used, one per line, separated by a tab.

    The list is next to the data, named `<data>.bad_files.txt`, or in the current folder if that is not writable. An
    earlier list is replaced.

    Args:
        data: Folder or archive of the files.
        errors: Reasons by the names of the files.

    Returns:
        Path of the list, or None if neither folder is writable.
    """
    data = data.absolute()
    text = "".join(f"{printable(name)}\t{errors[name]}\n" for name in sorted(errors))
    for folder in (data.parent, Path.cwd()):
        path = folder / f"{data.name}.bad_files.txt"
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_text(text, encoding="utf-8")
            os.replace(part, path)
        except OSError:
            continue
        return path
    return None
