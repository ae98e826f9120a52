"""Published settings as defaults, and schedules of any setting."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from lightning_gans.core.optimizers import (
    DCGANAdam,
    GoodfellowSGD,
    LSGANAdam,
    SNGANAdam,
    WGANGPAdam,
    apply_schedules,
)
from lightning_gans.core.schedules import Linear

HALF = Linear(0.0, 1.0, images=100)
"""At 50 images it is a half."""


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        (DCGANAdam, {"lr": 2e-4, "betas": (0.5, 0.999), "eps": 1e-8, "weight_decay": 0.0}),
        (WGANGPAdam, {"lr": 1e-4, "betas": (0.5, 0.9), "eps": 1e-8, "weight_decay": 0.0}),
        (SNGANAdam, {"lr": 2e-4, "betas": (0.0, 0.9), "eps": 1e-8, "weight_decay": 0.0}),
        (LSGANAdam, {"lr": 1e-3, "betas": (0.5, 0.999), "eps": 1e-8, "weight_decay": 0.0}),
        (GoodfellowSGD, {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.0, "dampening": 0, "nesterov": False}),
    ],
)
def test_the_defaults_are_the_published_ones(optimizer: type[torch.optim.Optimizer], settings: dict[str, Any]) -> None:
    (group,) = optimizer(nn.Linear(1, 1).parameters()).param_groups  # type: ignore[call-arg]
    assert settings.items() <= group.items()


def test_one_setting_changes_and_the_others_stay() -> None:
    (group,) = DCGANAdam(nn.Linear(1, 1).parameters(), lr=1e-3).param_groups
    assert (group["lr"], group["betas"]) == (1e-3, (0.5, 0.999))


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
    optimizer: type[torch.optim.Optimizer], schedules: Mapping[str, Linear], expected: dict[str, Any]
) -> None:
    driven = optimizer([{"params": nn.Linear(1, 1).parameters()}, {"params": nn.Linear(1, 1).parameters()}])  # type: ignore[call-arg]
    apply_schedules(driven, schedules, images=50)
    assert len(driven.param_groups) == 2
    for group in driven.param_groups:
        assert expected.items() <= group.items()


@pytest.mark.parametrize(
    ("optimizer", "name", "text"),
    [
        (
            GoodfellowSGD,
            "beta1",
            "a schedule drives 'beta1', but GoodfellowSGD has only dampening, differentiable, foreach, fused, lr,"
            " maximize, momentum, nesterov, weight_decay",
        ),
        (DCGANAdam, "momentum", "a schedule drives 'momentum', but DCGANAdam has only .*, beta1, beta2$"),
        (DCGANAdam, "params", "a schedule drives 'params', but DCGANAdam has only amsgrad, "),
    ],
)
def test_a_setting_that_is_not_there_is_named(optimizer: type[torch.optim.Optimizer], name: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        apply_schedules(optimizer(nn.Linear(1, 1).parameters()), {name: HALF}, images=50)  # type: ignore[call-arg]
