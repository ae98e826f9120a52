"""Save, seed and restore the global random states: PyTorch on every device, NumPy and Python."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """Return the state of every global random generator of this process, as plain data and tensors.

    Example:
        >>> state = random_state()
        >>> first = torch.rand(1)
        >>> set_random_state(state)
        >>> torch.equal(torch.rand(1), first)
        True
    """
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [
            str(name),
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "python": [version, list(numbers), gauss],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restore the states from `random_state`, except for the states of devices that this process does not have."""
    torch.set_rng_state(state["torch"])
    for device, cuda in zip(range(torch.cuda.device_count()), state["cuda"], strict=False):
        torch.cuda.set_rng_state(cuda, device)
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the random streams of the CPU and of a device, and restore both on exit; other streams are unchanged."""
    accelerator = None if device.type == "cpu" else torch.get_device_module(device)
    cpu = torch.get_rng_state()
    state = accelerator and accelerator.get_rng_state()
    torch.default_generator.manual_seed(seed)
    if accelerator is not None:
        accelerator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(cpu)
        if accelerator is not None:
            accelerator.set_rng_state(state)


def chunk_seeds(seed: int | None) -> Callable[[int], int]:
    """Derive a seed for each chunk; seeds are mixed, because torch gives similar streams to seeds that are close.

    Args:
        seed: Any integer from 0; None takes a fresh seed.

    Returns:
        Function from the index of a chunk to its seed.

    Raises:
        ValueError: `seed` is negative.

    Example:
        >>> seed_of = chunk_seeds(0)
        >>> seed_of(0) == chunk_seeds(0)(0), seed_of(0) == seed_of(1)
        (True, False)
    """
    if seed is not None and seed < 0:
        raise ValueError(f"`seed` must be at least 0, got {seed}")
    entropy = np.random.SeedSequence(seed).entropy
    return lambda index: int(np.random.SeedSequence(entropy, spawn_key=(index,)).generate_state(1)[0])
