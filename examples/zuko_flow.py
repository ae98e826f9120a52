"""Let a flow of another library be the generator: a neural spline flow of zuko's, taught by likelihood and by a critic.

Install it and run it: pip install zuko; python examples/zuko_flow.py
"""

import math
import sys

import pytorch_lightning as pl
import zuko
from torch import Tensor, nn

from lightning_gans import FlowGAN, Toy2D, Trainer, load
from lightning_gans.callbacks import Run, Samples
from lightning_gans.core.optimizers import WGANGPAdam
from lightning_gans.networks import StandardNormal


class ZukoFlow(nn.Module):
    """What FlowGAN asks of a flow: latents and the log-determinant one way, examples the other."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.flow = zuko.flows.NSF(features=math.prod(image_shape), transforms=3, hidden_features=(64, 64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map points (b, d) to latents (b, d), and tell log |det dz/dx|, (b,)."""
        z, log_det = self.flow().transform.call_and_ladj(x)
        return z, log_det

    def inverse(self, z: Tensor) -> Tensor:
        """Map latents back to points."""
        x: Tensor = self.flow().transform.inv(z)
        return x


class Adam(WGANGPAdam):
    """The critic's and the flow's optimizer, ten times as fast as the authors' for their wide networks."""

    def __init__(self, params: list[nn.Parameter], lr: float = 1e-3) -> None:
        super().__init__(params, lr=lr)


def main(images: int = 500_000) -> None:
    """Train on so many points, load what was kept, and compare its nats with the entropy."""
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
    print(f"{nats:.3f} nats per point; the least that any model can need: {data.entropy:.3f}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
