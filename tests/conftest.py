"""Configure all tests: one thread for tiny networks, W&B disabled, a quiet trainer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader

from lightning_gans.core.model import Model
from lightning_gans.types import Batch

torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--gpu-device",
        choices=["cuda", "cpu"],
        default="cuda",
        help="device of the tests marked gpu; cpu rehearses them without a GPU",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests marked gpu on a machine without a GPU."""
    if config.getoption("--gpu-device") == "cuda" and not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="there is no CUDA device; --gpu-device cpu rehearses this test")
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(skip)


class Fit(Protocol):
    """Function that trains a model with Lightning's own Trainer on a list of batches or on a data module."""

    def __call__(
        self, model: Model, data: Sequence[Batch] | pl.LightningDataModule, *, max_steps: int, **options: Any
    ) -> pl.Trainer: ...


class Record(Logger):
    """Logger that keeps the metrics in memory.

    Attributes:
        rows: The step and the metrics of each call of `log_metrics`.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    @property
    def name(self) -> str:
        return "record"

    @property
    def version(self) -> str:
        return "0"

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Ignore the hyperparameters."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    @property
    def steps(self) -> list[int | None]:
        return [step for step, _ in self.rows]

    def column(self, key: str) -> list[float]:
        return [row[key] for _, row in self.rows]


@pytest.fixture(autouse=True)
def _reset_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)  # left by a fit of another test, and read by strategies
    torch.manual_seed(0)


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture
def fit(tmp_path: Path) -> Fit:
    def fit(
        model: Model, data: Sequence[Batch] | pl.LightningDataModule, *, max_steps: int, **options: Any
    ) -> pl.Trainer:
        ckpt_path = options.pop("ckpt_path", None)
        quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = pl.Trainer(
            **{"accelerator": "cpu", "logger": False, "default_root_dir": tmp_path, **quiet, **options},
            max_steps=max_steps,
            max_epochs=max_steps,  # ends training if the step counter does not advance
        )
        source: dict[str, Any] = (
            {"datamodule": data}
            if isinstance(data, pl.LightningDataModule)
            else {"train_dataloaders": DataLoader(data, batch_size=None)}  # type: ignore[arg-type]
        )
        trainer.fit(model, **source, ckpt_path=ckpt_path)
        return trainer

    return fit
