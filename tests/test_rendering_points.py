"""Points in the plane: what is drawn where, and that a run shows them."""

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
from lightning_gans.rendering.points import EXTENT, FIELD, LINE, SAMPLE, SIZE, TRUTH, WHITE, Scatter, mesh, scatter


def is_color(image: np.ndarray, color: np.ndarray) -> np.ndarray:
    return (image == color).all(2)


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (-1.2, 0.4), (1.0, -1.0)])
def test_a_point_is_drawn_where_it_is(x: float, y: float) -> None:
    rows, columns = np.nonzero(is_color(scatter(torch.tensor([[x, y]])), SAMPLE))
    pixel = 2 * EXTENT / SIZE
    assert len(rows) == 4
    assert (columns.mean() + 0.5) * pixel - EXTENT == pytest.approx(x, abs=1.5 * pixel)
    assert EXTENT - (rows.mean() + 0.5) * pixel == pytest.approx(y, abs=1.5 * pixel)


def test_points_outside_are_left_out() -> None:
    points = torch.tensor([[EXTENT + 0.1, 0.0], [0.0, -9.0], [-EXTENT - 0.02, 0.0]])
    assert (scatter(points) == WHITE).all()


def test_the_density_is_dark_where_it_is_dense() -> None:
    data = Toy2D(name="checkerboard", count=300)
    image = scatter(torch.zeros(0, 2), density=data.log_prob(mesh(SIZE)).view(SIZE, SIZE))
    dark = is_color(image, TRUTH)
    assert dark.sum() * (2 * EXTENT / SIZE) ** 2 == pytest.approx(2.0, rel=0.02)  # half of [-1, 1]^2
    assert (dark | is_color(image, WHITE)).all()
    assert dark[int(SIZE * 0.8), int(SIZE * 0.2)]  # the square at (-1, -1)


def test_level_lines_of_a_slope_are_upright_and_evenly_spaced() -> None:
    lines = is_color(scatter(torch.zeros(0, 2), rating=mesh(FIELD)[:, 0].view(FIELD, FIELD)), LINE)
    assert (lines == lines[0]).all()
    places = np.nonzero(lines[0])[0]
    gaps = np.diff(places[places < SIZE - 8])
    assert gaps.max() - gaps.min() <= 1


def test_a_flat_discriminator_has_no_lines() -> None:
    assert (scatter(torch.zeros(0, 2), rating=torch.ones(FIELD, FIELD)) == WHITE).all()


def test_the_discriminator_is_asked_without_its_dropout_and_left_as_it_was() -> None:
    game = VanillaGAN(image_shape=(2,), generator=PointGenerator, discriminator=MaxoutDiscriminator).train()
    before = torch.get_rng_state()
    show = Scatter(None)
    assert (show.of(game, seed=0) == show.of(game, seed=0)).all()
    assert torch.equal(before, torch.get_rng_state())
    assert game.discriminator.training


def test_a_run_shows_points_and_scores_them(
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
    assert is_color(np.asarray(Image.open(run / "real.png")), SAMPLE).sum() > 500

    assert main(["sample", "runs/x", "--count", "20", "--output", "points.npz"]) == 0
    assert np.load("points.npz")["image"].shape == (20, 2)
    assert main(["sample", "runs/x", "--count", "20", "--output", "points.png"]) == 0
    assert Image.open("points.png").size == (SIZE, SIZE)
    assert main(["sample", "runs/x", "--count", "20", "--output", "folder"]) == 2
    assert "`--output` of points must end in .npz" in capsys.readouterr().err


def test_points_want_a_generator_of_points() -> None:
    with pytest.raises(ValueError, match=r"`image_shape` must be that of points, \(dimensions,\), got \(1, 8, 8\)"):
        PointGenerator(2, (1, 8, 8))
    game = R3GAN(image_shape=(3,), generator=PointGenerator, discriminator=MLPDiscriminator, latent_dim=2)
    assert game.sample(4, seed=0)["image"].shape == (4, 3)
