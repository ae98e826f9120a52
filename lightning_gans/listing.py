"""What there is, by name: read from the source, so that nothing needs to be imported."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

FOLDERS = {"models": "lightning_gans.models", "data": "lightning_gans.datamodules"}

PARTS = ("DataModule", "InMemoryLoader")
"""What data are made of, and no data."""


def folder(package: str) -> Path:
    """The folder of one of our packages, in a checkout as in a wheel."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))


def recipes() -> dict[str, Path]:
    """The shipped recipes: their files, by name."""
    return {path.stem: path for path in sorted(folder("lightning_gans.configs").glob("*.yaml"))}


def classes(package: str) -> dict[str, str]:
    """What a package exports: the first sentence of each class, by name."""
    root = folder(package)
    exported = {name for node in _tree(root / "__init__.py").body for name in _exports(node)}
    described: dict[str, str] = {}
    for path in sorted(root.glob("[a-z]*.py")):
        for node in _tree(path).body:
            if isinstance(node, ast.ClassDef) and node.name in exported:
                described[node.name] = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return described


def listing() -> str:
    """Models, data and recipes, each with a line about it."""
    sections = {title: classes(package) for title, package in FOLDERS.items()}
    for part in PARTS:
        sections["data"].pop(part, None)
    sections["recipes"] = {name: path.read_text().partition("\n")[0].lstrip("# ") for name, path in recipes().items()}
    return "\n\n".join("\n".join(_section(title, rows)) for title, rows in sections.items())


def _section(title: str, rows: dict[str, str]) -> Iterator[str]:
    yield title
    width = max((len(name) for name in rows), default=0)
    for name, what in rows.items():
        yield f"  {name:<{width}}  {what}"


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _exports(node: ast.stmt) -> list[str]:
    match node:
        case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names)):
            return [name.value for name in names if isinstance(name, ast.Constant) and isinstance(name.value, str)]
    return []
