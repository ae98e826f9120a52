"""Test the toy distributions, their densities and entropies, and `Toy2D`."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
import yaml
from scipy import integrate
from sklearn.datasets import make_moons, make_swiss_roll

from lightning_gans.datamodules import distributions
from lightning_gans.datamodules.distributions import Checkerboard, GaussianMixture, NoisyCurve, grid_centers, two_moons
from lightning_gans.datamodules.toy2d import TOYS, Toy2D, ToyName
from lightning_gans.metrics.energy import energy_distance

NAMES: list[ToyName] = list(get_args(ToyName))


def sample_points(name: str, n: int, seed: int = 0) -> torch.Tensor:
    points, _ = TOYS[name].make().sample(n, np.random.RandomState(seed))
    return points


@pytest.mark.parametrize(
    ("name", "entropy"),
    [
        ("ring", -4.2930),
        ("grid", 0.0653),
        ("eight_gaussians", -3.600),
        ("twenty_five_gaussians", -2.014),
        ("overlapping_gaussians", 2.8316),
        ("two_moons", 1.6775),
        ("checkerboard", math.log(32)),
    ],
)
def test_entropies(name: ToyName, entropy: float) -> None:
    """Reference: independently computed entropies, and the mean of -log p over random points."""
    distribution = TOYS[name].make()
    assert distribution.entropy == pytest.approx(entropy, abs=5e-4)
    nll = -distribution.log_prob(sample_points(name, 20_000))
    assert nll.mean().item() == pytest.approx(entropy, abs=4 * nll.std().item() / math.sqrt(20_000) + 5e-4)


@pytest.mark.parametrize("name", NAMES)
def test_densities_integrate_to_one(name: ToyName) -> None:
    """Integrate on a grid: of spacing sigma / 4 around each mode of a mixture, otherwise over the whole support."""
    distribution = TOYS[name].make()
    if isinstance(distribution, GaussianMixture) and name != "overlapping_gaussians":
        side = distribution.sigma * torch.arange(-8, 8.01, 0.25, dtype=torch.float64)
        cell = torch.cartesian_prod(side, side)
        points, area = (distribution.centers[:, None] + cell).flatten(0, 1), (0.25 * distribution.sigma) ** 2
    else:
        side_length, step = {
            "overlapping_gaussians": (14.0, 0.1),
            "checkerboard": (10.0, 0.04),
            "two_moons": (8.0, 0.1),
            "swiss_roll": (4.4, 0.032),
        }[name]
        side = torch.arange(-side_length / 2, side_length / 2, step, dtype=torch.float64) + step / 2
        points, area = torch.cartesian_prod(side, side), step**2
    assert distribution.log_prob(points).exp().sum().item() * area == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["swiss_roll", "two_moons"])
def test_the_density_of_a_noisy_curve_is_the_integral(name: str) -> None:
    """Reference: adaptive quadrature, at points on the curve, at its ends and away from it."""
    distribution = TOYS[name].make()
    assert isinstance(distribution, NoisyCurve)
    curves = distribution.curves(torch.tensor([0.0, 1e-3, 0.37, 1.0], dtype=torch.float64))
    points = torch.cat([curves[:, 0], curves[:, -1] + 1.3 * distribution.sigma])
    for point, log_prob in zip(points, distribution.log_prob(points), strict=True):

        def density(t: float, curve: int, point: torch.Tensor = point) -> float:
            position = distribution.curves(torch.tensor([t], dtype=torch.float64))[0, curve]
            squared = (position - point).square().sum().item() / (2 * distribution.sigma**2)
            return math.exp(-squared) / (2 * math.pi * distribution.sigma**2)

        pieces = np.linspace(0, 1, 21)
        total = sum(
            integrate.quad(density, start, end, args=(curve,), epsabs=1e-9, epsrel=1e-9)[0]
            for curve in range(distribution.num_classes)
            for start, end in pairwise(pieces)
        )
        assert log_prob.item() == pytest.approx(math.log(total / distribution.num_classes), abs=1e-6)


@pytest.mark.parametrize("name", ["swiss_roll", "two_moons"])
def test_the_quadrature_has_enough_nodes_everywhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With too few nodes the density would oscillate between nodes, most where their distance is largest."""
    distribution = TOYS[name].make()
    assert isinstance(distribution, NoisyCurve)
    gaps = (distribution.nodes[1:] - distribution.nodes[:-1]).norm(dim=-1).max().item()
    assert gaps < 1.05 * distribution.sigma
    points = distribution.curves(torch.linspace(0.66, 0.71, 100, dtype=torch.float64)).flatten(0, 1)
    log_prob = distribution.log_prob(points)
    monkeypatch.setattr(distributions, "NODES", 1500)
    torch.testing.assert_close(log_prob, TOYS[name].make().log_prob(points), rtol=0, atol=1e-7)


def test_the_swiss_roll_and_the_two_moons_equal_those_of_scikit_learn() -> None:
    """Compare distributions by the energy distance of 3,000 points: 0.0003 if they are equal, 0.01 if shifted."""
    roll = make_swiss_roll(3000, noise=0.25, random_state=0)[0][:, [0, 2]] / 7.5
    moons = make_moons(3000, noise=0.2, random_state=0)[0]
    for name, reference in (("swiss_roll", roll), ("two_moons", moons)):
        assert abs(energy_distance(sample_points(name, 3000), torch.from_numpy(reference)).item()) < 3e-3


def test_the_checkerboard_has_eight_dark_squares() -> None:
    points, label = Checkerboard().sample(4000, np.random.RandomState(0))
    squares = torch.stack([(points[:, 0] / 2).floor(), (points[:, 1] / 2).floor()], 1)
    assert (squares.sum(1) % 2 == 0).all()
    assert len(torch.unique(squares, dim=0)) == 8
    assert all(len(torch.unique(squares[label == k], dim=0)) == 1 for k in range(8))
    outside = torch.tensor([[5.0, 5.0], [-5.0, 1.0], [4.0, 4.0]])
    assert Checkerboard().log_prob(outside).tolist() == [-math.inf] * 3


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_the_components(name: ToyName) -> None:
    data = Toy2D(name=name, count=2000, validation_size=0)
    batch = data.examples("train")
    assert data.num_classes == data.distribution.num_classes
    assert set(batch["label"].tolist()) == set(range(data.distribution.num_classes))
    if isinstance(data.distribution, GaussianMixture):
        nearest = torch.cdist(data.unscale(batch["image"]), data.distribution.centers).argmin(1)
        # at a distance of 6.1 sigma 0.2 % of the points are beyond the midpoint
        overlap = 0.005 if name == "overlapping_gaussians" else 0.0
        assert (nearest != batch["label"]).double().mean().item() <= overlap


@pytest.mark.parametrize("name", NAMES)
def test_points_are_scaled_to_about_one_and_unscale_inverts_it(name: ToyName) -> None:
    data = Toy2D(name=name, count=5000, validation_size=0)
    image = data.examples("train")["image"]
    assert image.dtype == torch.float32
    assert 0.5 < image.abs().max() < 1.3
    points, _ = data.distribution.sample(5000, np.random.RandomState(0))
    torch.testing.assert_close(data.unscale(points / data.scale), points)


@pytest.mark.parametrize("name", ["ring", "grid", "checkerboard"])
def test_the_entropy_is_in_scaled_units(name: ToyName) -> None:
    data = Toy2D(name=name, count=20_000, validation_size=0)
    nll = -data.log_prob(data.examples("train")["image"])
    assert data.entropy == pytest.approx(nll.mean().item(), abs=0.03)


def test_the_points_depend_only_on_the_name_and_the_seed() -> None:
    def points(**options: Any) -> torch.Tensor:
        return Toy2D(**{"name": "grid", "count": 100, "validation_size": 10, "batch_size": 5, **options}).examples(
            "train"
        )["image"]

    assert torch.equal(points(), points(batch_size=7))
    assert not torch.equal(points(), points(seed=1))
    assert not torch.equal(points(), points(name="ring"))


def test_the_default_splits_have_95_000_and_5_000_and_10_000_points() -> None:
    assert Toy2D().sizes == {"train": 95_000, "validation": 5000, "test": 10_000}


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25), ("swiss_roll", None)])
def test_scores_are_computed_in_the_units_of_the_data(name: ToyName, modes: int | None) -> None:
    data = Toy2D(name=name)
    scores = data.scores(lambda n: data.sample_batch(n, np.random.RandomState(5))["image"])
    assert abs(scores["energy_distance"]) < 0.01
    if modes is None:
        assert list(scores) == ["energy_distance"]
    else:
        assert scores["modes"] == modes
        assert scores["high_quality"] == pytest.approx(0.9889, abs=0.009)
        assert scores["reverse_kl"] < 0.02
    shrunken = data.scores(lambda n: 0.5 * data.sample_batch(n, np.random.RandomState(5))["image"])
    assert shrunken["energy_distance"] > 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "spiral"}, "`name` must be one of ring, grid, .*, got 'spiral'"),
        ({"count": 0}, "`count` must be at least 1, got 0"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Toy2D(**options)


def test_distributions_refuse_a_sigma_of_zero() -> None:
    for make in (lambda: GaussianMixture(grid_centers(), sigma=0), lambda: NoisyCurve(two_moons().curves, sigma=0)):
        with pytest.raises(ValueError, match="`sigma` must be above 0, got 0"):
            make()


def test_an_integrated_entropy_equals_the_closed_form() -> None:
    """Two components slightly too close for the closed form, at 11 sigma; two components with the same center."""
    close = GaussianMixture(torch.tensor([[0.0, 0.0], [1.1, 0.0]]), sigma=0.1)
    assert close.entropy == pytest.approx(math.log(2) + math.log(2 * math.pi * math.e * 0.01), abs=1e-6)
    center = GaussianMixture(torch.zeros(2, 2), sigma=0.3)
    assert center.entropy == pytest.approx(math.log(2 * math.pi * math.e * 0.09), abs=1e-9)


def test_the_recipes_have_the_settings_of_the_benchmark() -> None:
    mixtures = pytest.importorskip("mixtures")
    folder = Path(__file__).resolve().parents[1] / "configs"
    for data in ("ring", "grid"):
        recipe = yaml.safe_load((folder / f"r3gan_{data}.yaml").read_text())
        gan = mixtures.make_model("R3GAN", recipe["run"]["max_images"])
        model = recipe["model"]["init_args"]
        assert model["gamma"]["init_args"] == pytest.approx(gan.gamma.init_args | {"start": 0.1}, rel=1e-2)
        assert model["ema_half_life"]["init_args"] == pytest.approx(gan.ema.half_life.init_args)
        assert (model["latent_dim"], recipe["data"]["init_args"]["batch_size"]) == (2, mixtures.BATCH_SIZE)
        for player in ("generator", "discriminator"):
            assert model[player]["init_args"]["width"] == mixtures.WIDTH
            (group,) = [
                optimizer.param_groups[0]
                for optimizer, name in zip(gan.configure_optimizers(), ("generator", "discriminator"), strict=True)
                if name == player
            ]
            settings = model[f"{player}_optimizer"]["init_args"]
            assert {**settings, "betas": tuple(settings["betas"])}.items() <= group.items()
