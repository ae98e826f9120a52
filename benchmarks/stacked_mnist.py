"""Count the modes of Stacked MNIST that GANs cover with the same tiny networks, and compare with published results.

    python -m lightning_gans fit --config classifier_mnist --run.name mnist-classifier
    python benchmarks/stacked_mnist.py --jobs 2

The first command trains the classifier of the digits, which is needed once.
"""

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness

if TYPE_CHECKING:
    from lightning_gans.core.gan import GAN

SAMPLES = 26_000
LATENT_DIM = 256
BATCH_SIZE = 128

MIN_ACCURACY = 0.992
"""Minimum accuracy of the classifier on the test set of MNIST."""

CLASSIFIER = Path("runs", "mnist-classifier")
COMMAND = "python -m lightning_gans fit --config classifier_mnist --run.name mnist-classifier"


def measure(
    row: str, seed: int, minutes: float, *, root: str = "data", classifier: Path = CLASSIFIER
) -> harness.Scores:
    import torch  # noqa: PLC0415 (takes seconds)

    from lightning_gans.core.model import load  # noqa: PLC0415
    from lightning_gans.datamodules import StackedMNIST  # noqa: PLC0415
    from lightning_gans.metrics.stacked_mnist import StackedMNISTModes  # noqa: PLC0415
    from lightning_gans.models import Classifier  # noqa: PLC0415

    model = load(classifier)
    if not isinstance(model, Classifier):
        raise ValueError(f"{str(classifier)!r} is a run of {type(model).__name__}, not of a Classifier")
    data = StackedMNIST(root=root, batch_size=BATCH_SIZE, seed=seed)
    metric = StackedMNISTModes(model.predict)
    cost: harness.Scores = {}
    data.prepare_data()
    if row == "MNIST":
        samples = data.examples("train", SAMPLES)["image"]
    else:
        layout: Any = {"memory_format": torch.channels_last}  # 25 % faster on a CPU
        images = harness.estimate_images(lambda: make_model(row, 1).to(**layout), data, minutes=minutes)
        gan = make_model(row, images).to(**layout)
        cost = harness.train(gan, data, minutes=minutes)
        samples = gan.sample(SAMPLES, seed=seed)["image"]
    for chunk in torch.split(samples, 1000):
        metric.update(chunk)
    scores = metric.compute()
    return {"modes": float(scores["modes"]), "reverse KL": float(scores["reverse_kl"]), **cost}


def make_model(row: str, images: int) -> "GAN":
    """Create a GAN with the tiny networks.

    Args:
        row: Name of the GAN.
        images: Number of training images after which the schedules end.
    """
    from tiny import TinyCritic, TinyDiscriminator, TinyGenerator  # noqa: PLC0415 (takes seconds)

    from lightning_gans.core.optimizers import DCGANAdam, R3GANAdam  # noqa: PLC0415
    from lightning_gans.core.schedules import Cosine  # noqa: PLC0415
    from lightning_gans.models import DCGAN, R3GAN, WGANGP  # noqa: PLC0415

    shared: dict[str, Any] = {"image_shape": (3, 28, 28), "latent_dim": LATENT_DIM, "generator": TinyGenerator}
    match row:
        case "R3GAN":
            schedules = {"lr": Cosine(3e-3, 3e-4, images=images), "beta2": Cosine(0.9, 0.99, images=images)}
            return R3GAN(
                **shared,
                discriminator=TinyCritic,
                gamma=Cosine(0.3, 0.03, images=images),
                generator_optimizer=R3GANAdam,
                discriminator_optimizer=R3GANAdam,
                generator_schedules=schedules,
                discriminator_schedules=schedules,
            )
        case "WGANGP":
            return WGANGP(**shared, discriminator=TinyCritic)
        case "DCGAN":  # settings of PacGAN, `config.py`
            return DCGAN(
                **shared,
                discriminator=TinyDiscriminator,
                generator_optimizer=partial(DCGANAdam, lr=1e-4, betas=(0.5, 0.99)),
                discriminator_optimizer=partial(DCGANAdam, lr=2e-4, betas=(0.5, 0.99)),
            )
    raise ValueError(f"unknown model {row!r}")


TABLE = harness.Table(
    name="stacked_mnist",
    title="Stacked MNIST on tiny networks",
    protocol=(
        "Networks of the experiment of Unrolled GANs (arXiv:1611.02163) with its larger discriminator, latents of 256 "
        "dimensions, batches of 128. Modes and reverse KL (nats) are computed on 26,000 samples of the EMA generator, "
        "whose digits a classifier predicts. The training set has 128,000 triples of digits; the published row was "
        "trained on 64,000,000 images with new triples in each batch, and uses 25,600 samples. The learning rates and "
        "the penalty of R3GAN were tuned by the number of modes on these data; the other GANs have published settings. "
        "The discriminators of R3GAN and WGANGP have no normalization."
    ),
    rows=["R3GAN", "WGANGP", "DCGAN"],
    ideal=["MNIST"],
    columns={"modes": ".1f", "reverse KL": ".4f", "images": ",.0f", "seconds": ".0f"},
    measure=measure,
    published=[
        harness.Published(
            row="PacDCGAN3",
            scores={"modes": "867 ± 12", "reverse KL": "0.90"},
            source="arXiv:1712.04086, larger discriminator (D = 1/2 G)",
        )
    ],
    minutes=8,
)


def main() -> int:
    parser = harness.make_parser(TABLE, __doc__)
    parser.add_argument("--root", default="data", metavar="FOLDER", help="folder of MNIST (data)")
    parser.add_argument(
        "--classifier", type=Path, default=CLASSIFIER, metavar="RUN", help="run of the classifier of MNIST"
    )
    options = parser.parse_args()
    accuracy = classifier_accuracy(options.classifier, parser)
    table = replace(
        TABLE,
        protocol=f"{TABLE.protocol} The classifier has a test accuracy of {accuracy:.2%}.",
        measure=partial(measure, root=options.root, classifier=options.classifier),
    )
    return harness.run_table(table, options)


def classifier_accuracy(run: Path, parser: argparse.ArgumentParser) -> float:
    """Load the test accuracy of the run of a classifier; exit with an error if it is missing or too low."""
    try:
        accuracy: float = json.loads((run / "evaluation.json").read_text())["accuracy"]
    except (OSError, ValueError, KeyError):
        parser.exit(2, f"error: {str(run)!r} is not a run of a classifier: train it with `{COMMAND}`\n")
    if accuracy < MIN_ACCURACY:
        parser.exit(2, f"error: {str(run)!r} has a test accuracy of {accuracy:.2%}, below {MIN_ACCURACY:.2%}\n")
    return accuracy


if __name__ == "__main__":
    sys.exit(main())
