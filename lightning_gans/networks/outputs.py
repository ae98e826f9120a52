"""Output distributions: discrete distributions of a pixel over levels, with parameters from a network."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.checks import check_levels, check_positive
from lightning_gans.networks.levels import from_index, round_to_levels, to_index

UniformSampler = Callable[..., Tensor]
"""Function that returns uniform random numbers in [0, 1) of the requested shape, such as `torch.rand`."""

MIN_LOG_SCALE = -7.0
"""Lower bound of log-scales, as in the PixelCNN++ code: one ninth of a bin of 256 levels."""


class OutputDistribution(nn.Module, ABC):
    """Base class of joint distributions of the channels of a pixel; they have no learned parameters of their own.

    Attributes:
        num_params: Number of parameters per pixel.
    """

    num_params: int

    @abstractmethod
    def log_prob(self, params: Tensor, image: Tensor) -> Tensor:
        """Compute the log-probability of pixels, (b, ...) nats, in the dtype of `image`.

        Args:
            params: Parameters (b, num_params, ...).
            image: Pixels (b, channels, ...), whose values are levels in [-1, 1].
        """

    @abstractmethod
    def sample(self, params: Tensor, rand: UniformSampler) -> Tensor:
        """Sample pixels (b, channels, ...), whose values are levels in [-1, 1].

        Args:
            params: Parameters (b, num_params, ...).
            rand: Function that returns uniform random numbers in [0, 1) of the requested shape, such as `torch.rand`:
                `rand(2, 3)`.
        """


class Bernoulli(OutputDistribution):
    """Model the channels of a binary pixel by independent Bernoulli distributions, given by logits.

    Args:
        channels: Number of channels.
        levels: Number of values that an element can have; it must be 2.

    Raises:
        ValueError: If `channels` is below 1, or `levels` is not 2.

    Example:
        >>> Bernoulli(1, 2).log_prob(torch.zeros(3, 1, 8, 8), torch.ones(3, 1, 8, 8)).exp().unique()
        tensor([0.5000])
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        check_positive(channels=channels)
        if levels != 2:
            raise ValueError(f"Bernoulli models binary values: `levels` must be 2, got {levels}")
        self.num_params = channels

    def log_prob(self, params: Tensor, image: Tensor) -> Tensor:
        """Compute the log-probability of pixels, (b, ...) nats."""
        return F.logsigmoid(params.to(image.dtype) * image).sum(1)

    def sample(self, params: Tensor, rand: UniformSampler) -> Tensor:
        """Sample pixels (b, channels, ...) with values -1 and 1."""
        uniform = rand(*params.shape)
        return (uniform < params.to(uniform.dtype).sigmoid()).to(uniform.dtype) * 2 - 1


class Categorical(OutputDistribution):
    """Model the channels of a pixel by independent categorical distributions, with one logit per level.

    The distribution is arbitrary, and does not use the order of the levels. From van den Oord et al. 2016,
    arXiv:1601.06759, section 2.2. In the paper, the channels of a pixel depend on each other through the network; here
    they are independent, given the earlier pixels.

    Args:
        channels: Number of channels.
        levels: Number of values that an element can have.

    Raises:
        ValueError: If `channels` is below 1, or `levels` below 2.

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
        self.num_params = channels * levels

    def log_prob(self, params: Tensor, image: Tensor) -> Tensor:
        """Compute the log-probability of pixels, (b, ...) nats."""
        log_probs = _group(params.to(image.dtype), self.channels).log_softmax(2)
        chosen: Tensor = log_probs.gather(2, to_index(image, self.levels).unsqueeze(2))
        return chosen.squeeze(2).sum(1)

    def sample(self, params: Tensor, rand: UniformSampler) -> Tensor:
        """Sample pixels (b, channels, ...), whose values are levels."""
        logits = _group(params, self.channels)
        uniform = rand(*logits.shape)
        return from_index(_sample_categorical(logits, uniform, dim=2), self.levels, like=uniform)


class DiscretizedLogisticMixture(OutputDistribution):
    """Model a pixel by a mixture of discretized logistic distributions.

    Later channels of a pixel depend on earlier channels: the mean of channel i in a component is m_i + sum over j < i
    of tanh(c_ij) x_j. All channels share one component. The probability of a level is the logistic mass of its bin; the
    first and the last bin are unbounded. The mass of narrow bins is exact: log(sigma(a) - sigma(b)) = log sigma(a) +
    log sigma(-b) + log(1 - exp(b - a)). The authors' code approximates the mass of such bins by the density at the
    center.

    Source: Salimans et al. 2017, arXiv:1701.05517, section 2.1 and 2.2; openai/pixel-cnn, `nn.py`.

    Args:
        channels: Number of channels; the authors support only 3.
        levels: Number of values that an element can have.
        components: Number of logistic distributions in the mixture, default 10.

    Raises:
        ValueError: If `channels` or `components` is below 1, or `levels` below 2.

    Example:
        >>> output = DiscretizedLogisticMixture(3, 256, components=10)
        >>> output.num_params
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
        # per component: its logit, the means, the log-scales, and a coefficient for each pair of channels
        self.sizes = [1, channels, channels, math.comb(channels, 2)]
        self.num_params = components * sum(self.sizes)

    def log_prob(self, params: Tensor, image: Tensor) -> Tensor:
        """Compute the log-probability of pixels, (b, ...) nats."""
        logits, means, log_scales, coefficients = self._unpack(params.to(image.dtype))
        total = logits.log_softmax(1)
        for channel in range(self.channels):
            value = image[:, None, channel]
            mean = self._mean(means, coefficients, image, channel)
            total = total + _log_bin_mass(value, mean, log_scales[:, :, channel], self.levels)
        return total.logsumexp(1)

    def sample(self, params: Tensor, rand: UniformSampler) -> Tensor:
        """Sample pixels (b, channels, ...), whose values are levels."""
        batch, _, *rest = params.shape
        component_uniform, uniform = rand(batch, self.components, *rest), rand(batch, self.channels, *rest)
        logits, *others = self._unpack(params.to(uniform.dtype))
        component = _sample_categorical(logits, component_uniform, dim=1)[:, None, None]
        means, log_scales, coefficients = (part.gather(1, component.expand(-1, 1, *part.shape[2:])) for part in others)
        image = torch.zeros_like(uniform)
        for channel in range(self.channels):
            standard_logistic = uniform[:, channel].log() - (-uniform[:, channel]).log1p()
            mean = self._mean(means, coefficients, image, channel)[:, 0]
            value = mean + standard_logistic * log_scales[:, 0, channel].exp()
            image[:, channel] = round_to_levels(value, self.levels)
        return image

    def _unpack(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Split into logits (b, components, ...), and means, log-scales and coefficients (b, components, n, ...)."""
        parts = _group(params, self.components)
        logits, means, log_scales, coefficients = torch.split(parts, self.sizes, dim=2)
        return logits.squeeze(2), means, log_scales.clamp(min=MIN_LOG_SCALE), coefficients.tanh()

    def _mean(self, means: Tensor, coefficients: Tensor, image: Tensor, channel: int) -> Tensor:
        """Compute the mean of a channel given the earlier channels, (b, components, ...)."""
        mean = means[:, :, channel]
        first = math.comb(channel, 2)  # pairs (1, 0), (2, 0), (2, 1), ...
        for earlier in range(channel):
            mean = mean + coefficients[:, :, first + earlier] * image[:, None, earlier]
        return mean


def _group(params: Tensor, groups: int) -> Tensor:
    """Map (b, groups * n, ...) to (b, groups, n, ...)."""
    return params.reshape(len(params), groups, -1, *params.shape[2:])


def _log_bin_mass(value: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """Compute the logarithm of the mass of a logistic distribution in the bin of a level."""
    half = 1 / (levels - 1)
    upper = (value - mean + half) * (-log_scale).exp()
    lower = (value - mean - half) * (-log_scale).exp()
    below_upper = torch.where(value > 1 - half, 0.0, F.logsigmoid(upper))  # the last bin is unbounded above
    above_lower = torch.where(value < -1 + half, 0.0, F.logsigmoid(-lower))  # the first bin is unbounded below
    inside = _log_one_minus_exp(math.log(2 * half) - log_scale)
    return below_upper + above_lower + torch.where(value.abs() < 1 - half, inside, 0.0)


def _log_one_minus_exp(log_width: Tensor) -> Tensor:
    """Compute log(1 - exp(-width)); it is log(width) if the width is too small for single precision."""
    width = log_width.clamp(min=-50).exp()
    return torch.where(log_width < -50, log_width, (-torch.expm1(-width)).log())


def _sample_categorical(logits: Tensor, uniform: Tensor, *, dim: int) -> Tensor:
    """Sample indices from categorical distributions by the Gumbel-max trick."""
    gumbel = -(-uniform.log()).log()
    return (logits.to(uniform.dtype) + gumbel).argmax(dim)
