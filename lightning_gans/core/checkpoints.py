"""Find and read checkpoint files, and rebuild the data module of a checkpoint.

A checkpoint is read as plain data and tensors, so that reading it runs no code.
"""

import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities import rank_zero_warn

from lightning_gans._version import __version__
from lightning_gans.core import private
from lightning_gans.core.class_paths import import_class
from lightning_gans.core.recording import deserialize_arguments, unserializable
from lightning_gans.run_files import LAST, PREVIOUS, check_run

CHECKPOINT_KEY = "lightning_gans"
"""The key of the record that this framework adds to a checkpoint of Lightning."""

CHECKPOINT_FORMAT = 2
"""The format number of the record; it increases with every change that earlier versions cannot read."""


def find_checkpoint(path: str | Path) -> Path:
    """Return the checkpoint at a path: the file itself, or the last readable checkpoint of a run folder.

    Raises:
        ValueError: If the path has no readable checkpoint.
    """
    check_run(path)
    path = Path(path)
    if not path.is_dir():
        return path
    last, previous = path / LAST, path / PREVIOUS
    if previous.is_file() and (reason := _why_unreadable(last)):
        rank_zero_warn(f"{reason}: using {str(previous)!r} instead")
        return previous
    return last


def latest_checkpoint(root: str | Path) -> Path:
    """Return the last readable checkpoint of the latest run.

    Args:
        root: The folder of all runs.

    Raises:
        ValueError: If no run in the folder has a checkpoint.
    """
    checkpoints = list(Path(root).glob(str(Path("*", LAST))))
    if not checkpoints:
        raise ValueError(f"`ckpt_path` is 'last', but no run in {str(root)!r} has a {LAST}")
    return find_checkpoint(max(checkpoints, key=lambda path: path.stat().st_mtime).parents[1])


def run_of(checkpoint: Path) -> Path | None:
    """Return the run folder that contains a checkpoint; None for a checkpoint outside of a run folder."""
    folder = checkpoint.parent.parent
    return folder if checkpoint.parent.name == LAST.parent.name and (folder / "config.yaml").is_file() else None


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of this framework with `weights_only=True`.

    Args:
        path: A checkpoint, or a run folder.

    Raises:
        ValueError: If the file does not exist, cannot be read, or is from another program or of another format.
    """
    file = find_checkpoint(path)
    checkpoint = _read(file)
    check_format(checkpoint, file)
    return checkpoint


def check_format(checkpoint: Mapping[str, Any], path: object) -> None:
    """Check that a checkpoint has the record of this framework, in the format that this version reads.

    Args:
        checkpoint: The content of the file.
        path: The file, for the message.

    Raises:
        ValueError: If the record is missing or has another format.
    """
    record = checkpoint.get(CHECKPOINT_KEY)
    if not isinstance(record, Mapping):
        raise ValueError(f"{str(path)!r} is not a checkpoint of lightning-gans")
    if (number := record.get("format")) != CHECKPOINT_FORMAT:
        found = "no format number" if number is None else f"format {number}"
        raise ValueError(
            f"the checkpoint {str(path)!r} has {found}, but this version of lightning-gans ({__version__}) reads"
            f" format {CHECKPOINT_FORMAT}: load it with the version that wrote it ({record.get('version', 'unknown')})"
        )


def _why_unreadable(file: Path) -> str | None:
    """Return the reason why a file cannot be read as a checkpoint; None if it can."""
    try:
        _read(file)
    except ValueError as error:
        return str(error)
    return None


def _read(file: Path) -> dict[str, Any]:
    if not zipfile.is_zipfile(file):
        raise ValueError(f"{str(file)!r} is not a checkpoint, or only the beginning of one")
    try:
        checkpoint: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"the checkpoint {str(file)!r} cannot be read: {reason}") from error
    if not private.is_lightning_checkpoint(checkpoint) or CHECKPOINT_KEY not in checkpoint:
        raise ValueError(f"{str(file)!r} is not a checkpoint of lightning-gans")
    content: dict[str, Any] = checkpoint
    return content


def data_class(path: str | Path, *, trust: Iterable[str] = ()) -> type[LightningDataModule]:
    """Return the class of the data module on which the model of a checkpoint was trained.

    Args:
        path: A checkpoint, or a run folder.
        trust: Names of further modules that may be imported.

    Raises:
        ValueError: If the checkpoint does not name a data module, or names one that is refused.
    """
    return _import_data_class(read_checkpoint(path)[CHECKPOINT_KEY]["data"], path, trust)


def load_data(path: str | Path, *, trust: Iterable[str] = (), **init_args: Any) -> Any:
    """Rebuild the data module on which the model of a checkpoint was trained.

    Args:
        path: A checkpoint, or a run folder.
        trust: Names of further modules that may be imported.
        **init_args: Arguments of the constructor that replace the recorded ones, such as the folder of data that moved.

    Raises:
        ValueError: If the checkpoint does not name a data module, or names one that is refused or cannot be rebuilt.
    """
    record = read_checkpoint(path)[CHECKPOINT_KEY]["data"]
    cls = _import_data_class(record, path, trust)
    for name in unserializable(record["init_args"]):
        if name not in init_args:
            raise ValueError(
                f"the checkpoint could not record `{name}` of {cls.__name__}: create the data module yourself"
            )
    return cls(**deserialize_arguments(cls, record, trust, replaced=init_args), **init_args)


def _import_data_class(record: Any, path: str | Path, trust: Iterable[str]) -> type[LightningDataModule]:
    if record is None:
        raise ValueError(f"the checkpoint {str(path)!r} does not record its data module")
    return import_class(record["class"], LightningDataModule, trust)


def differing_data(path: str | Path, data: LightningDataModule) -> str | None:
    """Compare data with the data on which the model of a checkpoint was trained, as far as the checkpoint records them.

    Args:
        path: A checkpoint, or a run folder.
        data: The data.

    Returns:
        The difference, or None.
    """
    checkpoint = read_checkpoint(path)
    state = checkpoint.get(checkpoint[CHECKPOINT_KEY]["data"]["state_key"], {})
    examples, preprocessing = getattr(data, "sizes", {}).get("train"), getattr(data, "preprocessing", None)
    if state.get("examples", examples) != examples:
        difference = f"{examples} training examples, but the model was trained on {state['examples']}"
    elif state.get("preprocessing", preprocessing) != preprocessing:
        difference = f"the preprocessing {preprocessing}, but the model was trained with {state['preprocessing']}"
    else:
        fingerprint = getattr(data, "fingerprint", lambda: None)()
        if state.get("fingerprint", fingerprint) == fingerprint:
            return None
        difference = f"the fingerprint {fingerprint}, but the model was trained on {state['fingerprint']}"
    return f"{type(data).__name__} has {difference}: these are other data, or another split of them"
