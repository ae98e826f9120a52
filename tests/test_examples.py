"""Run every example on few images."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples"

LAST_LINES = {
    "hinge_gan": r"\(4, 1, 8, 8\), from -?[01].\d\d to -?[01].\d\d\n",
    "zuko_flow": r"-?\d.\d{3} nats per point; .* 0.059\n",
}
"""Pattern of the last line that each example prints."""

REQUIREMENTS = {"zuko_flow": "zuko"}
"""Packages that an example needs and this package does not."""


def import_example(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import an example under its own name, so that its classes can be loaded from checkpoints."""
    specification = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, name, module)
    specification.loader.exec_module(module)
    return module


def test_every_example_is_listed() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(LAST_LINES)


@pytest.mark.parametrize("name", LAST_LINES)
def test_an_example_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name in REQUIREMENTS:
        package = REQUIREMENTS[name]
        pytest.importorskip(package, reason=f"the example needs {package}: pip install {package}")
    monkeypatch.chdir(tmp_path)
    import_example(name, monkeypatch).main(2560)
    output = capsys.readouterr().out
    assert re.search(LAST_LINES[name] + r"\Z", output)
    assert f" --trust {name}\n" in output  # the next command trusts the module of the example
    assert list(tmp_path.glob("runs/*/checkpoints/last.ckpt"))
