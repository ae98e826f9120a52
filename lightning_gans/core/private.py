"""Access to the private names of Lightning and jsonargparse; `tests/test_private.py` guards each of them."""

import argparse
import collections
import functools
import time
from collections.abc import Mapping
from contextvars import ContextVar
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import pytorch_lightning as pl
import torch
from jsonargparse import _typehints
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch import nn


def count_batch(trainer: pl.Trainer) -> None:
    """Increase Lightning's `global_step` by one batch.

    Under manual optimization Lightning counts every `step()` of every optimizer
    (Lightning-AI/pytorch-lightning#17958). A GAN would then reach `max_steps` in half the batches of other models, and
    the number would depend on `discriminator_steps`.
    """
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.increment_ready()
    progress.increment_completed()


def set_max_steps(trainer: pl.Trainer, max_steps: int) -> None:
    """Change the number of batches after which training ends; `trainer.should_stop` would log the last step twice."""
    trainer.fit_loop.epoch_loop.max_steps = max_steps


def data_state_key(data: object) -> str:
    """Return the key under which Lightning stores the state of a data module in a checkpoint."""
    return type(data).__qualname__


def align_loop_progress(checkpoint: dict[str, Any], loader: Mapping[str, Any], *, batches_seen: int) -> None:
    """Set Lightning's counts in a checkpoint to the state of the training loader and to the clock of batches.

    The counts that Lightning saves depend on the hook that saves them, and some are misread. After a run that ended at
    the end of an epoch, the next epoch would end after one batch. `position` is the number of completed batches in
    epoch `epoch`; it is 0 before the first batch and at the end.

    Args:
        checkpoint: A checkpoint of Lightning, changed in place.
        loader: The state of the training loader: `epoch`, `position`, `examples` and `batch_size`.
        batches_seen: Batches of training so far.
    """
    epoch, position = loader["epoch"], loader["position"]
    at_end = position >= loader["examples"] // loader["batch_size"]
    within = position > 0 and not at_end
    loops = checkpoint["loops"]["fit_loop"]
    for state in loops["state_dict"].get("combined_loader", []):
        state.update({key: loader[key] for key in ("epoch", "position") if key in state})
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] = batches_seen
    progress = loops["epoch_loop.batch_progress"]
    progress["total"] = dict.fromkeys(progress["total"], batches_seen)
    progress["current"] = dict.fromkeys(progress["current"], position if within else 0)
    progress["is_last_batch"] = False
    for counts in (loops["epoch_progress"]["total"], loops["epoch_progress"]["current"]):
        counts.update(dict.fromkeys(counts, epoch + at_end))
        if within:
            counts["ready"] = counts["started"] = epoch + 1


def uses_grad_scaler(trainer: pl.Trainer) -> bool:
    """Report whether a GradScaler is active: it increases its scale until gradients overflow, and skips such steps."""
    plugin = trainer.precision_plugin
    return isinstance(plugin, MixedPrecision) and plugin.scaler is not None


def unscale(trainer: pl.Trainer, optimizer: torch.optim.Optimizer) -> None:
    """Unscale the gradients of an optimizer that supports AMP scaling within its step, such as a fused one.

    Lightning does not unscale such gradients, and therefore cannot clip them. The scaler records that they are unscaled
    and does not unscale them again.
    """
    plugin = trainer.precision_plugin
    if isinstance(plugin, MixedPrecision) and plugin.scaler and getattr(optimizer, "_step_supports_amp_scaling", False):
        plugin.scaler.unscale_(optimizer)


def replace_experiment(logger: WandbLogger, run: Any) -> None:
    """Let a logger continue in another run of W&B."""
    logger._experiment = run


def unwrap_factory(value: "functools.partial[Any]") -> "functools.partial[Any]":
    """Unwrap a factory that jsonargparse has wrapped, so that a partial of the class itself remains.

    jsonargparse represents a `Callable[..., nn.Module]` of the command line as
    `partial(call_without_instantiate_context, instantiator, cls)`.
    """
    if value.func.__module__.partition(".")[0] != "jsonargparse":
        return value
    _, cls, *args = value.args
    return functools.partial(cls, *args, **value.keywords)


def remove_ddp_reducer(trainer: pl.Trainer, model: pl.LightningModule) -> None:
    """Remove the reducer of DDP; the training step averages the gradients after the backward pass of each player."""
    trainer.strategy.model = model


def copies_the_program(strategy: Strategy) -> bool:
    """Report whether a strategy trains in copies of this process, whose model the caller never receives."""
    return isinstance(strategy, DDPStrategy) and strategy._start_method != "popen"


def val_check_interval(trainer: pl.Trainer) -> float | str:
    """Return the interval of validation; Lightning stores a time in another place."""
    seconds = getattr(trainer, "_val_check_time_interval", None)
    return trainer.val_check_interval if seconds is None else f"{seconds:.0f} s"


def look_on_validation_end(monitor: EarlyStopping | ModelCheckpoint) -> None:
    """Let a callback look at its metric in `on_validation_end` only."""
    if isinstance(monitor, EarlyStopping):
        monitor._check_on_train_epoch_end = False
    else:
        monitor._save_on_train_epoch_end = False


def own_interval(checkpoint: ModelCheckpoint) -> str | None:
    """Return the argument that makes a `ModelCheckpoint` save at an interval other than one epoch; None without it."""
    if checkpoint._train_time_interval is not None:
        return "train_time_interval"
    if checkpoint._every_n_train_steps:
        return "every_n_train_steps"
    return "every_n_epochs" if checkpoint._every_n_epochs > 1 else None


def save_after_interval(trainer: pl.Trainer, checkpoint: ModelCheckpoint) -> None:
    """Save if the `train_time_interval` of a `ModelCheckpoint` has passed.

    Under manual optimization Lightning ignores that argument (PR Lightning-AI/pytorch-lightning#21699).
    """
    interval, start, now = checkpoint._train_time_interval, checkpoint._last_time_checked, time.monotonic()
    if interval is None or start is None:
        return
    if trainer.strategy.broadcast(now - start < interval.total_seconds()):
        return
    checkpoint._last_time_checked = now
    metrics = checkpoint._monitor_candidates(trainer)
    if (checkpoint.monitor is None or checkpoint.monitor in metrics) and not checkpoint._should_skip_saving_checkpoint(
        trainer
    ):
        checkpoint._save_topk_checkpoint(trainer, metrics)
        checkpoint._save_last_checkpoint(trainer, metrics)


def is_lightning_checkpoint(checkpoint: object) -> bool:
    """Report whether an object is the content of a file that `Trainer.save_checkpoint` wrote."""
    return isinstance(checkpoint, Mapping) and "pytorch-lightning_version" in checkpoint and "state_dict" in checkpoint


def plain_name(name: str) -> str:
    """Remove from the name of a weight what `torch.compile(module)` adds to it.

    Example:
        >>> plain_name("generator._orig_mod.layers.0.weight")
        'generator.layers.0.weight'
    """
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def use_plain_names(_: nn.Module, state_dict: dict[str, Any], prefix: str, __: Any) -> None:
    """Rename the weights of compiled networks in a state dict as if they were not compiled; a hook of `state_dict`."""
    for names in (state_dict, getattr(state_dict, "_metadata", {})):
        for name in list(names):  # each name, so that the order is unchanged
            names[plain_name(name) if name.startswith(prefix) else name] = names.pop(name)


def with_own_names(module: nn.Module, state_dict: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a state dict with the names that a module has, whichever of its networks are compiled there or here."""
    renamed = collections.OrderedDict((own_name(module, name), value) for name, value in state_dict.items())
    metadata = getattr(state_dict, "_metadata", {})
    vars(renamed)["_metadata"] = {own_name(module, name): value for name, value in metadata.items()}
    return renamed


def own_name(module: nn.Module | None, name: str) -> str:
    """Return the name that a weight has in a module, some of whose parts may be compiled."""
    parts = []
    for part in plain_name(name).split("."):
        while module is not None and "_orig_mod" in module._modules:
            parts.append("_orig_mod")
            module = module._modules["_orig_mod"]
        parts.append(part)
        module = None if module is None else module._modules.get(part)
    return ".".join(parts)


def option_names(parser: argparse.ArgumentParser) -> list[str]:
    """List the options of a parser and of its subcommands."""
    subcommands = [action.choices for action in parser._actions if isinstance(action.choices, dict)]
    parsers = [parser, *(command for choices in subcommands for command in choices.values())]
    return [option for parser in parsers for option in parser._option_string_actions]


class IgnoreCheckpointHyperparameters:
    """Give the command line precedence over a checkpoint: a mixin, listed before `LightningCLI`.

    `LightningCLI` lets the hyperparameters in the checkpoint of `--ckpt_path` silently override the command line (PR
    Lightning-AI/pytorch-lightning#21455).
    """

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration unchanged."""


def patch_class_change() -> None:
    """Make a class that is named on the command line start from its own defaults.

    When one class replaces another, jsonargparse keeps every argument that the new class accepts, including defaults of
    the previous class. `--model WGANGP` in place of DCGAN would then train with DCGAN's batch-normalized discriminator
    and optimizer. With the patch, jsonargparse keeps only given arguments that differ from the previous default.
    """
    discard_unaccepted: Any = _typehints.discard_init_args_on_class_path_change
    if discard_unaccepted.__module__ == __name__:
        return

    def discard_defaults(parser_or_action: Any, previous: Any, present: Any) -> None:
        if previous and "init_args" in previous and previous["class_path"] != present["class_path"]:
            parser_of: Any = _typehints.ActionTypeHint.get_class_parser
            defaults = parser_of(previous["class_path"], {"fail_untyped": False}).get_defaults()
            for name, value in list(previous["init_args"].items(branches=True)):
                default = defaults.get(name)  # a tuple is parsed as a list
                if "." not in name and value in (default, [*default] if isinstance(default, tuple) else default):
                    del previous["init_args"][name]
        discard_unaccepted(parser_or_action, previous, present)

    _typehints.discard_init_args_on_class_path_change = discard_defaults


_IN_UNION: ContextVar[bool] = ContextVar("_IN_UNION", default=False)
"""Whether jsonargparse tries a value against one type of a union."""


def patch_python_values() -> None:
    """Let jsonargparse read values as Python prints them, which sweeps of W&B use: `None` and `1000.0` for an integer.

    `None` means `null` where a type accepts it, and a number without a fraction is an integer where the type accepts
    integers but no other numbers. `True` and `False` need no patch. A default that is both a string and an enumeration
    member, as Lightning's `Timer` has, becomes the string.
    """
    adapt: Any = _typehints.adapt_typehints
    if adapt.__module__ == __name__:
        return

    def adapt_python_value(val: Any, typehint: Any, *args: Any, **kwargs: Any) -> Any:
        is_union = get_origin(typehint) in (Union, UnionType)
        if isinstance(val, str) and isinstance(val, Enum):
            val = val.value
        if not _IN_UNION.get():
            val = _from_python(val, get_args(typehint) if is_union else (typehint,))
        token = _IN_UNION.set(is_union)
        try:
            return adapt(val, typehint, *args, **kwargs)
        finally:
            _IN_UNION.reset(token)

    _typehints.adapt_typehints = adapt_python_value


def _from_python(value: Any, types: tuple[Any, ...]) -> Any:
    """Convert a value to null or to an integer, if it is written as Python prints it and one of the types requires it.

    Example:
        >>> _from_python("1000.0", (int, NoneType)), _from_python("None", (int, NoneType)), _from_python(2.0, (float,))
        (1000, None, 2.0)
    """
    if value == "None" and (NoneType in types or Any in types):
        return None
    if int in types and float not in types and isinstance(value, str | float):
        try:
            number = float(value)
        except ValueError:
            return value
        if number.is_integer() and not (isinstance(value, str) and value.strip().lstrip("+-").isdigit()):
            return int(number)
    return value
