"""Recipes and configuration files: find and check them, and expand `--config` and `--ckpt_path`.

A recipe is a configuration file of this package, in `configs/`; the command line refers to it by its name.
"""

import argparse
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightning_gans.errors import UsageError, did_you_mean, one_line
from lightning_gans.exports import package_folder
from lightning_gans.signatures import callback_options

SECTIONS = ("seed_everything", "trainer", "model", "data", *callback_options(), "dry_run", "ckpt_path")
"""Keys that a configuration may have at its top level, and first parts of the options of `fit`."""

DATA_LINKED_ARGS = ("image_shape", "num_classes", "levels", "audio_shape", "vocabulary", "text_length")
"""Arguments that a model receives from the data, if it has them."""

TRUSTED_PACKAGES = ("lightning_gans", "torch", "pytorch_lightning")
"""Packages whose classes the configuration of a run may name."""

COMMAND = "# python -m lightning_gans fit --config "

MEASURED = re.compile(r"# About (?P<time>\d+ (?:s|min|h|days)) on two cores(?:: (?P<scores>.+))?\.")
"""The third line of a recipe: the time of its run, and the scores on held-out data. Without scores, the time is that of
`--dry_run`."""

NOT_MEASURED = "# Not measured; `--dry_run` estimates the time."
"""The third line of another recipe."""


class Recipe(NamedTuple):
    """A recipe as `list` shows it.

    Attributes:
        model: Name of the model.
        data: Name of the data module, and the options of the recipe's command besides `--config`.
        time: Typical time of the run on two CPU cores, or "not measured".
        scores: Scores on held-out data; empty if they were not measured.
    """

    model: str
    data: str
    time: str
    scores: str


def recipes() -> dict[str, Path]:
    """Return the file of each recipe, by its name."""
    return {path.stem: path for path in sorted(package_folder("lightning_gans.configs").glob("*.yaml"))}


def recipe_path(name: str) -> Path:
    """Find the file of a configuration.

    Args:
        name: Name of a recipe, or path of a YAML file.

    Raises:
        UsageError: There is neither a file nor a recipe of that name.
    """
    known = recipes()
    path = Path(name) if Path(name).is_file() else known.get(name)
    if path is None:
        raise UsageError(
            f"`--config` {name!r} is neither a file nor a recipe{did_you_mean(name, known) or '; `list` shows all'}"
        )
    return path


def describe_recipe(path: Path) -> Recipe:
    """Describe a recipe.

    Args:
        path: A recipe, which begins with a description, a command, and a line of time and scores, as comments.

    Example:
        >>> describe_recipe(recipes()["dcgan_digits"])
        Recipe(model='DCGAN', data='Digits', time='2 min', scores='density 0.90, coverage 0.99')
    """
    text = path.read_text()
    _, command, measured, *_ = text.splitlines()
    _, *options = shlex.split(command.removeprefix(COMMAND))
    found = MEASURED.fullmatch(measured)
    time, scores = ("not measured", "") if found is None else (found["time"], found["scores"] or "")
    content = yaml.safe_load(text)
    data = " ".join([content["data"]["class_path"], *options])
    return Recipe(content["model"]["class_path"], data, time, scores)


def expand_arguments(arguments: Sequence[str]) -> list[str]:
    """Replace names by files: the name of a recipe after `--config`, and of a run after `--ckpt_path`.

    The configuration of the run comes first, so that other options override it, unless `--config` is given.

    Args:
        arguments: Arguments of `fit`.

    Returns:
        The arguments: configurations first, then the classes, then the options of the classes.

    Raises:
        UsageError: If a recipe, a configuration or a checkpoint is not found or not valid.
    """
    # torch takes seconds to import, and `list` does without
    from lightning_gans.core.checkpoints import find_checkpoint, latest_checkpoint, run_of  # noqa: PLC0415

    arguments = [*_expand_json(arguments)]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--ckpt_path")
    parser.add_argument("--run.root", default="runs")
    try:
        options = vars(parser.parse_known_args(list(arguments))[0])
    except argparse.ArgumentError as error:  # such as an option without its value
        raise UsageError(f"`{error.argument_name}`: {error.message}") from error
    arguments = sorted_by_rank(arguments)
    expanded = _expand_recipes(arguments)
    path = options["ckpt_path"]
    if path in (None, "null", "None"):
        return expanded
    try:
        checkpoint = latest_checkpoint(options["run.root"]) if path == "last" else find_checkpoint(path)
    except ValueError as error:
        raise UsageError(str(error)) from error
    run = run_of(checkpoint)
    if run is None or any(argument.partition("=")[0] in ("--config", "-c") for argument in arguments):
        return [*expanded, "--ckpt_path", str(checkpoint)]
    configuration = find_configuration(str(run / "config.yaml"))
    content = yaml.safe_load(Path(configuration).read_text())
    for name in _foreign_names({key: value for key, value in content.items() if key not in ("run", "wandb")}):
        raise UsageError(
            f"the configuration of {str(run)!r} names `{name}`, which is not of this package;"
            f" if you trust it: --config {configuration} --ckpt_path {path}"
        )
    named = (content.get("run") or {}).get("name") is not None
    folder = ["--run.name", run.resolve().name] if named else []  # the folder may have been renamed
    return ["--config", configuration, *folder, *expanded, "--ckpt_path", str(checkpoint)]


def _expand_json(arguments: Sequence[str]) -> Iterator[str]:
    """Replace a JSON object of options, `{"model.latent_dim": 32}`, by the options, as sweeps of W&B can pass them.

    The object is an argument of its own, the value of `--config`, or the content of the `.json` file after `--config`.

    Raises:
        UsageError: The object is not valid JSON.
    """
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=")
        if argument.startswith("{"):
            yield from _json_options(argument)
        elif name in ("--config", "-c") and (content := _read_json(value if equals else "".join(rest[:1]))):
            yield from _json_options(content)
            del rest[: not equals]
        elif argument == "--dry_run" and "".join(rest[:1]).lower() not in ("true", "false"):
            yield "--dry_run=true"
        else:
            yield argument
            if argument.startswith("--") and not equals and rest and not rest[0].startswith("--"):
                yield rest.pop(0)  # a value, which may be an object


def _read_json(value: str) -> str | None:
    """Return the JSON object of options that `--config` names or holds; None if it is another configuration."""
    path = Path(value)
    if value.startswith("{"):
        return value
    if path.suffix == ".json" and path.is_file():
        content = path.read_text()
        return content if re.search(r'"\w+\.[\w.]+"\s*:', content) else None  # the names of options have dots
    return None


def _json_options(content: str) -> list[str]:
    try:
        options = json.loads(content)
    except json.JSONDecodeError as error:
        raise UsageError(f"the options {content!r} are not valid JSON: {error}") from error
    return [f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in options.items()]


def missing_value(arguments: Sequence[str], message: str) -> int | None:
    """Find the option that lacks its value.

    Args:
        arguments: Arguments of `fit`.
        message: The error message of the parser, which may name the option, or the class that the option belongs to.

    Returns:
        The index of the option; None if the message is about something else.

    Example:
        >>> missing_value(["--model.latent_dim", "--run.name", "x"], "`--model` needs a value")
        0
    """
    if not (found := re.fullmatch(r"`(?P<name>--\S+)` needs a value", message)):
        return None
    for index, (argument, following) in enumerate(zip(arguments, [*arguments[1:], "--"], strict=True)):
        if f"{argument}.".startswith(f"{found['name']}.") and "=" not in argument and following.startswith("--"):
            return index
    return None


def sorted_by_rank(arguments: Sequence[str]) -> list[str]:
    """Sort configurations first, then classes, then the rest, since an option applies to the class named before it."""
    ranked: list[tuple[int, list[str]]] = []
    rest = list(arguments)
    while rest:
        name, equals, _ = rest[0].partition("=")
        rank = {"--config": 0, "-c": 0, "--model": 1, "--data": 1}.get(name, 2)
        size = 2 if rank < 2 and not equals else 1
        ranked.append((rank, rest[:size]))
        rest = rest[size:]
    return [argument for _, group in sorted(ranked, key=lambda item: item[0]) for argument in group]


def _expand_recipes(arguments: Sequence[str]) -> list[str]:
    """Replace the value of each `--config` by its file, and reject options that come from the data."""
    expanded = list(arguments)
    for index, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option in {f"--model.{prefix}{name}" for prefix in ("", "init_args.") for name in DATA_LINKED_ARGS}:
            raise UsageError(f"`{option}` comes from the data: leave it out")
        if option not in ("--config", "-c"):
            continue
        if equals:
            expanded[index] = f"{option}={find_configuration(value)}"
        elif index + 1 == len(arguments) or arguments[index + 1].startswith("--"):
            raise UsageError(f"`{option}` needs a value: a recipe or a YAML file; `list` shows all recipes")
        else:
            expanded[index + 1] = find_configuration(arguments[index + 1])
    return expanded


def find_configuration(name: str) -> str:
    """Find and check a configuration.

    Args:
        name: Name of a recipe, or path of a YAML file.

    Returns:
        The path of the file.

    Raises:
        UsageError: If there is no such file or recipe, it is not a YAML mapping, it has an unknown key, or it sets an
            argument that comes from the data.
    """
    path = recipe_path(name)
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"`--config` {name!r} cannot be read as YAML: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise UsageError(f"`--config` {name!r} must hold keys such as `model:` and `data:`, got {content!r:.60}")
    match content.get("model"):
        case {"init_args": dict(init_args)}:
            for argument in DATA_LINKED_ARGS:
                if init_args.get(argument) is not None:
                    raise UsageError(f"`model.{argument}` of `--config` {name!r} comes from the data: leave it out")
    for section in content:
        if section not in SECTIONS:
            raise UsageError(
                f"`--config` {name!r} has the unknown key `{section}`{did_you_mean(str(section), SECTIONS)}"
            )
    return str(path)


def _foreign_names(configuration: Any) -> Iterator[str]:
    """Find dotted names outside of the trusted packages: values of `class_path`, and plain strings like them."""
    match configuration:
        case dict():
            for key, value in configuration.items():
                if key != "root":  # a folder of data
                    yield from _foreign_names(value)
        case list():
            for value in configuration:
                yield from _foreign_names(value)
        case str() if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", configuration):
            if configuration.partition(".")[0] not in TRUSTED_PACKAGES:
                yield configuration


def changed_options(previous: dict[str, Any], present: dict[str, Any]) -> list[str]:
    """List the options that differ between two configurations, one line each; options that only one has are left out.

    Args:
        previous: Configuration of the run that is resumed.
        present: Configuration of this run.

    Example:
        >>> changed_options({"run": {"max_images": 2}}, {"run": {"max_images": 4, "name": "x"}})
        ['`run.max_images` is now 4, it was 2']
    """
    before, after = _flatten(previous), _flatten(present)
    return [
        f"`{option}` is now {after[option]!r}, it was {before[option]!r}"
        for option in sorted(after.keys() & before.keys() - {"ckpt_path", "dry_run"})
        if before[option] != after[option]
    ]


def _flatten(configuration: Any, name: str = "") -> dict[str, Any]:
    """Return the values of a configuration by the names of their options on the command line."""
    if not isinstance(configuration, dict):
        return {name: configuration}
    flat: dict[str, Any] = {}
    for key, value in configuration.items():
        flat |= _flatten(value, name if key == "init_args" else f"{name}.{key}".lstrip("."))
    return flat
