"""Read the arguments of this package's classes from their source, so that nothing heavy is imported."""

import ast
from functools import cache
from typing import NamedTuple

from lightning_gans.exports import package_folder

PACKAGES = ("models", "core", "datamodules", "callbacks")
"""The subpackages whose classes take options of the command line."""


@cache
def _statements() -> list[ast.stmt]:
    """Return the statements of all modules of `PACKAGES`."""
    paths = (path for package in PACKAGES for path in package_folder(f"lightning_gans.{package}").glob("*.py"))
    return [node for path in paths for node in ast.parse(path.read_text()).body]


@cache
def _definitions() -> dict[str, ast.ClassDef]:
    """Return the class definitions of `PACKAGES`, by name."""
    return {node.name: node for node in _statements() if isinstance(node, ast.ClassDef)}


@cache
def literal_types() -> dict[str, ast.expr]:
    """Return the types that `PACKAGES` define as `Name = Literal[...]`, by name.

    Example:
        >>> ast.unparse(literal_types()["Storage"])
        "Literal['auto', 'memory', 'mapped', 'workers']"
    """
    assigned = {ast.unparse(node.targets[0]): node.value for node in _statements() if isinstance(node, ast.Assign)}
    return {name: value for name, value in assigned.items() if ast.unparse(value).startswith("Literal[")}


class Argument(NamedTuple):
    """An argument of a class.

    Attributes:
        annotation: Syntax tree of its type; None if it has no annotation.
        required: Whether it has no default.
    """

    annotation: ast.expr | None
    required: bool


def arguments(name: str) -> dict[str, Argument]:
    """Return the arguments of a class by name, with those that its `**kwargs` pass to a base class.

    Arguments that the class itself passes to its base class are not required.

    Args:
        name: Name of the class. It is empty for a class of another package.

    Example:
        >>> sorted(arguments("Samples")), arguments("ImageFolder")["root"].required
        (['count', 'every', 'seed'], True)
    """
    node = _definitions().get(name)
    if node is None:
        return {}
    methods = (part for part in node.body if isinstance(part, ast.FunctionDef))
    signature = next((method.args for method in methods if method.name == "__init__"), None)
    found: dict[str, Argument] = {}
    if signature is None or signature.kwarg is not None:
        for base in reversed(node.bases):
            found |= arguments(ast.unparse(base).partition("[")[0].rpartition(".")[2])
        found |= {key: found[key]._replace(required=False) for key in _passed(node) & found.keys()}
    if signature is not None:
        positional = signature.args[1:]
        defaults = [*[None] * (len(positional) - len(signature.defaults)), *signature.defaults, *signature.kw_defaults]
        for part, default in zip([*positional, *signature.kwonlyargs], defaults, strict=True):
            found[part.arg] = Argument(part.annotation, default is None)
    return found


def _passed(node: ast.ClassDef) -> set[str]:
    """Return the arguments that the constructor of a class passes to its base class by name."""
    calls = (part for part in ast.walk(node) if isinstance(part, ast.Call))
    constructors = (call for call in calls if ast.unparse(call.func) == "super().__init__")
    return {keyword.arg for call in constructors for keyword in call.keywords if keyword.arg is not None}


@cache
def callback_options() -> dict[str, str]:
    """Return the default callbacks with options on the command line: the class, by the first part of the options.

    Example:
        >>> callback_options()["save"]
        'Checkpointing'
    """
    for node in ast.parse((package_folder("lightning_gans") / "trainer.py").read_text()).body:
        match node:
            case ast.AnnAssign(target=ast.Name(id="DEFAULT_CALLBACKS"), value=ast.Dict() as table):
                names = zip(
                    map(ast.unparse, filter(None, table.keys)), map(ast.literal_eval, table.values), strict=True
                )
                return {section: callback for callback, section in names if section is not None}
    raise LookupError("trainer.py does not define DEFAULT_CALLBACKS")
