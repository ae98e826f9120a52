"""Read batches ahead of their use, in a thread."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from lightning_gans.datamodules.sources import Tensors


def read_ahead(fetch: Callable[[Tensor], Tensors], indices: Sequence[Tensor], ahead: int) -> Iterator[Tensors]:
    """Read batches in a thread, into pinned memory if there is a GPU.

    Args:
        fetch: Function that reads the examples of a batch by their indices.
        indices: Indices of each batch.
        ahead: Number of batches that are read ahead of their use.

    Yields:
        The batches, in order.

    Example:
        >>> batches = read_ahead(lambda index: {"label": 10 * index}, torch.arange(6).split(2), ahead=2)
        >>> [batch["label"].tolist() for batch in batches]
        [[0, 10], [20, 30], [40, 50]]
    """

    def fetch_pinned(batch: Tensor) -> Tensors:
        tensors = fetch(batch)
        return {key: tensor.pin_memory() for key, tensor in tensors.items()} if torch.cuda.is_available() else tensors

    with ThreadPoolExecutor(1) as thread:
        waiting: list[Future[Tensors]] = []
        try:
            for batch in indices:
                waiting.append(thread.submit(fetch_pinned, batch))
                if len(waiting) > ahead:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()
        finally:
            thread.shutdown(cancel_futures=True)
