"""Test the sweeps, and that command lines that W&B builds are parsed: its own code builds them."""

import copy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps import utils

from lightning_gans.__main__ import main

SWEEPS = sorted((Path(__file__).resolve().parents[1] / "configs" / "sweeps").glob("*.yaml"))
MACROS = ("args", "args_no_equals", "args_no_boolean_flags", "args_json", "args_json_file")
VALUES = {
    "model.gradient_clip_val": None,
    "model.latent_dim": 32.0,
    "model.generator_optimizer.lr": 1e-05,
    "model.generator_optimizer.betas": [0.0, 0.9],
    "model.generator_optimizer.fused": None,
    "run.max_images": 1000.0,
    "run.name": None,
    "samples.every": 500.0,
    "wandb.log_model": True,
    "wandb.log_real": False,
    "trainer.limit_train_batches": 1.0,
    "seed_everything": 3.0,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def command_line(sweep: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """Build the command line of a run as the agent of W&B does."""
    command = utils.create_sweep_command(copy.deepcopy(sweep["command"]))
    variables = utils.create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    Path("args.json").write_text(variables["args_json"][0])
    variables |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "args_json_file": ["args.json"]}
    variables["program"] = [sweep["program"]]
    line: list[str] = []
    for word in map(str, command):
        line += variables.get(word[2:-1], []) if word.startswith("${") else [word]
    return line


def arguments(line: list[str]) -> list[str]:
    """Return the arguments after the program's name."""
    assert line[:5] == ["/usr/bin/env", "python", "-m", "lightning_gans", "fit"]
    return line[4:]


def configuration(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main([*options, "--print_config"])
    config: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return config


def value_of(config: dict[str, Any], option: str) -> Any:
    for key in option.split("."):
        config = config[key] if key in config else config["init_args"][key]
    return config


def choices(parameter: dict[str, Any]) -> list[Any]:
    """Return the values of a parameter, or the ends of its range."""
    return parameter["values"] if "values" in parameter else [parameter["min"], parameter["max"]]


@pytest.mark.parametrize("macro", MACROS)
def test_values_as_w_and_b_writes_them_are_accepted(macro: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["${env}", "${interpreter}", "-m", "${program}", "fit", "--config", "dcgan_digits"]
    command += ["--config"] * (macro == "args_json_file") + [f"${{{macro}}}"]
    line = command_line({"program": "lightning_gans", "command": command}, VALUES)
    config = configuration(capsys, *arguments(line))
    for option, value in VALUES.items():
        found = value_of(config, option)
        assert found == value, option
        whole = isinstance(value, float) and value.is_integer() and option != "trainer.limit_train_batches"
        assert type(found) is (int if whole else type(value)), option


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_value_of_a_sweep_is_accepted(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = yaml.safe_load(path.read_text())
    parameters = sweep["parameters"]
    count = max(len(choices(parameter)) for parameter in parameters.values())
    for index in range(count):
        values = {name: choices(parameter)[index % len(choices(parameter))] for name, parameter in parameters.items()}
        config = configuration(capsys, *arguments(command_line(sweep, values)))
        assert {name: value_of(config, name) for name in values} == values
        assert config["evaluation"]["every"] <= config["run"]["max_images"]
    assert main([*arguments(command_line(sweep, values)), "--dry_run"]) == 0


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_maximizes_a_score_that_its_runs_log(path: Path, folder: Path) -> None:
    sweep = yaml.safe_load(path.read_text())
    first = {name: choices(parameter)[0] for name, parameter in sweep["parameters"].items()}
    short = "--run.max_images 128 --evaluation.every 64 --evaluation.count 20 --samples.count 4 --run.name x"
    assert main([*arguments(command_line(sweep, first)), *shlex.split(short)]) == 0
    assert sweep["metric"]["name"] in (folder / "runs" / "x" / "metrics.csv").read_text().partition("\n")[0].split(",")
    assert sweep["metric"]["goal"] == "maximize"


def test_a_sweep_says_how_it_is_started() -> None:
    assert len(SWEEPS) == 2
    for path in SWEEPS:
        assert path.read_text().splitlines()[1] == f"# wandb sweep configs/sweeps/{path.name}"


ERRORS = {
    "--model.latent_dim=32.5": "`--model.latent_dim` must be of type int, got '32.5'",
    "--run.max_images=inf": "`--run.max_images` must be of type int, got 'inf'",
    "--samples.every=None": "`--samples.every` must be of type int, got 'None'",
    "--model.latent_dim": "`--model.latent_dim` needs a value",
    "--run.name": "`--run.name` needs a value",
    "--wandb.log_model --run.name": "`--run.name` needs a value",
    "'{\"model.latent_dim\": 32,'": "are not valid JSON",
}


@pytest.mark.parametrize("options", ERRORS)
def test_a_value_of_another_type_is_refused(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *shlex.split(options)]) == 2
    assert ERRORS[options] in capsys.readouterr().err


def test_an_option_of_a_json_object_is_not_taken_for_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    schedules = '{"lr": {"class_path": "Linear", "init_args": {"start": 0.1, "end": 0.0, "images": 100}}}'
    config = configuration(capsys, "fit", "--model.generator_schedules", schedules, '{"model.latent_dim": 7}')
    assert value_of(config, "model.latent_dim") == 7
    assert value_of(config, "model.generator_schedules")["lr"]["init_args"]["images"] == 100
