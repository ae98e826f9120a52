"""Test spectral normalization against singular value decompositions."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from cases import Case, cases
from conftest import Fit
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lightning_gans.models import SNGAN, WGANGP
from lightning_gans.networks import SpectralNormDiscriminator, SpectralNormResNetDiscriminator
from lightning_gans.networks.dcgan import DCGANCritic
from lightning_gans.networks.recognition import InfoGANDiscriminator, RecognitionHead
from lightning_gans.networks.resnet import ResNetDiscriminator
from lightning_gans.networks.spectral_norm import apply_spectral_norm

NETWORKS = [SpectralNormDiscriminator, SpectralNormResNetDiscriminator]
both = pytest.mark.parametrize("network", NETWORKS)


def layers(network: nn.Module) -> list[Any]:
    return [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]


def norms(network: nn.Module) -> Tensor:
    """Compute the largest singular value of the normalized weight of every layer."""
    weights = [layer.weight.detach().double().flatten(1) for layer in layers(network.eval())]
    return torch.stack([torch.linalg.svdvals(weight)[0] for weight in weights])


def raw(network: nn.Module) -> list[Tensor]:
    """Return the weights before normalization, which the optimizer updates."""
    return [layer.parametrizations.weight.original.detach() for layer in layers(network)]


def ratios(network: nn.Module) -> Tensor:
    """Compute the largest singular value of every layer's weight, divided by its estimate by power iteration."""
    parts = [(layer.parametrizations.weight.original, layer.parametrizations.weight[0]) for layer in layers(network)]
    matrices = [weight.detach().double().flatten(1) for weight, _ in parts]
    estimates = [norm.u.double() @ matrix @ norm.v.double() for matrix, (_, norm) in zip(matrices, parts, strict=True)]
    pairs = zip(matrices, estimates, strict=True)
    return torch.stack([torch.linalg.svdvals(matrix)[0] / estimate for matrix, estimate in pairs])


@both
@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 9, 7)], ids=str)
def test_every_layer_initially_has_norm_1(network: type[nn.Module], image_shape: tuple[int, int, int]) -> None:
    discriminator = network(image_shape)
    assert all(parametrize.is_parametrized(layer, "weight") for layer in layers(discriminator))
    ones = torch.ones(len(layers(discriminator))).double()
    torch.testing.assert_close(ratios(discriminator), ones, rtol=0, atol=1e-4)
    torch.testing.assert_close(norms(discriminator), ones, rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", cases(lambda case: case.model is SNGAN))
def test_every_layer_has_norm_close_to_1_in_training(case: Case, fit: Fit) -> None:
    """With one step per pass, the estimate follows the weights from below, and converges if they are constant."""
    model = case.make(discriminator_steps=2)
    discriminator, ones = model.discriminator, torch.ones(len(layers(model.discriminator))).double()
    before = [weight.clone() for weight in raw(discriminator)]
    fit(model, [case.batch(seed=seed) for seed in range(30)], max_steps=30)
    assert not any(torch.equal(old, new) for old, new in zip(before, raw(discriminator), strict=True))
    torch.testing.assert_close(norms(discriminator), ones, rtol=0, atol=1e-5)  # exact in evaluation
    assert (ratios(discriminator) > 1 - 1e-6).all()  # u W v is at most the largest singular value
    assert (ratios(discriminator) < 1.1).all()
    assert all(abs(torch.linalg.matrix_norm(weight.flatten(1), 2) - 1) > 0.1 for weight in raw(discriminator))
    discriminator.train()
    for _ in range(50):
        discriminator(case.batch()["image"])
    torch.testing.assert_close(ratios(discriminator), ones, rtol=0, atol=1e-3)


@both
@pytest.mark.parametrize("codes", [False, True], ids=["logits", "logits and codes"])
def test_singular_values_are_computed_without_autocast(
    network: type[nn.Module], codes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autocast casts `mv` on a GPU but not on the CPU, so the test requires autocast to be disabled in each call."""
    discriminator, images, off = network((1, 8, 8), width=8), torch.randn(4, 1, 8, 8), []
    logits_and_codes = InfoGANDiscriminator(discriminator, RecognitionHead, (1, 8, 8), codes=3).logits_and_codes

    def spied_mv(matrix: Tensor, vector: Tensor, mv: Callable[[Tensor, Tensor], Tensor] = torch.mv) -> Tensor:
        off.append(not torch.is_autocast_enabled("cpu"))
        return mv(matrix, vector)

    monkeypatch.setattr(torch, "mv", spied_mv)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (logits_and_codes(images)[0] if codes else discriminator(images)).dtype == torch.bfloat16
    assert len(off) == 3 * len(layers(discriminator))  # u = W v, v = W* u, and u* W v: once per layer
    assert all(off)


@both
def test_a_pass_in_training_takes_one_step_of_the_iteration(network: type[nn.Module]) -> None:
    discriminator = network((1, 8, 8), width=8)
    layer = layers(discriminator)[1]
    weight = layer.parametrizations.weight.original.detach().flatten(1)
    v = torch.nn.functional.normalize(torch.randn(weight.shape[1]), dim=0)
    layer.parametrizations.weight[0].load_state_dict({"u": torch.zeros(len(weight)), "v": v})
    discriminator(torch.randn(4, 1, 8, 8))
    u = weight @ v / (weight @ v).norm()
    state = discriminator.state_dict()
    (name,) = [name for name, module in discriminator.named_modules() if module is layer]
    torch.testing.assert_close(state[f"{name}.parametrizations.weight.0.u"], u)
    v = weight.T @ u / (weight.T @ u).norm()
    torch.testing.assert_close(state[f"{name}.parametrizations.weight.0.v"], v)
    discriminator.eval()(torch.randn(4, 1, 8, 8))
    assert all(torch.equal(state[name], buffer) for name, buffer in discriminator.named_buffers())


@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_those_of_the_normalized_weight(training: bool) -> None:
    """Reference: autograd through the singular value decomposition, in double precision."""
    layer: Any = nn.Linear(6, 4, bias=False).double()
    raw = layer.weight.detach().clone().requires_grad_()
    apply_spectral_norm(layer)
    x = torch.randn(5, 6, dtype=torch.float64)
    layer.train(training)(x).square().sum().backward()
    (x @ (raw / torch.linalg.svdvals(raw)[0]).T).square().sum().backward()
    torch.testing.assert_close(layer.parametrizations.weight.original.grad, raw.grad)


@pytest.mark.parametrize(
    ("network", "plain"),
    [(SpectralNormDiscriminator, DCGANCritic), (SpectralNormResNetDiscriminator, ResNetDiscriminator)],
)
def test_it_is_the_plain_network_on_normalized_weights(network: type[nn.Module], plain: type[nn.Module]) -> None:
    discriminator, copy = network((1, 8, 8), width=8).eval(), plain((1, 8, 8), width=8)
    pixels = 4 if network is SpectralNormResNetDiscriminator else 1  # sum instead of mean over 2 x 2
    with torch.no_grad():
        for ours, theirs in zip(layers(discriminator), layers(copy), strict=True):
            theirs.weight.copy_(ours.weight)
            if ours.bias is not None:
                theirs.bias.copy_(ours.bias)
        images = torch.randn(4, 1, 8, 8)
        torch.testing.assert_close(discriminator(images), pixels * copy(images))


@both
def test_a_gradient_penalty_has_a_gradient_for_every_layer(network: type[nn.Module]) -> None:
    model = WGANGP(image_shape=(1, 8, 8), discriminator=partial(network, width=4))
    terms = model.discriminator_loss({"image": torch.randn(4, 1, 8, 8)})
    terms["penalty"].backward()
    weights = [layer.parametrizations.weight.original for layer in layers(model.discriminator)]
    assert all(weight.grad is not None and weight.grad.any() for weight in weights)


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_of_16_bits_are_supported(network: type[nn.Module], dtype: torch.dtype) -> None:
    """Precision `bf16-true`, for networks that are constructed in 16 bits or converted to 16 bits."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        discriminator = network((1, 8, 8), width=4).bfloat16()
    finally:
        torch.set_default_dtype(before)
    image = torch.zeros(2, 1, 8, 8, dtype=torch.bfloat16)
    assert discriminator(image).dtype == torch.bfloat16
    assert discriminator.eval()(image).dtype == torch.bfloat16
    torch.testing.assert_close(norms(discriminator), torch.ones(len(layers(discriminator))).double(), rtol=0, atol=0.01)
