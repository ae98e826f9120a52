"""Checks of names and paths in the arguments, before torch and Lightning are imported, which takes seconds."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from lightning_gans.errors import UsageError, did_you_mean
from lightning_gans.listing import classes
from lightning_gans.recipes import SECTIONS, recipe_path
from lightning_gans.signatures import arguments, callback_options

CLASS_OPTIONS = {"model": "lightning_gans.models", "data": "lightning_gans.datamodules"}
"""The packages whose classes `--model` and `--data` select by their short names."""

IMAGE_FOLDERS = ("Captions", "ImageFolder")
"""The data modules whose `root` is a folder or an archive of images."""

FIRST_PARTS = {*SECTIONS, "config", "print_config", "help"}
"""The first parts of all options."""

_SHORT_NAME = re.compile(r"[A-Za-z_]\w*")


def check_fit(given: Sequence[str]) -> None:
    """Check the arguments of `fit` as far as names and paths decide.

    Args:
        given: Arguments of the command.

    Raises:
        UsageError: An option, a recipe, a model, a data module or the path of a checkpoint does not exist.
    """
    _check(given, FIRST_PARTS)


def check_data(given: Sequence[str], options: Collection[str] = ("output",)) -> None:
    """Check the arguments of `data`, or of another command that takes data, as far as names and paths decide.

    Args:
        given: Arguments of the command.
        options: Names of the options of the command other than `data`, default ("output",).

    Raises:
        UsageError: An option, a data module or its folder does not exist.
    """
    _check(given, {"data", "help", *options})


def _check(given: Sequence[str], first_parts: Collection[str]) -> None:
    selected = {"model": "DCGAN", "data": "Digits", **callback_options()}
    options = list(_options(given))
    for option, value in options:
        section, dot, rest = option.partition(".")
        if section not in first_parts:
            known = [f"--{name}{dot}{rest}" for name in first_parts]
            raise UsageError(f"there is no option `--{option}`{did_you_mean(f'--{option}', known)}")
        if value is None:
            continue
        if option == "config":
            selected |= _classes_of(recipe_path(value))
        elif option in CLASS_OPTIONS and _SHORT_NAME.fullmatch(_own_name(value)) and not Path(value).is_file():
            names = classes(CLASS_OPTIONS[option], concrete=True)
            if _own_name(value) not in names:
                raise UsageError(f"`--{option}` {value} is not known{did_you_mean(value, names)}")
        elif option == "ckpt_path" and value not in ("last", "null") and not Path(value).exists():
            raise UsageError(f"there is no run folder or checkpoint {value!r}")
        if option in CLASS_OPTIONS:
            selected[option] = _own_name(value)
    given_names = {option for option, _ in options}
    if "ckpt_path" in given_names:  # the run that is resumed names the classes
        return
    for option, value in options:
        _check_argument(option, selected)
        is_folder = option == "data.root" and selected["data"] in IMAGE_FOLDERS and "print_config" not in given_names
        if is_folder and value is not None and not Path(value).expanduser().exists():
            raise UsageError(f"`root` must be a folder of images, but {value!r} does not exist")


def _check_argument(option: str, selected: Mapping[str, str]) -> None:
    """Check the argument in `--model.ARGUMENT`, `--run.ARGUMENT` and so on, if the class is of this package."""
    section, *rest = option.removesuffix("+").split(".")
    name = next((part for part in rest if part not in ("init_args", "class_path", "dict_kwargs", "help")), None)
    known = arguments(selected.get(section, "")) - {"image_shape"}
    if name is None or not known or name in known or "dict_kwargs" in rest:
        return
    if section in CLASS_OPTIONS:
        raise UsageError(
            f"{selected[section]} has no option `{name}` (`--{section}.{name}`){did_you_mean(name, known)}"
        )
    raise UsageError(
        f"there is no option `--{option}`{did_you_mean(f'--{option}', [f'--{section}.{other}' for other in known])}"
    )


def _classes_of(path: Path) -> dict[str, str]:
    """Return the names of the model and of the data module in a configuration; a file that is not valid has none."""
    try:
        content = yaml.safe_load(path.read_text())
        named = {section: content[section] for section in CLASS_OPTIONS if content.get(section)}
        return {section: _own_name(value["class_path"]) for section, value in named.items()}
    except (yaml.YAMLError, UnicodeDecodeError, OSError, AttributeError, KeyError, TypeError):
        return {}  # a later check reports it


def _own_name(class_path: str) -> str:
    """Return the name of a class of this package; the path of another class is unchanged."""
    return class_path.rpartition(".")[2] if class_path.startswith("lightning_gans.") else class_path


def _options(given: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Split the arguments into options and values; an option that is followed by another one has no value."""
    for index, argument in enumerate(given):
        if argument.startswith("--") or argument == "-c":
            option, equals, value = argument.partition("=")
            following = given[index + 1] if index + 1 < len(given) else "--"
            option = "config" if option == "-c" else option.removeprefix("--")
            yield option, value if equals else None if following.startswith("--") else following
