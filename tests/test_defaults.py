"""A default that changes later does not change an object that was recorded before."""

import functools
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import jsonargparse
import pytest
import torch
from torch import nn

from lightning_gans import datamodules, models
from lightning_gans.core import optimizers, schedules
from lightning_gans.core.defaults import default_arguments, factory_defaults
from lightning_gans.core.recording import (
    Recorded,
    deserialize,
    deserialize_arguments,
    modules_in,
    serialize,
    serialize_object,
)
from lightning_gans.core.schedules import Exponential
from lightning_gans.networks.dcgan import DCGANGenerator


class Base(Recorded):
    def __init__(self, first: Any, *, second: Any = 2, fourth: Any = 4, **others: Any) -> None:
        self.seen = {"first": first, "second": second, "fourth": fourth, **others}


class Derived(Base):
    def __init__(self, *, second: int = 3, **kwargs: Any) -> None:
        super().__init__(7, second=second + 1, **kwargs)


# -- the defaults of a class ---------------------------------------------------------------------------------------


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


# -- defaults of classes and objects -------------------------------------------------------------------------------


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
    torch.save(value, tmp_path / "record.ckpt")
    return torch.load(tmp_path / "record.ckpt", weights_only=True)


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
    assert modules_in(record["partial"]) == {"test_defaults"}
