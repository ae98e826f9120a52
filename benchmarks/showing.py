"""Define tables of measurements and format them for a terminal, as Markdown and as JSON."""

import math
import statistics
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table as RichTable

Scores = dict[str, float]
Measure = Callable[[str, int, float], Scores]
"""Measurement of a row: `(row, seed, minutes)` to scores. The global random streams are seeded before the call."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Row of a table with results from the literature.

    Attributes:
        row: Name of the row.
        scores: Scores by column, with as many digits as the source prints.
        source: Citation of the source.
    """

    row: str
    scores: Mapping[str, str]
    source: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Definition of a table: its rows, its columns and the function that measures a row.

    Attributes:
        name: Name of the folder of results and of the Markdown file.
        title: Heading of the table.
        protocol: Conditions that the numbers depend on, in a few sentences.
        rows: Names of the rows to measure.
        columns: Format specification of each score, by the name of the score.
        measure: Function that measures a row with a seed.
        ideal: Names of rows with the best possible scores, such as a perfect sampler; measured, and shown separately.
        published: Results from the literature under the same protocol.
        seeds: Default number of seeds.
        minutes: Default limit of the training time of a row, in minutes.
    """

    name: str
    title: str
    protocol: str
    rows: Sequence[str]
    columns: Mapping[str, str]
    measure: Measure
    ideal: Sequence[str] = ()
    published: Sequence[Published] = ()
    seeds: int = 3
    minutes: float = 5.0


Results = Mapping[str, Sequence[Mapping[str, Any]]]


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Compute the mean and its standard error.

    Args:
        values: One value per seed.

    Returns:
        The mean, and the sample standard deviation (with n - 1) divided by sqrt(n), or None for a single value.
    """
    mean = statistics.fmean(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def json_rows(table: Table, results: Results) -> list[dict[str, Any]]:
    """Convert the results to JSON values: the measured rows, then the published rows."""
    rows: list[dict[str, Any]] = []
    for row in (*table.rows, *table.ideal):
        if not results.get(row):
            continue
        scores = {}
        for name in table.columns:
            if values := _values(results[row], name):
                mean, error = mean_and_error(values)
                scores[name] = {"mean": mean, "standard_error": error, "seeds": len(values)}
        kind = "ideal" if row in table.ideal else "measured"
        rows.append({"row": row, "kind": kind, "scores": scores, "provenance": results[row][-1]["provenance"]})
    published = [
        {"row": p.row, "kind": "published", "scores": dict(p.scores), "source": p.source} for p in table.published
    ]
    return [*rows, *published]


def rich_table(table: Table, results: Results) -> RichTable:
    """Format the table for a terminal."""
    rendered = RichTable(box=box.SIMPLE_HEAD, title=table.title, caption=table.protocol)
    for number, heading in enumerate(_header(table)):
        rendered.add_column(heading, justify="left" if number == 0 else "right")
    for section in _sections(table, results):
        for cells in section:
            rendered.add_row(*cells)
        rendered.add_section()
    return rendered


def markdown(table: Table, results: Results, minutes: float) -> str:
    """Format the table as Markdown, with its protocol and the provenance of its numbers."""
    records = [record["provenance"] for row in results.values() for record in row]
    rows = [cells for section in _sections(table, results) for cells in section]
    header = _header(table)
    limit = f"Each row is trained for at most {minutes:g} minutes. Scores are means ± standard errors over the seeds."
    lines = [
        f"# {table.title}",
        "",
        wrap(f"{table.protocol} {limit}"),
        "",
        *("| " + " | ".join(cells) + " |" for cells in (header, ["---"] + ["---:"] * (len(header) - 1), *rows)),
        "",
    ]
    if table.published:
        sources = {source: [p.row for p in table.published if p.source == source] for source in _sources(table)}
        lines += ["Sources of the published rows:", ""]
        lines += [wrap(f"* {source}: {'; '.join(names)}", indent="  ") for source, names in sources.items()] + [""]
    days = sorted(record["date"].partition(" ")[0] for record in records)
    provenance = {
        "Commit": [record["commit"] + " with changes" * record["dirty"] for record in records],
        "Hardware": [record["hardware"] for record in records],
        "Versions": [f"torch {record['torch']}, lightning {record['lightning']}" for record in records],
        "Measured": [*days[:1], *days[-1:]],
        "Command": [f"`{record['command']}`" for record in records],
    }
    items = [wrap(f"* {name}: {join_unique(values)}", indent="  ") for name, values in provenance.items()]
    return "\n".join([*lines, "Provenance:", "", *items, ""])


def wrap(text: str, *, indent: str = "") -> str:
    """Wrap a paragraph at 120 columns, with an indent of the lines after the first."""
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _sources(table: Table) -> list[str]:
    return list(dict.fromkeys(p.source for p in table.published))


def _header(table: Table) -> list[str]:
    return ["", *table.columns, "seeds"]


def _sections(table: Table, results: Results) -> list[list[list[str]]]:
    """Format the cells of the measured, the ideal and the published rows."""
    measured = [
        [_cells(table, row, results[row]) for row in rows if results.get(row)] for rows in (table.rows, table.ideal)
    ]
    published = [
        [f"{p.row} (published)", *(p.scores.get(name, "") for name in table.columns), ""] for p in table.published
    ]
    return [*measured, published]


def _cells(table: Table, row: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = [row]
    for name, spec in table.columns.items():
        values = _values(records, name)
        if not values:
            cells.append("")
            continue
        mean, error = mean_and_error(values)
        cells.append(f"{mean:{spec}}" + ("" if error is None else f" ± {error:{spec}}"))
    return [*cells, str(len(records))]


def _values(records: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [record["scores"][name] for record in records if name in record["scores"]]


def join_unique(words: Sequence[str]) -> str:
    """Join the distinct words by commas, in the order of their first occurrence."""
    return ", ".join(dict.fromkeys(words))
