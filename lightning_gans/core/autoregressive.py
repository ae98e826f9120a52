"""Base class of autoregressive models of images."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from rich import get_console
from rich.progress import track
from torch import Tensor, nn

from lightning_gans.checks import check_image
from lightning_gans.core.likelihood import LikelihoodModel
from lightning_gans.networks.causal import row_predictor
from lightning_gans.networks.outputs import OutputDistribution
from lightning_gans.types import Batch, ImageShape

NetworkFactory = Callable[[ImageShape, int], nn.Module]
"""Factory of a network from (image_shape, outputs) and, in class-conditional models, the keyword `num_classes`."""


OutputFactory = Callable[[int, int], OutputDistribution]
"""Factory of an output distribution from (channels, levels)."""


class Autoregressive(LikelihoodModel):
    """Factorize the probability of an image into conditional distributions of its pixels, in raster order.

    The output distribution models the channels of a pixel jointly. Sampling predicts one pixel after the other; a
    `CausalImageNetwork` computes only the outputs of that pixel. A subclass chooses the networks.

    Args:
        image_shape: (channels, height, width).
        levels: Number of values that an element of the data's images can have.
        network: Factory of the network from (image_shape, outputs) and, if `class_conditional`, the keyword
            `num_classes`. The network maps images, and labels if `class_conditional`, to (b, outputs, height, width).
            The outputs at a pixel depend only on earlier pixels.
        output: Factory of the output distribution of a pixel from (channels, levels).
        class_conditional: Whether the model is conditioned on labels, default False. Samples without given labels get
            uniformly drawn labels.
        num_classes: Number of classes of the data; None if they have no classes.
        **kwargs: Further arguments of `LikelihoodModel`.

    Raises:
        ValueError: If the data are not images of discrete values, or lack classes.
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        levels: int | None,
        network: NetworkFactory,
        output: OutputFactory,
        class_conditional: bool = False,
        num_classes: int | None = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        check_image(name, image_shape)
        if levels is None:
            raise ValueError(f"`levels` is None: {name} needs data of discrete values")
        if class_conditional and num_classes is None:
            raise ValueError("`class_conditional` is true, but `num_classes` is None: the data have no classes")
        distribution = output(image_shape[0], levels)
        # by keyword, which overrides the default that the command line has bound in the factory
        classes = {"num_classes": num_classes} if class_conditional else {}
        super().__init__(
            image_shape=image_shape,
            levels=levels,
            network=partial(network, tuple(image_shape), distribution.num_params, **classes),
            **kwargs,
        )
        self.output = distribution
        self.num_classes = num_classes
        self.conditions = ("label",) if class_conditional else ()
        self.generates = ("image", *self.conditions)

    def log_density(self, network: nn.Module, batch: Batch) -> Tensor:
        """Compute the exact log-probability of images, (b,) nats."""
        image = batch["image"]
        return self.output.log_prob(network(image, *self._condition(batch)), image).flatten(1).sum(1)

    def draw(self, n: int, condition: Batch) -> Batch:
        """Sample n images pixel by pixel, with a progress bar on a terminal."""
        image = self.to_device_and_dtype(torch.zeros(n, *self.image_shape))
        height, width = self.image_shape[1:]
        disable = not get_console().is_terminal  # in a file, a transient progress bar leaves an empty line
        for pixel in track(range(height * width), description="pixels", transient=True, disable=disable):
            row, column = divmod(pixel, width)
            if column == 0:
                predict = row_predictor(self.ema.network, image, row, *self._condition(condition))
            image[:, :, row, column] = self.output.sample(predict(column), self.rand)
        return {"image": image, **condition}

    def _condition(self, batch: Batch) -> list[Tensor]:
        return [batch["label"]] if self.conditions else []
