"""Test a full disk: training continues, existing files remain complete, a truncated checkpoint is not used."""

import os
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES
from conftest import Fit

from lightning_gans.__main__ import main
from lightning_gans.callbacks.checkpointing import save_atomically
from lightning_gans.callbacks.csv_logger import ResilientCSVLogger
from lightning_gans.core.checkpoints import find_checkpoint, read_checkpoint
from lightning_gans.core.model import load
from lightning_gans.files import atomic_write, tolerate_write_errors
from lightning_gans.rendering.images import save_image
from lightning_gans.run_files import LAST, PREVIOUS


def full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos"),
    ],
)
def test_a_write_error_is_warned_of_once_per_suffix(error: Exception, tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for name in ("a.png", "b.png", "c.gif", "d.png"):
            with tolerate_write_errors(tmp_path / name):
                raise error
    messages = [str(warning.message) for warning in seen]
    assert [line.partition(" cannot")[0] for line in messages] == [str(tmp_path / "a.png"), str(tmp_path / "c.gif")]
    assert all("\n" not in line and line.endswith("): training continues without it") for line in messages)


def test_other_errors_are_raised(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="CUDA"), tolerate_write_errors(tmp_path / "a.ckpt"):
        raise RuntimeError("CUDA error: an illegal memory access")


def test_a_replaced_file_is_always_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("previous")
    with pytest.warns(UserWarning, match=r"a\.json cannot be written"), atomic_write(path) as part:  # noqa: PT031
        part.write_text("hal")
        full()
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "previous"
    with atomic_write(path, previous=tmp_path / "b.json") as part:
        part.write_text("new")
    assert (path.read_text(), (tmp_path / "b.json").read_text()) == ("new", "previous")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_without_hard_links_the_previous_file_is_kept_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", full)
    for text in ("1", "2", "3"):
        with atomic_write(tmp_path / "a.ckpt", previous=tmp_path / "b.ckpt") as part:
            part.write_text(text)
    assert ((tmp_path / "a.ckpt").read_text(), (tmp_path / "b.ckpt").read_text()) == ("3", "2")


def test_a_write_error_of_an_image_is_tolerated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.Image.Image.save", full)
    with pytest.warns(UserWarning, match="cannot be written"):
        save_image(np.zeros((2, 2, 3), np.uint8), tmp_path / "samples" / "a.png")
    assert list(tmp_path.rglob("*.p*")) == []


def test_metrics_are_complete_after_a_write_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A truncated row is removed, and written again with the next rows."""
    logger = ResilientCSVLogger(tmp_path / "run", name="", version="")
    logger.log_metrics({"loss": 1.0}, step=1)
    logger.save()
    path = tmp_path / "run" / "metrics.csv"
    logger.log_metrics({"loss": 2.0}, step=2)

    def truncated(*_: Any) -> None:
        with path.open("a") as file:
            file.write("2.")
        full()

    with monkeypatch.context() as patch:
        patch.setattr(logger.experiment, "save", truncated)
        with pytest.warns(UserWarning, match=r"metrics\.csv cannot be written"):
            logger.save()
    logger.log_metrics({"loss": 3.0}, step=3)
    logger.finalize("success")
    assert path.read_text().split() == ["loss,step", "1.0,1", "2.0,2", "3.0,3"]


def test_a_write_error_leaves_no_rank_at_a_barrier(tmp_path: Path) -> None:
    barriers: list[str] = []
    strategy = SimpleNamespace(barrier=barriers.append)
    trainer: Any = SimpleNamespace(is_global_zero=True, save_checkpoint=full, strategy=strategy)
    with pytest.warns(UserWarning, match="cannot be written"):
        save_atomically(trainer, tmp_path / "last.ckpt")
    assert barriers == ["Trainer.save_checkpoint"]


FIT = (
    "fit --model VanillaGAN --data Digits --run.name x --save.every 64 --evaluation.count 20 --samples.count 4"
    " --wandb.mode disabled --model.discriminator_steps 4 --model.discriminator MLPDiscriminator"
)


def test_a_run_under_a_file_size_limit_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator steps first in the fourth batch; with the state of its optimizer, checkpoints are too large."""
    monkeypatch.chdir(tmp_path)
    assert main([*FIT.split(), "--run.max_images", "64"]) == 0
    blocks = int(1.2 * Path("runs", "x", LAST).stat().st_size / 1024)
    line = f"ulimit -f {blocks}; exec {shlex.quote(sys.executable)} -m lightning_gans {FIT} --run.max_images 320"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    result = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    messages = [line for line in result.stderr.splitlines() if "cannot be written" in line]
    assert len(messages) == 1, result.stderr
    assert "last.ckpt cannot be written (File too large): training continues without it" in messages[0]
    run = Path("runs", "x-2")
    assert load(run).images_seen == 192
    assert read_checkpoint(run / PREVIOUS)["lightning_gans"]["images_seen"] == 128
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["last.ckpt", "previous.ckpt"]
    assert {"samples", "metrics.csv", "evaluation.json", "training.gif"} <= {path.name for path in run.iterdir()}


# -- truncated checkpoints -----------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, fit: Fit) -> Path:
    """Create a run folder whose last checkpoint has 16 images, and whose previous checkpoint has 8."""
    case = CASES[1]
    trainer = fit(case.make(), [case.batch()] * 2, max_steps=1)
    save_atomically(trainer, tmp_path / PREVIOUS)
    trainer = fit(case.make(), [case.batch()] * 2, max_steps=2)
    save_atomically(trainer, tmp_path / LAST)
    return tmp_path


def test_the_last_checkpoint_is_used_if_it_can_be_read(run: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_checkpoint(run) == run / LAST
        assert load(run).images_seen == 16


@pytest.mark.parametrize("damage", ["half", "foreign", "empty", "missing"])
def test_an_unreadable_last_checkpoint_is_replaced_by_the_previous_with_a_warning(damage: str, run: Path) -> None:
    content = (run / LAST).read_bytes()
    if damage == "foreign":
        torch.save({"weights": torch.zeros(2)}, run / LAST)
    elif damage == "missing":
        (run / LAST).unlink()
    else:
        (run / LAST).write_bytes(content[: len(content) // 2] if damage == "half" else b"")
    with pytest.warns(UserWarning, match=r"last\.ckpt' is not a checkpoint.*: using '.*previous\.ckpt' instead"):
        assert load(run).images_seen == 8
    if damage != "missing":
        with pytest.raises(ValueError, match=r"last\.ckpt' is not a checkpoint"):
            load(run / LAST)
    (run / PREVIOUS).unlink()
    with pytest.raises(ValueError, match=r"last\.ckpt"):
        load(run)
