"""Models whose samples have a probability that can be computed."""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn

from lightning_gans.core.ema import EMA
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.networks.levels import round_to_levels
from lightning_gans.types import Batch

DENSITY_CHUNK = 250
"""Examples whose probabilities are computed at a time."""


class DensityModel(GenerativeModel):
    """Tell how probable examples are. A subclass implements `log_density`; everything else asks `log_prob`.

    Data with `levels` are discrete: images whose elements take that many values, evenly from -1 to 1. What is
    reported of them is the logarithm of their *probability*, and so comparable between models of every kind. A model
    that has a density on continuous values bounds it from below by the density of the dequantized image; one that
    has probabilities reports them as they are: `dequantization` says which. Points have no levels, and their density
    is continuous, in the units that the model sees.

    Source: Theis, van den Oord and Bethge 2016, arXiv:1511.01844, section 3.1.

    Attributes:
        levels: How many values an element of an image can have; None where it is continuous.
        ema: The averaged network, whose density is reported.
        dequantization: "uniform", or "none" where probabilities are exact.
    """

    levels: int | None
    ema: EMA
    dequantization: str = "none"
    monitor = "log_prob"

    @abstractmethod
    def log_density(self, network: nn.Module, batch: Batch) -> Tensor:
        """How probable examples are under that network (the live or the averaged one), in nats, (b,).

        Args:
            network: The live or the averaged network.
            batch: The examples, and what they are conditioned on.
        """

    @torch.no_grad()
    def log_prob(self, batch: Batch, *, seed: int = 0) -> Tensor:
        """The logarithm of the probability of examples, or of their density where data have no levels.

        By the averaged weights, in evaluation mode, the global random streams untouched.

        Args:
            batch: The examples, with the keys in `requires`.
            seed: Of the dequantization, which also depends on an example's place in the batch.

        Returns:
            (b,) nats, on the CPU, in double precision, computed in that of the weights.

        Raises:
            ValueError: The batch lacks a key, or has examples of another shape, or with other values than the levels.
        """
        self.validate_keys_and_shape(batch)
        self.validate_levels(batch["image"])
        count = len(batch["image"])
        parts = [torch.empty(0, dtype=torch.float64)]
        with self.seeded_eval(seed):
            for start in range(0, count, DENSITY_CHUNK):
                rows = slice(start, start + DENSITY_CHUNK)
                part = {key: self.to_device_and_dtype(batch[key][rows]) for key in self.requires}  # type: ignore[literal-required]
                parts.append(self.log_density(self.ema, part).cpu().double())  # type: ignore[arg-type]
        return torch.cat(parts)

    def bits_per_dim(self, batch: Batch, *, seed: int = 0) -> Tensor:
        """-log2 of the probability of examples, by the number of their elements, (b,) double precision on the CPU.

        Args:
            batch: The examples, with the keys in `requires`.
            seed: Of the dequantization.
        """
        return bits_per_dim(self.log_prob(batch, seed=seed), math.prod(self.image_shape))

    def scores(self, batch: Batch) -> dict[str, float]:
        """The mean log-probability in nats, and of images the same in bits per dimension (lower is better)."""
        log_prob = self.log_prob(batch).mean()
        scores = {"log_prob": log_prob.item()}
        if self.levels is not None:
            scores["bits_per_dim"] = bits_per_dim(log_prob, math.prod(self.image_shape)).item()
        return scores

    def protocol(self) -> dict[str, int | str | None]:
        """What those numbers depend on; with `given`, they are of examples where that is known, such as the label."""
        given = ", ".join(key for key in self.requires if key != "image") or None
        return {"levels": self.levels, "dequantization": self.dequantization, "given": given}

    def on_fit_start(self) -> None:
        """Refuse weights and images of 16 bits, which cannot tell dequantized images of 256 levels apart.

        Raises:
            ValueError: The trainer's precision is such.
        """
        super().on_fit_start()
        if (precision := str(self.trainer.precision)) in {"16-true", "bf16-true"}:
            raise ValueError(
                f"`precision` {precision!r} holds images in 16 bits, too few for {type(self).__name__}'s"
                f" log-probabilities: take {precision.replace('true', 'mixed')!r} or '32-true'"
            )

    def validate_values(self, image: Tensor) -> None:
        """Refuse images that have other values than the model was built for.

        Raises:
            ValueError: A value of `image` is none of the `levels`.
        """
        super().validate_values(image)
        self.validate_levels(image)

    def validate_levels(self, image: Tensor) -> None:
        """Refuse images that have other values than the model was built for.

        Raises:
            ValueError: They are no floats, or a value is none of the `levels`.
        """
        if not image.is_floating_point():
            raise ValueError(f"`image` must be float, images in [-1, 1], but the data yields {image.dtype}")
        if self.levels is not None and (image - round_to_levels(image, self.levels)).abs().gt(1e-3 / self.levels).any():
            raise ValueError(
                f"{type(self).__name__} was built for images of {self.levels} `levels` from -1 to 1, but the data's"
                " have other values"
            )


def bits_per_dim(log_prob: Tensor, dimensions: int) -> Tensor:
    """Turn nats of a whole example into bits of one of its elements, with the sign changed.

    Args:
        log_prob: Nats, of any shape.
        dimensions: Elements of an example.

    Example:
        >>> bits_per_dim(torch.tensor(-784 * math.log(2)), 784)
        tensor(1.)
    """
    return -log_prob / (dimensions * math.log(2))
