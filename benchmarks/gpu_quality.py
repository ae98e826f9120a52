"""Part `quality` of `gpu.py`: scores after a minute of training on MNIST and on Stacked MNIST.

DCGAN on MNIST: precision, recall, density and coverage of pixels, k = 5, 1,000 samples of the EMA against 1,000 test
images, as `Evaluation` computes them. Stacked MNIST: modes, of 1,000, and reverse KL in nats of 26,000 samples of a
full-size DCGAN. A classifier that is trained here predicts the digits; its test accuracy is reported with the scores.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import harness
import torch
from gpu_part import Row, Scores, Settings, SkippedError, attempt

from lightning_gans.datamodules import MNIST, StackedMNIST
from lightning_gans.metrics.prdc import prdc
from lightning_gans.metrics.stacked_mnist import StackedMNISTModes
from lightning_gans.models import DCGAN, Classifier
from lightning_gans.networks.dcgan import DCGANDiscriminator, DCGANGenerator

MNIST_SECONDS, CLASSIFIER_SECONDS, STACKED_SECONDS = 60.0, 10.0, 35.0
SAMPLES = 26_000


def measure(settings: Settings) -> Iterator[Row]:
    """Train and score both GANs."""
    if settings.data is None:
        raise SkippedError("no folder with MNIST was given (--data)")
    if not Path(settings.data, "MNIST", "raw").is_dir():
        raise SkippedError("the folder given by --data has no MNIST/raw")
    yield attempt("DCGAN on MNIST", lambda: _mnist(settings))
    yield attempt("DCGAN on Stacked MNIST", lambda: _stacked(settings))


def _mnist(settings: Settings) -> Scores:
    data = MNIST(root=str(settings.data), batch_size=128)
    model = _dcgan((1, 28, 28), settings)
    used = _train(model, data, MNIST_SECONDS, settings)
    count = 200 if settings.quick else 1000
    samples = model.sample(count, seed=0)["image"].cpu()
    scores = prdc(data.examples("test", count)["image"].flatten(1), samples.flatten(1))
    return {**scores._asdict(), **used}


def _stacked(settings: Settings) -> Scores:
    digits = MNIST(root=str(settings.data), batch_size=128)
    classifier = Classifier(image_shape=(1, 28, 28), num_classes=10)
    _train(classifier, digits, CLASSIFIER_SECONDS, settings)
    accuracy = classifier.scores(digits.examples("test", 1000 if settings.quick else None))["accuracy"]
    size = {"train_size": 2000, "validation_size": 100} if settings.quick else {}
    data = StackedMNIST(root=str(settings.data), batch_size=128, **size)
    model = _dcgan((3, 28, 28), settings)
    used = _train(model, data, STACKED_SECONDS, settings)
    metric = StackedMNISTModes(classifier.predict)
    for part in torch.split(model.sample(500 if settings.quick else SAMPLES, seed=0)["image"], 1000):
        metric.update(part)
    scores = {name: float(value) for name, value in metric.compute().items()}
    return {"modes": scores["modes"], "reverse KL": scores["reverse_kl"], "accuracy": accuracy, **used}


def _dcgan(image_shape: tuple[int, ...], settings: Settings) -> DCGAN:
    torch.manual_seed(0)
    networks: dict[str, Any] = {}
    if settings.quick:
        networks = {
            "generator": partial(DCGANGenerator, width=8),
            "discriminator": partial(DCGANDiscriminator, width=8),
        }
    return DCGAN(image_shape=image_shape, **networks)


def _train(model: Any, data: Any, seconds: float, settings: Settings) -> dict[str, float]:
    """Training time in seconds; 1 in a smoke test."""
    accelerator = "gpu" if settings.device == "cuda" else "cpu"
    minutes = (1.0 if settings.quick else seconds) / 60
    used = harness.train(model, data, minutes=minutes, accelerator=accelerator, devices=1)
    model.to(settings.device)
    return used | {"images/s": used["images"] / used["seconds"]}
