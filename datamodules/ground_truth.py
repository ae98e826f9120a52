"""Interface of data whose true distribution is known."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor


class GroundTruth(ABC):
    """Score samples against the known distribution of the data, such as its modes or its density.

    A data module inherits from this class as well as from `DataModule`.
    """

    @abstractmethod
    def scores(self, sample: Callable[[int], Tensor]) -> dict[str, float]:
        """Score samples against the true distribution.

        Args:
            sample: Function that generates a given number of samples, scaled as the model generates them. The data
                module chooses the number.

        Returns:
            Scores by name.
        """

    def log_prob(self, image: Tensor) -> Tensor | None:
        """Compute the true log density of points.

        Args:
            image: (n, ...) points, scaled as a model receives them.

        Returns:
            (n,) nats, or None if the density is unknown, which is the default.
        """
        return None
