"""What a table of measurements is, and how it is shown: on a terminal, in a file, and to programs."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table as RichTable

Scores = dict[str, float]
Measure = Callable[[str, int, float], Scores]
"""Measures one row with one seed, training for at most so many minutes; the global streams are seeded before."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A row that somebody else measured, in the words of the source.

    Attributes:
        row: Its name.
        scores: By column, as printed there.
        source: Where that is.
    """

    row: str
    scores: Mapping[str, str]
    source: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """What is measured, and how it is shown.

    Attributes:
        name: Name of the files it is kept in.
        title: Its heading.
        protocol: What the numbers depend on, in a sentence or two.
        rows: The rows to measure.
        columns: The format of each score, by its name.
        measure: Measures a row.
        ideal: Rows that are measured like the others, and set apart: what nothing can beat, such as a perfect sampler.
        published: Rows of others under the same protocol.
        seeds: How many seeds by default.
        minutes: How long a row is trained at most, by default.
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
    """The mean, and its standard error: the spread over seeds (n - 1) divided by sqrt(n); None for one value."""
    mean = statistics.fmean(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def json_rows(table: Table, results: Results) -> list[dict[str, Any]]:
    """The rows as plain values: those measured, then those published."""
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
    """The table for a terminal."""
    shown = RichTable(box=box.SIMPLE_HEAD, title=table.title, caption=table.protocol)
    for number, heading in enumerate(_heading(table)):
        shown.add_column(heading, justify="left" if number == 0 else "right")
    for section in _sections(table, results):
        for cells in section:
            shown.add_row(*cells)
        shown.add_section()
    return shown


def markdown(table: Table, results: Results, minutes: float) -> str:
    """The table for a file, with its protocol and where it was measured."""
    records = [record["provenance"] for row in results.values() for record in row]
    rows = [cells for section in _sections(table, results) for cells in section]
    heading = _heading(table)
    lines = [
        f"# {table.title}",
        "",
        f"{table.protocol} At most {minutes:g} minutes of training a row. Mean ± standard error over the seeds.",
        "",
        *("| " + " | ".join(cells) + " |" for cells in (heading, ["---"] + ["---:"] * (len(heading) - 1), *rows)),
        "",
    ]
    if table.published:
        lines += ["Published rows: " + "; ".join(f"{p.row}: {p.source}" for p in table.published) + ".", ""]
    days = sorted(record["date"].partition(" ")[0] for record in records)
    about = {
        "Commit": [record["commit"] + " with changes" * record["dirty"] for record in records],
        "Hardware": [record["hardware"] for record in records],
        "Versions": [f"torch {record['torch']}, lightning {record['lightning']}" for record in records],
        "Measured": [*days[:1], *days[-1:]],
        "Command": [f"`{record['command']}`" for record in records],
    }
    return "\n".join([*lines, *(f"* {what}: {listed(words)}" for what, words in about.items()), ""])


def _heading(table: Table) -> list[str]:
    return ["", *table.columns, "seeds"]


def _sections(table: Table, results: Results) -> list[list[list[str]]]:
    """The cells of the measured rows, of the ideal ones and of the published ones."""
    measured = [
        [_cells(table, row, results[row]) for row in rows if results.get(row)] for rows in (table.rows, table.ideal)
    ]
    published = [
        [f"{p.row} (published)", *(p.scores.get(name, "") for name in table.columns), ""] for p in table.published
    ]
    return [*measured, published]


def _cells(table: Table, row: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = [row]
    for name, form in table.columns.items():
        values = _values(records, name)
        if not values:
            cells.append("")
            continue
        mean, error = mean_and_error(values)
        cells.append(f"{mean:{form}}" + ("" if error is None else f" ± {error:{form}}"))
    return [*cells, str(len(records))]


def _values(records: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [record["scores"][name] for record in records if name in record["scores"]]


def listed(words: Sequence[str]) -> str:
    """The different ones, in a line."""
    return ", ".join(dict.fromkeys(words))
