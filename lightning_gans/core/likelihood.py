"""Base class of models that are trained by maximum likelihood."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from lightning_gans.checks import check_levels
from lightning_gans.core.density import DensityModel, bits_per_dim
from lightning_gans.core.ema import EMA
from lightning_gans.core.optimizers import OptimizerFactory
from lightning_gans.core.schedules import Schedule
from lightning_gans.core.single_optimizer import SingleOptimizerModel
from lightning_gans.types import Batch, ImageShape, Losses


class LikelihoodModel(SingleOptimizerModel, DensityModel):
    """Minimize the negative log-likelihood of the data, -log p in nats per example.

    A subclass implements `log_density` and `draw`. For images with levels, `model/bits_per_dim` is logged as well.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        levels: Number of values that an element of the data's images can have; None for continuous data.
        network: Factory of the network. Its EMA generates samples and computes the reported log-probabilities.
        optimizer: Factory of the optimizer from the network's parameters.
        ema_half_life: Half-life of the network's EMA in images. 0 disables averaging. None (default) lets it rise to
            10,000 over the first 200,000 images.
        **kwargs: Further arguments of `SingleOptimizerModel`.

    Raises:
        ValueError: If a number is out of its range; the message names it.
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        levels: int | None,
        network: Callable[[], nn.Module],
        optimizer: OptimizerFactory = torch.optim.Adam,
        ema_half_life: float | Schedule | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape=image_shape, optimizer=optimizer, **kwargs)
        if levels is not None:
            check_levels(levels)
        self.levels = levels
        self.network = network()
        self.ema = EMA(self.network, half_life=ema_half_life)

    def players(self) -> dict[str, Iterable[nn.Parameter]]:
        """Return the parameters of the only player: the weights of the live network."""
        return {"model": self.network.parameters()}

    def model_loss(self, batch: Batch) -> Losses:
        """Compute the negative mean log-likelihood."""
        log_prob = self.log_density(self.network, batch).mean()
        if self.levels is not None:
            self.observe("model/bits_per_dim", bits_per_dim(log_prob, batch["image"][0].numel()))
        return {"negative_log_likelihood": -log_prob}

    def after_step(self) -> None:
        """Update the EMA."""
        self.ema.update(self.network, images_seen=self.images_seen)
