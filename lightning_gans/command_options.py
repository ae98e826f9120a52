"""The options of `sample` and `evaluate`, parsed and checked before torch is imported, which takes seconds."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lightning_gans.errors import UsageError
from lightning_gans.run_files import check_run

DATA_PREFIX = "--data."
"""Beginning of the options of `evaluate` that replace an argument of the data."""


class _Parser(argparse.ArgumentParser):
    """Parse arguments, and raise a `UsageError` instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; `{self.prog} --help` lists the options")


def parse(command: str, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments of a command, and check that its run exists.

    Args:
        command: "sample" or "evaluate".
        arguments: Arguments of the command.

    Returns:
        The options; for `evaluate`, `data` has the values of the options `--data.*` by name.

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
    parser.add_argument("--seed", type=int, default=0, help="seed of the samples (default: 0)")
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
        _add_evaluate_options(parser)
        others, data = _split_data_options(arguments)
        options = parser.parse_args(others, argparse.Namespace(data=data))
    for name in ("captions", "audio"):
        file = getattr(options, name, None)
        if file is not None and not Path(file).is_file():
            raise UsageError(f"`--{name}` must be a file, but {file!r} does not exist")
    try:
        check_run(options.run)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return options


def _add_sample_options(parser: argparse.ArgumentParser) -> None:
    parser.description = "Generate samples. Sample i depends on the seed and on i only."
    parser.add_argument("--count", type=int, help="number of samples (default: 64, or one for each caption)")
    parser.add_argument("--label", type=int, help="class of all samples, by its index (default: random classes)")
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
        "--count", type=int, default=1000, help="number of samples, and maximum number of examples (default: 1000)"
    )
    parser.add_argument("--k", type=int, default=5, help="number of nearest neighbors (default: 5)")


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
