"""Every example runs, on few images."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples"

SAYS = {
    "hinge_gan": r"\(4, 1, 8, 8\), from -?[01].\d\d to -?[01].\d\d\n",
    "zuko_flow": r"-?\d.\d{3} nats per point; .* 0.059\n",
}
"""What each says at last."""

NEEDS = {"zuko_flow": "zuko"}
"""What an example needs that this package does not."""


def imported(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of an example, under its own name, so that its classes can be loaded."""
    specification = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, name, module)
    specification.loader.exec_module(module)
    return module


def test_every_example_is_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SAYS)


@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"the example needs {NEEDS[name]}: pip install {NEEDS[name]}")
    monkeypatch.chdir(tmp_path)
    imported(name, monkeypatch).main(2560)
    said = capsys.readouterr().out
    assert re.search(SAYS[name] + r"\Z", said)
    assert f" --trust {name} . evaluate" in said  # as its classes are
    assert list(tmp_path.glob("runs/*/checkpoints/last.ckpt"))
