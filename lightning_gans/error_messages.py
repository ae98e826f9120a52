"""Translate error messages of jsonargparse and Lightning into one line that a user can act on."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args, get_origin

import pytorch_lightning as pl

from lightning_gans.alternatives import drop_alternatives
from lightning_gans.core.class_paths import import_class
from lightning_gans.core.model import Model
from lightning_gans.datamodules import DataModule
from lightning_gans.errors import did_you_mean, one_line
from lightning_gans.option_names import name_arguments
from lightning_gans.packages import explain_package
from lightning_gans.parameters import Parameter, expected_classes, fits, parameters, suggestions

_NOISE = re.compile(
    r"Does not validate against|Subtypes:|Errors:$|Given value|Expected a <class 'NoneType'>|Expected a path but|"
    r"Unable to parse"
)
_ALTERNATIVE = re.compile(r"Expected an? <class '[\w.]+'>")
_KEY = re.compile(r'Parser key "(?P<key>[^"]+)":?')
_CLASS = re.compile(r"^Problem with given class_path '(?P<path>[^']+)':?")
_FACTORY = re.compile(r"Got value: Namespace\((?:init_args=.*?, )??class_path='(?P<path>[\w.]+)'")

_GIVEN_CLASS = re.compile(r"^Given value: \[?Namespace\(class_path='(?P<path>[^']+)'", re.MULTILINE)

_UNKNOWN_CLASS = "Expected a dot import path string"
_OTHER_TYPE = re.compile(r"Expected a <class '(bool|collections\.abc\.Iterable)'>$")
"""A type in a union with a class; that the class is not known is the better reason."""

_LACKS_VALUE = re.compile(r"'>$|Literal\[[^G]*$|a tuple with \d+ elements$")
"""Reasons that end before the value that was given."""

_ROOT = {"model": Parameter(Model), "data": Parameter(DataModule)}
"""The options that take a class, and that do not belong to a class themselves."""


class _Option(NamedTuple):
    """The option that a message is about.

    Attributes:
        keys: Name of the option on the command line, split at dots.
        classes: The class that each key selects, as far as the message names it.
    """

    keys: list[str]
    classes: list[type[Any]]

    def __str__(self) -> str:
        return f"`--{'.'.join(self.keys)}`"

    @property
    def parameter(self) -> Parameter:
        """The parameter that the option sets: of the class that the keys before the last one select."""
        *outer, key = self.keys or [""]
        owners = self.classes[: len(outer)]
        if key.startswith("trainer."):  # jsonargparse names the options of a section in one part
            return parameters(pl.Trainer).get(key.removeprefix("trainer."), Parameter(None))
        found = parameters(owners[-1]) if owners and len(owners) == len(outer) else _ROOT
        return found.get(key, Parameter(None))

    @property
    def cls(self) -> type[Any]:
        """The class that the option selects; `object` if the message does not name it."""
        return self.classes[len(self.keys) - 1] if 0 < len(self.keys) <= len(self.classes) else object

    def suggest(self, name: str = "") -> str:
        """Suggest a class that fits the option: the most similar one, or all if they are few."""
        return did_you_mean(name, suggestions(self.parameter))


def translate_error(message: str, options: Sequence[str] = ()) -> str:
    """Summarize a message of jsonargparse, of Lightning or of this project in one line.

    Args:
        message: The message, of any number of lines.
        options: The options of the parser, of which a similar one is suggested.

    Example:
        >>> translate_error("unrecognized arguments: --modle DCGAN", ["--model", "--data"])
        'there is no option `--modle`; did you mean `--model`?'
    """
    if package := explain_package(message):
        return package
    message = drop_alternatives(message, _is_base)
    option = _Option([], [])
    reason = message
    required = _required(message)
    for line in (raw.strip().removeprefix("- ").strip() for raw in message.splitlines()):
        rest = line
        for key in _KEY.finditer(line):
            option.keys.append(key["key"])
            rest = line[key.end() :].strip()
        if path := _CLASS.match(rest):
            option.classes.append(_find_class(path["path"]))
            rest = rest[path.end() :].strip()
        option.classes.extend(map(_find_class, reversed(_FACTORY.findall(line))))  # a line names the innermost first
        # the class was found, but an argument is wrong
        explained = option.classes and reason is not message and not _ALTERNATIVE.fullmatch(reason)
        is_other = _UNKNOWN_CLASS in reason and _OTHER_TYPE.search(rest)
        if rest and not _NOISE.search(rest) and not is_other and not (explained and _ALTERNATIVE.fullmatch(rest)):
            reason = rest
    if required is not None:
        return _explain_required(*required, option)
    if _LACKS_VALUE.search(reason) and (given := re.search(r"^ *Given value: (?P<value>.*)$", message, re.MULTILINE)):
        reason += f" Got value: {given['value']}"
    if call := _explain_call(reason, message):
        return call
    if not option.keys and (given := _GIVEN_CLASS.search(message)):  # the class itself has raised the error
        return name_arguments(reason, _find_class(given["path"]))
    if "Literal[" in reason and "Expected a <class 'bool'>" in message:
        reason = reason.replace("Literal[", "Literal['true', 'false', ")
    return _explain(reason, option, options)


def _required(message: str) -> tuple[list[str], str] | None:
    """Find the arguments that a class requires and does not get: their names, and the key of the class in a dictionary.

    The key is empty if the class is not a value of a dictionary.
    """
    found = re.search(
        r"Problem with given class_path '(?P<path>[^']+)':?\s+the following arguments are required: (?P<names>.+)$",
        message,
        re.MULTILINE,
    )
    if found is None:
        return None
    key = re.search(rf"'(?P<key>\w+)': Namespace\(class_path='{re.escape(found['path'])}'", message)
    return found["names"].split(", "), key["key"] if key else ""


def _explain_required(names: list[str], key: str, option: _Option) -> str:
    """Explain that arguments of a class are missing."""
    outer = [*option.keys, key] if key else option.keys
    required = [f"`--{'.'.join([*outer, name])}`" for name in names]
    return f"{' and '.join(required)} must be given"


def _is_base(base: str, path: str) -> bool:
    """Find whether a class is a base class of another one."""
    return base != path and issubclass(_find_class(path), _find_class(base))


def _find_class(path: str) -> type[Any]:
    """Return the class of a path; `object` if there is none."""
    try:
        return import_class(path, object)
    except ValueError:
        return object


def _explain_call(reason: str, message: str) -> str | None:
    """Explain that a factory was called with the wrong number of arguments, after all options were parsed."""
    if found := re.match(r"(?P<name>\w+)\.__init__\(\) (?P<why>takes .* given)", reason):
        for place in re.finditer(rf"(?P<key>\w+)=Namespace\(class_path='[\w.]*\.{found['name']}'", message):
            outer = map(_find_class, re.findall(r"class_path='([\w.]+)'", message[: place.start()]))
            owners = [cls for cls in outer if place["key"] in parameters(cls)]
            option = _Option(["", place["key"]], owners[-1:])
            return f"{found['name']} does not fit `{place['key']}`: it {found['why']}{option.suggest()}"
    return None


def _explain(reason: str, option: _Option, options: Sequence[str]) -> str:
    """Explain the reason why an option was rejected."""
    if found := re.search(r"unrecognized arguments: (?P<name>\S+)", reason, re.IGNORECASE):
        name = found["name"].partition("=")[0]
        hint = did_you_mean(name, options) if name.startswith("-") else "; options begin with `--`"
        return f"there is no option `{name}`{hint}"
    if found := re.match(r"argument (?P<name>--\S+): expected (one|at least one) argument", reason):
        return f"`{found['name']}` needs a value"
    if re.search(rf"{_UNKNOWN_CLASS}: *\.?$", reason):
        return f"{option} needs a value"
    if "Unable to load config" in reason and option.keys:
        return _explain_section(option.keys[0], options)
    if found := re.search(r"Option '(?P<name>[\w.]+)' is not accepted", reason):
        return _explain_unaccepted(found["name"].rpartition(".")[2], option)
    if found := re.search(rf"{_UNKNOWN_CLASS}: (?P<name>\S+?)\.?(\s|$)", reason):
        return _explain_unknown_class(found["name"], option)
    if found := re.search(r"(?P<what>[^:]*has no attribute '\w+'|No module named '[^']+')", reason):
        return f"{option} cannot be imported: {found['what'].strip()}"
    if found := re.search(r"Expected a typing\.Literal\[(?P<names>.*?)\]\.? Got value: (?P<value>.*)", reason):
        names = [name.strip("'") for name in found["names"].split(", ")]
        return f"{option} must be one of {', '.join(names)}, got {found['value']!r}"
    if found := re.search(r"^the following arguments are required: (?P<names>.+)$", reason):
        return _explain_required(found["names"].split(", "), "", option)
    if found := re.search(
        r"Expected (an? )?(<class '[\w.]*(Sequence|NoneType|tuple|list)'>|tuple with \d+ elements)\.?"
        r" Got value: (?P<value>.*?)(\. Got value:|$)",
        reason,
    ):
        return _explain_list(found["value"], option)
    if found := re.search(
        r"Expected an? <class '(?P<kind>\w+)'>\.? Got value: (?P<value>.*?)(\. Got value:|$)", reason
    ):
        return f"{option} must be of type {found['kind']}, got {found['value']!r}"
    if found := re.search(r"expects a function or a callable class: (?P<why>.*?)\.? Got value: ", reason):
        return f"{option.cls.__name__} does not fit {option}: {found['why']}{option.suggest()}"
    reason = one_line(reason)
    return f"{option}: {reason}" if option.keys and ".".join(option.keys) not in reason else reason


def _explain_unknown_class(name: str, option: _Option) -> str:
    """Explain that there is no class of a name."""
    expected = [cls for cls, _ in expected_classes(option.parameter.annotation)]
    number = next((cls for cls in (float, int) if cls in expected), None)
    if number is None:
        return f"{option} {name} is not known{option.suggest(name)}".removeprefix("`--` ")
    if not suggestions(option.parameter):
        return f"{option} must be of type {number.__name__}, got {name!r}"
    kind = next(cls.__name__.lower() for cls in expected if cls.__module__ != "builtins")
    return f"{option} must be a number or a {kind}, got {name!r}{option.suggest()}"


def _explain_list(value: str, option: _Option) -> str:
    """Explain that an option takes a list, with an example that has its length."""
    annotation = option.parameter.annotation
    choices = [annotation, *get_args(annotation)]
    items = next((get_args(choice) for choice in choices if get_origin(choice) is tuple), ())
    if not items or ... in items:
        return f"{option} must be a list such as [{value.strip('()')}], got {value!r}"
    kind = "integer" if {*items} == {int} else "number"
    given = re.findall(r"(?<![\d.])\d+(?![\d.])" if kind == "integer" else r"\d+(?:\.\d+)?", value)
    default = option.parameter.default if isinstance(option.parameter.default, tuple) else (64,) * len(items)
    example = ",".join(map(str, given if len(given) == len(items) else default))
    single = f"an {kind} or ".replace("an n", "a n") if {int, float} & {*choices} else ""
    return f"{option} must be {single}a list of {len(items)} {kind}s such as [{example}], got {value!r}"


def _explain_section(section: str, options: Sequence[str]) -> str:
    """Explain that the common prefix of several options is not an option."""
    examples = [f"`{name}`" for name in options if re.fullmatch(rf"--{section}\.\w+", name)][:3]
    return f"`--{section}` takes no value: its options are {', '.join(examples)}, ..."


def _explain_unaccepted(name: str, option: _Option) -> str:
    """Explain that a class does not accept an argument."""
    cls, argument = option.cls, f"`--{'.'.join([*option.keys, name])}`"
    known = parameters(cls).keys() - {"image_shape"}
    if name not in known:
        return f"{cls.__name__} has no option `{name}` ({argument}){did_you_mean(name, known)}"
    if fits(cls, option.parameter):
        return f"{cls.__name__} sets `{name}` itself: leave out {argument}"
    return f"{cls.__name__} does not fit {option}{option.suggest()}"


def name_option(message: str, options: Mapping[str, Any]) -> str:
    """Put the option that a message of Lightning is about, and its value, before the message.

    Args:
        message: The message.
        options: The options that were given, with their values.

    Example:
        >>> name_option("`devices` should be an int > 0.", {"max_steps": 3, "devices": "many"})
        "`--trainer.devices` 'many': `devices` should be an int > 0."
    """
    for name, value in options.items():
        if not isinstance(value, str | int | float):  # such as a list of callbacks
            continue
        words = [re.escape(str(word)) for word in (name, value) if str(word)]
        if re.search(rf"(?<!\w)({'|'.join(words)})(?!\w)", message, re.IGNORECASE):
            return f"`--trainer.{name}` {value!r}: {message}"
    return message
