"""Read all examples of a map-style data set in parallel threads, with progress."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.console import Console
from rich.progress import track

from lightning_gans.datamodules.sources import MapDataset

MIN_PROGRESS = 2000
"""Number of examples above which a progress bar is shown on a terminal."""

CHUNK = 256
"""Examples that are read ahead."""


def decode(dataset: MapDataset, description: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Read the examples of a data set once, in parallel threads.

    Args:
        dataset: The data set, whose `__getitem__` returns a dictionary and releases the interpreter's lock most of the
            time, as image decoders do.
        description: Label of the progress bar, which goes to standard error on a terminal.

    Yields:
        The index of each example, in order, and the example.
    """
    console = Console(stderr=True)
    count = len(dataset)
    with ThreadPoolExecutor() as pool:
        chunks = (
            pool.map(dataset.__getitem__, range(start, min(start + CHUNK, count))) for start in range(0, count, CHUNK)
        )
        yield from enumerate(
            track(
                (example for chunk in chunks for example in chunk),
                description=description,
                total=count,
                console=console,
                transient=True,
                disable=count <= MIN_PROGRESS or not console.is_terminal,
            )
        )
