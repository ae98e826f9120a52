"""Read the public names of a subpackage from its source, so that nothing is imported."""

import ast
import importlib.util
from pathlib import Path


def package_folder(package: str) -> Path:
    """Find the folder of a subpackage, in a checkout and in an installed copy.

    Args:
        package: Dotted name of the subpackage.
    """
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))


def exported_names(package: str) -> list[str]:
    """Return the `__all__` of a subpackage.

    Args:
        package: Dotted name of the subpackage.

    Example:
        >>> "DCGAN" in exported_names("lightning_gans.models")
        True
    """
    for node in ast.parse((package_folder(package) / "__init__.py").read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List() as names):
                return list(ast.literal_eval(names))
    return []
