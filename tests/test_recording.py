"""From constructor arguments to plain data and back."""

import functools
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lightning_gans.core.class_paths import import_class, importable_path
from lightning_gans.core.recording import (
    Recorded,
    deserialize,
    serialize,
    serialize_arguments,
    unserializable,
)
from lightning_gans.core.schedules import Linear
from lightning_gans.errors import UnserializableError
from lightning_gans.networks.mlp import MLPGenerator


class Base(Recorded):
    def __init__(self, first: Any, *, second: Any = 2, **others: Any) -> None:
        self.seen = {"first": first, "second": second, **others}


class Derived(Base):
    def __init__(self, *, second: int = 3, **kwargs: Any) -> None:
        super().__init__(7, second=second + 1, **kwargs)


class Outer:
    class Inner(nn.Linear):
        """A class inside another."""


Pair = namedtuple("Pair", "a b")


def test_only_what_was_given_is_recorded() -> None:
    assert Base(1).init_args == {"first": 1}
    assert Base(1, second=5, third=6).init_args == {"first": 1, "second": 5, "third": 6}
    assert Base(first=1).init_args == {"first": 1}


def test_a_subclass_records_its_own_arguments_not_those_it_hands_up() -> None:
    derived = Derived(second=4, third=5)
    assert derived.init_args == {"second": 4, "third": 5}
    assert derived.seen == {"first": 7, "second": 5, "third": 5}


def test_a_wrong_argument_fails_in_pythons_words() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'first'"):
        Base()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.5,
        "text",
        [1, [2.0, None]],
        (1, (2, "a")),
        {"a": {"b": (0.5, 0.9)}, 3: [True]},
        nn.Linear,
        torch.optim.SGD,
        Outer.Inner,
        {"lr": nn.Linear},
    ],
    ids=str,
)
def test_a_description_gives_the_value_back(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "record.ckpt"
    torch.save(serialize(value), path)
    loaded = deserialize(torch.load(path, weights_only=True))
    assert loaded == value
    assert type(loaded) is type(value)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Path("a/b"), str(Path("a/b"))),
        (np.float64(0.5), 0.5),
        (torch.Size([1, 8, 8]), (1, 8, 8)),
        (np.str_("text"), "text"),
        (Pair(1, 2), (1, 2)),
    ],
)
def test_special_kinds_become_plain_ones(value: Any, plain: Any, tmp_path: Path) -> None:
    description = serialize(value)
    assert description == plain
    torch.save(description, tmp_path / "record.ckpt")
    assert torch.load(tmp_path / "record.ckpt", weights_only=True) == plain


def test_a_partial_comes_back_with_its_arguments() -> None:
    partial = deserialize(serialize(functools.partial(nn.Linear, 2, bias=False)))
    assert (partial.func, partial.args, partial.keywords) == (nn.Linear, (2,), {"bias": False})


def test_partials_nest() -> None:
    inner = functools.partial(nn.Linear, bias=False)
    outer = deserialize(serialize(functools.partial(functools.partial(MLPGenerator, width=8), block=[inner])))
    assert outer.func is MLPGenerator
    assert outer.keywords["width"] == 8
    assert outer.keywords["block"][0].func is nn.Linear
    assert outer.keywords["block"][0].keywords == {"bias": False}


def test_recorded_objects_come_back() -> None:
    schedule = deserialize(serialize({"lr": Linear(1.0, 0.5, images=100)}))["lr"]
    assert isinstance(schedule, Linear)
    assert schedule(50) == 0.75


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (lambda: None, "neither plain data, a class nor a partial of a class"),
        (functools.partial(max, 1), "a partial of <built-in function max>, which is not a class"),
        (nn.Linear(1, 1), "neither plain data"),
        (torch.zeros(1), "neither plain data"),
        ([{"deep": print}], "neither plain data"),
    ],
)
def test_what_has_no_description_says_so(value: Any, reason: str) -> None:
    with pytest.raises(UnserializableError, match=reason):
        serialize(value)


def test_a_class_inside_a_function_has_no_path() -> None:
    class Local(nn.Module):
        """Nobody can import it."""

    with pytest.raises(UnserializableError, match=r"<locals>\.Local is defined inside a function"):
        importable_path(Local)


def test_an_argument_without_description_is_marked_and_the_rest_kept() -> None:
    record = serialize_arguments({"width": 3, "generator": lambda: None})
    assert record["width"] == 3
    assert unserializable(record) == ["generator"]


@pytest.mark.parametrize(
    "path",
    ["os.system", "subprocess.Popen", "builtins.eval", "builtins.dict", "torch.load", "torch.nn.Linear.forward"],
)
def test_what_is_no_part_of_a_model_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=f"names '{path}', which is refused: it is not a subclass of Module or Optim"):
        deserialize({"__partial__": path, "args": [], "init_args": {}})
    with pytest.raises(ValueError, match=f"names '{path}', which is refused: it is not a subclass of Module or Optim"):
        deserialize({"__class__": path})
    with pytest.raises(ValueError, match=f"names '{path}', which is refused: it is not a subclass of Recorded"):
        deserialize({"__class__": path, "init_args": {}})


def test_a_module_that_nobody_imported_is_refused_and_stays_unimported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stranger.py").write_text("raise SystemExit('executed')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"trust it: load\(\.\.\., trust=\['stranger'\]\), --trust stranger"):
        import_class("stranger.Net", nn.Module)
    with pytest.raises(SystemExit, match="executed"):
        import_class("stranger.Net", nn.Module, trust=["stranger"])


def test_trust_is_for_whole_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strangers.py").write_text("raise SystemExit('executed')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="whose module is not imported"):
        import_class("strangers.Net", nn.Module, trust=["stranger", "strangers2", "strange"])


def test_a_class_inside_another_is_found_in_a_trusted_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nested.py").write_text("import torch\nclass Outer:\n    class Inner(torch.nn.Module): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert import_class("nested.Outer.Inner", nn.Module, trust=["nested"]).__qualname__ == "Outer.Inner"


def test_a_class_that_is_gone_is_named() -> None:
    for path in ("lightning_gans.models.Gone", "lightning_gans.gone.Gone"):
        with pytest.raises(ValueError, match=f"names the class '{path}', which does not exist"):
            import_class(path, nn.Module)


@pytest.mark.parametrize("source", [None, "import nowhere_to_be_found\n"])
def test_a_trusted_module_that_cannot_be_imported_is_not_asked_to_be_trusted(
    source: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source is not None:
        (tmp_path / "incomplete.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises((ValueError, ImportError)) as error:
        import_class("incomplete.Net", nn.Module, trust=["incomplete"])
    assert f"No module named '{'incomplete' if source is None else 'nowhere_to_be_found'}'" in str(error.value)
    assert "trust=" not in str(error.value)
