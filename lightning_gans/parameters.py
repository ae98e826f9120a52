"""Constructor parameters of classes: their annotations, and the classes of this package that fit an annotation."""

import collections.abc
import inspect
import sys
from collections.abc import Iterator
from types import EllipsisType
from typing import Any, NamedTuple, get_args, get_origin

Arguments = list[Any] | EllipsisType
"""Types of a factory's positional arguments; `...` if they are unknown, or if no factory is expected."""


_SUGGESTED = (
    "lightning_gans.",
    "torch.optim.",
    *(f"pytorch_lightning.{kind}." for kind in ("callbacks", "loggers", "plugins", "profilers", "strategies")),
)
"""Packages whose classes are suggested."""


class Parameter(NamedTuple):
    """A parameter of a constructor.

    Attributes:
        annotation: Its type.
        default: Its default.
    """

    annotation: Any
    default: Any = None


def parameters(cls: type[Any]) -> dict[str, Parameter]:
    """Return the parameters of a constructor by name, with those of the base classes that it passes `**kwargs` to.

    Example:
        >>> from torch import nn
        >>> class Scaled(nn.Linear):
        ...     def __init__(self, *, scale: float = 1.0, **kwargs): ...
        >>> parameters(Scaled)["scale"], parameters(Scaled)["bias"]
        (Parameter(annotation=<class 'float'>, default=1.0), Parameter(annotation=<class 'bool'>, default=True))
    """
    found: dict[str, Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        passes_on = False
        for parameter in _signature(base):
            passes_on |= parameter.kind is parameter.VAR_KEYWORD
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                found.setdefault(parameter.name, Parameter(parameter.annotation, parameter.default))
        if not passes_on:
            break
    return found


def expected_classes(annotation: Any) -> Iterator[tuple[type[Any], Arguments]]:
    """Find the classes that an annotation names, with the arguments of the factory that returns each.

    Example:
        >>> from collections.abc import Callable
        >>> [*expected_classes(Callable[[int], complex] | float | None)]
        [(<class 'complex'>, [<class 'int'>]), (<class 'float'>, Ellipsis), (<class 'NoneType'>, Ellipsis)]
    """
    args = get_args(annotation)
    if get_origin(annotation) is collections.abc.Callable:
        yield from ((cls, args[0]) for cls, _ in expected_classes(args[-1]))
    elif args:
        for part in args:
            yield from expected_classes(part)
    elif isinstance(annotation, type):
        yield annotation, ...


def fits(cls: type[Any], parameter: Parameter) -> bool:
    """Check a class against an annotation: its base class, and the number of arguments that a factory takes."""
    return any(
        issubclass(cls, expected) and _takes(cls, arguments)
        for expected, arguments in expected_classes(parameter.annotation)
    )


def suggestions(parameter: Parameter) -> set[str]:
    """Name the public classes of this package and of Lightning that fit a parameter.

    If the default is a class, the suggestions share its closest abstract base class: `Callable[..., nn.Module] = NICE`
    suggests bijections.

    Example:
        >>> from collections.abc import Callable
        >>> from lightning_gans.networks.priors import Prior
        >>> sorted(suggestions(Parameter(Callable[[], Prior])))
        ['StandardLogistic', 'StandardNormal']
    """
    return {
        cls.__name__
        for expected, arguments in expected_classes(parameter.annotation)
        for cls in _subclasses(expected)
        if _is_public(cls)
        and _takes(cls, arguments, same_types=True)
        and (not isinstance(parameter.default, type) or _abstract_base(cls) is _abstract_base(parameter.default))
    }


def _signature(cls: type[Any]) -> list[inspect.Parameter]:
    """Return the parameters of a class's own constructor, without `self`."""
    try:
        signature = inspect.signature(cls.__init__, eval_str=True)
    except NameError:  # an annotation that only type checkers resolve
        signature = inspect.signature(cls.__init__)
    return list(signature.parameters.values())[1:]


def _takes(cls: type[Any], arguments: Arguments, *, same_types: bool = False) -> bool:
    """Check that a constructor can be called with positional arguments of that number, and of the same types."""
    if isinstance(arguments, EllipsisType):
        return True
    positional = [p for p in _signature(cls) if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    given, rest = positional[: len(arguments)], positional[len(arguments) :]
    if len(given) < len(arguments) or any(p.default is p.empty for p in rest):
        return False
    return not same_types or [p.annotation for p in given] == arguments


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _is_public(cls: type[Any]) -> bool:
    """Check that a class is concrete and, if its subpackage defines `__all__`, exported."""
    package, _, _ = cls.__module__.rpartition(".")
    exported = getattr(sys.modules.get(package), "__all__", [cls.__name__])
    public = cls.__module__.startswith(_SUGGESTED) and cls.__name__ in exported
    return public and not cls.__name__.startswith("_") and not inspect.isabstract(cls)


def _abstract_base(cls: type[Any]) -> type[Any] | None:
    """Return the closest abstract base class."""
    return next((base for base in cls.__mro__ if inspect.isabstract(base)), None)
