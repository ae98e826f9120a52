"""Test the scatter plots of points in the plane, and their use in a run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gans.__main__ import main
from lightning_gans.datamodules import Toy2D
from lightning_gans.models import R3GAN, VanillaGAN
from lightning_gans.networks import MaxoutDiscriminator, MLPDiscriminator, PointGenerator
from lightning_gans.rendering.points import (
    BACKGROUND_COLOR,
    CONTOUR_COLOR,
    DENSITY_COLOR,
    EXTENT,
    POINT_COLOR,
    SCORE_SIZE,
    SIZE,
    ScatterPlot,
    pixel_centers,
    scatter,
)


def is_color(image: np.ndarray, color: np.ndarray) -> np.ndarray:
    return (image == color).all(2)


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (-1.2, 0.4), (1.0, -1.0)])
def test_a_point_is_plotted_at_its_coordinates(x: float, y: float) -> None:
    rows, columns = np.nonzero(is_color(scatter(torch.tensor([[x, y]])), POINT_COLOR))
    pixel = 2 * EXTENT / SIZE
    assert len(rows) == 4
    assert (columns.mean() + 0.5) * pixel - EXTENT == pytest.approx(x, abs=1.5 * pixel)
    assert EXTENT - (rows.mean() + 0.5) * pixel == pytest.approx(y, abs=1.5 * pixel)


def test_points_outside_the_plot_are_omitted() -> None:
    points = torch.tensor([[EXTENT + 0.1, 0.0], [0.0, -9.0], [-EXTENT - 0.02, 0.0]])
    assert (scatter(points) == BACKGROUND_COLOR).all()


def test_the_density_is_shaded_where_it_is_high() -> None:
    data = Toy2D(name="checkerboard", count=300)
    image = scatter(torch.zeros(0, 2), log_density=data.log_prob(pixel_centers(SIZE)).view(SIZE, SIZE))
    dark = is_color(image, DENSITY_COLOR)
    assert dark.sum() * (2 * EXTENT / SIZE) ** 2 == pytest.approx(2.0, rel=0.02)  # half of [-1, 1]^2
    assert (dark | is_color(image, BACKGROUND_COLOR)).all()
    assert dark[int(SIZE * 0.8), int(SIZE * 0.2)]  # the square at (-1, -1)


def test_contour_lines_of_a_linear_score_are_vertical_and_evenly_spaced() -> None:
    score = pixel_centers(SCORE_SIZE)[:, 0].view(SCORE_SIZE, SCORE_SIZE)
    lines = is_color(scatter(torch.zeros(0, 2), score=score), CONTOUR_COLOR)
    assert (lines == lines[0]).all()
    columns = np.nonzero(lines[0])[0]
    gaps = np.diff(columns[columns < SIZE - 8])
    assert gaps.max() - gaps.min() <= 1


def test_a_constant_score_has_no_contour_lines() -> None:
    assert (scatter(torch.zeros(0, 2), score=torch.ones(SCORE_SIZE, SCORE_SIZE)) == BACKGROUND_COLOR).all()


def test_the_score_is_computed_in_evaluation_mode_and_the_model_is_unchanged() -> None:
    gan = VanillaGAN(image_shape=(2,), generator=PointGenerator, discriminator=MaxoutDiscriminator).train()
    before = torch.get_rng_state()
    plot = ScatterPlot(None)
    assert (plot.samples(gan, seed=0) == plot.samples(gan, seed=0)).all()
    assert torch.equal(before, torch.get_rng_state())
    assert gan.discriminator.training


def test_a_run_plots_points_and_scores_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = "--run.name x --run.max_images 512 --samples.every 256 --data.count 3000 --data.validation_size 100"
    assert main(["fit", "--config", "r3gan_ring", *options.split(), "--evaluation.count", "50"]) == 0
    run = Path("runs/x")
    assert {"modes", "high_quality", "reverse_kl", "energy_distance"} <= set(
        json.loads((run / "evaluation.json").read_text())
    )
    assert "reverse_kl" in capsys.readouterr().out
    for file in ("real.png", "samples/000000k.png", "samples/000000512.png", "training.gif"):
        assert Image.open(run / file).size == (SIZE, SIZE)
    assert is_color(np.asarray(Image.open(run / "real.png")), POINT_COLOR).sum() > 500

    assert main(["sample", "runs/x", "--count", "20", "--output", "points.npz"]) == 0
    assert np.load("points.npz")["image"].shape == (20, 2)
    assert main(["sample", "runs/x", "--count", "20", "--output", "points.png"]) == 0
    assert Image.open("points.png").size == (SIZE, SIZE)
    assert main(["sample", "runs/x", "--count", "20", "--output", "folder"]) == 2
    assert "`--output` of points must end in .npz" in capsys.readouterr().err


def test_a_generator_of_points_refuses_an_image_shape() -> None:
    with pytest.raises(
        ValueError, match=r"PointGenerator works on points \(dimensions,\), got `image_shape` \(1, 8, 8\)"
    ):
        PointGenerator(2, (1, 8, 8))
    gan = R3GAN(image_shape=(3,), generator=PointGenerator, discriminator=MLPDiscriminator, latent_dim=2)
    assert gan.sample(4, seed=0)["image"].shape == (4, 3)
