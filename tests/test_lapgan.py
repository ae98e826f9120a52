"""Test the Laplacian pyramid and LAPGAN, which trains one GAN on each level."""

import re
from functools import partial
from typing import Any

import pytest
import torch
from cases import MLPS, images
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.models import LAPGAN
from lightning_gans.networks.mlp import MLPDiscriminator
from lightning_gans.networks.pyramid import (
    LaplacianDiscriminator,
    LaplacianGenerator,
    gaussian_pyramid,
    laplacian_pyramid,
    level_shapes,
    reconstruct,
    upsample,
)


def make_model(image_shape: tuple[int, ...] = (1, 8, 12), depth: int = 3, **arguments: Any) -> LAPGAN:
    torch.manual_seed(0)
    networks: dict[str, Any] = {
        **MLPS,
        "residual_generator": partial(LaplacianGenerator, width=3),
        "residual_discriminator": partial(MLPDiscriminator, width=8),
    }
    return LAPGAN(image_shape=image_shape, depth=depth, latent_dim=5, **{**networks, **arguments})


# -- the pyramid -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "levels"),
    [((1, 8, 8), 2), ((1, 8, 8), 4), ((1, 28, 28), 3), ((3, 32, 32), 3), ((2, 12, 20), 3), ((3, 7, 5), 1)],
)
def test_the_pyramid_reconstructs_the_image_and_its_coarser_images(shape: tuple[int, ...], levels: int) -> None:
    image = images(shape, 4)
    parts = laplacian_pyramid(image, levels)
    assert [part.shape[1:] for part in parts] == level_shapes(shape, levels)
    assert (reconstruct(parts) - image).abs().max() < 1e-6
    for count, coarser in enumerate(gaussian_pyramid(image, levels), 1):
        torch.testing.assert_close(reconstruct(parts[:count]), coarser)


def test_the_sizes_of_the_levels_of_mnist_and_cifar() -> None:
    assert [shape[1] for shape in level_shapes((1, 28, 28), 3)] == [7, 14, 28]
    assert [shape[1] for shape in level_shapes((3, 32, 32), 3)] == [8, 16, 32]


def test_a_coarse_pixel_is_the_mean_of_four_pixels() -> None:
    image = images((1, 4, 6), 2).double()
    expected = image.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    torch.testing.assert_close(gaussian_pyramid(image, 2)[0], expected)


def test_upsampling_is_bilinear() -> None:
    """New pixels are at 1/4 and 3/4 between two pixels; at the border they have the value of the nearest pixel."""
    row = torch.tensor([[[[0.0, 4.0]]]])
    torch.testing.assert_close(upsample(row), torch.tensor([[[[0.0, 1.0, 3.0, 4.0]] * 2]]))
    torch.testing.assert_close(upsample(row.mT), upsample(row).mT)


def test_the_residual_of_a_linear_ramp_is_zero_except_at_the_border() -> None:
    ramp = torch.linspace(-1, 1, 16).expand(1, 1, 16, 16)
    _, residual = laplacian_pyramid(ramp, 2)
    assert residual[..., 2:-2].abs().max() < 1e-6
    assert residual.abs().max() > 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (1, 30, 28), "depth": 3}, "`depth` 3 needs a height and a width that are multiples of 4"),
        ({"image_shape": (1, 7, 7), "depth": 2}, r"multiples of 2, got \(7, 7\)"),
        ({"image_shape": (1, 8, 8), "depth": 0}, "`depth` must be at least 1, got 0"),
        ({"image_shape": (2,)}, r"A Laplacian pyramid works on images .* got `image_shape` \(2,\)"),
        ({"image_shape": (1, 8, 8), "depth": 2, "latent_dim": 0}, "`latent_dim` must be at least 1, got 0"),
    ],
)
def test_arguments_that_do_not_fit_a_pyramid_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        LAPGAN(**arguments)
    assert "\n" not in str(error.value)


def test_dropout_that_is_not_a_probability_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`dropout` must be a probability in \[0, 1\], got 1.5"):
        LaplacianDiscriminator((1, 8, 8), dropout=1.5)


# -- the model -------------------------------------------------------------------------------------------------------


def test_the_networks_of_a_level_are_those_of_the_authors() -> None:
    """Reference: `train_cifar_coarse_to_fine.lua` of facebookarchive/eyescream."""
    model = LAPGAN(image_shape=(3, 32, 32))
    for network, kernels in ((model.generator.levels[2], [7, 7, 5]), (model.discriminator[2], [5, 5])):
        convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
        assert [convolution.kernel_size[0] for convolution in convolutions] == kernels
        assert {convolution.out_channels for convolution in convolutions} <= {64, 3}
    assert convolutions[1].stride == (2, 2)
    assert [module.p for module in model.discriminator[2].modules() if isinstance(module, nn.Dropout)] == [0.5]
    assert model.generator.sizes == [100, 16 * 16, 32 * 32]


def test_a_sample_is_the_reconstruction_of_the_generated_levels() -> None:
    model = make_model()
    latents = torch.randn(6, sum(model.generator.sizes))
    latent, planes = latents[:, :5], latents[:, 5:]
    coarsest, *residuals = model.ema.network.levels  # type: ignore[union-attr, misc]
    levels = [coarsest(latent)]
    for network, (height, width), start in zip(residuals, [(4, 6), (8, 12)], [0, 24], strict=True):
        noise = planes[:, start : start + height * width].view(6, 1, height, width)
        levels.append(network(noise, upsample(reconstruct(levels))))
    samples = model.generate(model.ema, latents, {})["image"]
    torch.testing.assert_close(samples, reconstruct(levels).clamp(-1, 1))
    for count, image in enumerate(model.ema(latents), 1):
        torch.testing.assert_close(image, reconstruct(levels[:count]))
    for level, expected in zip(levels, laplacian_pyramid(reconstruct(levels), 3), strict=True):
        assert level.shape == expected.shape


class LargeResidual(nn.Module):
    """Generator of residuals far beyond the range of images."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(50.0))

    def forward(self, noise: Tensor, coarse: Tensor) -> Tensor:
        return self.gain * noise.expand_as(coarse)


def test_samples_are_clamped_to_the_range_of_images() -> None:
    image = make_model(residual_generator=LargeResidual).sample(4, seed=0)["image"]
    assert image.abs().max() == 1


def test_each_level_is_a_gan_conditioned_on_real_coarser_images() -> None:
    """Reference: cross-entropies of each level's samples, generated from the real image of the coarser level."""
    model, real = make_model().double(), images((1, 8, 12), 6).double()
    latents = torch.randn(6, sum(model.generator.sizes), dtype=torch.float64)
    model.sample_latents = lambda n: latents  # type: ignore[method-assign]
    discriminator, generator = model.discriminator_loss({"image": real}), model.generator_loss({"image": real})
    assert list(discriminator) == list(generator) == ["level_0", "level_1", "level_2"]
    scales = [F.avg_pool2d(real, 4), F.avg_pool2d(real, 2), real]
    planes = [latents[:, 5:29].view(6, 1, 4, 6), latents[:, 29:].view(6, 1, 8, 12)]
    entropy = F.binary_cross_entropy_with_logits
    for level, network in enumerate(model.discriminator):
        generate = model.generator.levels[level]
        if level == 0:
            fake = generate(latents[:, :5])
        else:
            coarse = F.interpolate(scales[level - 1], size=scales[level].shape[2:], mode="bilinear")
            fake = coarse + generate(planes[level - 1], coarse)
        real_logits, fake_logits = network(scales[level]), network(fake)
        ones, zeros = torch.ones_like(real_logits), torch.zeros_like(fake_logits)
        name = f"level_{level}"
        torch.testing.assert_close(discriminator[name], entropy(real_logits, ones) + entropy(fake_logits, zeros))
        torch.testing.assert_close(generator[name], entropy(fake_logits, ones))


def test_the_loss_of_a_level_trains_only_that_level() -> None:
    model = make_model()
    losses = model.generator_loss({"image": images((1, 8, 12), 6)})
    for level in range(3):
        weights = list(model.generator.named_parameters())
        gradients = torch.autograd.grad(
            losses[f"level_{level}"], [weight for _, weight in weights], allow_unused=True, retain_graph=True
        )
        for (name, _), gradient in zip(weights, gradients, strict=True):
            assert (gradient is not None) == name.startswith(f"levels.{level}."), name


def test_each_coarser_level_has_a_panel() -> None:
    model = make_model()
    panels = model.panels(3, seed=4)
    assert {name: tuple(batch["image"].shape) for name, batch in panels.items()} == {
        "interpolation": (9, 1, 8, 12),
        "level_0": (9, 1, 2, 3),
        "level_1": (9, 1, 4, 6),
    }
    samples = make_model(residual_generator=ZeroResidual).sample(9, seed=4)["image"]
    coarsest = make_model(residual_generator=ZeroResidual).panels(3, seed=4)["level_0"]["image"]
    torch.testing.assert_close(samples, upsample(upsample(coarsest)))


class ZeroResidual(LargeResidual):
    """Generator of residuals that are 0, so that samples are upsampled images of the coarsest level."""

    def forward(self, noise: Tensor, coarse: Tensor) -> Tensor:
        return 0 * self.gain * coarse


class CroppedResidual(LargeResidual):
    """Generator of residuals that lack one row and one column."""

    def forward(self, noise: Tensor, coarse: Tensor) -> Tensor:
        return coarse[..., 1:, 1:]


def test_the_discriminator_score_is_the_logit_of_the_finest_level() -> None:
    model = make_model().eval()
    image = images((1, 8, 12), 3)
    score = model.discriminator_score({"image": image})
    torch.testing.assert_close(score, model.discriminator[-1](image))
    assert score.shape == (3,)


def test_a_residual_of_another_shape_is_refused() -> None:
    message = re.escape("`residual_generator` must return shape (1, 4, 6) at level 1, got (1, 3, 5)")
    with pytest.raises(ValueError, match=message):
        make_model(residual_generator=CroppedResidual).sample(1)
