"""Read the arguments of this package's classes from their source, so that nothing heavy is imported."""

import ast
from functools import cache

from lightning_gans.exports import package_folder

PACKAGES = ("models", "core", "datamodules", "callbacks")
"""The subpackages whose classes take options of the command line."""


@cache
def _definitions() -> dict[str, ast.ClassDef]:
    """Return the class definitions of `PACKAGES`, by name."""
    paths = (path for package in PACKAGES for path in package_folder(f"lightning_gans.{package}").glob("*.py"))
    nodes = (node for path in paths for node in ast.parse(path.read_text()).body)
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}


def arguments(name: str) -> set[str]:
    """Return the names of the arguments of a class, with those that its `**kwargs` pass to a base class.

    Args:
        name: Name of the class. It is empty for a class of another package.

    Example:
        >>> sorted(arguments("Samples"))
        ['count', 'every', 'seed']
    """
    node = _definitions().get(name)
    if node is None:
        return set()
    methods = (part for part in node.body if isinstance(part, ast.FunctionDef))
    signature = next((method.args for method in methods if method.name == "__init__"), None)
    own = set() if signature is None else {part.arg for part in [*signature.args[1:], *signature.kwonlyargs]}
    inherits = signature is None or signature.kwarg is not None
    bases = (ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases if inherits)
    return own.union(*(arguments(base) for base in bases))


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
