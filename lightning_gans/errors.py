"""The exceptions of the framework, and helpers that print an error in one line."""

import difflib
import sys
from collections.abc import Iterable

OPTIMIZER_HINT = "try a lower learning rate, or `gradient_clip_val`"


class UsageError(Exception):
    """An error in the command line or its files; its text is the single line that is printed."""


class OptionError(UsageError, ValueError):
    """An error in an option that may be found after training has started; its text is one line."""


class NonFiniteError(ArithmeticError):
    """NaN or infinity in a loss, a gradient or a weight; the text is one line with the place and a remedy.

    Args:
        message: The value that is not finite, and its place.
        images: Images seen when it was found.
        hint: The remedy to suggest.
    """

    def __init__(self, message: str, *, images: int, hint: str = OPTIMIZER_HINT) -> None:
        super().__init__(f"after {images:,} images {message}; {hint} (the last good checkpoint is kept)")


class UnserializableError(TypeError):
    """A value that plain data cannot describe: a lambda, a closure, a live object."""


def print_error(error: UsageError) -> int:
    """Print an error to standard error.

    Returns:
        2, the exit code of a usage error.
    """
    print(f"error: {error}", file=sys.stderr)
    return 2


def one_line(error: object) -> str:
    r"""Write a message in one line, or the text of an exception; an exception without text gives its class.

    Example:
        >>> one_line(ValueError("2 errors:\n  - no such file")), one_line(TimeoutError())
        ('2 errors: - no such file', 'TimeoutError')
    """
    return " ".join(str(error).split()) or type(error).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that is most similar to a wrong name, or list all known names if they are at most 12.

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
