"""Every model that has a recipe for the digits, by that recipe: how close its samples come to held-out digits.

    python benchmarks/digits.py --jobs 2

Nothing is downloaded. A row ends with its recipe's images or with its minutes, whichever comes first.
"""

import sys

import harness
import recipes

FOUND = [path.stem for path in sorted(recipes.CONFIGS.glob("*_digits.yaml")) if "classifier" not in path.stem]

ROWS: dict[str, tuple[str, tuple[str, ...]]] = {recipe.removesuffix("_digits"): (recipe, ()) for recipe in FOUND}
"""The recipe of each row, and what it changes in it."""

ROWS["flow_gan_adversarial"] = ("flow_gan_digits_adversarial", ())
ROWS["flow_gan-likelihood"] = ("flow_gan_digits", ("--model.likelihood_weight", "1"))

TRAINING = "training digits"
SCORES = ("density", "coverage", "precision", "recall")


def measure(row: str, seed: int, minutes: float) -> harness.Scores:
    """Run the recipe."""
    if row == TRAINING:
        return measure_training(seed)
    recipe, options = ROWS[row]
    result = recipes.fit(recipe, seed, minutes, *options)
    return {name: value for name, value in result.items() if name in TABLE.columns}


def measure_training(seed: int) -> harness.Scores:
    """Let training digits be the samples."""
    import torch  # noqa: PLC0415 (seconds)

    from lightning_gans.datamodules import Digits  # noqa: PLC0415
    from lightning_gans.metrics.prdc import prdc  # noqa: PLC0415

    data = Digits()
    train = data.examples("train")["image"]
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:1000]
    return prdc(data.examples("test")["image"].flatten(1), train[chosen].flatten(1))._asdict()


TABLE = harness.Table(
    name="digits",
    title="Models on Digits (8 x 8), each by its recipe",
    protocol=(
        "Precision, recall, density and coverage (arXiv:2002.09797) of pixels, k = 5: 1,000 samples of the averaged "
        "weights against the 360 held-out digits; training digits in place of samples show what perfect ones get. "
        "Density and precision can be above that, of samples that crowd where digits are most alike, coverage and "
        "recall hardly. "
        "Cluster accuracy is that of InfoGAN's categories with the digits' classes, best matched. Bits per dimension are "
        "of the 17 levels of the 360 held-out digits, by averaged weights: exact of autoregressive models, of flows a "
        "bound by uniform dequantization."
    ),
    rows=list(ROWS),
    ideal=[TRAINING],
    columns={
        **dict.fromkeys(SCORES, ".2f"),
        "bits_per_dim": ".2f",
        "cluster_accuracy": ".2f",
        "images": ",.0f",
        "seconds": ".0f",
    },
    measure=measure,
    minutes=3,
)


if __name__ == "__main__":
    sys.exit(harness.run_table(TABLE, harness.parser_of(TABLE, __doc__).parse_args()))
