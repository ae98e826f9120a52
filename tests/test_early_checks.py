"""Compare the early checks of names and paths with the full parser, and measure their time."""

import inspect
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from lightning_gans import callbacks, datamodules, models
from lightning_gans.__main__ import main
from lightning_gans.callbacks.trainer_access import callbacks_of  # noqa: F401 (imports the callbacks)
from lightning_gans.cli import CALLBACK_OPTIONS, fit
from lightning_gans.early_checks import CLASS_OPTIONS, check_fit
from lightning_gans.errors import UsageError
from lightning_gans.listing import classes
from lightning_gans.parameters import parameters
from lightning_gans.signatures import arguments, callback_options

MISTAKES = [
    "--model DCGANN",
    "--model lightning_gans.DCGANN",
    "--data ImageFoldr",
    "--config dcgan_mnits",
    "--ckpt_path nowhere",
    "--modle DCGAN",
    "--trainr.max_steps 3",
    "--model.latent_dmi 3",
    "--model WGANGP --model.penalty_wieght 3",
    "--model.init_args.latent_dmi 3",
    "--config wgan_gp_digits --model.penalty_wieght=3",
    "--data.batchsize 3",
    "--run.max_imags 3",
    "--wandb.proj x",
    "--data ImageFolder --data.root nowhere",
    "--data Captions --data.root nowhere",
    "--data ImageFolder",
    "extra",
    "--model DCGAN extra",
    "--model.latent_dim x",
    "--model.latent_dim=1.5x",
    "--wandb.mode offlin",
    "--wandb.log_real maybe",
    "--run.max_images many",
    "--trainer.callbacks+=EarlyStoping",
    "--evaluation.k five",
]


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_wrong_name_is_refused_before_torch_is_imported(
    arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        check_fit(arguments.split())
    assert main(["fit", *arguments.split()]) == 2
    early = capsys.readouterr().err
    assert fit(arguments.split()) == 2  # the parser that knows all options refuses it as well
    late = capsys.readouterr().err
    assert early.startswith("error: ")
    assert early.count("\n") == 1
    if "lightning_gans." not in arguments:
        assert early == late
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--model my_gan.MyGAN --model.anything 3",
        "--model.generator.width 3 --model.generator_optimizer.lr 1e-3",
        "--config dcgan_mnist --config=r3gan_digits -c wgan_gp_digits",
        "--ckpt_path last --model.latent_dim 3",
        "--trainer.callbacks+ RichProgressBar --trainer.anything 3",
        "--model.dict_kwargs.anything 3",
        "--seed_everything 3 --print_config --wandb.tags+ a --wandb.tags+=b",
        "--model.help WGANGP",
        "--model=WGANGP --model.penalty_weight -1",
    ],
)
def test_other_arguments_are_left_to_the_parser(arguments: str) -> None:
    check_fit(arguments.split())


@pytest.mark.parametrize(
    "mistake",
    ["fit --model DCGANN", "fit --config dcgan_mnits", "fit --run.max_imags 3", "sample missing", "evaluate nowhere"],
)
def test_a_wrong_name_is_refused_within_a_second(mistake: str, tmp_path: Path) -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        command = [sys.executable, "-m", "lightning_gans", *mistake.split()]
        process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        times.append(time.perf_counter() - start)
        assert (process.returncode, process.stderr.count("\n")) == (2, 1)
    assert min(times) < 1.0, times


def test_the_arguments_in_the_source_are_those_of_the_classes() -> None:
    names = [*classes(CLASS_OPTIONS["model"], concrete=True), *classes(CLASS_OPTIONS["data"], concrete=True)]
    for name in [*names, *(callback.__name__ for callback in CALLBACK_OPTIONS.values())]:
        cls = next(getattr(module, name) for module in (models, datamodules, callbacks) if hasattr(module, name))
        known = parameters(cls)
        assert arguments(name).keys() == known.keys(), name
        required = {key for key, parameter in known.items() if parameter.default is inspect.Parameter.empty}
        required &= {*ArgumentParser().add_class_arguments(cls)}  # without those that the constructor passes on
        assert {key for key, argument in arguments(name).items() if argument.required} == required, name


def test_the_callbacks_in_the_source_are_those_of_the_trainer() -> None:
    assert callback_options() == {name: callback.__name__ for name, callback in CALLBACK_OPTIONS.items()}


def test_the_home_folder_of_an_image_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images").mkdir()
    check_fit(["--data", "ImageFolder", "--data.root=~/images"])
    with pytest.raises(UsageError, match="'~/nowhere' does not exist"):
        check_fit(["--data", "ImageFolder", "--data.root=~/nowhere"])
