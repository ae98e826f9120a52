"""Part `speed` of `gpu.py`: our `fit` against the best hand-written loop and the loop of PyTorch's DCGAN tutorial.

Ours is `lightning_gans.Trainer` with its defaults, W&B disabled. A callback pauses the timer of the fit, runs the other
loops, and resumes the timer, so that all three are measured within seconds (A B C A B C ...). The columns are images
per second; `ours`, `hand-written` and `tutorial` are medians over the rounds. `ours, mean` is the mean over all rounds,
which includes samples, scores and checkpoints. `busy` is the time of the device's kernels
divided by the time of the steps; `MiB` is the peak of allocated memory.
"""

import itertools
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import harness
import pytorch_lightning as pl
import torch
from gpu_part import Deadline, Row, Scores, Settings, attempt
from gpu_steps import WORKLOADS, HandStep, Precision, Step, TextbookStep, Workload, set_precision
from torch.profiler import ProfilerActivity, profile

from lightning_gans.callbacks import Run, Wandb
from lightning_gans.trainer import Trainer

PRECISIONS: tuple[Precision, ...] = ("bf16", "fp32", "tf32")
PROFILED = 10
"""Batches that are profiled on a GPU."""


class MeasuredError(Exception):
    """Raised to end a fit whose measurement is complete, without its final samples and scores."""


class Interleave(pl.Callback):
    """Measure the fit that this callback belongs to, in turn with other loops.

    Args:
        others: Factory of each other loop's step, by name.
        warmup: Number of batches before the measurement.
        rounds: Number of rounds.
        seconds: Duration of one loop in one round, in seconds.
        device: "cuda" or "cpu".

    Attributes:
        speeds: Images per second in each round, by name of the loop.
        extra: Further columns.
    """

    def __init__(
        self,
        others: Mapping[str, Callable[[], Step]],
        *,
        warmup: int,
        rounds: int,
        seconds: float,
        device: str,
    ) -> None:
        self.others = others
        self.warmup = warmup
        self.rounds = rounds
        self.seconds = seconds
        self.device = device
        self.speeds: dict[str, list[float]] = {name: [] for name in ("ours", *others)}
        self.extra: dict[str, float] = {}
        self.total = [0, 0.0]
        self._steps: dict[str, Step] = {}
        self._profile: Any = None
        self._batches = 0
        self._start = (0, 0.0)
        self._base = reset_peak(device)
        self._profiled = PROFILED if device == "cuda" else 1

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        """Start, pause or resume the timer of the fit after a batch."""
        self._batches += 1
        if self._batches == self.warmup:
            note_peak(self.extra, "ours", self.device, self._base)
            self._profile = start_profile(self.device)
        elif self._batches == self.warmup + self._profiled:
            self.extra["kernels, ours"] = stop_profile(self._profile, self.device)
            self._prepare()
            self._begin(pl_module)
        elif self._batches > self.warmup + self._profiled and time.perf_counter() - self._start[1] >= self.seconds:
            synchronize(self.device)
            images, seconds = pl_module.images_seen - self._start[0], time.perf_counter() - self._start[1]
            self.speeds["ours"].append(images / seconds)
            self.total = [self.total[0] + images, self.total[1] + seconds]
            for name, step in self._steps.items():
                self.speeds[name].append(images_per_second(step, self.seconds, self.device))
            if len(self.speeds["ours"]) == self.rounds:
                raise MeasuredError
            self._begin(pl_module)

    def _prepare(self) -> None:
        """Build and warm up the other loops, after the peak memory of the fit was read."""
        for name, make in self.others.items():
            base = reset_peak(self.device)
            self._steps[name] = step = make()
            for _ in range(self.warmup):
                step()
            note_peak(self.extra, name, self.device, base)
            running = start_profile(self.device)
            for _ in range(self._profiled):
                step()
            self.extra[f"kernels, {name}"] = stop_profile(running, self.device)

    def close(self) -> None:
        """End the other loops."""
        for step in self._steps.values():
            step.close()

    def _begin(self, model: Any) -> None:
        synchronize(self.device)
        self._start = (model.images_seen, time.perf_counter())

    def scores(self, batch_size: int) -> Scores:
        """Collect the columns of the row."""
        medians = {name: statistics.median(speeds) for name, speeds in self.speeds.items()}
        ours = medians["ours"]
        scores: dict[str, float | str] = {"ours": ours, "ours, mean": self.total[0] / self.total[1]}
        for name, speed in medians.items():
            if name != "ours":
                scores |= {name: speed, f"ours / {name}": ours / speed}
        for name, speed in medians.items():
            if (kernels := self.extra.get(f"kernels, {name}", 0.0)) > 0:
                scores[f"busy, {name}"] = kernels / PROFILED / (batch_size / speed)
        return scores | {name: value for name, value in self.extra.items() if name.startswith("MiB")}


def measure(settings: Settings) -> Iterator[Row]:
    """Measure every workload in every precision, the most important first."""
    deadline = Deadline(settings.seconds - 8)
    pairs = list(itertools.product(PRECISIONS, WORKLOADS))
    if settings.quick and settings.device == "cpu":
        pairs = [("fp32", workload) for workload in WORKLOADS] + [("bf16", WORKLOADS[0])]
    for done, (precision, workload) in enumerate(pairs):
        share = deadline.left / (len(pairs) - done)
        if share < 2 and not settings.quick:
            yield Row(f"{workload.name}, {precision}", {"note": "no time left"})
            continue
        seconds = 0.1 if settings.quick else min(1.5, max(0.3, (share - 2.5) / 9))
        yield attempt(f"{workload.name}, {precision}", partial(_scores, workload, precision, settings, seconds))


def _scores(workload: Workload, precision: Precision, settings: Settings, seconds: float) -> Scores:
    set_precision(precision)
    device, quick = settings.device, settings.quick
    data = workload.data(quick=quick)
    data.setup()
    stored = data.train_dataloader().tensors["image"]
    interleave = Interleave(
        {
            "hand-written": lambda: HandStep(workload, device, precision, stored.to(device), quick=quick),
            "tutorial": partial(TextbookStep, workload, device, precision, stored, quick=quick),
        },
        warmup=2 if quick else 20,
        rounds=2 if quick else 3,
        seconds=seconds,
        device=device,
    )
    with harness.temporary_folder() as folder:
        trainer = Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            precision="bf16-mixed" if precision == "bf16" else "32-true",
            callbacks=[Run(root=str(folder), max_images=10**8), Wandb(mode="disabled"), interleave],
        )
        try:
            trainer.fit(workload.make(quick=quick), datamodule=data)
        except MeasuredError:
            return interleave.scores(workload.batch(quick=quick))
        finally:
            interleave.close()
    raise RuntimeError("the fit ended before it was measured")


def images_per_second(step: Callable[[], int], seconds: float, device: str) -> float:
    """Run a step for a duration, and wait for the device before and after."""
    synchronize(device)
    images, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        images += step()
    synchronize(device)
    return images / (time.perf_counter() - start)


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def reset_peak(device: str) -> int:
    """Reset the peak memory, and return the bytes in use."""
    if device != "cuda":
        return 0
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def note_peak(extra: dict[str, float], name: str, device: str, base: int) -> None:
    """Record the peak memory above the bytes that were in use before."""
    if device == "cuda":
        extra[f"MiB, {name}"] = (torch.cuda.max_memory_allocated() - base) / 2**20


def start_profile(device: str) -> Any:
    """Start to record kernels; None on a CPU or without a profiler."""
    if device != "cuda":
        return None
    synchronize(device)
    try:
        running = profile(activities=[ProfilerActivity.CUDA])
        running.start()
    except Exception:  # the speed is useful even without the busy share
        traceback.print_exc()
        return None
    return running


def stop_profile(running: Any, device: str) -> float:
    """Sum the durations of the recorded kernels in seconds; 0 if nothing was recorded."""
    if running is None:
        return 0.0
    synchronize(device)
    running.stop()
    events = (event for event in running.events() if event.device_type.name == "CUDA")
    return float(sum(event.time_range.elapsed_us() for event in events)) / 1e6
