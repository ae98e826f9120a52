"""Check a word of the command line against a plain type, before anything heavy is imported."""

import ast
import re

from lightning_gans.signatures import literal_types

_NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)

_FLOATS = ("inf", "-inf", "nan", ".inf", "-.inf", ".nan")

_BOOLEANS = ("true", "false", "yes", "no", "on", "off", "1", "0")


def mismatch(annotation: ast.expr | None, value: str) -> str | None:
    """Explain why a word of the command line cannot have a type, as far as plain types decide.

    Args:
        annotation: Syntax tree of the type.
        value: The word.

    Returns:
        The types that would be right; None if the word may be right, or if the type is not a plain one.

    Example:
        >>> mismatch(ast.parse("int | None").body[0].value, "x")
        'of type int'
        >>> mismatch(ast.parse("Literal['a', 'b']").body[0].value, "c")
        'one of a, b'
        >>> mismatch(ast.parse("float | Schedule").body[0].value, "Linear")
    """
    match annotation:
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            reasons = [mismatch(left, value), mismatch(right, value)]
            return None if None in reasons else next(filter(None, reasons), "")
        case ast.Constant(value=None):
            return "" if value.lower() not in ("none", "null") else None
        case ast.Name(id="int" | "float" as name):
            return f"of type {name}" if _NUMBER.fullmatch(value) is None and value.lower() not in _FLOATS else None
        case ast.Name(id="bool"):
            return "of type bool" if value.lower() not in _BOOLEANS else None
        case ast.Name(id=name) if name in literal_types():
            return mismatch(literal_types()[name], value)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            items = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            names = [str(ast.literal_eval(item)) for item in items]
            return f"one of {', '.join(names)}" if value not in names else None
    return None
