"""Likelihoods on MNIST beside published ones: binarized, in nats, and gray, in bits per dimension.

    python benchmarks/mnist_likelihood.py --root FOLDER

Each row is a recipe of `configs/`, and ends with its recipe's images or with its minutes, whichever comes first.
"""

import sys
from dataclasses import replace
from functools import partial

import harness
import recipes

RECIPES = {
    "MADE": ("made_binarized_mnist", ()),
    "PixelCNN": ("pixel_cnn_binarized_mnist", ()),
    "RealNVP": ("flow_gan_mnist", ("--model.likelihood_weight", "1")),
}


def measure(row: str, seed: int, minutes: float, *, root: str) -> harness.Scores:
    """Run the recipe; nats of the binarized digits, bits of the others."""
    recipe, options = RECIPES[row]
    result = recipes.fit(recipe, seed, minutes, "--data.root", root, *options)
    scores = {"images": result["images"], "seconds": result["seconds"]}
    if result["levels"] == 2:
        return {"nats (binarized)": -result["log_prob"], **scores}
    return {"bits / dim (256 levels)": result["bits_per_dim"], **scores}


TABLE = harness.Table(
    name="mnist_likelihood",
    title="Likelihood of MNIST",
    protocol=(
        "-log P of the 10,000 test digits by averaged weights; the training digits less 5,000 are trained on. "
        "Binarized: each pixel white with the probability of its gray, drawn once with a fixed seed, exact likelihoods "
        "in nats; the published rows are of another fixed draw of the same distribution. Gray: bits per dimension of "
        "256 levels, a bound by one uniform dequantization of each image. Our MADE has one hidden layer of 500 "
        "units, one order, and the paper's direct connections of pixels to outputs (the published row's code has none)."
    ),
    rows=list(RECIPES),
    columns={"nats (binarized)": ".2f", "bits / dim (256 levels)": ".3f", "images": ",.0f", "seconds": ".0f"},
    measure=partial(measure, root="data"),
    published=[
        harness.Published(
            row="MADE, 1 x 500, one order, one mask",
            scores={"nats (binarized)": "94.5"},
            source="karpathy/pytorch-made",
        ),
        harness.Published(row="PixelRNN", scores={"nats (binarized)": "79.20"}, source="arXiv:1601.06759"),
        harness.Published(row="MAF", scores={"bits / dim (256 levels)": "1.89"}, source="as surveys of flows print it"),
        harness.Published(
            row="RealNVP", scores={"bits / dim (256 levels)": "1.06"}, source="as surveys of flows print it"
        ),
    ],
    minutes=30,
)


def main() -> int:
    parser = harness.parser_of(TABLE, __doc__)
    parser.add_argument("--root", default="data", metavar="FOLDER", help="the folder of MNIST (data)")
    options = parser.parse_args()
    return harness.run_table(replace(TABLE, measure=partial(measure, root=options.root)), options)


if __name__ == "__main__":
    sys.exit(main())
