"""Modes of Stacked MNIST that games reach on equal, tiny networks, beside published rows of the same setting.

    python -m lightning_gans fit --config classifier_mnist --run.name mnist-classifier
    python benchmarks/stacked_mnist.py --jobs 2

The first command trains, once, the classifier that reads the digits.
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

ACCURACY = 0.992
"""Of the classifier, at least, on MNIST's test set."""

CLASSIFIER = Path("runs", "mnist-classifier")
COMMAND = "python -m lightning_gans fit --config classifier_mnist --run.name mnist-classifier"


def measure(
    row: str, seed: int, minutes: float, *, root: str = "data", classifier: Path = CLASSIFIER
) -> harness.Scores:
    import torch  # noqa: PLC0415 (seconds)

    from lightning_gans.core.checkpoints import load  # noqa: PLC0415
    from lightning_gans.datamodules import StackedMNIST  # noqa: PLC0415
    from lightning_gans.metrics.stacked_mnist import StackedMNISTModes  # noqa: PLC0415
    from lightning_gans.models import Classifier  # noqa: PLC0415

    reader = load(classifier)
    if not isinstance(reader, Classifier):
        raise ValueError(f"{str(classifier)!r} is a run of {type(reader).__name__}, not of a Classifier")
    data = StackedMNIST(root=root, batch_size=BATCH_SIZE, seed=seed)
    metric = StackedMNISTModes(reader.predict)
    used: harness.Scores = {}
    data.prepare_data()
    if row == "MNIST":
        samples = data.examples("train", SAMPLES)["image"]
    else:
        layout: Any = {"memory_format": torch.channels_last}  # a quarter faster on a CPU
        images = harness.images_in(lambda: game(row, 1).to(**layout), data, minutes=minutes)
        model = game(row, images).to(**layout)
        used = harness.train(model, data, minutes=minutes)
        samples = model.sample(SAMPLES, seed=seed)["image"]
    for part in torch.split(samples, 1000):
        metric.update(part)
    scores = metric.compute()
    return {"modes": float(scores["modes"]), "reverse KL": float(scores["reverse_kl"]), **used}


def game(row: str, images: int) -> "GAN":
    """A game on the tiny networks.

    Args:
        row: Its name.
        images: How many it will see, about: where its schedules end.
    """
    from tiny import TinyCritic, TinyDiscriminator, TinyGenerator  # noqa: PLC0415 (seconds)

    from lightning_gans.core.optimizers import DCGANAdam, R3GANAdam  # noqa: PLC0415
    from lightning_gans.core.schedules import Cosine  # noqa: PLC0415
    from lightning_gans.models import DCGAN, R3GAN, WGANGP  # noqa: PLC0415

    same: dict[str, Any] = {"image_shape": (3, 28, 28), "latent_dim": LATENT_DIM, "generator": TinyGenerator}
    match row:
        case "R3GAN":
            falling = {"lr": Cosine(3e-3, 3e-4, images=images), "beta2": Cosine(0.9, 0.99, images=images)}
            return R3GAN(
                **same,
                discriminator=TinyCritic,
                gamma=Cosine(0.3, 0.03, images=images),
                generator_optimizer=R3GANAdam,
                discriminator_optimizer=R3GANAdam,
                generator_schedules=falling,
                discriminator_schedules=falling,
            )
        case "WGANGP":
            return WGANGP(**same, discriminator=TinyCritic)
        case "DCGAN":  # the settings of PacGAN's `config.py`
            return DCGAN(
                **same,
                discriminator=TinyDiscriminator,
                generator_optimizer=partial(DCGANAdam, lr=1e-4, betas=(0.5, 0.99)),
                discriminator_optimizer=partial(DCGANAdam, lr=2e-4, betas=(0.5, 0.99)),
            )
    raise ValueError(f"there is no game {row!r} here")


TABLE = harness.Table(
    name="stacked_mnist",
    title="Stacked MNIST on tiny networks",
    protocol=(
        "Networks of the Unrolled GAN's experiment (arXiv:1611.02163) with its larger discriminator, latents of 256, "
        "batches of 128; modes and reverse KL (nats) of 26,000 samples of the averaged generator, digits read by a "
        "classifier. 128,000 training triples; the published row draws fresh ones, for 64,000,000 images, and counts "
        "25,600 samples. R3GAN's rates and penalty were chosen by its modes here, the other games have published "
        "settings. The discriminators of R3GAN and WGANGP are without normalization."
    ),
    rows=["R3GAN", "WGANGP", "DCGAN"],
    ideal=["MNIST"],
    columns={"modes": ".1f", "reverse KL": ".4f", "images": ",.0f", "seconds": ".0f"},
    measure=measure,
    published=[
        harness.Published(
            row="PacDCGAN3",
            scores={"modes": "867 ± 12", "reverse KL": ".90"},
            source="arXiv:1712.04086, larger discriminator (D = 1/2 G)",
        )
    ],
    minutes=8,
)


def main() -> int:
    parser = harness.parser_of(TABLE, __doc__)
    parser.add_argument("--root", default="data", metavar="FOLDER", help="the folder of MNIST (data)")
    parser.add_argument("--classifier", type=Path, default=CLASSIFIER, metavar="RUN", help="of MNIST's digits")
    options = parser.parse_args()
    accuracy = accuracy_of(options.classifier, parser)
    table = replace(
        TABLE,
        protocol=f"{TABLE.protocol} The classifier is right about {accuracy:.2%} of MNIST's test digits.",
        measure=partial(measure, root=options.root, classifier=options.classifier),
    )
    return harness.run_table(table, options)


def accuracy_of(run: Path, parser: argparse.ArgumentParser) -> float:
    """What the run of a classifier scored at its end; ends the program where it is missing or too low."""
    try:
        accuracy: float = json.loads((run / "evaluation.json").read_text())["accuracy"]
    except (OSError, ValueError, KeyError):
        parser.exit(2, f"error: {str(run)!r} is no run of a classifier: train one by `{COMMAND}`\n")
    if accuracy < ACCURACY:
        parser.exit(2, f"error: {str(run)!r} reads {accuracy:.2%} of MNIST's test digits, not {ACCURACY:.2%}\n")
    return accuracy


if __name__ == "__main__":
    sys.exit(main())
