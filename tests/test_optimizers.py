"""Optimizers with published defaults, and schedules of their settings."""

import inspect
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import nn

from lightning_gans.core import optimizers
from lightning_gans.core.optimizer_settings import apply_schedules
from lightning_gans.core.optimizers import (
    DCGANAdam,
    GoodfellowSGD,
    InfoGANAdam,
    LSGANAdam,
    MADEAdam,
    OptimizerFactory,
    PixelCNNAdam,
    Published,
    R3GANAdam,
    SemiSupervisedAdam,
    SNGANAdam,
    WGANGPAdam,
)
from lightning_gans.core.schedules import Linear

ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False, "fused": None}
SGD = {"lr": 1e-3, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "fused": None}
PUBLISHED = [
    (DCGANAdam, {**ADAM, "lr": 2e-4, "betas": (0.5, 0.999)}),
    (WGANGPAdam, {**ADAM, "lr": 1e-4, "betas": (0.5, 0.9)}),
    (InfoGANAdam, {**ADAM, "lr": 1e-3, "betas": (0.5, 0.999)}),
    (SNGANAdam, {**ADAM, "lr": 2e-4, "betas": (0.0, 0.9)}),
    (LSGANAdam, {**ADAM, "lr": 1e-3, "betas": (0.5, 0.999)}),
    (R3GANAdam, {**ADAM, "lr": 2e-4, "betas": (0.0, 0.9)}),
    (SemiSupervisedAdam, {**ADAM, "lr": 3e-3, "betas": (0.5, 0.999)}),
    (MADEAdam, {**ADAM, "lr": 1e-3, "weight_decay": 1e-4}),
    (PixelCNNAdam, {**ADAM, "lr": 1e-3, "betas": (0.95, 0.9995)}),
    (GoodfellowSGD, {**SGD, "lr": 0.1, "momentum": 0.5}),
]
HALF = Linear(0.0, 1.0, images=100)
"""At 50 images it is 0.5."""


def parameters() -> list[nn.Parameter]:
    return list(nn.Linear(3, 2).parameters())


# -- published settings ----------------------------------------------------------------------------------------------


def test_every_published_optimizer_is_tested() -> None:
    classes = {value for value in vars(optimizers).values() if isinstance(value, type) and issubclass(value, Published)}
    assert {optimizer for optimizer, _ in PUBLISHED} == classes - {Published}


@pytest.mark.parametrize(("optimizer", "settings"), PUBLISHED)
def test_the_defaults_are_the_published_ones(optimizer: OptimizerFactory, settings: dict[str, Any]) -> None:
    (group,) = optimizer(parameters()).param_groups
    assert settings.items() <= group.items()


@pytest.mark.parametrize(("optimizer", "settings"), PUBLISHED)
def test_the_signature_shows_the_published_defaults(optimizer: OptimizerFactory, settings: dict[str, Any]) -> None:
    shown = inspect.signature(optimizer).parameters
    assert next(iter(shown)) == "params"
    assert settings.items() <= {name: parameter.default for name, parameter in shown.items()}.items()
    assert all(parameter.annotation is not parameter.empty for parameter in shown.values())


def test_one_setting_changes_and_the_others_keep_their_defaults() -> None:
    for optimizer in (
        DCGANAdam(parameters(), 1e-3),
        DCGANAdam(parameters(), lr=1e-3),
        DCGANAdam(lr=1e-3, params=parameters()),
    ):
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"]) == (1e-3, (0.5, 0.999))
    (group,) = InfoGANAdam(parameters(), 1e-4, (0.1, 0.2)).param_groups
    assert (group["lr"], group["betas"]) == (1e-4, (0.1, 0.2))


def test_a_fused_optimizer_takes_the_same_steps() -> None:
    fused, plain = parameters(), parameters()
    pair = R3GANAdam(fused, fused=True), R3GANAdam(plain)
    assert [optimizer.param_groups[0]["fused"] for optimizer in pair] == [True, None]
    for ours, theirs in zip(fused, plain, strict=True):
        theirs.data.copy_(ours.data)
    for seed in range(3):
        for ours, theirs in zip(fused, plain, strict=True):
            ours.grad = torch.randn(ours.shape, generator=torch.Generator().manual_seed(seed))
            theirs.grad = ours.grad.clone()
        for optimizer in pair:
            optimizer.step()
    torch.testing.assert_close(fused, plain)


def test_a_subclass_of_a_published_optimizer_changes_its_defaults() -> None:
    class Slow(InfoGANAdam, lr=1e-5):
        """Another learning rate."""

    class Same(InfoGANAdam):
        """The same settings."""

    for optimizer, rate in ((Slow, 1e-5), (Same, 1e-3)):
        (group,) = optimizer(parameters()).param_groups
        assert (group["lr"], group["betas"]) == (rate, (0.5, 0.999))
    assert InfoGANAdam(parameters()).param_groups[0]["lr"] == 1e-3


def test_a_subclass_keeps_its_own_constructor() -> None:
    class Own(WGANGPAdam):
        """A constructor of its own."""

        def __init__(self, params: Any, scale: float = 2.0) -> None:
            super().__init__(params, lr=scale * 1e-3)

    class Scaled(Own, scale=3.0):
        """Another default of that constructor."""

    (group,) = Own(parameters()).param_groups
    assert (group["lr"], group["betas"]) == (2e-3, (0.5, 0.9))
    (group,) = Scaled(parameters()).param_groups
    assert (group["lr"], group["betas"]) == (pytest.approx(3e-3), (0.5, 0.9))


def test_a_constructor_that_passes_settings_on_accepts_those_of_its_base() -> None:
    class Passing(Published, torch.optim.Adam):
        """A constructor without named settings."""

        def __init__(self, params: Any, **kwargs: Any) -> None:
            super().__init__(params, **kwargs)

    class Slow(Passing, lr=1e-5):
        """A default of the base class."""

    assert Slow(parameters()).param_groups[0]["lr"] == 1e-5
    assert Slow(parameters(), lr=2e-5).param_groups[0]["lr"] == 2e-5


@pytest.mark.parametrize("name", ["learning_rate", "params", "self"])
def test_an_unknown_setting_is_refused(name: str) -> None:
    message = f"Wrong has no setting '{name}', only lr, betas, eps, weight_decay, "
    with pytest.raises(TypeError, match=message):
        type("Wrong", (Published, torch.optim.Adam), {}, **{name: 1.0})
    with pytest.raises(TypeError, match="learning_rate"):
        DCGANAdam(parameters(), learning_rate=1.0)  # type: ignore[call-arg]


class Holder:
    """Class with an optimizer factory, as the command line sees a model."""

    def __init__(self, optimizer: OptimizerFactory = InfoGANAdam) -> None:
        self.optimizer = optimizer


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # newer versions of jsonargparse rename the method
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"lr": 1e-3, "betas": (0.5, 0.999)}),
        (["--model.optimizer.lr", "1e-4"], {"lr": 1e-4, "betas": (0.5, 0.999)}),
        (["--model.optimizer.fused=true"], {"lr": 1e-3, "betas": (0.5, 0.999), "fused": True}),
        (["--config={model: {optimizer: {betas: [0.1, 0.2]}}}"], {"lr": 1e-3, "betas": (0.1, 0.2)}),
    ],
)
def test_the_command_line_changes_settings(
    arguments: list[str], expected: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = ArgumentParser()
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(Holder, "model")
    (group,) = parser.instantiate_classes(parser.parse_args(arguments)).model.optimizer(parameters()).param_groups
    assert expected.items() <= group.items()
    with pytest.raises(SystemExit):
        parser.parse_args([*arguments, "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)["model"]["optimizer"]["init_args"]
    assert {name: list(value) if name == "betas" else value for name, value in expected.items()}.items() <= (
        printed.items()
    )


# -- schedules of settings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "schedules", "expected"),
    [
        (DCGANAdam, {"lr": HALF}, {"lr": 0.5, "betas": (0.5, 0.999)}),
        (DCGANAdam, {"beta1": HALF}, {"betas": (0.5, 0.999)}),
        (WGANGPAdam, {"beta2": HALF}, {"betas": (0.5, 0.5)}),
        (WGANGPAdam, {"beta1": HALF, "beta2": Linear(0.0, 0.4, images=100)}, {"betas": (0.5, 0.2)}),
        (GoodfellowSGD, {"momentum": HALF, "weight_decay": HALF}, {"momentum": 0.5, "weight_decay": 0.5, "lr": 0.1}),
    ],
)
def test_schedules_drive_settings_by_name(
    optimizer: OptimizerFactory, schedules: Mapping[str, Linear], expected: dict[str, Any]
) -> None:
    scheduled = optimizer([{"params": parameters()}, {"params": parameters()}])
    apply_schedules(scheduled, schedules, images=50)
    assert len(scheduled.param_groups) == 2
    for group in scheduled.param_groups:
        assert expected.items() <= group.items()


@pytest.mark.parametrize(
    ("optimizer", "name", "message"),
    [
        (
            GoodfellowSGD,
            "beta1",
            "there is a schedule for 'beta1', but GoodfellowSGD has only dampening, differentiable, foreach, fused, lr,"
            " maximize, momentum, nesterov, weight_decay",
        ),
        (DCGANAdam, "momentum", "there is a schedule for 'momentum', but DCGANAdam has only .*, beta1, beta2$"),
        (DCGANAdam, "params", "there is a schedule for 'params', but DCGANAdam has only amsgrad, "),
    ],
)
def test_a_schedule_of_an_unknown_setting_is_refused(optimizer: OptimizerFactory, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply_schedules(optimizer(parameters()), {name: HALF}, images=50)
