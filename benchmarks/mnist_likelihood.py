"""Compare likelihoods on MNIST with published results: binarized in nats, grayscale in bits per dimension.

    python benchmarks/mnist_likelihood.py --root FOLDER

Each row is a recipe of `configs/`. A run ends after the images of its recipe or after its minutes, whichever comes
first.
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
    """Train by the recipe of a row; return nats for binarized digits, bits per dimension for grayscale digits."""
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
        "Negative log-likelihood of the 10,000 test digits with EMA weights, after training on 55,000 of the 60,000 "
        "training digits. Binarized: each pixel is 1 with the probability of its gray value, sampled once with a fixed "
        "seed. These likelihoods are exact, in nats; the published rows use another fixed sample of the same "
        "distribution. Grayscale: bits per dimension of 256 levels, an upper bound by one uniform dequantization of "
        "each image. Our MADE has one hidden layer of 500 units, one ordering, and the paper's direct connections from "
        "pixels to outputs, which the code of the published row lacks."
    ),
    rows=list(RECIPES),
    columns={"nats (binarized)": ".2f", "bits / dim (256 levels)": ".3f", "images": ",.0f", "seconds": ".0f"},
    measure=partial(measure, root="data"),
    published=[
        harness.Published(
            row="MADE, 1 x 500, one ordering, one mask",
            scores={"nats (binarized)": "94.5"},
            source="karpathy/pytorch-made",
        ),
        harness.Published(row="PixelRNN", scores={"nats (binarized)": "79.20"}, source="arXiv:1601.06759"),
        harness.Published(
            row="MAF", scores={"bits / dim (256 levels)": "1.89"}, source="as cited in surveys of normalizing flows"
        ),
        harness.Published(
            row="RealNVP", scores={"bits / dim (256 levels)": "1.06"}, source="as cited in surveys of normalizing flows"
        ),
    ],
    minutes=30,
)


def main() -> int:
    parser = harness.make_parser(TABLE, __doc__)
    parser.add_argument("--root", default="data", metavar="FOLDER", help="folder of MNIST (data)")
    options = parser.parse_args()
    return harness.run_table(replace(TABLE, measure=partial(measure, root=options.root)), options)


if __name__ == "__main__":
    sys.exit(main())
