"""Serialize the constructor arguments of an object as plain data, and rebuild the object from that data.

A checkpoint that loads under `torch.load(weights_only=True)` holds plain Python and tensors only. Classes, partials of
classes and recorded objects are therefore serialized as dictionaries. Deserialization calls a class only if it is a
module, an optimizer or a recorded class.
"""

import functools
import inspect
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, Self

from pytorch_lightning.utilities import rank_zero_warn
from torch import nn
from torch.optim import Optimizer

from lightning_gans.core.class_paths import class_path, import_class, importable_path
from lightning_gans.core.defaults import accepts, default_arguments, factory_defaults
from lightning_gans.core.private import unwrap_factory
from lightning_gans.errors import UnserializableError

CLASS, PARTIAL, UNSERIALIZABLE = "__class__", "__partial__", "__unserializable__"


class Recorded:
    """Record the arguments of the constructor in `init_args`, before the constructor runs.

    A subclass needs no code for it. Each argument that was given is recorded by name, with its value at the call.

    Attributes:
        init_args: The arguments that were given, by name, without the defaults.

    Example:
        >>> class Pair(Recorded):
        ...     def __init__(self, first, *, second=2, **others): ...
        >>> Pair(1, third=3).init_args
        {'first': 1, 'third': 3}
    """

    init_args: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Record the arguments and create the object."""
        self = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(self, *args, **kwargs)
        except TypeError:  # `__init__` raises the same error with its own message
            return self
        given = dict(list(bound.arguments.items())[1:])
        for name, parameter in bound.signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                given |= given.pop(name, {})
        self.__dict__["init_args"] = given  # not by `setattr`: the __init__ of nn.Module has not run yet
        return self


_PARTS: tuple[type[Any], ...] = (nn.Module, Optimizer, Recorded)


def serialize(value: Any) -> Any:
    """Serialize a constructor argument as plain data.

    Classes and recorded objects carry the defaults in effect, so that they are the same after a default has changed.

    Args:
        value: Plain Python, a class, a (nested) `functools.partial` of a class, a `Recorded` object, or
            containers of these.

    Raises:
        UnserializableError: If plain data cannot describe the value.

    Example:
        >>> serialize(functools.partial(nn.Linear, bias=False))
        {'__partial__': 'torch.nn.modules.linear.Linear', 'args': [], 'init_args': {'bias': False}, 'defaults': {}}
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
            return {CLASS: importable_path(value), "defaults": _serialize_defaults(_factory_defaults(value))}
        case Recorded():
            return {
                CLASS: importable_path(type(value)),
                "init_args": serialize(value.init_args),
                "defaults": _serialize_defaults(default_arguments(type(value)), given=value.init_args),
            }
        case functools.partial():
            value = unwrap_factory(value)
            if not isinstance(value.func, type):
                raise UnserializableError(f"a partial of {value.func!r}, which is not a class")
            return {
                PARTIAL: importable_path(value.func),
                "args": serialize(list(value.args)),
                "init_args": serialize(value.keywords),
                "defaults": _serialize_defaults(_factory_defaults(value.func), given=value.keywords),
            }
        case _:
            raise UnserializableError(f"{value!r} is neither plain data, a class nor a partial of a class")


def serialize_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Serialize each argument; an argument that plain data cannot describe is marked with the reason."""
    record = {}
    for name, value in arguments.items():
        try:
            record[name] = serialize(value)
        except UnserializableError as error:
            record[name] = {UNSERIALIZABLE: str(error)}
    return record


def unserializable(record: dict[str, Any]) -> list[str]:
    """List the names of the arguments that `serialize_arguments` has marked."""
    return [name for name, value in record.items() if isinstance(value, dict) and UNSERIALIZABLE in value]


def serialize_object(value: Recorded) -> dict[str, Any]:
    """Serialize the class of an object, the arguments that were given and the defaults in effect.

    Example:
        >>> from lightning_gans.core.schedules import Exponential
        >>> serialize_object(Exponential(0.1, half_life=1000))
        {'class': 'lightning_gans.core.schedules.Exponential',
         'init_args': {'start': 0.1, 'half_life': 1000},
         'defaults': {'floor': 0.0}}
    """
    return {
        "class": class_path(type(value)),
        "init_args": serialize_arguments(value.init_args),
        "defaults": _serialize_defaults(default_arguments(type(value)), given=value.init_args),
    }


def _factory_defaults(cls: type) -> dict[str, Any]:
    return factory_defaults(cls) if issubclass(cls, _PARTS) else {}


def _serialize_defaults(defaults: dict[str, Any], *, given: Collection[str] = ()) -> dict[str, Any]:
    """Serialize the defaults of the arguments that were not given, except for values that are not serializable."""
    record = serialize_arguments({name: value for name, value in defaults.items() if name not in given})
    return {name: value for name, value in record.items() if name not in unserializable(record)}


def modules_in(record: Any) -> set[str]:
    """Return the top-level modules of the classes in a record, which its deserialization has to import.

    Example:
        >>> import torch
        >>> modules_in(serialize({"optimizer": functools.partial(torch.optim.Adam, lr=0.1), "network": [nn.Linear]}))
        {'torch'}
    """
    match record:
        case {"__class__": str(path), **rest} | {"__partial__": str(path), **rest}:
            return {path.partition(".")[0]} | modules_in([item for key, item in rest.items() if key != "defaults"])
        case dict():
            return modules_in(list(record.values()))
        case list() | tuple():
            return set().union(*map(modules_in, record))
        case _:
            return set()


def deserialize(record: Any, trust: Iterable[str] = ()) -> Any:
    """Rebuild the value that `serialize` has serialized.

    A class whose defaults have changed since becomes a partial with the recorded defaults.

    Args:
        record: Plain data.
        trust: Names of further modules that may be imported.

    Raises:
        ValueError: If a class is refused by `import_class`.

    Example:
        >>> deserialize(serialize(functools.partial(nn.Linear, bias=False)))(2, 3)
        Linear(in_features=2, out_features=3, bias=False)
    """
    match record:
        case list() | tuple():
            return type(record)(deserialize(item, trust) for item in record)
        case {"__partial__": str(path), "args": args, "init_args": init_args}:
            factory: Callable[..., Any] = _deserialize_factory(path, record, trust)
            return functools.partial(factory, *deserialize(args, trust), **deserialize(init_args, trust))
        case {"__class__": str(path), "init_args": _}:
            cls = import_class(path, Recorded, trust)
            return cls(**deserialize_arguments(cls, record, trust))
        case {"__class__": str(path)}:
            return _deserialize_factory(path, record, trust)
        case dict():
            return {key: deserialize(item, trust) for key, item in record.items()}
        case _:
            return record


def deserialize_arguments(
    cls: type[Any], record: dict[str, Any], trust: Iterable[str] = (), *, replaced: Collection[str] = ()
) -> dict[str, Any]:
    """Rebuild the constructor arguments that `serialize_object` has serialized.

    Args:
        cls: The class of the object. A recorded default is an argument only where the present default differs.
        record: The serialized `init_args` and `defaults`.
        trust: Names of further modules that may be imported.
        replaced: Names of arguments to leave out.

    Raises:
        ValueError: If a class is refused by `import_class`.
    """
    changed = _changed_defaults(cls, default_arguments(cls), record)
    recorded = {**changed, **record["init_args"]}
    return {name: deserialize(value, trust) for name, value in recorded.items() if name not in replaced}


def _deserialize_factory(path: str, record: dict[str, Any], trust: Iterable[str]) -> Callable[..., Any]:
    cls = import_class(path, _PARTS, trust)
    factory: Callable[..., Any] = cls
    changed = _changed_defaults(cls, factory_defaults(cls), record)
    return functools.partial(factory, **deserialize(changed, trust)) if changed else factory


def _changed_defaults(cls: type[Any], present: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """Return the recorded defaults that differ from the present defaults; both are serialized.

    A default of an argument that no longer exists is left out with a warning: nobody set the argument.
    """
    unchanged = _serialize_defaults(present).items()
    changed = {name: value for name, value in record.get("defaults", {}).items() if (name, value) not in unchanged}
    if removed := [name for name in changed if not accepts(cls, name)]:
        rank_zero_warn(f"{cls.__name__} no longer has {', '.join(removed)}: the default in the checkpoint is ignored")
    return {name: value for name, value in changed.items() if name not in removed}
