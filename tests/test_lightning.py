"""Test the tables of docs/lightning.md: each argument, callback and logger of Lightning works or is refused."""

import csv
import hashlib
import inspect
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from conftest import Record
from pytorch_lightning import callbacks, loggers
from pytorch_lightning.callbacks import EarlyStopping, LambdaCallback, ModelCheckpoint
from pytorch_lightning.strategies import DDPStrategy
from torch import nn

from lightning_gans.__main__ import main
from lightning_gans.callbacks import Evaluation, Progress, Run, Samples, Wandb
from lightning_gans.core.lightning_options import REFUSED_CALLBACKS
from lightning_gans.core.model import Model, load
from lightning_gans.datamodules import DataModule, Digits, Toy2D
from lightning_gans.datamodules.loader import ResumableLoader
from lightning_gans.datamodules.sources import TensorSource
from lightning_gans.errors import OptionError
from lightning_gans.models import Classifier, VanillaGAN
from lightning_gans.networks import MaxoutDiscriminator, MLPGenerator
from lightning_gans.trainer import Trainer

TESTS = Path(__file__).resolve().parent
PAGE = (TESTS.parent / "docs" / "lightning.md").read_text()
COVERAGE = "evaluation/validation/coverage"

pytestmark = pytest.mark.filterwarnings("ignore:When using the `ThroughputMonitor`")


def small(image_shape: tuple[int, ...] = (1, 8, 8)) -> VanillaGAN:
    torch.manual_seed(0)
    return VanillaGAN(
        image_shape=image_shape,
        generator=partial(MLPGenerator, width=8, depth=1),
        discriminator=partial(MaxoutDiscriminator, width=4, depth=1),
        latent_dim=4,
    )


def trainer(root: Path, *given: pl.Callback, images: int | None = 640, every: int = 256, **options: Any) -> Trainer:
    """Create a trainer of runs without W&B; Digits has 20 batches of 64 images."""
    own = [Run(root=str(root), name="x", max_images=images), Wandb(mode="disabled"), Samples(count=4)]
    evaluation = (
        [] if any(isinstance(callback, Evaluation) for callback in given) else [Evaluation(count=10, every=every)]
    )
    bar = any(isinstance(callback, callbacks.ProgressBar) for callback in given)
    return Trainer(callbacks=[*own, *evaluation, *given], accelerator="cpu", enable_progress_bar=bar, **options)


def fit(
    root: Path, *given: pl.Callback, model: Model | None = None, data: DataModule | None = None, **options: Any
) -> Trainer:
    """Train a small GAN, on digits by default."""
    start = {"ckpt_path": options.pop("ckpt_path", None)}
    fitted = trainer(root, *given, **options)
    fitted.fit(model or small(), datamodule=data or Digits(), **start)
    return fitted


# -- the tables ----------------------------------------------------------------------------------------------------


def rows(title: str) -> dict[str, list[str]]:
    """Return the rows of the table under a heading, by their first cell."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in section.splitlines() if line[:2] == "| "
    ]
    return {first.strip("`"): rest for first, *rest in cells[1:]}


TABLES: dict[str, set[str]] = {
    "Arguments of the trainer": {*inspect.signature(pl.Trainer.__init__).parameters} - {"self"},
    "Callbacks": {*callbacks.__all__},
    "Loggers": {*loggers.__all__},
}


@pytest.mark.parametrize("title", TABLES)
def test_a_table_has_a_row_for_each_name_of_lightning(title: str) -> None:
    assert rows(title).keys() == TABLES[title]


@pytest.mark.parametrize("title", TABLES)
def test_each_row_names_a_test_that_exists(title: str) -> None:
    written = {name for path in TESTS.glob("*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)}
    for name, (verdict, *_, test) in rows(title).items():
        assert test.strip("`") in written, f"{name}: {test}"
        assert verdict in ("works", "works in part", "refused", "adds nothing"), name


def test_the_refused_callbacks_are_those_of_the_table() -> None:
    refused = {name for name, (verdict, *_) in rows("Callbacks").items() if verdict == "refused"}
    found = {name for name in callbacks.__all__ if issubclass(getattr(callbacks, name), tuple(REFUSED_CALLBACKS))}
    assert refused == found


# -- arguments -----------------------------------------------------------------------------------------------------


ARGUMENTS: dict[str, tuple[Any, Callable[[Trainer], Any]]] = {
    "accelerator": ("cpu", lambda fitted: fitted.strategy.root_device.type == "cpu"),
    "num_nodes": (1, lambda fitted: fitted.num_nodes == 1),
    "limit_train_batches": (5, lambda fitted: fitted.current_epoch == 2),
    "log_every_n_steps": (2, lambda fitted: "discriminator/loss" in fitted.logged_metrics),
    "enable_model_summary": (True, lambda fitted: any(isinstance(c, callbacks.ModelSummary) for c in fitted.callbacks)),
    "deterministic": (True, lambda _: torch.are_deterministic_algorithms_enabled()),
    "benchmark": (True, lambda _: torch.backends.cudnn.benchmark),
    "use_distributed_sampler": (False, lambda fitted: fitted.global_step == 10),
    "profiler": ("simple", lambda fitted: "optimizer_step" in fitted.profiler.summary() or fitted.profiler.summary()),
    "detect_anomaly": (True, lambda fitted: fitted.global_step == 10),
    "sync_batchnorm": (True, lambda fitted: fitted.global_step == 10),
    "enable_autolog_hparams": (False, lambda fitted: fitted.global_step == 10),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_works(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    value, works = ARGUMENTS[name]
    own = trainer(tmp_path) if name == "accelerator" else trainer(tmp_path, **{name: value})
    try:
        own.fit(small(), datamodule=Digits())
        assert own.lightning_module.images_seen == 640  # type: ignore[union-attr]
        assert works(own)
    finally:
        torch.use_deterministic_algorithms(False)


def test_every_argument_that_only_has_to_work_is_tried() -> None:
    tried = {name for name, (*_, test) in rows("Arguments of the trainer").items() if "test_an_argument_works" in test}
    assert tried == set(ARGUMENTS)


EVALUATION_OPTIONS = {
    "limit_val_batches": 3,
    "limit_test_batches": 1,
    "limit_predict_batches": 0.5,
    "val_check_interval": 0.5,
    "check_val_every_n_epoch": 2,
    "num_sanity_val_steps": -1,
    "inference_mode": False,
}


@pytest.mark.parametrize("name", EVALUATION_OPTIONS)
@pytest.mark.parametrize("plain", [False, True])
def test_an_option_of_an_evaluation_loop_is_refused_without_the_loop(name: str, plain: bool, tmp_path: Path) -> None:
    option = {name: EVALUATION_OPTIONS[name]}
    quiet: dict[str, Any] = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    own = (
        pl.Trainer(accelerator="cpu", default_root_dir=tmp_path, **quiet, **option)
        if plain
        else trainer(tmp_path, **option)
    )
    with pytest.raises(ValueError, match=rf"^`{name}` .* has no effect, because VanillaGAN has no `\w+_step`"):
        own.fit(small(), datamodule=Digits())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interval", ["00:00:01:00", timedelta(minutes=1)])
def test_a_time_as_the_interval_of_validation_is_refused(interval: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`val_check_interval` '60 s' has no effect"):
        fit(tmp_path, val_check_interval=interval)


class Validated(VanillaGAN):
    """A GAN with a validation loop of its own."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("distance", batch["image"].abs().mean())


def test_options_of_validation_work_for_a_model_with_a_validation_step(tmp_path: Path) -> None:
    model = Validated(**{**small().init_args})
    stop = EarlyStopping("distance", patience=2, check_on_train_epoch_end=False)
    fitted = fit(tmp_path, stop, model=model, images=None, max_epochs=9, val_check_interval=5, limit_val_batches=1)
    assert fitted.global_step == 15


@pytest.mark.parametrize("name", ["barebones", "default_root_dir", "model_registry"])
def test_an_argument_that_a_callback_replaces_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^`{name}` "):
        trainer(tmp_path, **{name: True if name == "barebones" else str(tmp_path)})


def test_a_bare_trainer_of_lightning_trains(tmp_path: Path) -> None:
    model = small()
    pl.Trainer(barebones=True, max_steps=2, accelerator="cpu", default_root_dir=tmp_path).fit(
        model, datamodule=Digits()
    )
    assert model.images_seen == 128


@pytest.mark.parametrize("plain", [False, True])
def test_clipping_by_value_is_refused(plain: bool, tmp_path: Path) -> None:
    quiet: dict[str, Any] = {"enable_checkpointing": False, "logger": False, "enable_progress_bar": False}
    options: dict[str, Any] = {"gradient_clip_algorithm": "value"}
    own = pl.Trainer(accelerator="cpu", **quiet, **options) if plain else trainer(tmp_path, **options)
    with pytest.raises(ValueError, match=r"`gradient_clip_algorithm`.*`gradient_clip_val` of the model"):
        own.fit(small(), datamodule=Digits())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "strategy",
    ["ddp_spawn", "ddp_fork", "ddp_notebook", "ddp_fork_find_unused_parameters_true", DDPStrategy(start_method="fork")],
)
def test_a_strategy_that_trains_a_copy_is_refused(strategy: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`strategy` 'ddp_spawn', 'ddp_fork' or 'ddp_notebook' trains copies"):
        trainer(tmp_path, strategy=strategy, devices=2)


@pytest.mark.parametrize("devices", ["auto", 1])
def test_a_notebook_trains_on_one_device(devices: Any, tmp_path: Path, interactive: None) -> None:
    fitted = fit(tmp_path, devices=devices)
    assert (fitted.world_size, fitted.lightning_module.images_seen) == (1, 640)  # type: ignore[union-attr]


@pytest.mark.parametrize("strategy", ["auto", "ddp", "ddp_notebook"])
def test_several_devices_are_refused_in_a_notebook(strategy: str, tmp_path: Path, interactive: None) -> None:
    with pytest.raises(ValueError, match="a notebook has no other strategy for several devices: train on one device"):
        trainer(tmp_path, strategy=strategy, devices=2)


@pytest.fixture
def interactive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    monkeypatch.setattr("pytorch_lightning.trainer.connectors.accelerator_connector._IS_INTERACTIVE", True)


# -- the order of the batches --------------------------------------------------------------------------------------


class Order(pl.Callback):
    """Record the images of each batch by a hash, and save at a batch."""

    def __init__(self, *, save_at: int = -1, path: Path = Path("x.ckpt")) -> None:
        self.epochs: dict[int, list[str]] = {}
        self.save_at = save_at
        self.path = path

    def on_train_batch_start(self, trainer: pl.Trainer, model: Any, batch: Any, batch_idx: int) -> None:
        name = hashlib.md5(batch["image"].numpy().tobytes()).hexdigest()
        self.epochs.setdefault(trainer.current_epoch, []).append(name)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.save_at:
            trainer.save_checkpoint(self.path)


ORDERS: dict[str, dict[str, Any]] = {
    "overfit_batches": {"overfit_batches": 3},
    "a share of overfit_batches": {"overfit_batches": 0.15},
    "reload": {"reload_dataloaders_every_n_epochs": 1, "limit_train_batches": 3},
    "reload every second epoch": {"reload_dataloaders_every_n_epochs": 2, "limit_train_batches": 3},
    "limit": {"limit_train_batches": 3},
}


def ordered(root: Path, save_at: int = -1, **options: Any) -> tuple[list[list[str]], dict[str, torch.Tensor]]:
    order = Order(save_at=save_at, path=root / f"{save_at}.ckpt")
    fitted = fit(root, order, images=None, max_epochs=4, **options)
    return list(order.epochs.values()), fitted.lightning_module.state_dict()  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [3, 0.15])
def test_overfitting_repeats_the_same_batches(value: float, tmp_path: Path) -> None:
    epochs, _ = ordered(tmp_path, overfit_batches=value)
    assert [len(set(epoch)) for epoch in epochs] == [3, 3, 3, 3]
    assert all(epoch == epochs[0] for epoch in epochs)


@pytest.mark.parametrize("options", [{}, *list(ORDERS.values())[2:]])
def test_a_reloaded_loader_has_a_new_order(options: dict[str, Any], tmp_path: Path) -> None:
    """The order of an epoch does not depend on whether the loader is new."""
    epochs, _ = ordered(tmp_path, **options)
    assert len({batch for epoch in epochs for batch in epoch}) == sum(map(len, epochs))
    expected, _ = ordered(tmp_path)
    assert [epoch[: len(epochs[0])] for epoch in expected] == epochs


@pytest.mark.parametrize("save_at", [4, 6, 7])
@pytest.mark.parametrize("name", ORDERS)
def test_any_order_is_resumed_exactly(name: str, save_at: int, tmp_path: Path) -> None:
    """From the middle of an epoch, its end, and its first batch."""
    epochs, weights = ordered(tmp_path, save_at, **ORDERS[name])
    resumed, end = ordered(tmp_path, **ORDERS[name], ckpt_path=tmp_path / f"{save_at}.ckpt")
    assert sum(resumed, []) == sum(epochs, [])[save_at:]  # noqa: RUF017
    assert [key for key, weight in weights.items() if not torch.equal(weight, end[key])] == []


def test_overfitting_needs_a_loader_in_a_fixed_order(tmp_path: Path) -> None:
    tensors = {"image": torch.rand(16, 1, 8, 8) * 2 - 1}
    loaders = [
        ResumableLoader(TensorSource(tensors), batch_size=4, shuffle=shuffle, drop_last=True)
        for shuffle in (True, False)
    ]
    with pytest.raises(ValueError, match=r"^`overfit_batches` needs .*: ResumableLoader\(shuffle=False\)$"):
        trainer(tmp_path, overfit_batches=2).fit(small(), loaders[0])
    trainer(tmp_path, images=16, overfit_batches=2).fit(small(), loaders[1])


# -- monitoring ----------------------------------------------------------------------------------------------------


class Scripted(Evaluation):
    """An evaluation with given coverages."""

    def __init__(self, *coverages: float, every: int = 128) -> None:
        super().__init__(every=every, count=10)
        self.coverages = list(coverages)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        return {"coverage": self.coverages.pop(0) if self.coverages else 0.0}


def test_a_model_checkpoint_keeps_the_best_score(tmp_path: Path) -> None:
    best = ModelCheckpoint(monitor=COVERAGE, mode="max", filename="best-{step}", save_top_k=2)
    fit(tmp_path, best, Scripted(0.1, 0.4, 0.3, 0.2, 0.1))
    assert {path.name for path in tmp_path.rglob("best-*")} == {"best-step=4.ckpt", "best-step=6.ckpt"}
    assert best.best_model_score == pytest.approx(0.4)
    assert load(best.best_model_path).images_seen == 256


def test_early_stopping_counts_evaluations(tmp_path: Path) -> None:
    """Three evaluations without an improvement, of which each epoch of 20 batches has two or three."""
    stop = EarlyStopping(monitor=COVERAGE, mode="max", patience=3)
    fitted = fit(tmp_path, stop, Scripted(0.1, 0.4, 0.3, 0.2, 0.1, 0.9, every=512), images=64_000)
    assert fitted.global_step == 5 * 8


@pytest.mark.parametrize("plain", [False, True])
def test_callbacks_of_a_plain_trainer_monitor_scores_too(plain: bool, tmp_path: Path) -> None:
    given = [EarlyStopping(monitor=f"{COVERAGE}_best", mode="max", patience=1), Scripted(0.1, 0.1, every=256)]
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    options: dict[str, Any] = {"accelerator": "cpu", "default_root_dir": tmp_path, "max_epochs": 2}
    own = pl.Trainer(callbacks=given, **quiet, **options) if plain else trainer(tmp_path, *given)
    own.fit(small(), datamodule=Digits())
    assert own.global_step == 8


def test_early_stopping_is_resumed_exactly(tmp_path: Path) -> None:
    """The count of evaluations without an improvement continues."""
    scores = (0.4, 0.3, 0.2, 0.1)
    first = EarlyStopping(monitor=COVERAGE, mode="max", patience=3)
    fit(tmp_path, first, Scripted(*scores[:2]), images=256)
    second = EarlyStopping(monitor=COVERAGE, mode="max", patience=3)
    fitted = fit(tmp_path, second, Scripted(*scores[2:]), images=64_000, ckpt_path=tmp_path / "x")
    assert fitted.global_step == 8


@pytest.mark.parametrize("option", [{"min_steps": 25}, {"min_epochs": 2}])
def test_a_minimum_delays_early_stopping(option: dict[str, int], tmp_path: Path) -> None:
    stop = EarlyStopping(monitor=COVERAGE, mode="max", patience=1)
    fitted = fit(tmp_path, stop, Scripted(), images=64_000, **option)
    assert fitted.global_step == (25 if "min_steps" in option else 40)


@pytest.mark.parametrize("log_every_n_steps", [1, 7, 50])
def test_a_loss_is_monitored_at_the_end_of_each_epoch(log_every_n_steps: int, tmp_path: Path) -> None:
    """The value is that of the last batch, whatever the logging steps are, and loggers receive logging steps only."""
    record, seen = Record(), list[float]()
    look = LambdaCallback(on_train_epoch_end=lambda own, _: seen.append(float(own.callback_metrics["generator/loss"])))
    keep = ModelCheckpoint(monitor="generator/loss", save_top_k=-1, filename="{epoch}")
    fit(
        tmp_path, look, keep, images=None, max_epochs=2, every=10**6, logger=record, log_every_n_steps=log_every_n_steps
    )
    losses = [step for step, row in record.rows if "generator/loss" in row]
    assert losses == list(range(log_every_n_steps, 41, log_every_n_steps))
    every_batch = Record()
    fit(tmp_path, images=None, max_epochs=2, every=10**6, logger=every_batch, log_every_n_steps=1)
    column = [row["generator/loss"] for _, row in every_batch.rows if "generator/loss" in row]
    assert seen == pytest.approx([column[19], column[39]])
    assert len(list(tmp_path.rglob("epoch=*.ckpt"))) == 2


def test_a_loss_is_known_before_the_first_logging_step(tmp_path: Path) -> None:
    """A run may end within its first epoch."""
    fitted = fit(tmp_path, EarlyStopping("generator/loss"), ModelCheckpoint(monitor="generator/loss"), images=128)
    assert fitted.global_step == 2


MONITORED: dict[str, tuple[str, str]] = {
    "a wrong score": ("evaluation/validation/coverag", COVERAGE),
    "a score of the test split": ("evaluation/test/coverage", COVERAGE),
    "a loss": ("val_loss", "discriminator/adversarial, discriminator/fake"),
}


@pytest.mark.parametrize("name", MONITORED)
@pytest.mark.parametrize("cls", [EarlyStopping, ModelCheckpoint])
def test_an_unknown_key_is_refused_with_the_list_of_keys(cls: Any, name: str, tmp_path: Path) -> None:
    key, listed = MONITORED[name]
    with pytest.raises(OptionError, match=rf"^`monitor` of {cls.__name__} is '{key}', which is not logged.*{listed}"):
        fit(tmp_path, cls(monitor=key), images=6400)


def test_a_wrong_key_is_one_line_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = [
        "--trainer.callbacks+=EarlyStopping",
        "--trainer.callbacks.monitor",
        "val_loss",
        "--run.max_images",
        "1280",
    ]
    assert main(["fit", "--model.generator.width", "2", "--model.discriminator.width", "2", *options]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: `monitor` of EarlyStopping is 'val_loss', which is not logged; logged: discr")


def classifier() -> Classifier:
    return Classifier(
        image_shape=(1, 8, 8), num_classes=10, network=lambda shape, n: nn.Sequential(nn.Flatten(), nn.Linear(64, n))
    )


@pytest.mark.filterwarnings("ignore:a checkpoint cannot record")
def test_scores_of_models_and_data_are_known(tmp_path: Path) -> None:
    """Of a classifier its accuracy, and of points with a known distribution their modes."""
    for model, data, name in (
        (classifier(), Digits(), "accuracy"),
        (classifier(), Digits(), "accuracy_best"),
        (small((2,)), Toy2D(name="ring"), "modes"),
        (small((2,)), Toy2D(name="ring"), "recall"),
    ):
        keep = ModelCheckpoint(monitor=f"evaluation/validation/{name}", filename="{step}", mode="max")
        fit(tmp_path, keep, model=model, data=data, images=256, every=128)
        assert keep.best_model_path
    with pytest.raises(OptionError, match="which is not logged; logged: evaluation/validation/accuracy, "):
        fit(tmp_path, EarlyStopping(monitor="evaluation/validation/recall"), model=classifier())


def test_without_validation_data_no_score_is_known(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is not logged; logged: nothing"):
        fit(tmp_path, EarlyStopping(monitor=COVERAGE), data=Digits(validation_size=0))


def test_a_run_that_ends_before_its_first_evaluation_warns(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=rf"ModelCheckpoint monitors '{COVERAGE}', but training ended before"):
        fit(tmp_path, ModelCheckpoint(monitor=COVERAGE), every=10**6)


@pytest.mark.parametrize(
    "interval", [{"every_n_train_steps": 5}, {"train_time_interval": timedelta(seconds=1)}, {"every_n_epochs": 2}]
)
def test_a_checkpoint_of_a_score_has_no_interval_of_its_own(interval: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=f"`{next(iter(interval))}` of ModelCheckpoint does not fit its `monitor`"):
        fit(tmp_path, ModelCheckpoint(monitor=COVERAGE, **interval))


@pytest.mark.parametrize("plain", [False, True])
def test_a_checkpoint_is_saved_after_each_time_interval(plain: bool, tmp_path: Path) -> None:
    keep = ModelCheckpoint(train_time_interval=timedelta(0), save_top_k=-1, dirpath=tmp_path / "c", filename="t-{step}")
    rare = ModelCheckpoint(train_time_interval=timedelta(hours=1), save_top_k=-1, filename="r-{step}")
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    options: dict[str, Any] = {"accelerator": "cpu", "default_root_dir": tmp_path, "max_steps": 3}
    own = (
        pl.Trainer(callbacks=[keep, rare], **quiet, **options) if plain else trainer(tmp_path, keep, rare, max_steps=3)
    )
    own.fit(small(), datamodule=Digits())
    assert {path.name for path in tmp_path.rglob("?-*")} == {f"t-step={step}.ckpt" for step in (1, 2, 3)}


def test_training_resumes_exactly_from_a_model_checkpoint(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", Scripted(), images=1920)
    keep = ModelCheckpoint(every_n_train_steps=7, save_top_k=-1, filename="n-{step}")
    fit(tmp_path / "parts", Scripted(), keep, images=960)
    path = tmp_path / "parts" / "x" / "checkpoints" / "n-step=14.ckpt"
    resumed = fit(tmp_path / "resumed", Scripted(), images=1920, ckpt_path=path)
    models = whole.lightning_module, resumed.lightning_module
    ours, theirs = (model.state_dict() for model in models if model is not None)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


# -- callbacks and loggers -----------------------------------------------------------------------------------------


WORKING: dict[str, Callable[[], pl.Callback]] = {
    "LearningRateMonitor": callbacks.LearningRateMonitor,
    "DeviceStatsMonitor": callbacks.DeviceStatsMonitor,
    "ThroughputMonitor": lambda: callbacks.ThroughputMonitor(batch_size_fn=lambda batch: len(batch["image"])),
    "Timer": callbacks.Timer,
    "LambdaCallback": callbacks.LambdaCallback,
    "ModelSummary": callbacks.ModelSummary,
    "RichModelSummary": callbacks.RichModelSummary,
}


@pytest.mark.parametrize("name", WORKING)
def test_a_callback_works(name: str, tmp_path: Path) -> None:
    """It changes no weight."""
    expected = fit(tmp_path / "without", images=640).lightning_module
    fitted = fit(tmp_path, WORKING[name](), images=640, log_every_n_steps=3).lightning_module
    ours, theirs = (model.state_dict() for model in (expected, fitted) if model is not None)
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []


@pytest.mark.parametrize(("name", "column"), [("LearningRateMonitor", "lr-"), ("ThroughputMonitor", "train")])
def test_rows_of_other_callbacks_are_in_the_metrics_once_after_a_resume(name: str, column: str, tmp_path: Path) -> None:
    keep = partial(ModelCheckpoint, every_n_train_steps=4, save_top_k=-1, filename="{step}")
    checkpoint = tmp_path / "x" / "checkpoints" / "step=4.ckpt"
    fit(tmp_path, WORKING[name](), keep(), images=640, log_every_n_steps=2)
    before = steps_of(tmp_path / "x", column)
    fit(tmp_path, WORKING[name](), keep(), images=640, log_every_n_steps=2, ckpt_path=checkpoint)
    assert steps_of(tmp_path / "x", column) == before
    assert len(before) == len(set(before)) > 2


def steps_of(run: Path, column: str) -> list[str]:
    """Return the steps of the rows of `metrics.csv` that have a column with a given beginning."""
    with (run / "metrics.csv").open(newline="") as file:
        return [row["step"] for row in csv.DictReader(file) if any(row[key] for key in row if key.startswith(column))]


def test_every_callback_that_only_has_to_work_is_tried() -> None:
    tried = {name for name, (*_, test) in rows("Callbacks").items() if "test_a_callback_works" in test}
    assert tried == set(WORKING)


BARS = {"RichProgressBar": callbacks.RichProgressBar, "TQDMProgressBar": callbacks.TQDMProgressBar}


@pytest.mark.parametrize("name", BARS)
def test_a_progress_bar_of_lightning_replaces_ours(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = fit(tmp_path, BARS[name]())
    assert not any(isinstance(callback, Progress) for callback in fitted.callbacks)  # type: ignore[attr-defined]
    monkeypatch.chdir(tmp_path)
    small_run = ["--run.max_images", "64", "--model.generator.width", "2", "--model.discriminator.width", "2"]
    assert main(["fit", *small_run, f"--trainer.callbacks+={name}"]) == 0
    capsys.readouterr()


REFUSED: dict[str, Callable[[Path], pl.Callback]] = {
    "BaseFinetuning": lambda _: type("MyFinetuning", (callbacks.BaseFinetuning,), {})(),
    "BackboneFinetuning": lambda _: callbacks.BackboneFinetuning(),
    "BasePredictionWriter": lambda _: type("MyWriter", (callbacks.BasePredictionWriter,), {})(),
    "BatchSizeFinder": lambda _: callbacks.BatchSizeFinder(),
    "LearningRateFinder": lambda _: callbacks.LearningRateFinder(),
    "GradientAccumulationScheduler": lambda _: callbacks.GradientAccumulationScheduler({0: 2}),
    "ModelPruning": lambda _: callbacks.ModelPruning("l1_unstructured", amount=0.5),
    "OnExceptionCheckpoint": lambda folder: callbacks.OnExceptionCheckpoint(str(folder)),
    "SpikeDetection": lambda _: callbacks.SpikeDetection(),
    "StochasticWeightAveraging": lambda _: callbacks.StochasticWeightAveraging(1e-2),
    "WeightAveraging": lambda _: callbacks.WeightAveraging(),
    "EMAWeightAveraging": lambda _: callbacks.EMAWeightAveraging(),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("plain", [False, True])
def test_a_callback_is_refused(name: str, plain: bool, tmp_path: Path) -> None:
    callback = REFUSED[name](tmp_path)
    quiet: dict[str, Any] = {"enable_checkpointing": name == "OnExceptionCheckpoint", "logger": False}
    options = {**quiet, "enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": tmp_path}
    own = (
        pl.Trainer(callbacks=[callback], accelerator="cpu", max_steps=1, **options)
        if plain
        else trainer(tmp_path, callback)
    )
    with pytest.raises(
        ValueError, match=f"^the callback {type(callback).__name__} .*: |^the callback ModelPruning"
    ) as error:
        own.fit(small(), datamodule=Digits())
    assert "\n" not in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"on_exception.ckpt"}  # which that callback writes by itself


def test_every_refused_callback_is_tried() -> None:
    refused = {name for name, (verdict, *_) in rows("Callbacks").items() if verdict == "refused"}
    assert refused == set(REFUSED)


def test_a_logger_receives_losses_and_scores(tmp_path: Path) -> None:
    record = Record()
    given = [record, loggers.CSVLogger(tmp_path / "csv"), loggers.TensorBoardLogger(tmp_path / "board")]
    fit(tmp_path, logger=given, log_every_n_steps=1)
    keys = {key for _, row in record.rows for key in row}
    assert {"generator/loss", "images_seen", COVERAGE, "evaluation/test/coverage"} <= keys
    (metrics,) = (tmp_path / "csv").rglob("metrics.csv")
    assert COVERAGE in metrics.read_text()
    assert list((tmp_path / "board").rglob("events.*"))


def test_a_wandb_logger_of_the_user_replaces_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, Any]] = []
    run = SimpleNamespace(log=rows.append, define_metric=lambda *_, **__: None, config=SimpleNamespace(update=print))
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr("wandb.init", lambda **_: pytest.fail("a second run of W&B was started"))
    logger = loggers.WandbLogger(experiment=run)
    own = Trainer(
        callbacks=[
            Run(root=str(tmp_path), max_images=640),
            Wandb(mode="offline"),
            Evaluation(every=256, count=10),
            Samples(count=4),
        ],
        logger=logger,
        accelerator="cpu",
        enable_progress_bar=False,
        log_every_n_steps=1,
    )
    own.fit(small(), datamodule=Digits())
    assert {"samples", "generator/loss", COVERAGE} <= {key for row in rows for key in row}
