"""Test residual networks: structure, initial weights and resizing, in addition to `test_networks.py`."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.networks import R3GANDiscriminator, R3GANGenerator, ResNetDiscriminator, ResNetGenerator
from lightning_gans.networks.resnet import _Block, _UpBlock


def sizes_of_outputs(network: nn.Module, inputs: Tensor, kind: type[nn.Module]) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    for module in network.modules():
        if isinstance(module, kind):
            module.register_forward_hook(lambda _, args, output: seen.append(tuple(output.shape[1:])))
    network(inputs)
    return seen


# -- WGAN-GP's and SNGAN's -----------------------------------------------------------------------------------------


def test_the_resnets_have_the_authors_structure() -> None:
    """Reference: gan_cifar_resnet.py; for 32 x 32 pixels, three blocks up; two blocks down, and two at equal size."""
    up = sizes_of_outputs(ResNetGenerator(128, (3, 32, 32), width=4), torch.randn(2, 128), _UpBlock)
    assert up == [(4, 8, 8), (4, 16, 16), (4, 32, 32)]
    down = sizes_of_outputs(ResNetDiscriminator((3, 32, 32), width=4), torch.randn(2, 3, 32, 32), _Block)
    assert down == [(4, 16, 16), (4, 8, 8), (4, 8, 8), (4, 8, 8)]


def test_the_resnets_have_as_many_weights_as_the_authors() -> None:
    """Reference: counted by hand from the layers of gan_cifar_resnet.py, 128 channels."""

    def conv(inputs: int, outputs: int, kernel: int) -> int:
        return outputs * (inputs * kernel**2 + 1)

    up_block = 2 * conv(128, 128, 3) + conv(128, 128, 1) + 2 * 2 * 128
    up_block -= 3 * 128  # the biases, which batch normalization cancels
    generator = (128 + 1) * 16 * 128 + 3 * up_block + 2 * 128 + conv(128, 3, 3)
    first = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
    critic = first + 3 * 2 * conv(128, 128, 3) + conv(128, 128, 1) + 128 + 1
    assert sum(p.numel() for p in ResNetGenerator(128, (3, 32, 32)).parameters()) == generator
    assert sum(p.numel() for p in ResNetDiscriminator((3, 32, 32)).parameters()) == critic


@pytest.mark.parametrize("network", [ResNetGenerator(100, (3, 32, 32), width=64), ResNetDiscriminator((3, 32, 32))])
def test_the_resnets_have_glorots_initialization(network: nn.Module) -> None:
    """Reference: U(-a, a) with variance 2 gain^2 / (fan in + fan out); gain^2 = 2 in the 3 x 3 layers of blocks."""
    for name, module in network.named_modules():
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        outputs, inputs, *kernel = module.weight.shape
        gain = 2 if "conv" in name else 1
        deviation = math.sqrt(2 * gain / ((inputs + outputs) * math.prod(kernel)))
        assert module.weight.std().item() == pytest.approx(deviation, rel=0.1), name
        assert module.weight.abs().max() <= math.sqrt(3) * deviation * 1.0001, name
        assert module.bias is None or not module.bias.any()


def test_an_up_block_by_the_authors_order() -> None:
    """Reference: `gan_cifar_resnet.py`, where the residual and the shortcut are upsampled, then convolved."""
    block = _UpBlock(4, (6, 10)).double().eval()
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64)

    def upsampled(pixels: Tensor) -> Tensor:
        return pixels.repeat_interleave(2, 2).repeat_interleave(2, 3)

    residual = block.conv2(F.relu(block.norm2(block.conv1(upsampled(F.relu(block.norm1(x)))))))
    torch.testing.assert_close(block(x), block.shortcut(upsampled(x)) + residual)


@pytest.mark.parametrize("first", [True, False])
def test_a_block_by_the_authors_order(first: bool) -> None:
    """Reference: the residual and the shortcut are convolved, then averaged over 2 x 2 pixels."""
    block = _Block(4, 5, first=first, downsample=True).double()
    x = torch.randn(2, 4, 6, 10, dtype=torch.float64)

    def pooled(pixels: Tensor) -> Tensor:
        return (pixels[..., ::2, ::2] + pixels[..., 1::2, ::2] + pixels[..., ::2, 1::2] + pixels[..., 1::2, 1::2]) / 4

    residual = block.conv2(F.relu(block.conv1(x if first else F.relu(x))))
    torch.testing.assert_close(block(x), pooled(block.shortcut(x)) + pooled(residual))


def test_the_shortcut_of_a_block_of_equal_size_is_the_identity() -> None:
    block = _Block(4, 4)
    nn.init.zeros_(block.conv2.weight)
    nn.init.zeros_(block.conv2.bias)  # type: ignore[arg-type]
    x = torch.randn(2, 4, 3, 5)
    assert torch.equal(block(x), x)


def test_the_edge_of_an_odd_size_is_averaged_over_existing_pixels() -> None:
    block = _Block(1, 1, downsample=True)
    pooled = block.pool(torch.arange(9.0).view(1, 1, 3, 3))
    assert pooled.flatten().tolist() == [2.0, 3.5, 6.5, 8.0]


# -- R3GAN's -------------------------------------------------------------------------------------------------------


def test_r3gan_is_initially_linear() -> None:
    """Every block is the identity: logits are linear in pixels, and images before the tanh are linear in latents."""
    discriminator = R3GANDiscriminator((2, 9, 7), width=8).double()
    x, y = torch.randn(2, 3, 2, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(discriminator(x + 2 * y), discriminator(x) + 2 * discriminator(y))
    generator = R3GANGenerator(6, (2, 9, 7), width=8).double()
    z, w = torch.randn(2, 3, 6, dtype=torch.float64)
    both = generator(0.01 * (z + 2 * w)).atanh()
    torch.testing.assert_close(both, generator(0.01 * z).atanh() + 2 * generator(0.01 * w).atanh())


def test_a_block_of_r3gan_by_hand() -> None:
    block = next(m for m in R3GANDiscriminator((1, 8, 8), width=16).double().modules() if type(m).__name__ == "_Block")
    first, _, second, _, last = block.residual  # type: ignore[misc]
    nn.init.normal_(last.weight)
    nn.init.normal_(second.bias)
    x = torch.randn(2, 16, 5, 5, dtype=torch.float64)
    hidden = F.leaky_relu(torch.einsum("oi,bihw->bohw", first.weight[..., 0, 0], x) + first.bias.view(-1, 1, 1), 0.2)
    groups = [
        F.conv2d(part, weight, padding=1)  # groups of 16 channels
        for part, weight in zip(hidden.chunk(2, 1), second.weight.chunk(2, 0), strict=True)
    ]
    hidden = F.leaky_relu(torch.cat(groups, 1) + second.bias.view(-1, 1, 1), 0.2)
    torch.testing.assert_close(block(x), x + torch.einsum("oi,bihw->bohw", last.weight[..., 0, 0], hidden))


@pytest.mark.parametrize("blocks", [1, 4])
def test_r3gan_has_fixup_initialization(blocks: int) -> None:
    """Reference: He's standard deviation times (number of blocks)^(-1/4), and 0 in the last layer of each block."""
    network = R3GANDiscriminator((1, 8, 8), width=64, blocks=blocks)
    found = [module for module in network.modules() if type(module).__name__ == "_Block"]
    assert len(found) == 3 * blocks  # at 8, 4 and 2 pixels
    gain = math.sqrt(2 / (1 + 0.2**2))
    for block in found:
        first, _, second, _, last = block.residual  # type: ignore[misc]
        for convolution, fan_in in ((first, 64), (second, 16 * 9)):
            deviation = gain / math.sqrt(fan_in) * len(found) ** -0.25
            assert convolution.weight.std().item() == pytest.approx(deviation, rel=0.05)
        assert not last.weight.any()


def test_r3gan_initially_preserves_the_scale() -> None:
    """Initially, images before the tanh have a standard deviation near 1, and logits are of order 1."""
    images = R3GANGenerator(64, (3, 16, 16), width=32)(torch.randn(32, 64)).atanh()
    assert 0.3 < images.std() < 2
    assert 0.1 < R3GANDiscriminator((3, 16, 16), width=32)(torch.randn(32, 3, 16, 16)).std() < 3


def test_r3gan_has_no_normalization() -> None:
    for network in (R3GANGenerator(6, (1, 8, 8)), R3GANDiscriminator((1, 8, 8))):
        assert not any(
            isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm) for module in network.modules()
        )
        assert not dict(network.named_buffers())


@pytest.mark.parametrize("network", [R3GANGenerator, R3GANDiscriminator])
def test_blocks_below_one_are_refused(network: type[nn.Module]) -> None:
    sizes = (6, (1, 8, 8)) if network is R3GANGenerator else ((1, 8, 8),)
    with pytest.raises(ValueError, match="`blocks` must be at least 1, got 0"):
        network(*sizes, blocks=0)
