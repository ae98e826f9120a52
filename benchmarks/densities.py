"""Maximum likelihood on points whose entropy is known: how many nats a flow needs beyond it.

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
SCORED = 100_000
"""Fresh points that densities are scored on: the standard error of a mean is about .003 nats."""


def measure(row: str, seed: int, minutes: float) -> harness.Scores:
    import numpy as np  # noqa: PLC0415 (seconds)

    from lightning_gans.datamodules import Toy2D  # noqa: PLC0415

    flow, _, short = row.partition("-")
    data = Toy2D(name=DATA[short], batch_size=BATCH_SIZE, seed=seed)  # type: ignore[arg-type]
    points = data.sample_batch(SCORED, np.random.RandomState(10**6 + seed))
    truth = data.log_prob(points["image"])
    used: harness.Scores = {}
    if flow == TRUTH:
        log_prob = truth
    else:
        images = harness.images_in(lambda: model_of(flow, 1), data, minutes=minutes)
        model = model_of(
            flow, round(0.9 * images)
        )  # a machine may slow down, and the end of the schedules matters most
        used = harness.train(model, data, minutes=minutes)
        log_prob = model.log_prob(points)
    nats = -log_prob.mean().item() + 2 * math.log(data.scale)  # in the data's own units
    return {
        "nats": nats,
        "entropy": data.distribution.entropy,
        "gap": nats - data.distribution.entropy,
        "KL": (truth - log_prob).mean().item(),
        **used,
    }


def model_of(flow: str, images: int) -> "FlowGAN":
    """A flow that is taught by maximum likelihood alone.

    Args:
        flow: Its name.
        images: How many it will see, about: where its schedules end.
    """
    import torch  # noqa: PLC0415 (seconds)
    from torch import nn  # noqa: PLC0415

    from lightning_gans.core.schedules import Cosine  # noqa: PLC0415
    from lightning_gans.models import FlowGAN  # noqa: PLC0415
    from lightning_gans.networks import NICE, SplineFlow  # noqa: PLC0415
    from lightning_gans.networks.priors import StandardLogistic, StandardNormal  # noqa: PLC0415

    rate = 2e-3
    make, prior = {
        "SplineFlow": (partial[nn.Module](SplineFlow, width=64), StandardNormal),
        "NICE": (partial[nn.Module](NICE, width=64, depth=2, couplings=8), StandardLogistic),
    }[flow]
    return FlowGAN(
        image_shape=(2,),
        levels=None,
        flow=make,  # type: ignore[arg-type]
        prior=prior,
        likelihood_weight=1.0,
        generator_optimizer=partial(torch.optim.Adam, lr=rate),
        generator_schedules={"lr": Cosine(rate, 0.0, images=images)},
        gradient_clip_val=5.0,
    )


TABLE = harness.Table(
    name="densities",
    title="Flows on points whose entropy is known",
    protocol=(
        "Maximum likelihood on 95,000 points, batches of 512, hidden layers of 64, averaged weights. Nats per point in "
        "the data's own units, of 100,000 fresh points; gap: nats less the entropy, whose floor is 0 but for the noise "
        "of drawing; KL: the mean of log p(x) - log q(x) on the same points, which has none of it. Eight: overlapping "
        "Gaussians, centers 4 / 1.414 from the origin, sigma .5 / 1.414 (arXiv:1810.01367); ring: radius 1, sigma .01; "
        "grid: sigma .05; moons: noise .2."
    ),
    rows=[f"{flow}-{data}" for data in DATA for flow in FLOWS],
    ideal=[f"{TRUTH}-{data}" for data in DATA],
    columns={"nats": ".4f", "entropy": ".4f", "gap": ".4f", "KL": ".4f", "images": ",.0f", "seconds": ".0f"},
    measure=measure,
    minutes=5,
)


if __name__ == "__main__":
    sys.exit(harness.run_table(TABLE, harness.parser_of(TABLE, __doc__).parse_args()))
