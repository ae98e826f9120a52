"""Test that SIGTERM and Ctrl-C save a checkpoint, set the exit code, and allow an exact resume."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from lightning_gans.__main__ import main
from lightning_gans.callbacks import Evaluation, GracefulShutdown, Run, Samples, Wandb
from lightning_gans.datamodules import Digits
from lightning_gans.models import DCGAN
from lightning_gans.run_files import LAST
from lightning_gans.trainer import Trainer

OPTIONS = [
    *("--wandb.mode", "disabled", "--trainer.log_every_n_steps", "1", "--evaluation.count", "10"),
    *("--samples.count", "4", "--samples.every", "128", "--trainer.enable_progress_bar", "false"),
    *("--model.generator.width", "4", "--model.discriminator.width", "4", "--run.max_images", "640"),
]


class Signals(pl.Callback):
    """Send signals to this process at the start of a batch."""

    def __init__(self, batch: int, *numbers: int) -> None:
        self.batch = batch
        self.numbers = numbers

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.batch:
            for number in self.numbers:
                os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def _same_handlers() -> Iterator[None]:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)
    assert after == before


def train(
    root: Path,
    *callbacks: pl.Callback,
    max_images: int = 640,
    log_every_n_steps: int = 50,
    progress: bool = False,
    **options: Any,
) -> DCGAN:
    torch.manual_seed(0)
    data = Digits()
    model = DCGAN(image_shape=data.image_shape)
    own = [
        Run(root=str(root), max_images=max_images),
        Wandb(mode="disabled"),
        Samples(every=128, count=4),
        Evaluation(count=10),
    ]
    trainer = Trainer(
        callbacks=[*own, *callbacks],
        accelerator="cpu",
        log_every_n_steps=log_every_n_steps,
        enable_progress_bar=progress,
    )
    trainer.fit(model, data, **options)
    return model


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_saves_and_raises_what_python_expects(
    number: int, raised: type[BaseException], tmp_path: Path
) -> None:
    uninterrupted = train(tmp_path / "uninterrupted").state_dict()
    with pytest.raises(raised) as exited:
        train(tmp_path / "resumed", Signals(4, number))
    assert not isinstance(exited.value, SystemExit) or exited.value.code == 143
    (run,) = (tmp_path / "resumed").iterdir()
    checkpoint = torch.load(run / LAST, weights_only=True)
    assert checkpoint["lightning_gans"]["images_seen"] == 5 * 64  # the batch was finished
    resumed = train(tmp_path / "resumed", ckpt_path=run).state_dict()
    assert [name for name, tensor in uninterrupted.items() if not torch.equal(tensor, resumed[name])] == []
    with Image.open(run / "training.gif") as animation:
        assert animation.n_frames == 6  # frames of both parts


@pytest.mark.parametrize("images", [256, 640])
def test_sampling_is_aborted(
    images: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the middle of training and at its end: the state is saved, and the run resumes exactly."""
    uninterrupted = train(tmp_path / "uninterrupted").state_dict()
    draw = DCGAN.draw

    def interrupted_draw(model: DCGAN, *arguments: Any) -> Any:
        if model.images_seen == images:
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("sampling was not aborted")
        return draw(model, *arguments)

    monkeypatch.setattr(DCGAN, "draw", interrupted_draw)
    with pytest.raises(SystemExit) as exited:
        train(tmp_path / "resumed", progress=True)
    assert exited.value.code == 143
    printed = capsys.readouterr().out
    assert f"Stopped after {images} images. Resume: python -m lightning_gans fit --ckpt_path" in printed
    monkeypatch.setattr(DCGAN, "draw", draw)
    (run,) = (tmp_path / "resumed").iterdir()
    checkpoint = torch.load(run / LAST, weights_only=True)
    assert checkpoint["lightning_gans"]["images_seen"] == images
    resumed = checkpoint["state_dict"] if images == 640 else train(tmp_path / "resumed", ckpt_path=run).state_dict()
    assert [name for name, tensor in uninterrupted.items() if not torch.equal(tensor, resumed[name])] == []


class Interrupting(pl.Callback):
    """Press Ctrl-C before training starts, when Lightning handles it."""

    def setup(self, *_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_before_training_is_a_keyboard_interrupt_and_works_again(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, Interrupting())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_exit_is_unchanged(tmp_path: Path) -> None:
    class Exiting(pl.Callback):
        def on_train_start(self, *_: Any) -> None:
            raise SystemExit(3)

    with pytest.raises(SystemExit) as exited:
        train(tmp_path, Exiting())
    assert exited.value.code == 3


@pytest.mark.parametrize("command", ["fit", "sample"])
def test_the_command_line_exits_with_130_on_ctrl_c(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if command == "fit":
        monkeypatch.setattr(DCGAN, "after_generator_step", lambda _: os.kill(os.getpid(), signal.SIGINT))
        assert main(["fit", *OPTIONS]) == 130
        assert list(tmp_path.glob(f"runs/*/{LAST}"))
    else:
        train(tmp_path, max_images=64)
        (run,) = tmp_path.iterdir()
        monkeypatch.setattr(DCGAN, "draw", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        assert main(["sample", str(run)]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_second_signal_does_not_wait_for_the_batch(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, Signals(4, signal.SIGINT, signal.SIGINT))
    assert not list(tmp_path.glob(f"*/{LAST}"))  # training cannot resume from half a batch


def test_other_signal_handlers_are_restored(tmp_path: Path) -> None:
    received = []
    signal.signal(signal.SIGTERM, lambda *_: received.append("SIGTERM"))
    try:
        train(tmp_path)
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == ["SIGTERM"]
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_training_in_another_thread_installs_no_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threading.current_thread", lambda: None)
    callback = GracefulShutdown()
    callback.on_train_start(None, None)  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGTERM) != callback._handle_signal


# The command line


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if "per_s" not in key} for row in csv.DictReader(file)]


@pytest.mark.parametrize("argument", ["last", "run", "file"])
def test_fit_resumes_in_the_folder_of_the_run(
    argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *OPTIONS, "--run.name", "uninterrupted"]) == 0
    assert main(["fit", *OPTIONS, "--run.name", "resumed", "--run.max_images", "320"]) == 0
    assert main(["fit", *OPTIONS[:2], "--run.name", "older", "--dry_run"]) == 0
    path = {"last": "last", "run": "runs/resumed", "file": f"runs/resumed/{LAST}"}[argument]
    capsys.readouterr()
    assert main(["fit", "--ckpt_path", path, "--run.max_images", "640", "--samples.seed", "0"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "`run.max_images` is now 640, it was 320"
    assert sorted(folder.name for folder in Path("runs").iterdir()) == ["resumed", "uninterrupted"]
    states = [
        torch.load(Path("runs", name, LAST), weights_only=True)["state_dict"] for name in ("uninterrupted", "resumed")
    ]
    assert [name for name in states[0] if not torch.equal(states[0][name], states[1][name])] == []
    uninterrupted, resumed = rows(Path("runs", "uninterrupted")), rows(Path("runs", "resumed"))
    evaluated = [row for row in resumed if row.get("evaluation/test/coverage")]
    assert len(evaluated) == 2  # at the end of each part
    logged = [[row for row in run if row["discriminator/loss"]] for run in (uninterrupted, resumed)]
    assert logged[0] == logged[1]


def test_metrics_survive_a_kill_while_they_are_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path, log_every_n_steps=1)
    (run,) = tmp_path.iterdir()
    before = rows(run)

    def killed(*_: Any) -> None:
        raise SystemExit(137)

    with monkeypatch.context() as patch:
        patch.setattr("lightning_gans.callbacks.csv_logger.ResilientCSVLogger.save", killed)
        with pytest.raises(SystemExit, match="137"):
            train(tmp_path, max_images=1280, log_every_n_steps=1, ckpt_path=run)
    train(tmp_path, max_images=1280, log_every_n_steps=1, ckpt_path=run)
    assert rows(run)[: len(before)] == before
    assert {path.name for path in run.glob("metrics*")} == {"metrics.csv"}


def test_an_option_of_the_command_line_overrides_the_recorded_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *OPTIONS, "--run.max_images", "64"]) == 0
    capsys.readouterr()
    options = ["--run.max_images", "128", "--model.generator_optimizer.lr", "0.125"]
    assert main(["fit", "--ckpt_path", "last", *options]) == 0
    assert "`model.generator_optimizer.lr` is now 0.125, it was 0.0002" in capsys.readouterr().out
    (checkpoint,) = tmp_path.glob(f"runs/*/{LAST}")
    generator, _ = torch.load(checkpoint, weights_only=True)["optimizer_states"]
    assert generator["param_groups"][0]["lr"] == 0.125


def test_sigterm_from_outside(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lightning_gans", "fit", *OPTIONS, "--run.max_images", "100000000"]
    command += ["--trainer.enable_progress_bar", "true"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    start = time.monotonic()
    while not list(tmp_path.glob("runs/*/samples/000000128.png")) and time.monotonic() - start < 120:
        time.sleep(0.1)
    process.terminate()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Traceback" not in errors
    resume = "Resume: python -m lightning_gans fit --ckpt_path runs/dcgan-digits-1"
    assert output.splitlines()[-1].endswith(resume)
    (checkpoint,) = tmp_path.glob(f"runs/*/{LAST}")
    assert torch.load(checkpoint, weights_only=True)["lightning_gans"]["images_seen"] >= 128
