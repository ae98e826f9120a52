"""Read batches ahead of their use, in threads."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def read_ahead(tasks: Iterable[Callable[[], Result]], *, threads: int, ahead: int) -> Iterator[Result]:
    """Call functions in threads, a few calls ahead of the use of their results.

    Args:
        tasks: Functions without arguments. They are drawn in the thread of the caller, each shortly before its call.
        threads: Number of threads.
        ahead: Number of results that are waiting or in progress while one is used.

    Yields:
        The results, in order.

    Example:
        >>> list(read_ahead((lambda n=n: n * n for n in range(5)), threads=2, ahead=2))
        [0, 1, 4, 9, 16]
    """
    pool = ThreadPoolExecutor(threads)
    try:
        waiting: list[Future[Result]] = []
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > ahead:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
