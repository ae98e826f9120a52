"""`python -m lightning_gans`: say what there is at once, without importing torch, and hand all work on."""

import difflib
import os
import sys
from collections.abc import Sequence

from lightning_gans._version import __version__

COMMANDS = {
    "fit": "train a model: fit --model WGANGP --data MNIST, fit --config dcgan_mnist; alone, DCGAN on Digits",
    "sample": "draw examples from a run: sample RUN --count 100 --output grid.png",
    "evaluate": "score a run against held-out examples: evaluate RUN",
    "list": "list models, data and recipes",
}
REDIRECTS = {
    "validate": "a game has no validation loss: `evaluate RUN --split validation` scores its samples",
    "test": "a game has no test loss: `evaluate RUN` scores its samples against the test split",
    "predict": "`sample RUN` draws examples",
}


def help_text() -> str:
    """What `--help` prints."""
    verbs = "\n".join(f"  {verb:<10}{what}" for verb, what in COMMANDS.items())
    return (
        "usage: python -m lightning_gans VERB ...\n\n"
        f"Generative adversarial networks and densities on PyTorch Lightning, version {__version__}.\n\n"
        f"{verbs}\n\n"
        "VERB --help lists what a verb takes; fit --model.help NAME what a model takes.\n"
        "A RUN is a folder in runs/, or a checkpoint. `fit --dry_run` says what a run would need."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: What follows the program's name; None takes the process's own.

    Returns:
        The exit code: 0, or 2 for a mistake in the command line.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if verb == "--version":
        print(__version__)
        return 0
    if verb in REDIRECTS:
        return fail(f"{verb}: {REDIRECTS[verb]}")
    if verb not in COMMANDS:
        near = difflib.get_close_matches(verb, COMMANDS, n=1)
        return fail(
            f"there is no {verb!r}; " + (f"did you mean {near[0]!r}?" if near else f"verbs: {', '.join(COMMANDS)}")
        )
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # the console script finds a user's my_gan.py as `python -m` does
    if verb == "list":
        from lightning_gans.listing import listing  # noqa: PLC0415

        print(listing())
        return 0
    if verb == "fit":
        from lightning_gans.cli import fit  # noqa: PLC0415 (torch and Lightning take seconds)

        return fit(rest)
    from lightning_gans.commands import run  # noqa: PLC0415

    return run(verb, rest)


def fail(message: str) -> int:
    """Say what is wrong, in one line."""
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
