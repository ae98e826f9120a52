"""Train a neural spline flow of zuko as the generator, by maximum likelihood and adversarially.

Run it: pip install zuko; python examples/zuko_flow.py
"""

import math
import sys

import pytorch_lightning as pl
import zuko
from torch import Tensor, nn

from lightning_gans import FlowGAN, Toy2D, Trainer, load
from lightning_gans.callbacks import Run, Samples
from lightning_gans.core import WGANGPAdam
from lightning_gans.networks import StandardNormal


class ZukoFlow(nn.Module):
    """Adapt a flow of zuko to `FlowGAN`.

    Args:
        image_shape: Shape of an example.
    """

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.flow = zuko.flows.NSF(features=math.prod(image_shape), transforms=3, hidden_features=(64, 64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map points (b, d) to latents (b, d) and log |det dz/dx|, (b,)."""
        z, log_det = self.flow().transform.call_and_ladj(x)
        return z, log_det

    def inverse(self, z: Tensor) -> Tensor:
        """Map latents (b, d) to points (b, d)."""
        x: Tensor = self.flow().transform.inv(z)
        return x


class Adam(WGANGPAdam, lr=1e-3):
    """Optimize the critic and the flow, with ten times the learning rate of the authors, whose networks are wide."""


def main(images: int = 500_000) -> None:
    """Train the flow, load its checkpoint, and compare its negative log-likelihood with the entropy of the data.

    Args:
        images: Number of points to train on.
    """
    pl.seed_everything(0)
    data = Toy2D(name="overlapping_gaussians", batch_size=256)
    model = FlowGAN(
        image_shape=data.image_shape,
        levels=data.levels,
        flow=ZukoFlow,
        prior=StandardNormal,
        likelihood_weight=0.9,
        generator_optimizer=Adam,
        discriminator_optimizer=Adam,
    )
    run = Run(name="zuko-flow", max_images=images)
    Trainer(callbacks=[run, Samples(every=max(images // 5, 1))]).fit(model, data)
    loaded = load(run.folder)
    assert isinstance(loaded, FlowGAN)
    nats = -loaded.log_prob(data.examples("test", 2000)).mean().item()
    print(f"{nats:.3f} nats per point; the entropy, a lower bound: {data.entropy:.3f}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
