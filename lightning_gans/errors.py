"""The exceptions of the framework, and how an error is printed."""

import difflib
import sys
from collections.abc import Iterable

STEP = "try a lower learning rate, or `gradient_clip_val`"


class UsageError(Exception):
    """A mistake in the command line; its text is the one line that is printed."""


def print_error(mistake: UsageError) -> int:
    """Print a mistake; the exit code that goes with it."""
    print(f"error: {mistake}", file=sys.stderr)
    return 2


class NonFiniteError(ArithmeticError):
    """NaN or infinity in a loss, a gradient or a weight; its text is one line that says where, and what to try.

    Args:
        what: What is no number, and where.
        images: Images seen by then.
        cure: What to try.
    """

    def __init__(self, what: str, *, images: int, cure: str = STEP) -> None:
        super().__init__(f"after {images:,} images {what}; {cure} (the last good checkpoint is kept)")


class UnserializableError(TypeError):
    """A value that has no plain description: a lambda, a closure, a live object."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names, or all of them where they are few.

    Example:
        >>> did_you_mean("DCGANN", ["DCGAN", "WGANGP"]), did_you_mean("nope", ["DCGAN", "WGANGP"])
        ('; did you mean `DCGAN`?', '; known: DCGAN, WGANGP')
    """
    known = sorted(known)
    lower = {word.lower(): word for word in known}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    if near:
        return f"; did you mean `{lower[near[0]]}`?"
    return f"; known: {', '.join(known)}" if 0 < len(known) <= 12 else ""
