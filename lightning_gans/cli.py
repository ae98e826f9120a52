"""`fit`: LightningCLI with this project's classes, defaults and errors."""

import argparse
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
import yaml
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import CSVLogger

from lightning_gans import models  # noqa: F401 (jsonargparse finds classes by their short names once they are imported)
from lightning_gans.callbacks import Checkpointing, Evaluation, Run, Samples, Wandb
from lightning_gans.callbacks.trainer_access import callbacks_of
from lightning_gans.core import private
from lightning_gans.core.checkpoints import find_checkpoint, latest_checkpoint, run_of
from lightning_gans.core.model import Model
from lightning_gans.datamodules import DataModule
from lightning_gans.dry_run import dry_run
from lightning_gans.error_messages import translate_error
from lightning_gans.errors import NonFiniteError, UsageError, did_you_mean, one_line, print_error
from lightning_gans.listing import recipes
from lightning_gans.trainer import Trainer

CALLBACKS: dict[str, type[pl.Callback]] = {
    "run": Run,
    "wandb": Wandb,
    "samples": Samples,
    "evaluation": Evaluation,
    "save": Checkpointing,
}
"""The callbacks whose settings have short names on the command line: `--samples.every`."""


DATA_LINKED_ARGS = ("image_shape", "num_classes", "levels")
"""What every model that asks for it is told by the data."""


SEEDS = 2**32
"""How many seeds NumPy takes."""


class Parser(LightningArgumentParser):
    """A parser whose errors are one line, with a suggestion."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong with the command line."""
        if not self.exit_on_error:  # a parser inside a parser, whose caller has more to say
            super().error(message, ex)
        raise UsageError(translate_error(message, private.option_names(self))) from ex


class SaveConfig(SaveConfigCallback):
    """Keep the whole configuration in the run folder and in W&B."""

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write it."""
        for run in callbacks_of(trainer, Run):
            run.write_config(self.parser.dump(self.config, skip_none=False))
        configuration = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        for logger in trainer.loggers:
            if not isinstance(logger, CSVLogger):  # that would write the same file under another name
                logger.log_hyperparams(configuration)


class CLI(LightningCLI):
    """Train any model on any data: `--model`, `--data`, and the settings of both."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """`fit` alone: `lightning_gans.__main__` says what stands for the others."""
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule", "weights_only"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the short names, the defaults, and the link of the data's shape to the model's."""
        for name, callback in CALLBACKS.items():
            parser.add_lightning_class_args(callback, name)
        parser.add_argument("--dry_run", action="store_true", help="Say what the run would need; keep nothing.")
        parser.set_defaults({"model": {"class_path": "DCGAN"}, "data": {"class_path": "Digits"}})
        for size in DATA_LINKED_ARGS:
            parser.link_arguments(f"data.{size}", f"model.init_args.{size}", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and look at the seed, with which Lightning begins."""
        super().parse_arguments(parser, args)
        seed = self.config["fit"]["seed_everything"]
        if not isinstance(seed, bool) and seed is not None and not 0 <= seed < SEEDS:
            raise UsageError(f"`--seed_everything` must be from 0 to {SEEDS - 1}, got {seed}")

    def _parse_ckpt_path(self) -> None:
        """Let the command line stand: Lightning would have the checkpoint's hyper-parameters silently win."""

    def instantiate_classes(self) -> None:
        """Make data, model and trainer; what they refuse is a mistake in the command line."""
        try:
            super().instantiate_classes()
        except (ValueError, MisconfigurationException) as error:
            raise UsageError(translate_error(str(error))) from error
        except (TypeError, ImportError) as error:
            if not _is_of_lightning(error):
                raise
            raise UsageError(translate_error(str(error))) from error

    def fit(self, model: Model, **kwargs: Any) -> None:
        """Train, or say what training would need; of a run that goes on, say what is no longer as it was."""
        if (checkpoint := self.config["fit"]["ckpt_path"]) and (run := run_of(Path(checkpoint))):
            previous = _flat(yaml.safe_load((run / "config.yaml").read_text()))
            present = _flat(yaml.safe_load(self.parser.dump(self.config, skip_none=False))["fit"])
            for option in sorted(present.keys() - {"ckpt_path", "dry_run"}):
                if option in previous and previous[option] != present[option]:
                    print(f"`{option}` is now {present[option]!r}, it was {previous[option]!r}")
        if self.config["fit"]["dry_run"]:
            print(dry_run(self.trainer, model, kwargs["datamodule"]))
            return
        try:
            self.trainer.fit(model, **kwargs)
        except (ValueError, MisconfigurationException) as error:
            if model.batches_seen > 1:  # no longer about how it was started
                raise
            raise UsageError(translate_error(str(error))) from error


def fit(arguments: Sequence[str]) -> int:
    """Run `fit` with these arguments; the exit code is 2 for a mistake in them, 1 for numbers gone bad."""
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # Lightning's own calls
    private.patch_class_change()
    for library in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "LightningCLI's args parameter is intended")  # `args` is what `sys.argv` says
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
            args=["fit", *_with_files(arguments)],
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )
    except UsageError as error:
        return print_error(error)
    except NonFiniteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _is_of_lightning(error: Exception) -> bool:
    """Whether Lightning raised it; an error in a class of one's own is worth its traceback."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    module: str = frame.f_globals["__name__"]
    return module.startswith(("pytorch_lightning.", "lightning_fabric.", "lightning_utilities."))


def _flat(configuration: Any, name: str = "") -> dict[str, Any]:
    """The options of a configuration by their names on the command line."""
    if not isinstance(configuration, dict):
        return {name: configuration}
    flat: dict[str, Any] = {}
    for key, value in configuration.items():
        flat |= _flat(value, name if key == "init_args" else f"{name}.{key}".lstrip("."))
    return flat


def _with_files(arguments: Sequence[str]) -> list[str]:
    """Replace names by files: a recipe after `--config`, a run after `--ckpt_path`, whose configuration comes first."""
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    options.add_argument("--ckpt_path")
    options.add_argument("--run.root", default="runs")
    try:
        given, _ = options.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:  # such as an option without its value
        raise UsageError(f"`{error.argument_name}`: {error.message}") from error
    arguments = _in_order(arguments)
    replaced = _with_recipes(arguments)
    if given.ckpt_path in (None, "null"):
        return replaced
    try:
        last = given.ckpt_path == "last"
        checkpoint = latest_checkpoint(vars(given)["run.root"]) if last else find_checkpoint(given.ckpt_path)
    except ValueError as error:
        raise UsageError(str(error)) from error
    run = run_of(checkpoint)
    if run is None or any(argument.partition("=")[0] in ("--config", "-c") for argument in arguments):
        return [*replaced, "--ckpt_path", str(checkpoint)]
    configuration = _recipe(str(run / "config.yaml"))
    sections = yaml.safe_load(Path(configuration).read_text())
    for name in _foreign_names({key: value for key, value in sections.items() if key not in ("run", "wandb")}):
        raise UsageError(
            f"the configuration of {str(run)!r} names `{name}`, which is not of this package:"
            f" say that you trust it, --config {configuration} --ckpt_path {given.ckpt_path}"
        )
    return ["--config", configuration, *replaced, "--ckpt_path", str(checkpoint)]


def _in_order(arguments: Sequence[str]) -> list[str]:
    """Put configurations first, then classes, then their options: what is said of a class belongs to the class."""
    ranked: list[tuple[int, list[str]]] = []
    rest = list(arguments)
    while rest:
        name, equals, _ = rest[0].partition("=")
        rank = {"--config": 0, "-c": 0, "--model": 1, "--data": 1}.get(name, 2)
        taken = 2 if rank < 2 and not equals else 1
        ranked.append((rank, rest[:taken]))
        rest = rest[taken:]
    return [argument for _, group in sorted(ranked, key=lambda item: item[0]) for argument in group]


def _foreign_names(configuration: Any) -> Iterator[str]:
    """What a configuration may have imported: a class can stand there as `class_path` or as a plain string."""
    match configuration:
        case dict():
            for key, value in configuration.items():
                if key != "root":  # of the data: a folder
                    yield from _foreign_names(value)
        case list():
            for value in configuration:
                yield from _foreign_names(value)
        case str() if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", configuration):
            if configuration.partition(".")[0] not in ("lightning_gans", "torch", "pytorch_lightning"):
                yield configuration


def _with_recipes(arguments: Sequence[str]) -> list[str]:
    replaced = list(arguments)
    for index, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option in {f"--model.{part}{size}" for part in ("", "init_args.") for size in DATA_LINKED_ARGS}:
            raise UsageError(f"`{option}` comes from the data: leave it out")
        if option not in ("--config", "-c"):
            continue
        if equals:
            replaced[index] = f"{option}={_recipe(value)}"
        elif index + 1 < len(arguments):
            replaced[index + 1] = _recipe(arguments[index + 1])
    return replaced


def _recipe(name: str) -> str:
    """The file of a configuration, which is one as far as can be seen."""
    known = recipes()
    path = Path(name) if Path(name).is_file() else known.get(name)
    if path is None:
        raise UsageError(
            f"`--config` {name!r} is neither a file nor a recipe{did_you_mean(name, known) or '; `list` shows all'}"
        )
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"`--config` {name!r} cannot be read as YAML: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise UsageError(f"`--config` {name!r} must hold keys such as `model:` and `data:`, got {content!r:.60}")
    match content.get("model"):
        case {"init_args": dict(settings)}:
            for size in DATA_LINKED_ARGS:
                if settings.get(size) is not None:
                    raise UsageError(f"`model.{size}` of `--config` {name!r} comes from the data: leave it out")
    sections = ["seed_everything", "trainer", "model", "data", *CALLBACKS, "dry_run", "ckpt_path"]
    for section in content:
        if section not in sections:
            raise UsageError(
                f"`--config` {name!r} has the unknown key `{section}`{did_you_mean(str(section), sections)}"
            )
    return str(path)
