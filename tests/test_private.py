"""Test that private names of other libraries are used in `core/private.py` only, and behave as it assumes."""

import argparse
import ast
import functools
import importlib
import inspect
import os
import pkgutil
import textwrap
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Any
from unittest import mock

import jsonargparse
import pytest
import pytorch_lightning as pl
import torch
from cases import MLPS, Case
from conftest import Fit
from jsonargparse import _typehints
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.cli import LightningCLI
from pytorch_lightning.demos.boring_classes import BoringModel
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
TOLERATED = {"_foreach_lerp_", "_asdict", "_fields", "_replace", "_NormBase"}
"""Private names of PyTorch and of the standard library that are stable, and that the tests of their users cover."""

INTERNAL = {
    "fit_loop",
    "epoch_loop",
    "optim_step_progress",
    "batch_progress",
    "epoch_progress",
    "_batches_that_stepped",
}
"""Names without a documentation of their own: Lightning's loops and their progress."""


# -- private names elsewhere ---------------------------------------------------------------------------------------


def private_names(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Find each name with a leading underscore and each internal name, and whether the code defines it."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name, ctx=context) | ast.Name(id=name, ctx=context):
                found = [(name, isinstance(context, ast.Store) and name not in INTERNAL)]
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                found = [(name, name not in INTERNAL)]
            case ast.ImportFrom(module=module, names=names):
                parts = [] if module is None or module.startswith("lightning_gans") else module.split(".")
                found = [(name, False) for name in (*parts, *(alias.name for alias in names))]
            case ast.Import(names=names):
                found = [(part, False) for alias in names for part in alias.name.split(".")]
            case ast.Constant(value=str(name)):
                found = [(name, False)] if name in INTERNAL else []
            case _:
                found = []
        yield from (pair for pair in found if _is_private(pair[0]) or pair[0] in INTERNAL)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name != "_"


def test_a_private_name_is_found_in_each_form() -> None:
    source = """
        import a._b
        from c._d import _e
        trainer._f.g
        trainer.fit_loop.epoch_loop.max_steps = 3
        checkpoint["loops"]["fit_loop"]
        def _own(self, _argument): self._attribute = __name__
    """
    names = list(private_names(ast.parse(textwrap.dedent(source))))
    assert {name for name, defined in names if not defined} == {"_b", "_d", "_e", "_f", "fit_loop", "epoch_loop"}
    assert {name for name, defined in names if defined} == {"_own", "_argument", "_attribute"}


def test_private_names_of_others_are_used_in_one_file_only() -> None:
    folders = [PACKAGE, PACKAGE / "callbacks", PACKAGE / "datamodules"]
    files = {path.resolve() for folder in folders for path in folder.rglob("*.py")}
    used: dict[str, set[str]] = {}
    defined: set[str] = set()
    for path in files:
        for name, is_definition in private_names(ast.parse(path.read_text())):
            if is_definition:
                defined.add(name)
            elif path.name != "private.py":
                used.setdefault(name, set()).add(path.name)
    assert len(files) > 20
    assert {name: where for name, where in used.items() if name not in defined | TOLERATED} == {}


@functools.cache
def private_attributes(cls: type) -> set[str]:
    """Find the private methods and attributes of a class in its source."""
    names = set(vars(cls))
    with suppress(OSError, TypeError):  # without a source, its methods and class attributes remain
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
        attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        names |= {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "self"}
    return {name for name in names if _is_private(name) and name != "_abc_impl"}


def overridden(cls: type) -> set[str]:
    """Find the private names of a class that a base class from another library has as well."""
    own = (PACKAGE.name, "builtins", "typing")
    others = [base for base in cls.__mro__ if base.__module__.partition(".")[0] not in own]
    return private_attributes(cls) & set[str]().union(*map(private_attributes, others))


def test_an_overridden_private_name_is_found() -> None:
    class Overriding(LightningCLI):
        def _parse_ckpt_path(self) -> None: ...

    Overriding.__module__ = PACKAGE.name
    assert overridden(Overriding) == {"_parse_ckpt_path"}


def test_no_class_overrides_a_private_name_of_others() -> None:
    names = [module.name for module in pkgutil.walk_packages([str(PACKAGE)], "lightning_gans.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    classes = {
        cls for module in modules for cls in vars(module).values() if getattr(cls, "__module__", "") == module.__name__
    }
    found = {cls.__name__: names for cls in classes if isinstance(cls, type) and (names := overridden(cls))}
    assert len(classes) > 100
    assert found == {}


def test_each_function_of_the_module_is_tested() -> None:
    names = {name for name, value in vars(private).items() if getattr(value, "__module__", "") == private.__name__}
    source = Path(__file__).read_text()
    assert {name for name in names if f"private.{name}" not in source} == set()


# -- Lightning -----------------------------------------------------------------------------------------------------


class Manual(pl.LightningModule):
    """A model with manual optimization of two optimizers, each stepped once per batch."""

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


def step_both(model: pl.LightningModule) -> None:
    for optimizer in model.optimizers():  # type: ignore[union-attr]
        optimizer.step()


def step_both_as_one_batch(model: pl.LightningModule) -> None:
    for optimizer in model.optimizers(use_pl_optimizer=False):  # type: ignore[union-attr]
        model.trainer.strategy.optimizer_step(optimizer, lambda: None, model=model)
    private.count_batch(model.trainer)


@pytest.mark.parametrize(
    ("step", "batches"),
    [
        pytest.param(step_both, 3, id="Lightning counts each step of each optimizer: still needed"),
        pytest.param(step_both_as_one_batch, 6, id="with count_batch it counts batches"),
    ],
)
def test_count_batch_makes_global_step_count_batches(step: Any, batches: int, fit: Fit) -> None:
    model = Manual(step)
    trainer = fit(model, [POINTS.batch()] * 10, max_steps=6)  # type: ignore[arg-type]
    assert trainer.global_step == 6
    assert model.batches == batches


class StopAt(pl.Callback):
    """Lower the maximum number of steps during training."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.steps:
            private.set_max_steps(trainer, self.steps)


def test_set_max_steps_ends_training(fit: Fit) -> None:
    trainer = fit(POINTS.make(), [POINTS.batch()] * 9, max_steps=9, callbacks=[StopAt(2)])
    assert (trainer.global_step, trainer.max_steps, trainer.should_stop) == (2, 2, False)


def test_data_state_key_is_the_key_of_the_data_modules_state(fit: Fit, tmp_path: Path) -> None:
    data = POINTS.data()
    fit(POINTS.make(), data, max_steps=1).save_checkpoint(tmp_path / "model.ckpt")
    checkpoint = torch.load(tmp_path / "model.ckpt", weights_only=True)
    assert checkpoint[private.data_state_key(data)] == data.state_dict()


class Batches(pl.Callback):
    """Record the index of each batch and the epoch in which it came."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.seen.append((trainer.current_epoch, batch_idx))


@pytest.mark.parametrize(
    ("aligned", "seen"),
    [
        pytest.param(False, [(1, 5), *((2, i) for i in range(4))], id="the next epoch has one batch: still needed"),
        pytest.param(True, [(1, i) for i in range(5)], id="with align_loop_progress it is complete"),
    ],
)
def test_align_loop_progress_starts_the_next_epoch(
    aligned: bool, seen: list[tuple[int, int]], fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that has ended with an epoch of 5 batches is resumed."""
    align, recorded = private.align_loop_progress, Batches()
    monkeypatch.setattr(private, "align_loop_progress", align if aligned else lambda *_, **__: None)
    fit(POINTS.make(), POINTS.data(), max_steps=5).save_checkpoint(tmp_path / "model.ckpt")
    fit(POINTS.make(), POINTS.data(), max_steps=10, callbacks=[recorded], ckpt_path=tmp_path / "model.ckpt")
    assert recorded.seen == seen


@pytest.mark.parametrize(
    ("strategy", "copies"), [("ddp", False), ("ddp_fork", True), ("ddp_notebook", True), ("auto", False)]
)
def test_copies_the_program_knows_the_strategies_that_do(strategy: str, copies: bool) -> None:
    devices = 1 if strategy == "auto" else 2
    trainer = pl.Trainer(strategy=strategy, devices=devices, accelerator="cpu", logger=False)
    assert private.copies_the_program(trainer.strategy) is copies


@pytest.mark.parametrize(("given", "interval"), [(None, 1.0), (5, 5), (0.5, 0.5), ("00:01:00:00", "3600 s")])
def test_val_check_interval_is_the_given_interval(given: Any, interval: Any) -> None:
    trainer = pl.Trainer(val_check_interval=given, accelerator="cpu", logger=False)
    assert private.val_check_interval(trainer) == interval


@pytest.mark.parametrize(
    ("looks", "count"),
    [
        pytest.param(lambda _: None, 1, id="a callback looks at the end of the epoch: still needed"),
        pytest.param(private.look_on_validation_end, 0, id="with look_on_validation_end it does not"),
    ],
)
@pytest.mark.parametrize("cls", [EarlyStopping, ModelCheckpoint])
def test_look_on_validation_end_leaves_out_the_end_of_an_epoch(cls: Any, looks: Any, count: int, fit: Fit) -> None:
    calls: list[str] = []
    monitor = cls(monitor="generator/loss")
    for name in ("_run_early_stopping_check", "_save_topk_checkpoint"):
        setattr(monitor, name, lambda *_: calls.append("looked"))
    change = pl.callbacks.LambdaCallback(on_train_start=lambda *_: looks(monitor))
    options = {"enable_checkpointing": cls is ModelCheckpoint, "callbacks": [monitor, change]}
    trainer = fit(POINTS.make(), [POINTS.batch()], max_steps=1, **options)
    assert len(calls) == count
    monitor.on_validation_end(trainer, trainer.lightning_module)
    assert len(calls) == (1 if cls is ModelCheckpoint or count == 0 else count)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({}, None),
        ({"every_n_epochs": 1}, None),
        ({"every_n_epochs": 2}, "every_n_epochs"),
        ({"every_n_train_steps": 1}, "every_n_train_steps"),
        ({"train_time_interval": timedelta(1)}, "train_time_interval"),
    ],
)
def test_own_interval_is_the_given_argument(arguments: dict[str, Any], name: str | None) -> None:
    assert private.own_interval(ModelCheckpoint(**arguments)) == name


@pytest.mark.parametrize(
    ("saves", "count"),
    [
        pytest.param(lambda *_: None, 0, id="Lightning ignores train_time_interval: still needed"),
        pytest.param(private.save_after_interval, 3, id="with save_after_interval it saves"),
    ],
)
def test_save_after_interval_saves(
    saves: Any, count: int, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private, "save_after_interval", saves)
    keep = ModelCheckpoint(tmp_path, train_time_interval=timedelta(0), save_top_k=-1)
    fit(POINTS.make(), [POINTS.batch()] * 3, max_steps=3, enable_checkpointing=True, callbacks=[keep])
    assert len(list(tmp_path.glob("*.ckpt"))) == count


def test_plain_name_and_own_name_are_inverse() -> None:
    """`torch.compile` renames weights: still needed."""
    inner: nn.Module = torch.compile(nn.Sequential(nn.Linear(2, 1)), backend="eager")  # type: ignore[assignment]
    outer = nn.Sequential(torch.compile(nn.Sequential(inner), backend="eager"))  # type: ignore[arg-type]
    raw, plain = "0._orig_mod.0._orig_mod.0.weight", "0.0.0.weight"
    assert raw in outer.state_dict()
    assert private.plain_name(raw) == plain
    assert private.own_name(outer, plain) == private.own_name(outer, raw) == raw


def test_use_plain_names_and_with_own_names_are_inverse() -> None:
    """Of weights and of the versions of their modules, in the same order."""
    module = nn.Sequential(torch.compile(nn.BatchNorm1d(2), backend="eager"), nn.Linear(2, 1))  # type: ignore[arg-type]
    raw, plain = module.state_dict(), module.state_dict()
    private.use_plain_names(module, plain, "", None)
    assert list(plain) == [private.plain_name(name) for name in raw]
    expected: Any = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1)).state_dict()
    assert vars(plain)["_metadata"] == expected._metadata
    own = private.with_own_names(module, plain)
    assert list(own) == list(raw)
    assert list(private.with_own_names(module, raw)) == list(raw)


@pytest.fixture
def one_process_group() -> Iterator[None]:
    """Let a test start a process group of one process, and restore the environment after it."""
    threads = torch.get_num_threads()
    with mock.patch.dict(os.environ):
        yield
    torch.set_num_threads(threads)  # Lightning's launcher sets a thread per core, which is slow on a busy machine
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class StrategyModel(pl.Callback):
    """Record the model of the strategy during training."""

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.model = trainer.strategy.model


@pytest.mark.usefixtures("one_process_group")
@pytest.mark.parametrize("removed", [False, True])
def test_remove_ddp_reducer_leaves_the_bare_model(removed: bool, fit: Fit) -> None:
    def step(module: pl.LightningModule) -> None:
        module.manual_backward(sum(layer(torch.ones(1, 2)).sum() for layer in model.layers))
        private.count_batch(module.trainer)

    model, recorded = Manual(step), StrategyModel()
    if removed:
        model.on_fit_start = lambda: private.remove_ddp_reducer(model.trainer, model)  # type: ignore[method-assign]
    batches: Any = [POINTS.batch()] * 2
    fit(model, batches, max_steps=1, callbacks=[recorded], strategy="ddp", devices=1)  # type: ignore[arg-type]
    assert isinstance(recorded.model, DistributedDataParallel) is not removed
    assert (recorded.model is model) is removed


@pytest.mark.usefixtures("one_process_group")
def test_a_gan_trains_under_ddp_without_a_reducer(fit: Fit) -> None:
    model, reference, recorded = POINTS.make(), POINTS.make(), StrategyModel()
    torch.manual_seed(1)
    fit(model, [POINTS.batch()] * 2, max_steps=2, callbacks=[recorded], strategy="ddp", devices=1)
    torch.manual_seed(1)
    fit(reference, [POINTS.batch()] * 2, max_steps=2)
    assert recorded.model is model
    state = model.state_dict()
    assert [name for name, tensor in reference.state_dict().items() if not torch.equal(tensor, state[name])] == []


def cpu_trainer(precision: str, scaler: torch.amp.GradScaler | None = None) -> pl.Trainer:
    """Create a trainer of a precision; a scaler makes 16-mixed possible on the CPU."""
    options: dict[str, Any] = {"precision": precision}
    if scaler is not None:
        options = {"plugins": [MixedPrecision("16-mixed", "cpu", scaler)]}
    return pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, **options)


@pytest.mark.parametrize(("precision", "scales"), [("16-mixed", True), ("bf16-mixed", False), ("32-true", False)])
def test_uses_grad_scaler_finds_a_scaler(precision: str, scales: bool) -> None:
    trainer = cpu_trainer(precision, torch.amp.GradScaler("cpu") if scales else None)
    assert private.uses_grad_scaler(trainer) is scales


@pytest.mark.parametrize(("fused", "gradient"), [(True, 3.0), (False, 24.0)])
def test_unscale_unscales_what_lightning_leaves_scaled(fused: bool, gradient: float) -> None:
    """A fused optimizer unscales within its step; before the step of another optimizer Lightning unscales."""
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(3 * weight.sum()).backward()
    private.unscale(cpu_trainer("16-mixed", scaler), optimizer)
    assert weight.grad is not None
    assert weight.grad.item() == gradient
    scaler.step(optimizer)
    scaler.update()
    torch.testing.assert_close(weight.detach(), torch.tensor([1 - 0.1 * 3.0]))


def test_replace_experiment_gives_a_logger_another_run() -> None:
    logger = WandbLogger(experiment=SimpleNamespace(name="one"))
    private.replace_experiment(logger, SimpleNamespace(name="two"))
    assert logger.experiment.name == "two"


def test_is_lightning_checkpoint_recognizes_a_checkpoint(fit: Fit, tmp_path: Path) -> None:
    fit(POINTS.make(), [POINTS.batch()], max_steps=1).save_checkpoint(tmp_path / "model.ckpt")
    checkpoint = torch.load(tmp_path / "model.ckpt", weights_only=True)
    assert private.is_lightning_checkpoint(checkpoint)
    assert not private.is_lightning_checkpoint({"state_dict": {}})
    assert not private.is_lightning_checkpoint([checkpoint])


class Sized(BoringModel):
    """A model with a hyper-parameter that Lightning saves in a checkpoint."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.size = size


class PlainCLI(LightningCLI):
    """A CLI that does not run its subcommand."""

    def _run_subcommand(self, subcommand: str) -> None: ...


class FirmCLI(private.IgnoreCheckpointHyperparameters, PlainCLI):
    """The same CLI, whose command line takes precedence."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("cli", "size"), [(PlainCLI, 2), (FirmCLI, 3)])
def test_the_command_line_takes_precedence_over_a_checkpoint(
    cli: type[LightningCLI], size: int, tmp_path: Path
) -> None:
    trainer = pl.Trainer(fast_dev_run=True, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Sized(size=2))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    arguments = ["fit", "--model.size", "3", "--ckpt_path", str(tmp_path / "model.ckpt"), "--trainer.logger", "false"]
    assert cli(Sized, args=arguments, save_config_callback=None).model.size == size


# -- jsonargparse --------------------------------------------------------------------------------------------------


def test_option_names_are_those_of_the_parser_and_its_subcommands() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--seed", "-s")
    parser.add_subparsers().add_parser("fit", add_help=False).add_argument("--model")
    assert private.option_names(parser) == ["--seed", "-s", "--model"]


def factory_from_command_line(*arguments: str) -> Any:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--net", type=Callable[[ImageShape], nn.Module], default=DCGANCritic)
    return parser.instantiate_classes(parser.parse_args(list(arguments))).net


def test_a_factory_of_the_command_line_is_unwrapped() -> None:
    wrapped = factory_from_command_line("--net", "lightning_gans.networks.dcgan.DCGANDiscriminator", "--net.width", "4")
    assert wrapped.func.__module__.startswith("jsonargparse"), "not wrapped any more: `unwrap_factory` can be removed"
    bare = private.unwrap_factory(wrapped)
    assert (bare.func, bare.args, bare.keywords) == (DCGANDiscriminator, (), {"width": 4})


def test_a_partial_of_python_is_unchanged() -> None:
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


@pytest.mark.parametrize("patched", [False, True])
def test_another_class_starts_from_its_own_defaults(patched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "discard_init_args_on_class_path_change"
    original = _original(getattr(_typehints, name))
    monkeypatch.setattr(_typehints, name, original)
    if patched:
        private.patch_class_change()
        replacement = getattr(_typehints, name)
        private.patch_class_change()
        assert getattr(_typehints, name) is replacement is not original
    arguments = ["--model.latent_dim", "7", "--model", "lightning_gans.models.WGANGP"]
    model = model_from_command_line(*arguments)
    assert isinstance(model, WGANGP)
    assert model.latent_dim == 7  # given, and therefore kept
    assert isinstance(model.discriminator, DCGANCritic) is patched
    assert model.discriminator_steps == (5 if patched else 1)
    assert isinstance(model_from_command_line(), DCGAN)


@pytest.mark.parametrize("patched", [False, True])
def test_values_are_read_as_python_prints_them(patched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_typehints, "adapt_typehints", _original(_typehints.adapt_typehints))
    if patched:
        private.patch_python_values()
        replacement = _typehints.adapt_typehints
        private.patch_python_values()
        assert _typehints.adapt_typehints is replacement
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    kinds = {"size": int | None, "share": int | float, "sizes": list[int], "name": str | None, "text": str}
    for name, kind in kinds.items():
        parser.add_argument(f"--{name}", type=kind)
    for value in ("--size=None", "--size=8.0", "--sizes=[8.0, 4]"):
        with nullcontext() if patched else pytest.raises(jsonargparse.ArgumentError):
            parser.parse_args([value])
    with pytest.raises(jsonargparse.ArgumentError):
        parser.parse_args(["--size=8.5"])
    values = parser.parse_args(["--share=1.0", "--name=None", "--text=None"])
    assert (values.name, values.text) == (None if patched else "None", "None")
    assert isinstance(values.share, float)


@pytest.mark.parametrize(
    ("value", "types", "expected"),
    [
        ("1e3", (int,), 1000),
        (8.0, (int, NoneType), 8),
        ("8", (int,), "8"),
        ("inf", (int,), "inf"),
        ("1.0", (int, float), "1.0"),
        ("None", (str, NoneType), None),
        ("None", (Any,), None),
        ("None", (str,), "None"),
        (True, (int,), True),
    ],
)
def test_from_python_converts_what_a_type_requires(value: Any, types: tuple[Any, ...], expected: Any) -> None:
    found = private._from_python(value, types)
    assert (found, type(found)) == (expected, type(expected))


def _original(function: Any) -> Any:
    """Return the function of jsonargparse, which another test in this process may have patched."""
    for cell in function.__closure__ or ():
        if callable(cell.cell_contents) and function.__module__ == private.__name__:
            return cell.cell_contents
    return function
