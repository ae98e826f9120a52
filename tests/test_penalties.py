"""Gradient penalties of critics whose gradient is known."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_gans.objectives.penalties import gradient_penalty, zero_centered_gradient_penalty

Critic = Callable[[Tensor], Tensor]
Penalty = Callable[[Critic], Tensor]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def smooth_critic() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 1))


def both_penalties(real: Tensor, fake: Tensor) -> list[Penalty]:
    weight = torch.rand(len(real), dtype=real.dtype)
    return [
        lambda critic: gradient_penalty(critic, real, fake, weight),
        lambda critic: zero_centered_gradient_penalty(critic, real),
    ]


def parameter_gradients(penalty: Penalty, critic: nn.Module) -> list[Tensor]:
    return list(
        torch.autograd.grad(penalty(critic), list(critic.parameters()), allow_unused=True, materialize_grads=True)
    )


@pytest.mark.parametrize("norm", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("shape", [(8, 2), (8, 3, 2, 2)], ids=str)
@pytest.mark.parametrize("output_shape", [(8,), (8, 1), (8, 1, 1, 1)], ids=str)
def test_the_penalties_of_a_linear_critic(norm: float, shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
    slope = norm * F.normalize(torch.randn(torch.Size(shape[1:]).numel()), dim=0)

    def critic(points: Tensor) -> Tensor:
        return (points.flatten(1) @ slope).view(output_shape)

    real, fake = torch.randn(shape), torch.randn(shape)
    torch.testing.assert_close(gradient_penalty(critic, real, fake), torch.tensor((norm - 1) ** 2))
    torch.testing.assert_close(zero_centered_gradient_penalty(critic, real), torch.tensor(norm**2))


def test_the_penalties_of_a_quadratic_critic() -> None:
    # D(x) = x'Ax has the gradient (A + A')x
    matrix, points = torch.randn(5, 5, dtype=torch.float64), torch.randn(8, 5, dtype=torch.float64)
    fake, weight = torch.randn(8, 5, dtype=torch.float64), torch.rand(8, dtype=torch.float64)

    def critic(x: Tensor) -> Tensor:
        return torch.einsum("bi,ij,bj->b", x, matrix, x)

    symmetric = matrix + matrix.T
    torch.testing.assert_close(
        zero_centered_gradient_penalty(critic, points), (points @ symmetric).square().sum(1).mean()
    )
    interpolates = weight[:, None] * points + (1 - weight[:, None]) * fake
    expected = ((interpolates @ symmetric).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(gradient_penalty(critic, points, fake, weight), expected)


def test_the_norm_is_per_input() -> None:
    # one input of gradient norm 8 among seven of norm 1: a norm over the batch, or over one axis, gives another value
    scales = torch.tensor([8.0, *[1.0] * 7])

    def critic(points: Tensor) -> Tensor:
        return scales * points.flatten(1).sum(1) / 12**0.5

    points = torch.randn(8, 3, 2, 2)
    torch.testing.assert_close(gradient_penalty(critic, points, points), torch.tensor(49 / 8))
    torch.testing.assert_close(zero_centered_gradient_penalty(critic, points), torch.tensor((64 + 7) / 8))


def test_repeating_the_batch_changes_nothing() -> None:
    critic, real, fake = smooth_critic(), torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    weight = torch.rand(4)
    once = gradient_penalty(critic, real, fake, weight)
    thrice = gradient_penalty(critic, real.repeat(3, 1, 1, 1), fake.repeat(3, 1, 1, 1), weight.repeat(3))
    torch.testing.assert_close(once, thrice)


def test_the_parameter_gradient_of_a_linear_critic() -> None:
    # d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|, and d/dw |w|^2 = 2 w
    slope = torch.randn(4, dtype=torch.float64, requires_grad=True)
    points = torch.randn(8, 4, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(gradient_penalty(lambda x: x @ slope, points, points), slope)
    torch.testing.assert_close(gradient, (2 * (slope.norm() - 1) * slope / slope.norm()).detach())
    (gradient,) = torch.autograd.grad(zero_centered_gradient_penalty(lambda x: x @ slope, points), slope)
    torch.testing.assert_close(gradient, 2 * slope.detach())


@pytest.mark.parametrize("which", [0, 1], ids=["gradient_penalty", "zero_centered_gradient_penalty"])
def test_parameter_gradients_equal_finite_differences(which: int) -> None:
    real, fake = torch.randn(4, 3, 2, 2, dtype=torch.float64), torch.randn(4, 3, 2, 2, dtype=torch.float64)
    penalty, critic = both_penalties(real, fake)[which], smooth_critic().double()
    names = [name for name, _ in critic.named_parameters()]

    def penalty_of(*parameters: Tensor) -> Tensor:
        return penalty(lambda x: torch.func.functional_call(critic, dict(zip(names, parameters, strict=True)), x))

    assert torch.autograd.gradcheck(penalty_of, tuple(critic.parameters()))


@pytest.mark.parametrize("which", [0, 1], ids=["gradient_penalty", "zero_centered_gradient_penalty"])
@pytest.mark.parametrize("bind", [lambda c: c, partial], ids=["module", "callable"])
def test_autocast_changes_nothing(which: int, bind: Callable[[nn.Module], Critic]) -> None:
    penalty, critic = both_penalties(torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2))[which], smooth_critic()
    expected = penalty(bind(critic))
    with torch.autocast("cpu", torch.bfloat16):
        assert critic(torch.zeros(1, 12)).dtype == torch.bfloat16  # autocast is enabled, and has cached the weights
        value = penalty(bind(critic))
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


def test_sixteen_bit_inputs_are_converted_to_float32_and_float64_inputs_are_not() -> None:
    points = torch.randn(4, 3, 2, 2)
    assert zero_centered_gradient_penalty(smooth_critic(), points.bfloat16()).dtype == torch.float32
    assert gradient_penalty(smooth_critic(), points.half(), points.half()).dtype == torch.float32
    assert gradient_penalty(smooth_critic().double(), points.double(), points.double()).dtype == torch.float64


def compile_in_place(critic: nn.Module) -> Critic:
    critic.compile(backend="aot_eager")
    return critic


def compile_wrapped(critic: nn.Module) -> Critic:
    wrapped: Critic = torch.compile(critic, backend="aot_eager")
    return wrapped


def compile_inside(critic: nn.Module) -> Critic:
    critic.compile(backend="aot_eager")
    return nn.Sequential(critic)


@pytest.mark.parametrize("which", [0, 1], ids=["gradient_penalty", "zero_centered_gradient_penalty"])
@pytest.mark.parametrize("compiled", [compile_in_place, compile_wrapped, compile_inside])
def test_a_compiled_critic_has_the_same_penalty_and_gradients(
    which: int, compiled: Callable[[nn.Module], Critic]
) -> None:
    # with aot_eager, as with inductor, a second derivative through the compiled graph raises an error
    penalty = both_penalties(torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2))[which]
    critic = smooth_critic()
    expected = parameter_gradients(penalty, critic)
    copied = deepcopy(critic)
    call = compiled(copied)
    call(torch.randn(4, 3, 2, 2)).sum().backward()  # compiles it
    gradients = torch.autograd.grad(penalty(call), list(copied.parameters()), allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(list(gradients), expected)


def test_the_hooks_of_the_critic_run() -> None:
    # spectral_norm and weight_norm have a hook each, and the critic itself can be the module with the hook
    critic, points = nn.Linear(4, 1), torch.randn(8, 4)
    critic.register_forward_pre_hook(lambda _, inputs: (3 * inputs[0],))
    torch.testing.assert_close(zero_centered_gradient_penalty(critic, points), 9 * critic.weight.square().sum())


def test_the_weight_is_drawn_uniformly_for_each_pair() -> None:
    seen = []

    def critic(points: Tensor) -> Tensor:
        seen.append(points.detach())
        return points.sum((1, 2, 3))

    gradient_penalty(critic, torch.ones(4000, 1, 2, 2), torch.zeros(4000, 1, 2, 2))
    weight = seen[0][:, 0, 0, 0]
    assert torch.equal(seen[0], weight.view(-1, 1, 1, 1).expand(-1, 1, 2, 2))  # the same for all pixels
    deciles = torch.histc(weight, 10, 0, 1)
    assert (deciles - 400).square().sum() / 400 < 27.9  # chi-square with 9 degrees of freedom, 99.9 %


@pytest.mark.parametrize(("share", "end"), [(1.0, "real"), (0.0, "fake")])
def test_the_weight_is_the_share_of_the_example(share: float, end: str) -> None:
    pairs = {"real": torch.randn(8, 5), "fake": torch.randn(8, 5)}
    seen = []

    def critic(points: Tensor) -> Tensor:
        seen.append(points.detach())
        return points.sum(1)

    gradient_penalty(critic, pairs["real"], pairs["fake"], torch.full((8,), share))
    assert torch.equal(seen[0], pairs[end])


def test_a_constant_critic_has_finite_gradients() -> None:
    critic = nn.Linear(4, 1)
    nn.init.zeros_(critic.weight)
    for penalty, value in zip(both_penalties(torch.randn(8, 4), torch.randn(8, 4)), (1.0, 0.0), strict=True):
        assert penalty(critic).item() == value
        assert all(gradient.isfinite().all() for gradient in parameter_gradients(penalty, critic))


def test_the_inputs_get_no_gradient() -> None:
    real, fake = torch.randn(8, 12, requires_grad=True), torch.randn(8, 12, requires_grad=True)
    critic = smooth_critic()
    (gradient_penalty(critic, real, fake) + zero_centered_gradient_penalty(critic, real)).backward()
    assert real.grad is None
    assert fake.grad is None
    points = torch.randn(8, 12)
    zero_centered_gradient_penalty(critic, points)
    assert not points.requires_grad


def test_without_gradients_the_penalty_is_the_same_constant() -> None:
    critic = smooth_critic()
    for penalty in both_penalties(torch.randn(8, 12), torch.randn(8, 12)):
        expected = penalty(critic)
        with torch.no_grad():
            value = penalty(critic)
        assert not value.requires_grad
        assert torch.equal(value, expected)


def test_the_caller_binds_conditions() -> None:
    def critic(points: Tensor, *, slope: Tensor) -> Tensor:
        return (slope[:, None] * points).sum(1)

    points, slope = torch.randn(8, 4), torch.arange(8.0)
    value = zero_centered_gradient_penalty(partial(critic, slope=slope), points)
    torch.testing.assert_close(value, 4 * slope.square().mean())


def test_examples_and_samples_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`fake` must have the shape of `real`, \(8, 2\), got \(7, 2\)"):
        gradient_penalty(lambda x: x.sum(1), torch.zeros(8, 2), torch.zeros(7, 2))


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`weight` must have one element per pair, \(8,\), got the shape \(8, 2\)"):
        gradient_penalty(lambda x: x.sum(1), torch.zeros(8, 2), torch.zeros(8, 2), torch.zeros(8, 2))
