"""Check optimizers before training: the update rule, the state of a checkpoint, and one step that is undone."""

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from lightning_gans.core.class_paths import class_path
from lightning_gans.core.optimizer_settings import Settings, parameters_of, restore_overridden
from lightning_gans.core.optimizers import OptimizerFactory, Published
from lightning_gans.core.randomness import random_state, set_random_state
from lightning_gans.errors import one_line

RESET_HINT = "or start all optimizers afresh by `--run.reset_optimizers true`"


def describe_optimizer(optimizer: Optimizer) -> dict[str, str]:
    """Describe the class of an optimizer, and the class of its update rule, for a checkpoint.

    A `Published` optimizer has the update rule of the class whose defaults it changes.

    Example:
        >>> from lightning_gans.core.optimizers import DCGANAdam
        >>> describe_optimizer(DCGANAdam([torch.zeros(1)]))
        {'class': 'lightning_gans.core.optimizers.DCGANAdam', 'rule': 'torch.optim.adam.Adam'}
    """
    rule = next(base for base in type(optimizer).__mro__ if not issubclass(base, Published))
    return {"class": class_path(type(optimizer)), "rule": class_path(rule)}


def create_optimizer(factory: OptimizerFactory, weights: Iterable[nn.Parameter], option: str) -> Optimizer:
    """Create an optimizer.

    Args:
        factory: Factory of the optimizer.
        weights: The weights of the player.
        option: Option of the optimizer, for the message.

    Raises:
        ValueError: A setting is wrong, or the `step` of the optimizer requires a closure.
    """
    try:
        optimizer = factory(weights)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"`{option}` cannot be created: {one_line(error)}") from error
    parameters = inspect.signature(optimizer.step).parameters
    if "closure" in parameters and parameters["closure"].default is inspect.Parameter.empty:
        raise ValueError(
            f"`{option}` {type(optimizer).__name__} computes the loss several times per step (a closure),"
            " which the training of players does not support: choose another optimizer, such as torch.optim.Adam"
        )
    return optimizer


def check_rule(optimizer: Optimizer, option: str, saved: dict[str, str]) -> None:
    """Check that an optimizer has the update rule whose state a checkpoint holds.

    Args:
        optimizer: The optimizer.
        option: Option of the optimizer, for the message.
        saved: Description of the saved optimizer, by `describe_optimizer`.

    Raises:
        ValueError: The update rules differ.
    """
    if describe_optimizer(optimizer)["rule"] != saved["rule"]:
        previous = saved["class"].rpartition(".")[2]
        raise ValueError(
            f"`{option}` is {type(optimizer).__name__}, but the checkpoint holds the state of {previous}:"
            f" leave it {previous}, {RESET_HINT}"
        )


def check_dense_step(optimizer: Optimizer, option: str) -> None:
    """Check that an optimizer accepts dense gradients, by a step that is undone.

    Args:
        optimizer: A new optimizer, which is discarded after the check.
        option: Option of the optimizer, for the message.

    Raises:
        ValueError: It needs sparse gradients.
    """
    error = _trial_step(optimizer)
    if isinstance(error, RuntimeError) and "dense gradients" in str(error):
        raise ValueError(
            f"`{option}` {type(optimizer).__name__} needs sparse gradients, but those of networks are dense:"
            " choose another optimizer, such as torch.optim.Adam"
        ) from error


def check_saved_optimizers(
    optimizers: dict[str, Optimizer],
    states: list[dict[str, Any]],
    *,
    settings: list[Settings],
    saved_settings: list[Settings],
    saved_optimizers: list[dict[str, str]],
) -> None:
    """Check that optimizers can continue from the states in a checkpoint.

    Args:
        optimizers: New optimizers by their options, which are discarded after the check.
        states: The saved states, which may be changed.
        settings: Initial settings of the optimizers.
        saved_settings: Initial settings of the saved optimizers without the scheduled ones; [] if they are unknown.
        saved_optimizers: Descriptions of the saved optimizers, by `describe_optimizer`; [] if they are unknown.

    Raises:
        ValueError: A state is of another optimizer, of other groups of weights, or lacks a part.
    """
    if len(states) != len(optimizers):
        raise ValueError(f"the checkpoint has {len(states)} optimizers, but this model {len(optimizers)}")
    for (option, optimizer), saved in zip(optimizers.items(), saved_optimizers, strict=False):
        check_rule(optimizer, option, saved)
    previous = saved_settings or [[] for _ in states]
    for (option, optimizer), state, present, before in zip(optimizers.items(), states, settings, previous, strict=True):
        _load(optimizer, state, option)
        restore_overridden(optimizer, present, before)
        _check_state(optimizer, option)


def _load(optimizer: Optimizer, state: dict[str, Any], option: str) -> None:
    name = type(optimizer).__name__
    for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=False):
        if different := sorted((group.keys() ^ saved.keys()) - {"params", "param_names"}):
            raise ValueError(
                f"`{option}` {name} does not fit the checkpoint, which differs in the settings"
                f" {', '.join(different)}: choose the optimizer of the run, {RESET_HINT}"
            )
    try:
        optimizer.load_state_dict(state)
    except ValueError as error:
        raise ValueError(f"`{option}` {name} does not fit the checkpoint: {error}, {RESET_HINT}") from error


def _check_state(optimizer: Optimizer, option: str) -> None:
    """Check by a step, which is undone, that the loaded state has all parts that the present settings need."""
    error = _trial_step(optimizer)
    if isinstance(error, KeyError):
        raise ValueError(
            f"`{option}` {type(optimizer).__name__} needs the state {error} with its present settings, which the"
            f" checkpoint lacks: leave its settings unchanged, {RESET_HINT}"
        ) from error


def _trial_step(optimizer: Optimizer) -> Exception | None:
    """Step with a gradient of zeros of the smallest weight of each group, and restore weights and random states.

    Returns:
        The error that the step has raised. The weights may not be on the device of the run yet, so the caller decides
        which errors count.
    """
    parameters = [parameter for parameter in parameters_of(optimizer) if not is_lazy(parameter)]
    gradients = [parameter.grad for parameter in parameters]
    smallest = [weight for group in optimizer.param_groups if (weight := _smallest(group["params"])) is not None]
    values = [weight.detach().clone() for weight in smallest]
    random = random_state()
    for parameter in parameters:
        parameter.grad = None
    for weight in smallest:
        weight.grad = torch.zeros_like(weight)
    try:
        optimizer.step()
    except Exception as error:
        return error
    else:
        return None
    finally:
        with torch.no_grad():
            for weight, value in zip(smallest, values, strict=True):
                weight.copy_(value)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        set_random_state(random)


def _smallest(parameters: list[nn.Parameter]) -> nn.Parameter | None:
    trainable = [parameter for parameter in parameters if parameter.requires_grad and not is_lazy(parameter)]
    return min(trainable, key=nn.Parameter.numel, default=None)
