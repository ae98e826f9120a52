"""The exponential moving average of a network's weights."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lightning_gans.core.ema import EMA


class Net(nn.Module):
    """Network with weights, running statistics, a counter, the vectors of spectral normalization and another buffer."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = spectral_norm(nn.Linear(3, 4))
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("table", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        normalized: Tensor = self.norm(self.linear(x))
        return normalized


def with_other_weights(net: Net) -> Net:
    """Copy a network, with random weights and other statistics."""
    other = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.copy_(torch.randn_like(parameter))
        other.table.fill_(3.0)
    other(torch.randn(8, 3) * 5 + 1)
    return other


@pytest.mark.parametrize(("images", "half_life", "share"), [(10, 10, 0.5), (20, 10, 0.75), (5, 10, 1 - 0.5**0.5)])
def test_a_weights_share_halves_every_half_life(images: int, half_life: float, share: float) -> None:
    net = nn.Linear(2, 2)
    ema, old = EMA(net, half_life=half_life), copy.deepcopy(net)
    with torch.no_grad():
        net.weight.normal_()
    ema.update(net, images_seen=images)
    torch.testing.assert_close(ema.network.weight, (1 - share) * old.weight + share * net.weight)
    torch.testing.assert_close(ema.network.bias, net.bias)


def test_many_small_updates_are_one_large_one() -> None:
    net = nn.Linear(2, 2).double()
    often, once = EMA(net, half_life=20), EMA(net, half_life=20)
    with torch.no_grad():
        net.weight.normal_()
    for images in range(3, 33, 3):
        often.update(net, images_seen=images)
    once.update(net, images_seen=30)
    torch.testing.assert_close(often.network.weight, once.network.weight)


def test_running_statistics_are_averaged_and_other_buffers_copied() -> None:
    net = Net()
    ema, other = EMA(net, half_life=10), with_other_weights(net)
    before, live = {name: tensor.clone() for name, tensor in ema.network.state_dict().items()}, other.state_dict()
    ema.update(other, images_seen=10)
    after = ema.network.state_dict()
    averaged = {"norm.running_mean", "norm.running_var", *dict(net.named_parameters())}
    for name, tensor in after.items():
        expected = (before[name] + live[name]) / 2 if name in averaged else live[name]
        torch.testing.assert_close(tensor, expected, msg=name)
        assert not torch.equal(before[name], live[name]), name


def test_a_half_life_of_0_copies() -> None:
    net = Net()
    ema, other = EMA(net, half_life=0), with_other_weights(net)
    ema.update(other, images_seen=0)
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in ema.network.state_dict().items())


def test_the_ema_shares_no_tensors_with_the_network() -> None:
    net = Net()
    ema = EMA(net)
    assert not {t.data_ptr() for t in net.state_dict().values()} & {t.data_ptr() for t in ema.state_dict().values()}
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert net.training


def test_the_ema_is_never_trained() -> None:
    ema = EMA(Net())
    holder = nn.Sequential(ema).train()
    assert holder.training
    assert not any(module.training for module in ema.modules())
    assert not any(parameter.requires_grad for parameter in ema.parameters())
    before = {name: tensor.clone() for name, tensor in ema.state_dict().items()}
    ema(torch.randn(4, 3))
    assert all(torch.equal(tensor, before[name]) for name, tensor in ema.state_dict().items())


def test_shared_weights_remain_shared_and_are_averaged_once() -> None:
    linear = nn.Linear(2, 2, bias=False)
    net = nn.Sequential(linear, linear)
    ema = EMA(net, half_life=10)
    old = linear.weight.detach().clone()
    with torch.no_grad():
        linear.weight.add_(1.0)
    ema.update(net, images_seen=10)
    first, second = (ema.network.get_submodule(name) for name in "01")
    torch.testing.assert_close(first.weight, old + 0.5)
    assert first.weight is second.weight
