"""A resumed run ends with the same bits as an uninterrupted run."""

import copy
import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from cases import CASES, Case, cases, is_any
from conftest import Fit
from pytorch_lightning.plugins import MixedPrecision

from lightning_gans.callbacks import Evaluation, Run, Samples, Wandb
from lightning_gans.core.model import Model, load
from lightning_gans.core.schedules import Linear
from lightning_gans.trainer import Trainer

STEPS, PER_EPOCH = 13, 5  # the data modules of the table have 5 batches


class SaveAt(pl.Callback):
    """Save after a number of batches, in the hook in which `Checkpointing` saves."""

    def __init__(self, path: Path, batches: int) -> None:
        self.path = path
        self.batches = batches

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.batches:
            trainer.save_checkpoint(self.path)


class SaveAtEpochEnd(SaveAt):
    """Save at the end of an epoch."""

    def on_train_batch_end(self, *_: Any) -> None:
        """Do not save after a batch."""

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.batches:
            trainer.save_checkpoint(self.path)


def training_state(trainer: pl.Trainer) -> dict[str, Any]:
    """Copy the state from which training continues: weights, EMA, optimizers and clocks."""
    model = trainer.lightning_module
    return copy.deepcopy(
        {
            "weights": model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
            "clock": (model.images_seen, model.batches_seen, trainer.global_step),
        }
    )


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Find the places at which two nested structures of tensors and plain values differ in any bit."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        return [found for key in ours for found in differences(ours[key], theirs[key], f"{path}/{key}")]
    if isinstance(ours, list | tuple):
        return [
            found
            for i, pair in enumerate(zip(ours, theirs, strict=True))
            for found in differences(*pair, f"{path}/{i}")
        ]
    same = torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs
    return [] if same else [path]


def train(fit: Fit, case: Case, steps: int, **options: Any) -> pl.Trainer:
    """Train from the same initial weights and the same random state."""
    model, data = case.make(**options.pop("changes", {})), case.data()
    torch.manual_seed(1 if "ckpt_path" not in options else 77)  # resuming replaces the random state
    return fit(model, data, max_steps=steps, **options)


@pytest.mark.parametrize("discriminator_steps", [1, 3])
@pytest.mark.parametrize("case", cases(is_any), ids=lambda case: case.name)
def test_a_resumed_run_equals_the_uninterrupted_run(
    case: Case, discriminator_steps: int, fit: Fit, tmp_path: Path
) -> None:
    if not case.is_adversarial and discriminator_steps > 1:
        pytest.skip("the players do not alternate")
    changes = {"discriminator_steps": discriminator_steps}
    expected = training_state(train(fit, case, STEPS, changes=changes))
    steps = (2, PER_EPOCH - 1, PER_EPOCH, PER_EPOCH + 1, 2 * PER_EPOCH)
    callbacks: list[pl.Callback] = [SaveAt(tmp_path / f"batch-{step}.ckpt", step) for step in steps]
    callbacks += [SaveAtEpochEnd(tmp_path / f"epoch-{step}.ckpt", step) for step in (PER_EPOCH, 2 * PER_EPOCH)]
    saving = train(fit, case, STEPS, changes=changes, callbacks=callbacks)
    assert differences(training_state(saving), expected) == []  # saving changes no bit
    for step in steps:
        train(fit, case, step, changes=changes).save_checkpoint(tmp_path / f"end-{step}.ckpt")
    paths = sorted(tmp_path.glob("*.ckpt"))
    assert len(paths) == 12
    for path in paths:
        resumed = train(fit, case, STEPS, changes=changes, ckpt_path=path)
        assert differences(training_state(resumed), expected) == [], path.stem


@pytest.mark.parametrize("case", [case for case in CASES if case.name == "vanilla_gan-points"], ids=lambda c: c.name)
def test_an_epoch_that_ends_before_its_data_is_resumed(case: Case, fit: Fit, tmp_path: Path) -> None:
    path, limit = tmp_path / "saved.ckpt", {"limit_train_batches": 3}
    expected = training_state(train(fit, case, STEPS, **limit))
    for batches in (2, 3, 4, 6):
        for save in (SaveAt, SaveAtEpochEnd) if batches % 3 == 0 else (SaveAt,):
            train(fit, case, STEPS, callbacks=[save(path, batches)], **limit)
            assert differences(training_state(train(fit, case, STEPS, ckpt_path=path, **limit)), expected) == [], (
                batches
            )
        train(fit, case, batches, **limit).save_checkpoint(path)
        assert differences(training_state(train(fit, case, STEPS, ckpt_path=path, **limit)), expected) == [], batches


def test_a_loss_scale_is_resumed(fit: Fit, tmp_path: Path) -> None:
    """The initial scale is so high that steps are skipped; it increases after every three successful steps."""
    case, path = next(case for case in CASES if case.name == "vanilla_gan-points"), tmp_path / "saved.ckpt"

    def scaled(**options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20, growth_interval=3)
        trainer = train(fit, case, STEPS, plugins=[MixedPrecision("16-mixed", "cpu", scaler=scaler)], **options)
        return training_state(trainer), scaler.state_dict()

    expected = scaled()
    for batches in (2, 4, 7):
        assert differences(scaled(callbacks=[SaveAt(path, batches)]), expected) == []
        assert differences(scaled(ckpt_path=path), expected) == [], batches


@pytest.mark.parametrize("draw", [random.random, np.random.rand], ids=["python", "numpy"])
def test_the_random_states_of_python_and_numpy_are_resumed(draw: Any, fit: Fit, tmp_path: Path) -> None:
    case, path = next(case for case in CASES if case.name == "vanilla_gan-points"), tmp_path / "saved.ckpt"

    class Drawing(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            drawn.append(draw())

    drawn: list[float] = []
    train(fit, case, STEPS, callbacks=[Drawing(), SaveAt(path, 4)])
    uninterrupted, drawn = drawn, []
    train(fit, case, STEPS, callbacks=[Drawing()], ckpt_path=path)
    assert drawn == uninterrupted[4:]


def test_a_new_run_of_a_loaded_model_keeps_the_present_random_state(fit: Fit, tmp_path: Path) -> None:
    case, path = next(case for case in CASES if case.name == "vanilla_gan-points"), tmp_path / "saved.ckpt"
    train(fit, case, 2).save_checkpoint(path)
    weights = []
    for seed in (5, 5, 6):
        model = load(path)
        torch.manual_seed(seed)
        weights.append(training_state(fit(model, case.data(), max_steps=1))["weights"])
    assert differences(weights[0], weights[1]) == []
    assert differences(weights[0], weights[2]) != []


class WarmedUp(torch.optim.SGD):
    """An optimizer that counts its steps among its settings, as D-Adaptation and schedule-free optimizers do."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            group["steps"] = 0

    def step(self, closure: Any = None) -> None:
        closure()
        for group in self.param_groups:
            group["steps"] += 1
            for parameter in group["params"]:
                parameter.data -= group["lr"] * min(1.0, group["steps"] / STEPS) * parameter.grad


def test_a_state_among_the_settings_of_an_optimizer_is_resumed(fit: Fit, tmp_path: Path) -> None:
    case, path = next(case for case in CASES if case.name == "vanilla_gan-points"), tmp_path / "saved.ckpt"
    changes = {"generator_optimizer": WarmedUp, "discriminator_optimizer": WarmedUp}
    expected = training_state(train(fit, case, STEPS, changes=changes, callbacks=[SaveAt(path, 4)]))
    assert differences(training_state(train(fit, case, STEPS, changes=changes, ckpt_path=path)), expected) == []
    faster = partial(WarmedUp, lr=0.2)
    resumed = train(fit, case, 5, changes={**changes, "generator_optimizer": faster}, ckpt_path=path)
    groups = [optimizer.param_groups[0] for optimizer in resumed.optimizers]
    assert [(group["lr"], group["steps"]) for group in groups] == [(0.2, 5), (0.1, 5)]


def test_a_setting_without_its_schedule_has_the_given_value(fit: Fit, tmp_path: Path) -> None:
    case, path = next(case for case in CASES if case.name == "vanilla_gan-points"), tmp_path / "saved.ckpt"
    scheduled = {"generator_schedules": {"lr": Linear(1.0, 0.0, images=64), "beta1": Linear(0.0, 0.9, images=64)}}
    train(fit, case, 4, changes=scheduled).save_checkpoint(path)
    group = train(fit, case, 5, ckpt_path=path).optimizers[0].param_groups[0]
    assert (group["lr"], group["betas"]) == (2e-4, (0.5, 0.999))


class SavingEvaluation(Evaluation):
    """Save directly before and after an evaluation."""

    def __init__(self, folder: Path, *, every: int) -> None:
        super().__init__(every=every, count=8)
        self.folder = folder

    @property
    def state_key(self) -> str:
        return Evaluation.__qualname__  # the state is loaded into an `Evaluation`

    def on_interval(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        trainer.save_checkpoint(self.folder / f"before_{images}.ckpt")
        super().on_interval(trainer, model, images)
        trainer.save_checkpoint(self.folder / f"after_{images}.ckpt")


def train_with_callbacks(
    case: Case, root: Path, changes: dict[str, Any], *callbacks: pl.Callback, **options: Any
) -> pl.Trainer:
    """Train with samples, evaluation, W&B and metrics."""
    model, data = case.make(**changes), case.data()
    torch.manual_seed(1 if not options else 77)
    own = [Run(root=str(root)), Wandb(mode="offline"), Samples(every=32, count=4)]
    trainer = Trainer(
        callbacks=[*own, *callbacks],
        accelerator="cpu",
        max_steps=STEPS,
        log_every_n_steps=2,
        enable_progress_bar=False,
        enable_checkpointing=False,
    )
    trainer.fit(model, data, **options)
    return trainer


@pytest.mark.parametrize("discriminator_steps", [1, 3])
@pytest.mark.parametrize("case", cases(is_any), ids=lambda case: case.name)
def test_a_run_with_callbacks_resumes_around_its_evaluations(
    case: Case, discriminator_steps: int, tmp_path: Path, fit: Fit
) -> None:
    if not case.is_adversarial and discriminator_steps > 1:
        pytest.skip("the players do not alternate")
    changes = {"discriminator_steps": discriminator_steps}
    trainer = train_with_callbacks(case, tmp_path / "whole", changes, SavingEvaluation(tmp_path, every=32))
    expected = training_state(trainer)
    assert (
        differences(training_state(train(fit, case, STEPS, changes=changes)), expected) == []
    )  # the callbacks change no bit
    for moment in ("before_32", "after_32", "before_96", "after_96"):
        callbacks = [Evaluation(every=32, count=8)]
        resumed = train_with_callbacks(
            case, tmp_path / moment, changes, *callbacks, ckpt_path=tmp_path / f"{moment}.ckpt"
        )
        assert differences(training_state(resumed), expected) == [], moment
