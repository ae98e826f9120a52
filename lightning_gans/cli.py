"""The command `fit`: LightningCLI with this project's classes, defaults and error messages."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import pytorch_lightning as pl
import yaml
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import CSVLogger

from lightning_gans import models  # noqa: F401 (jsonargparse knows the short names of imported classes only)
from lightning_gans.callbacks import Run
from lightning_gans.callbacks.trainer_access import callbacks_of
from lightning_gans.core import private
from lightning_gans.core.checkpoints import run_of
from lightning_gans.core.model import Model
from lightning_gans.datamodules import DataModule, Vocabulary
from lightning_gans.dry_run import dry_run
from lightning_gans.error_messages import name_option, translate_error
from lightning_gans.errors import NonFiniteError, UsageError, print_error
from lightning_gans.packages import check_packages
from lightning_gans.parameters import parameters
from lightning_gans.recipes import DATA_LINKED_ARGS, changed_options, expand_arguments, missing_value
from lightning_gans.trainer import DEFAULT_CALLBACKS, Trainer

CALLBACK_OPTIONS = {name: callback for callback, name in DEFAULT_CALLBACKS.items() if name is not None}
"""The callbacks with options on the command line, by the prefix of the options: `--samples.every`."""

INVOCATION_OPTIONS: dict[str, Any] = {"ckpt_path": None, "dry_run": None, "run.reset_optimizers": False}
"""Options that belong to one invocation, with their value in `config.yaml`; None leaves them out."""

SEEDS = 2**32
"""Number of seeds that NumPy accepts."""


class Parser(LightningArgumentParser):
    """Parse arguments, and report an error in one line with a suggestion."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the error as a `UsageError`."""
        if not self.exit_on_error:  # a parser inside a parser, which adds to the message
            super().error(message, ex)
        raise UsageError(translate_error(message, private.option_names(self))) from ex


class SaveConfig(SaveConfigCallback):
    """Save the configuration in the run folder and in W&B, as that of a new run."""

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write `config.yaml`, and log the configuration, without the options of this invocation only."""
        config = self.config.clone()
        for name, value in INVOCATION_OPTIONS.items():
            if value is None:
                config.pop(name)
            else:
                config[name] = value
        text = self.parser.dump(config, skip_none=False)
        for run in callbacks_of(trainer, Run):
            run.write_config(text)
        for logger in trainer.loggers:
            if not isinstance(logger, CSVLogger):  # which would write the same values to a second file
                logger.log_hyperparams(yaml.safe_load(text))


class CLI(private.IgnoreCheckpointHyperparameters, LightningCLI):
    """Train any model on any data: `--model`, `--data`, and the options of both."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Provide `fit` only; `lightning_gans.__main__` redirects Lightning's other commands."""
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule", "weights_only"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of the callbacks, the default classes, and the links from the data to the model."""
        for name, callback in CALLBACK_OPTIONS.items():
            parser.add_lightning_class_args(callback, name)
        parser.add_argument(
            "--dry_run",
            type=bool,
            default=False,
            help="Print shapes, numbers of parameters, memory and time of the run, and exit; nothing is saved.",
        )
        parser.set_defaults({"model": {"class_path": "DCGAN"}, "data": {"class_path": "Digits"}})
        for argument in DATA_LINKED_ARGS:
            parser.link_arguments(f"data.{argument}", f"model.init_args.{argument}", _plain, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the arguments, and check the seed, which Lightning uses first, and the optional packages."""
        self._parse(parser, args)
        check_packages(self.config["fit"].as_dict())
        seed = self.config["fit"]["seed_everything"]
        if not isinstance(seed, bool) and seed is not None and not 0 <= seed < SEEDS:
            raise UsageError(f"`--seed_everything` must be from 0 to {SEEDS - 1}, got {seed}")

    def _parse(self, parser: LightningArgumentParser, args: list[str]) -> None:
        """Parse the arguments; a boolean option without a value is true."""
        try:
            super().parse_arguments(parser, args)
        except UsageError as error:
            index = missing_value(args, str(error))
            if index is None:
                raise
            option = args[index]
            try:
                self._parse(parser, [*args[:index], f"{option}=true", *args[index + 1 :]])
            except UsageError as other:
                if f"`{option}`" not in str(other):
                    raise
            else:
                if _value_of(self.config["fit"], option) is True:
                    return
            raise UsageError(f"`{option}` needs a value") from error

    def instantiate_classes(self) -> None:
        """Instantiate data, model and trainer; an error that an option causes becomes a `UsageError`."""
        try:
            super().instantiate_classes()
        except (ValueError, MisconfigurationException) as error:
            raise UsageError(self._explain(error)) from error
        except (TypeError, ImportError) as error:
            if not _raised_by_lightning(error):  # an error in a user's class needs its traceback
                raise
            raise UsageError(self._explain(error)) from error

    def _explain(self, error: Exception) -> str:
        """Explain an error in one line, with the option of the trainer that Lightning has rejected."""
        message = translate_error(str(error))
        if not _raised_by_lightning(error):
            return message
        defaults = {name: parameter.default for name, parameter in parameters(Trainer).items()}
        given = {name: value for name, value in self.config["fit"]["trainer"].items() if value != defaults.get(name)}
        return name_option(message, given)

    def fit(self, model: Model, **kwargs: Any) -> None:
        """Train, or dry-run; when resuming, print every option that differs from the original run."""
        checkpoint = self.config["fit"]["ckpt_path"]
        if checkpoint and (run := run_of(Path(checkpoint))):
            previous = yaml.safe_load((run / "config.yaml").read_text())
            present = yaml.safe_load(self.parser.dump(self.config, skip_none=False))["fit"]
            for change in changed_options(previous, present):
                print(change)
        trainer = cast("Trainer", self.trainer)
        try:
            if self.config["fit"]["dry_run"]:
                trainer.check(model, kwargs["datamodule"], checkpoint)
                print(dry_run(trainer, model, kwargs["datamodule"]))
            else:
                trainer.fit(model, **kwargs)
        except (ValueError, MisconfigurationException) as error:
            if trainer.has_trained:  # the options are valid
                raise
            raise UsageError(translate_error(str(error))) from error


def fit(arguments: Sequence[str]) -> int:
    """Run `fit`.

    Args:
        arguments: Arguments of the command.

    Returns:
        The exit code: 0, 2 for a usage error, 1 for a loss, a gradient or a weight that is not finite.
    """
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # they concern Lightning's calls
    private.patch_class_change()
    private.patch_python_values()
    for library in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "LightningCLI's args parameter is intended")  # `args` equals `sys.argv` here
    try:
        CLI(
            model_class=Model,
            datamodule_class=DataModule,
            trainer_class=Trainer,
            save_config_callback=SaveConfig,
            save_config_kwargs={"save_to_log_dir": False},
            seed_everything_default=0,
            parser_class=Parser,
            parser_kwargs={"prog": "python -m lightning_gans", "allow_abbrev": False},
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=["fit", *expand_arguments(arguments)],
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )
    except UsageError as error:
        return print_error(error)
    except NonFiniteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _plain(value: Any) -> Any:
    """Return a property of the data as plain values, which checkpoints can record: a vocabulary as its words."""
    return value.words if isinstance(value, Vocabulary) else value


def _value_of(config: Any, option: str) -> Any:
    """Return the value of an option in a parsed configuration."""
    for key in option.removeprefix("--").split("."):
        config = config[key] if key in config else config["init_args"][key]
    return config


def _raised_by_lightning(error: Exception) -> bool:
    """Find whether an exception was raised in Lightning's own code."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    module: str = frame.f_globals["__name__"]
    return module.startswith(("pytorch_lightning.", "lightning_fabric.", "lightning_utilities."))
