"""Count the errors on MNIST of classifiers that were trained with few labels, and compare with published results.

    python benchmarks/few_labels.py --root FOLDER --jobs 2

With `--epochs 300` instead of a limit in minutes the training has the length of the published one; that takes a GPU.
"""

import math
import sys
import time
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import harness

BATCH_SIZE = 200
"""Examples per batch, of which one half are labeled."""

EPOCH = 60_000 * 2
"""Images of an epoch of the unlabeled digits, with as many labeled ones."""

TWIN_SHARE = 0.1
"""Share of the training time that the supervised twin gets."""


class Row(NamedTuple):
    """Number of labels per class, and weight of the adversarial loss."""

    labels_per_class: int
    adversarial_weight: float


ROWS = {
    "SemiSupervisedGAN, 100 labels": Row(10, 0.5),
    "supervised twin, 100 labels": Row(10, 0.0),
    "SemiSupervisedGAN, 20 labels": Row(2, 0.5),
    "SemiSupervisedGAN, 200 labels": Row(20, 0.5),
}


def measure(row: str, seed: int, minutes: float, *, root: str = "data", epochs: int | None = None) -> harness.Scores:
    """Train with a draw of labels; return the errors on the test digits."""
    import torch  # noqa: PLC0415 (takes seconds)

    torch.set_num_threads(1)
    from lightning_gans.core.schedules import Linear  # noqa: PLC0415
    from lightning_gans.datamodules import MNIST  # noqa: PLC0415
    from lightning_gans.models import SemiSupervisedGAN  # noqa: PLC0415

    labels_per_class, adversarial_weight = ROWS[row]
    minutes *= 1 if adversarial_weight else TWIN_SHARE
    data = MNIST(
        root=root,
        batch_size=BATCH_SIZE,
        validation_size=0,
        seed=seed,
        labels_per_class=labels_per_class,
        labeled_per_batch=BATCH_SIZE // 2,
    )

    def make_model(images: int) -> SemiSupervisedGAN:
        half = max(1, images // 2)
        schedules: dict[str, Any] = {"lr": Linear(3e-3, 0.0, images=half, delay=half)}
        return SemiSupervisedGAN(
            image_shape=data.image_shape,
            num_classes=10,
            adversarial_weight=adversarial_weight,
            generator_schedules=schedules,
            discriminator_schedules=schedules,
        )

    clock = time.process_time
    if epochs is None:
        images = harness.estimate_images(lambda: make_model(1), data, minutes=minutes, clock=clock)
        max_steps = -1
    else:
        images, minutes = EPOCH * epochs, math.inf
        max_steps = images // BATCH_SIZE
    model = make_model(images)
    cost = harness.train(model, data, minutes=minutes, clock=clock, max_steps=max_steps)
    test = data.examples("test")
    errors = (model.predict(test["image"]).cpu() != test["label"]).sum().item()
    return {"errors of 10,000": errors, **cost}


TABLE = harness.Table(
    name="few_labels",
    title="Few labels on MNIST",
    protocol=(
        "Errors on the 10,000 test digits. A draw has the same number of labels from each class; all 60,000 training "
        "digits are used without labels. Our rows have one draw of the labels per seed, the authors' networks and "
        "batches (100 labeled, 100 unlabeled and 100 generated digits), and learning rates that fall to 0 over the "
        "second half of the run. Minutes and seconds are those of one CPU thread. The supervised twin has the same "
        "network, noise and labels, but neither unlabeled digits nor a generator; it gets a tenth of the time, in "
        "which it converges. No labels are used for validation. The published rows are means and standard deviations "
        "of 10 draws, after 300 epochs."
    ),
    rows=list(ROWS),
    columns={"errors of 10,000": ",.0f", "images": ",.0f", "seconds": ".0f"},
    measure=measure,
    published=[
        harness.Published(
            row=f"feature matching, {labels} labels",
            scores={"errors of 10,000": errors},
            source="arXiv:1606.03498, Table 1",
        )
        for labels, errors in ((20, "1,677 ± 452"), (100, "93 ± 6.5"), (200, "90 ± 4.2"))
    ]
    + [
        harness.Published(
            row="BadGAN, 100 labels", scores={"errors of 10,000": "79.5 ± 9.8"}, source="arXiv:1705.09783"
        )
    ],
    minutes=20,
    seeds=2,
)


def main() -> int:
    parser = harness.make_parser(TABLE, __doc__)
    parser.add_argument("--root", default="data", metavar="FOLDER", help="folder of MNIST (data)")
    parser.add_argument("--epochs", type=int, help="length of the training instead of the minutes")
    options = parser.parse_args()
    return harness.run_table(
        replace(TABLE, measure=partial(measure, root=options.root, epochs=options.epochs)), options
    )


if __name__ == "__main__":
    sys.exit(main())
