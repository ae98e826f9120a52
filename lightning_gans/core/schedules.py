"""Numbers that change while training: pure functions of the images seen, so that resuming needs no state.

A schedule may stand wherever a model takes a `float | Schedule`, and drives an optimizer's settings by name
(`generator_schedules={"lr": Linear(2e-4, 0.0, images=1_000_000)}`).
"""

import math
from abc import ABC, abstractmethod

from lightning_gans.core.recording import Recorded


class Schedule(Recorded, ABC):
    """A number as a function of the images seen."""

    @abstractmethod
    def __call__(self, images: int) -> float:
        """The value after that many images, over all devices."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in self.init_args.items())})"


class Linear(Schedule):
    """Go from `start` to `end` in a straight line over `images` images, and stay there.

    Args:
        start: The value at first.
        end: The value at last.
        images: How many images the way takes.
        delay: Images before it sets out.

    Example:
        >>> halved = Linear(1.0, 0.5, images=1000)
        >>> halved(0), halved(500), halved(2000)
        (1.0, 0.75, 0.5)
    """

    def __init__(self, start: float, end: float, *, images: int, delay: int = 0) -> None:
        if images < 1:
            raise ValueError(f"`images` must be at least 1, got {images}")
        self.start, self.end, self.images, self.delay = start, end, images, delay

    def __call__(self, images: int) -> float:
        """The value after that many images."""
        return self.start + self.progress(images) * (self.end - self.start)

    def progress(self, images: int) -> float:
        """The share of the way that is done, from 0 to 1."""
        return min(max((images - self.delay) / self.images, 0.0), 1.0)


class Cosine(Linear):
    """Go from `start` to `end` along half a cosine, slow at both ends (arXiv:1608.03983, without restarts).

    The arguments are those of `Linear`.

    Example:
        >>> decay = Cosine(1.0, 0.0, images=1000)
        >>> decay(0), round(decay(500), 6), decay(1000)
        (1.0, 0.5, 0.0)
    """

    def __call__(self, images: int) -> float:
        """The value after that many images."""
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * self.progress(images))) / 2


class Exponential(Schedule):
    """Halve `start` every `half_life` images, down to `floor`.

    Args:
        start: The value at first.
        half_life: Images in which it halves.
        floor: What it does not go below.

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
        """The value after that many images."""
        return max(self.floor, float(self.start * 0.5 ** (images / self.half_life)))


def value_at(value: float | Schedule, images: int) -> float:
    """The value of a setting that may be a schedule, after that many images.

    Example:
        >>> value_at(10.0, 500), value_at(Linear(10.0, 0.0, images=1000), 500)
        (10.0, 5.0)
    """
    return value(images) if isinstance(value, Schedule) else value


def value_range(value: float | Schedule) -> tuple[float, float]:
    """The least and the greatest value that such a setting takes: schedules go one way, from the first image to no end.

    Example:
        >>> value_range(10.0), value_range(Linear(10.0, 0.0, images=1000)), value_range(Exponential(0.1, half_life=1000))
        ((10.0, 10.0), (0.0, 10.0), (0.0, 0.1))
    """
    ends = value_at(value, 0), value_at(value, 10**15)
    return min(ends), max(ends)
