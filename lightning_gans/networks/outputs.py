"""How a pixel is distributed, told by numbers that a network gives; every one is exactly a distribution of levels."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_levels, check_positive
from lightning_gans.networks.levels import from_index, round_to_levels, to_index

Draw = Callable[..., Tensor]
"""Gives uniform numbers in [0, 1) of the shape that it is called with."""

LEAST_LOG_SCALE = -7.0
"""As in PixelCNN++'s code: a scale of a ninth of a bin of 256 levels."""


class OutputDistribution(nn.Module, ABC):
    """How a pixel, all its channels, is distributed. It has no parameters of its own.

    Attributes:
        size: How many numbers tell it.
    """

    size: int

    @abstractmethod
    def log_prob(self, parameters: Tensor, image: Tensor) -> Tensor:
        """The log-probability of pixels in nats, (b, ...), in the type of `image`.

        Args:
            parameters: (b, size, ...).
            image: (b, channels, ...), on the data's levels in [-1, 1].
        """

    @abstractmethod
    def sample(self, parameters: Tensor, draw: Draw) -> Tensor:
        """Draw pixels (b, channels, ...), on the data's levels in [-1, 1].

        Args:
            parameters: (b, size, ...).
            draw: Gives uniform numbers in [0, 1) of the shape that it is called with, `draw(2, 3)`.
        """


class Bernoulli(OutputDistribution):
    """Black or white by a logit, for each channel on its own.

    Args:
        channels: Of a pixel.
        levels: How many values an element can have: 2.

    Raises:
        ValueError: `channels` is below 1, or `levels` is not 2.

    Example:
        >>> Bernoulli(1, 2).log_prob(torch.zeros(3, 1, 8, 8), torch.ones(3, 1, 8, 8)).exp().unique()
        tensor([0.5000])
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        check_positive(channels=channels)
        if levels != 2:
            raise ValueError(f"Bernoulli tells black from white: `levels` must be 2, got {levels}")
        self.size = channels

    def log_prob(self, parameters: Tensor, image: Tensor) -> Tensor:
        """The log-probability of pixels in nats, (b, ...)."""
        return F.logsigmoid(parameters.to(image.dtype) * image).sum(1)

    def sample(self, parameters: Tensor, draw: Draw) -> Tensor:
        """Draw pixels (b, channels, ...) of -1 and 1."""
        uniform = draw(*parameters.shape)
        return (uniform < parameters.to(uniform.dtype).sigmoid()).to(uniform.dtype) * 2 - 1


class Categorical(OutputDistribution):
    """A logit for every level, for each channel on its own: any distribution of it, which knows no order of levels.

    Van den Oord et al. 2016, arXiv:1601.06759, section 2.2, where the channels of a pixel depend on each other through
    the network; here those of one pixel are independent, given the earlier pixels.

    Args:
        channels: Of a pixel.
        levels: How many values an element can have.

    Raises:
        ValueError: `channels` is below 1, or `levels` below 2.

    Example:
        >>> Categorical(1, 4).log_prob(torch.zeros(3, 4, 8, 8), torch.ones(3, 1, 8, 8)).exp().unique()
        tensor([0.2500])
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        check_positive(channels=channels)
        check_levels(levels)
        self.channels = channels
        self.levels = levels
        self.size = channels * levels

    def log_prob(self, parameters: Tensor, image: Tensor) -> Tensor:
        """The log-probability of pixels in nats, (b, ...)."""
        log_probs = _split_channels(parameters.to(image.dtype), self.channels).log_softmax(2)
        chosen: Tensor = log_probs.gather(2, to_index(image, self.levels).unsqueeze(2))
        return chosen.squeeze(2).sum(1)

    def sample(self, parameters: Tensor, draw: Draw) -> Tensor:
        """Draw pixels (b, channels, ...), on the levels."""
        logits = _split_channels(parameters, self.channels)
        uniform = draw(*logits.shape)
        return from_index(_choose(logits, uniform, dim=2), self.levels, like=uniform)


class DiscretizedLogisticMixture(OutputDistribution):
    """A mixture of logistic distributions, rounded to the levels; later channels of a pixel depend on earlier ones.

    The mean of channel i in a component is m_i + sum over j < i of tanh(c_ij) x_j, and one component is chosen for all
    channels. Each level has the mass of its own bin, the first and the last those beyond it, too. The mass of
    narrow bins is exact, by log(sigma(a) - sigma(b)) = log sigma(a) + log sigma(-b) + log(1 - exp(b - a)); the authors'
    code takes the density at the middle there.

    Source: Salimans et al. 2017, arXiv:1701.05517, section 2.1 and 2.2; openai/pixel-cnn, `nn.py`.

    Args:
        channels: Of a pixel; any number, the authors have 3.
        levels: How many values an element can have.
        components: How many logistics are mixed.

    Raises:
        ValueError: `channels` or `components` is below 1, or `levels` below 2.

    Example:
        >>> output = DiscretizedLogisticMixture(3, 256, components=10)
        >>> output.size
        100
        >>> output.sample(torch.zeros(2, 100, 8, 8), torch.rand).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(self, channels: int, levels: int, *, components: int = 10) -> None:
        super().__init__()
        check_positive(channels=channels, components=components)
        check_levels(levels)
        self.channels = channels
        self.levels = levels
        self.components = components
        # for each component its weight, the means, the scales, and a coefficient for each pair of channels
        self.sizes = [1, channels, channels, math.comb(channels, 2)]
        self.size = components * sum(self.sizes)

    def log_prob(self, parameters: Tensor, image: Tensor) -> Tensor:
        """The log-probability of pixels in nats, (b, ...)."""
        logits, means, log_scales, coefficients = self._split(parameters.to(image.dtype))
        total = logits.log_softmax(1)
        for channel in range(self.channels):
            value = image[:, None, channel]
            mean = self._mean(means, coefficients, image, channel)
            total = total + _log_bin(value, mean, log_scales[:, :, channel], self.levels)
        return total.logsumexp(1)

    def sample(self, parameters: Tensor, draw: Draw) -> Tensor:
        """Draw pixels (b, channels, ...), on the levels."""
        batch, _, *rest = parameters.shape
        choice, uniform = draw(batch, self.components, *rest), draw(batch, self.channels, *rest)
        logits, *others = self._split(parameters.to(uniform.dtype))
        component = _choose(logits, choice, dim=1)[:, None, None]
        means, log_scales, coefficients = (part.gather(1, component.expand(-1, 1, *part.shape[2:])) for part in others)
        image = torch.zeros_like(uniform)
        for channel in range(self.channels):
            standard = uniform[:, channel].log() - (-uniform[:, channel]).log1p()
            mean = self._mean(means, coefficients, image, channel)[:, 0]
            drawn = mean + standard * log_scales[:, 0, channel].exp()
            image[:, channel] = round_to_levels(drawn, self.levels)
        return image

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits (b, components, ...); means, log-scales, (b, components, channels, ...); coefficients, by pairs."""
        parts = _split_channels(parameters, self.components)
        logits, means, log_scales, coefficients = torch.split(parts, self.sizes, dim=2)
        return logits.squeeze(2), means, log_scales.clamp(min=LEAST_LOG_SCALE), coefficients.tanh()

    def _mean(self, means: Tensor, coefficients: Tensor, image: Tensor, channel: int) -> Tensor:
        """The mean of a channel given those before it, (b, components, ...)."""
        mean = means[:, :, channel]
        first = math.comb(channel, 2)  # pairs (1, 0), (2, 0), (2, 1), ...
        for before in range(channel):
            mean = mean + coefficients[:, :, first + before] * image[:, None, before]
        return mean


def _split_channels(parameters: Tensor, parts: int) -> Tensor:
    """Map (b, parts * n, ...) to (b, parts, n, ...)."""
    return parameters.reshape(len(parameters), parts, -1, *parameters.shape[2:])


def _log_bin(value: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """The log of the mass that a logistic distribution has in the bin of a level."""
    half = 1 / (levels - 1)
    upper = (value - mean + half) * (-log_scale).exp()
    lower = (value - mean - half) * (-log_scale).exp()
    below_upper = torch.where(value > 1 - half, 0.0, F.logsigmoid(upper))  # the last bin has no upper end
    above_lower = torch.where(value < -1 + half, 0.0, F.logsigmoid(-lower))
    inside = _log_one_minus_exp(math.log(2 * half) - log_scale)
    return below_upper + above_lower + torch.where(value.abs() < 1 - half, inside, 0.0)


def _log_one_minus_exp(log_width: Tensor) -> Tensor:
    """log(1 - exp(-width)), which is log(width) where that is too small for single precision."""
    width = log_width.clamp(min=-50).exp()
    return torch.where(log_width < -50, log_width, (-torch.expm1(-width)).log())


def _choose(logits: Tensor, uniform: Tensor, *, dim: int) -> Tensor:
    """Draw one of the entries by their logits: the largest one after a Gumbel variable is added to each."""
    gumbel = -(-uniform.log()).log()
    return (logits.to(uniform.dtype) + gumbel).argmax(dim)
