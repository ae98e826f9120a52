"""Models of images that make one pixel after the other."""

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
"""Makes a network from (image_shape, outputs), and, in class-conditional models, the keyword `num_classes`."""


OutputFactory = Callable[[int, int], OutputDistribution]
"""Makes an output distribution from (channels, levels)."""


class Autoregressive(LikelihoodModel):
    """Write the probability of an image as the product of its pixels', each given those before it in raster order.

    The channels of a pixel are told jointly, by `output`. Sampling takes a pass of the network for each pixel,
    of a `CausalImageNetwork` no more than that pixel needs. A subclass chooses the networks.

    Args:
        image_shape: (channels, height, width).
        levels: How many values an element can have, the data's.
        network: Makes the network from (image_shape, outputs), and the keyword `num_classes` if `class_conditional`;
            called with images, and then labels, it returns (b, outputs, height, width), of which those at a pixel
            depend on earlier pixels only.
        output: Makes the distribution of a pixel from (channels, levels).
        class_conditional: Whether the label is given; it is drawn evenly for samples where none is.
        num_classes: How many classes the data have; None where they have none.
        **kwargs: What every `LikelihoodModel` takes.

    Raises:
        ValueError: The data are no images of discrete values, or lack classes.
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
        # by its name: of a network chosen on the command line, its default has been filled in
        classes = {"num_classes": num_classes} if class_conditional else {}
        made = partial(network, tuple(image_shape), distribution.size, **classes)
        super().__init__(image_shape=image_shape, levels=levels, network=made, **kwargs)
        self.output = distribution
        self.num_classes = num_classes
        self.conditions = ("label",) if class_conditional else ()

    def log_density(self, network: nn.Module, batch: Batch) -> Tensor:
        """The log-probability of images, (b,) nats: exact."""
        image = batch["image"]
        return self.output.log_prob(network(image, *self._condition(batch)), image).flatten(1).sum(1)

    def draw(self, n: int, condition: Batch) -> Batch:
        """Draw n images, pixel after pixel."""
        given = self._condition(condition)
        image = self.to_device_and_dtype(torch.zeros(n, *self.image_shape))
        height, width = self.image_shape[1:]
        quiet = not get_console().is_terminal  # where a bar that goes away would leave an empty line
        for place in track(range(height * width), description="pixels", transient=True, disable=quiet):
            row, column = divmod(place, width)
            if column == 0:
                tell = row_predictor(self.ema.network, image, row, *given)
            image[:, :, row, column] = self.output.sample(tell(column), self.rand)
        return {"image": image, **condition}

    @property
    def generates(self) -> tuple[str, ...]:  # type: ignore[override]
        """Images, and the labels they were drawn for."""
        return ("image", *self.conditions)

    def _condition(self, batch: Batch) -> list[Tensor]:
        return [batch["label"]] if self.conditions else []
