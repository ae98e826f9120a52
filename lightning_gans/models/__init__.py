"""The games, one file each."""

from lightning_gans.models.dcgan import DCGAN
from lightning_gans.models.lsgan import LSGAN
from lightning_gans.models.sngan import SNGAN
from lightning_gans.models.vanilla_gan import VanillaGAN
from lightning_gans.models.wgan_gp import WGANGP

__all__ = ["DCGAN", "LSGAN", "SNGAN", "WGANGP", "VanillaGAN"]
