"""The options `--data.*` of `evaluate`, which name the new place of data that moved."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities import rank_zero_warn

from lightning_gans.command_options import DATA_PREFIX
from lightning_gans.core import checkpoints
from lightning_gans.errors import UsageError, did_you_mean
from lightning_gans.parameters import Parameter, expected_classes, parameters


def load_data(run: str, *, places: dict[str, str], trust: Iterable[str] = ()) -> Any:
    """Rebuild the data module of a run, whose data may have moved.

    Args:
        run: A checkpoint, or a run folder.
        places: Arguments of the data module that name the new place.
        trust: Names of further modules that may be imported.

    Raises:
        UsageError: An argument does not exist or is not a place, or the data are missing, or they are other data.
    """
    cls = checkpoints.data_class(run, trust=trust)
    known = parameters(cls)
    for name in places:
        if name not in known:
            raise UsageError(f"{cls.__name__} has no option `{DATA_PREFIX}{name}`{did_you_mean(name, known)}")
        if not _is_place(known[name]):
            raise UsageError(f"`{DATA_PREFIX}{name}` is not a place: evaluation uses the data of the run")
    try:
        data: LightningDataModule = checkpoints.load_data(run, trust=trust, **places)
        data.prepare_data()
        data.setup("test")
    except (ValueError, OSError) as error:
        places_known = [name for name in known if _is_place(known[name])]
        concerned = [name for name in places_known if f"`{name}`" in str(error)] or places_known
        options = " or ".join(f"`{DATA_PREFIX}{name} PLACE`" for name in concerned)
        raise UsageError(
            f"{error}; {options} names the new place of data that moved" if options else str(error)
        ) from error
    if difference := checkpoints.differing_data(run, data):
        if places:
            raise UsageError(difference)
        rank_zero_warn(difference)
    return data


def _is_place(parameter: Parameter) -> bool:
    """Check that a parameter takes a path or a name; a parameter without annotation may."""
    classes = {cls for cls, _ in expected_classes(parameter.annotation)}
    return bool(classes & {str, Path})
