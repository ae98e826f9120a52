"""Measure the gap between the negative log-likelihood of normalizing flows and the known entropy of toy data.

python benchmarks/densities.py --jobs 2
"""

import math
import sys
from functools import partial
from typing import TYPE_CHECKING

import harness

if TYPE_CHECKING:
    from lightning_gans.models import FlowGAN

DATA = {"eight": "overlapping_gaussians", "ring": "ring", "grid": "grid", "moons": "two_moons"}
TRUTH = "truth"
FLOWS = ("SplineFlow", "NICE")

BATCH_SIZE = 512
EVALUATION_POINTS = 100_000
"""Number of new points for the evaluation; the standard error of the mean is about 0.003 nats."""


def measure(row: str, seed: int, minutes: float) -> harness.Scores:
    import numpy as np  # noqa: PLC0415 (takes seconds)

    from lightning_gans.datamodules import Toy2D  # noqa: PLC0415

    flow, _, data_name = row.partition("-")
    data = Toy2D(name=DATA[data_name], batch_size=BATCH_SIZE, seed=seed)  # type: ignore[arg-type]
    points = data.sample_batch(EVALUATION_POINTS, np.random.RandomState(10**6 + seed))
    truth = data.log_prob(points["image"])
    cost: harness.Scores = {}
    if flow == TRUTH:
        log_prob = truth
    else:
        images = harness.estimate_images(lambda: make_model(flow, 1), data, minutes=minutes)
        model = make_model(flow, round(0.9 * images))  # a margin, so that the schedules end even if training slows down
        cost = harness.train(model, data, minutes=minutes)
        log_prob = model.log_prob(points)
    nats = -log_prob.mean().item() + 2 * math.log(data.scale)  # in the units of the data
    return {
        "nats": nats,
        "entropy": data.distribution.entropy,
        "gap": nats - data.distribution.entropy,
        "KL": (truth - log_prob).mean().item(),
        **cost,
    }


def make_model(flow: str, images: int) -> "FlowGAN":
    """Create a flow that is trained by maximum likelihood alone.

    Args:
        flow: Name of the flow, one of `FLOWS`.
        images: Number of training images after which the schedules end.
    """
    import torch  # noqa: PLC0415 (takes seconds)
    from torch import nn  # noqa: PLC0415

    from lightning_gans.core.schedules import Cosine  # noqa: PLC0415
    from lightning_gans.models import FlowGAN  # noqa: PLC0415
    from lightning_gans.networks import NICE, SplineFlow  # noqa: PLC0415
    from lightning_gans.networks.priors import StandardLogistic, StandardNormal  # noqa: PLC0415

    lr = 2e-3
    factory, prior = {
        "SplineFlow": (partial[nn.Module](SplineFlow, width=64), StandardNormal),
        "NICE": (partial[nn.Module](NICE, width=64, depth=2, couplings=8), StandardLogistic),
    }[flow]
    return FlowGAN(
        image_shape=(2,),
        levels=None,
        flow=factory,  # type: ignore[arg-type]
        prior=prior,
        likelihood_weight=1.0,
        generator_optimizer=partial(torch.optim.Adam, lr=lr),
        generator_schedules={"lr": Cosine(lr, 0.0, images=images)},
        gradient_clip_val=5.0,
    )


TABLE = harness.Table(
    name="densities",
    title="Normalizing flows on toy data with a known entropy",
    protocol=(
        "Flows are trained by maximum likelihood on 95,000 points, with batches of 512 and hidden layers of 64, and "
        "evaluated with EMA weights on 100,000 new points. Nats: negative log-likelihood per point, in the units of "
        "the data. Gap: nats minus the entropy; its minimum is 0, up to the sampling error of the points. KL: mean of "
        "log p(x) - log q(x) on the same points, in which this error cancels. Eight: overlapping Gaussians, centers at "
        "4 / 1.414 from the origin, sigma 0.5 / 1.414 (arXiv:1810.01367). Ring: radius 1, sigma 0.01. Grid: sigma "
        "0.05. Moons: noise 0.2. Truth: the log-density of the data's own distribution."
    ),
    rows=[f"{flow}-{data}" for data in DATA for flow in FLOWS],
    ideal=[f"{TRUTH}-{data}" for data in DATA],
    columns={"nats": ".4f", "entropy": ".4f", "gap": ".4f", "KL": ".4f", "images": ",.0f", "seconds": ".0f"},
    measure=measure,
    minutes=5,
)


if __name__ == "__main__":
    sys.exit(harness.run_table(TABLE, harness.make_parser(TABLE, __doc__).parse_args()))
