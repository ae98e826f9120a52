"""Serialization of constructor arguments and of their defaults as plain data, and the way back."""

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
from lightning_gans.networks.dcgan import DCGANGenerator
from lightning_gans.networks.mlp import MLPGenerator


class Base(Recorded):
    def __init__(self, first: Any, *, second: Any = 2, fourth: Any = 4, **others: Any) -> None:
        self.seen = {"first": first, "second": second, "fourth": fourth, **others}


class Derived(Base):
    def __init__(self, *, second: int = 3, **kwargs: Any) -> None:
        super().__init__(7, second=second + 1, **kwargs)


class Outer:
    class Inner(nn.Linear):
        """A class inside another class."""


Pair = namedtuple("Pair", "a b")


# -- the arguments that were given ---------------------------------------------------------------------------------


def test_only_the_given_arguments_are_init_args() -> None:
    assert Base(1).init_args == {"first": 1}
    assert Base(1, second=5, third=6).init_args == {"first": 1, "second": 5, "third": 6}
    assert Base(first=1).init_args == {"first": 1}


def test_a_subclass_records_its_own_arguments_and_not_those_of_the_super_call() -> None:
    derived = Derived(second=4, third=5)
    assert derived.init_args == {"second": 4, "third": 5}
    assert derived.seen == {"first": 7, "second": 5, "third": 5, "fourth": 4}


def test_a_wrong_argument_raises_the_error_of_python() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'first'"):
        Base()  # type: ignore[call-arg]


# -- plain data and back -------------------------------------------------------------------------------------------


def through_a_file(record: Any, path: Path) -> Any:
    """Save plain data and load it without code."""
    torch.save(record, path / "record.ckpt")
    return torch.load(path / "record.ckpt", weights_only=True)


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
        DCGANGenerator,
        Outer.Inner,
        {"lr": nn.Linear},
    ],
    ids=str,
)
def test_a_value_is_the_same_after_the_round_trip(value: Any, tmp_path: Path) -> None:
    loaded = deserialize(through_a_file(serialize(value), tmp_path))
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
def test_special_types_become_plain_types(value: Any, plain: Any, tmp_path: Path) -> None:
    record = serialize(value)
    assert record == plain
    assert through_a_file(record, tmp_path) == plain


def test_a_partial_keeps_its_arguments() -> None:
    partial = deserialize(serialize(functools.partial(nn.Linear, 2, bias=False)))
    assert (partial.func, partial.args, partial.keywords) == (nn.Linear, (2,), {"bias": False})


def test_partials_nest() -> None:
    inner = functools.partial(nn.Linear, bias=False)
    outer = deserialize(serialize(functools.partial(functools.partial(MLPGenerator, width=8), block=[inner])))
    assert outer.func is MLPGenerator
    assert outer.keywords["width"] == 8
    assert outer.keywords["block"][0].func is nn.Linear
    assert outer.keywords["block"][0].keywords == {"bias": False}


def test_recorded_objects_are_rebuilt() -> None:
    schedule = deserialize(serialize({"lr": Linear(1.0, 0.5, images=100)}))["lr"]
    assert isinstance(schedule, Linear)
    assert schedule.init_args == {"start": 1.0, "end": 0.5, "images": 100}
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
def test_an_unserializable_value_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(UnserializableError, match=reason):
        serialize(value)


def test_a_class_inside_a_function_has_no_path() -> None:
    class Local(nn.Module):
        """A class that nobody can import."""

    with pytest.raises(UnserializableError, match=r"<locals>\.Local is defined inside a function"):
        importable_path(Local)


def test_an_unserializable_argument_is_marked_and_the_others_are_kept() -> None:
    record = serialize_arguments({"width": 3, "generator": lambda: None})
    assert record["width"] == 3
    assert unserializable(record) == ["generator"]


# -- classes that may be imported ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["os.system", "subprocess.Popen", "builtins.eval", "builtins.dict", "torch.load", "torch.nn.Linear.forward"],
)
def test_a_class_that_is_not_a_part_of_a_model_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=f"names '{path}', which is refused: it is not a subclass of Module or Optim"):
        deserialize({"__partial__": path, "args": [], "init_args": {}})
    with pytest.raises(ValueError, match=f"names '{path}', which is refused: it is not a subclass of Module or Optim"):
        deserialize({"__class__": path})
    with pytest.raises(ValueError, match=f"names '{path}', which is refused: it is not a subclass of Recorded"):
        deserialize({"__class__": path, "init_args": {}})
    with pytest.raises(ValueError, match=f"names '{path}', which is refused: it is not a subclass of Module or Optim"):
        deserialize({"__class__": importable_path(DCGANGenerator), "defaults": {"width": {"__class__": path}}})


def test_a_module_that_is_not_imported_is_refused_without_importing_it(
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


def test_a_class_that_does_not_exist_is_named() -> None:
    for path in ("lightning_gans.models.Gone", "lightning_gans.gone.Gone"):
        with pytest.raises(ValueError, match=f"names the class '{path}', which does not exist"):
            import_class(path, nn.Module)


@pytest.mark.parametrize("source", [None, "import nowhere_to_be_found\n"])
def test_for_a_trusted_module_that_cannot_be_imported_no_trust_is_suggested(
    source: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source is not None:
        (tmp_path / "incomplete.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises((ValueError, ImportError)) as error:
        import_class("incomplete.Net", nn.Module, trust=["incomplete"])
    assert f"No module named '{'incomplete' if source is None else 'nowhere_to_be_found'}'" in str(error.value)
    assert "trust=" not in str(error.value)
