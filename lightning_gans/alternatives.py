"""Alternatives in the error messages of jsonargparse: a value is tried as each type of a union."""

import re
from collections.abc import Callable

_ALTERNATIVE = re.compile(r"^(?P<indent> *)- (?P<text>.*)$")
_CLASS = re.compile(r"Problem with given class_path '(?P<path>[^']+)'")
_NOT_A_CLASS = "Not a valid subclass of"


def drop_alternatives(message: str, is_base: Callable[[str, str], bool]) -> str:
    """Remove the alternatives of a union that explain nothing, if another alternative does.

    An option of a list of classes is tried as an option of the class that was given, and again of its base class, whose
    reason would be the last. The list of ways to write a class is left out, too.

    Args:
        message: Message of jsonargparse, of any number of lines.
        is_base: Function of two class paths, whether the first is a base class of the second.

    Example:
        >>> message = '''Errors:
        ...   - Problem with given class_path 'Circle':
        ...       Option 'radius': not a number
        ...   - Problem with given class_path 'Shape':
        ...       Option 'radius' is not accepted'''
        >>> print(drop_alternatives(message, lambda base, cls: (base, cls) == ("Shape", "Circle")))
        Errors:
          - Problem with given class_path 'Circle':
              Option 'radius': not a number
    """
    kept: list[str] = []
    given: list[str] = []
    dropped_indent: int | None = None
    alternatives = 0
    for line in message.splitlines():
        indent = len(line) - len(line.lstrip())
        if dropped_indent is not None and indent > dropped_indent:
            continue
        dropped_indent = None
        if found := _ALTERNATIVE.match(line):
            alternatives += 1
            cls = _CLASS.match(found["text"])
            is_repeated = cls is not None and any(is_base(cls["path"], path) for path in given)
            if is_repeated or (found["text"].startswith(_NOT_A_CLASS) and alternatives > 1):
                dropped_indent = indent
                continue
            if cls is not None:
                given.append(cls["path"])
        kept.append(line)
    return "\n".join(kept)
