"""Remember what an object was made with, as plain data, and make it again from that data.

A checkpoint that is to be loaded safely (`torch.load(weights_only=True)`) can hold plain Python and tensors only, so
classes, partials of classes and other recorded objects are written down as dictionaries, and rebuilding takes a class
only after it is known to be one of the kinds that a model is made of.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from torch import nn
from torch.optim import Optimizer

from lightning_gans.core.private import unwrap_factory
from lightning_gans.errors import UnserializableError

CLASS, PARTIAL, UNRECORDED = "__class__", "__partial__", "__unrecorded__"


class Recorded:
    """Record the arguments of the constructor, before it runs, in `arguments`.

    A subclass does nothing for it: every argument is kept by its name, whatever `__init__` makes of it.

    Example:
        >>> class Pair(Recorded):
        ...     def __init__(self, first, *, second=2, **others): ...
        >>> Pair(1, third=3).init_args
        {'first': 1, 'third': 3}
    """

    init_args: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments, then go on as always."""
        self = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(self, *args, **kwargs)
        except TypeError:  # `__init__` is about to say the same in its own words
            return self
        given = dict(list(bound.arguments.items())[1:])
        for name, parameter in bound.signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                given |= given.pop(name, {})
        self.__dict__["init_args"] = given  # past nn.Module, whose __init__ has not run yet
        return self


_PARTS: tuple[type[Any], ...] = (nn.Module, Optimizer, Recorded)


def importable_path(cls: type) -> str:
    """Name a class so that `resolve` finds it again.

    Example:
        >>> importable_path(nn.Linear)
        'torch.nn.modules.linear.Linear'
    """
    if "<locals>" in cls.__qualname__:
        raise UnserializableError(f"{cls.__qualname__} is defined inside a function")
    module = _main_module() if cls.__module__ == "__main__" else cls.__module__
    return f"{module}.{cls.__qualname__}"


def class_path(cls: type) -> str:
    """The path of a class, for the record; of one that is defined inside a function nothing can be loaded again."""
    return f"{cls.__module__}.{cls.__qualname__}" if "<locals>" in cls.__qualname__ else importable_path(cls)


def _main_module() -> str:
    """The name by which another program imports the script that runs; in a notebook it has none."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return Path(file).stem if file else "__main__"


def serialize(value: Any) -> Any:
    """Write a constructor argument as plain data.

    Args:
        value: Plain Python, a class, a (nested) `functools.partial` of a class, a `Recorded` object, or
            containers of these.

    Raises:
        UnserializableError: The value has no such description.

    Example:
        >>> serialize(functools.partial(nn.Linear, bias=False))
        {'__partial__': 'torch.nn.modules.linear.Linear', 'args': [], 'init_args': {'bias': False}}
    """
    match value:
        case None | bool():
            return value
        case int() | float() | str():
            return next(kind(value) for kind in (int, float, str) if isinstance(value, kind))  # no NumPy subclasses
        case Path():
            return str(value)
        case list():
            return [serialize(item) for item in value]
        case tuple():
            return tuple(serialize(item) for item in value)
        case dict():
            return {serialize(key): serialize(item) for key, item in value.items()}
        case type():
            return {CLASS: importable_path(value)}
        case Recorded():
            return {CLASS: importable_path(type(value)), "init_args": serialize(value.init_args)}
        case functools.partial():
            value = unwrap_factory(value)
            if not isinstance(value.func, type):
                raise UnserializableError(f"a partial of {value.func!r}, which is no class")
            return {
                PARTIAL: importable_path(value.func),
                "args": serialize(list(value.args)),
                "init_args": serialize(value.keywords),
            }
        case _:
            raise UnserializableError(f"{value!r} is neither plain data, a class nor a partial of one")


def serialize_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Describe each argument; one that cannot be is marked, so that loading can ask for it by name."""
    record = {}
    for name, value in arguments.items():
        try:
            record[name] = serialize(value)
        except UnserializableError as reason:
            record[name] = {UNRECORDED: str(reason)}
    return record


def modules_in(description: Any) -> set[str]:
    """The top modules of all classes in a description, which loading it has to import.

    Example:
        >>> import torch
        >>> modules_in(serialize({"optimizer": functools.partial(torch.optim.Adam, lr=0.1), "network": [nn.Linear]}))
        {'torch'}
    """
    match description:
        case dict():
            paths = [path for key, path in description.items() if key in (CLASS, PARTIAL)]
            return {path.partition(".")[0] for path in paths}.union(*map(modules_in, description.values()))
        case list() | tuple():
            return set().union(*map(modules_in, description))
        case _:
            return set()


def unserializable(record: dict[str, Any]) -> list[str]:
    """The names of the arguments that `serialize_arguments` had to leave out."""
    return [name for name, value in record.items() if isinstance(value, dict) and UNRECORDED in value]


def import_class(path: str, kinds: type[Any] | tuple[type[Any], ...], trust: Iterable[str] = ()) -> type[Any]:
    """Find the class of that name, if it is one of those kinds and comes from a place that may be used.

    Args:
        path: Dotted path, as `class_path` gives it.
        kinds: The class must be a subclass of one of these; nothing is called before that is known.
        trust: Names of modules that may be imported for it, beside `lightning_gans` and those already imported.

    Raises:
        ValueError: The module may not be imported, has no such class, or it is of another kind.
    """
    if isinstance(trust, str):
        raise ValueError(f"`trust` must be a list of module names, got {trust!r}: trust=[{trust!r}]")
    names = path.split(".")
    failure: ImportError | None = None
    for cut in range(len(names) - 1, 0, -1):
        module = ".".join(names[:cut])
        if module == _main_module():
            module = "__main__"
        if module in sys.modules:
            break
        if any(f"{module}.".startswith(f"{root}.") for root in ("lightning_gans", *trust)):
            try:
                importlib.import_module(module)
                break
            except ImportError as error:  # it may be a class that holds the class, and looks like a module
                failure = error
    else:
        if failure is not None:
            raise ValueError(
                f"the checkpoint names the class {path!r}, which cannot be imported: {failure}"
            ) from failure
        raise ValueError(
            f"the checkpoint names the class {path!r}, whose module is not imported: import it first, or say that you"
            f" trust it: load(..., trust=[{names[0]!r}]), --trust {names[0]}"
        )
    try:
        found: Any = functools.reduce(getattr, names[cut:], sys.modules[module])
    except AttributeError as error:
        raise ValueError(f"the checkpoint names the class {path!r}, which does not exist: {error}") from error
    if not (inspect.isclass(found) and issubclass(found, kinds)):
        expected = kinds if isinstance(kinds, tuple) else (kinds,)
        raise ValueError(
            f"the checkpoint names {path!r}, which is refused: it is not a subclass of"
            f" {' or '.join(kind.__name__ for kind in expected)}"
        )
    cls: type[Any] = found
    return cls


def deserialize(record: Any, trust: Iterable[str] = ()) -> Any:
    """Make the value that `describe` described.

    Example:
        >>> deserialize(serialize(functools.partial(nn.Linear, bias=False)))(2, 3)
        Linear(in_features=2, out_features=3, bias=False)
    """
    match record:
        case list() | tuple():
            return type(record)(deserialize(item, trust) for item in record)
        case {"__partial__": str(path), "args": args, "init_args": arguments}:
            made: Callable[..., Any] = import_class(path, _PARTS, trust)
            return functools.partial(made, *deserialize(args, trust), **deserialize(arguments, trust))
        case {"__class__": str(path), "init_args": arguments}:
            made = import_class(path, Recorded, trust)
            return made(**deserialize(arguments, trust))
        case {"__class__": str(path)}:
            return import_class(path, _PARTS, trust)
        case dict():
            return {key: deserialize(item, trust) for key, item in record.items()}
        case _:
            return record
