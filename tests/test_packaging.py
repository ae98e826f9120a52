"""Check the contents of an installed copy: all packages, all recipes, and no other files."""

import configparser
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from lightning_gans._version import __version__

ROOT = Path(__file__).resolve().parents[1]
LINKED = ("callbacks", "configs", "datamodules")
FOLDERS = ("lightning_gans", *LINKED)


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def packages() -> set[str]:
    """Return the dotted name of every folder with Python code."""
    found = {"lightning_gans"}
    for name in FOLDERS:
        for path in (ROOT / name).rglob("__init__.py"):
            parts = path.parent.relative_to(ROOT).parts
            found.add(".".join(parts if parts[0] == "lightning_gans" else ("lightning_gans", *parts)))
    return found


def test_every_folder_of_code_is_a_package_that_is_installed(setup: configparser.ConfigParser) -> None:
    listed = setup["options"]["packages"].split()
    assert listed == sorted(listed)
    assert set(listed) == packages()
    for name in FOLDERS:
        for path in (ROOT / name).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), f"{path} is in no package"


@pytest.mark.parametrize("name", LINKED)
def test_a_folder_at_the_top_is_mapped_and_linked(name: str, setup: configparser.ConfigParser) -> None:
    assert f"lightning_gans.{name} = {name}" in setup["options"]["package_dir"].splitlines()
    link = ROOT / "lightning_gans" / name
    if link.is_symlink():
        assert os.readlink(link) == f"../{name}"
    else:  # systems without symbolic links check it out as a text file; an installed copy works by the mapping
        assert link.read_text() == f"../{name}", "not a link: check out with `git config core.symlinks true`"


def test_recipes_and_types_are_installed(setup: configparser.ConfigParser) -> None:
    data = setup["options.package_data"]
    assert data["lightning_gans.configs"].split() == ["*.yaml", "sweeps/*.yaml"]
    assert {path.suffix for path in (ROOT / "configs" / "sweeps").iterdir()} == {".yaml"}
    assert {path.suffix for path in (ROOT / "configs").iterdir() if path.is_file()} == {".py", ".yaml"}
    assert data["lightning_gans"].split() == ["py.typed"]
    assert (ROOT / "lightning_gans" / "py.typed").is_file()


def test_the_version_is_defined_once(setup: configparser.ConfigParser) -> None:
    assert setup["metadata"]["version"] == "attr: lightning_gans._version.__version__"
    assert __version__.count(".") == 2


def test_the_malicious_uploads_of_lightning_are_excluded(setup: configparser.ConfigParser) -> None:
    assert "pytorch-lightning>=2.6.4,<2.7" in setup["options"]["install_requires"].split()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Build a source distribution and a wheel, and return the names of their files."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("building needs setuptools")
    folder = tmp_path_factory.mktemp("build")
    ignore = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "runs", "wandb", "data")
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=ignore)
    code = f"from setuptools import build_meta as b\nb.build_sdist({str(folder)!r})\nb.build_wheel({str(folder)!r})"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder / "source", capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tarfile.open(sdist) as archive, zipfile.ZipFile(wheel) as zipped:
        return {
            "sdist": {name.partition("/")[2] for name in archive.getnames()},
            "wheel": {name for name in zipped.namelist() if ".dist-info" not in name},
        }


def test_a_wheel_holds_the_code_and_the_recipes_and_nothing_else(built: dict[str, set[str]]) -> None:
    expected = {"lightning_gans/py.typed"}
    for path in (ROOT / "lightning_gans").rglob("*.py"):
        if path.relative_to(ROOT / "lightning_gans").parts[0] not in LINKED:
            expected.add(str(path.relative_to(ROOT)))
    for name in LINKED:
        files = [path for path in (ROOT / name).rglob("*") if path.suffix in (".py", ".yaml")]
        expected |= {f"lightning_gans/{path.relative_to(ROOT)}" for path in files}
    assert built["wheel"] == expected


def test_a_source_distribution_can_be_built_from(built: dict[str, set[str]]) -> None:
    needed = {"setup.cfg", "pyproject.toml", "LICENSE"}
    for name in FOLDERS:
        needed |= {
            str(path.relative_to(ROOT))
            for path in (ROOT / name).rglob("*")
            if path.suffix in (".py", ".yaml", ".typed")
            and not (name == "lightning_gans" and path.relative_to(ROOT).parts[1] in LINKED)
        }
    assert built["sdist"] >= needed
