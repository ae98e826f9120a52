"""What `list` prints, against what is really there."""

import inspect
from pathlib import Path

import pytest

from lightning_gans import datamodules, models
from lightning_gans.__main__ import main
from lightning_gans.listing import classes, listing, recipes

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("module", [models, datamodules], ids=["models", "data"])
def test_every_public_class_is_listed_with_its_first_sentence(module: object) -> None:
    described = classes(module.__name__)  # type: ignore[attr-defined]
    assert sorted(described) == sorted(module.__all__)  # type: ignore[attr-defined]
    for name, sentence in described.items():
        written = inspect.cleandoc(getattr(module, name).__doc__).partition("\n\n")[0]
        assert sentence == " ".join(written.split())
        assert sentence.endswith(".")


def test_every_recipe_is_found_by_name() -> None:
    files = {path.stem: path.resolve() for path in (ROOT / "configs").glob("*.yaml")}
    assert {name: path.resolve() for name, path in recipes().items()} == files


def test_the_list_shows_everything_that_has_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert out == listing() + "\n"
    titles = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert titles == ["models", "data", "recipes"]
    names = {line.split()[0] for line in out.splitlines() if line.startswith("  ")}
    assert names == {*models.__all__, *datamodules.__all__, *recipes()} - {"DataModule", "InMemoryLoader"}
    for name in recipes():
        assert f"python -m lightning_gans fit --config {name}" in out
