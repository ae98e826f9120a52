"""Test the commands `sample` and `evaluate` on a small run."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gans.__main__ import main
from lightning_gans.core.gan import GAN
from lightning_gans.core.model import load
from lightning_gans.rendering.images import grid, to_uint8

pytestmark = pytest.mark.xdist_group("commands")  # the tests share a run


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
        assert list(arrays) == ["image"]
        image: np.ndarray = arrays["image"]
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
    assert zipfile.ZipFile("a.npz").namelist() == ["image.npy"]


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
        assert threes["label"].tolist() == [3] * 5
        model: Any = load("runs/classes")
        expected = model.sample(5, condition={"label": torch.full((5,), 3)}, seed=0)["image"]
        np.testing.assert_array_equal(threes["image"], to_uint8(expected).permute(0, 2, 3, 1))
        assert every["image"].shape == (5, 8, 8, 1)
        assert len(set(every["label"].tolist())) > 1
    capsys.readouterr()
    assert main(["sample", "runs/classes", "--label", "11"]) == 2
    assert "`--label` must be from 0 to 9, or -1 where unknown, got [11]" in capsys.readouterr().err


def test_an_unknown_suffix_is_refused_before_sampling(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GAN, "sample", lambda *_, **__: pytest.fail("`sample` was called"))
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
