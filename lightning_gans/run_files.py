"""The places of files in a run folder, checked without reading them, so that torch is not imported."""

from pathlib import Path

LAST = Path("checkpoints", "last.ckpt")
"""The last checkpoint of a run, relative to its folder."""

PREVIOUS = Path("checkpoints", "previous.ckpt")
"""The checkpoint before the last, which replaces it when the last cannot be read."""


def check_run(path: str | Path) -> None:
    """Check that a path is a checkpoint, or a run folder that contains one.

    Args:
        path: A checkpoint, or a run folder.

    Raises:
        ValueError: If it is neither.
    """
    path = Path(path)
    if path.is_dir():
        if not any((path / name).is_file() for name in (LAST, PREVIOUS)):
            raise ValueError(f"the folder {str(path)!r} is not a run: it has no {LAST}")
    elif not path.is_file():
        raise ValueError(f"there is no run folder or checkpoint {str(path)!r}")
