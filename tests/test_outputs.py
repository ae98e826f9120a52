"""Test output distributions: probabilities against independent computations, samples, and numerical limits."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_gans.networks.outputs import Bernoulli, Categorical, DiscretizedLogisticMixture, OutputDistribution

OUTPUTS = [
    pytest.param(Bernoulli, 1, 2, id="bernoulli"),
    pytest.param(Bernoulli, 3, 2, id="bernoulli-colors"),
    pytest.param(Categorical, 1, 5, id="categorical"),
    pytest.param(Categorical, 2, 3, id="categorical-channels"),
    pytest.param(partial(DiscretizedLogisticMixture, components=3), 1, 2, id="mixture-2-levels"),
    pytest.param(partial(DiscretizedLogisticMixture, components=3), 1, 17, id="mixture-17-levels"),
    pytest.param(partial(DiscretizedLogisticMixture, components=1), 1, 256, id="one-logistic"),
    pytest.param(partial(DiscretizedLogisticMixture, components=5), 2, 5, id="mixture-2-channels"),
    pytest.param(partial(DiscretizedLogisticMixture, components=4), 3, 4, id="mixture-colors"),
    pytest.param(partial(DiscretizedLogisticMixture, components=2), 4, 3, id="mixture-4-channels"),
]
Factory = Callable[[int, int], OutputDistribution]


def all_pixels(channels: int, levels: int) -> Tensor:
    """List all values of a pixel, (levels ** channels, channels), in double precision."""
    values = [2 * k / (levels - 1) - 1 for k in range(levels)]
    return torch.tensor(list(itertools.product(values, repeat=channels)), dtype=torch.float64)


def probabilities(output: OutputDistribution, params: Tensor, channels: int, levels: int) -> Tensor:
    """Compute the probability of every value of a pixel, for parameters (b, num_params): (b, values)."""
    pixels = all_pixels(channels, levels).to(params.dtype)
    every = params[..., None].expand(-1, -1, len(pixels))
    return output.log_prob(every, pixels.T[None].expand(len(params), -1, -1)).exp()


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0, 30.0])
@pytest.mark.parametrize(("make", "channels", "levels"), OUTPUTS)
def test_the_probabilities_of_all_levels_sum_to_one(make: Factory, channels: int, levels: int, scale: float) -> None:
    output = make(channels, levels)
    params = torch.randn(50, output.num_params, dtype=torch.float64) * scale
    masses = probabilities(output, params, channels, levels)
    torch.testing.assert_close(masses.sum(1), torch.ones(50, dtype=torch.float64), atol=1e-12, rtol=0)
    single = probabilities(output, params.float(), channels, levels)
    torch.testing.assert_close(single.sum(1), torch.ones(50), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("make", "channels", "levels"), OUTPUTS)
def test_axes_after_the_channels_are_kept(make: Factory, channels: int, levels: int) -> None:
    output = make(channels, levels)
    params = torch.randn(2, output.num_params, 3, 4)
    rand = partial(torch.rand, generator=torch.Generator().manual_seed(0))
    image = output.sample(params, rand)
    assert image.shape == (2, channels, 3, 4)
    whole = output.log_prob(params, image)
    assert whole.shape == (2, 3, 4)
    torch.testing.assert_close(whole[:, 1, 2], output.log_prob(params[:, :, 1, 2], image[:, :, 1, 2]))


@pytest.mark.parametrize(("make", "channels", "levels"), OUTPUTS)
def test_samples_are_as_frequent_as_they_are_probable(make: Factory, channels: int, levels: int) -> None:
    output = make(channels, levels)
    count = 200_000
    params = torch.randn(1, output.num_params, dtype=torch.float64)
    rand = partial(torch.rand, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    image = output.sample(params.expand(count, -1), rand)
    index = (image + 1) * (levels - 1) / 2
    torch.testing.assert_close(index, index.round(), atol=1e-9, rtol=0)  # values are levels
    place = (index.round().long() * levels ** torch.arange(channels - 1, -1, -1)).sum(1)
    seen = place.bincount(minlength=levels**channels).double() / count
    expected = probabilities(output, params, channels, levels)[0]
    # the mean of chi-square is the number of cells minus 1, and its variance is twice the mean
    cells = expected > 5 / count
    chi_square = (count * (seen - expected) ** 2 / expected)[cells].sum().item()
    freedom = int(cells.sum()) - 1
    assert chi_square < freedom + 5 * math.sqrt(2 * max(freedom, 1))
    assert (seen - expected).abs().max() < 5 * 0.5 / math.sqrt(count)


def mixture_by_hand(params: np.ndarray, pixel: np.ndarray, levels: int, components: int) -> float:
    """Compute the probability of a pixel from cumulative distribution functions, by loops."""
    channels = len(pixel)
    rows = params.reshape(components, -1)
    weights = np.exp(rows[:, 0]) / np.exp(rows[:, 0]).sum()
    mass = 0.0
    for weight, row in zip(weights, rows, strict=True):
        means, scales = row[1 : 1 + channels], np.exp(np.maximum(row[1 + channels : 1 + 2 * channels], -7))
        product = weight
        coefficients = iter(np.tanh(row[1 + 2 * channels :]))
        for channel in range(channels):
            mean = means[channel]
            for earlier in range(channel):
                mean += next(coefficients) * pixel[earlier]
            level = round((pixel[channel] + 1) / 2 * (levels - 1))
            ends = [(2 * (level + end) / (levels - 1) - 1 - mean) / scales[channel] for end in (-0.5, 0.5)]
            below, above = (0.5 * (1 + math.tanh(end / 2)) for end in ends)
            product *= (1.0 if level == levels - 1 else above) - (0.0 if level == 0 else below)
        mass += product
    return mass


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 17), (2, 6), (3, 4), (4, 3)])
def test_the_mixture_against_differences_of_cumulative_distributions(channels: int, levels: int) -> None:
    output = DiscretizedLogisticMixture(channels, levels, components=3)
    params = torch.randn(3, output.num_params, dtype=torch.float64)
    masses = probabilities(output, params, channels, levels)
    expected = [
        [mixture_by_hand(row.numpy(), pixel.numpy(), levels, 3) for pixel in all_pixels(channels, levels)]
        for row in params
    ]
    torch.testing.assert_close(masses, torch.tensor(expected, dtype=torch.float64), atol=1e-12, rtol=1e-9)


def test_the_mixture_has_as_many_parameters_as_the_authors() -> None:
    """Reference: pixel_cnn_pp/model.py, 10 nr_mix parameters for three channels; one channel needs 3 nr_mix."""
    assert DiscretizedLogisticMixture(3, 256, components=10).num_params == 100
    assert DiscretizedLogisticMixture(1, 256, components=10).num_params == 30


def test_narrow_and_distant_bins_in_single_precision() -> None:
    """Reference: double precision; in single precision the difference of cumulative distributions would be 0."""
    output = DiscretizedLogisticMixture(1, 256, components=1)
    values = torch.linspace(-1, 1, 256, dtype=torch.float64)
    for mean, log_scale in itertools.product([-3.0, -0.5, 0.0, 0.7, 30.0], [-20.0, -7.0, -3.0, 0.0, 8.0]):
        params = torch.tensor([0.0, mean, log_scale], dtype=torch.float64).view(1, 3, 1).expand(1, 3, 256)
        exact = output.log_prob(params, values.view(1, 1, 256))
        single = output.log_prob(params.float(), values.float().view(1, 1, 256))
        assert single.isfinite().all()
        torch.testing.assert_close(single.double(), exact, atol=2e-3, rtol=1e-4)


def test_gradients_of_the_mixture_are_finite() -> None:
    output = DiscretizedLogisticMixture(3, 256, components=2)
    for scale in (1e-3, 1.0, 50.0):
        params = (torch.randn(64, output.num_params) * scale).requires_grad_()
        image = torch.randint(256, (64, 3)) / 127.5 - 1
        output.log_prob(params, image).sum().backward()
        assert params.grad is not None
        assert params.grad.isfinite().all()


@pytest.mark.parametrize(("make", "channels", "levels"), OUTPUTS)
def test_extreme_uniform_numbers_give_valid_samples(make: Factory, channels: int, levels: int) -> None:
    output = make(channels, levels)
    params = torch.randn(4, output.num_params)
    for number in (0.0, 1 - 2**-24):
        image = output.sample(params, lambda *shape, number=number: torch.full(shape, number))
        assert image.isfinite().all()
        assert image.abs().max() <= 1


def test_bernoulli_by_hand() -> None:
    params = torch.tensor([[0.3, -2.0]], dtype=torch.float64)
    expected = math.log(1 / (1 + math.exp(-0.3))) + math.log(1 / (1 + math.exp(-2.0)))
    log_prob = Bernoulli(2, 2).log_prob(params, torch.tensor([[1.0, -1.0]], dtype=torch.float64))
    assert log_prob.item() == pytest.approx(expected, rel=1e-12)


def test_parameters_of_half_precision_are_converted_to_the_precision_of_the_image() -> None:
    for output in (Bernoulli(1, 2), Categorical(1, 2), DiscretizedLogisticMixture(1, 2)):
        params = torch.randn(2, output.num_params, 5, 5).bfloat16()
        assert output.log_prob(params, torch.ones(2, 1, 5, 5)).dtype == torch.float32
        assert output.sample(params, torch.rand).dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "sizes", "message"),
    [
        (Bernoulli, (1, 17), "`levels` must be 2, got 17"),
        (Bernoulli, (0, 2), "`channels` must be at least 1, got 0"),
        (Categorical, (1, 1), "`levels` must be an integer of at least 2, got 1"),
        (Categorical, (1, 2.5), "`levels` must be an integer of at least 2, got 2.5"),
        (DiscretizedLogisticMixture, (1, 1), "`levels` must be an integer of at least 2, got 1"),
        (partial(DiscretizedLogisticMixture, components=0), (1, 2), "`components` must be at least 1, got 0"),
    ],
)
def test_invalid_arguments_are_refused(make: Factory, sizes: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(*sizes)
