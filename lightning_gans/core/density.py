"""Base class of models that compute the probability of examples."""

import math
from abc import abstractmethod
from typing import cast

import torch
from torch import Tensor, nn

from lightning_gans.core.batch_conversion import convert_values
from lightning_gans.core.batches import as_dict
from lightning_gans.core.ema import EMA
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.networks.levels import round_to_levels
from lightning_gans.types import Batch

DENSITY_CHUNK = 250
"""Number of examples whose log-probabilities are computed at once."""


class DensityModel(GenerativeModel):
    """Compute log-probabilities of examples.

    A subclass implements `log_density`; callers use `log_prob`.

    Images with `levels` are discrete: each element has one of `levels` values, evenly spaced from -1 to 1. The reported
    log-*probability* of such images is comparable between all models. A model with a density on continuous values
    reports a lower bound, the density of the dequantized image. A model with exact probabilities reports them
    unchanged. `dequantization` distinguishes the two. Points have no levels. Their density is continuous, in the units
    of the model's inputs.

    Source: Theis, van den Oord and Bethge 2016, arXiv:1511.01844, section 3.1.

    Attributes:
        levels: Number of values that an element of an image can have; None for continuous data.
        ema: EMA of the network; it computes the reported log-probabilities.
        dequantization: "uniform", or "none" if probabilities are exact.
    """

    levels: int | None
    ema: EMA
    dequantization: str = "none"
    monitor = "log_prob"

    @abstractmethod
    def log_density(self, network: nn.Module, batch: Batch) -> Tensor:
        """Compute the log-probability, or log-density, of examples under a network, (b,) nats.

        Args:
            network: The live network or its EMA.
            batch: The examples and their conditions.
        """

    @torch.no_grad()
    def log_prob(self, batch: Batch, *, seed: int = 0) -> Tensor:
        """Compute the log-probability of examples, or their log-density if the data have no levels.

        The EMA network is used, in evaluation mode. The global random streams are not changed.

        Args:
            batch: The examples, with the keys in `requires`.
            seed: Seed of the dequantization noise, default 0. The noise also depends on the position of an example in
                the batch.

        Returns:
            (b,) nats on the CPU, computed in the precision of the weights and returned in double precision.

        Raises:
            ValueError: If the batch lacks a key, or its images have another shape or values that are not levels.
        """
        batch = convert_values(batch)
        self.validate_keys_and_shape(batch)
        self.validate_levels(batch["image"])
        tensors = as_dict(batch)
        log_probs = [torch.empty(0, dtype=torch.float64)]
        with self.seeded_eval(seed):
            for start in range(0, len(batch["image"]), DENSITY_CHUNK):
                rows = slice(start, start + DENSITY_CHUNK)
                chunk = {key: self.to_device_and_dtype(tensors[key][rows]) for key in self.requires}
                log_probs.append(self.log_density(self.ema.network, cast("Batch", chunk)).cpu().double())
        return torch.cat(log_probs)

    def bits_per_dim(self, batch: Batch, *, seed: int = 0) -> Tensor:
        """Compute bits per dimension of examples: -log2 of the probability, divided by the number of elements.

        Args:
            batch: The examples, with the keys in `requires`.
            seed: Seed of the dequantization noise, default 0.

        Returns:
            (b,) on the CPU, in double precision.
        """
        return bits_per_dim(self.log_prob(batch, seed=seed), math.prod(self.image_shape))

    def scores(self, batch: Batch) -> dict[str, float]:
        """Compute the mean log-probability in nats, and for images the same in bits per dimension (lower is better)."""
        log_prob = self.log_prob(batch).mean()
        scores = {"log_prob": log_prob.item()}
        if self.levels is not None:
            scores["bits_per_dim"] = bits_per_dim(log_prob, math.prod(self.image_shape)).item()
        return scores

    def protocol(self) -> dict[str, int | str | None]:
        """Return the settings that the scores depend on.

        With `given`, the scores are conditional log-probabilities: log p(image | label), for example.
        """
        given = ", ".join(key for key in self.requires if key != "image") or None
        return {"levels": self.levels, "dequantization": self.dequantization, "given": given}

    def on_fit_start(self) -> None:
        """Check that the precision of the trainer distinguishes dequantized images of 256 levels.

        Raises:
            ValueError: If weights and images have 16 bits.
        """
        super().on_fit_start()
        if (precision := str(self.trainer.precision)) in {"16-true", "bf16-true"}:
            raise ValueError(
                f"`precision` {precision!r} stores images in 16 bits, too few for {type(self).__name__}'s"
                f" log-probabilities: use {precision.replace('true', 'mixed')!r} or '32-true'"
            )

    def validate_values(self, image: Tensor) -> None:
        """Validate the values of the first training batch, including their levels.

        Raises:
            ValueError: If `image` is not a floating-point tensor, or has values that are not levels.
        """
        super().validate_values(image)
        self.validate_levels(image)

    def validate_levels(self, image: Tensor) -> None:
        """Validate that all values of images are levels.

        Raises:
            ValueError: If `image` is not a floating-point tensor, or has values that are not levels.
        """
        if not image.is_floating_point():
            raise ValueError(f"`image` must be floating-point images in [-1, 1], but the data yields {image.dtype}")
        if self.levels is not None and (image - round_to_levels(image, self.levels)).abs().gt(1e-3 / self.levels).any():
            raise ValueError(
                f"{type(self).__name__} was built for images of {self.levels} `levels` from -1 to 1, but the data"
                " have other values"
            )


def bits_per_dim(log_prob: Tensor, dimensions: int) -> Tensor:
    """Convert log-probabilities of examples in nats to bits per dimension, with the opposite sign.

    Args:
        log_prob: Log-probabilities in nats, of any shape.
        dimensions: Number of elements of an example.

    Example:
        >>> bits_per_dim(torch.tensor(-784 * math.log(2)), 784)
        tensor(1.)
    """
    return -log_prob / (dimensions * math.log(2))
