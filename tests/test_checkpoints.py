"""A checkpoint alone rebuilds its model and its data, from any classes, and loading it runs no foreign code."""

import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import MLPS, Case, Noise, images
from conftest import Fit
from torch import Tensor, nn

import lightning_gans
from lightning_gans.core.checkpoints import (
    load_data,
)
from lightning_gans.core.gan import GAN
from lightning_gans.core.model import Model, load
from lightning_gans.core.optimizers import DCGANAdam
from lightning_gans.core.schedules import Cosine, Exponential, Linear
from lightning_gans.models import DCGAN, WGANGP, VanillaGAN

POINTS = Case("points", VanillaGAN, (2,), MLPS)


class Block(nn.Module):
    def __init__(self, size: int, *, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(size, size), activation())

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features


class Blocks(nn.Module):
    """A network with a factory as an argument."""

    def __init__(self, latent_dim: int, image_shape: tuple[int, ...], *, block: Any = Block) -> None:
        super().__init__()
        self.layers = nn.Sequential(block(latent_dim), nn.Linear(latent_dim, image_shape[0]))

    def forward(self, latents: Tensor) -> Tensor:
        points: Tensor = self.layers(latents)
        return points


class ForeignGenerator(nn.Module):
    """A generator as in other libraries: other argument names in another order, latents of shape (b, z, 1, 1)."""

    def __init__(self, out_size: int, out_channels: int, encoding_dims: int) -> None:
        super().__init__()
        self.model = nn.ConvTranspose2d(encoding_dims, out_channels, out_size)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.model(z.view(*z.shape[:2], 1, 1)))


class ForeignDiscriminator(nn.Module):
    def __init__(self, in_size: int, in_channels: int) -> None:
        super().__init__()
        self.model = nn.Conv2d(in_channels, 1, in_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).view(-1)  # type: ignore[no-any-return]


@pytest.fixture
def saved(fit: Fit, tmp_path: Path) -> Path:
    path = tmp_path / "points.ckpt"
    fit(POINTS.make(), POINTS.data(), max_steps=2).save_checkpoint(path)
    return path


def save(model: GAN, fit: Fit, path: Path) -> Path:
    fit(model, [{"image": images(model.image_shape, 8)}], max_steps=2).save_checkpoint(path)
    return path


def edit(path: Path, **record: Any) -> None:
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["lightning_gans"] |= record
    torch.save(checkpoint, path)


def same(loaded: Any, model: GAN) -> bool:
    return torch.equal(loaded.sample(5, seed=2)["image"], model.sample(5, seed=2)["image"])


def test_nested_partials_of_classes_load(fit: Fit, tmp_path: Path) -> None:
    generator = partial(Blocks, block=partial(Block, activation=nn.Tanh))
    model = POINTS.make(generator=generator)
    loaded = load(save(model, fit, tmp_path / "model.ckpt"))
    assert isinstance(loaded, VanillaGAN)
    assert isinstance(loaded.generator.layers[0].layers[1], nn.Tanh)  # type: ignore[index, union-attr]
    assert same(loaded, model)


def test_all_arguments_are_restored(fit: Fit, tmp_path: Path) -> None:
    case = Case("wgan_gp", WGANGP, (2,), MLPS)
    model = case.make(
        penalty_weight=Linear(10.0, 1.0, images=100),
        generator_optimizer=partial(DCGANAdam, lr=3e-4, betas=(0.1, 0.2)),
        discriminator_optimizer=torch.optim.AdamW,
        generator_schedules={"lr": Cosine(1e-3, 0.0, images=50)},
        ema_half_life=Exponential(100.0, half_life=10),
        discriminator_steps=2,
        accumulate_grad_batches=2,
        gradient_clip_val=3.0,
    )
    loaded = load(save(model, fit, tmp_path / "model.ckpt"))
    assert isinstance(loaded, WGANGP)
    assert isinstance(loaded.penalty_weight, Linear)
    assert loaded.penalty_weight(50) == 5.5
    assert isinstance(loaded.ema.half_life, Exponential)
    assert (loaded.latent_dim, loaded.discriminator_steps, loaded.accumulate_grad_batches) == (6, 2, 2)
    assert loaded.gradient_clip_val == 3.0
    loaded.images_seen = 25
    generator, discriminator = loaded.configure_optimizers()
    assert generator.param_groups[0]["lr"] == pytest.approx(5e-4)
    assert generator.param_groups[0]["betas"] == (0.1, 0.2)
    assert type(discriminator) is torch.optim.AdamW


def test_arguments_can_be_replaced(saved: Path) -> None:
    loaded = load(saved, gradient_clip_val=2.0, discriminator_steps=3)
    assert isinstance(loaded, VanillaGAN)
    assert (loaded.gradient_clip_val, loaded.discriminator_steps) == (2.0, 3)


def test_a_loaded_model_can_be_trained(saved: Path, fit: Fit, tmp_path: Path) -> None:
    loaded = load(saved)
    fit(loaded, POINTS.data(), max_steps=1)
    assert loaded.batches_seen == 3
    assert not loaded.ema.training  # type: ignore[union-attr]


def test_the_same_checkpoint_resumes(saved: Path, fit: Fit) -> None:
    model = POINTS.make()
    trainer = fit(model, POINTS.data(), max_steps=4, ckpt_path=saved)
    assert (trainer.global_step, model.images_seen) == (4, 32)


def test_the_data_module_is_rebuilt(saved: Path) -> None:
    data = load_data(saved)
    assert isinstance(data, Noise)
    assert data.image_shape == (2,)
    assert data.batch_size == 8


def test_a_checkpoint_without_a_data_module_is_refused_by_load_data(fit: Fit, tmp_path: Path) -> None:
    path = save(POINTS.make(), fit, tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match="does not record its data module"):
        load_data(path)


@pytest.mark.parametrize(
    "load_model", [lightning_gans.load, Model.load_from_checkpoint, VanillaGAN.load_from_checkpoint]
)
def test_each_function_that_loads_returns_the_class_of_the_checkpoint(load_model: Any, saved: Path) -> None:
    model = load_model(saved, gradient_clip_val=2.0)
    assert type(model) is VanillaGAN
    assert (model.gradient_clip_val, model.training) == (2.0, False)


def test_a_class_refuses_to_load_the_checkpoint_of_another_class(saved: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^the checkpoint '.*points\.ckpt' contains a VanillaGAN, which is not a WGANGP$"
    ):
        WGANGP.load_from_checkpoint(saved)


# -- networks of other libraries -----------------------------------------------------------------------------------


def test_a_foreign_network_needs_no_wrapper(fit: Fit, tmp_path: Path) -> None:
    factories: dict[str, Any] = {
        "generator": lambda latent_dim, shape: ForeignGenerator(shape[1], shape[0], encoding_dims=latent_dim),
        "discriminator": lambda shape: ForeignDiscriminator(in_size=shape[1], in_channels=shape[0]),
    }
    model = DCGAN(image_shape=(1, 8, 8), latent_dim=4, **factories)
    with pytest.warns(UserWarning, match=r"cannot record `generator` and `discriminator` of DCGAN") as seen:
        path = save(model, fit, tmp_path / "model.ckpt")
    assert len([warning for warning in seen if "cannot record" in str(warning.message)]) == 1
    with pytest.raises(ValueError, match=r"could not record `generator` of DCGAN .*load\(path, generator=\.\.\.\)"):
        load(path)
    with pytest.raises(ValueError, match="could not record `discriminator` of DCGAN"):
        load(path, generator=factories["generator"])
    assert same(load(path, **factories), model)


def test_torchgan_networks_need_no_wrapper(fit: Fit, tmp_path: Path) -> None:
    torchgan = pytest.importorskip("torchgan.models", reason="torchgan is not installed")
    factories: dict[str, Any] = {
        "generator": lambda latent_dim, shape: torchgan.DCGANGenerator(latent_dim, shape[1], shape[0], step_channels=4),
        "discriminator": lambda shape: torchgan.DCGANDiscriminator(shape[1], shape[0], step_channels=4),
    }
    model = DCGAN(image_shape=(1, 32, 32), latent_dim=4, **factories)
    with pytest.warns(UserWarning, match="cannot record"):
        path = save(model, fit, tmp_path / "model.ckpt")
    assert same(load(path, **factories), model)


MY_GAN = """
import torch
from torch import nn
from lightning_gans.core.gan import GAN
from lightning_gans.objectives.losses import hinge_discriminator_loss, hinge_generator_loss


class MyGenerator(nn.Module):
    def __init__(self, latent_dim, image_shape):
        super().__init__()
        self.linear = nn.Linear(latent_dim, image_shape[0])

    def forward(self, z):
        return self.linear(z)


class MyGAN(GAN):
    def discriminator_loss(self, batch):
        real, fake = self.discriminator(batch["image"]), self.discriminator(self.fake(batch)["image"])
        return {"hinge": hinge_discriminator_loss(real, fake)}

    def generator_loss(self, batch):
        return {"hinge": hinge_generator_loss(self.discriminator(self.fake(batch)["image"]))}
"""


def test_a_users_own_gan_trains_and_loads_in_another_process(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_gan.py").write_text(MY_GAN)
    assert len(MY_GAN.strip().splitlines()) <= 25
    monkeypatch.syspath_prepend(tmp_path)
    import my_gan  # type: ignore[import-not-found]

    try:
        model = my_gan.MyGAN(image_shape=(2,), **{**MLPS, "generator": my_gan.MyGenerator})
        save(model, fit, tmp_path / "model.ckpt")
    finally:
        del sys.modules["my_gan"]
    torch.save(model.sample(5, seed=2)["image"], tmp_path / "expected.pt")
    script = """
        import sys, torch
        from lightning_gans import load
        try:
            load("model.ckpt")
        except ValueError as error:
            print(error)
        assert "my_gan" not in sys.modules
        model = load("model.ckpt", trust=["my_gan"])
        assert torch.equal(model.sample(5, seed=2)["image"], torch.load("expected.pt"))
        print(type(model).__name__)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    refusal, name = done.stdout.strip().splitlines()
    assert refusal == (
        "the checkpoint names the class 'my_gan.MyGAN', whose module is not imported: import it first, or trust it:"
        " load(..., trust=['my_gan']), --trust my_gan"
    )
    assert name == "MyGAN"


# -- safety --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["os.system", "subprocess.Popen", "builtins.eval", "torch.nn.modules.linear.Linear"])
def test_a_checkpoint_of_a_class_that_is_not_a_model_is_refused(saved: Path, path: str, tmp_path: Path) -> None:
    canary = tmp_path / "executed"
    edit(saved, **{"class": path, "init_args": {"command": f"touch {canary}", "args": ["touch", str(canary)]}})
    with pytest.raises(ValueError, match=f"the checkpoint names '{path}', which is refused: it is not a subclass of M"):
        load(saved, trust=["os", "subprocess", "builtins"])
    assert not canary.exists()


@pytest.mark.parametrize("path", ["os.system", "subprocess.Popen", "builtins.eval"])
@pytest.mark.parametrize("argument", ["generator", "discriminator", "generator_optimizer", "generator_schedules"])
def test_a_checkpoint_of_networks_that_are_not_modules_is_refused(
    saved: Path, path: str, argument: str, tmp_path: Path
) -> None:
    canary = tmp_path / "executed"
    for record in (
        {"__class__": path},
        {"__class__": path, "init_args": {"command": f"touch {canary}"}},
        {"__partial__": path, "args": [f"touch {canary}"], "init_args": {}},
    ):
        edit(saved, init_args={"image_shape": (2,), argument: record})
        with pytest.raises(ValueError, match=f"the checkpoint names '{path}', which is refused"):
            load(saved, trust=["os", "subprocess", "builtins"])
    assert not canary.exists()


def test_data_that_are_not_a_data_module_are_refused(saved: Path) -> None:
    edit(saved, data={"class": "subprocess.Popen", "init_args": {"args": ["true"]}})
    with pytest.raises(ValueError, match=r"names 'subprocess\.Popen', which is refused: it is not a subclass of Light"):
        load_data(saved)


class Trap:
    """An object whose unpickling would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"pytorch-lightning_version": "2", "state_dict": Trap(tmp_path / "executed")}, tmp_path / "trap.ckpt")
    with pytest.raises(ValueError, match=r"trap\.ckpt' cannot be read: .+") as error:
        load(tmp_path / "trap.ckpt")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "executed").exists()
