"""Settings of an optimizer's parameter groups: schedules, and the settings of a run that resumes from a checkpoint."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from lightning_gans.core.schedules import Schedule

Settings = list[dict[str, Any]]
"""The settings of each parameter group, by name."""


def apply_schedules(optimizer: torch.optim.Optimizer, schedules: Mapping[str, Schedule], images: int) -> None:
    """Set the scheduled settings of every parameter group to their values after a number of images.

    Args:
        optimizer: The optimizer, which is changed.
        schedules: Schedules by the name of a setting (`lr`, `momentum`, `weight_decay`, ...), or `beta1` and `beta2`.
        images: Images seen, over all devices.

    Raises:
        ValueError: If the optimizer has no such setting.

    Example:
        >>> from lightning_gans.core.schedules import Linear
        >>> adam = torch.optim.Adam([torch.zeros(1)])
        >>> apply_schedules(adam, {"beta1": Linear(0.9, 0.5, images=100)}, images=100)
        >>> adam.param_groups[0]["betas"]
        (0.5, 0.999)
    """
    for group in optimizer.param_groups:
        for name, schedule in schedules.items():
            if name in ("beta1", "beta2") and "betas" in group:
                beta1, beta2 = group["betas"]
                group["betas"] = (schedule(images), beta2) if name == "beta1" else (beta1, schedule(images))
            elif name in group and name != "params":
                group[name] = schedule(images)
            else:
                names = sorted(group.keys() - {"params"}) + ["beta1", "beta2"] * ("betas" in group)
                raise ValueError(
                    f"there is a schedule for {name!r}, but {type(optimizer).__name__} has only {', '.join(names)}"
                )


def hyperparameters(optimizer: torch.optim.Optimizer) -> Settings:
    """Copy the settings of each parameter group.

    Example:
        >>> hyperparameters(torch.optim.Adam([torch.zeros(1)], lr=0.1))[0]["lr"]
        0.1
    """
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


def without_scheduled(settings: Settings, schedules: Iterable[str]) -> Settings:
    """Remove the scheduled settings.

    Args:
        settings: Settings of each parameter group; they are not changed.
        schedules: Names of the scheduled settings, as in `apply_schedules`.

    Example:
        >>> without_scheduled([{"lr": 1e-4, "betas": (0.5, 0.9), "eps": 1e-8}], ["lr", "beta1"])
        [{'eps': 1e-08}]
    """
    scheduled = {*schedules} | ({"betas"} if {"beta1", "beta2"} & {*schedules} else set())
    return [{name: value for name, value in group.items() if name not in scheduled} for group in settings]


def restore_overridden(optimizer: torch.optim.Optimizer, settings: Settings, saved: Settings) -> None:
    """Restore the settings that a resumed run has overridden.

    Loading a checkpoint replaces all settings of an optimizer. A setting that differs between this run and the saved
    run gets the value of this run. All other settings keep the value of the checkpoint, because some optimizers count
    their steps in their settings.

    Args:
        optimizer: The optimizer after the checkpoint was loaded; it is changed.
        settings: Initial settings of this run's optimizer.
        saved: Initial settings of the saved run's optimizer without the scheduled ones; [] if they are unknown.

    Example:
        >>> adam = torch.optim.Adam([torch.zeros(1)], lr=1e-4)
        >>> settings = hyperparameters(adam)
        >>> adam.param_groups[0] |= {"lr": 1.0, "eps": 1e-6}
        >>> restore_overridden(adam, settings, [{**settings[0], "lr": 1.0}])
        >>> adam.param_groups[0]["lr"], adam.param_groups[0]["eps"]
        (0.0001, 1e-06)
    """
    for group, initial, before in zip(optimizer.param_groups, settings, saved or [{}] * len(settings), strict=True):
        group.update({name: value for name, value in initial.items() if name not in before or before[name] != value})


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """List the parameters of all parameter groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
