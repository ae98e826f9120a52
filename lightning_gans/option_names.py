"""Names of the options of the command line for the arguments that error messages of classes are about."""

import re
import traceback
from typing import Any

from lightning_gans.core.model import Model
from lightning_gans.datamodules import DataModule
from lightning_gans.parameters import parameters
from lightning_gans.trainer import DEFAULT_CALLBACKS

SECTIONS: dict[type[Any], str] = {Model: "model", DataModule: "data"} | {
    callback: section for callback, section in DEFAULT_CALLBACKS.items() if section is not None
}
"""The first part of the options of a class, by the class or a base class."""


def name_arguments(message: str, owner: type[Any]) -> str:
    """Write the arguments of a class in a message as options of the command line.

    Args:
        message: Message of an error that the class has raised.
        owner: The class. A class whose options have no common first part is named before the message.

    Example:
        >>> from lightning_gans.callbacks import Run
        >>> name_arguments("`max_images` must be at least 1, got -5", Run)
        '`--run.max_images` must be at least 1, got -5'
    """
    section = next((section for cls, section in SECTIONS.items() if issubclass(owner, cls)), None)
    if section is None:
        return f"{owner.__name__}: {message}"
    names = "|".join(map(re.escape, parameters(owner)))
    return re.sub(rf"`({names})`", rf"`--{section}.\1`", message)


def owner_of(error: BaseException) -> type[Any] | None:
    """Return the class in whose method an exception was raised; None if it has no options of its own.

    Args:
        error: The exception. Functions that the method has called, such as `check_positive`, are skipped.
    """
    for frame, _ in reversed([*traceback.walk_tb(error.__traceback__)]):
        if "self" in frame.f_locals:
            cls = type(frame.f_locals["self"])
            return cls if issubclass(cls, tuple(SECTIONS)) else None
    return None
