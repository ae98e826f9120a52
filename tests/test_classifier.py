"""Test the classifier: loss, predictions, accuracy, checkpoints and a run of the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import CASES, Case, images
from conftest import Fit, Record
from torch import nn
from torch.nn import functional as F

from lightning_gans.__main__ import main
from lightning_gans.callbacks import Evaluation
from lightning_gans.core.model import load
from lightning_gans.core.schedules import Linear
from lightning_gans.models import Classifier
from lightning_gans.networks.classifier import ConvClassifier
from lightning_gans.objectives.attacks import pgd
from lightning_gans.types import Batch

CASE = next(case for case in CASES if case.model is Classifier)


def linear(image_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return nn.Linear(image_shape[0], num_classes)


POINTS = Case("points", Classifier, (3,), {"num_classes": 3, "network": linear})


class Identity(nn.Module):
    """Return the coordinates of a point as the logits of its classes."""

    def __init__(self, image_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return self.scale * points


def make_identity() -> Classifier:
    return Classifier(image_shape=(3,), num_classes=3, network=Identity)


def batch_of(labels: list[int]) -> Batch:
    return {"image": images((3,), len(labels)).double(), "label": torch.tensor(labels)}


def test_the_loss_is_the_cross_entropy_of_the_labeled_examples() -> None:
    batch = batch_of([2, -1, 0, 1, -1])
    terms = make_identity().double().model_loss(batch)
    entropies = [
        -(point[label] - point.exp().sum().log())
        for point, label in zip(batch["image"], batch["label"].tolist(), strict=True)
        if label >= 0
    ]
    assert list(terms) == ["cross_entropy"]
    torch.testing.assert_close(terms["cross_entropy"], torch.stack(entropies).mean())


def test_the_loss_of_a_batch_without_labels_is_zero() -> None:
    model = make_identity().double()
    loss = model.model_loss(batch_of([-1, -1]))["cross_entropy"]
    loss.backward()
    assert loss == 0
    assert model.network.scale.grad == 0


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_the_adversarial_weight_trades_the_natural_for_the_adversarial_loss(weight: float) -> None:
    model = Classifier(
        image_shape=(3,), num_classes=3, network=Identity, adversarial_weight=weight, eps=0.2, attack_steps=40
    )
    batch: Batch = {"image": images((3,), 4) * 0.5, "label": torch.tensor([2, -1, 0, 1])}
    terms = model.model_loss(batch)
    # the worst change of a linear classifier lowers the true coordinate and raises the others
    change = 0.4 * F.one_hot(batch["label"].clamp(min=0), 3) - 0.2
    natural, adversarial = (
        F.cross_entropy(image, batch["label"], ignore_index=-1) for image in (batch["image"], batch["image"] - change)
    )
    torch.testing.assert_close(terms["adversarial"], weight * adversarial)
    assert ("cross_entropy" in terms) == (weight < 1)
    if weight < 1:
        torch.testing.assert_close(terms["cross_entropy"], (1 - weight) * natural)


def test_the_attack_of_training_is_fgsm_with_a_random_start_or_pgd_within_the_scheduled_ball() -> None:
    schedule = Linear(0.0, 0.5, images=100)
    for steps in (1, 3):
        model = CASE.make(adversarial_weight=1.0, eps=schedule, attack_steps=steps).train()
        image = images((1, 8, 8), 6)
        assert torch.equal(model._attack(image, torch.arange(6)), image)  # eps is 0 at first
        model.images_seen = 50
        torch.manual_seed(0)
        perturbed = model._attack(image, torch.arange(6))
        torch.manual_seed(0)
        step_size = 1.25 * 0.25 if steps == 1 else None
        options: dict[str, Any] = {"eps": 0.25, "steps": steps, "step_size": step_size}
        expected = pgd(model.network, image, torch.arange(6), generator=torch.default_generator, **options)
        torch.testing.assert_close(perturbed, expected)
        assert model.network.training


def test_the_prediction_is_the_largest_logit_and_the_accuracy_counts_labeled_examples() -> None:
    image = torch.tensor([[0.0, 0.5, 0.1], [0.9, 0.5, 0.1], [0.0, 0.1, 0.2], [0.3, 0.2, 0.1]])
    model = make_identity()
    assert model.predict(image).tolist() == [1, 0, 2, 0]
    assert model.scores({"image": image, "label": torch.tensor([1, 0, 1, -1])}) == {"accuracy": pytest.approx(2 / 3)}


def test_examples_without_labels_have_no_accuracy() -> None:
    assert make_identity().scores({"image": images((3,), 2), "label": torch.tensor([-1, -1])}) == {}


def test_images_are_classified_in_chunks_and_training_modes_are_unchanged() -> None:
    model = CASE.make()
    model.network.train()
    model.network.features.eval()
    image = images((1, 8, 8), 1203)
    predicted = model.predict(image)
    assert predicted.shape == (1203,)
    torch.testing.assert_close(model.logits(image[1200:]), model.network(image[1200:]).detach())
    assert torch.equal(predicted[1200:], model.predict(image[1200:]))
    assert model.network.training
    assert not model.network.features.training


def test_training_raises_and_logs_the_accuracy(fit: Fit, record: Record) -> None:
    model = POINTS.make(optimizer=lambda weights: torch.optim.SGD(weights, lr=1.0))
    image = images((3,), 64)
    batch: Batch = {"image": image, "label": image.argmax(1)}
    with pytest.warns(UserWarning, match="cannot record `network` and `optimizer`"):
        fit(model, [batch] * 4, max_steps=40, logger=record, log_every_n_steps=20)
    assert record.steps == [20, 40]
    first, last = (row for _, row in record.rows)
    assert {"model/loss", "model/cross_entropy", "model/accuracy", "model/gradient_norm", "model/learning_rate"} <= set(
        last
    )
    assert last["model/loss"] < first["model/loss"]
    assert last["model/accuracy"] > 0.9
    assert last["images_seen"] == model.images_seen == 40 * 64


def test_every_weight_is_updated_and_batches_and_images_are_counted(fit: Fit) -> None:
    model = CASE.make()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    trainer = fit(model, [CASE.batch()] * 3, max_steps=3)
    assert [name for name, weight in model.named_parameters() if torch.equal(weight, before[name])] == []
    assert (model.images_seen, model.batches_seen, trainer.global_step) == (24, 3, 3)


def test_accumulating_over_parts_equals_training_on_the_complete_batch(fit: Fit) -> None:
    complete, accumulated = CASE.make().double(), CASE.make(accumulate_grad_batches=4).double()
    for model in (complete, accumulated):
        fit(model, [CASE.batch()], max_steps=3, precision="64-true")
    for expected, weight in zip(complete.parameters(), accumulated.parameters(), strict=True):
        torch.testing.assert_close(weight, expected)


def test_a_loss_that_is_nan_is_named_with_its_example(fit: Fit) -> None:
    batch = CASE.batch()
    batch["image"][3] = torch.nan
    with pytest.raises(ArithmeticError, match=r"`cross_entropy` of the model's loss is nan: .*`image`, example 3"):
        fit(CASE.make(), [batch], max_steps=1)


def test_a_classifier_is_loaded_from_a_checkpoint_alone(fit: Fit, tmp_path: Path) -> None:
    model = CASE.make()
    fit(model, [CASE.batch()], max_steps=2).save_checkpoint(tmp_path / "model.ckpt")
    loaded = load(tmp_path / "model.ckpt")
    assert isinstance(loaded, Classifier)
    image = images((1, 8, 8), 20)
    assert torch.equal(loaded.logits(image), model.logits(image))
    assert loaded.images_seen == 16


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"num_classes": 0}, "`num_classes` must be at least 1, got 0"),
        ({"num_classes": None}, "`num_classes` is None: the data have no classes"),
        ({"image_shape": (2,)}, r"ConvClassifier works on images .* got `image_shape` \(2,\)"),
        ({"image_shape": (1, 3, 8)}, r"needs images of at least 4 x 4 pixels, got `image_shape` \(1, 3, 8\)"),
        ({"accumulate_grad_batches": 0}, "`accumulate_grad_batches` must be at least 1, got 0"),
        ({"gradient_clip_val": 0.0}, "`gradient_clip_val` must be above 0"),
        ({"adversarial_weight": 1.5}, r"`adversarial_weight` must be a probability in \[0, 1\], got 1.5"),
        ({"eps": -0.1}, "`eps` must be at least 0, got -0.1"),
        ({"attack_steps": 0}, "`attack_steps` must be at least 1, got 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Classifier(**{"image_shape": (1, 8, 8), "num_classes": 10, **arguments})


def test_a_monitor_that_needs_samples_is_refused(fit: Fit) -> None:
    with pytest.raises(ValueError, match="`monitor` is coverage, but a Classifier does not generate samples"):
        fit(
            Classifier(image_shape=(1, 8, 8), num_classes=3),
            [],
            max_steps=1,
            callbacks=[Evaluation(monitor="coverage")],
        )


def test_a_label_beyond_the_classes_is_refused(fit: Fit) -> None:
    with pytest.raises(ValueError, match="`num_classes` is 2, but the data have the label 2"):
        fit(POINTS.make(num_classes=2), [{"image": images((3,), 3), "label": torch.arange(3)}], max_steps=1)


def test_the_network_has_the_published_sizes() -> None:
    """Reference: conv 32, pool, conv 64, pool, 1024 units of Madry et al. 2018."""
    shapes = [tuple(weight.shape) for weight in ConvClassifier((1, 28, 28), 10).parameters() if weight.dim() > 1]
    assert shapes == [(32, 1, 5, 5), (64, 32, 5, 5), (1024, 7 * 7 * 64), (10, 1024)]


def test_a_run_reports_and_saves_the_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = "--run.name x --run.max_images 4000 --evaluation.every 2000"
    model = "--model Classifier --model.network.width 4 --model.network.hidden 32 --model.optimizer.lr 0.01"
    assert main(["fit", *model.split(), "--data", "Digits", *run.split()]) == 0
    result = json.loads(Path("runs/x/evaluation.json").read_text())
    assert result["accuracy"] > 0.5
    assert {key: result[key] for key in ("split", "real", "images_seen")} == {
        "split": "test",
        "real": 360,
        "images_seen": 4032,
    }
    printed = capsys.readouterr().out
    assert f"test split (360 examples): accuracy {result['accuracy']:.4f}" in printed
    assert "Next: python -m lightning_gans evaluate runs/x" in printed
    assert Path("runs/x/checkpoints/best.ckpt").is_file()
    assert "evaluation/validation/accuracy_best" in Path("runs/x/metrics.csv").read_text().partition("\n")[0]
    assert main(["evaluate", "runs/x"]) == 0
    assert json.loads(capsys.readouterr().out) == result
    assert main(["sample", "runs/x"]) == 2
    assert capsys.readouterr().err == "error: Classifier does not generate samples\n"
