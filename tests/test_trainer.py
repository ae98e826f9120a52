"""Test `Trainer`: its default callbacks, limits and precision, and the options that it passes to Lightning."""

import logging
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from lightning_gans.callbacks import Checkpointing, Evaluation, Progress, Run, Samples, Wandb
from lightning_gans.core.checkpoints import read_checkpoint
from lightning_gans.datamodules import Digits
from lightning_gans.lightning_messages import LOGGER, ignored_messages
from lightning_gans.models import VanillaGAN
from lightning_gans.networks import MaxoutDiscriminator, MLPGenerator
from lightning_gans.trainer import DEFAULT_CALLBACKS, DEFAULT_IMAGES, Trainer, _best_precision

DEFAULTS = {"Run", "Wandb", "Samples", "Evaluation", "Doctor", "GracefulShutdown", "Progress", "Checkpointing"}


def names(trainer: pl.Trainer) -> list[str]:
    return [type(callback).__name__ for callback in trainer.callbacks]  # type: ignore[attr-defined]


def small() -> VanillaGAN:
    return VanillaGAN(
        image_shape=(1, 8, 8),
        generator=partial(MLPGenerator, width=8, depth=1),
        discriminator=partial(MaxoutDiscriminator, width=4, depth=1),
        latent_dim=4,
    )


def trainer(tmp_path: Path, *, max_images: int | None = None, **options: Any) -> Trainer:
    callbacks = [
        Run(root=str(tmp_path), name="run", max_images=max_images),
        Wandb(mode="disabled"),
        Evaluation(count=10),
        Samples(count=4),
    ]
    return Trainer(callbacks=callbacks, accelerator="cpu", enable_progress_bar=False, **options)


def test_every_default_callback_is_present_once() -> None:
    assert sorted(names(Trainer(accelerator="cpu"))) == sorted(DEFAULTS)
    assert {cls.__name__ for cls in DEFAULT_CALLBACKS} == DEFAULTS


def test_callbacks_have_the_order_of_the_table_with_checkpoints_last() -> None:
    order = sorted(DEFAULT_CALLBACKS, key=lambda cls: issubclass(cls, pl.callbacks.Checkpoint))
    assert names(Trainer(accelerator="cpu")) == [cls.__name__ for cls in order]
    assert order[0] is Run
    assert order[-1] is Checkpointing


def test_a_given_callback_replaces_the_default() -> None:
    custom = Samples(every=5)
    other = pl.callbacks.Timer()
    trainer = Trainer(callbacks=[other, custom], accelerator="cpu")
    assert sorted(names(trainer)) == sorted([*DEFAULTS, "Timer"])
    assert custom in trainer.callbacks  # type: ignore[attr-defined]
    assert other in trainer.callbacks  # type: ignore[attr-defined]
    assert sorted(names(Trainer(callbacks=custom, accelerator="cpu"))) == sorted(DEFAULTS)


def test_two_callbacks_of_a_class_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`callbacks`.*Samples"):
        Trainer(callbacks=[Samples(seed=0), Samples(seed=1)], accelerator="cpu")


def test_a_subclass_replaces_the_default_of_its_base_class() -> None:
    class MyCheckpointing(Checkpointing):
        pass

    expected = DEFAULTS - {"Checkpointing"} | {"MyCheckpointing"}
    assert sorted(names(Trainer(callbacks=[MyCheckpointing()], accelerator="cpu"))) == sorted(expected)


@pytest.mark.parametrize(
    ("option", "missing"),
    [
        ({"enable_checkpointing": False}, {"Checkpointing", "GracefulShutdown"}),
        ({"enable_progress_bar": False}, {"Progress"}),
        ({"fast_dev_run": True}, DEFAULTS - {"Progress"}),
    ],
)
def test_options_disable_callbacks(option: dict[str, bool], missing: set[str]) -> None:
    found = set(names(Trainer(accelerator="cpu", **option)))  # type: ignore[arg-type]
    assert found & DEFAULTS == DEFAULTS - missing


@pytest.mark.parametrize(
    ("options", "limit"),
    [({}, DEFAULT_IMAGES), ({"max_steps": 3}, None), ({"max_epochs": 1}, None), ({"max_time": "00:00:01:00"}, None)],
)
def test_a_run_without_a_limit_has_a_default_limit(options: dict[str, object], limit: int | None) -> None:
    trainer = Trainer(accelerator="cpu", **options)  # type: ignore[arg-type]
    (run,) = [callback for callback in trainer.callbacks if isinstance(callback, Run)]  # type: ignore[attr-defined]
    assert run.max_images == limit


def test_a_given_number_of_images_is_unchanged() -> None:
    run = Run(max_images=17)
    Trainer(callbacks=run, accelerator="cpu")
    assert run.max_images == 17


@pytest.mark.parametrize(
    ("option", "value"), [("gradient_clip_val", 1.0), ("gradient_clip_val", 0.0), ("accumulate_grad_batches", 2)]
)
def test_an_option_of_the_model_is_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"`{option}` belongs to the model.*--model.{option}"):
        Trainer(accelerator="cpu", **{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cuda", "bf16", "accelerator", "precision"),
    [
        (True, True, "auto", "bf16-mixed"),
        (True, True, "gpu", "bf16-mixed"),
        (True, True, "cpu", "32-true"),
        (True, False, "auto", "32-true"),
        (False, False, "auto", "32-true"),
    ],
)
def test_the_default_precision_depends_on_the_accelerator(
    cuda: bool, bf16: bool, accelerator: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)
    assert _best_precision(accelerator) == precision


def test_a_given_precision_is_used() -> None:
    assert Trainer(accelerator="cpu", precision="64-true").precision == "64-true"


@pytest.mark.parametrize(
    ("options", "batches", "images"),
    [
        ({"max_images": 100}, 2, 128),
        ({"max_images": 128}, 2, 128),
        ({"max_steps": 3}, 3, 192),
        ({"max_epochs": 1}, 20, 1280),
        ({"max_images": 10_000, "max_steps": 1}, 1, 64),
    ],
)
def test_a_fit_ends_at_its_first_limit(options: dict[str, int], batches: int, images: int, tmp_path: Path) -> None:
    model = small()
    fitted = trainer(tmp_path, **options)
    fitted.fit(model, datamodule=Digits())
    assert (fitted.global_step, model.batches_seen, model.images_seen) == (batches, batches, images)


def test_a_fit_resumes_the_latest_run(tmp_path: Path) -> None:
    for limit in (64, 128):
        trainer(tmp_path, max_images=limit).fit(small(), datamodule=Digits())
    third = trainer(tmp_path, max_images=192)
    model = small()
    third.fit(model, datamodule=Digits(), ckpt_path="last")
    assert (model.images_seen, third.global_step) == (192, 3)
    assert read_checkpoint(tmp_path / "run-3")["global_step"] == 3


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("last", "`ckpt_path` is 'last', but no run in"),
        ("nothing", "there is no run folder or checkpoint"),
        (".", "has no checkpoints/last.ckpt"),
    ],
)
def test_a_missing_checkpoint_is_refused(
    path: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        trainer(tmp_path / "runs").fit(small(), datamodule=Digits(), ckpt_path=path)
    assert not (tmp_path / "runs").exists()


def test_a_fit_leaves_nothing_but_its_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trainer(tmp_path / "runs", max_steps=1).fit(small(), datamodule=Digits())
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    trial = Trainer(accelerator="cpu", fast_dev_run=1, enable_progress_bar=False)
    trial.fit(small(), datamodule=Digits())
    assert [path.name for path in tmp_path.rglob("runs/*")] == ["run"]


def test_a_fit_with_few_options_emits_no_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer(tmp_path, max_steps=2).fit(small(), datamodule=Digits())


def test_a_logger_of_the_user_is_used(tmp_path: Path) -> None:
    custom = CSVLogger(tmp_path / "custom", name="", version="")
    trainer(tmp_path, max_images=128, logger=custom, log_every_n_steps=1).fit(small(), datamodule=Digits())
    assert "discriminator/loss" in (tmp_path / "custom" / "metrics.csv").read_text()
    assert "discriminator/loss" in (tmp_path / "run" / "metrics.csv").read_text()


def test_plain_lightning_trains_a_model_too(tmp_path: Path) -> None:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    model = small()
    plain = pl.Trainer(max_steps=2, accelerator="cpu", default_root_dir=tmp_path, **quiet)  # type: ignore[arg-type]
    plain.fit(model, datamodule=Digits())
    assert (plain.global_step, model.images_seen) == (2, 128)
    assert not any(isinstance(callback, Progress) for callback in plain.callbacks)  # type: ignore[attr-defined]


def test_only_lines_of_this_framework_are_printed_and_its_first_line_comes_first(
    tmp_path: Path,
) -> None:
    """Lightning's lines go to standard error, through a handler that it installs when it is imported."""
    script = (
        "from lightning_gans import Digits, DCGAN, Trainer\n"
        "from lightning_gans.callbacks import Run, Wandb\n"
        "data = Digits()\n"
        "callbacks = [Run(max_images=64), Wandb(mode='disabled')]\n"
        "Trainer(callbacks=callbacks, accelerator='cpu').fit(DCGAN(image_shape=data.image_shape), data)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    assert result.stdout.startswith("Training DCGAN on Digits")


def test_other_lines_of_lightning_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger(LOGGER)
    with caplog.at_level(logging.INFO, logger=LOGGER):
        with ignored_messages():
            logger.info("GPU available: False, used: False")
            logger.info("Metric improved")
            logger.warning("GPU available: but not used")
        logger.info("TPU available: False")
    kept = [record.getMessage()[:3] for record in caplog.records if record.name == LOGGER]
    assert kept == ["Met", "GPU", "TPU"]
