"""Test the callbacks: their intervals, their files in the run folder, and the lines that they print."""

import io
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml
from PIL import Image
from pytorch_lightning.demos.boring_classes import BoringModel
from pytorch_lightning.loggers import TensorBoardLogger
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import IMAGES, SCALARS, EventAccumulator

from lightning_gans.__main__ import main
from lightning_gans.callbacks import Checkpointing, Evaluation, Progress, Run, Samples, Wandb
from lightning_gans.callbacks.periodic import Periodic
from lightning_gans.core.checkpoints import read_checkpoint
from lightning_gans.core.gan import GAN
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model, load
from lightning_gans.core.optimizers import DCGANAdam
from lightning_gans.datamodules import DataModule, Digits
from lightning_gans.metrics.prdc import prdc
from lightning_gans.models import DCGAN
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator
from lightning_gans.rendering.images import grid
from lightning_gans.run_files import PREVIOUS
from lightning_gans.trainer import Trainer


def small() -> DCGAN:
    torch.manual_seed(0)
    return DCGAN(
        image_shape=(1, 8, 8),
        generator=partial(DCGANGenerator, width=2),
        discriminator=partial(DCGANDiscriminator, width=2),
        latent_dim=4,
    )


def fit(root: Path, *callbacks: pl.Callback, images: int = 256, model: Model | None = None, **options: Any) -> Path:
    """Train for a few batches of 64 examples and return the run folder."""
    run = Run(root=str(root), name="x", max_images=images)
    defaults = (Wandb(mode="disabled"), Samples(count=4), Evaluation(count=10))
    missing = [default for default in defaults if not any(isinstance(own, type(default)) for own in callbacks)]
    options = {"accelerator": "cpu", "enable_progress_bar": False, **options}
    torch.manual_seed(1)
    Trainer(callbacks=[run, *missing, *callbacks], **options).fit(model or small(), datamodule=Digits())
    return run.folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Intervals


class Ticks(Periodic):
    """Record the calls of `on_interval`."""

    def __init__(self, *, every: int) -> None:
        super().__init__(every=every)
        self.seen: list[tuple[int, int]] = []

    def on_interval(self, trainer: pl.Trainer, model: Model, images: int) -> None:
        self.seen.append((images, model.images_seen))


@pytest.mark.parametrize(
    ("every", "seen"),
    [
        (64, [(64, 64), (128, 128), (192, 192), (256, 256)]),
        (128, [(128, 128), (256, 256)]),
        (100, [(100, 128), (200, 256)]),  # not a multiple of the batch size: after the batch that passes it
        (10, [(60, 64), (120, 128), (190, 192), (250, 256)]),  # smaller than a batch: once per batch
        (1, [(64, 64), (128, 128), (192, 192), (256, 256)]),
        (65, [(65, 128), (130, 192), (195, 256)]),
        (257, []),
    ],
)
def test_a_periodic_callback_acts_when_a_multiple_is_passed(
    every: int, seen: list[tuple[int, int]], tmp_path: Path
) -> None:
    ticks = Ticks(every=every)
    fit(tmp_path, ticks)
    assert ticks.seen == seen


def test_intervals_continue_after_a_resume(tmp_path: Path) -> None:
    first = fit(tmp_path, images=128)
    ticks = Ticks(every=100)
    trainer = Trainer(
        callbacks=[Run(root=str(tmp_path), max_images=256), Wandb(mode="disabled"), Evaluation(count=10), ticks],
        accelerator="cpu",
        enable_progress_bar=False,
    )
    trainer.fit(small(), datamodule=Digits(), ckpt_path=first)
    assert ticks.seen == [(200, 256)]


@pytest.mark.parametrize("kind", [Samples, Evaluation, Checkpointing, Ticks])
def test_a_period_below_one_image_is_refused(kind: type[Periodic]) -> None:
    with pytest.raises(ValueError, match=r"`every`.* must be at least 1 image, got 0"):
        kind(every=0)


def test_a_model_of_another_project_is_refused(tmp_path: Path) -> None:
    trainer = Trainer(callbacks=[Run(root=str(tmp_path)), Wandb(mode="disabled")], accelerator="cpu", max_steps=1)
    with pytest.raises(ValueError, match=r"requires a model of lightning-gans, got a BoringModel"):
        trainer.fit(BoringModel())


def test_callbacks_only_read(tmp_path: Path) -> None:
    busy, idle = small(), small()
    fit(tmp_path, Samples(every=64, count=9), Evaluation(every=64, count=20), Checkpointing(every=64), model=busy)
    fit(tmp_path, Samples(every=10**6), Evaluation(every=10**6, count=10), Checkpointing(every=10**6), model=idle)
    torch.testing.assert_close(busy.state_dict(), idle.state_dict(), rtol=0, atol=0)


# Samples


def test_samples_are_named_by_the_images_that_were_seen(tmp_path: Path) -> None:
    run = fit(tmp_path, Samples(every=100, count=4), images=320)
    stamps = ["000000k", "000000100", "000000200", "000000300"]
    assert names(run / "samples") == sorted(f"{kind}{stamp}.png" for stamp in stamps for kind in ("", "interpolation_"))
    distinct = len({path.read_bytes() for path in (run / "samples").glob("0*.png")})  # Pillow merges equal neighbors
    assert Image.open(run / "training.gif").n_frames == distinct > 1  # type: ignore[attr-defined]


def test_the_final_state_is_saved_though_no_multiple_is_reached(tmp_path: Path) -> None:
    run = fit(tmp_path, Samples(every=1000, count=4), images=128)
    assert names(run / "samples")[:2] == ["000000128.png", "000000k.png"]


def test_tiles_are_enlarged_and_the_latents_are_fixed(tmp_path: Path) -> None:
    model = small()
    before = grid(model.sample(6, seed=5)["image"], columns=3)
    run = fit(tmp_path, Samples(every=100, count=6, seed=5), model=model)
    first = np.asarray(Image.open(run / "samples" / "000000k.png"))
    assert first.shape == (2 * 66 + 2, 3 * 66 + 2, 3)
    np.testing.assert_array_equal(first, before)
    last = load(run)
    assert isinstance(last, GAN)
    np.testing.assert_array_equal(
        Image.open(run / "samples" / "000000200.png"), grid(last.sample(6, seed=5)["image"], columns=3)
    )
    np.testing.assert_array_equal(
        Image.open(run / "samples" / "interpolation_000000200.png"), grid(last.interpolate(8, 8, seed=5)["image"], 8)
    )
    real = grid(Digits().examples("train", 6)["image"], columns=3)
    np.testing.assert_array_equal(Image.open(run / "real.png"), real)


class Paneled(DCGAN):
    """GAN with a panel and a score of its own."""

    def panels(self, columns: int, *, seed: int | None = None) -> dict[str, Any]:
        return {"stripes": {"image": torch.linspace(-1, 1, 2 * columns).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)}}

    def scores(self, batch: Any) -> dict[str, float]:
        return {"mine": float(len(batch["label"]) - 2)}


def test_panels_and_scores_of_a_model_are_saved_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    networks = {"generator": partial(DCGANGenerator, width=2), "discriminator": partial(DCGANDiscriminator, width=2)}
    model = Paneled(image_shape=(1, 8, 8), latent_dim=4, **networks)
    callbacks = (Samples(every=64, count=4), Evaluation(every=64, count=10), Progress())
    run = fit(tmp_path, *callbacks, images=64, model=model, enable_progress_bar=True)
    stamps = ["000000k", "000000064"]
    assert names(run / "samples") == sorted(f"{kind}{stamp}.png" for stamp in stamps for kind in ("", "stripes_"))
    panel = np.asarray(Image.open(run / "samples" / "stripes_000000064.png"))
    np.testing.assert_array_equal(panel, grid(model.panels(8)["stripes"]["image"], 8))
    assert json.loads((run / "evaluation.json").read_text())["mine"] == 358.0  # the whole split
    assert ", mine 358\n" in capsys.readouterr().out
    assert "evaluation/validation/mine" in (run / "metrics.csv").read_text()


def test_a_failed_run_has_its_animation(tmp_path: Path) -> None:
    class Fail(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == 3:
                raise RuntimeError("failed")

    with pytest.raises(RuntimeError, match="failed"):
        fit(tmp_path, Fail(), Samples(every=64, count=4))
    run = tmp_path / "x"
    frames = sorted((run / "samples").glob("0*.png"))
    assert [path.stem for path in frames] == ["000000064", "000000128", "000000192", "000000k"]
    distinct = len({path.read_bytes() for path in frames})  # Pillow merges equal neighbors
    assert Image.open(run / "training.gif").n_frames == distinct > 1  # type: ignore[attr-defined]


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="`count` must be at least 1, got 0"):
        Samples(count=0)


def test_tensorboard_gets_the_images_and_the_numbers(tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path / "board", name="", version="")
    run = fit(tmp_path, Samples(every=128, count=4), logger=logger, log_every_n_steps=1)
    events = EventAccumulator(str(tmp_path / "board"), size_guidance={IMAGES: 0, SCALARS: 0}).Reload()
    assert set(events.Tags()["images"]) == {"samples", "interpolation"}  # no real images
    grids = events.Images("samples")
    assert [event.step for event in grids] == [0, 128, 256]
    for event, name in zip(grids, ("000000k", "000000128", "000000256"), strict=True):
        image = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        np.testing.assert_array_equal(image, Image.open(run / "samples" / f"{name}.png"))
    assert {"discriminator/loss", "generator/loss", "evaluation/test/coverage"} <= set(events.Tags()["scalars"])


# Checkpointing


def test_a_checkpoint_is_never_incomplete(tmp_path: Path) -> None:
    def fail(trainer: pl.Trainer, path: Path, weights_only: bool = False) -> None:
        Path(path).write_bytes(b"incomplete")
        raise OSError("no space left on device")

    class Fail(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == 2:
                trainer.save_checkpoint = partial(fail, trainer)  # type: ignore[method-assign]

    with pytest.warns(UserWarning, match=r"last\.ckpt cannot be written \(no space left on device\)") as warned:
        fit(tmp_path, Fail(), Checkpointing(every=64))
    assert len([warning for warning in warned if "cannot be written" in str(warning.message)]) == 1
    assert not list((tmp_path / "x").rglob("*.part"))
    assert read_checkpoint(tmp_path / "x")["lightning_gans"]["images_seen"] in (64, 128)


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    run = fit(tmp_path, Checkpointing(every=256), images=320)
    assert names(run / "checkpoints") == ["last.ckpt", "previous.ckpt"]
    assert read_checkpoint(run / PREVIOUS)["lightning_gans"]["images_seen"] == 256
    checkpoint = read_checkpoint(run)
    assert (checkpoint["global_step"], checkpoint["lightning_gans"]["images_seen"]) == (5, 320)
    assert len(checkpoint["optimizer_states"]) == 2


def test_an_error_saves_nothing(tmp_path: Path) -> None:
    class Fail(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            raise RuntimeError("own error")

    with pytest.raises(RuntimeError, match="own error"):
        fit(tmp_path, Fail())
    assert not (tmp_path / "x" / "checkpoints").exists()


# Evaluation


class Scripted(Evaluation):
    """Return coverages from a list."""

    def __init__(self, coverages: list[float], **options: Any) -> None:
        super().__init__(every=64, count=10, **options)
        self.coverages = iter(coverages)

    def evaluate(
        self,
        model: GenerativeModel,
        data: DataModule,
        split: Literal["validation", "test"],
        *,
        generated: int | None = None,
    ) -> dict[str, float]:
        coverage = next(self.coverages)
        return {"precision": 0.0, "recall": 0.0, "density": 9.0, "coverage": coverage}


@pytest.mark.parametrize(
    ("coverages", "best"),
    [([0.1, 0.5, 0.3, 0.4, 0], 128), ([0.0, 0.0, 0.0, 0.0, 0], 64), ([0.1, 0.2, 0.3, 0.4, 0], 256)],
)
def test_the_best_checkpoint_has_the_best_score(coverages: list[float], best: int, tmp_path: Path) -> None:
    run = fit(tmp_path, Scripted(coverages))
    assert names(run / "checkpoints") == ["best.ckpt", "last.ckpt"]
    checkpoint = read_checkpoint(run / "checkpoints" / "best.ckpt")
    assert checkpoint["lightning_gans"]["images_seen"] == best
    assert checkpoint["callbacks"]["Scripted"]["best"] == max(coverages)  # a run that resumes from it must exceed it


@pytest.mark.parametrize(("previous", "new"), [("coverage", []), ("density", ["best.ckpt"])])
def test_a_resumed_run_must_exceed_the_best_value_of_its_monitor(
    previous: Literal["coverage", "density"], new: list[str], tmp_path: Path
) -> None:
    """The best density is 9, which no coverage exceeds."""
    first = fit(tmp_path, Scripted([0.5, 0.4, 0.0], monitor=previous), images=128)
    run = Run(root=str(tmp_path), name="y", max_images=256)
    callbacks = [run, Wandb(mode="disabled"), Samples(count=4), Scripted([0.45, 0.49, 0.0])]
    Trainer(callbacks=callbacks, accelerator="cpu", enable_progress_bar=False).fit(
        small(), datamodule=Digits(), ckpt_path=first
    )
    assert names(run.folder / "checkpoints") == [*new, "last.ckpt"]


def test_scores_come_with_their_protocol(tmp_path: Path) -> None:
    run = fit(tmp_path, Evaluation(every=10**6, count=50, k=3, seed=7))
    result = json.loads((run / "evaluation.json").read_text())
    model = load(run)
    assert isinstance(model, GenerativeModel)
    real = Digits().examples("test", 50)["image"].flatten(1)
    expected = prdc(real, model.sample(50, seed=7)["image"].flatten(1), k=3)._asdict()
    protocol = {
        "split": "test",
        "features": "pixels",
        "k": 3,
        "real": 50,
        "generated": 50,
        "weights": "EMA",
        "seed": 7,
        "images_seen": model.images_seen,
    }
    assert result == {**{name: pytest.approx(score) for name, score in expected.items()}, **protocol}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "`k` must be at least 1, got 0"),
        ({"count": 5}, r"`count` must be above `k` \(5\), got 5"),
    ],
)
def test_evaluation_refuses_arguments_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Evaluation(**options)  # type: ignore[arg-type]


# The run folder


def test_runs_that_start_at_the_same_time_have_different_folders(tmp_path: Path) -> None:
    strategy = SimpleNamespace(broadcast=lambda value: value)
    trainer = SimpleNamespace(is_global_zero=True, strategy=strategy, datamodule=Digits(), loggers=[], callbacks=[])
    runs = [Run(root=str(tmp_path), name=name) for name in [None] * 20 + ["named"] * 20]
    model = small()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda run: run.setup(trainer, model, "fit"), runs))
    expected = [f"dcgan-digits-{i}" for i in range(1, 21)] + ["named"] + [f"named-{i}" for i in range(2, 21)]
    assert names(tmp_path) == sorted(expected)
    assert len({run.folder for run in runs}) == 40


@pytest.mark.parametrize("name", ["", "a/b", "..", ".", "/"])
def test_a_name_that_is_not_a_folder_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="`name` must be a plain name, without slashes, got"):
        Run(name=name)


def test_a_run_of_zero_images_is_refused() -> None:
    with pytest.raises(ValueError, match="`max_images` must be at least 1, got 0"):
        Run(max_images=0)


def test_the_command_line_runs_the_configuration_of_a_script(tmp_path: Path) -> None:
    model = DCGAN(
        image_shape=(1, 8, 8),
        generator=partial(DCGANGenerator, width=3),
        discriminator=partial(DCGANDiscriminator, width=5),
        generator_optimizer=partial(DCGANAdam, lr=1e-3),
        latent_dim=7,
    )
    run = fit(tmp_path, model=model)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"]["latent_dim"] == 7
    options = "--run.max_images 64 --wandb.mode disabled --evaluation.count 10 --samples.count 4 --run.name again"
    assert main(["fit", "--config", str(run / "config.yaml"), "--run.root", str(tmp_path), *options.split()]) == 0
    again = read_checkpoint(tmp_path / "again")
    assert {name: tensor.shape for name, tensor in again["state_dict"].items()} == {
        name: tensor.shape for name, tensor in model.state_dict().items()
    }
    assert again["optimizer_states"][0]["param_groups"][0]["lr"] == 1e-3
    assert again["optimizer_states"][1]["param_groups"][0]["lr"] == 2e-4


# Progress


def test_without_a_terminal_there_are_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit(tmp_path, Samples(every=128, count=4), Progress(), enable_progress_bar=True, images=256)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "Training DCGAN on Digits | 8x8x1 images | 1,300 train, 137 validation, 360 test (memory) | cpu fp32 | seed "
    )
    (estimate,) = [line for line in lines if line.startswith("Parameters: ")]
    assert re.match(r"Parameters: generator \d+k?, discriminator \d+k? \| estimated time: \d+ s \| run", estimate)
    assert estimate.endswith(f" | run folder: {run} | W&B: disabled")
    assert any(line.strip().startswith("128 images 0:0") and "samples/000000128.png" in line for line in lines)
    assert any(line.strip().startswith("256 images 0:0") and "samples/000000256.png" in line for line in lines)
    protocol = "features: pixels, k=5, 10 samples against 10 examples"
    assert any(line.startswith(f"test split ({protocol}): density ") for line in lines)
    assert f"Samples over time: {run / 'training.gif'}" in lines
    assert lines[-3:] == [
        f"Next: python -m lightning_gans sample {run}",
        f"      python -m lightning_gans evaluate {run}",
        "      python -m lightning_gans fit --data ImageFolder --data.root YOUR_FOLDER",
    ]
    assert not any("\x1b" in line or "\r" in line for line in lines)
    assert len(lines) == 9


def test_on_a_terminal_a_bar_is_refreshed_at_most_five_times_per_second(tmp_path: Path) -> None:
    class Slow(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            time.sleep(0.01)

    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=100, force_interactive=True)
    start = time.monotonic()
    fit(tmp_path, Progress(console=console), Slow(), enable_progress_bar=True, images=6400)
    seconds = time.monotonic() - start
    frames = written.getvalue().count("of 6,400 images")
    lines = written.getvalue().count("\n")
    assert 2 <= frames <= 5 * seconds + lines + 3  # each line printed above the bar refreshes it
    assert frames < 60  # for 100 batches
    assert "DCGAN on Digits" in written.getvalue()


def test_a_disabled_rank_prints_nothing(tmp_path: Path) -> None:
    written = io.StringIO()
    progress = Progress(console=Console(file=written, force_terminal=True))
    progress.disable()
    fit(tmp_path, progress, enable_progress_bar=True, images=128)
    assert written.getvalue() == ""
