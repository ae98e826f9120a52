"""Every private name of Lightning and jsonargparse that this project touches; `tests/test_private.py` guards each."""

import argparse
import functools
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from jsonargparse import _typehints
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.plugins import MixedPrecision


def count_batch(trainer: pl.Trainer) -> None:
    """Let Lightning's `global_step` count one batch.

    Under manual optimization Lightning counts every `step()` of every optimizer
    (Lightning-AI/pytorch-lightning#17958), so that `max_steps` would be reached twice as early as in any other model
    and would mean something else for every `discriminator_steps`.
    """
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.increment_ready()
    progress.increment_completed()


def align_loop_progress(checkpoint: dict[str, Any]) -> None:
    """Let Lightning's counts of a checkpoint say what the loader and the clock of batches say.

    What Lightning saves depends on the hook that saved, and it misreads some of it: after a run that ended with an
    epoch, the next epoch would end after one batch. Where our loader's state is in the checkpoint, the counts follow
    from it: `position` batches of epoch `epoch` are done, or, at its end or before its first batch, none.
    """
    loader = next((state for state in checkpoint.values() if isinstance(state, dict) and "position" in state), None)
    if loader is None:
        return
    epoch, position = loader["epoch"], loader["position"]
    over = position >= loader["examples"] // loader["batch_size"]
    within = position > 0 and not over
    done, batches = checkpoint["lightning_gans"]["batches_seen"], position if within else 0
    loops = checkpoint["loops"]["fit_loop"]
    for place in loops["state_dict"].get("combined_loader", []):
        place.update({key: loader[key] for key in ("epoch", "position") if key in place})
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] = done
    progress = loops["epoch_loop.batch_progress"]
    progress["total"] = dict.fromkeys(progress["total"], done)
    progress["current"] = dict.fromkeys(progress["current"], batches)
    progress["is_last_batch"] = False
    for counts in (loops["epoch_progress"]["total"], loops["epoch_progress"]["current"]):
        counts.update(dict.fromkeys(counts, epoch + over))
        if within:
            counts["ready"] = counts["started"] = epoch + 1


def uses_grad_scaler(trainer: pl.Trainer) -> bool:
    """Whether a GradScaler is at work, which tries scales until gradients overflow, and skips those steps."""
    plugin = trainer.precision_plugin
    return isinstance(plugin, MixedPrecision) and plugin.scaler is not None


def unscale(trainer: pl.Trainer, optimizer: torch.optim.Optimizer) -> None:
    """Unscale the gradients of an optimizer that would do it within its own step, as fused ones do.

    Lightning leaves theirs scaled, as it cannot clip them then; the scaler's step knows what was unscaled.
    """
    plugin = trainer.precision_plugin
    if isinstance(plugin, MixedPrecision) and plugin.scaler and getattr(optimizer, "_step_supports_amp_scaling", False):
        plugin.scaler.unscale_(optimizer)


def replace_experiment(logger: WandbLogger, run: Any) -> None:
    """Let a logger go on in another run of W&B."""
    logger._experiment = run


def unwrap_factory(value: "functools.partial[Any]") -> "functools.partial[Any]":
    """Undo the wrapping of a factory that the command line made: what is left is a partial of the class itself.

    jsonargparse hands `Callable[..., nn.Module]` over as
    `partial(call_without_instantiate_context, instantiator, cls)`.
    """
    if value.func.__module__.partition(".")[0] != "jsonargparse":
        return value
    _, cls, *args = value.args
    return functools.partial(cls, *args, **value.keywords)


def remove_ddp_reducer(trainer: pl.Trainer, model: pl.LightningModule) -> None:
    """Take DDP's reducer away: the step averages gradients itself, after each player's own backward."""
    trainer.strategy.model = model


def is_lightning_checkpoint(checkpoint: object) -> bool:
    """Whether this is what `Trainer.save_checkpoint` wrote."""
    return isinstance(checkpoint, Mapping) and "pytorch-lightning_version" in checkpoint and "state_dict" in checkpoint


def option_names(parser: argparse.ArgumentParser) -> list[str]:
    """The options of a parser and of its verbs."""
    verbs = [action.choices for action in parser._actions if isinstance(action.choices, dict)]
    parsers = [parser, *(verb for choices in verbs for verb in choices.values())]
    return [option for parser in parsers for option in parser._option_string_actions]


def patch_class_change() -> None:
    """Let a class that is named on the command line start from its own defaults.

    jsonargparse keeps every argument that the new class accepts, too, when one class takes another's place, the previous
    class's defaults among them: `--model WGANGP` in place of DCGAN would train with DCGAN's batch-normalized
    discriminator and optimizer. What was given, and differs from the previous default, is still kept.
    """
    keep_what_fits: Any = _typehints.discard_init_args_on_class_path_change
    if keep_what_fits.__module__ == __name__:
        return

    def keep_what_was_given(parser_or_action: Any, previous: Any, present: Any) -> None:
        if previous and "init_args" in previous and previous["class_path"] != present["class_path"]:
            parser_of: Any = _typehints.ActionTypeHint.get_class_parser
            defaults = parser_of(previous["class_path"], {"fail_untyped": False}).get_defaults()
            for name, value in list(previous["init_args"].items(branches=True)):
                if "." not in name and defaults.get(name) == value:
                    del previous["init_args"][name]
        keep_what_fits(parser_or_action, previous, present)

    _typehints.discard_init_args_on_class_path_change = keep_what_was_given
