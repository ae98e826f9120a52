"""Check the structure of the code by its syntax trees: imports, documentation and the length of files."""

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINKED = ("callbacks", "datamodules", "configs")
PACKAGE = "lightning_gans"

LAYERS = {
    "_version": 0,
    "types": 0,
    "errors": 0,
    "exports": 0,
    "files": 0,
    "lightning_messages": 0,
    "checks": 1,
    "signatures": 1,
    "plain_types": 2,
    "option_names": 8,
    "run_files": 1,
    "audio": 2,
    "objectives": 2,
    "networks": 2,
    "metrics": 2,
    "core": 3,
    "models": 4,
    "datamodules": 4,
    "rendering": 5,
    "callbacks": 6,
    "sample_files": 6,
    "sample_progress": 6,
    "predictions": 1,
    "robustness": 5,
    "attack_command": 9,
    "trainer": 7,
    "configs": 7,
    "packages": 7,
    "parameters": 7,
    "recipes": 7,
    "alternatives": 1,
    "error_messages": 9,
    "listing": 8,
    "fit_help": 8,
    "early_checks": 9,
    "command_options": 7,
    "dry_run": 8,
    "data_options": 8,
    "sample_conditions": 8,
    "commands": 10,
    "cli": 10,
    "data_command": 11,
    "prepare_command": 12,
    "__main__": 13,
}
"""The layer of each module and subpackage, which imports only from lower layers and from itself."""


def modules() -> dict[str, Path]:
    """Return the file of every module of the package, by its dotted name."""
    found = {}
    for folder in (ROOT / PACKAGE, *(ROOT / name for name in LINKED)):
        base = folder.parent if folder.name == PACKAGE else ROOT
        for path in sorted(folder.rglob("*.py")):
            relative = path.relative_to(base)
            if folder.name == PACKAGE and len(relative.parts) > 2 and relative.parts[1] in LINKED:
                continue  # the same file as in the linked folder
            parts = [*(() if folder.name == PACKAGE else (PACKAGE,)), *relative.with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
INSIDE = {name: tree for name, tree in TREES.items() if name != PACKAGE}


def layer(module: str) -> str:
    return module.split(".")[1]


def imports(tree: ast.Module) -> Iterator[str]:
    """Return the module of each import, inside functions as well."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                for name in names:
                    yield f"{module}.{name.name}" if module == PACKAGE else module


def test_the_table_of_layers_is_complete() -> None:
    assert {layer(name) for name in INSIDE} == set(LAYERS)


@pytest.mark.parametrize("name", INSIDE)
def test_a_module_imports_only_lower_layers(name: str) -> None:
    own = layer(name)
    for imported in imports(INSIDE[name]):
        if imported.partition(".")[0] != PACKAGE:
            continue
        other = layer(imported)
        assert other == own or LAYERS[other] < LAYERS[own], f"{name} imports {imported}"


@pytest.mark.parametrize("name", INSIDE)
def test_no_module_imports_from_the_root(name: str) -> None:
    allowed = {f"{PACKAGE}.{module}" for module in LAYERS}
    for imported in imports(INSIDE[name]):
        assert imported != PACKAGE
        if imported.startswith(f"{PACKAGE}."):
            assert ".".join(imported.split(".")[:2]) in allowed, f"{imported} is a name of the package root"


@pytest.mark.parametrize("name", TREES)
def test_there_are_no_relative_imports(name: str) -> None:
    assert not [node.lineno for node in ast.walk(TREES[name]) if isinstance(node, ast.ImportFrom) and node.level]


def test_objectives_networks_and_data_modules_do_not_import_models() -> None:
    for name, tree in INSIDE.items():
        found = {layer(imported) for imported in imports(tree) if imported.startswith(f"{PACKAGE}.")}
        if layer(name) in ("objectives", "networks", "metrics", "audio"):
            assert found <= {layer(name), "types", "checks"}, name
        if layer(name) == "datamodules":  # `GroundTruth` computes metrics
            assert found <= {"datamodules", "types", "checks", "errors", "core", "metrics", "audio", "files"}, name
        if layer(name) == "models":
            assert not found & {"datamodules", "callbacks"}, name


def test_no_module_calls_hasattr() -> None:
    for name, tree in TREES.items():
        assert "hasattr" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}, name


@pytest.mark.parametrize("name", MODULES)
def test_a_file_has_at_most_350_lines(name: str) -> None:
    assert len(MODULES[name].read_text().splitlines()) <= 350


def undocumented(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield f"{prefix}.{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, f"{prefix}.{node.name}")


@pytest.mark.parametrize("name", TREES)
def test_everything_public_is_documented(name: str) -> None:
    assert ast.get_docstring(TREES[name])
    assert list(undocumented(TREES[name].body, name)) == []


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if path.name == "__init__.py"])
def test_public_names_are_unique_and_defined(name: str) -> None:
    module = importlib.import_module(name)
    public = getattr(module, "__all__", [])
    assert len(set(public)) == len(public)
    for public_name in public:
        assert getattr(module, public_name) is not None


def test_the_root_exports_the_models_the_data_modules_and_a_few_other_names() -> None:
    import lightning_gans
    from lightning_gans import datamodules, models

    assert dir(lightning_gans) == sorted(lightning_gans.__all__)
    others = {"GAN", "Trainer", "__version__", "load"}
    assert set(lightning_gans.__all__) == {*models.__all__, *datamodules.__all__} | others
    with pytest.raises(AttributeError, match="module 'lightning_gans' has no attribute 'DCGANN'"):
        lightning_gans.DCGANN  # noqa: B018


def test_type_checkers_see_the_exports_of_the_root() -> None:
    import lightning_gans

    typed = next(node for node in TREES[PACKAGE].body if isinstance(node, ast.If))
    homes: dict[str, str] = {}
    for node in typed.body:
        assert isinstance(node, ast.ImportFrom)
        module = importlib.import_module(str(node.module))
        for name in node.names:
            homes |= dict.fromkeys(module.__all__ if name.name == "*" else [name.name], str(node.module))
    assert homes.keys() | {"__version__"} == set(lightning_gans.__all__)
    for name, home in homes.items():
        assert getattr(importlib.import_module(home), name) is getattr(lightning_gans, name)


# In fresh processes


def python(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )


# Each module is imported after all modules of this package are removed from `sys.modules`. Otherwise the imports of the
# modules before it would hide a circular import.
IMPORT_EACH = f"""
import importlib, sys
import pytorch_lightning, torchvision, sklearn.datasets, jsonargparse
for name in {{names!r}}:
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == {PACKAGE!r}]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except Exception as error:
        sys.exit(f"{{{{name}}}}: {{{{error!r}}}}")
"""


def test_every_module_can_be_imported_alone() -> None:
    names = [name for name in MODULES if name != f"{PACKAGE}.__main__"]
    halves = [names[::2], names[1::2]]
    with ThreadPoolExecutor(2) as pool:
        for result in pool.map(python, [IMPORT_EACH.format(names=half) for half in halves]):
            assert result.returncode == 0, result.stderr


def test_importing_the_package_imports_no_large_library() -> None:
    large = ["torch", "numpy", "pytorch_lightning", "torchvision", "sklearn", "wandb", "jsonargparse", "yaml"]
    result = python(f"import sys, lightning_gans; print([n for n in {large} if n in sys.modules])")
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["callbacks", "datamodules"])
def test_a_linked_folder_has_one_name_only(name: str) -> None:
    result = python(f"import {name}")
    assert result.returncode == 1
    assert re.search(f"ImportError: import `?lightning_gans.{name}", result.stderr)
