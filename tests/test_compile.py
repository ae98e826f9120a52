"""Compiled networks: the checkpoint of a run does not depend on which of its networks are compiled."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import Case, cases, is_gan
from conftest import Fit
from torch import nn

from lightning_gans.core.checkpoints import read_checkpoint
from lightning_gans.core.gan import GAN
from lightning_gans.core.model import load
from lightning_gans.errors import NonFiniteError
from lightning_gans.models import DCGAN
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator

every_gan = pytest.mark.parametrize("case", cases(is_gan))
compiled: Callable[[nn.Module], nn.Module] = partial(torch.compile, backend="eager")  # type: ignore[assignment]
STEPS = 6


def networks(model: GAN) -> None:
    model.generator, model.discriminator = compiled(model.generator), compiled(model.discriminator)


def networks_and_ema(model: GAN) -> None:
    networks(model)
    model.ema.network = compiled(model.ema.network)


def in_place(model: GAN) -> None:
    for network in (model.generator, model.discriminator, model.ema.network):
        network.compile(backend="eager")


def a_part(model: GAN) -> None:
    """Compile the first part of each network that has parts."""
    for network in (model.generator, model.ema.network):
        for name, part in list(network.named_children())[:1]:
            if not isinstance(part, nn.ModuleList | nn.ModuleDict):
                setattr(network, name, compiled(part))


def nothing(_: GAN) -> None:
    pass


WAYS = pytest.mark.parametrize("way", [networks, networks_and_ema, in_place, a_part])


@every_gan
@WAYS
def test_the_names_of_the_weights_do_not_change(case: Case, way: Callable[[GAN], None]) -> None:
    plain, model = case.make(), case.make()
    way(model)
    expected = plain.state_dict()
    assert list(model.state_dict()) == list(expected)
    for weight in model.parameters():
        nn.init.zeros_(weight.data)
    model.load_state_dict(expected)
    assert all(torch.equal(weight, expected[name]) for name, weight in model.state_dict().items())
    plain.load_state_dict(model.state_dict())


def small(**networks: Any) -> DCGAN:
    torch.manual_seed(0)
    factories = {"generator": partial(DCGANGenerator, width=4), "discriminator": partial(DCGANDiscriminator, width=4)}
    return DCGAN(image_shape=(1, 8, 8), latent_dim=4, **{**factories, **networks})


def trained(fit: Fit, way: Callable[[GAN], None], steps: int, **options: Any) -> Any:
    model = small()
    way(model)
    torch.manual_seed(1)
    data = Case("digits", DCGAN, (1, 8, 8)).data()
    return fit(model, data, max_steps=steps, **options)


@pytest.mark.parametrize(
    ("first", "second"), [(nothing, networks), (networks, nothing), (networks_and_ema, a_part), (in_place, networks)]
)
def test_a_run_is_resumed_exactly_whether_networks_are_compiled_or_not(
    first: Callable[[GAN], None], second: Callable[[GAN], None], fit: Fit, tmp_path: Path
) -> None:
    whole = trained(fit, nothing, STEPS).lightning_module
    path = tmp_path / "model.ckpt"
    trained(fit, first, STEPS // 2).save_checkpoint(path)
    resumed = trained(fit, second, STEPS, ckpt_path=path).lightning_module
    ours, theirs = whole.state_dict(), resumed.state_dict()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@WAYS
def test_a_compiled_model_is_loaded_with_its_samples(way: Callable[[GAN], None], fit: Fit, tmp_path: Path) -> None:
    trainer = trained(fit, way, 3)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    assert not [name for name in read_checkpoint(tmp_path / "model.ckpt")["state_dict"] if "_orig_mod" in name]
    loaded = load(tmp_path / "model.ckpt")
    samples = [model.sample(4, seed=0)["image"] for model in (trainer.lightning_module, loaded)]
    assert torch.equal(*samples)


def test_a_checkpoint_with_the_names_of_compiled_networks_is_loaded(fit: Fit, tmp_path: Path) -> None:
    """Earlier versions wrote them."""
    trainer = trained(fit, nothing, 3)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    checkpoint = torch.load(tmp_path / "model.ckpt", weights_only=True)
    names = {name: name.replace("generator.", "generator._orig_mod.") for name in checkpoint["state_dict"]}
    checkpoint["state_dict"] = {names[name]: weight for name, weight in checkpoint["state_dict"].items()}
    torch.save(checkpoint, tmp_path / "model.ckpt")
    loaded = load(tmp_path / "model.ckpt")
    assert torch.equal(loaded.sample(4, seed=0)["image"], trainer.lightning_module.sample(4, seed=0)["image"])


def compiled_generator(latent_dim: int, image_shape: tuple[int, int, int]) -> nn.Module:
    return compiled(DCGANGenerator(latent_dim, image_shape, width=4))


@pytest.mark.filterwarnings("ignore:a checkpoint cannot record")
def test_a_factory_may_return_a_compiled_network(fit: Fit, tmp_path: Path) -> None:
    model = small(generator=compiled_generator)
    assert list(model.state_dict()) == list(small().state_dict())
    fit(model, Case("digits", DCGAN, (1, 8, 8)).data(), max_steps=2).save_checkpoint(tmp_path / "model.ckpt")
    for factory in (compiled_generator, partial(DCGANGenerator, width=4)):
        loaded = load(tmp_path / "model.ckpt", generator=factory)
        assert torch.equal(loaded.sample(4, seed=0)["image"], model.sample(4, seed=0)["image"])


def test_a_nonfinite_weight_has_its_plain_name(fit: Fit, tmp_path: Path) -> None:
    trainer = trained(fit, networks, 1)
    next(iter(trainer.lightning_module.generator.parameters())).data.fill_(torch.inf)
    with pytest.raises(NonFiniteError, match=r"the weight `generator\.layers\.0\.weight` is not finite"):
        trainer.save_checkpoint(tmp_path / "model.ckpt")


def test_a_model_that_is_compiled_as_a_whole_trains_and_is_loaded(fit: Fit, tmp_path: Path) -> None:
    model = small()
    whole: Any = torch.compile(model, backend="eager")
    trainer = fit(whole, Case("digits", DCGAN, (1, 8, 8)).data(), max_steps=2)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    assert model.batches_seen == 2
    assert torch.equal(load(tmp_path / "model.ckpt").sample(4, seed=0)["image"], model.sample(4, seed=0)["image"])
