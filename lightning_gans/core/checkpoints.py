"""From a checkpoint back to a model, safely: nothing is called before it is known to be a model or a part of one."""

import pickle
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn

from lightning_gans.core import private
from lightning_gans.core.model import CHECKPOINT_KEY, Model
from lightning_gans.core.recording import UNRECORDED, deserialize, import_class, unserializable

LAST = Path("checkpoints", "last.ckpt")
"""Where a run folder keeps the checkpoint that the folder stands for."""


PREVIOUS = Path("checkpoints", "previous.ckpt")
"""Where it keeps the one before, for the day when the last one cannot be read."""


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint file that a path stands for: itself, or the last one of a run folder that can be read.

    Raises:
        ValueError: There is none.
    """
    path = Path(path)
    if path.is_dir():
        last, previous = path / LAST, path / PREVIOUS
        if previous.is_file() and (reason := _reason_against(last)):
            rank_zero_warn(f"{reason}: {str(previous)!r} takes its place")
            return previous
        if not last.is_file():
            raise ValueError(f"the folder {str(path)!r} is no run: it has no {LAST}")
        return last
    if not path.is_file():
        raise ValueError(f"there is no run folder or checkpoint {str(path)!r}")
    return path


def latest_checkpoint(root: str | Path) -> Path:
    """The last checkpoint of the latest run, or the one before where the last cannot be read.

    Args:
        root: The folder of all runs.

    Raises:
        ValueError: No run there has one.
    """
    checkpoints = list(Path(root).glob(str(Path("*", LAST))))
    if not checkpoints:
        raise ValueError(f"`ckpt_path` is 'last', but no run in {str(root)!r} has a {LAST}")
    return find_checkpoint(max(checkpoints, key=lambda path: path.stat().st_mtime).parents[1])


def run_of(checkpoint: Path) -> Path | None:
    """The run folder that a checkpoint lies in; None if it lies elsewhere."""
    folder = checkpoint.parent.parent
    return folder if checkpoint.parent.name == LAST.parent.name and (folder / "config.yaml").is_file() else None


def _reason_against(file: Path) -> str | None:
    """Why a file is no checkpoint that could be used, if it is none."""
    try:
        _read(file)
    except ValueError as error:
        return str(error)
    return None


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of this framework under `weights_only=True`.

    Args:
        path: A checkpoint, or a run folder.

    Raises:
        ValueError: There is none, it cannot be read, or it is of another program.
    """
    return _read(find_checkpoint(path))


def _read(file: Path) -> dict[str, Any]:
    if not zipfile.is_zipfile(file):
        raise ValueError(f"{str(file)!r} is no checkpoint, or only the beginning of one")
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"the checkpoint {str(file)!r} cannot be read: {reason}") from error
    if not private.is_lightning_checkpoint(checkpoint) or CHECKPOINT_KEY not in checkpoint:
        raise ValueError(f"{str(file)!r} is no checkpoint of lightning-gans")
    return checkpoint  # type: ignore[no-any-return]


def load(path: str | Path, *, trust: Iterable[str] = (), **arguments: Any) -> Model:
    """Load a model, whatever its class and its networks, from a checkpoint alone.

    Classes are taken from this package, from modules that are already imported, and from those in `trust`.

    Args:
        path: A checkpoint, or a run folder (its last checkpoint).
        trust: Names of further modules that may be imported, such as "my_gan".
        **arguments: Replace recorded arguments of the constructor, or give those that could not be recorded.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        ValueError: The file cannot be read, names something that is no model, or lacks an argument.
    """
    checkpoint = read_checkpoint(path)
    record = checkpoint[CHECKPOINT_KEY]
    try:
        cls, recorded = import_class(record["class"], Model, trust), dict(record["init_args"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the checkpoint {str(path)!r} has a record that cannot be read: {error!r}") from error
    recorded = {name: value for name, value in recorded.items() if name not in arguments}
    for name in unserializable(recorded):
        raise ValueError(
            f"the checkpoint could not record `{name}` of {cls.__name__} ({recorded[name][UNRECORDED]}):"
            f" pass it, load(path, {name}=...)"
        )
    rebuilt = {name: deserialize(value, trust) for name, value in recorded.items()}
    try:
        model: Model = cls(**rebuilt, **arguments)
    except TypeError as error:
        raise ValueError(f"{cls.__name__} cannot be made from what the checkpoint records: {error}") from error
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint["state_dict"])
    return model.eval()


def load_data(path: str | Path, *, trust: Iterable[str] = ()) -> Any:
    """Make the data module anew that a checkpoint's model was trained on.

    Args:
        path: A checkpoint, or a run folder.
        trust: Names of further modules that may be imported.

    Raises:
        ValueError: The checkpoint names none, or one that is refused.
    """
    from pytorch_lightning import LightningDataModule  # noqa: PLC0415

    record = read_checkpoint(path)[CHECKPOINT_KEY]["data"]
    if record is None:
        raise ValueError(f"the checkpoint {str(path)!r} does not say what data it was trained on")
    return import_class(record["class"], LightningDataModule, trust)(**deserialize(record["init_args"], trust))
