"""Test the commands `predict` and `attack`, and the measures of robustness, on small runs."""

import csv
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from lightning_gans.__main__ import main
from lightning_gans.core.classification import DiscriminatorClassifier
from lightning_gans.core.model import load
from lightning_gans.datamodules import Digits
from lightning_gans.models import MADE, Classifier
from lightning_gans.objectives.attacks import project
from lightning_gans.rendering.curves import SIZE, line_chart
from lightning_gans.robustness import Attacks, Target, accuracies, masking_check, transfer

ATTACKS = Attacks(norm=math.inf, steps=5, restarts=1, seed=0)
FAST = ["--eps", "0.3", "--steps", "3", "--count", "40"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a classifier naturally and adversarially, a semi-supervised GAN, a DCGAN and a density model."""
    folder = tmp_path_factory.mktemp("runs")
    classifier = "Classifier --model.network.width 4 --model.network.hidden 32 --model.optimizer.lr 0.01"
    models = {
        "natural": f"{classifier} --run.max_images 6000",
        "adversarial": f"{classifier} --model.adversarial_weight 0.5 --model.eps 0.3 --run.max_images 6000",
        "semi": "SemiSupervisedGAN --model.generator.width 8 --model.classifier.hidden [8] --run.max_images 128",
        "dcgan": "DCGAN --model.generator.width 4 --model.discriminator.width 4 --run.max_images 128",
        "made": "MADE --model.network.hidden [4] --run.max_images 128",
    }
    common = f"--run.root {folder} --wandb.mode disabled --evaluation.count 20 --samples.count 4"
    for name, options in models.items():
        assert main(["fit", "--model", *options.split(), *common.split(), "--run.name", name]) == 0
    return folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# predict


@pytest.mark.parametrize("name", ["natural", "semi"])
def test_predict_writes_the_probabilities_of_the_loaded_model(
    name: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(runs / name)]) == 0
    assert main(["predict", str(runs / name), "--split", "validation", "--output", "p.npz"]) == 0
    assert "360 predictions of " in capsys.readouterr().out
    model, data = load(runs / name), Digits()
    with np.load("p.npz") as arrays:
        expected = model.probabilities(data.examples("validation")["image"])  # type: ignore[operator]
        np.testing.assert_allclose(arrays["probabilities"], expected, rtol=1e-5)
        np.testing.assert_array_equal(arrays["prediction"], expected.argmax(1))
        np.testing.assert_array_equal(arrays["label"], data.examples("validation")["label"])
    with Path("predictions.csv").open() as file:
        head, *rows = csv.reader(file)
    test = data.examples("test")
    assert head == ["index", "label", "prediction", *"0123456789"]
    assert [int(row[1]) for row in rows] == test["label"].tolist()
    assert [int(row[2]) for row in rows] == model.predict(test["image"]).tolist()  # type: ignore[operator]
    assert all(sum(map(float, row[3:])) == pytest.approx(1, abs=1e-4) for row in rows)


# attack


def test_attack_writes_a_report_of_several_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(runs / name) for name in ("natural", "adversarial")]
    assert main(["attack", *paths, "--eps", "0.1", "0.3", "--steps", "5", "--count", "100"]) == 0
    report = json.loads(Path("attack/attack.json").read_text())
    assert report["eps"] == [0.0, 0.1, 0.3]
    assert report["images"] == {"natural": 100, "adversarial": 100}
    for values in report["accuracy"].values():
        assert values == sorted(values, reverse=True)
    clean = load(paths[0]).scores(Digits().examples("test", 100))["accuracy"]
    assert report["accuracy"]["natural"][0] == pytest.approx(clean)
    # adversarial training trades clean accuracy for robust accuracy
    assert report["accuracy"]["adversarial"][2] > report["accuracy"]["natural"][2] + 0.1
    assert set(report["transfer"]["natural"]) == {"adversarial"}
    assert report["transfer"]["natural"]["adversarial"] > report["accuracy"]["natural"][2]
    printed = capsys.readouterr().out
    assert "| accuracy | eps 0 | eps 0.1 | eps 0.3 |" in printed
    assert "natural at eps 0.3: fgsm" in printed
    assert Path("attack/attack.md").read_text() in printed
    for name in ("curve", "examples-natural", "examples-adversarial"):
        assert Image.open(f"attack/{name}.png").size[0] > 300


def test_the_discriminator_of_a_gan_is_attacked_as_a_classifier(runs: Path) -> None:
    assert main(["attack", str(runs / "dcgan"), *FAST]) == 0
    report = json.loads(Path("attack/attack.json").read_text())
    assert report["images"] == {"dcgan": 80}
    assert 0 <= report["accuracy"]["dcgan"][1] <= report["accuracy"]["dcgan"][0] <= 1
    assert Path("attack/examples-dcgan.png").is_file()


def test_the_l2_norm_is_an_option(runs: Path) -> None:
    assert main(["attack", str(runs / "semi"), *FAST, "--norm", "2", "--output", "l2"]) == 0
    report = json.loads(Path("l2/attack.json").read_text())
    assert report["norm"] == 2
    assert set(report["masking"]["semi"]) == {"images", "pgd", "stronger_pgd", "masked"}


def test_a_report_is_logged_to_wandb_on_request(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, Any] = {}
    run = SimpleNamespace(log=logged.update, finish=lambda: logged.update(finished=True))
    fake = SimpleNamespace(
        init=lambda **options: logged.update(options) or run,
        Table=lambda columns, data: data,
        Image=lambda image: image.shape,
    )
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr("lightning_gans.attack_command.read_setting", lambda name: None)
    monkeypatch.setattr("lightning_gans.attack_command.resolve_mode", lambda: "offline")
    assert main(["attack", str(runs / "natural"), *FAST, "--wandb"]) == 0
    assert logged["job_type"] == "attack"
    assert [row[:2] for row in logged["attack/accuracy"]] == [["natural", 0.0], ["natural", 0.3]]
    assert {"attack/curve", "attack/examples-natural", "finished"} <= set(logged)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("predict {}/dcgan", "`predict` needs a classifier; DCGAN predicts no classes"),
        ("predict {}/natural --output x.txt", "`--output` must end in .csv or .npz, got 'x.txt'"),
        ("predict {}/natural --output no/x.csv", "`--output` 'no/x.csv' cannot be written: No such file"),
        ("predict {}/missing", "there is no run folder or checkpoint"),
        ("attack {}/natural {}/missing", "there is no run folder or checkpoint"),
        ("attack {}/made", "has no discriminator"),
        ("attack {}/natural {}/dcgan --count 5", "the runs must have images of the same shape and the same classes"),
        ("attack {}/natural --eps -1", "`--eps` must be radii of at least 0, not only 0, got [-1.0]"),
        ("attack {}/natural --eps 0", "`--eps` must be radii of at least 0, not only 0, got [0.0]"),
        ("attack {}/natural --steps 0", "`--steps` must be at least 1, got 0"),
        ("attack {}/natural --norm 1", "argument --norm: invalid choice: '1'"),
        ("attack {}/natural --seed -1", "`--seed` must be at least 0, got -1"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    command: str, text: str, runs: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.replace("{}", str(runs)).split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert text in error
    assert list(folder.iterdir()) == []


# Robustness


class Sign(nn.Module):
    """Classify points by the sign of their first coordinate; a step function would have no gradient."""

    def __init__(self, image_shape: tuple[int, ...], num_classes: int, *, is_masked: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.is_masked = is_masked

    def forward(self, points: Tensor) -> Tensor:
        logit = self.scale * points[:, 0]
        if self.is_masked:  # same predictions, no gradient except from beyond 0.5
            logit = logit.detach() + torch.relu(logit.abs() - 0.5) * logit.sign()
        return torch.stack([-logit, logit], 1)


def make_target(*, is_masked: bool) -> Target:
    def network(image_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return Sign(image_shape, num_classes, is_masked=is_masked)

    model = Classifier(image_shape=(2,), num_classes=2, network=network)
    image = torch.linspace(-1, 1, 200).unsqueeze(1).expand(-1, 2)
    return Target(model, image, (image[:, 0] > 0).long(), ("negative", "positive"))


@pytest.mark.parametrize("eps", [0.0, 0.25, 0.5])
def test_the_robust_accuracy_of_a_sign_is_the_share_of_points_beyond_eps(eps: float) -> None:
    (accuracy,) = accuracies(make_target(is_masked=False), [eps], ATTACKS)
    assert accuracy == pytest.approx(1 - eps, abs=0.01)


def test_examples_of_another_model_reveal_masked_gradients() -> None:
    plain, masked = make_target(is_masked=False), make_target(is_masked=True)
    own = accuracies(masked, [0.25], ATTACKS)[0]
    transferred = transfer({"plain": plain, "masked": masked}, 0.25, ATTACKS)
    assert transferred["masked"]["plain"] == pytest.approx(0.75, abs=0.01)
    assert own > transferred["masked"]["plain"] + 0.04


def test_a_weak_attack_is_reported_by_the_stronger_one() -> None:
    target = make_target(is_masked=False)
    assert not masking_check(target, 0.25, ATTACKS)["masked"]
    weak = Attacks(norm=2, steps=1, restarts=1, seed=0)
    model = target.model
    check = masking_check(Target(model, target.image, target.label, target.class_names), 0.25, weak)
    assert check["stronger_pgd"] <= check["pgd"]
    assert check["images"] == 200


def test_perturbed_images_are_within_the_ball_in_chunks() -> None:
    model = Classifier(image_shape=(1, 8, 8), num_classes=10)
    image = torch.rand(1100, 1, 8, 8) * 2 - 1
    target = Target(model.train(), image, torch.arange(1100) % 10, ())
    perturbed = ATTACKS.perturb(target, 0.1)
    torch.testing.assert_close(project(perturbed, image, 0.1), perturbed)
    assert model.training
    assert torch.equal(perturbed, ATTACKS.perturb(target, 0.1))


def test_a_model_without_a_discriminator_is_refused() -> None:
    with pytest.raises(ValueError, match="MADE has no discriminator"):
        DiscriminatorClassifier(MADE(image_shape=(1, 2, 2), levels=2))


def test_a_line_chart_draws_each_curve_in_its_color_and_at_its_height() -> None:
    chart = line_chart([0.0, 1.0], {"high": [1.0, 1.0], "low": [0.0, 0.0]}, x_label="eps", y_label="accuracy")
    assert chart.shape[1] == SIZE[0]
    blue, red = (np.argwhere((chart == color).all(2))[:, 0] for color in ((31, 119, 180), (214, 39, 40)))
    assert blue.min() < red.min()  # rows count from the top
