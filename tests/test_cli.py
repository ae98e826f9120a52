"""Test the command line: the files of a run, the sources of options, and usage errors in at most three lines."""

import csv
import inspect
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_gans.__main__ import main
from lightning_gans.callbacks import Evaluation, GracefulShutdown, Progress, Run, Wandb
from lightning_gans.core.optimizers import DCGANAdam
from lightning_gans.datamodules import Digits
from lightning_gans.models import DCGAN
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator
from lightning_gans.trainer import DEFAULT_CALLBACKS, Trainer

SHORT = ["--run.max_images", "128", "--wandb.mode", "disabled", "--evaluation.count", "20", "--samples.count", "4"]
NARROW = ["--model.generator.width", "4", "--model.discriminator.width", "4"]
SECTIONS = ("model", "data", "run", "samples", "evaluation", "doctor", "wandb", "save")

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # `main` inserts the working directory
    return tmp_path


def fit(*arguments: str) -> None:
    assert main(["fit", *SHORT, *arguments]) == 0


def configuration(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main(["fit", *arguments, "--print_config"])
    config: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return config


def optimizers(run: str) -> list[dict[str, Any]]:
    """Return the settings of the generator's and the discriminator's optimizer, from the checkpoint of a run."""
    checkpoint = torch.load(Path("runs", run, "checkpoints", "last.ckpt"), weights_only=True)
    return [state["param_groups"][0] for state in checkpoint["optimizer_states"]]


# The files of a run


def test_a_fit_writes_to_its_own_folder_only(folder: Path) -> None:
    fit(*NARROW)
    run = folder / "runs" / "dcgan-digits-1"
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert files >= {
        "config.yaml",
        "checkpoints/last.ckpt",
        "samples/000000k.png",
        "samples/000000128.png",
        "samples/interpolation_000000k.png",
        "training.gif",
        "real.png",
        "metrics.csv",
        "evaluation.json",
    }
    assert [path.name for path in folder.iterdir()] == ["runs"]
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["images_seen"]) for row in rows][-1] == 128
    assert json.loads((run / "evaluation.json").read_text())["split"] == "test"
    fit(*NARROW)
    assert {path.name for path in run.parent.iterdir()} == {"dcgan-digits-1", "dcgan-digits-2"}


def test_a_name_is_never_used_twice(folder: Path) -> None:
    fit(*NARROW, "--run.name", "x")
    fit(*NARROW, "--run.name", "x")
    assert {path.name for path in (folder / "runs").iterdir()} == {"x", "x-2"}


def test_a_fit_resumes_a_run(folder: Path) -> None:
    fit(*NARROW, "--run.name", "first")
    fit(*NARROW, "--run.name", "second", "--run.max_images", "256", "--ckpt_path", "runs/first")
    fit(*NARROW, "--run.name", "third", "--run.max_images", "320", "--ckpt_path", "last")
    seen = {
        name: torch.load(folder / "runs" / name / "checkpoints" / "last.ckpt", weights_only=True)["lightning_gans"]
        for name in ("first", "second", "third")
    }
    assert [record["images_seen"] for record in seen.values()] == [128, 256, 320]


# Configurations


def test_the_configuration_of_a_resumed_run_describes_a_new_run(folder: Path) -> None:
    fit(*NARROW, "--run.name", "a")
    fit("--ckpt_path", "runs/a", "--run.max_images", "256", "--run.reset_optimizers", "true")
    config = yaml.safe_load((folder / "runs" / "a" / "config.yaml").read_text())
    assert config.keys() & {"ckpt_path", "dry_run", "config", "print_config"} == set()
    assert (config["run"]["max_images"], config["run"]["reset_optimizers"]) == (256, False)
    assert main(["fit", "--config", "runs/a/config.yaml", "--run.name", "b"]) == 0
    assert main(["fit", "--config", "runs/a/config.yaml"]) == 0
    assert main(["fit", *SHORT, *NARROW, "--run.max_images", "256", "--run.name", "c"]) == 0
    states = [
        torch.load(folder / "runs" / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("b", "a-2", "c")
    ]
    for state in states[:2]:
        torch.testing.assert_close(state, states[2], rtol=0, atol=0)


def test_a_run_continues_in_its_folder_whatever_name_it_was_given(folder: Path) -> None:
    fit(*NARROW, "--run.name", "x")
    fit(*NARROW, "--run.name", "x")
    assert main(["fit", "--ckpt_path", "runs/x-2", "--run.max_images", "192"]) == 0
    (folder / "runs" / "x").rename(folder / "runs" / "moved")
    assert main(["fit", "--ckpt_path", "runs/moved", "--run.max_images", "192"]) == 0
    assert {path.name for path in (folder / "runs").iterdir()} == {"x-2", "moved"}


def test_resuming_names_the_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(*NARROW, "--run.name", "a")
    (folder / "old.yaml").write_text("ckpt_path: runs/a/checkpoints/last.ckpt\n")
    capsys.readouterr()
    fit("--config", "old.yaml", *NARROW, "--run.name", "b", "--run.max_images", "192")
    assert "\nResuming from runs/a/checkpoints/last.ckpt\n" in capsys.readouterr().out


def test_a_printed_configuration_shows_every_value_and_runs(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    config = configuration(capsys, *SHORT, *NARROW)
    arguments = config["model"]["init_args"]
    published = {"lr": 2e-4, "betas": [0.5, 0.999], "eps": 1e-8, "weight_decay": 0.0}
    optional = dict.fromkeys(("foreach", "fused")) | dict.fromkeys(
        ("amsgrad", "capturable", "decoupled_weight_decay", "differentiable", "maximize"), False
    )
    assert arguments["generator_optimizer"]["init_args"] == published | optional
    assert arguments["generator"]["init_args"] == {"width": 4}
    assert arguments["latent_dim"] == 100
    shared = {"horizontal_flip": False, "num_workers": 0, "labels_per_class": None, "labeled_per_batch": None}
    assert config["data"]["init_args"] == {"batch_size": 64, "validation_size": 137, "seed": 0} | shared
    assert config["run"]["max_images"] == 128
    assert config["seed_everything"] == 0
    (folder / "mine.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", "mine.yaml"]) == 0
    saved = folder / "runs" / "dcgan-digits-1" / "config.yaml"
    written = yaml.safe_load(saved.read_text())
    assert {name: written[name] for name in SECTIONS} == {name: config[name] for name in SECTIONS}
    assert main(["fit", "--config", str(saved)]) == 0
    first, second = (
        torch.load(folder / "runs" / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("dcgan-digits-1", "dcgan-digits-2")
    )
    torch.testing.assert_close(first, second, rtol=0, atol=0)  # equal seeds, data and settings give equal runs


def test_every_callback_with_options_has_them_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(capsys, "--doctor.every", "7")
    assert config["doctor"] == {"every": 7}
    sections = {name: callback for callback, name in DEFAULT_CALLBACKS.items() if name is not None}
    for name, callback in sections.items():
        assert config[name].keys() == inspect.signature(callback).parameters.keys()
    without = {callback for callback, name in DEFAULT_CALLBACKS.items() if name is None}
    assert without == {GracefulShutdown, Progress}


def test_later_configurations_and_the_command_line_override(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "over.yaml").write_text("samples:\n  every: 5\ndata:\n  init_args:\n    batch_size: 32\n")
    config = configuration(capsys, "--config", "wgan_gp_digits", "--config=over.yaml", "--samples.every", "7")
    assert config["model"]["class_path"].endswith("WGANGP")
    assert (config["run"]["max_images"], config["samples"]["every"]) == (160_000, 7)
    assert config["data"]["init_args"]["batch_size"] == 32


@pytest.mark.parametrize("source", ["option", "equals", "yaml", "python"])
def test_one_setting_of_an_optimizer_leaves_the_others_unchanged(source: str, folder: Path) -> None:
    match source:
        case "option":
            fit(*NARROW, "--run.name", "x", "--model.generator_optimizer.lr", "1e-4")
        case "equals":  # the form that sweeps of W&B use
            fit(*NARROW, "--run.name=x", "--model.generator_optimizer.lr=0.0001")
        case "yaml":
            content = {"model": {"class_path": "DCGAN", "init_args": {"generator_optimizer": {"lr": 1e-4}}}}
            (folder / "lr.yaml").write_text(yaml.safe_dump(content))
            fit("--config", "lr.yaml", *NARROW, "--run.name", "x")
        case "python":
            model = DCGAN(
                image_shape=(1, 8, 8),
                generator=partial(DCGANGenerator, width=4),
                discriminator=partial(DCGANDiscriminator, width=4),
                generator_optimizer=partial(DCGANAdam, lr=1e-4),
            )
            callbacks = [Run(name="x", max_images=128), Wandb(mode="disabled"), Evaluation(count=20)]
            Trainer(callbacks=callbacks, accelerator="cpu").fit(model, datamodule=Digits())
    generator, discriminator = optimizers("x")
    assert (generator["lr"], list(generator["betas"])) == (1e-4, [0.5, 0.999])
    assert (discriminator["lr"], list(discriminator["betas"])) == (2e-4, [0.5, 0.999])


def test_another_optimizer_by_its_class_path() -> None:
    fit(*NARROW, "--run.name", "x", "--model.generator_optimizer", "torch.optim.RMSprop")
    generator, discriminator = optimizers("x")
    assert "alpha" in generator
    assert list(discriminator["betas"]) == [0.5, 0.999]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--model", "WGANGP"],
            {
                "discriminator": "DCGANCritic",
                "generator_optimizer": "WGANGPAdam",
                "latent_dim": 128,
                "discriminator_steps": 5,
            },
        ),
        (["--config", "wgan_gp_digits"], {"discriminator": "DCGANCritic", "latent_dim": 128}),
        (["--model", "VanillaGAN"], {"generator": "MLPGenerator", "discriminator": "MaxoutDiscriminator"}),
        (["--model", "DCGAN"], {"generator": "DCGANGenerator", "discriminator": "DCGANDiscriminator"}),
    ],
    ids=["wgan_gp", "recipe", "vanilla", "dcgan"],
)
def test_another_model_has_its_own_defaults(
    arguments: list[str], expected: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = configuration(capsys, *arguments)["model"]["init_args"]
    values = {
        name: found[name]["class_path"].rpartition(".")[2] if isinstance(found[name], dict) else found[name]
        for name in expected
    }
    assert values == expected


def test_another_network_has_its_own_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    found = configuration(capsys, "--model.generator", "MLPGenerator")["model"]["init_args"]["generator"]
    assert found["init_args"] == {"width": 1200, "depth": 2}


@pytest.mark.parametrize(
    ("arguments", "size"), [(["--data", "MNIST"], 5000), (["--data", "ImageFolder", "--data.root", "x"], 0.05)]
)
def test_another_data_module_has_its_own_defaults(
    arguments: list[str], size: float, capsys: pytest.CaptureFixture[str]
) -> None:
    assert configuration(capsys, *arguments)["data"]["init_args"]["validation_size"] == size


def test_a_given_option_is_unchanged_when_the_class_follows(capsys: pytest.CaptureFixture[str]) -> None:
    found = configuration(capsys, "--model.latent_dim", "7", "--model", "WGANGP")["model"]["init_args"]
    assert (found["latent_dim"], found["discriminator_steps"]) == (7, 5)


@pytest.mark.parametrize("model", ["WGANGP", "VanillaGAN"])
def test_other_models_train(model: str, folder: Path) -> None:
    fit("--model", model, "--model.generator.width", "8", "--model.latent_dim", "4")
    assert (folder / "runs" / f"{model.lower()}-digits-1" / "checkpoints" / "last.ckpt").is_file()


MY_GAN = """
import torch
from torch import nn

from lightning_gans.core.gan import GAN
from lightning_gans.objectives.losses import minimax_discriminator_loss, non_saturating_generator_loss


class MyGenerator(nn.Module):
    def __init__(self, latent_dim, image_shape, *, width: int = 8):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(latent_dim, width), nn.Linear(width, 64), nn.Unflatten(1, image_shape))

    def forward(self, z):
        return torch.tanh(self.layers(z))


class MyGAN(GAN):
    def discriminator_loss(self, batch):
        real, fake = self.discriminate(batch["image"], self.fake(batch)["image"])
        return {"adversarial": minimax_discriminator_loss(real, fake)}

    def generator_loss(self, batch):
        return {"adversarial": non_saturating_generator_loss(self.discriminator(self.fake(batch)["image"]))}
"""


def test_a_gan_and_a_network_of_the_user(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "my_gan.py").write_text(MY_GAN)
    generator = ("--model.generator", "my_gan.MyGenerator", "--model.generator.width", "6")
    fit("--model", "my_gan.MyGAN", *generator, "--model.discriminator", "DCGANDiscriminator")
    run = "runs/mygan-digits-1"
    del sys.modules["my_gan"]  # as in a new process
    capsys.readouterr()
    assert main(["sample", run]) == 2
    assert "--trust my_gan" in capsys.readouterr().err
    assert main(["sample", run, "--trust", "my_gan", "--count", "4", "--output", "mine.png"]) == 0
    assert (folder / "mine.png").is_file()
    sys.modules.pop("my_gan")


# Usage errors

NESTED_GAN = """
from collections.abc import Callable, Sequence

from torch import nn

from lightning_gans.core.schedules import Schedule
from lightning_gans.models import DCGAN
from lightning_gans.networks.priors import Prior


class Inner(nn.Module):
    def __init__(self, size, *, bar: Callable[[], Prior] | None = None, amount: float | Schedule = 1.0): ...


class Block(nn.Module):
    def __init__(self, size, *, inner: Callable[[int], nn.Module] = Inner, spam: Schedule | None = None): ...


class Thing(nn.Module):
    def __init__(self, size, *, block: Callable[[int], nn.Module] = Block, many: Sequence[Schedule] = ()): ...


class NestedGAN(DCGAN):
    def __init__(self, *, foo: Callable[[int], nn.Module] = Thing, qux: Callable[[], Prior] | None = None, **kwargs):
        super().__init__(**kwargs)
"""


@pytest.fixture
def files(folder: Path) -> None:
    """Write the files that the commands below refer to."""
    (folder / "bad.yaml").write_text("model: [unclosed\n")
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    (folder / "empty.yaml").write_text("")
    (folder / "unknown.yaml").write_text("modle:\n  class_path: DCGAN\n")
    (folder / "list.yaml").write_text("- 1\n- 2\n")
    (folder / "nested.yaml").write_text("model:\n  class_path: DCGAN\n  init_args:\n    latent_dmi: 3\n")
    (folder / "levels.yaml").write_text("model:\n  class_path: MADE\n  init_args:\n    levels: 4\n")
    (folder / "text.ckpt").write_text("no checkpoint")
    (folder / "plain_gan.py").write_text("class Thing: pass\n")
    (folder / "nested_gan.py").write_text(NESTED_GAN)
    for name, value in {"amount": "much", "bar": "Foo", "baz": 1}.items():
        inner = {"class_path": "nested_gan.Inner", "init_args": {name: value}}
        block = {"class_path": "nested_gan.Block", "init_args": {"inner": inner}}
        thing = {"class_path": "nested_gan.Thing", "init_args": {"block": block}}
        model = {"class_path": "nested_gan.NestedGAN", "init_args": {"foo": thing}}
        (folder / f"nested_{name}.yaml").write_text(yaml.safe_dump({"model": model}))
    (folder / "empty").mkdir()
    torch.save({"state_dict": {}}, folder / "foreign.ckpt")


ERRORS = {
    "fti": "`fti`; did you mean `fit`",
    "smaple runs/x": "did you mean `sample`",
    "evaluat runs/x": "did you mean `evaluate`",
    "lsit": "did you mean `list`",
    "banana": "`banana`; known: attack, data, evaluate, fit, list, predict, prepare, sample",
    "validate": "evaluate RUN --split validation",
    "test": "evaluate RUN",
    "predict": "required: RUN",
    "attack": "required: RUN",
    "sample": "required: RUN",
    "sample missing": "no run folder or checkpoint 'missing'",
    "sample empty": "last.ckpt",
    "sample text.ckpt": "'text.ckpt' is not a checkpoint",
    "sample foreign.ckpt": "not a checkpoint of lightning-gans",
    "evaluate missing": "no run folder or checkpoint 'missing'",
    "evaluate missing --split train": "--split.*'validation', 'test'",
    "fit --modle DCGAN": "`--modle`; did you mean `--model`",
    "fit --model DCGANN": "`--model`.*did you mean `DCGAN`",
    "fit --model missing_gan.MyGAN": "`--model`.*'missing_gan'",
    "fit --model plain_gan.Thing": "`--model`.*subclass of Model",
    "fit --model plain_gan.Missing": "`--model`.*'Missing'",
    "fit --model.latent_dmi 3": "`--model.latent_dmi`.*did you mean `latent_dim`",
    "fit --model.latent_dim 0": "`--model.latent_dim` must be at least 1, got 0",
    "fit --model.latent_dim three": "`--model.latent_dim` must be of type int, got 'three'",
    "fit --model.latent_dim 1.5": "`--model.latent_dim` must be of type int, got '1.5'",
    "fit --model.discriminator_steps 0": "`--model.discriminator_steps` must be at least 1",
    "fit --model.gradient_clip_val 0": "`--model.gradient_clip_val` must be above 0",
    "fit --model.ema_half_life -1": "`--model.ema_half_life` must be at least 0",
    "fit --model.generator.widht 3": "`--model.generator.widht`.*did you mean `width`",
    "fit --model.generator.width 0": "`width` must be at least 1",
    "fit --model.generator DCGANGeneratr": "`--model.generator`.*DCGANGenerator",
    "fit --model.generator_optimizer.lr fast": "lr.*float.*'fast'",
    "fit --model.generator_optimizer.lrr 1": "did you mean `lr`",
    "fit --model.generator_optimizer DCGANAdm": "`--model.generator_optimizer`.*DCGANAdam",
    "fit --model WGANGP --model.penalty_wieght 1": "did you mean `penalty_weight`",
    "fit --model WGANGP --model.penalty_weight -1": "`--model.penalty_weight` must be at least 0",
    "fit --model FlowGAN --model.latent_dim 4": "FlowGAN sets `latent_dim` itself: leave out",
    "fit --model MADE --model.output Categorical --model.output.levels 5": "leave out `--model.output.levels`",
    "fit --model FlowGAN --model.prior Normal": "did you mean `StandardNormal`",
    "fit --model FlowGAN --model.prior NICE": "NICE is not known; known: StandardLogistic, StandardNormal",
    "fit --model FlowGAN --model.likelihood_weight lots": "a number or a schedule, got 'lots'; known: Cosine",
    "fit --model FlowGAN --model.flow torch.nn.Linear": "Linear does not fit `--model.flow`: .*; known: NICE, RealNVP",
    "fit --model FlowGAN --model.flow StandardNormal": "StandardNormal does not fit `flow`: it takes 1",
    "fit --model MADE --model.network.hidden 200": r"must be a list such as \[200\], got '200'$",
    "fit --model MADE --model.levels 4": "`--model.levels` comes from the data: leave it out",
    "fit --model PixelCNN --model.num_classes 3": "`--model.num_classes` comes from the data: leave it out",
    "fit --config levels.yaml": "`model.levels` of `--config` 'levels.yaml' comes from the data: leave it out",
    "fit --data Toy2D --data.name rings": "must be one of ring, grid, .*, got 'rings'$",
    "fit --data MNSIT": "`--data`.*did you mean `MNIST`",
    "fit --data.root /nowhere": "Digits has no option `root`",
    "fit --data MNIST --data.root /nowhere": "`--data.root` '/nowhere' is not a folder",
    "fit --data ImageFolder --data.root /nowhere": "`--data.root`.*'/nowhere' does not exist",
    "fit --data ImageFolder --data.root empty": "`--data.root` 'empty'",
    "fit --data.batch_size 0": "`--data.batch_size` must be at least 1",
    "fit --data.batch_size 5000": "`--data.batch_size` must be at most the 1300",
    "fit --data.validation_size 5000": "`--data.validation_size`.*less than the 1437",
    "fit --config": "--config",
    "fit --config nope": "`--config` 'nope' is neither a file nor a recipe; `list` shows all",
    "fit --config dcgan_digit": "did you mean `dcgan_digits`",
    "fit --config empty": "`--config` 'empty'.*neither a file nor a recipe",
    "fit --config bad.yaml": "bad.yaml",
    "fit --config binary.yaml": "binary.yaml",
    "fit --config list.yaml": "list.yaml",
    "fit --config empty.yaml": "empty.yaml",
    "fit --config unknown.yaml": "unknown.yaml.*`modle`; did you mean `model`",
    "fit --config nested.yaml": "`latent_dmi`.*did you mean `latent_dim`",
    "fit --ckpt_path nothing": "no run folder or checkpoint 'nothing'",
    "fit --ckpt_path empty": "last.ckpt",
    "fit --ckpt_path last": "`ckpt_path` is 'last'",
    "fit --ckpt_path foreign.ckpt": "not a checkpoint of lightning-gans",
    "fit --ckpt_path text.ckpt": "'text.ckpt' is not a checkpoint",
    "fit --samples.every 0": "`--samples.every` of Samples must be at least 1",
    "fit --samples.every many": "`--samples.every` must be of type int, got 'many'",
    "fit --samples.evry 5": "did you mean `--samples.every`",
    "fit --save.every 0": "`--save.every` of Checkpointing must be at least 1",
    "fit --evaluation.monitor fid": "`--evaluation.monitor`.*log_prob, got 'fid'",
    "fit --evaluation.k 0": "`--evaluation.k` must be at least 1",
    "fit --evaluation.count 3": "`--evaluation.count` must be above `--evaluation.k`",
    "fit --wandb.mode onlin": "`--wandb.mode`.*online, .*got 'onlin'",
    "fit --run.max_images 0": "`--run.max_images` must be at least 1",
    "fit --run.name a/b": "`--run.name` must be a plain name",
    "fit --data ImageFolder --data.root . --data.image_size 48x40": r"such as \[48,40\], got '48x40'$",
    "fit --data ImageFolder --data.root . --data.image_size big": r"an integer or a list of 2 integers.*'big'$",
    "fit --data ImageFolder --data.root . --data.image_size [48]": r"`--data.image_size` must be .*, got '\[48\]'$",
    "fit --model.generator_optimizer.betas 0.5": r"a list of 2 numbers such as \[0.5,0.999\], got '0.5'$",
    "fit --model.generator_optimizer.betas [0.5]": r"a list of 2 numbers such as \[0.5,0.999\], got '\[0.5\]'$",
    "fit --model.generator_schedules.lr Linear": "`--model.generator_schedules.lr.start` and .* must be given$",
    "fit --wandb.tags a,b": r"`--wandb.tags` must be a list such as \[a,b\], got 'a,b'$",
    "fit --trainer.barebones true": "`barebones`",
    "fit --trainer.devices many": "`--trainer.devices` 'many': .* int > 0",
    "fit --trainer.devices -2": "`--trainer.devices` '-2': .* int > 0",
    "fit --trainer.accelerator gpu": "`--trainer.accelerator` 'gpu'",
    "fit --trainer.max_time soon": "`--trainer.max_time` 'soon': .*DD:HH:MM:SS",
    "fit --trainer.precision fp16": "`--trainer.precision` 'fp16': .*16-mixed",
    "fit --trainer.limit_train_batches 1.5": "`--trainer.limit_train_batches` 1.5: ",
    "fit --trainer.deterministic maybe": "must be one of true, false, warn, got 'maybe'$",
    "fit --trainer.callbacks+=EarlyStopping": "`--trainer.callbacks.monitor` must be given$",
    "fit --trainer.callbacks+=EarlyStoping": "did you mean `EarlyStopping`",
    "fit --trainer.logger CSVLogger": "`--trainer.logger.save_dir` must be given$",
    "fit --trainer.logger CSVLoger": "did you mean `CSVLogger`",
    "fit --trainer nope": "`--trainer` takes no value: its options are `--trainer.callbacks`",
    "fit --run": "`--run` needs a value$",
    "fit --model=": "`--model` needs a value$",
    "fit --config --model DCGAN": "`--config` needs a value",
    "fit extra": "there is no option `extra`; options begin with `--`$",
    "fit --trainer.gradient_clip_val 1": "--model.gradient_clip_val",
    "fit --trainer.gradient_clip_algorithm norm": "`gradient_clip_val` of the model",
    "fit --evaluation.monitor log_prob": "`--evaluation.monitor` is log_prob, but a DCGAN has no probabilities",
    "fit --trainer.accumulate_grad_batches 2": "--model.accumulate_grad_batches",
    "fit --trainer.max_stesp 3": "did you mean `--trainer.max_steps`",
    "fit --trainer.accelerator quantum": "cpu",
    "fit --trainer.precision 12": "Precision 12.*32-true",
    "fit --dry_run --model.latent_dim 0": "`--model.latent_dim` must be at least 1",
    "fit --seed_everything x": "`--seed_everything`.*int",
    "fit --ckpt_path": "`--ckpt_path`: expected one argument",
    "fit --data ImageFolder": "`--data.root` must be given",
    "fit --wandb.tags a": r"`--wandb.tags` must be a list such as \[a\], got 'a'",
    "fit --wandb.mode foo": "`--wandb.mode` must be one of auto, online, offline, disabled, got 'foo'",
    "fit --model InfoGAN --model.categorical 10": r"`--model.categorical` must be a list such as \[10\]",
    "fit --model InfoGAN --model.categorical [1]": "`--model.categorical` must hold sizes of at least 2",
    "fit --model LAPGAN --model.depth 9": "`--model.depth` 9 needs",
    "fit --model R3GAN --model.gamma -1": "`--model.gamma` must be at least 0",
    "fit --model R3GAN --data Toy2D": "R3GANGenerator works on images",
    "fit --trainer.devices abc --trainer.accelerator cpu": "`devices`.*an int > 0",
    "fit --trainer.precision transformer-engine": "transformer_engine",
    "fit --trainer.strategy ddp_spawn": "`strategy` 'ddp_spawn'.*use 'ddp'",
    "fit --model.generator_optimizer null": "the factory of the generator's optimizer must be a class",
    "fit --model InfoGAN --model.recognition_head Foo": "Foo is not known; known: RecognitionHead$",
    "fit --model nested_gan.NestedGAN --model.foo Foo": "`--model.foo` Foo is not known$",
    "fit --model nested_gan.NestedGAN --model.qux StandardNorm": "`--model.qux`.*did you mean `StandardNormal`",
    "fit --model nested_gan.NestedGAN --model.foo torch.nn.Linear": "Linear does not fit `--model.foo`: .*features$",
    "fit --model nested_gan.NestedGAN --model.foo nested_gan.Thing --model.foo.many [Foo]": (
        "`--model.foo.many` Foo is not known; known: Cosine, Exponential, Linear$"
    ),
    "fit --model nested_gan.NestedGAN --model.foo nested_gan.Thing --model.foo.block Foo": (
        "`--model.foo.block` Foo is not known$"
    ),
    "fit --model nested_gan.NestedGAN --model.foo nested_gan.Thing --model.foo.block nested_gan.Block"
    " --model.foo.block.spam Foo": "`--model.foo.block.spam` Foo is not known; known: Cosine, Exponential, Linear$",
    "fit --config nested_amount.yaml": "`--model.foo.block.inner.amount` must be a number or a schedule, got 'much';",
    "fit --config nested_bar.yaml": "`--model.foo.block.inner.bar` Foo is not known; known: StandardLogistic, Standard",
    "fit --config nested_baz.yaml": "Inner has no option `baz` .`--model.foo.block.inner.baz`.; did you mean `bar`",
    "fit --model.generator_schedules.lr Foo": "`--model.generator_schedules`",
    "fit --trainer.callbacks Foo": "`--trainer.callbacks` Foo is not known$",
    "fit --seed_everything -1": "`--seed_everything` must be from 0 to 4294967295, got -1",
    "fit --wandb.project a/b --wandb.mode offline": "`--wandb.project` must have at most 128 characters",
}


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("command", ERRORS)
def test_a_usage_error_is_a_short_message_with_a_remedy(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, *rest = shlex.split(command)
    short = ["--run.max_images", "64", "--wandb.mode", "disabled"] if name == "fit" else []
    assert main([name, *short, *rest]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert 1 <= len(err.strip().splitlines()) <= 3
    assert len(err) < 600
    assert re.search(ERRORS[command], err)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    "command",
    ["--model.latent_dim 0", "--ckpt_path foreign.ckpt", "--data MNIST --data.root /nowhere", "--samples.every 0"],
)
def test_a_usage_error_creates_no_run(command: str, folder: Path) -> None:
    assert main(["fit", "--wandb.mode", "disabled", *shlex.split(command)]) == 2
    assert not list(folder.glob("runs/*"))


def test_a_shape_that_comes_from_the_data_cannot_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *SHORT, "--model.image_shape", "[1,2,3]"]) == 2
    assert "image_shape" in capsys.readouterr().err


# Help, and the dry run


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [([], "(64, 1, 8, 8)"), (["--data", "MNIST", "--data.batch_size", "16", *NARROW], "(16, 1, 28, 28)")],
    ids=["digits", "mnist"],
)
def test_a_dry_run_reports_the_needs_of_a_run_and_saves_nothing(
    arguments: list[str], shape: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--dry_run", "--run.max_images", "64000", *arguments]) == 0
    out = capsys.readouterr().out
    assert f"image         {shape}" in out
    for text in ("generator", "discriminator", "parameters", "GiB", "ms per batch", "images/s", "64,000 images"):
        assert text in out
    assert list(folder.iterdir()) == []


def test_a_dry_run_counts_the_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--dry_run", *NARROW]) == 0
    count = sum(p.numel() for p in DCGANGenerator(100, (1, 8, 8), width=4).parameters())
    assert f"generator     {count:,} parameters" in capsys.readouterr().out


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, env=environment)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list"], ["fit", "--help"]], ids=" ".join)
def test_help_version_and_list_do_not_import_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from lightning_gans.__main__ import main\n"
        f"assert main({arguments!r}) == 0\n"
        "heavy = {'torch', 'numpy', 'pytorch_lightning', 'jsonargparse', 'wandb'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    assert python("-c", code).stdout


def test_help_and_version_take_at_most_a_fifth_of_the_import_of_torch() -> None:
    seconds: dict[str, list[float]] = {"torch": [], "--help": [], "--version": []}
    for _ in range(3):
        for name, times in seconds.items():
            start = time.perf_counter()
            python(*(["-c", "import torch"] if name == "torch" else ["-m", "lightning_gans", name]))
            times.append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    assert max(medians["--help"], medians["--version"]) <= medians["torch"] / 5, medians


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"], ["help"]):
        assert main(arguments) == 0
        out = capsys.readouterr().out
        for command in ("fit", "sample", "evaluate", "list"):
            assert f"\n  {command} " in out


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_a_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert "usage: python -m lightning_gans" in capsys.readouterr().out


@pytest.mark.parametrize("model", ["payload.X", {"class_path": "payload.X"}])
def test_resuming_a_run_imports_no_foreign_module(
    model: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("payload.py").write_text("raise SystemExit('executed')\n")
    assert main(["fit", "--run.name", "x", "--run.max_images", "64", "--wandb.mode", "disabled"]) == 0
    Path("runs/x/config.yaml").write_text(yaml.safe_dump({"model": model}))
    assert main(["fit", "--ckpt_path", "runs/x"]) == 2
    assert "names `payload.X`, which is not of this package" in capsys.readouterr().err
    assert "payload" not in sys.modules


def test_a_callback_with_an_enumeration_as_default_is_an_option(folder: Path) -> None:
    fit(*NARROW, "--run.name", "x", "--trainer.callbacks+=Timer", "--trainer.callbacks.duration", "00:00:01:00")
    (timer,) = yaml.safe_load((folder / "runs" / "x" / "config.yaml").read_text())["trainer"]["callbacks"]
    assert timer["init_args"]["interval"] == "step"
