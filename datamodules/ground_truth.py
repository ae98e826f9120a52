"""Data of which more is known than examples."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor


class GroundTruth(ABC):
    """A data module that can tell how good samples are by what it knows, such as its modes or its density."""

    @abstractmethod
    def scores(self, sample: Callable[[int], Tensor]) -> dict[str, float]:
        """Score samples; the data say how many, as their protocol does.

        Args:
            sample: Makes that many examples, as a model sees them.
        """

    def log_prob(self, image: Tensor) -> Tensor | None:
        """The log density of examples as a model sees them, in nats, (n,); None where it is not known."""
        return None
