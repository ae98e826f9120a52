"""Messages about options: values of callbacks of Lightning, names of options, and settings of W&B."""

import re
from pathlib import Path

import pytest

from lightning_gans.__main__ import main
from lightning_gans.command_options import parse
from lightning_gans.errors import UsageError

MISTAKES = {
    "--trainer.callbacks+=ModelCheckpoint --trainer.callbacks.mode up": "ModelCheckpoint: `mode` can be min, max",
    "--trainer.callbacks+=LearningRateMonitor --trainer.callbacks.logging_interval foo": (
        "`--trainer.callbacks.logging_interval` must be one of step, epoch, got 'foo'"
    ),
    "--trainer.callbacks+=ModelCheckpoint --trainer.callbacks.every_n_epochs x": (
        "`--trainer.callbacks.every_n_epochs` must be of type int, got 'x'"
    ),
    "--trainer.callbacks+=ModelCheckpoint --trainer.enable_checkpointing false": (
        "`--trainer.enable_checkpointing` False"
    ),
    "--run.max_images -5": "`--run.max_images` must be at least 1, got -5",
    "--data.batch_size 0": "`--data.batch_size` must be at least 1, got 0",
    "--model.latent_dim 0": "`--model.latent_dim` must be at least 1, got 0",
    "--wandb.project a/b": "`--wandb.project` must have at most 128 characters, none of them / \\",
    "--model.generator_optimizer Adamm": "Adamm is not known; did you mean `Adam`?",
    "--help model": "`--help` takes `all` or nothing, got 'model'",
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_mistake_is_one_line_that_names_the_option(
    arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *arguments.split()]) == 2
    error = capsys.readouterr().err
    assert MISTAKES[arguments] in error
    assert error.count("\n") == 1
    assert "Namespace(" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("variable", ["WANDB_PROJECT", "WANDB_RUN_ID"])
def test_a_name_that_wandb_forbids_begins_nothing(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "a/b")
    assert main(["fit", "--run.max_images", "64", "--wandb.mode", "offline"]) == 2
    assert f"{variable}`" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sample run --count 0", "`--count` must be at least 1, got 0"),
        ("sample run --output x.jpgg", "`--output` must end in .png, .npz or be a folder, got '.jpgg' in 'x.jpgg'"),
        ("sample run --seed -1", "`--seed` must be at least 0, got -1"),
        ("sample run --count 1.5", "invalid integer value: '1.5'"),
        ("evaluate run --count 1", "`--count` must be above `--k` (5), got 1"),
        ("sample run", "there is no run folder or checkpoint 'run'"),
    ],
)
def test_options_of_the_other_commands_are_checked_before_the_run_is_read(
    arguments: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *rest = arguments.split()
    with pytest.raises(UsageError, match=re.escape(message)):
        parse(command, rest)


def test_list_prints_the_parts_that_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "models"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("models (fit --model NAME)\n")
    assert "recipes" not in output
    assert main(["list", "modls"]) == 2
    assert "did you mean `models`?" in capsys.readouterr().err
