"""Compare the output of `list` with the classes and the files that exist."""

import inspect
import re
from abc import ABC
from pathlib import Path

import pytest
import yaml

from lightning_gans import datamodules, models
from lightning_gans.__main__ import main
from lightning_gans.listing import classes, listing
from lightning_gans.recipes import NOT_MEASURED, recipes

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


def test_the_list_shows_every_model_data_set_and_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert out == listing() + "\n"
    titles = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert [title.partition(":")[0] for title in titles] == [
        "models (fit --model NAME)",
        "data (fit --data NAME)",
        "recipes (fit --config NAME)",
    ]
    names = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert sorted(names) == sorted([*models.__all__, *data_sets(), *recipes()])


def data_sets() -> list[str]:
    """Return the data modules that can be trained on, without base classes."""
    exported = [getattr(datamodules, name) for name in datamodules.__all__]
    concrete = [cls for cls in exported if issubclass(cls, datamodules.DataModule) and ABC not in cls.__bases__]
    return [cls.__name__ for cls in concrete]


@pytest.mark.parametrize("name", recipes())
def test_the_list_shows_the_model_the_data_the_time_and_the_scores_of_a_recipe(name: str) -> None:
    text = recipes()[name].read_text()
    content = yaml.safe_load(text)
    _, command, measured, *_ = text.splitlines()
    (row,) = [line for line in listing().splitlines() if line.split()[:1] == [name]]
    _, model, data, time, *scores = re.split(r"  +", row.strip())
    _, _, options = command.partition(f"--config {name}")
    assert [model, data] == [content["model"]["class_path"], content["data"]["class_path"] + options]
    line = f"# About {time} on two cores{''.join(f': {score}' for score in scores)}."
    assert measured == (NOT_MEASURED if time == "not measured" else line)
