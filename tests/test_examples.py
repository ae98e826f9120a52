"""Run every example on few images."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

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


NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def outputs(notebook: Any) -> list[Any]:
    """Return the outputs of all cells."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def images_of(notebook: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_shows_samples(name: str, tmp_path: Path) -> None:
    """It trains on fewer images; its lines are few, and none is Lightning's."""
    notebook = nbformat.read(FOLDER / name, as_version=4)
    for cell in notebook.cells:
        cell.source = re.sub(r"\d+_000\b", "640", cell.source)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    assert images_of(notebook) == 3  # of training, of the loaded model, and of paths between latents
    assert list(tmp_path.glob("runs/*/checkpoints/last.ckpt"))
    texts = [output.get("text", output.get("data", {}).get("text/plain", "")) for output in outputs(notebook)]
    lines = "".join(texts).splitlines()
    assert len(lines) < 25
    assert not [line for line in lines if "Tip" in line or "available" in line]
    assert not [output for output in outputs(notebook) if output.output_type in ("stream", "error")]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_outputs_of_a_notebook_are_committed_and_small(name: str) -> None:
    notebook = nbformat.read(FOLDER / name, as_version=4)
    assert images_of(notebook) == 3
    assert (FOLDER / name).stat().st_size < 120_000
    assert str(Path.home()) not in (FOLDER / name).read_text()
