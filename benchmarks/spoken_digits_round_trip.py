"""Recognize spoken digits after their spectrograms were turned into sound and back.

    python benchmarks/spoken_digits_round_trip.py --root FOLDER

The folder is that of the Free Spoken Digit Dataset. A classifier is trained on the spectrograms of recordings.
"""

import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import harness

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 100
"""Number of spectrograms that are turned into sound at once."""


def measure(row: str, seed: int, minutes: float, *, root: str = "data") -> harness.Scores:
    """Train a classifier on recordings; return its accuracies on held-out recordings and on their round trips."""
    import torch  # noqa: PLC0415 (takes seconds)

    from lightning_gans.datamodules import DataModule, SpokenDigits  # noqa: PLC0415
    from lightning_gans.models import Classifier  # noqa: PLC0415
    from lightning_gans.networks.classifier import ConvClassifier  # noqa: PLC0415
    from lightning_gans.types import Batch  # noqa: PLC0415

    digits = SpokenDigits(root=root)

    class Spectrograms(DataModule):
        """Serve spectrograms as images."""

        image_shape = digits.audio_shape
        class_names = digits.class_names
        levels = None

        def load(self) -> tuple[Batch, Batch, Batch]:
            batches = (digits.examples(split) for split in ("train", "validation", "test"))
            train, validation, test = (Batch(image=batch["audio"], label=batch["label"]) for batch in batches)
            return train, validation, test

    data = Spectrograms(seed=seed)
    network = {"ConvClassifier": partial(ConvClassifier, width=16, hidden=256)}[row]
    model = Classifier(image_shape=digits.audio_shape, num_classes=10, network=network)
    cost = harness.train(model, data, minutes=minutes)
    test = data.examples("test")

    def round_trip(audio: "Tensor") -> "Tensor":
        return digits.log_mel(digits.log_mel.inverse(audio, seed=seed))

    restored = torch.cat([round_trip(chunk) for chunk in test["image"].split(CHUNK)])
    ceiling, accuracy = (
        model.scores(Batch(image=image, label=test["label"]))["accuracy"] for image in (test["image"], restored)
    )
    decibels = (restored - test["image"]).abs().mean().item() * -digits.log_mel.min_db / 2
    return {"recordings": ceiling, "round trips": accuracy, "ratio": accuracy / ceiling, "dB": decibels, **cost}


TABLE = harness.Table(
    name="spoken_digits_round_trip",
    title="Spoken digits from their log-mel spectrograms",
    protocol=(
        "A ConvClassifier (width 16, 256 hidden units) is trained on log-mel spectrograms of the Free Spoken Digit "
        "Dataset, 64 bands and 64 frames. Recordings: its accuracy on the official test set, 300 recordings. Round "
        "trips: its accuracy on the same recordings after `LogMel.inverse`, which estimates frequencies and phases (64 "
        "iterations of the fast Griffin-Lim algorithm), and `LogMel`. Ratio: the second divided by the first. dB: mean "
        "absolute difference of the spectrograms."
    ),
    rows=["ConvClassifier"],
    columns={
        "recordings": ".3f",
        "round trips": ".3f",
        "ratio": ".3f",
        "dB": ".2f",
        "images": ",.0f",
        "seconds": ".0f",
    },
    measure=measure,
    minutes=1,
)


def main() -> int:
    parser = harness.make_parser(TABLE, __doc__)
    parser.add_argument("--root", default="data", metavar="FOLDER", help="folder of the recordings (data)")
    options = parser.parse_args()
    return harness.run_table(replace(TABLE, measure=partial(measure, root=options.root)), options)


if __name__ == "__main__":
    sys.exit(main())
