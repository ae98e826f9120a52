"""Test that a missing optional package is one line with the command that installs it, before a run begins."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from lightning_fabric import strategies as fabric
from lightning_fabric.plugins import environments, io
from pytorch_lightning import accelerators, callbacks, loggers, plugins, profilers, strategies

from lightning_gans.__main__ import main
from lightning_gans.error_messages import translate_error
from lightning_gans.packages import CLASSES, REMOVED

MODULES = {package.module for package in CLASSES.values()}


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide all optional packages, and work in an empty folder."""

    def find(name: str, *args: Any) -> Any:
        return None if name in MODULES else find_spec(name, *args)

    monkeypatch.setattr("lightning_gans.packages.find_spec", find)
    monkeypatch.chdir(tmp_path)
    return tmp_path


CASES = [
    ("--trainer.logger TensorBoardLogger", "TensorBoardLogger needs the package tensorboard", "tensorboard"),
    (
        "--trainer.logger TensorBoardLogger --trainer.logger.save_dir x",
        "`--trainer.logger` TensorBoardLogger",
        "tensorboard",
    ),
    ("--trainer.logger MLFlowLogger", "`--trainer.logger` MLFlowLogger needs the package mlflow", "mlflow"),
    ("--trainer.logger pytorch_lightning.loggers.MLFlowLogger", "`--trainer.logger` MLFlowLogger needs", "mlflow"),
    ("--trainer.logger+ MLFlowLogger", "`--trainer.logger` MLFlowLogger needs", "mlflow"),
    ("--trainer.logger CometLogger", "CometLogger needs the package comet_ml", "comet-ml"),
    ("--trainer.logger LitLogger", "LitLogger needs the package litlogger", "litlogger"),
    ("--trainer.logger WandbLogger", "WandbLogger needs the package wandb", "wandb"),
    ("--trainer.callbacks+ RichProgressBar", "`--trainer.callbacks` RichProgressBar needs the package rich", "rich"),
    ("--trainer.callbacks+ DeviceStatsMonitor", "DeviceStatsMonitor needs the package psutil", "psutil"),
    ("--trainer.plugins BitsandbytesPrecision --trainer.plugins.mode nf4", "BitsandbytesPrecision", "bitsandbytes"),
    (
        "--trainer.precision transformer-engine",
        "`--trainer.precision` transformer-engine needs",
        "'transformer_engine[py",
    ),
    ("--trainer.strategy deepspeed_stage_2", "`--trainer.strategy` deepspeed_stage_2 needs the package", "deepspeed"),
    ("--trainer.strategy DeepSpeedStrategy", "`--trainer.strategy` DeepSpeedStrategy needs the package", "deepspeed"),
    ("--trainer.accelerator tpu", "`--trainer.accelerator` tpu needs the package torch_xla", "torch_xla"),
    ("--trainer.profiler XLAProfiler", "XLAProfiler needs the package torch_xla", "torch_xla"),
]


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["fit", "--run.max_images", "64", *arguments]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    return err


@pytest.mark.parametrize(("options", "message", "requirement"), CASES)
def test_a_missing_package_is_one_line(
    options: str, message: str, requirement: str, bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    err = refusal(options.split(), capsys)
    assert message in err
    assert f"which is not installed: pip install {requirement}" in err
    assert list(bare.iterdir()) == []


@pytest.mark.parametrize("path", ["MLFlowLogger", "pytorch_lightning.loggers.MLFlowLogger"])
@pytest.mark.parametrize("form", ["    class_path: PATH", "  - class_path: PATH\n  - class_path: CometLogger"])
def test_a_missing_package_of_a_configuration_file_is_one_line(
    form: str, path: str, bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bare / "c.yaml").write_text("trainer:\n  logger:\n" + form.replace("PATH", path) + "\n")
    err = refusal(["--config", "c.yaml"], capsys)
    assert "`--trainer.logger` MLFlowLogger needs the package mlflow, which is not installed: pip install mlflow" in err


def test_a_removed_class_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for name in REMOVED:
        assert f"{name}: Neptune has ended" in refusal(["--trainer.logger", name], capsys)


def test_either_package_of_tensorboard_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    package = CLASSES["TensorBoardLogger"]
    assert package.is_missing
    monkeypatch.setattr("lightning_gans.packages.find_spec", lambda name: name == "tensorboardX" or None)
    assert not package.is_missing


def test_a_missing_argument_of_a_logger_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lightning_gans.packages.find_spec", find_spec)
    assert "`--trainer.logger.save_dir` must be given" in refusal(["--trainer.logger", "TensorBoardLogger"], capsys)


def test_every_class_of_the_table_exists_in_lightning() -> None:
    modules = (accelerators, callbacks, loggers, plugins, profilers, strategies, environments, io, fabric)
    assert CLASSES.keys() <= {name for module in modules for name in dir(module)}


def test_every_logger_of_lightning_is_in_the_table() -> None:
    assert set(loggers.__all__) - {"Logger", "CSVLogger"} <= CLASSES.keys()


def test_a_missing_extra_of_this_package_is_explained_by_its_own_message() -> None:
    message = "audio files need soundfile, which cannot be imported (No module named 'soundfile'): pip install"
    assert translate_error(f"{message} 'lightning-gans[audio]'") == f"{message} 'lightning-gans[audio]'"
