"""Batches from tensors in memory, in an order that can be continued exactly."""

import zlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor


class InMemoryLoader:
    """Hand out batches of equally long tensors, in an order that is a pure function of (seed, epoch, rank).

    Each epoch is one global permutation, cut into global batches of `batch_size * world_size` examples; rank r takes
    the r-th contiguous share of each. So the ranks are disjoint, and together see what one process would see.

    The loader has a length and a state, which is what Lightning needs to resume exactly: a batch counts as delivered
    when it is handed out, and an epoch that was delivered to its end is left at the *start* of the next `iter`, because
    Lightning stops at `len` without exhausting the iterator. No global random stream is read or moved.

    Args:
        tensors: What a batch holds, by key; the first axis is the example.
        batch_size: Examples per batch and rank.
        shuffle: Whether each epoch has its own random order; otherwise every epoch is the same.
        drop_last: Whether a last batch that is not full is left out. If it is kept, the ranks share it equally, and
            the fewer than `world_size` examples that remain are left out; one process leaves out nothing.
        seed: What the random orders are made from.
        rank: Which of the processes this is, from 0.
        world_size: The number of processes.

    Raises:
        ValueError: If the tensors differ in length, or no rank would get a batch.

    Example:
        >>> loader = InMemoryLoader({"image": torch.arange(5)}, batch_size=2, shuffle=False, drop_last=False)
        >>> [batch["image"].tolist() for batch in loader]
        [[0, 1], [2, 3], [4]]
        >>> len(loader)
        3
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        *,
        batch_size: int,
        shuffle: bool,
        drop_last: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        lengths = {key: len(tensor) for key, tensor in tensors.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"`tensors` must hold tensors that are equally long, got the lengths {lengths}")
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, got {batch_size}")
        if not 0 <= rank < world_size:
            raise ValueError(f"`rank` must be at least 0 and less than `world_size` {world_size}, got {rank}")
        self.tensors = dict(tensors)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.position = 0
        self._handed_out = False  # since the start or the loading of a state
        self._examples = next(iter(lengths.values()))
        full, rest = divmod(self._examples, self._global_batch_size)
        self._length = full + (not drop_last and rest >= world_size)
        if self._length == 0:
            needed = self._global_batch_size if drop_last else world_size
            raise ValueError(
                f"`batch_size` {batch_size} on {world_size} processes leaves no batch: "
                f"that needs at least {needed} examples, got {self._examples}"
            )

    @property
    def _global_batch_size(self) -> int:
        return self.batch_size * self.world_size

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        # a state that was loaded in the middle of an epoch goes on there, however often Lightning asks for an iterator
        # before it asks for a batch
        if self._handed_out or self.position >= len(self):
            self.epoch += 1
            self.position = 0
        self._handed_out = False
        return self._batches(self._order(), self.position)

    def _order(self) -> Tensor:
        if not self.shuffle:
            return torch.arange(self._examples)
        return torch.randperm(self._examples, generator=_generator(self.seed, self.epoch))

    def _batches(self, order: Tensor, start: int) -> Iterator[dict[str, Tensor]]:
        for position in range(start, len(self)):
            rows = order[self._share(position)]
            self.position = position + 1
            self._handed_out = True
            yield {key: tensor[rows] for key, tensor in self.tensors.items()}

    def _share(self, position: int) -> slice:
        """Return this rank's part of the order in the global batch at `position`."""
        first = position * self._global_batch_size
        share = min(self._global_batch_size, self._examples - first) // self.world_size
        return slice(first + self.rank * share, first + (self.rank + 1) * share)

    def uniform(self) -> Tensor:
        """Return one random number per example of the batch handed out last, for its augmentation.

        A pure function of (seed, epoch, position), drawn for the global batch and shared out like it: resuming and the
        number of processes change nothing.

        Returns:
            (b,), float, in [0, 1).

        Raises:
            ValueError: If no batch was handed out yet.

        Example:
            >>> loader = InMemoryLoader({"image": torch.arange(6)}, batch_size=2, shuffle=True, drop_last=True)
            >>> batch = next(iter(loader))
            >>> loader.uniform().shape
            torch.Size([2])
        """
        if self.position == 0:
            raise ValueError("`uniform` belongs to the batch handed out last, but none was handed out in this epoch")
        numbers = torch.rand(self._global_batch_size, generator=_generator(self.seed, self.epoch, self.position))
        share = self._share(self.position - 1)
        start = share.start - (self.position - 1) * self._global_batch_size
        return numbers[start : start + share.stop - share.start]

    def state_dict(self) -> dict[str, int]:
        """Return where the loader stands: plain numbers, the same on every rank."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "examples": self._examples,
            "batch_size": self._global_batch_size,
        }

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Go on where another loader stood: the next `iter` starts after the batch it delivered last.

        Args:
            state_dict: What `state_dict` returned, on any number of ranks.

        Raises:
            ValueError: If the state is of other data, another seed or another total batch size, whose order is another.
        """
        own = self.state_dict()
        for key in ("examples", "seed", "batch_size"):
            if state_dict[key] != own[key]:
                raise ValueError(
                    f"`state_dict` cannot be continued: it was saved with {key} {state_dict[key]}, this has {own[key]}"
                )
        self.epoch = state_dict["epoch"]
        self.position = state_dict["position"]
        self._handed_out = False


def _generator(*key: int) -> torch.Generator:
    """Return a generator whose numbers are a function of `key` only."""
    return torch.Generator().manual_seed(zlib.crc32(repr(key).encode()))
