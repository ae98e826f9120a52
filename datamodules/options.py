"""Validate options of data modules."""

from collections.abc import Collection


def check_choice(choices: Collection[str], **values: str) -> None:
    """Raise an error unless all values are among the choices.

    Args:
        choices: The choices.
        **values: The values, by the names of their arguments.

    Raises:
        ValueError: If a value is not a choice.

    Example:
        >>> check_choice(("stop", "skip"), on_error="ignore")
        Traceback (most recent call last):
        ValueError: `on_error` must be one of stop, skip, got 'ignore'
    """
    for name, value in values.items():
        if value not in choices:
            raise ValueError(f"`{name}` must be one of {', '.join(choices)}, got {value!r}")
