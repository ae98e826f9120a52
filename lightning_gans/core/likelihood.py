"""Models that are taught by maximum likelihood alone."""

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
    """Make the data as probable as possible. A subclass implements `log_density` and `draw`.

    What is minimized is -log p in nats of an example; `model/bits_per_dim` of images is logged beside it.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        levels: How many values an element of an image can have, the data's; None where they are continuous.
        network: The network; its average is what is sampled from and reported.
        optimizer: Makes the optimizer from the network's parameters.
        ema_half_life: Images after which a weight's share in the average has halved; 0 does not average, None lets
            it rise to 10,000 over the first 200,000 images.
        **kwargs: What every `SingleOptimizerModel` takes.

    Raises:
        ValueError: A number is out of its range; it is named.
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
        """One player, with the live network's weights."""
        return {"model": self.network.parameters()}

    def model_loss(self, batch: Batch) -> Losses:
        """Minus the mean log-probability."""
        log_prob = self.log_density(self.network, batch).mean()
        if self.levels is not None:
            self.observe("model/bits_per_dim", bits_per_dim(log_prob, batch["image"][0].numel()))
        return {"negative_log_likelihood": -log_prob}

    def after_step(self) -> None:
        """Let the average take the weights in."""
        self.ema.update(self.network, images_seen=self.images_seen)
