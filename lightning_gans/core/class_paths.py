"""Dotted paths of classes: return the path of a class, and import a class from its path if its module is trusted."""

import functools
import importlib
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning_gans.errors import UnserializableError


def importable_path(cls: type) -> str:
    """Return the dotted path from which `import_class` finds a class.

    Raises:
        UnserializableError: If the class is defined inside a function.

    Example:
        >>> from torch import nn
        >>> importable_path(nn.Linear)
        'torch.nn.modules.linear.Linear'
    """
    if "<locals>" in cls.__qualname__:
        raise UnserializableError(f"{cls.__qualname__} is defined inside a function")
    module = _main_module() if cls.__module__ == "__main__" else cls.__module__
    return f"{module}.{cls.__qualname__}"


def class_path(cls: type) -> str:
    """Return the dotted path of any class; `import_class` cannot find a class that is defined inside a function."""
    return f"{cls.__module__}.{cls.__qualname__}" if "<locals>" in cls.__qualname__ else importable_path(cls)


def _main_module() -> str:
    """Return the name by which another program imports the running script; a notebook has no such name."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return Path(file).stem if file else "__main__"


def import_class(path: str, kinds: type[Any] | tuple[type[Any], ...], trust: Iterable[str] = ()) -> type[Any]:
    """Import a subclass of given classes from `lightning_gans`, a trusted module or a module that is already imported.

    Args:
        path: Dotted path, as `class_path` returns it.
        kinds: The base classes; the class must be a subclass of one of them. It is not instantiated.
        trust: Names of further modules that may be imported.

    Raises:
        ValueError: If the module may not be imported or does not define the class, or the class is not a subclass of
            `kinds`.
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
            except ImportError as error:  # the name may be an outer class instead of a module
                failure = error
    else:
        if failure is not None:
            raise ValueError(
                f"the checkpoint names the class {path!r}, which cannot be imported: {failure}"
            ) from failure
        raise ValueError(
            f"the checkpoint names the class {path!r}, whose module is not imported: import it first, or trust it:"
            f" load(..., trust=[{names[0]!r}]), --trust {names[0]}"
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
