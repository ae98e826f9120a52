"""The options of the commands on trained models, parsed and checked before torch is imported, which takes seconds."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lightning_gans.errors import UsageError
from lightning_gans.run_files import check_run

DATA_PREFIX = "--data."
"""Beginning of the options that replace an argument of the data."""


class _Parser(argparse.ArgumentParser):
    """Parse arguments, and raise a `UsageError` instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; `{self.prog} --help` lists the options")


def parse(command: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of a command, and check that its run exists.

    Args:
        command: "sample", "evaluate", "predict" or "attack".
        arguments: Arguments of the command.

    Returns:
        The options. Except for `sample`, `data` has the values of the options `--data.*` by name.

    Raises:
        UsageError: If an argument is invalid, or if there is no such run.

    Example:
        >>> from tempfile import NamedTemporaryFile
        >>> with NamedTemporaryFile() as file:
        ...     options = parse("evaluate", ["--data.root", "images", file.name, "--k", "3"])
        >>> options.data, options.k, options.split
        ({'root': 'images'}, 3, 'test')
    """
    parser = _Parser(prog=f"python -m lightning_gans {command}", allow_abbrev=False)
    parser.add_argument("run", metavar="RUN", help="a run folder, or a checkpoint")
    if command == "attack":
        parser.add_argument("others", nargs="*", default=[], metavar="RUN", help="further runs to compare")
    parser.add_argument("--seed", type=integer, default=0, help="seed of the samples and of attacks (default: 0)")
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="MODULE",
        help="module to import that defines classes of the run",
    )
    if command == "sample":
        _add_sample_options(parser)
        options = parser.parse_args(arguments)
    else:
        _ADD_OPTIONS[command](parser)
        others, data = _split_data_options(arguments)
        options = parser.parse_args(others, argparse.Namespace(data=data))
    _check(command, options)
    return options


def _check(command: str, options: argparse.Namespace) -> None:
    """Check the options as far as they do not depend on the model."""
    count = getattr(options, "count", None)  # None: one sample for each caption
    if count is not None and count < 1:
        raise UsageError(f"`--count` must be at least 1, got {count}")
    if command == "evaluate" and options.count <= options.k:
        raise UsageError(f"`--count` must be above `--k` ({options.k}), got {count}")
    if options.seed < 0:
        raise UsageError(f"`--seed` must be at least 0, got {options.seed}")
    if command == "sample" and not options.output.endswith(("/", os.sep)) and not Path(options.output).is_dir():
        suffix = Path(options.output).suffix
        if suffix.lower() not in ("", ".png", ".npz"):
            raise UsageError(f"`--output` must end in .png, .npz or be a folder, got {suffix!r} in {options.output!r}")
    for name in ("captions", "audio"):
        file = getattr(options, name, None)
        if file is not None and not Path(file).is_file():
            raise UsageError(f"`--{name}` must be a file, but {file!r} does not exist")
    try:
        for run in (options.run, *(options.others if command == "attack" else ())):
            check_run(run)
    except ValueError as error:
        raise UsageError(str(error)) from error


def integer(text: str) -> int:
    """Convert a word to an integer; sweeps also write a whole number as 1000.0 or 1e3.

    Raises:
        ValueError: The word is not a whole number.

    Example:
        >>> integer("1000.0"), integer("-3")
        (1000, -3)
    """
    try:
        return int(text)
    except ValueError:
        if float(text).is_integer():
            return int(float(text))
        raise


def _add_sample_options(parser: argparse.ArgumentParser) -> None:
    parser.description = "Generate samples. Sample i depends on the seed and on i only."
    parser.add_argument("--count", type=integer, help="number of samples (default: 64, or one for each caption)")
    parser.add_argument("--label", type=integer, help="class of all samples, by its index (default: random classes)")
    texts = parser.add_mutually_exclusive_group()
    texts.add_argument("--text", help="caption of all samples, for a model of captions")
    texts.add_argument("--captions", metavar="FILE", help="captions of the samples, one a line")
    parser.add_argument("--audio", metavar="FILE", help="recording that all samples are conditioned on")
    parser.add_argument(
        "--output",
        default="samples.png",
        help="an image grid (.png), an array (.npz), or a folder with a file for each sample (default: samples.png)",
    )
    parser.add_argument(
        "--interpolate", action="store_true", help="write rows of 8 samples that interpolate between two latents"
    )


def _add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Score samples against held-out examples: precision, recall, density and coverage, on pixels. "
        "Some models add scores of their own, such as log-probabilities or the accuracy of a classifier. "
        "--data.root PLACE names the new place of data that moved."
    )
    parser.add_argument(
        "--split", choices=["validation", "test"], default="test", help="split of the data (default: test)"
    )
    parser.add_argument(
        "--count", type=integer, default=1000, help="number of samples, and maximum number of examples (default: 1000)"
    )
    parser.add_argument("--k", type=integer, default=5, help="number of nearest neighbors (default: 5)")


def _add_predict_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write the class probabilities of the examples of a split, with a classifier or a SemiSupervisedGAN. "
        "--data.root PLACE names the new place of data that moved."
    )
    parser.add_argument(
        "--split", choices=["train", "validation", "test"], default="test", help="split of the data (default: test)"
    )
    parser.add_argument(
        "--output", default="predictions.csv", help="a table (.csv) or arrays (.npz) (default: predictions.csv)"
    )


def _add_attack_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure how robust classifiers are: accuracy on adversarial examples over a range of eps, with a curve, "
        "examples, and a check for masked gradients. The discriminator of a GAN is attacked as a classifier of "
        "examples and samples. eps is in the units of the images, [-1, 1]: 0.6 is 0.3 for images in [0, 1]."
    )
    parser.add_argument(
        "--eps",
        type=float,
        nargs="+",
        default=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        help="radii of the ball around an image (default: 0.1 0.2 0.3 0.4 0.5 0.6)",
    )
    parser.add_argument("--norm", choices=["inf", "2"], default="inf", help="norm of the ball (default: inf)")
    parser.add_argument("--steps", type=integer, default=40, help="gradient steps of PGD (default: 40)")
    parser.add_argument("--restarts", type=integer, default=1, help="random starts of PGD (default: 1)")
    parser.add_argument(
        "--split", choices=["validation", "test"], default="test", help="split of the data (default: test)"
    )
    parser.add_argument("--count", type=integer, default=1000, help="maximum number of examples (default: 1000)")
    parser.add_argument("--output", default="attack", help="folder of the table, curve and examples (default: attack)")
    parser.add_argument("--wandb", action="store_true", help="log the report to W&B as well")


_ADD_OPTIONS = {"evaluate": _add_evaluate_options, "predict": _add_predict_options, "attack": _add_attack_options}
"""The options of the commands that read data, by command."""


def _split_data_options(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Separate the options of the data from the other arguments of a command.

    Args:
        arguments: Arguments of the command.

    Returns:
        The other arguments, and the values of the options by name.

    Raises:
        UsageError: An option has no value.
    """
    others, values = [], {}
    remaining = iter(arguments)
    for argument in remaining:
        if not argument.startswith(DATA_PREFIX):
            others.append(argument)
            continue
        option, equals, value = argument.partition("=")
        given = value if equals else next(remaining, None)
        if given is None:
            raise UsageError(f"`{option}` needs a value")
        values[option.removeprefix(DATA_PREFIX)] = given
    return others, values
