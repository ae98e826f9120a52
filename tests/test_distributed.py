"""Two processes train like one: equal weights from an equal total batch, and the same bits on both processes."""

import operator
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import two_processes
from cases import CASES, Case, cases, is_any
from conftest import Fit
from test_resume import differences
from two_processes import DISCRIMINATOR_STEPS, FIXED_STEPS, STEPS, STOP

TIME_LIMIT = 480.0  # seconds; processes in a deadlock would never end

NAME = operator.attrgetter("name")
every_step = pytest.mark.parametrize("steps", DISCRIMINATOR_STEPS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run both processes once for all tests, because their start takes longer than their training."""
    folder = tmp_path_factory.mktemp("two_processes")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "PL_GLOBAL_SEED")},
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "WANDB_MODE": "disabled",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, two_processes.__file__, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def largest_difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    assert ours.keys() == theirs.keys()
    return max(float((tensor - theirs[name]).abs().max()) for name, tensor in ours.items())


@every_step
@pytest.mark.parametrize("case", [case for case in CASES if two_processes.comparable(case)], ids=NAME)
def test_two_processes_learn_the_weights_of_one(case: Case, steps: int, results: list[dict[str, Any]]) -> None:
    ours = [rank["fixed"][f"{case.name} {steps}"] for rank in results]
    one = two_processes.fit_with_fixed_noise(case, steps, devices=1)
    for rank in ours:
        assert {w.dtype for w in rank["weights"].values() if w.is_floating_point()} == {torch.float64}
        assert largest_difference(rank["weights"], one["weights"]) < 1e-10
        assert rank["clock"] == one["clock"] == (8 * FIXED_STEPS, FIXED_STEPS, FIXED_STEPS)
    assert differences(ours[0]["weights"], ours[1]["weights"]) == []
    assert [first + second for first, second in zip(ours[0]["labels"], ours[1]["labels"], strict=True)] == (
        one["labels"]
    )
    assert all(len(set(batch)) == 8 for batch in one["labels"])


@every_step
@pytest.mark.parametrize("case", CASES, ids=NAME)
def test_both_processes_hold_the_same_bits_and_draw_different_latents(
    case: Case, steps: int, results: list[dict[str, Any]]
) -> None:
    """The second process started with other weights and statistics, which the first process has replaced."""
    first, second = (rank["free"][f"{case.name} {steps}"] for rank in results)
    assert differences(first["state"], second["state"]) == []
    if not case.is_adversarial:
        return
    latents = torch.cat([first["latents"], second["latents"]])
    assert len(latents.unique(dim=0)) == len(latents) >= 4 * STEPS


@every_step
@pytest.mark.parametrize("case", CASES, ids=NAME)
def test_both_processes_resume_bit_for_bit(case: Case, steps: int, results: list[dict[str, Any]]) -> None:
    for rank in results:
        free = rank["free"][f"{case.name} {steps}"]
        assert differences(free["resumed"], free["state"]) == []


@pytest.mark.parametrize("case", cases(is_any))
def test_one_process_resumes_a_run_of_two(case: Case, folder: Path, fit: Fit) -> None:
    model, path = case.make(discriminator_steps=3), folder / f"{case.name} 3.ckpt"
    with pytest.warns(
        UserWarning, match="saved by 2 processes, this run has 1: it continues at 32 images, but not bit"
    ):
        fit(model, case.data(), max_steps=STEPS, ckpt_path=path)
    assert (model.images_seen, model.batches_seen) == (8 * STEPS, STEPS)
    assert torch.load(path, weights_only=True)["lightning_gans"]["batches_seen"] == STOP


def test_an_initialization_from_the_first_batch_is_equal_on_both_processes(results: list[dict[str, Any]]) -> None:
    first, second = (rank["initialized"] for rank in results)
    assert differences(first, second) == []
    assert first["weights"]["generator.layers.0.bias"].abs().max() > 0.5  # random numbers, not PyTorch's zeros


def test_a_weight_that_no_process_uses_is_unchanged(results: list[dict[str, Any]]) -> None:
    """Its gradient is None: with a gradient of zero, the optimizer would apply weight decay."""
    first, second = (rank["idle"] for rank in results)
    assert differences(first["state"], second["state"]) == []
    assert {name.partition(".")[0] for name in first["changed"]} == {"first", "last"}


def test_a_run_with_all_callbacks_has_one_folder_and_one_result(folder: Path, results: list[dict[str, Any]]) -> None:
    first, second = (rank["callbacks"] for rank in results)
    assert differences(first, second) == []
    assert first["clock"] == (64, 8, 8)
    (run,) = (folder / "runs").iterdir()
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    expected = {"config.yaml", "evaluation.json", "metrics.csv", "real.png", "training.gif"}
    assert expected | {"checkpoints/last.ckpt", "checkpoints/best.ckpt"} <= files
    assert len([file for file in files if file.startswith("samples/0")]) == 5
    rows = (run / "metrics.csv").read_text().splitlines()
    assert len(rows) == len(set(rows))


def test_a_batch_size_that_two_does_not_divide_is_refused_on_both_processes(results: list[dict[str, Any]]) -> None:
    for rank in results:
        assert rank["batch_size_error"] == (
            "`batch_size` is the total over all devices and must be a multiple of their number 2, got 7"
        )
