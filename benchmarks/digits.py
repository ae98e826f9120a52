"""Compare the samples of every model that has a recipe for Digits with held-out digits.

    python benchmarks/digits.py --jobs 2

Nothing is downloaded. A run ends after the images of its recipe or after its minutes, whichever comes first.
"""

import sys

import harness
import recipes

RECIPES = [path.stem for path in sorted(recipes.CONFIGS.glob("*_digits.yaml")) if "classifier" not in path.stem]

ROWS: dict[str, tuple[str, tuple[str, ...]]] = {recipe.removesuffix("_digits"): (recipe, ()) for recipe in RECIPES}
"""Recipe of each row, and options that override it."""

ROWS["flow_gan_adversarial"] = ("flow_gan_digits_adversarial", ())
ROWS["flow_gan-likelihood"] = ("flow_gan_digits", ("--model.likelihood_weight", "1"))

TRAINING = "training digits"
SCORES = ("density", "coverage", "precision", "recall")


def measure(row: str, seed: int, minutes: float) -> harness.Scores:
    """Train by the recipe of a row; return the scores of the evaluation."""
    if row == TRAINING:
        return measure_training_digits(seed)
    recipe, options = ROWS[row]
    result = recipes.fit(recipe, seed, minutes, *options)
    return {name: value for name, value in result.items() if name in TABLE.columns}


def measure_training_digits(seed: int) -> harness.Scores:
    """Compute the scores of training digits in place of samples, as a reference for the best possible scores."""
    import torch  # noqa: PLC0415 (takes seconds)

    from lightning_gans.datamodules import Digits  # noqa: PLC0415
    from lightning_gans.metrics.prdc import prdc  # noqa: PLC0415

    data = Digits()
    train = data.examples("train")["image"]
    indices = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:1000]
    return prdc(data.examples("test")["image"].flatten(1), train[indices].flatten(1))._asdict()


TABLE = harness.Table(
    name="digits",
    title="Models on Digits (8 x 8)",
    protocol=(
        "Each model is trained by its recipe and evaluated with EMA weights. Density, coverage, precision and recall "
        "(arXiv:2002.09797) compare the pixels of 1,000 samples with the 360 held-out digits, k = 5. The row of "
        "training digits, in place of samples, shows the scores of a perfect model. Density and precision can exceed "
        "these scores if samples concentrate where digits are most alike; coverage and recall hardly can. Cluster "
        "accuracy matches the categories of InfoGAN with the classes of the digits, in the best way. Bits per "
        "dimension are computed on the 17 levels of the 360 held-out digits: exactly for autoregressive models, as an "
        "upper bound by uniform dequantization for flows."
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
    sys.exit(harness.run_table(TABLE, harness.make_parser(TABLE, __doc__).parse_args()))
