"""Define a GAN, train it on digits, and generate samples.

Run it: python examples/hinge_gan.py
"""

import sys

import pytorch_lightning as pl
from torch import relu

from lightning_gans import GAN, Digits, Trainer, load
from lightning_gans.callbacks import Run, Samples
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator
from lightning_gans.types import Batch, Losses


class HingeGAN(GAN):
    """Train with the hinge loss.

    Source: Lim and Ye 2017, arXiv:1705.02894.
    """

    def discriminator_loss(self, batch: Batch) -> Losses:
        """Compute the hinge losses of real and of generated images, as two terms."""
        real, fake = self.discriminate(batch["image"], self.fake(batch)["image"])
        return {"real": relu(1 - real).mean(), "fake": relu(1 + fake).mean()}

    def generator_loss(self, batch: Batch) -> Losses:
        """Compute the negative mean logit of generated images."""
        return {"adversarial": -self.discriminator(self.fake(batch)["image"]).mean()}


def main(images: int = 100_000) -> None:
    """Train the GAN, load its checkpoint, and generate four digits.

    Args:
        images: Number of images to train on.
    """
    pl.seed_everything(0)
    data = Digits(batch_size=64)
    model = HingeGAN(
        image_shape=data.image_shape,
        generator=DCGANGenerator,
        discriminator=DCGANDiscriminator,
        gradient_clip_val=10.0,
    )
    run = Run(name="hinge-gan", max_images=images)
    Trainer(callbacks=[run, Samples(every=max(images // 5, 1))]).fit(model, data)
    digits = load(run.folder).sample(4, seed=1)["image"]
    print(f"{tuple(digits.shape)}, from {digits.min():.2f} to {digits.max():.2f}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
