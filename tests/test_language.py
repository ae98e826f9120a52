"""Check the vocabulary and the form of prose: docstrings, comments, messages and Markdown."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GROUPS = {
    "package": ("lightning_gans/*.py", "lightning_gans/*/*.py"),
    "callbacks": ("callbacks/*.py",),
    "datamodules": ("datamodules/*.py",),
    "configs": ("configs/*.yaml", "configs/*.py", "*.cfg", "*.toml", "*.cff", ".github/**/*.yml"),
    "benchmarks": ("benchmarks/*.py", "benchmarks/**/*.md"),
    "examples": ("examples/*.py",),
    "tests": ("tests/*.py",),
    "docs": ("*.md", "docs/**/*.md", "docs/*.py", "*.yml"),
}
STEMS = (
    "initial|normal|quant|general|optim|minim|maxim|synchron|recogn|organ|random|binar|discret|summar|visual|regular|"
    "parametr|special|standard|factor|categor|memor|util|penal|token|serial|vector|character|custom|local|symmetr|real"
)
WORDS = {
    "a word that the field does not use": (
        r"\b(?:pictures?|tells?|telling|told|ask(?:s|ed|ing)?|said|beside|lies?|lying|verbs?|(?<!minimax\s)games?|"
        r"(?:go|goes|going|went)\son|all\selse|as\sit\swas|(?<!there\s)(?:is|are)\sno\s(?!longer|more|less|\w+er\s)\w+)\b"
    ),
    "a British spelling": (
        rf"\b(?:\w*(?:{STEMS})is(?:e[ds]?|ing|ers?|ations?)|analys(?:e|ed|es|ing)|(?:un)?cent(?:re|res|red|ring)|grey\w*|"
        r"\w*(?:colour|neighbour|behaviour|favour|honour)\w*|(?:un)?(?:label|model|cancel|travel|signal|channel)l(?:ed|ing)|"
        r"licences?|artefacts?|catalogues?|whilst|amongst|learnt|spelt|programmes?)\b"
    ),
    "a number below one without its zero": r"(?:^|(?<=[\s(\[,=<>~+-]))\.\d+",
}
CLAUSE = re.compile(r"(?:What|Which|Where|How|Whether|That|Those)\b")
QUOTATION = re.compile(r"``[^`]+``|`[^`]+`|(?<![*\w])\*(?![*\s])[^*]+?(?<!\s)\*(?![*\w])|https?://\S+")
DOCTEST = re.compile(r"^>>>.*?(?=^\s*$|\Z)", flags=re.MULTILINE | re.DOTALL)
Prose = tuple[int, str]


def words(rule: str, source: str, suffix: str) -> Iterator[Prose]:
    """Find the words that a rule excludes, each with its line and its context."""
    for start, text in prose(source, suffix):
        for match in re.finditer(WORDS[rule], text, flags=re.IGNORECASE):
            context = " ".join(text[max(0, match.start() - 40) : match.end() + 40].split())
            yield start + text.count("\n", 0, match.start()), f"{match[0]!r} in {context!r}"


@cache
def prose(source: str, suffix: str) -> list[Prose]:
    """Extract the prose without its quotations: the first line and the text of each part."""
    found = [*literals(ast.parse(source)), *comments(source)] if suffix == ".py" else [(1, markup(source, suffix))]
    stripped = [(line, "\n".join(row.strip() for row in text.split("\n"))) for line, text in found]
    return [(line, _blank(QUOTATION, _blank(DOCTEST, text))) for line, text in stripped]


def _blank(pattern: re.Pattern[str], text: str) -> str:
    paragraphs = re.split(r"(\n\n+)", text) if pattern is QUOTATION else [text]  # a quotation ends with its paragraph
    return "".join(pattern.sub(lambda match: "_" + "\n" * match[0].count("\n"), part) for part in paragraphs)


def literals(node: ast.AST) -> Iterator[Prose]:
    """Find the docstrings and the string literals of several words."""
    if isinstance(node, ast.JoinedStr):
        parts = [str(part.value) if isinstance(part, ast.Constant) else "`x`" for part in node.values]
        yield node.lineno, "".join(parts)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\S\s+\S", node.value):
        yield node.lineno, node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from literals(child)


def comments(source: str) -> Iterator[Prose]:
    """Find the comments; those on adjacent lines are joined."""
    start, lines = 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != start + len(lines):
                yield start, "\n".join(lines)
                start, lines = token.start[0], []
            lines.append(token.string.lstrip("# "))
    yield start, "\n".join(lines)


def markup(source: str, suffix: str) -> str:
    """Blank all but the comments of a configuration file, or of the code blocks of a Markdown file."""
    code, lines = suffix != ".md", list[str]()
    for line in source.split("\n"):
        fence = suffix == ".md" and line.lstrip().startswith("```")
        code ^= fence
        comment = re.search(r"(?:^|\s)# (.*)", line)
        lines.append("" if fence else line if not code else comment[1] if comment else "")
    return "\n".join(lines)


@cache
def summaries(source: str) -> list[tuple[type[ast.AST], int, str]]:
    """List the first lines of the docstrings: the kind of the node, the number of the line, and the line."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [(node, ast.get_docstring(node)) for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    return [(type(node), node.body[0].lineno, text.split("\n")[0]) for node, text in nodes if text]


def violations(rule: str, source: str, suffix: str = ".py") -> list[Prose]:
    """Find the violations of a rule, each with its line."""
    if rule in WORDS:
        return sorted(words(rule, source, suffix))
    if rule == "a line of more than 120 columns":  # rows of tables and addresses cannot be broken
        lines = [(n, line) for n, line in enumerate(source.split("\n"), 1) if len(line) > 120 and "://" not in line]
        return [(n, f"{line[:80]}...") for n, line in lines if suffix != ".md" or not line.startswith("|")]
    lines = summaries(source) if suffix == ".py" else []
    if rule == "a docstring that begins with a clause":
        return [(n, line) for _, n, line in lines if CLAUSE.match(line)]
    return [(n, line) for kind, n, line in lines if kind is not ast.Module and not line.endswith(".")]


RULES = {
    "a docstring that begins with a clause": ('"""How far it is."""', '"""Measure how far it is."""'),
    "a docstring whose first line is not a sentence": ('class A:\n    """Fit"""', 'class A:\n    """Fit."""'),
    "a line of more than 120 columns": ("x = 1  # " + "x" * 112, "x = 1  # " + "x" * 111),
    "a word that the field does not use": ('f"{x} is a picture"', 'f"{x} `tells` of *A Game*, the minimax game"'),
    "a British spelling": ("# of many\n# colours", "# colors, *Spectral Normalisation*"),
    "a number below one without its zero": ("x = .5  # .5", "x = .5  # 0.5, v1.5, x.5"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_finds_its_violation_and_nothing_else(rule: str) -> None:
    wrong, right = RULES[rule]
    assert violations(rule, wrong)
    assert not violations(rule, right)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("rule", RULES)
def test_nothing_has(rule: str, group: str) -> None:
    paths = {path for pattern in GROUPS[group] for path in ROOT.glob(pattern) if path.resolve() == path}
    found = [
        f"{path.relative_to(ROOT)}:{number}: {text}"
        for path in sorted(paths - {Path(__file__).resolve()})
        for number, text in violations(rule, path.read_text(), path.suffix)
    ]
    assert not found, f"{len(found)} places have {rule}:\n" + "\n".join(found)


def test_markdown_is_prose_but_for_its_code_and_quotations() -> None:
    source = "# Colours\n\n```python\ncolour = 1  # a colour\n```\n\n`colour` of *The colour of\ncolours*, **colour**\n"
    assert [number for number, _ in violations("a British spelling", source, ".md")] == [1, 4, 8]
