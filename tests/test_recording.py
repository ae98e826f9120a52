"""Serialization of constructor arguments and of their defaults as plain data, and the way back."""

import functools
from collections import namedtuple
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import jsonargparse
import numpy as np
import pytest
import torch
from torch import nn

from lightning_gans import datamodules, models
from lightning_gans.core import optimizers, schedules
from lightning_gans.core.class_paths import import_class, importable_path
from lightning_gans.core.defaults import default_arguments, factory_defaults
from lightning_gans.core.recording import (
    Recorded,
    deserialize,
    deserialize_arguments,
    modules_in,
    serialize,
    serialize_arguments,
    serialize_object,
    unserializable,
)
from lightning_gans.core.schedules import Exponential, Linear
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


# -- the defaults in effect ----------------------------------------------------------------------------------------


class Network(nn.Module):
    """A network with a default that plain data cannot describe, and a network as a default."""

    def __init__(
        self, size: int, *, depth: int = 2, layer: Any = nn.Linear, block: Any = DCGANGenerator, init: Any = lambda: 0
    ) -> None:
        super().__init__()
        self.depth, self.layer, self.block = depth, layer, block


class SlowSGD(torch.optim.SGD):
    def __init__(self, params: Any, lr: float = 1e-4, **kwargs: Any) -> None:
        super().__init__(params, lr, **kwargs)


DECAY = Exponential(1.0, half_life=5)


class Whole(Derived):
    def __init__(self, *, scale: float = 1.0, network: Any = Network, decay: Any = DECAY, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.network, self.decay = scale, network, decay


class Defaulting(Base):
    """A class that gives a base class another default, which its source does not show plainly."""

    def __init__(self, *, scale: float = 1.0, **kwargs: Any) -> None:
        kwargs.setdefault("second", 9)
        super().__init__(1, **kwargs)


class Merging(Base):
    def __init__(self, *, scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(1, **{"second": 9, **kwargs})


class Passing(Derived):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


def test_the_defaults_are_those_that_a_caller_can_change() -> None:
    assert default_arguments(Base) == {"second": 2, "fourth": 4}
    assert default_arguments(Derived) == default_arguments(Passing) == {"second": 3, "fourth": 4}
    assert default_arguments(Whole).keys() == {"scale", "network", "decay", "second", "fourth"}


@pytest.mark.parametrize("cls", [Defaulting, Merging])
def test_the_defaults_of_a_base_class_are_left_out_where_a_derived_class_may_change_them(cls: type[Base]) -> None:
    assert default_arguments(cls) == {"scale": 1.0}
    assert cls().seen["second"] == 9  # type: ignore[call-arg]


def test_without_a_source_the_defaults_are_those_of_the_class_itself() -> None:
    namespace: dict[str, Any] = {"Base": Base, "__name__": "nowhere"}
    exec("class A(Base):\n  def __init__(self, a, *, b=3, **kwargs):\n    super().__init__(a, **kwargs)", namespace)
    assert default_arguments(namespace["A"]) == {"b": 3}


def test_the_defaults_of_a_factory_leave_out_the_arguments_of_its_caller() -> None:
    assert factory_defaults(Network).keys() == {"depth", "layer", "block", "init"}
    assert factory_defaults(nn.Linear) == {}
    assert factory_defaults(optimizers.DCGANAdam)["betas"] == (0.5, 0.999)
    assert factory_defaults(SlowSGD).keys() == factory_defaults(torch.optim.SGD).keys()
    assert factory_defaults(SlowSGD)["lr"] == 1e-4


PUBLIC = [cls for module in (models, datamodules, schedules) for cls in vars(module).values() if isinstance(cls, type)]


@pytest.mark.parametrize("cls", [cls for cls in PUBLIC if issubclass(cls, Recorded) and cls is not Recorded])
def test_the_defaults_are_those_of_the_command_line(cls: type[Recorded]) -> None:
    """The reference is jsonargparse, which reads the sources as well."""
    parser = jsonargparse.ArgumentParser()
    parser.add_class_arguments(cls, fail_untyped=False)
    names = {action.dest for action in parser._actions if "." not in action.dest} - {"help", "image_shape"}
    parameters = signature(cls.__init__).parameters.values()
    required = {parameter.name for parameter in parameters if parameter.default is Parameter.empty}
    assert default_arguments(cls).keys() == names - required


@pytest.fixture
def record(tmp_path: Path) -> Any:
    """A record of the classes above, before their defaults change."""
    value = {
        "object": serialize_object(Whole(third=5)),
        "network": serialize(Network),
        "partial": serialize(functools.partial(Network, depth=3)),
        "optimizers": serialize([torch.optim.SGD, SlowSGD, functools.partial(SlowSGD, lr=1.0)]),
        "schedule": serialize(Exponential(1.0, half_life=5)),
    }
    return through_a_file(value, tmp_path)


def change(monkeypatch: pytest.MonkeyPatch, cls: type, **defaults: Any) -> None:
    """Give a constructor other defaults."""
    for name, value in defaults.items():
        monkeypatch.setitem(vars(cls)["__init__"].__kwdefaults__, name, value)


def rebuild(record: Any) -> Whole:
    return Whole(**deserialize_arguments(Whole, record["object"]))


def test_unchanged_defaults_are_not_arguments(record: Any) -> None:
    assert deserialize_arguments(Whole, record["object"]) == {"third": 5}
    assert deserialize(record["network"]) is Network
    assert deserialize(record["optimizers"])[:2] == [torch.optim.SGD, SlowSGD]
    assert deserialize(record["partial"]).keywords == {"depth": 3}
    assert deserialize(record["schedule"]).init_args == {"start": 1.0, "half_life": 5}


def test_a_changed_default_of_the_class_does_not_change_a_recorded_object(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, Whole, scale=2.0, decay=None)
    assert Whole(third=5).scale == 2.0
    assert rebuild(record).init_args.keys() == {"third", "scale", "decay"}
    assert rebuild(record).scale == 1.0
    assert rebuild(record).decay(5) == 0.5


def test_a_changed_default_of_a_base_class_does_not_change_a_recorded_object(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`second` is an argument of both classes, and the derived class passes it on; only its default counts."""
    change(monkeypatch, Base, second=20, fourth=40)
    assert Whole(third=5).seen == {"first": 7, "second": 4, "fourth": 40, "third": 5}
    assert rebuild(record).seen == {"first": 7, "second": 4, "fourth": 4, "third": 5}
    change(monkeypatch, Derived, second=30)
    assert Whole(third=5).seen["second"] == 31
    assert rebuild(record).seen == {"first": 7, "second": 4, "fourth": 4, "third": 5}


def test_a_changed_default_of_a_network_does_not_change_a_recorded_factory(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, Network, depth=5, layer=nn.Bilinear)
    assert Network(1).depth == 5
    for network in (deserialize(record["network"])(1), rebuild(record).network(1)):
        assert (network.depth, network.layer) == (2, nn.Linear)
    partial = deserialize(record["partial"])
    assert partial.keywords == {"depth": 3, "layer": nn.Linear}


def test_a_changed_default_of_a_nested_network_does_not_change_a_recorded_factory(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, DCGANGenerator, width=8)
    for network in (deserialize(record["network"])(1), rebuild(record).network(1)):
        assert network.block(4, (1, 8, 8)).state_dict().keys() == DCGANGenerator(4, (1, 8, 8)).state_dict().keys()
        assert network.block.keywords == {"width": 64}
        assert network.depth == 2


def test_a_changed_default_of_an_optimizer_does_not_change_a_recorded_factory(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = list(torch.optim.SGD.__init__.__defaults__ or ())
    monkeypatch.setattr(torch.optim.SGD.__init__, "__defaults__", (0.5, 0.25, *defaults[2:]))  # lr and momentum
    monkeypatch.setattr(SlowSGD.__init__, "__defaults__", (0.75,))
    sgd, slow, given = (factory([nn.Parameter(torch.ones(1))]) for factory in deserialize(record["optimizers"]))
    assert (sgd.defaults["lr"], sgd.defaults["momentum"]) == (1e-3, 0)
    assert (slow.defaults["lr"], slow.defaults["momentum"]) == (1e-4, 0)
    assert (given.defaults["lr"], given.defaults["momentum"]) == (1.0, 0)


def test_a_changed_default_of_a_schedule_does_not_change_a_recorded_schedule(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, Exponential, floor=0.9)
    assert Exponential(1.0, half_life=5)(5) == 0.9
    assert deserialize(record["schedule"])(5) == 0.5
    assert rebuild(record).decay(5) == 0.5


def test_an_unserializable_default_is_left_out(record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "init" not in record["network"]["defaults"]
    change(monkeypatch, Network, init=lambda: 1)
    assert deserialize(record["network"]) is Network


def test_a_replaced_argument_needs_no_recorded_default(record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    change(monkeypatch, Whole, scale=2.0)
    record["object"]["defaults"]["scale"] = {"__class__": "nowhere.Scale"}
    assert deserialize_arguments(Whole, record["object"], replaced=["scale"]) == {"third": 5}
    with pytest.raises(ValueError, match=r"names the class 'nowhere\.Scale', whose module is not imported"):
        rebuild(record)


def test_the_modules_of_defaults_need_no_trust(record: Any) -> None:
    """The module of the class imports them."""
    assert modules_in([{"__class__": "a.B", "defaults": {"c": {"__class__": "d.E"}}}, {"defaults": nn.Linear}]) == {"a"}
    assert modules_in({"__partial__": "a.B", "args": [], "init_args": {"c": {"__class__": "d.E"}}}) == {"a", "d"}
    assert modules_in(record["partial"]) == {"test_recording"}


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
        deserialize({"__class__": importable_path(Network), "defaults": {"layer": {"__class__": path}}})


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
