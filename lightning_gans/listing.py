"""The output of `list`: models, data sets and recipes, read from their files so that nothing heavy is imported."""

import ast
from collections.abc import Iterator, Sequence

from lightning_gans.errors import UsageError, did_you_mean
from lightning_gans.exports import exported_names, package_folder
from lightning_gans.recipes import describe_recipe, recipes

PARTS = {
    "models": "(fit --model NAME)",
    "data": "(fit --data NAME)",
    "recipes": "(fit --config NAME): model, data, time on two cores, scores on held-out data",
}
"""The parts of the output, each with the rest of its title."""


def classes(package: str, *, concrete: bool = False) -> dict[str, str]:
    """Describe the classes that a subpackage exports.

    Args:
        package: Dotted name of the subpackage.
        concrete: Leave out abstract classes, and classes without a base class, which are utilities.

    Returns:
        The first sentence of each class's docstring, by the name of the class.
    """
    exported = exported_names(package)
    described: dict[str, str] = {}
    for path in sorted(package_folder(package).glob("[a-z]*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name in exported:
                bases = [ast.unparse(base) for base in node.bases]
                if not concrete or (bases and "ABC" not in bases):
                    described[node.name] = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return described


def listing(given: Sequence[str] = ()) -> str:
    """List the models and data sets with a line of description, and the recipes with their times and scores.

    Args:
        given: Names of the parts, "models", "data" and "recipes"; all by default.

    Raises:
        UsageError: There is no such part.
    """
    for name in given:
        if name not in PARTS:
            raise UsageError(f"`list` takes {', '.join(PARTS)} or nothing, got {name!r}{did_you_mean(name, PARTS)}")
    names = [name for name in PARTS if name in (given or PARTS)]
    return "\n\n".join("\n".join(_section(f"{name} {PARTS[name]}", _rows(name))) for name in names)


def _rows(part: str) -> list[list[str]]:
    if part == "recipes":
        return [[name, *describe_recipe(path)] for name, path in recipes().items()]
    package = {"models": "models", "data": "datamodules"}[part]
    return [[*row] for row in classes(f"lightning_gans.{package}", concrete=True).items()]


def _section(title: str, rows: list[list[str]]) -> Iterator[str]:
    yield title
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
