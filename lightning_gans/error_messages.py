"""From what a library says about a mistake to one line that its maker can act on."""

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lightning_gans import networks
from lightning_gans.core.recording import Recorded
from lightning_gans.core.schedules import Schedule
from lightning_gans.errors import did_you_mean, one_line
from lightning_gans.networks.flows import Bijection
from lightning_gans.networks.outputs import OutputDistribution
from lightning_gans.networks.priors import Prior

_NOISE = re.compile(
    r"Does not validate against|Subtypes:|Errors:$|Given value|Expected a <class 'NoneType'>|Expected a path but|"
    r"Unable to parse"
)
_KEY = re.compile(r'Parser key "(?P<key>[^"]+)":?')
_CLASS = re.compile(r"^Problem with given class_path '(?P<path>[^']+)':?")


def translate_error(message: str, options: Sequence[str] = ()) -> str:
    """Say in one line what a message of jsonargparse, of Lightning or of this project means.

    Args:
        message: Any number of lines.
        options: What the parser knows, for a suggestion.

    Example:
        >>> translate_error("unrecognized arguments: --modle DCGAN", ["--model", "--data"])
        'there is no option `--modle`; did you mean `--model`?'
    """
    keys: list[str] = []
    owner: str | None = None
    reason = message
    for line in _lines(message):
        rest = line
        for key in _KEY.finditer(line):
            keys.append(key["key"])
            rest = line[key.end() :].strip()
        if path := _CLASS.match(rest):
            owner = path["path"].rpartition(".")[2]
            rest = rest[path.end() :].strip()
        if rest and not _NOISE.search(rest):
            reason = rest
    if (reason.endswith("'>") or ("Literal[" in reason and "Got value" not in reason)) and (
        given := re.search(r"^ *Given value: (?P<value>.*)$", message, re.MULTILINE)
    ):
        reason += f" Got value: {given['value']}"
    if found := re.match(r"(?P<name>\w+)\.__init__\(\) (?P<why>takes .* given)", reason):  # called as another kind is
        for option in re.findall(rf"(\w+)=Namespace\(class_path='[\w.]*\.{found['name']}'", message):
            return f"{found['name']} does not fit `{option}`: it {found['why']}{did_you_mean('', _names(option))}"
    return _explain(reason, ".".join(keys), owner, options)


def _lines(message: str) -> Iterator[str]:
    return (line for raw in message.splitlines() if (line := raw.strip().removeprefix("- ").strip()))


def _explain(reason: str, key: str, owner: str | None, options: Sequence[str]) -> str:
    option = f"`--{key}`"
    if found := re.search(r"unrecognized arguments: (?P<name>\S+)", reason, re.IGNORECASE):
        name = found["name"].partition("=")[0]
        return f"there is no option `{name}`{did_you_mean(name, options)}"
    if found := re.search(r"Option '(?P<name>[\w.]+)' is not accepted(.*class_path='(?P<path>[\w.]+)')?", reason):
        name = found["name"].rpartition(".")[2]
        owner = found["path"].rpartition(".")[2] if found["path"] else owner
        known = _arguments(owner)
        if name in known and owner in _names(key):
            return f"{owner} is given `{name}` already: leave out `--{key}.{name}`"
        if name in known:  # it has, but the place asks for something that is called otherwise
            return f"{owner} does not fit {option}{did_you_mean('', _names(key))}"
        return f"{owner} has no option `{name}` (`--{key}.{name}`){did_you_mean(name, known)}"
    if found := re.search(r"Expected a dot import path string: (?P<name>\S+)", reason):
        if _family(key) is Schedule:
            return f"{option} must be a number or a schedule, got {found['name']!r}{did_you_mean('', _names(key))}"
        return f"{option} {found['name']} is not known{did_you_mean(found['name'], _names(key))}".removeprefix("`--` ")
    if found := re.search(r"(?P<what>[^:]*has no attribute '(?P<name>\w+)'|No module named '[^']+')", reason):
        return f"{option} cannot be imported: {found['what'].strip()}"
    if found := re.search(r"Expected a typing\.Literal\[(?P<names>.*?)\]\.? Got value: (?P<value>.*)", reason):
        names = [name.strip("'") for name in found["names"].split(", ")]
        return f"{option} must be one of {', '.join(names)}, got {found['value']!r}"
    if found := re.search(r"^the following arguments are required: (?P<name>\w+)$", reason):
        return f"`--{key}.{found['name']}` must be given"
    if found := re.search(
        r"Expected (an? )?<class '[\w.]*(Sequence|NoneType|tuple)'>\.? Got value: (?P<value>.*?)(\. Got value:|$)",
        reason,
    ):
        return f"{option} must be a list such as [{found['value']}], got {found['value']!r}"
    if found := re.search(
        r"Expected an? <class '(?P<kind>\w+)'>\.? Got value: (?P<value>.*?)(\. Got value:|$)", reason
    ):
        return f"{option} must be of type {found['kind']}, got {found['value']!r}"
    if found := re.search(
        r"expects a function or a callable class: (?P<why>.*?)\.? Got value: .*'(?P<path>[\w.]+)'", reason
    ):
        name = found["path"].rpartition(".")[2]
        return f"{name} does not fit {option}: {found['why']}{did_you_mean('', _names(key))}"
    reason = one_line(reason)
    return f"{option}: {reason}" if key and key not in reason else reason


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


_FAMILIES: dict[str, type[Any]] = {
    "prior": Prior,
    "output": OutputDistribution,
    "flow": Bijection,
    "generator": nn.Module,
    "discriminator": nn.Module,
    "network": nn.Module,
    "optimizer": Optimizer,
    "model": Recorded,
    "data": Recorded,
    "": Recorded,
}
"""What an option of that name, or of one that ends so, takes; all others that take classes take schedules."""

_PACKAGES = {"model": "models.", "data": "datamodules.", "optimizer": "core.optimizers", "": ""}
"""Where that is; else in `networks` or, of schedules, where they all are."""


def _word(key: str) -> str:
    return key.rpartition(".")[2].rpartition("_")[2]


def _family(key: str) -> type[Any]:
    return _FAMILIES.get(_word(key), Schedule)


def _names(key: str) -> set[str]:
    """The names of our classes that an option of that name may mean."""
    family, package = _family(key), f"lightning_gans.{_PACKAGES.get(_word(key), '')}"
    ours = {cls for cls in _subclasses(family) if cls.__module__.startswith(package) and not inspect.isabstract(cls)}
    if issubclass(family, nn.Module):  # the public ones, and of networks in general those that are of no other kind
        ours = {cls for cls in ours if cls.__name__ in networks.__all__}
        special = tuple(kind for kind in _FAMILIES.values() if issubclass(kind, nn.Module) and kind is not nn.Module)
        ours = {cls for cls in ours if family is not nn.Module or not issubclass(cls, special)}
    return {cls.__name__ for cls in ours if cls.__name__[0] != "_"}


def _arguments(name: str | None) -> set[str]:
    """What the constructor of the class of that name takes, and those it hands `**kwargs` on to."""
    names: set[str] = set()
    for cls in (cls for kind in (Recorded, nn.Module, Optimizer) for cls in _subclasses(kind) if cls.__name__ == name):
        for base in cls.__mro__:
            if "__init__" not in vars(base):
                continue
            parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
            names |= {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
                break
    return names - {"self", "image_shape"}
