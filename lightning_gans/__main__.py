"""`python -m lightning_gans`: print the help without importing torch, or run a command."""

import os
import sys
from collections.abc import Sequence

from lightning_gans._version import __version__
from lightning_gans.errors import UsageError, did_you_mean, print_error
from lightning_gans.fit_help import fit_help

COMMANDS = {
    "fit": "train a model (default: DCGAN on handwritten digits)",
    "sample": "generate samples with a trained model",
    "evaluate": "score a trained model on held-out examples",
    "predict": "write the class probabilities of a trained classifier",
    "attack": "measure the robustness of trained classifiers or discriminators",
    "data": "describe a data set and draw examples of it",
    "prepare": "write a data set into shards, for clusters and object stores",
    "list": "list the models, data sets and recipes",
}
"""The commands, each with its line of help."""

REDIRECTS = {
    "validate": "a GAN has no validation loss; `evaluate RUN --split validation` scores its samples",
    "test": "a GAN has no test loss; `evaluate RUN` scores its samples against the test split",
}
"""The commands of LightningCLI that do not exist here, each with a replacement."""

HELP = f"""\
usage: python -m lightning_gans COMMAND [OPTIONS]

Generative adversarial networks and density models on PyTorch Lightning, version {__version__}.

commands:
{"".join(f"  {command:<10}{description}{chr(10)}" for command, description in COMMANDS.items())}
examples:
  python -m lightning_gans fit --model WGANGP --data MNIST
  python -m lightning_gans fit --config dcgan_mnist
  python -m lightning_gans data --data ImageFolder --data.root my_images
  python -m lightning_gans sample runs/dcgan-digits-1 --count 100 --output grid.png
  python -m lightning_gans evaluate runs/dcgan-digits-1

`COMMAND --help` prints the options of a command, `fit --help all` all options of `fit`.
`fit --model.help NAME` prints the options of a model, `fit --data.help NAME` the options of a data set.
`fit --dry_run` prints shapes, numbers of parameters, memory and time, without training.
A trained model is a run folder in runs/, or a checkpoint."""
"""The output of `--help`."""


_HELP_HINT = "`--model.help NAME` and `--data.help NAME` print the options of a class"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; Ctrl-C ends it without a traceback.

    Args:
        arguments: Arguments after the program's name; None takes those of the process.

    Returns:
        The exit code: 0, 2 for a usage error, 1 for a run whose numbers are not finite, 130 for Ctrl-C.
    """
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        return 130


def _main(arguments: Sequence[str] | None) -> int:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if command in ("-h", "--help", "help"):
        print(HELP)
        return 0
    if command == "--version":
        print(__version__)
        return 0
    if command in REDIRECTS:
        return print_error(UsageError(f"there is no command `{command}`: {REDIRECTS[command]}"))
    if command not in COMMANDS:
        return print_error(UsageError(f"there is no command `{command}`{did_you_mean(command, COMMANDS)}"))
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # the console script finds a user's my_gan.py, as `python -m` does
    if command == "list":
        from lightning_gans.listing import listing  # noqa: PLC0415

        try:
            print(HELP if {"-h", "--help"} & {*rest} else listing(rest))
        except UsageError as error:
            return print_error(error)
        return 0
    if command == "fit":
        return _fit(rest)
    if command in ("data", "prepare"):
        return _data(command, rest)
    return _run(command, rest)


def _data(command: str, arguments: list[str]) -> int:
    """Check the names in the arguments, and describe or prepare the data."""
    from lightning_gans.early_checks import check_data  # noqa: PLC0415

    try:
        check_data(arguments, ("output",) if command == "data" else ("output", "shard"))
    except UsageError as error:
        return print_error(error)
    if command == "data":
        from lightning_gans.data_command import show  # noqa: PLC0415

        return show(arguments)
    from lightning_gans.prepare_command import prepare  # noqa: PLC0415

    return prepare(arguments)


def _run(command: str, arguments: list[str]) -> int:
    """Parse the options of a command on a trained model, and run it."""
    from lightning_gans.command_options import parse  # noqa: PLC0415

    try:
        options = parse(command, arguments)
    except UsageError as error:
        return print_error(error)
    from lightning_gans.commands import run  # noqa: PLC0415

    return run(command, options)


def _fit(arguments: list[str]) -> int:
    """Print the help of `fit`, or check the names in the arguments and train."""
    position = next((index for index, argument in enumerate(arguments) if argument in ("-h", "--help")), None)
    if position is not None:
        word = next(iter(arguments[position + 1 :]), "-")
        if word.startswith("-"):
            print(fit_help())
            return 0
        if word != "all":
            return print_error(UsageError(f"`--help` takes `all` or nothing, got {word!r}; {_HELP_HINT}"))
        del arguments[position + 1]
    from lightning_gans.early_checks import check_fit  # noqa: PLC0415

    try:
        check_fit(arguments)
    except UsageError as error:
        return print_error(error)
    from lightning_gans.cli import fit  # noqa: PLC0415 (torch and Lightning take seconds to import)

    return fit(arguments)


if __name__ == "__main__":
    sys.exit(main())
