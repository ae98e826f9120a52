"""Test the commands `sample` and `evaluate` on a small run."""

import io
import json
import math
import shutil
import weakref
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from lightning_gans.__main__ import main
from lightning_gans.core.gan import GAN
from lightning_gans.core.model import load
from lightning_gans.models import DCGAN
from lightning_gans.rendering.images import grid, to_uint8
from lightning_gans.sample_progress import track_samples, tracked
from lightning_gans.types import Batch


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    arguments = ["--run.root", str(folder), "--run.name", "run", "--run.max_images", "256", "--wandb.mode", "disabled"]
    narrow = ["--model.generator.width", "4", "--model.discriminator.width", "4"]
    assert main(["fit", *arguments, *narrow, "--evaluation.count", "50", "--evaluation.k", "3"]) == 0
    return folder / "run"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sample(run: Path, *arguments: str) -> None:
    assert main(["sample", str(run), *arguments]) == 0


def array(path: str) -> np.ndarray:
    with np.load(path) as arrays:
        assert list(arrays) == ["image", "arr_0"]
        image: np.ndarray = arrays["image"]
        np.testing.assert_array_equal(arrays["arr_0"], image)
    return image


def test_the_same_seed_gives_the_same_bytes(run: Path, folder: Path) -> None:
    sample(run, "--count", "100", "--seed", "0", "--output", "a.npz")
    sample(run, "--count", "100", "--seed", "0", "--output", "b.npz")
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()
    image = array("a.npz")
    assert (image.dtype, image.shape) == (np.uint8, (100, 8, 8, 1))
    sample(run, "--count", "10", "--output", "ten.npz")
    np.testing.assert_array_equal(array("ten.npz"), image[:10])
    sample(run, "--count", "100", "--seed", "1", "--output", "c.npz")
    assert not np.array_equal(array("c.npz"), image)
    assert zipfile.ZipFile("a.npz").namelist() == ["image.npy", "arr_0.npy"]


def test_the_samples_equal_the_samples_of_the_loaded_model(run: Path) -> None:
    sample(run, "--count", "5", "--seed", "3", "--output", "a.npz")
    expected = to_uint8(load(run).sample(5, seed=3)["image"])  # type: ignore[operator]
    np.testing.assert_array_equal(array("a.npz"), expected.permute(0, 2, 3, 1))


@pytest.mark.parametrize("path", [".", "checkpoints/last.ckpt"])
def test_a_run_is_a_folder_or_a_checkpoint(path: str, run: Path) -> None:
    sample(run, "--count", "2", "--output", "a.npz")
    sample(run / path, "--count", "2", "--output", "b.npz")
    np.testing.assert_array_equal(array("a.npz"), array("b.npz"))


def test_a_png_file_has_a_square_grid(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample(run, "--count", "10", "--output", "new/grid.png")
    model = load(run)
    assert isinstance(model, GAN)
    np.testing.assert_array_equal(Image.open("new/grid.png"), grid(model.sample(10, seed=0)["image"], columns=4))
    assert "10 samples of DCGAN, seed 0: new/grid.png" in capsys.readouterr().out


def test_without_options_there_are_64_samples(run: Path) -> None:
    sample(run)
    assert Image.open("samples.png").size == (8 * 66 + 2, 8 * 66 + 2)


def test_a_folder_has_one_file_for_each_sample(run: Path) -> None:
    sample(run, "--count", "3", "--output", "folder")
    sample(run, "--count", "3", "--output", "a.npz")
    files = sorted(Path("folder").iterdir())
    assert [path.name for path in files] == ["000000.png", "000001.png", "000002.png"]
    for path, expected in zip(files, array("a.npz"), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path))[..., :1], expected)


def test_a_label_selects_the_class_of_the_samples(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--run.name", "classes", "--run.max_images", "64", "--wandb.mode", "disabled", "--evaluation.count", "9"]
    assert main(["fit", "--model", "MADE", "--model.class_conditional", "true", *options, "--samples.count", "4"]) == 0
    sample(Path("runs/classes"), "--count", "5", "--label", "3", "--output", "threes.npz")
    sample(Path("runs/classes"), "--count", "5", "--output", "all.npz")
    with np.load("threes.npz") as threes, np.load("all.npz") as every:
        assert list(threes) == ["image", "label", "arr_0", "arr_1"]
        assert threes["label"].tolist() == threes["arr_1"].tolist() == [3] * 5
        model: Any = load("runs/classes")
        expected = model.sample(5, condition={"label": torch.full((5,), 3)}, seed=0)["image"]
        np.testing.assert_array_equal(threes["image"], to_uint8(expected).permute(0, 2, 3, 1))
        assert every["image"].shape == (5, 8, 8, 1)
        assert len(set(every["label"].tolist())) > 1
    capsys.readouterr()
    assert main(["sample", "runs/classes", "--label", "11"]) == 2
    assert "`--label` must be from 0 to 9, or -1 where unknown, got [11]" in capsys.readouterr().err


@pytest.mark.parametrize("options", ["", "--interpolate"])
@pytest.mark.parametrize("output", ["a.png", "a.npz", "folder"])
def test_memory_does_not_grow_with_the_number_of_samples(
    output: str, options: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever a batch is drawn, at most three of the earlier batches still exist."""
    drawn: list[weakref.ref[Tensor]] = []
    generate = DCGAN.generate

    def counted(self: DCGAN, *args: Any) -> Batch:
        assert sum(reference() is not None for reference in drawn) <= 3
        batch = generate(self, *args)
        drawn.append(weakref.ref(batch["image"]))
        return batch

    monkeypatch.setattr(DCGAN, "generate", counted)
    sample(run, *options.split(), "--count", "1000", "--output", output)
    assert len(drawn) == 16


@pytest.mark.parametrize("count", [1, 2, 7, 63, 64, 65, 130])
def test_a_grid_that_is_written_in_strips_equals_the_grid_of_all_samples(count: int, run: Path) -> None:
    sample(run, "--count", str(count), "--output", "a.png")
    image = load(run).sample(count, seed=0)["image"]  # type: ignore[operator]
    np.testing.assert_array_equal(Image.open("a.png"), grid(image, math.ceil(math.sqrt(count))))


@pytest.mark.parametrize(("output", "same"), [("a.NPZ", "b.npz"), ("a.Png", "b.png"), ("new/a.PNG", "b.png")])
def test_a_suffix_may_have_any_case(output: str, same: str, run: Path) -> None:
    for path in (output, same):
        sample(run, "--count", "3", "--output", path)
    assert Path(output).read_bytes() == Path(same).read_bytes()


def test_a_slash_makes_any_name_a_folder(run: Path) -> None:
    sample(run, "--count", "1", "--output", "samples.v2/")
    sample(run, "--count", "2", "--output", "samples.v2")  # it exists now
    assert [path.name for path in sorted(Path("samples.v2").iterdir())] == ["000000.png", "000001.png"]


@pytest.mark.parametrize("options", [[], ["--interpolate"]])
def test_an_interrupted_folder_is_continued(
    options: list[str], run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--count", "150", "--seed", "3", *options, "--output"]
    sample(run, *arguments, "complete")
    save, saved = Image.Image.save, 0

    def interrupted(*args: Any, **kwargs: Any) -> None:
        nonlocal saved
        saved += 1
        save(*args, **kwargs)
        if saved == 100:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", interrupted)
        assert main(["sample", str(run), *arguments, "folder"]) == 130
    assert sorted(path.name for path in Path("folder").iterdir()) == [f"{i:06d}.png" for i in range(99)]
    assert "interrupted" in capsys.readouterr().err
    times = {path: path.stat().st_mtime_ns for path in Path("folder").iterdir()}
    sample(run, *arguments, "folder")
    assert {path: path.stat().st_mtime_ns for path in times} == times  # no sample is written again
    assert "folder has 99 of 150 samples already" in capsys.readouterr().err
    names = [f"{i:06d}.png" for i in range(150)]
    assert sorted(path.name for path in Path("folder").iterdir()) == names
    assert all(Path("folder", name).read_bytes() == Path("complete", name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seed", "1"], "has samples with `--seed 0`: choose a new folder, or remove this one"),
        (["--interpolate"], "has samples without `--interpolate`"),
        (["--count", "2"], "has more samples than `--count` 2, such as 000002.png"),
        (["other"], "has samples of another checkpoint"),
        (["foreign"], "has other images, such as cat.PNG"),
        (["earlier"], "has other images, such as 000000.png"),
        (["file"], "has other images, such as 000000.png"),
    ],
)
def test_a_folder_of_other_images_is_refused(
    options: list[str], message: str, run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample(run, "--count", "3", "--output", "folder")
    source = run
    match options:
        case ["other"]:
            torch.save(torch.load(run / "checkpoints" / "last.ckpt") | {"epoch": 7}, folder / "other.ckpt")
            source = folder / "other.ckpt"
        case ["foreign"]:
            Image.new("RGB", (2, 2)).save(folder / "folder" / "cat.PNG")
        case ["earlier"]:
            Image.new("RGB", (2, 2)).save(folder / "folder" / "000000.png")
        case ["file"]:
            (folder / "folder" / "000000.png").write_bytes(b"")
    extra = options if options[0].startswith("-") else []
    before = {path: path.read_bytes() for path in Path("folder").iterdir()}
    capsys.readouterr()
    assert main(["sample", str(source), "--count", "5", "--output", "folder", *extra]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert {path: path.read_bytes() for path in Path("folder").iterdir()} == before


@pytest.mark.parametrize("output", ["a.png", "a.npz", "folder"])
def test_a_write_error_is_one_line_and_leaves_no_partial_file(
    output: str, run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert main(["sample", str(run), "--count", "3", "--output", output]) == 2
    assert capsys.readouterr().err == f"error: `--output` {output!r} cannot be written: No space left on device\n"
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_progress_is_shown_as_lines_or_as_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch(image=torch.zeros(400, 1))
    for terminal, expected in ((False, "1,400 of 5,000 samples\n1,800 of 5,000 samples\n"), (True, "━")):
        monkeypatch.setattr("lightning_gans.sample_progress.SECONDS", 0.0)
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
        with track_samples(1000, 5000, console=console) as advance:
            assert list(tracked([batch, batch], advance)) == [batch, batch]
        assert expected in console.file.getvalue()  # type: ignore[attr-defined]


def test_an_unknown_suffix_is_refused_before_sampling(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GAN, "sample_batches", lambda *_, **__: pytest.fail("`sample_batches` was called"))
    assert main(["sample", str(run), "--output", "a.jpg"]) == 2


@pytest.mark.parametrize("output", ["rows.npz", "rows.png"])
def test_interpolate_saves_paths_between_latents(output: str, run: Path) -> None:
    sample(run, "--interpolate", "--count", "20", "--seed", "2", "--output", output)
    model = load(run)
    assert isinstance(model, GAN)
    expected = model.interpolate(3, 8, seed=2)["image"][:20]
    if output.endswith("npz"):
        np.testing.assert_array_equal(array(output), to_uint8(expected).permute(0, 2, 3, 1))
    else:
        np.testing.assert_array_equal(Image.open(output), grid(expected, columns=8))


def test_evaluate_prints_the_scores_that_the_run_saved(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--count", "50", "--k", "3"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((run / "evaluation.json").read_text())
    assert {key: printed[key] for key in ("split", "features", "k", "real", "generated", "weights", "seed")} == {
        "split": "test",
        "features": "pixels",
        "k": 3,
        "real": 50,
        "generated": 50,
        "weights": "EMA",
        "seed": 0,
    }
    assert all(printed[name] >= 0 for name in ("precision", "recall", "density", "coverage"))


@pytest.fixture(scope="module")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run on a folder of images, and rename the folder from `old` to `new`."""
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(256, size=(60, 8, 8, 3), dtype=np.uint8)
    for name, count in (("old", 60), ("fewer", 59)):
        (folder / name).mkdir()
        for i in range(count):
            Image.fromarray(pixels[i]).save(folder / name / f"{i}.png")
    options = (
        f"--run.root {folder} --run.name run --run.max_images 16 --data.root {folder / 'old'} --wandb.mode disabled"
    )
    sizes = "--data.image_size 8 --data.batch_size 8 --data.validation_size 0.2 --data.test_size 0.2"
    few = "--evaluation.count 4 --evaluation.k 1 --samples.count 1"
    assert main(["fit", "--data", "ImageFolder", *options.split(), *sizes.split(), *few.split()]) == 0
    (folder / "old").rename(folder / "new")
    return folder / "run"


@pytest.mark.parametrize("form", ["RUN --data.root DIR", "--data.root=DIR RUN", "--data.root DIR RUN"])
def test_evaluate_finds_data_that_moved(form: str, image_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = form.replace("RUN", str(image_run)).replace("DIR", str(image_run.parent / "new"))
    assert main(["evaluate", *arguments.split(), "--count", "4", "--k", "1"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((image_run / "evaluation.json").read_text())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "does not exist; `--data.root PLACE` names the new place of data that moved"),
        ("--data.root DIR/none", "DIR/none' does not exist; `--data.root PLACE` names"),
        (
            "--data.root DIR/fewer",
            "but the model was trained on",
        ),
        ("--data.root", "`--data.root` needs a value"),
        ("--data.roto DIR/new", "ImageFolder has no option `--data.roto`; did you mean `root`?"),
        ("--data.image_size 16", "`--data.image_size` is not a place: evaluation uses the data of the run"),
    ],
)
def test_other_data_than_the_data_of_the_run_are_refused(
    options: str, message: str, image_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(image_run.parent)
    assert main(["evaluate", str(image_run), "--count", "4", "--k", "1", *options.replace("DIR", folder).split()]) == 2
    err = capsys.readouterr().err
    assert message.replace("DIR", folder) in err
    assert len(err.splitlines()) == 1


def test_evaluate_warns_of_data_that_changed(image_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(image_run.parent / "fewer", image_run.parent / "old")
    try:
        with pytest.warns(
            UserWarning, match=r"ImageFolder has the fingerprint \w{32}, but the model was trained on \w{32}"
        ):
            assert main(["evaluate", str(image_run), "--count", "4", "--k", "1"]) == 0
    finally:
        shutil.rmtree(image_run.parent / "old")


def test_evaluate_scores_another_split(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--count", "200", "--split", "validation"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["split"], printed["real"], printed["generated"], printed["k"]) == ("validation", 137, 200, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sample RUN --count 0", "`--count` must be at least 1, got 0"),
        ("sample RUN --seed -1", "`--seed` must be at least 0, got -1"),
        ("sample RUN --interpolate --seed -1", "`--seed` must be at least 0, got -1"),
        ("sample RUN --output a.jpg", "`--output` must end in .png, .npz or be a folder, got '.jpg' in 'a.jpg'"),
        ("sample RUN --count 200000 --output a.png", "`--count` 200000 makes a grid of 29,570 x 29,504 pixels, too"),
        ("sample RUN --label 3", "`--label` needs a class-conditional model, unlike this DCGAN"),
        ("sample RUN --count many", "--count"),
        ("sample RUN --cuont 3", "--cuont"),
        ("sample nothing", "there is no run folder or checkpoint 'nothing'"),
        ("sample .", "is not a run: it has no checkpoints/last.ckpt"),
        ("sample truncated.ckpt", "'truncated.ckpt' is not a checkpoint"),
        ("sample empty.ckpt", "'empty.ckpt' is not a checkpoint"),
        ("sample text.ckpt", "'text.ckpt' is not a checkpoint"),
        ("sample foreign.ckpt", "'foreign.ckpt' is not a checkpoint of lightning-gans"),
        ("evaluate RUN --count 3", "`--count` must be above `--k` (5), got 3"),
        ("evaluate RUN --k 0", "`--k` must be at least 1, got 0"),
        ("evaluate RUN --seed -1", "seed` must be at least 0, got -1"),
        ("evaluate nothing", "there is no run folder or checkpoint 'nothing'"),
    ],
)
def test_an_error_is_one_line(
    arguments: str, message: str, run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = (run / "checkpoints" / "last.ckpt").read_bytes()
    (folder / "truncated.ckpt").write_bytes(checkpoint[: len(checkpoint) // 2])
    (folder / "empty.ckpt").write_bytes(b"")
    (folder / "text.ckpt").write_text("hello")
    torch.save({"weight": torch.zeros(1)}, folder / "foreign.ckpt")
    before = sorted(folder.rglob("*"))
    assert main(arguments.replace("RUN", str(run)).split()) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert sorted(folder.rglob("*")) == before


def test_a_run_can_be_moved(run: Path, folder: Path) -> None:
    shutil.copytree(run, folder / "moved")
    sample(folder / "moved", "--count", "2", "--output", "a.npz")
    sample(run, "--count", "2", "--output", "b.npz")
    np.testing.assert_array_equal(array("a.npz"), array("b.npz"))
