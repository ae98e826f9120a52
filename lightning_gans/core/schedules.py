"""Schedules: numbers that change during training, as pure functions of the images seen.

A schedule is accepted wherever a model takes a `float | Schedule`, and for the settings of an optimizer by name
(`generator_schedules={"lr": Linear(2e-4, 0.0, images=1_000_000)}`). It has no state, so resuming needs none.
"""

import math
from abc import ABC, abstractmethod

from lightning_gans.core.recording import Recorded


class Schedule(Recorded, ABC):
    """Base class of schedules: monotonic functions of the images seen."""

    @abstractmethod
    def __call__(self, images: int) -> float:
        """Compute the value after a number of images, over all devices."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in self.init_args.items())})"


class Linear(Schedule):
    """Change linearly from `start` to `end` over a number of images; the value is constant before and after.

    Args:
        start: Initial value.
        end: Final value.
        images: Images from the initial to the final value.
        delay: Images before the value begins to change, default 0.

    Raises:
        ValueError: If `images` is below 1.

    Example:
        >>> decay = Linear(1.0, 0.5, images=1000)
        >>> decay(0), decay(500), decay(2000)
        (1.0, 0.75, 0.5)
    """

    def __init__(self, start: float, end: float, *, images: int, delay: int = 0) -> None:
        if images < 1:
            raise ValueError(f"`images` must be at least 1, got {images}")
        self.start, self.end, self.images, self.delay = start, end, images, delay

    def __call__(self, images: int) -> float:
        """Compute the value after a number of images."""
        return self.start + self.progress(images) * (self.end - self.start)

    def progress(self, images: int) -> float:
        """Compute the completed fraction of the change, from 0 to 1."""
        return min(max((images - self.delay) / self.images, 0.0), 1.0)


class Cosine(Linear):
    """Change from `start` to `end` along half a period of a cosine: cosine annealing without restarts.

    The change is slow at both ends. The arguments are the same as for `Linear`.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983.

    Example:
        >>> decay = Cosine(1.0, 0.0, images=1000)
        >>> decay(0), round(decay(500), 6), decay(1000)
        (1.0, 0.5, 0.0)
    """

    def __call__(self, images: int) -> float:
        """Compute the value after a number of images."""
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * self.progress(images))) / 2


class Exponential(Schedule):
    """Decay exponentially from `start`, with a half-life in images and a lower bound.

    Args:
        start: Initial value.
        half_life: Images in which the value halves.
        floor: Lower bound of the value, default 0.

    Raises:
        ValueError: If `half_life` is not positive.

    Example:
        >>> decay = Exponential(0.1, half_life=1000)
        >>> decay(0), decay(1000), decay(2000)
        (0.1, 0.05, 0.025)
    """

    def __init__(self, start: float, *, half_life: float, floor: float = 0.0) -> None:
        if half_life <= 0:
            raise ValueError(f"`half_life` must be above 0, got {half_life}")
        self.start, self.half_life, self.floor = start, half_life, floor

    def __call__(self, images: int) -> float:
        """Compute the value after a number of images."""
        return max(self.floor, float(self.start * 0.5 ** (images / self.half_life)))


def value_at(value: float | Schedule, images: int) -> float:
    """Compute the value of a number or of a schedule after a number of images.

    Example:
        >>> value_at(10.0, 500), value_at(Linear(10.0, 0.0, images=1000), 500)
        (10.0, 5.0)
    """
    return value(images) if isinstance(value, Schedule) else value


def value_range(value: float | Schedule) -> tuple[float, float]:
    """Compute the smallest and the largest value of a number or of a schedule.

    A schedule is monotonic, so both values are at its ends: at 0 images, and after very many.

    Example:
        >>> value_range(10.0), value_range(Linear(10.0, 0.0, images=1000))
        ((10.0, 10.0), (0.0, 10.0))
        >>> value_range(Exponential(0.1, half_life=1000))
        (0.0, 0.1)
    """
    ends = value_at(value, 0), value_at(value, 10**15)
    return min(ends), max(ends)
