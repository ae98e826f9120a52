"""Test that a run which cannot start changes no file: neither new folders, nor the folder of a run to resume."""

import hashlib
import os
import re
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from lightning_gans.__main__ import main
from lightning_gans.callbacks import Evaluation, Run, Samples, Wandb
from lightning_gans.core.model import load
from lightning_gans.datamodules import Digits
from lightning_gans.models import DCGAN
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator
from lightning_gans.trainer import Trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")

OPTIONS = "--evaluation.count 20 --samples.count 4 --model.generator.width 4 --model.discriminator.width 4"
SCHEDULE = '{"foo": {"class_path": "Linear", "init_args": {"start": 0.1, "end": 0.0, "images": 100}}}'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Path:
    """Train a run that the tests resume."""
    assert main(["fit", "--run.name", "a", "--run.max_images", "128", *OPTIONS.split()]) == 0
    return folder / "runs" / "a"


def contents(folder: Path) -> dict[str, str]:
    """Return every path under a folder: the hash of a file, the target of a link, nothing of a folder.

    W&B may still write to the files of a finished run, so their content is left out.
    """
    found = {}
    for path in folder.rglob("*"):
        hashed = path.is_file() and "wandb" not in path.parts
        found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if hashed else ""
        if path.is_symlink():
            found[str(path)] = os.readlink(path)
    return found


MISTAKES = {
    "--model.generator_optimizer torch.optim.RMSprop": "generator_optimizer.*RMSprop.*DCGANAdam.*run.reset_optimizers",
    "--model.discriminator_optimizer torch.optim.SGD": "discriminator_optimizer.*SGD.*DCGANAdam.*run.reset_optimizers",
    "--model.generator_optimizer torch.optim.AdamW": "generator_optimizer.*AdamW.*DCGANAdam.*run.reset_optimizers",
    "--model.generator_optimizer.amsgrad true": "generator_optimizer.*DCGANAdam.*'max_exp_avg_sq'",
    "--model.generator_optimizer.lr -1": "generator_optimizer.*learning rate: -1",
    "--model.generator_optimizer torch.optim.Muon": "generator_optimizer.*Muon only supports 2D",
    "--model.generator_optimizer torch.optim.LBFGS": "generator_optimizer.*LBFGS.*closure",
    "--model.generator_optimizer torch.optim.SparseAdam": "generator_optimizer.*SparseAdam.*sparse",
    f"--model.generator_schedules '{SCHEDULE}'": "'foo'.*DCGANAdam",
    "--model.generator.width 8": "tensors differ",
    "--model WGANGP": "DCGAN.*WGANGP",
    "--model MADE": "DCGAN.*MADE",
    "--data Toy2D": "image_shape",
    "--data.batch_size 32": "batch_size 64.*32",
    "--data.seed 3": "seed 0.*3",
    "--data.validation_size 100": "examples 1300.*1337",
    "--data.batch_size 0": "batch_size.*0",
    "--model.accumulate_grad_batches 65": "accumulate_grad_batches.*65.*64",
    "--trainer.max_steps 1": "max_steps.*1",
    "--trainer.max_epochs 0": "max_epochs.*0",
    "--trainer.gradient_clip_algorithm value": "gradient_clip_algorithm",
    "--trainer.limit_train_batches 0": "limit_train_batches. 0 trains on no batch",
    "--evaluation.monitor nothing": "evaluation.monitor",
    "--samples.every many": "samples.every.*many",
    "--run.max_images 64": "max_images.*64",
}


@pytest.mark.parametrize("name", ["", "--run.name b"], ids=["same_folder", "new_folder"])
def test_a_mistake_when_resuming_changes_no_file(name: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(run.parents[1])
    for mistake, message in list(MISTAKES.items())[:: 5 if name else 1]:
        capsys.readouterr()
        options = [*shlex.split(mistake), *name.split()]
        assert main(["fit", "--ckpt_path", "runs/a", "--run.max_images", "256", *options]) == 2, mistake
        err = capsys.readouterr().err
        assert err.count("\n") == 1, mistake
        assert re.search(message, err), (mistake, err)
        assert contents(run.parents[1]) == before, mistake
    assert main(["fit", "--ckpt_path", "runs/a", "--run.max_images", "192"]) == 0  # the run can be resumed


FRESH_MISTAKES = {
    "--model.generator_optimizer torch.optim.LBFGS": "generator_optimizer.*LBFGS.*closure",
    "--model.discriminator_optimizer torch.optim.SparseAdam": "discriminator_optimizer.*SparseAdam.*sparse",
    "--model.generator_optimizer.fused true --model.generator_optimizer.foreach true": "generator_optimizer.*fused",
    "--model InfoGAN --data.batch_size 1": "batch normalization.*batch_size",
    "--model InfoGAN --model.accumulate_grad_batches 64": "batch normalization.*accumulate_grad_batches.*64",
    "--model.accumulate_grad_batches 65": "accumulate_grad_batches.*65.*64",
    "--run.reset_optimizers true": "reset_optimizers.*no effect without a checkpoint",
}


@pytest.mark.parametrize("dry_run", ["", "--dry_run"], ids=["fit", "dry_run"])
@pytest.mark.parametrize("mistake", FRESH_MISTAKES)
def test_a_mistake_in_a_new_run_creates_nothing(
    mistake: str, dry_run: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--run.max_images", "128", *mistake.split(), *dry_run.split()]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(FRESH_MISTAKES[mistake], err)
    assert contents(folder) == {}


def test_an_option_that_proves_invalid_later_leaves_the_configuration(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("runs/a/config.yaml").read_text()
    monitor = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "nothing"]
    assert main(["fit", "--ckpt_path", "runs/a", "--run.max_images", "3000", *monitor]) == 2
    assert "`monitor` of EarlyStopping is 'nothing', which is not logged" in capsys.readouterr().err
    assert Path("runs/a/config.yaml").read_text() == before
    assert main(["fit", "--ckpt_path", "runs/a", "--run.max_images", "3200"]) == 0  # the run can be resumed


def test_a_dry_run_refuses_what_the_resumed_run_refuses(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(run)
    for mistake in ("--model.generator.width 8", "--model.generator_optimizer torch.optim.RMSprop"):
        assert main(["fit", "--dry_run", "--ckpt_path", "runs/a", *mistake.split()]) == 2
    assert contents(run) == before


class FailAt(pl.Callback):
    """Fail before a batch, with an error that no option explains."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: pl.Trainer, model: pl.LightningModule, batch: Any, index: int) -> None:
        if index == self.batch:
            raise RuntimeError("CUDA out of memory")


def make(**arguments: Any) -> DCGAN:
    return DCGAN(
        image_shape=(1, 8, 8),
        generator=arguments.pop("generator", partial(DCGANGenerator, width=4)),
        discriminator=partial(DCGANDiscriminator, width=4),
        **arguments,
    )


def make_trainer(*callbacks: pl.Callback, **options: Any) -> Trainer:
    ours = [Run(**options), Samples(count=4), Evaluation(count=20), Wandb(mode="offline")]
    return Trainer(callbacks=[*ours, *callbacks], accelerator="cpu", enable_progress_bar=False)


def test_any_error_in_the_first_batch_leaves_the_folders_unchanged(run: Path) -> None:
    """W&B runs offline, and has written to the run folder by then."""
    make_trainer(name="a", max_images=192).fit(make(), datamodule=Digits(), ckpt_path="runs/a")
    before = contents(run.parents[1])
    for name in ("a", "b"):
        trainer = make_trainer(FailAt(3), name=name, max_images=256)  # the checkpoint has three batches
        with pytest.raises(RuntimeError, match="out of memory"):
            trainer.fit(make(), datamodule=Digits(), ckpt_path="runs/a")
        assert contents(run.parents[1]) == before
    trainer = make_trainer(FailAt(0), max_images=256)
    with pytest.raises(RuntimeError, match="out of memory"):
        trainer.fit(make(), datamodule=Digits())
    assert contents(run.parents[1]) == before


def test_an_error_after_the_first_batch_keeps_the_run(folder: Path) -> None:
    trainer = make_trainer(FailAt(1), name="x", max_images=256)
    with pytest.raises(RuntimeError, match="out of memory"):
        trainer.fit(make(), datamodule=Digits())
    assert (folder / "runs" / "x" / "config.yaml").is_file()


def test_new_optimizers_replace_those_of_the_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--run.reset_optimizers", "true", "--model.generator_optimizer", "torch.optim.RMSprop"]
    assert main(["fit", "--ckpt_path", "runs/a", "--run.max_images", "192", *options]) == 0
    assert "New optimizers, without the state of the checkpoint: RMSprop, DCGANAdam" in capsys.readouterr().out
    states = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"]
    assert [int(state["state"][0]["step"]) for state in states] == [1, 1]
    assert [state["param_groups"][0]["lr"] for state in states] == [0.01, 2e-4]
    assert load("runs/a").images_seen == 192
    assert main(["fit", "--ckpt_path", "runs/a", "--run.max_images", "256"]) == 0  # keeps the state of RMSprop
    assert "New optimizers" not in capsys.readouterr().out
    states = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"]
    assert [int(state["state"][0]["step"]) for state in states] == [2, 2]


@pytest.mark.parametrize("preset", ["torch.optim.Adam", "WGANGPAdam"])
def test_a_preset_of_the_same_optimizer_keeps_its_state(preset: str, run: Path) -> None:
    path = preset if "." in preset else f"lightning_gans.core.optimizers.{preset}"
    options = ["--model.generator_optimizer", path, "--run.max_images", "192"]
    assert main(["fit", "--ckpt_path", "runs/a", *options]) == 0
    states = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"]
    assert int(states[0]["state"][0]["step"]) == 3


@pytest.mark.parametrize("cls", [torch.optim.RMSprop, torch.optim.SGD])
def test_a_plain_trainer_refuses_another_optimizer(cls: Any, fit: Any, run: Path) -> None:
    with pytest.raises(ValueError, match=rf"{cls.__name__}.*DCGANAdam"):
        fit(
            make(generator_optimizer=partial(cls, lr=0.1)),
            Digits(),
            max_steps=4,
            ckpt_path=run / "checkpoints/last.ckpt",
        )


def test_checking_optimizers_changes_neither_weights_nor_random_states() -> None:
    model = make(generator_optimizer=partial(torch.optim.AdamW, weight_decay=0.5))
    weights = [weight.clone() for weight in model.parameters()]
    next(model.generator.parameters()).grad = torch.ones_like(next(model.generator.parameters()))
    state = torch.get_rng_state()
    model.check_optimizers()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(*pair) for pair in zip(weights, model.parameters(), strict=True))
    assert [weight.grad is None for weight in model.parameters()].count(False) == 1


def test_a_last_batch_of_one_example_names_the_remedy(fit: Any) -> None:
    class Normalized(nn.Module):
        def __init__(self, latent_dim: int, image_shape: tuple[int, ...]) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(latent_dim, 64), nn.BatchNorm1d(64), nn.Unflatten(1, image_shape))

        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            return self.layers(latents)  # type: ignore[no-any-return]

    model = make(generator=Normalized)
    examples = [{"image": torch.zeros(1, 8, 8)} for _ in range(5)]
    loader: Any = DataLoader(examples, batch_size=2)  # type: ignore[arg-type]
    trainer = make_trainer(max_images=50)
    with pytest.raises(ValueError, match=r"at least 2 examples.*drop_last=True"):
        trainer.fit(model, loader)
