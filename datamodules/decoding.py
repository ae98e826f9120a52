"""Decode examples in parallel threads, with progress."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track

from lightning_gans.datamodules.sources import MapDataset

MIN_PROGRESS = 2000
"""Number of examples above which a progress bar is shown on a terminal."""

CHUNK = 256
"""Examples that are read ahead."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_threads(function: Callable[[_Item], _Result], items: Sequence[_Item], description: str) -> Iterator[_Result]:
    """Call a function for each item in parallel threads, with a progress bar on a terminal for more than 2,000 items.

    Args:
        function: Function that releases the interpreter's lock most of the time, as decoders do.
        items: Its arguments.
        description: Label of the progress bar, which goes to standard error.

    Yields:
        The results, in order.
    """
    console = Console(stderr=True)
    with ThreadPoolExecutor() as pool:
        chunks = (pool.map(function, items[start : start + CHUNK]) for start in range(0, len(items), CHUNK))
        yield from track(
            (result for chunk in chunks for result in chunk),
            description=description,
            total=len(items),
            console=console,
            transient=True,
            disable=len(items) <= MIN_PROGRESS or not console.is_terminal,
        )


def decode(dataset: MapDataset, description: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Read the examples of a data set once, in parallel threads.

    Args:
        dataset: The data set, whose `__getitem__` returns a dictionary.
        description: Label of the progress bar.

    Yields:
        The index of each example, in order, and the example.
    """
    yield from enumerate(map_in_threads(dataset.__getitem__, range(len(dataset)), description))
