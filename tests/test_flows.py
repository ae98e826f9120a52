"""Test flows: round trips, log-determinants against Jacobians, and densities that integrate to 1."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import TransformedDistribution, Uniform, transforms

from lightning_gans.networks import NICE, RealNVP, SplineFlow, StandardLogistic, StandardNormal
from lightning_gans.networks.couplings import AdditiveCoupling, AffineCoupling, Coupling, even_odd_indices
from lightning_gans.networks.flows import ActNorm, Chain, Flatten, Logit, Squeeze, initialize_from_batch
from lightning_gans.networks.priors import Prior
from lightning_gans.networks.real_nvp import checkerboard
from lightning_gans.networks.splines import SplineCoupling, rational_quadratic_spline
from lightning_gans.types import ImageShape

Flow = Callable[..., Any]

SMALL: list[tuple[Flow, ImageShape, dict[str, Any]]] = [
    (NICE, (1, 4, 4), {"width": 12, "depth": 2}),
    (NICE, (3, 3, 3), {"width": 12, "depth": 2}),
    (NICE, (2,), {"width": 12, "depth": 2}),
    (NICE, (3,), {"width": 12, "depth": 1, "couplings": 3}),
    (RealNVP, (1, 4, 4), {"width": 4, "blocks": 1}),
    (RealNVP, (3, 4, 4), {"width": 4, "blocks": 1, "couplings": 2}),
    (RealNVP, (2, 2, 6), {"width": 4, "blocks": 2, "scales": 1}),
    (RealNVP, (1, 8, 4), {"width": 4, "blocks": 1, "scales": 5, "couplings": 1}),
    (SplineFlow, (2,), {"width": 12}),
    (SplineFlow, (3,), {"width": 12, "couplings": 3, "bins": 5}),
]
LARGE: list[tuple[Flow, ImageShape, dict[str, Any]]] = [
    (NICE, (1, 28, 28), {"width": 64}),
    (NICE, (3, 9, 7), {"width": 64}),
    (RealNVP, (1, 8, 8), {"width": 8}),
    (RealNVP, (1, 28, 28), {"width": 8}),
    (RealNVP, (3, 32, 32), {"width": 8}),
    (SplineFlow, (2,), {"width": 32}),
    (SplineFlow, (7,), {"width": 32}),
]


def ids(value: Any) -> str:
    return getattr(value, "__name__", str(value))


small = pytest.mark.parametrize(("flow", "image_shape", "options"), SMALL, ids=ids)
every = pytest.mark.parametrize(("flow", "image_shape", "options"), SMALL + LARGE, ids=ids)


def examples(image_shape: ImageShape, n: int) -> Tensor:
    """Sample images in [-1, 1], or points."""
    return torch.rand(n, *image_shape) * 2 - 1 if len(image_shape) == 3 else 1.5 * torch.randn(n, *image_shape)


def build(flow: Flow, image_shape: ImageShape, options: dict[str, Any], *, std: float = 0.02) -> nn.Module:
    """Build a flow, with noise added to its parameters, so that it is not the identity."""
    network: nn.Module = flow(image_shape, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * std)
    return network


def log_prob(flow: nn.Module, prior: Prior, x: Tensor) -> Tensor:
    z, log_det = flow(x)
    return prior.log_prob(z) + log_det


# -- whole flows -----------------------------------------------------------------------------------------------------


@every
def test_a_flow_inverts_examples_and_latents(flow: Flow, image_shape: ImageShape, options: dict[str, Any]) -> None:
    network = build(flow, image_shape, options)
    x = examples(image_shape, 16)
    z, log_det = network(x)
    assert z.shape == (16, math.prod(image_shape))
    assert log_det.shape == (16,)
    assert (network.inverse(z) - x).abs().max() <= 1e-5  # type: ignore[operator]
    network, z = network.double(), 0.5 * torch.randn(16, math.prod(image_shape)).double()
    assert (network(network.inverse(z))[0] - z).abs().max() <= 1e-6  # type: ignore[operator]


@every
def test_a_flow_is_inverted_after_training(flow: Flow, image_shape: ImageShape, options: dict[str, Any]) -> None:
    network = flow(image_shape, **options)
    x = examples(image_shape, 32) * torch.linspace(0.1, 1, image_shape[-1])
    initialize_from_batch(network, x)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    before = log_prob(network, StandardNormal(), x).mean().item()
    for _ in range(12):
        optimizer.zero_grad()
        loss = -log_prob(network, StandardNormal(), x).mean()
        loss.backward()
        optimizer.step()
    assert -loss.item() > before
    with torch.no_grad():
        assert (network.inverse(network(x)[0]) - x).abs().max() <= 1e-5


@small
def test_the_log_determinant_is_that_of_the_jacobian(
    flow: Flow, image_shape: ImageShape, options: dict[str, Any]
) -> None:
    network = build(flow, image_shape, options, std=0.1).double()
    x = examples(image_shape, 3).double()
    _, log_det = network(x)
    assert log_det.dtype == torch.float64
    for example, actual in zip(x, log_det, strict=True):
        jacobian: Any = torch.autograd.functional.jacobian(lambda flat: network(flat.view(1, *image_shape))[0], example)
        sign, expected = torch.linalg.slogdet(jacobian.view(example.numel(), -1))
        assert abs(sign.item()) == 1
        assert abs(expected.item() - actual.item()) <= 1e-8


@pytest.mark.parametrize("prior", [StandardNormal(), StandardLogistic()], ids=lambda prior: type(prior).__name__)
@pytest.mark.parametrize(("flow", "options"), [(NICE, {"width": 8, "depth": 1}), (SplineFlow, {"width": 8, "bins": 6})])
def test_a_density_in_the_plane_integrates_to_one(flow: Flow, options: dict[str, Any], prior: Prior) -> None:
    network = build(flow, (2,), options, std=0.1).double()
    axis = torch.linspace(-16, 16, 401).double()
    with torch.no_grad():
        mass = log_prob(network, prior, torch.cartesian_prod(axis, axis)).exp().sum() * (32 / 400) ** 2
    assert mass.item() == pytest.approx(1, abs=1e-3)


def test_a_density_of_images_integrates_to_one_over_all_outputs_of_the_logit() -> None:
    """The outputs of the inverse logit slightly exceed [-1, 1]; the integral includes them."""
    chain = Chain(Logit(alpha=0.05), Flatten((1, 1, 2)), AffineCoupling([0], [1], nn.Linear)).double()
    end = 1 + 2 * 0.05 / 0.9
    axis = (torch.arange(1500).double() + 0.5) * (2 * end / 1500) - end
    points = torch.cartesian_prod(axis, axis).view(-1, 1, 1, 2)
    with torch.no_grad():
        mass = log_prob(chain, StandardNormal(), points).exp().sum() * (2 * end / 1500) ** 2
    assert mass.item() == pytest.approx(1, abs=1e-3)


@every
def test_every_parameter_gets_a_gradient(flow: Flow, image_shape: ImageShape, options: dict[str, Any]) -> None:
    network = build(flow, image_shape, options).double()
    log_prob(network, StandardLogistic(), examples(image_shape, 16).double()).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-12, name


@every
def test_the_density_of_an_example_does_not_depend_on_others(
    flow: Flow, image_shape: ImageShape, options: dict[str, Any]
) -> None:
    network = build(flow, image_shape, options).double()
    x = examples(image_shape, 6).double()
    whole, part = log_prob(network, StandardNormal(), x), log_prob(network, StandardNormal(), x[:2])
    torch.testing.assert_close(whole[:2], part, rtol=0, atol=1e-9)


@every
def test_a_new_flow_gives_the_first_batch_mean_zero_and_deviation_one(
    flow: Flow, image_shape: ImageShape, options: dict[str, Any]
) -> None:
    """All couplings are initially the identity, so the latents are normalized as well."""
    network = flow(image_shape, **options)
    x = 0.3 + 0.5 * examples(image_shape, 200)
    initialize_from_batch(network, x)
    z, _ = network(x)
    assert z.mean().item() == pytest.approx(0, abs=1e-3)
    assert z.std(correction=0).item() == pytest.approx(1, abs=1e-3)


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flow", "image_shape", "options", "message"),
    [
        (RealNVP, (1, 9, 8), {}, r"RealNVP works on images of even height and width, got `image_shape` \(1, 9, 8\)"),
        (RealNVP, (2,), {}, r"RealNVP works on images \(channels, height, width\), got `image_shape` \(2,\)"),
        (RealNVP, (1, 8, 8), {"alpha": 0.5}, "`alpha` must be above 0 and below 0.5, got 0.5"),
        (RealNVP, (1, 8, 8), {"scales": 0}, "`scales` must be at least 1, got 0"),
        (NICE, (1, 1, 1), {}, r"NICE works on examples of at least 2 elements, got `image_shape` \(1, 1, 1\)"),
        (NICE, (2,), {"width": 0}, "`width` must be at least 1, got 0"),
        (SplineFlow, (1,), {}, r"SplineFlow works on examples of at least 2 elements, got `image_shape` \(1,\)"),
        (SplineFlow, (1, 8, 8), {}, r"SplineFlow works on points \(dimensions,\), got `image_shape` \(1, 8, 8\)"),
        (SplineFlow, (2,), {"bins": 1}, "`bins` must be at least 2 and below 1000, got 1"),
        (SplineFlow, (2,), {"bound": 0.0}, "`bound` must be above 0, got 0.0"),
    ],
)
def test_invalid_arguments_of_flows_are_refused(
    flow: Flow, image_shape: ImageShape, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        flow(image_shape, **options)


# -- layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flow", "image_shape", "options"), [case for case in SMALL if case[0] is not RealNVP], ids=ids
)  # except RealNVP, as pixel_unshuffle does not support empty batches
def test_a_flow_maps_an_empty_batch_and_inverts_it(
    flow: Flow, image_shape: ImageShape, options: dict[str, Any]
) -> None:
    network = build(flow, image_shape, options)
    z, log_det = network(torch.zeros(0, *image_shape))
    assert (z.shape, log_det.shape) == ((0, math.prod(image_shape)), (0,))
    assert network.inverse(z).shape == (0, *image_shape)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("flow", "image_shape", "options"), [case for case in SMALL if case[2].get("couplings") != 1], ids=ids
)
def test_every_element_is_transformed_given_others(
    flow: Flow, image_shape: ImageShape, options: dict[str, Any]
) -> None:
    """The halves alternate: every latent depends on several elements."""
    network = build(flow, image_shape, options, std=0.5).double()
    x = examples(image_shape, 1).double()
    jacobian: Any = torch.autograd.functional.jacobian(lambda x: network(x)[0][0], x)
    assert (jacobian.flatten(1).abs() > 1e-12).sum(1).min() > 1


@pytest.mark.parametrize(("scales", "expected"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_real_nvp_couples_squares_and_channels_at_every_scale(scales: int, expected: int) -> None:
    flow = RealNVP((1, 8, 24), width=4, blocks=1, scales=scales, couplings=2)
    assert sum(isinstance(module, Squeeze) for module in flow.modules()) == expected
    identity = [tuple(module.identity_idx.tolist()) for module in flow.modules() if isinstance(module, AffineCoupling)]
    assert identity[:4] == [(0, 3), (1, 2), (0, 1), (2, 3)]
    for scale in range(expected):
        channels = 4 * 2**scale
        dark, light = checkerboard(channels)
        half = [*range(channels // 2)], [*range(channels // 2, channels)]
        assert identity[4 * scale : 4 * scale + 4] == [tuple(each) for each in (dark, light, *half)]


def test_the_log_determinant_of_nice_is_the_sum_of_its_log_scales() -> None:
    network = build(NICE, (1, 3, 3), {"width": 8})
    with torch.no_grad():
        scale: Any = network.layers[-1].log_scale.normal_()  # type: ignore[index, union-attr]
    _, log_det = network(examples((1, 3, 3), 5))
    torch.testing.assert_close(log_det, scale.sum().expand(5))


def test_squeezing_permutes_elements_and_groups_2_x_2_pixels() -> None:
    x = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    y, log_det = Squeeze()(x)
    assert y.shape == (2, 12, 2, 3)
    assert torch.equal(y.flatten(1).sort().values, x.flatten(1))
    assert torch.equal(y[1, 4:8, 1, 2].view(2, 2), x[1, 1, 2:, 4:])
    assert torch.equal(log_det, torch.zeros(2))
    assert torch.equal(Squeeze().inverse(y), x)


@pytest.mark.parametrize("channels", [1, 3])
def test_dark_and_light_squares_are_a_checkerboard_of_pixels(channels: int) -> None:
    dark, light = checkerboard(4 * channels)
    assert sorted(dark + light) == [*range(4 * channels)]
    squeezed = torch.zeros(1, 4 * channels, 3, 5)
    squeezed[:, dark] = 1
    board = (torch.arange(6).view(-1, 1) + torch.arange(10) + 1) % 2
    assert torch.equal(Squeeze().inverse(squeezed), board.float().expand(1, channels, 6, 10))


@pytest.mark.parametrize("size", [2, 5, 8])
def test_halves_interleave(size: int) -> None:
    even, odd = even_odd_indices(size)
    assert sorted(even + odd) == [*range(size)]
    assert all(index % 2 == 0 for index in even)


def coupling(kind: type[Coupling]) -> Coupling:
    def conditioner(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))

    return kind([3, 0], [4, 1, 2], conditioner)  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", [AdditiveCoupling, AffineCoupling, SplineCoupling])
def test_a_coupling_transforms_elements_given_the_unchanged_ones(kind: type[Coupling]) -> None:
    layer, x = coupling(kind), torch.randn(1, 5)
    y, _ = layer(x)
    assert torch.equal(y[:, [0, 3]], x[:, [0, 3]])
    assert (y[:, [1, 2, 4]] != x[:, [1, 2, 4]]).all()
    jacobian: Any = torch.autograd.functional.jacobian(lambda x: layer(x)[0], x)
    among = jacobian[0, :, 0][[1, 2, 4]][:, [1, 2, 4]]
    assert torch.equal(among, among.diag().diag())
    assert jacobian[0, :, 0][[1, 2, 4]][:, [0, 3]].all()


def test_a_scale_is_bounded() -> None:
    layer = AffineCoupling([0], [1], nn.Linear, bound=1.5)
    with torch.no_grad():
        layer.conditioner.weight.fill_(1000.0)  # type: ignore[union-attr, operator]
    _, log_det = layer(torch.tensor([[5.0, 0.0], [-5.0, 0.0]]))
    torch.testing.assert_close(log_det, torch.tensor([1.5, -1.5]))


def test_affine_coupling_in_closed_form() -> None:
    layer = AffineCoupling([0], [1], nn.Linear, bound=2.0)
    with torch.no_grad():
        layer.conditioner.weight.copy_(torch.tensor([[1.0], [3.0]]))  # type: ignore[union-attr, operator]
        layer.conditioner.bias.zero_()  # type: ignore[union-attr, operator]
    y, log_det = layer(torch.tensor([[0.5, 7.0]]))
    scale = 2 * math.tanh(0.25)
    torch.testing.assert_close(y, torch.tensor([[0.5, 7 * math.exp(scale) + 1.5]]))
    torch.testing.assert_close(log_det, torch.tensor([scale]))


@pytest.mark.parametrize(
    ("shape", "of"), [((3, 1, 1), (3, 4, 5)), ((3, 4, 5), (3, 4, 5)), ((7,), (7,)), ((1, 1, 1), (1, 4, 4))]
)
def test_actnorm_gives_the_first_batch_mean_zero_and_deviation_one(shape: tuple[int, ...], of: tuple[int, ...]) -> None:
    norm, x = ActNorm(shape), 5 + 3 * torch.randn(64, *of)
    before, _ = norm(x)
    assert torch.equal(before, x)
    initialize_from_batch(nn.Sequential(norm), x)  # also inside other modules
    y, _ = norm(x)
    shared = [0] if shape == of else [0, 2, 3]
    torch.testing.assert_close(y.mean(shared), torch.zeros_like(y.mean(shared)), rtol=0, atol=1e-5)
    torch.testing.assert_close(y.std(shared, correction=0), torch.ones_like(y.mean(shared)), rtol=0, atol=1e-5)
    other, _ = norm(x + 1)
    assert other.mean() > 0.1  # it does not use the statistics of later batches


def test_actnorm_of_constant_data_is_finite() -> None:
    norm = ActNorm((2,))
    initialize_from_batch(norm, torch.tensor([[1.0, 2.0]]).expand(8, 2))
    y, log_det = norm(torch.tensor([[1.0, 2.0]]))
    torch.testing.assert_close(y, torch.zeros(1, 2))
    torch.testing.assert_close(log_det, torch.tensor([2 * math.log(1e3)]))


def test_initialization_happens_once_and_leaves_no_gradient() -> None:
    network = RealNVP((1, 4, 4), width=4)
    initialize_from_batch(network, examples((1, 4, 4), 8))
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network(examples((1, 4, 4), 8) * 0.1)
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("alpha", [1e-6, 0.05, 0.3])
def test_logit_against_torch_distributions(alpha: float) -> None:
    """Reference: the density of uniform images under the transforms of `torch.distributions`."""
    start, scale = alpha, (1 - 2 * alpha) / 2
    expected = TransformedDistribution(
        Uniform(torch.tensor(-1.0).double(), torch.tensor(1.0).double(), validate_args=False),
        [transforms.AffineTransform(start + scale, scale), transforms.SigmoidTransform().inv],
    )
    x = torch.rand(50, 1).double() * 2 - 1
    y, log_det = Logit(alpha=alpha)(x)
    torch.testing.assert_close(-math.log(2) - log_det, expected.log_prob(y).squeeze(1))
    torch.testing.assert_close(Logit(alpha=alpha).inverse(y), x)


def test_outputs_of_the_inverse_logit_have_finite_logits() -> None:
    """The sigmoid of a large number rounds to 1, whose logit is infinite."""
    logit = Logit()
    x = logit.inverse(torch.tensor([[-1000.0, -20.0, 0.5, 20.0, 1000.0]]))
    y, log_det = logit(x)
    assert y.isfinite().all()
    assert log_det.isfinite().all()
    assert x.abs().max() <= 1 + 2 * 0.05 / (1 - 2 * 0.05) + 1e-6


# -- splines ---------------------------------------------------------------------------------------------------------


def test_a_spline_is_the_identity_for_zero_parameters_and_outside_its_bound() -> None:
    x = torch.linspace(-5, 5, 101).double()
    y, log_slope = rational_quadratic_spline(x, torch.zeros(101, 23).double(), bound=3.0)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_slope, torch.zeros_like(x))
    y, log_slope = rational_quadratic_spline(x, torch.randn(101, 23).double(), bound=3.0)
    outside = x.abs() >= 3
    assert torch.equal(y[outside], x[outside])
    assert torch.equal(log_slope[outside], torch.zeros(int(outside.sum())).double())
    assert (y[~outside] != x[~outside]).sum() > 50


def test_the_slope_of_a_spline_is_its_derivative_and_the_inverse_inverts_it() -> None:
    params = (2 * torch.randn(1, 23).double()).expand(2001, 23)
    x = torch.linspace(-3.5, 3.5, 2001).double().requires_grad_()
    y, log_slope = rational_quadratic_spline(x, params, bound=3.0)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope.log(), log_slope)
    assert (y.diff() > 0).all()
    back, same = rational_quadratic_spline(y, params, bound=3.0, inverse=True)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(same, log_slope, rtol=0, atol=1e-6)


def test_a_spline_interpolates_its_knots_with_their_derivatives() -> None:
    """Reference: knots computed from the parameters as in arXiv:1906.04032, section 3.1."""
    params = torch.randn(11).double()
    shares = [1e-3 + (1 - 4e-3) * part.softmax(0) for part in (params[:4], params[4:8])]
    x, y = (6 * torch.cat([part.new_zeros(1), part.cumsum(0)]) - 3 for part in shares)
    floor = 1e-3
    slope = torch.nn.functional.softplus(params[8:] + math.log(math.expm1(1 - floor))) + floor
    outputs, log_slope = rational_quadratic_spline(x[1:-1], params.expand(3, 11), bound=3.0)
    torch.testing.assert_close(outputs, y[1:-1])
    torch.testing.assert_close(log_slope, slope.log())


def test_a_spline_against_the_formula_of_the_paper() -> None:
    """Reference: equation 4 of arXiv:1906.04032 in the first of two bins."""
    params = torch.tensor([0.3, -0.2, 0.5, 0.1, 0.7], dtype=torch.float64)
    w = 1e-3 + (1 - 2e-3) * params[:2].softmax(0)
    h = 1e-3 + (1 - 2e-3) * params[2:4].softmax(0)
    d0, d1 = 1.0, (torch.nn.functional.softplus(params[4] + math.log(math.expm1(0.999))) + 1e-3).item()
    xi, s = 0.4, (h[0] / w[0]).item()
    numerator = 2 * h[0].item() * (s * xi**2 + d0 * xi * (1 - xi))
    expected = -1 + numerator / (s + (d1 + d0 - 2 * s) * xi * (1 - xi))
    x = torch.tensor([-1 + 2 * w[0].item() * xi], dtype=torch.float64)
    assert rational_quadratic_spline(x, params.view(1, 5), bound=1.0)[0].item() == pytest.approx(expected, rel=1e-12)


# -- priors ----------------------------------------------------------------------------------------------------------


def test_priors_against_torch_distributions() -> None:
    z = 4 * torch.randn(20, 3).double()
    zero, one = torch.zeros(1).double(), torch.ones(1).double()
    normal, logistic = torch.distributions.Normal(zero, one), logistic_of(zero, one)
    torch.testing.assert_close(StandardNormal().log_prob(z), normal.log_prob(z).sum(1))
    torch.testing.assert_close(StandardLogistic().log_prob(z), logistic.log_prob(z).sum(1))


def logistic_of(zero: Tensor, one: Tensor) -> TransformedDistribution:
    steps: list[Any] = [transforms.SigmoidTransform().inv, transforms.AffineTransform(zero, one)]
    return TransformedDistribution(Uniform(zero, one, validate_args=False), steps)


def test_latents_from_normal_noise_have_the_same_cumulative_probability() -> None:
    noise = torch.linspace(-9, 9, 181).double().unsqueeze(1)
    z = StandardLogistic().from_normal(noise)
    torch.testing.assert_close(z.sigmoid(), torch.special.ndtr(noise))
    torch.testing.assert_close(-z.flip(0), z, rtol=1e-9, atol=1e-6)
    assert StandardLogistic().from_normal(noise.float()).isfinite().all()
    assert torch.equal(StandardNormal().from_normal(noise), noise)
