"""Test generators and discriminators: shapes, ranges, initial weights, gradients and invalid arguments."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_gans.networks import (
    DCGANCritic,
    DCGANDiscriminator,
    DCGANGenerator,
    MaxoutDiscriminator,
    MLPDiscriminator,
    MLPGenerator,
    R3GANDiscriminator,
    R3GANGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
    SpectralNormDiscriminator,
    SpectralNormResNetDiscriminator,
)
from lightning_gans.types import ImageShape

GENERATORS: list[type[nn.Module]] = [DCGANGenerator, MLPGenerator, ResNetGenerator, R3GANGenerator]
DISCRIMINATORS: list[type[nn.Module]] = [
    DCGANDiscriminator,
    DCGANCritic,
    SpectralNormDiscriminator,
    MaxoutDiscriminator,
    MLPDiscriminator,
    ResNetDiscriminator,
    SpectralNormResNetDiscriminator,
    R3GANDiscriminator,
]
CONVOLUTIONAL = [DCGANGenerator, DCGANDiscriminator, DCGANCritic]
RESIDUAL: list[type[nn.Module]] = [
    ResNetGenerator,
    ResNetDiscriminator,
    SpectralNormResNetDiscriminator,
    R3GANGenerator,
    R3GANDiscriminator,
]
START_AT_ZERO = [R3GANGenerator, R3GANDiscriminator]
IMAGE_SHAPES: list[ImageShape] = [
    (1, 8, 8),
    (1, 28, 28),
    (3, 64, 64),
    (3, 61, 45),
    (1, 48, 40),
    (2, 7, 5),
    (1, 1, 1),
    (1, 3, 70),
]


def build(network: type[nn.Module], image_shape: ImageShape, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    sizes = (6, image_shape) if network in GENERATORS else (image_shape,)
    return network(*sizes, **options)


def inputs(network: type[nn.Module], image_shape: ImageShape, n: int = 4) -> Tensor:
    return torch.randn(n, 6) if network in GENERATORS else torch.randn(n, *image_shape)


@pytest.mark.parametrize("image_shape", IMAGE_SHAPES, ids=str)
@pytest.mark.parametrize("network", GENERATORS)
def test_generators_support_images_of_any_size(network: type[nn.Module], image_shape: ImageShape) -> None:
    generator = build(network, image_shape, width=4)
    nn.init.normal_(next(generator.parameters()), std=10)  # so that the tanh saturates
    images = generator(torch.randn(4, 6))
    assert images.shape == (4, *image_shape)
    assert images.abs().max() <= 1


@pytest.mark.parametrize("image_shape", IMAGE_SHAPES, ids=str)
@pytest.mark.parametrize("network", DISCRIMINATORS)
def test_discriminators_support_images_of_any_size(network: type[nn.Module], image_shape: ImageShape) -> None:
    assert build(network, image_shape, width=4)(torch.randn(4, *image_shape)).shape == (4,)


def test_points_are_not_bounded() -> None:
    generator = build(MLPGenerator, (2,), width=16)
    nn.init.normal_(next(generator.parameters()), std=100)
    points = generator(torch.randn(32, 6))
    assert points.shape == (32, 2)
    assert points.abs().max() > 1


@pytest.mark.parametrize("network", [MLPDiscriminator, MaxoutDiscriminator])
def test_points_get_logits(network: type[nn.Module]) -> None:
    assert build(network, (2,), width=16)(torch.randn(32, 2)).shape == (32,)


@pytest.mark.parametrize("image_shape", [(1, 8, 8), (3, 61, 45)], ids=str)
@pytest.mark.parametrize("network", [*GENERATORS, *DISCRIMINATORS])
def test_every_parameter_gets_a_gradient(network: type[nn.Module], image_shape: ImageShape) -> None:
    net = build(network, image_shape, width=8).double()
    if network in START_AT_ZERO:  # layers before a weight of 0 have no gradient in the first step
        for parameter in net.parameters():
            nn.init.normal_(parameter, std=0.1)
    net(inputs(network, image_shape, 16).double()).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-12, name  # 1e-17 for a bias before normalization


@pytest.mark.parametrize("image_shape", IMAGE_SHAPES, ids=str)
def test_the_sizes_of_the_discriminator_mirror_the_generator(image_shape: ImageShape) -> None:
    def sizes(
        network: type[nn.Module], of: Callable[[Tensor, Tensor], Tensor], kind: type[nn.Module]
    ) -> list[torch.Size]:
        seen = []
        net = build(network, image_shape, width=2)
        for module in net.modules():
            if isinstance(module, kind):
                module.register_forward_hook(lambda _, args, output: seen.append(of(args[0], output).shape[1:]))
        net(inputs(network, image_shape))
        return seen

    upwards = sizes(DCGANGenerator, lambda small, _: small, nn.ConvTranspose2d)
    downwards = sizes(DCGANDiscriminator, lambda _, small: small, nn.Conv2d)
    assert upwards == downwards[::-1]
    assert max(downwards[-1][1:]) <= 4
    assert len(downwards) >= 2


def test_the_sizes_and_channels_of_dcgan_are_those_of_the_paper() -> None:
    net = build(DCGANDiscriminator, (3, 128, 128))
    weights = [tuple(m.weight.shape[:2]) for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert weights == [(64, 3), (128, 64), (256, 128), (512, 256), (512, 512)]  # doubled, up to 8 times the width
    digits = build(DCGANGenerator, (1, 8, 8))
    sizes = [m.output_padding for m in digits.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert sizes == [(1, 1), (1, 1)]  # 2 - 4 - 8
    mnist = build(DCGANGenerator, (1, 28, 28))
    sizes = [m.output_padding for m in mnist.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert sizes == [(0, 0), (1, 1), (1, 1)]  # 4 - 7 - 14 - 28


@pytest.mark.parametrize("network", CONVOLUTIONAL)
def test_the_initial_weights_of_dcgan_are_normal(network: type[nn.Module]) -> None:
    for module in build(network, (3, 64, 64)).modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1, abs=0.01)
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.3)
            assert module.bias.count_nonzero() == 0
        elif isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            assert module.weight.mean().item() == pytest.approx(0, abs=0.001)
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
            assert module.bias is None or module.bias.count_nonzero() == 0


@pytest.mark.parametrize(("network", "bound"), [(MLPGenerator, 0.05), (MaxoutDiscriminator, 0.005)])
def test_the_initial_weights_of_the_first_gan_are_uniform(network: type[nn.Module], bound: float) -> None:
    for module in build(network, (1, 28, 28)).modules():
        if isinstance(module, nn.Linear):
            assert module.weight.abs().max() <= bound
            assert module.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
            assert module.bias.count_nonzero() == 0


def test_normalized_layers_are_those_of_the_paper() -> None:
    def kinds(network: type[nn.Module]) -> list[type[nn.Module]]:
        known = nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d | nn.Linear | nn.Tanh
        return [type(m) for m in build(network, (1, 28, 28)).modules() if isinstance(m, known)]

    conv, up, norm = nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d
    assert kinds(DCGANGenerator) == [nn.Linear, norm, up, norm, up, norm, up, nn.Tanh]
    assert kinds(DCGANDiscriminator) == [conv, conv, norm, conv, norm, nn.Linear]
    assert kinds(DCGANCritic) == [conv, conv, conv, nn.Linear]


@pytest.mark.parametrize(
    "network",
    [
        DCGANCritic,
        MLPDiscriminator,
        ResNetDiscriminator,
        SpectralNormDiscriminator,
        SpectralNormResNetDiscriminator,
        R3GANDiscriminator,
    ],
)
def test_the_logit_of_a_sample_does_not_depend_on_others(network: type[nn.Module]) -> None:
    critic, samples = build(network, (1, 8, 8), width=8).eval(), torch.randn(4, 1, 8, 8)
    individual = torch.cat([critic(sample) for sample in samples.split(1)])
    torch.testing.assert_close(critic(samples), individual)


def test_maxout_equals_a_calculation_by_hand() -> None:
    net = build(MaxoutDiscriminator, (3,), width=2, pieces=4, depth=1).eval()
    x = torch.randn(5, 3)
    hidden, logit = (m for m in net.modules() if isinstance(m, nn.Linear))
    units = [[max((hidden.weight @ row)[4 * u : 4 * u + 4].tolist()) for u in range(2)] for row in x]
    torch.testing.assert_close(net(x), (torch.tensor(units) @ logit.weight.T).squeeze(1))


def test_dropout_has_the_probabilities_of_the_first_gan() -> None:
    net = build(MaxoutDiscriminator, (1, 28, 28))
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.5, 0.5]


@pytest.mark.parametrize("network", [*GENERATORS, *DISCRIMINATORS])
def test_the_same_seed_gives_the_same_network(network: type[nn.Module]) -> None:
    first, second = build(network, (1, 8, 8), width=8), build(network, (1, 8, 8), width=8)
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
        assert a.data_ptr() != b.data_ptr()


@pytest.mark.parametrize("network", [*CONVOLUTIONAL, SpectralNormDiscriminator, *RESIDUAL])
def test_convolutions_refuse_points(network: type[nn.Module]) -> None:
    message = rf"{network.__name__} works on images \(channels, height, width\), got `image_shape` \(2,\)"
    with pytest.raises(ValueError, match=message):
        build(network, (2,))


@pytest.mark.parametrize("network", [*GENERATORS, *DISCRIMINATORS])
@pytest.mark.parametrize("image_shape", [(0, 8, 8), (1, 8, -1)], ids=str)
def test_empty_images_are_refused(network: type[nn.Module], image_shape: ImageShape) -> None:
    with pytest.raises(ValueError, match=r"`image_shape` must hold sizes of at least 1, got \("):
        build(network, image_shape)


@pytest.mark.parametrize("network", [MLPGenerator, MLPDiscriminator, MaxoutDiscriminator])
def test_a_shape_that_is_neither_an_image_nor_a_point_is_refused(network: type[nn.Module]) -> None:
    message = r"`image_shape` must be \(channels, height, width\) or \(dimensions,\), got \(28, 28\)"
    with pytest.raises(ValueError, match=message):
        build(network, (28, 28))


@pytest.mark.parametrize("network", [*GENERATORS, *DISCRIMINATORS])
def test_a_width_below_one_is_refused(network: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="`width` must be at least 1, got 0"):
        build(network, (1, 8, 8), width=0)


@pytest.mark.parametrize("network", GENERATORS)
def test_a_latent_size_below_one_is_refused(network: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="`latent_dim` must be at least 1, got -1"):
        network(-1, (1, 8, 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "`depth` must be at least 1, got 0"),
        ({"pieces": 0}, "`pieces` must be at least 1, got 0"),
        ({"dropout": 1.5}, r"`dropout` must be a probability in \[0, 1\], got 1.5"),
        ({"input_dropout": -0.1}, r"`input_dropout` must be a probability in \[0, 1\], got -0.1"),
    ],
)
def test_maxout_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaxoutDiscriminator((1, 8, 8), **options)
