"""Checks of names and paths in the arguments, before torch and Lightning are imported, which takes seconds."""

import ast
import importlib.util
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import yaml

from lightning_gans.errors import UsageError, did_you_mean
from lightning_gans.exports import exported_names
from lightning_gans.listing import classes
from lightning_gans.plain_types import mismatch
from lightning_gans.recipes import DATA_LINKED_ARGS, SECTIONS, recipe_path
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
    _check_words(given)
    options = list(_options(given))
    names = {option for option, _ in options}
    selected = _check_classes(options, first_parts)
    if "ckpt_path" in names:  # the run that is resumed names the classes
        return
    for option, value in options:
        _check_argument(option, value, selected)
        is_folder = option == "data.root" and selected["data"] in IMAGE_FOLDERS and "print_config" not in names
        if is_folder and value is not None and not Path(value).expanduser().exists():
            raise UsageError(f"`--data.root` must be a folder of images, but {value!r} does not exist")
    if not names & {"config", "print_config", "model.help", "data.help", "help"}:
        _check_required(selected, names)


def _check_classes(options: Sequence[tuple[str, str | None]], first_parts: Collection[str]) -> dict[str, str]:
    """Check the first parts of the options, and the names of classes, recipes and runs.

    Returns:
        The selected class of each section.
    """
    selected = {"model": "DCGAN", "data": "Digits", **callback_options()}
    for option, value in options:
        section, dot, rest = option.partition(".")
        if section not in first_parts:
            known = [f"--{name}{dot}{rest}" for name in first_parts]
            raise UsageError(f"there is no option `--{option}`{did_you_mean(f'--{option}', known)}")
        if value is None:
            continue
        if option == "config":
            selected |= _classes_of(recipe_path(value))
        elif option == "ckpt_path" and value not in ("last", "null") and not Path(value).exists():
            raise UsageError(f"there is no run folder or checkpoint {value!r}")
        elif option in CLASS_OPTIONS:
            _check_class(option, value, classes(CLASS_OPTIONS[option], concrete=True))
            selected[option] = _own_name(value)
        elif option.removesuffix("+") == "trainer.callbacks":
            _check_class(option.removesuffix("+"), value, _callbacks())
    return selected


def _check_class(option: str, value: str, names: Collection[str]) -> None:
    """Check the short name of a class."""
    is_name = _SHORT_NAME.fullmatch(_own_name(value)) and not Path(value).is_file()
    if is_name and _own_name(value) not in names:
        raise UsageError(f"`--{option}` {value} is not known{did_you_mean(value, names)}")


def _check_words(given: Sequence[str]) -> None:
    """Check that each word is an option or the value of one."""
    for before, word in pairwise(["=", *given]):
        if not word.startswith(("-", "{")) and ("=" in before or not before.startswith("-")):
            raise UsageError(f"there is no option `{word}`; options begin with `--`")


def _check_required(selected: Mapping[str, str], given: Collection[str]) -> None:
    """Check that the arguments without a default are given."""
    for section in CLASS_OPTIONS:
        required = [name for name, argument in arguments(selected[section]).items() if argument.required]
        missing = [
            f"`--{section}.{name}`"
            for name in required
            if name not in DATA_LINKED_ARGS and not {f"{section}.{name}", f"{section}.init_args.{name}"} & {*given}
        ]
        if missing:
            raise UsageError(f"{' and '.join(missing)} must be given")


def _check_argument(option: str, value: str | None, selected: Mapping[str, str]) -> None:
    """Check the argument in `--model.ARGUMENT`, `--run.ARGUMENT` and so on, if the class is of this package."""
    section, *rest = option.removesuffix("+").split(".")
    names = [part for part in rest if part not in ("init_args", "class_path", "dict_kwargs", "help")]
    name = names[0] if names else None
    signature = arguments(selected.get(section, ""))
    known = signature.keys() - {"image_shape"}
    if name is None or not known or "dict_kwargs" in rest:
        return
    if name in known:
        is_whole = names == [name] and not option.endswith("+")
        if is_whole and value is not None and (expected := mismatch(signature[name].annotation, value)):
            raise UsageError(f"`--{section}.{name}` must be {expected}, got {value!r}")
        return
    if section in CLASS_OPTIONS:
        raise UsageError(
            f"{selected[section]} has no option `{name}` (`--{section}.{name}`){did_you_mean(name, known)}"
        )
    raise UsageError(
        f"there is no option `--{option}`{did_you_mean(f'--{option}', [f'--{section}.{other}' for other in known])}"
    )


def _callbacks() -> set[str]:
    """Return the names of the callbacks of this package and of Lightning, which is not imported."""
    spec = importlib.util.find_spec("pytorch_lightning")
    names = exported_names("lightning_gans.callbacks")
    if spec is None or spec.origin is None:
        return {*names}
    tree = ast.parse((Path(spec.origin).parent / "callbacks" / "__init__.py").read_text())
    return {*names, *(name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names)}


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
