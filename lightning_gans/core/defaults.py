"""Find the default arguments of a class, including those of base classes that receive its `**kwargs`.

A checkpoint records the defaults that were in effect. A default that changes in a later version of a class then leaves
the models of earlier checkpoints unchanged.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import cache
from inspect import Parameter
from typing import Any

from torch.optim import Optimizer


def default_arguments(cls: type) -> dict[str, Any]:
    """Return the defaults of all parameters that a constructor accepts by name.

    Example:
        >>> class Base:
        ...     def __init__(self, *, width=64, depth=2): ...
        >>> class Derived(Base):
        ...     def __init__(self, *, scale=1.0, **kwargs):
        ...         super().__init__(depth=3, **kwargs)
        >>> default_arguments(Derived)
        {'scale': 1.0, 'width': 64}
    """
    return _defaults(_parameters(cls))


def factory_defaults(cls: type) -> dict[str, Any]:
    """Return the defaults of the factory parameters that the caller leaves out.

    A network is called with positional sizes, so its keyword-only parameters are left out. An optimizer is called with
    the weights, so all parameters except the first are left out.

    Example:
        >>> from torch import nn
        >>> from torch.optim import SGD
        >>> factory_defaults(nn.Linear), factory_defaults(SGD)["momentum"]
        ({}, 0)
    """
    parameters = _parameters(cls)
    if issubclass(cls, Optimizer):
        return _defaults(parameters[1:])
    return _defaults([parameter for parameter in parameters if parameter.kind is Parameter.KEYWORD_ONLY])


def accepts(cls: type, name: str) -> bool:
    """Find whether a constructor accepts an argument by name; it may if it uses its `**kwargs` in an unknown way.

    Example:
        >>> from torch import nn
        >>> accepts(nn.Linear, "bias"), accepts(nn.Linear, "removed")
        (True, False)
    """
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        constructor = vars(base)["__init__"]
        parameters = inspect.signature(constructor).parameters.values()
        if name in (parameter.name for parameter in parameters if parameter.kind is not Parameter.VAR_KEYWORD):
            return True
        if all(parameter.kind is not Parameter.VAR_KEYWORD for parameter in parameters):
            return False
        if _super_call(constructor) is None:
            return True
    return False


def _defaults(parameters: list[Parameter]) -> dict[str, Any]:
    return {parameter.name: parameter.default for parameter in parameters if parameter.default is not Parameter.empty}


def _parameters(cls: type) -> list[Parameter]:
    """List the named parameters of a constructor, and those of base classes that its caller can set."""
    found: dict[str, Parameter] = {}
    fixed: set[str] = set()  # set by a derived class
    positional = 0
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        constructor = vars(base)["__init__"]
        _, *parameters = inspect.signature(constructor).parameters.values()  # without `self`
        named = [p for p in parameters if p.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)]
        fixed |= {p.name for p in named[:positional] if p.kind is not Parameter.KEYWORD_ONLY}
        found |= {p.name: p for p in named if p.name not in fixed | found.keys()}
        call = _super_call(constructor)
        if call is None:
            break
        positional, keywords = call
        fixed |= keywords
    return [*found.values()]


@cache
def _super_call(constructor: Callable[..., None]) -> tuple[int, frozenset[str]] | None:
    """Find what a constructor passes to `super().__init__` besides its own `**kwargs`.

    Returns:
        The number of positional arguments and the names of the keyword arguments. None if the source is not available,
        or if the constructor also uses `**kwargs` elsewhere, so that the base class may not receive them unchanged.
    """
    variadic = {p.kind: p.name for p in inspect.signature(constructor).parameters.values()}
    if Parameter.VAR_KEYWORD not in variadic:
        return None
    try:
        nodes = [*ast.walk(ast.parse(textwrap.dedent(inspect.getsource(constructor))))]
    except (OSError, TypeError, SyntaxError):
        return None
    calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "super().__init__"]
    uses = [node for node in nodes if isinstance(node, ast.Name) and node.id == variadic[Parameter.VAR_KEYWORD]]
    if len(calls) != 1 or [keyword.value for keyword in calls[0].keywords if keyword.arg is None] != uses:
        return None
    starred = [ast.unparse(argument.value) for argument in calls[0].args if isinstance(argument, ast.Starred)]
    if starred not in ([], [variadic.get(Parameter.VAR_POSITIONAL)]):
        return None
    return len(calls[0].args) - len(starred), frozenset(keyword.arg for keyword in calls[0].keywords if keyword.arg)
