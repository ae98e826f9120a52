"""Progress of the command `sample`: a bar on a terminal, otherwise a line every 10 seconds."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich import progress as rich
from rich.console import Console

from lightning_gans.types import Batch

SECONDS = 10.0
"""Seconds between two lines."""


@contextmanager
def track_samples(
    start: int, count: int, *, unit: str = "samples", console: Console | None = None
) -> Iterator[Callable[[int], None]]:
    """Show how many samples exist.

    Args:
        start: Number of samples that exist already.
        count: Number of all samples.
        unit: Noun for what is counted, default "samples".
        console: Console to print to, default None for standard error.

    Yields:
        Function to call with the number of further samples.
    """
    console = console or Console(stderr=True, soft_wrap=True, highlight=False)
    bar = rich.Progress(
        rich.BarColumn(),
        rich.TextColumn(f"{{task.completed:,}} of {{task.total:,}} {unit}"),
        rich.TimeRemainingColumn(),
        console=console,
        refresh_per_second=5,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("", total=count, completed=start)
    completed, printed = start, time.monotonic()

    def advance(number: int) -> None:
        nonlocal completed, printed
        completed += number
        bar.advance(task, number)
        if not console.is_terminal and time.monotonic() - printed >= SECONDS:
            printed = time.monotonic()
            console.print(f"{completed:,} of {count:,} {unit}", markup=False)

    with bar:
        yield advance


def tracked(batches: Iterable[Batch], advance: Callable[[int], None]) -> Iterator[Batch]:
    """Yield batches, and report each of them once the next one is requested."""
    for batch in batches:
        yield batch
        advance(len(batch["image"]))
