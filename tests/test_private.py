"""Every private name of others that is touched is in `core/private.py`, and still does what is relied on."""

import ast
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import jsonargparse
import pytest
import pytorch_lightning as pl
import torch
from cases import MLPS, Case
from conftest import Fit
from jsonargparse import _typehints
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.plugins import MixedPrecision
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import lightning_gans
from lightning_gans.core import private
from lightning_gans.core.gan import GAN
from lightning_gans.models import DCGAN, WGANGP, VanillaGAN
from lightning_gans.networks.dcgan import DCGANCritic, DCGANDiscriminator
from lightning_gans.types import ImageShape

POINTS = Case("points", VanillaGAN, (2,), MLPS)
PACKAGE = Path(lightning_gans.__file__).parent
TOLERATED = {"_foreach_lerp_", "_asdict", "_NormBase"}
"""Of torch and of the standard library: stable for years, and covered by the tests of their users."""


# -- nothing private elsewhere -------------------------------------------------------------------------------------


def private_names(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Each name with a leading underscore, and whether it is defined there."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name, ctx=context) | ast.Name(id=name, ctx=context):
                found = [(name, isinstance(context, ast.Store))]
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                found = [(name, True)]
            case ast.ImportFrom(names=names):
                found = [(alias.name, False) for alias in names]
            case _:
                found = []
        yield from (pair for pair in found if pair[0].startswith("_") and not pair[0].endswith("__") and pair[0] != "_")


def test_private_names_of_others_are_touched_in_one_file_only() -> None:
    folders = [PACKAGE, PACKAGE / "callbacks", PACKAGE / "datamodules"]
    files = {path.resolve() for folder in folders for path in folder.rglob("*.py")}
    used: dict[str, set[str]] = {}
    defined: set[str] = set()
    for path in files:
        for name, definition in private_names(ast.parse(path.read_text())):
            if definition:
                defined.add(name)
            elif path.name != "private.py":
                used.setdefault(name, set()).add(path.name)
    assert len(files) > 20
    assert {name: where for name, where in used.items() if name not in defined | TOLERATED} == {}


# -- Lightning -----------------------------------------------------------------------------------------------------


class Manual(pl.LightningModule):
    """A manual model with two optimizers, each moved once per batch as Lightning's documentation has it."""

    def __init__(self, step: Callable[[pl.LightningModule], None]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.layers = nn.ModuleList([nn.Linear(2, 1), nn.Linear(2, 1)])
        self.step = step
        self.batches = 0

    def training_step(self, batch: Any, batch_idx: int) -> None:
        self.batches += 1
        self.step(self)

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in self.layers]


def move_both(model: pl.LightningModule) -> None:
    for optimizer in model.optimizers():  # type: ignore[union-attr]
        optimizer.step()


def move_both_as_one_batch(model: pl.LightningModule) -> None:
    for optimizer in model.optimizers(use_pl_optimizer=False):  # type: ignore[union-attr]
        model.trainer.strategy.optimizer_step(optimizer, lambda: None, model=model)
    private.count_batch(model.trainer)


@pytest.mark.parametrize(
    ("step", "batches"),
    [
        pytest.param(move_both, 3, id="Lightning counts each step of each optimizer: still needed"),
        pytest.param(move_both_as_one_batch, 6, id="with count_batch it counts batches"),
    ],
)
def test_count_batch_makes_global_step_count_batches(step: Any, batches: int, fit: Fit) -> None:
    model = Manual(step)
    trainer = fit(model, [POINTS.batch()] * 10, max_steps=6)  # type: ignore[arg-type]
    assert trainer.global_step == 6
    assert model.batches == batches


@pytest.fixture
def one_process_group() -> Iterator[None]:
    """Let a test start a group of one process, and leave nothing of it behind."""
    threads = torch.get_num_threads()
    with mock.patch.dict(os.environ):
        yield
    torch.set_num_threads(threads)  # Lightning's launcher took a thread for every core, which stall on a busy machine
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class Wrapping(pl.Callback):
    """Remember what the strategy calls its model while it trains."""

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.model = trainer.strategy.model


@pytest.mark.usefixtures("one_process_group")
@pytest.mark.parametrize("taken_away", [False, True])
def test_unsynchronized_takes_the_reducer_away(taken_away: bool, fit: Fit) -> None:
    def step(module: pl.LightningModule) -> None:
        module.manual_backward(sum(layer(torch.ones(1, 2)).sum() for layer in model.layers))
        private.count_batch(module.trainer)

    model, wrapping = Manual(step), Wrapping()
    if taken_away:
        model.on_fit_start = lambda: private.remove_ddp_reducer(model.trainer, model)  # type: ignore[method-assign]
    fit(model, [POINTS.batch()] * 2, max_steps=1, callbacks=[wrapping], strategy="ddp", devices=1)  # type: ignore[arg-type]
    assert isinstance(wrapping.model, DistributedDataParallel) is not taken_away
    assert (wrapping.model is model) is taken_away


@pytest.mark.usefixtures("one_process_group")
def test_a_game_trains_under_ddp_without_a_reducer(fit: Fit) -> None:
    model, alone, wrapping = POINTS.make(), POINTS.make(), Wrapping()
    torch.manual_seed(1)
    fit(model, [POINTS.batch()] * 2, max_steps=2, callbacks=[wrapping], strategy="ddp", devices=1)
    torch.manual_seed(1)
    fit(alone, [POINTS.batch()] * 2, max_steps=2)
    assert wrapping.model is model
    state = model.state_dict()
    assert [name for name, tensor in alone.state_dict().items() if not torch.equal(tensor, state[name])] == []


@pytest.mark.parametrize(("precision", "scales"), [("16-mixed", True), ("bf16-mixed", False), ("32-true", False)])
def test_scales_losses_knows_a_scaler(precision: str, scales: bool) -> None:
    plugin: Any = precision
    if precision == "16-mixed":  # on the CPU, too
        plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
        trainer = pl.Trainer(accelerator="cpu", plugins=[plugin], logger=False, enable_checkpointing=False)
    else:
        trainer = pl.Trainer(accelerator="cpu", precision=plugin, logger=False, enable_checkpointing=False)
    assert private.uses_grad_scaler(trainer) is scales


def test_replace_experiment_gives_a_logger_another_run() -> None:
    logger = WandbLogger(experiment=SimpleNamespace(name="one"))
    private.replace_experiment(logger, SimpleNamespace(name="two"))
    assert logger.experiment.name == "two"


def test_lightnings_checkpoints_are_known(fit: Fit, tmp_path: Path) -> None:
    fit(POINTS.make(), [POINTS.batch()], max_steps=1).save_checkpoint(tmp_path / "model.ckpt")
    checkpoint = torch.load(tmp_path / "model.ckpt", weights_only=True)
    assert private.is_lightning_checkpoint(checkpoint)
    assert not private.is_lightning_checkpoint({"state_dict": {}})
    assert not private.is_lightning_checkpoint([checkpoint])


# -- jsonargparse --------------------------------------------------------------------------------------------------


def factory_from_command_line(*arguments: str) -> Any:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--net", type=Callable[[ImageShape], nn.Module], default=DCGANCritic)
    return parser.instantiate_classes(parser.parse_args(list(arguments))).net


def test_a_factory_of_the_command_line_is_unwrapped() -> None:
    wrapped = factory_from_command_line("--net", "lightning_gans.networks.dcgan.DCGANDiscriminator", "--net.width", "4")
    assert wrapped.func.__module__.startswith("jsonargparse"), "no longer wrapped: `unwrap_factory` can go"
    bare = private.unwrap_factory(wrapped)
    assert (bare.func, bare.args, bare.keywords) == (DCGANDiscriminator, (), {"width": 4})


def test_a_partial_of_python_stays() -> None:
    partial = functools.partial(DCGANCritic, width=4)
    assert private.unwrap_factory(partial) is partial


def model_from_command_line(*arguments: str) -> GAN:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(GAN, "model", skip={"image_shape"})
    parser.set_defaults({"model": {"class_path": "lightning_gans.models.DCGAN"}})
    namespace = parser.parse_args(list(arguments))
    init_args = namespace.model.init_args
    init_args["image_shape"] = (1, 8, 8)
    return parser.instantiate_classes(namespace).model  # type: ignore[no-any-return]


@pytest.mark.parametrize("forgetting", [False, True])
def test_another_class_starts_from_its_own_defaults(forgetting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "discard_init_args_on_class_path_change"
    original = _original(getattr(_typehints, name))
    monkeypatch.setattr(_typehints, name, original)
    if forgetting:
        private.patch_class_change()
        patched = getattr(_typehints, name)
        private.patch_class_change()
        assert getattr(_typehints, name) is patched is not original
    arguments = ["--model.latent_dim", "7", "--model", "lightning_gans.models.WGANGP"]
    model = model_from_command_line(*arguments)
    assert isinstance(model, WGANGP)
    assert model.latent_dim == 7  # what was given is kept
    assert isinstance(model.discriminator, DCGANCritic) is forgetting
    assert model.discriminator_steps == (5 if forgetting else 1)
    assert isinstance(model_from_command_line(), DCGAN)


def _original(function: Any) -> Any:
    """The function of jsonargparse, under what another test of this process may have put over it."""
    for cell in function.__closure__ or ():
        if callable(cell.cell_contents) and function.__module__ == private.__name__:
            return cell.cell_contents
    return function
