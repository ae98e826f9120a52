"""Checkpoint files: the defaults of their time, the state of the loader, the format, and files that are refused."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from cases import MLPS, Case, Noise, images
from conftest import Fit
from torch import Tensor, nn

from lightning_gans import __version__
from lightning_gans.__main__ import main
from lightning_gans.callbacks import Run
from lightning_gans.core.checkpoints import (
    CHECKPOINT_FORMAT,
    find_checkpoint,
    load_data,
    read_checkpoint,
)
from lightning_gans.core.gan import GAN
from lightning_gans.core.model import load
from lightning_gans.datamodules import DataModule
from lightning_gans.models import WGANGP, VanillaGAN
from lightning_gans.networks.mlp import MLPGenerator
from lightning_gans.run_files import LAST, PREVIOUS
from lightning_gans.trainer import Trainer

POINTS = Case("points", VanillaGAN, (2,), MLPS)


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


# -- defaults of a checkpoint --------------------------------------------------------------------------------------


class FastSGD(torch.optim.SGD):
    """An optimizer for points."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)


class PointDiscriminator(nn.Linear):
    """A discriminator of points."""

    def __init__(self, image_shape: tuple[int, ...], *, scale: float = 2.0) -> None:
        super().__init__(image_shape[0], 1)
        self.scale = scale

    def forward(self, points: Tensor) -> Tensor:
        return self.scale * super().forward(points).squeeze(1)


class PointGAN(WGANGP):
    """A GAN with defaults at every level: its own, of its base classes, of a network, of an optimizer."""

    def __init__(
        self,
        *,
        discriminator: Any = PointDiscriminator,
        generator_optimizer: Any = FastSGD,
        noise: float = 0.1,
        callback: Any = lambda: 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(discriminator=discriminator, generator_optimizer=generator_optimizer, **kwargs)
        self.noise = noise


def settings(model: PointGAN) -> dict[str, Any]:
    return {
        "noise": model.noise,
        "penalty_weight": model.penalty_weight,
        "discriminator_steps": model.discriminator_steps,
        "latent_dim": model.latent_dim,
        "clip": model.gradient_clip_val,
        "scale": model.discriminator.scale,
        "width": model.generator.layers[0].out_features,  # type: ignore[union-attr, index]
        "rates": [optimizer.param_groups[0]["lr"] for optimizer in model.configure_optimizers()],
    }


def test_a_checkpoint_keeps_the_defaults_of_its_time(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    model = PointGAN(image_shape=(2,), generator=MLPGenerator, latent_dim=3)
    path = save(model, fit, tmp_path / "model.ckpt")
    assert not [warning for warning in recwarn if "cannot record" in str(warning.message)]  # the lambda is a default
    changes = {
        PointGAN: {"noise": 0.9, "callback": print},
        WGANGP: {"penalty_weight": 90.0, "discriminator_steps": 9, "latent_dim": 9, "discriminator_optimizer": FastSGD},
        GAN: {"gradient_clip_val": 9.0, "discriminator_steps": 99},
        PointDiscriminator: {"scale": 9.0},
        MLPGenerator: {"width": 9},
    }
    for cls, defaults in changes.items():
        for name, value in defaults.items():
            monkeypatch.setitem(vars(cls)["__init__"].__kwdefaults__, name, value)
    monkeypatch.setattr(FastSGD.__init__, "__defaults__", (0.9,))
    new = settings(PointGAN(image_shape=(2,), generator=MLPGenerator, latent_dim=3))
    expected = {
        "noise": 0.1,
        "penalty_weight": 10.0,
        "discriminator_steps": 5,
        "latent_dim": 3,
        "clip": None,
        "scale": 2.0,
        "width": 1200,
        "rates": [0.1, 1e-4],
    }
    assert {name for name, value in expected.items() if new[name] == value} == {"latent_dim"}
    loaded = load(path)
    assert isinstance(loaded, PointGAN)
    assert settings(loaded) == expected
    assert same(loaded, model)
    again = load(save(loaded, fit, tmp_path / "again.ckpt"))
    assert isinstance(again, PointGAN)
    assert settings(again) == expected


def test_a_data_module_keeps_the_defaults_of_its_time(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Noise.__init__.__kwdefaults__, "levels", 3)
    monkeypatch.setitem(DataModule.__init__.__kwdefaults__, "seed", 5)
    changed, rebuilt = Noise(image_shape=[1, 8, 8]), load_data(saved)
    assert (changed.levels, changed.seed, rebuilt.seed) == (3, 5, 0)
    assert rebuilt.init_args == {**POINTS.data().init_args, "seed": 0}


def test_an_argument_that_replaces_a_changed_default_wins(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GAN.__init__.__kwdefaults__, "gradient_clip_val", 9.0)
    assert load(saved).gradient_clip_val is None
    assert load(saved, gradient_clip_val=7.0).gradient_clip_val == 7.0


@pytest.mark.parametrize("place", ["model", "optimizer"])
def test_the_default_of_an_argument_that_was_removed_is_left_out(place: str, saved: Path) -> None:
    record = torch.load(saved, weights_only=True)["lightning_gans"]
    holder = record if place == "model" else record["defaults"]["generator_optimizer"]
    holder["defaults"] |= {"removed": 3}
    edit(saved, defaults=record["defaults"])
    with pytest.warns(UserWarning, match=r"^(VanillaGAN|DCGANAdam) no longer has removed: the default"):
        loaded = load(saved)
    assert type(loaded) is VanillaGAN


# -- the state of the loader ---------------------------------------------------------------------------------------


class Curriculum(VanillaGAN):
    """A GAN whose own state has a position."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["curriculum"] = {"position": 3}


class Reader(pl.Callback):
    """A callback whose state has a position, in the place of callbacks and in one of its own."""

    def state_dict(self) -> dict[str, Any]:
        return {"position": 3}

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["reader"] = {"position": 3}


@pytest.mark.parametrize("with_data_module", [True, False])
def test_the_state_of_a_model_or_a_callback_may_have_a_position(
    with_data_module: bool, fit: Fit, tmp_path: Path
) -> None:
    case = Case("curriculum", Curriculum, (2,), MLPS)
    path = tmp_path / "saved.ckpt"

    def train(steps: int, **options: Any) -> GAN:
        data: Any = case.data() if with_data_module else [case.batch(seed=seed) for seed in range(8)]
        torch.manual_seed(1)
        model = case.make()
        trainer = fit(model, data, max_steps=steps, callbacks=[Reader()], **options)
        trainer.save_checkpoint(path)
        assert trainer.global_step == steps
        return model

    expected = train(7)
    train(3)
    assert same(train(7, ckpt_path=path), expected) is with_data_module  # a plain loader starts again


# -- mistakes of a user --------------------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no run folder or checkpoint '.*gone\.ckpt'"):
        load(tmp_path / "gone.ckpt")


def test_the_path_of_a_run_folder_means_its_last_checkpoint(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"the folder '.*run' is not a run: it has no checkpoints.last\.ckpt"):
        find_checkpoint(tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    saved.rename(last)
    assert find_checkpoint(tmp_path / "run") == find_checkpoint(str(last)) == last
    assert isinstance(load(tmp_path / "run"), VanillaGAN)


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256)) * 8])
def test_a_file_that_is_not_a_checkpoint_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.ckpt' is not a checkpoint, or only the beginning of one"):
        load(path)


def test_half_a_file_is_named(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[: saved.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"points\.ckpt' is not a checkpoint, or only the beginning of one"):
        load(saved)


@pytest.mark.parametrize("content", [{"a": 1}, [1], {"pytorch-lightning_version": "2", "state_dict": {}}])
def test_a_file_of_another_program_is_named(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"'.*other\.ckpt' is not a checkpoint of lightning-gans"):
        read_checkpoint(tmp_path / "other.ckpt")


def test_other_networks_than_the_recorded_ones_are_refused(saved: Path) -> None:
    with pytest.raises(
        ValueError, match=r"contains a VanillaGAN whose networks differ .* such as generator\.layers\.0\.weight"
    ):
        load(saved, generator=partial(MLPGenerator, width=9))


def refusal(found: str, path: Path) -> str:
    return (
        f"the checkpoint {str(path)!r} has {found}, but this version of lightning-gans ({__version__}) reads format 2:"
        f" load it with the version that wrote it ({__version__})"
    )


@pytest.fixture(params=[1, 3, None])
def other_format(request: pytest.FixtureRequest, saved: Path) -> str:
    """Give the checkpoint another format, and return its description."""
    edit(saved, format=request.param)
    return "no format number" if request.param is None else f"format {request.param}"


def test_another_format_is_not_loaded(other_format: str, saved: Path) -> None:
    for read in (load, load_data, read_checkpoint):
        with pytest.raises(ValueError, match=f"^{re.escape(refusal(other_format, saved))}$"):
            read(saved)


def test_a_checkpoint_of_another_format_is_not_resumed(
    other_format: str, saved: Path, fit: Fit, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(refusal(other_format, saved))}$"):
        fit(POINTS.make(), POINTS.data(), max_steps=4, ckpt_path=saved)
    with pytest.raises(ValueError, match=f"^{re.escape(refusal(other_format, saved))}$"):
        Trainer(accelerator="cpu", callbacks=[Run(root=str(tmp_path / "runs"))]).fit(
            POINTS.make(), datamodule=POINTS.data(), ckpt_path=saved
        )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", ["sample", "evaluate", "fit --ckpt_path"])
def test_a_command_refuses_another_format_in_one_line(
    command: str, other_format: str, saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(saved.parent)
    assert main([*command.split(), str(saved)]) == 2
    assert capsys.readouterr().err == f"error: {refusal(other_format, saved)}\n"


def test_a_last_checkpoint_of_another_format_is_not_replaced_by_the_previous(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    for name, number in {LAST: 3, PREVIOUS: 2}.items():
        edit(saved, format=number)
        (tmp_path / name).write_bytes(saved.read_bytes())
    with pytest.raises(ValueError, match=r"last\.ckpt' has format 3"):
        load(tmp_path)


def test_a_record_without_its_parts_is_named(saved: Path) -> None:
    for part in ("class", "init_args"):
        edit(saved, **{part: None})
        with pytest.raises(ValueError, match=r"points\.ckpt' has a record that cannot be read"):
            load(saved)


def test_an_unknown_argument_is_named(saved: Path) -> None:
    with pytest.raises((ValueError, TypeError), match="generatr"):
        load(saved, generatr=MLPGenerator)


def test_a_checkpoint_describes_itself(saved: Path) -> None:
    record = read_checkpoint(saved)["lightning_gans"]
    assert record["class"] == "lightning_gans.models.vanilla_gan.VanillaGAN"
    assert record["image_shape"] == [2]
    assert record["data"]["class"] == "cases.Noise"
    assert (record["images_seen"], record["batches_seen"]) == (16, 2)
    assert record["version"]
    assert record["format"] == CHECKPOINT_FORMAT == 2
