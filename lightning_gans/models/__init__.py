"""GANs, likelihood models and a classifier: one model per file."""

from lightning_gans.models.acgan import ACGAN
from lightning_gans.models.classifier import Classifier
from lightning_gans.models.dcgan import DCGAN
from lightning_gans.models.flow_gan import FlowGAN
from lightning_gans.models.gan_cls import GANCLS
from lightning_gans.models.infogan import InfoGAN
from lightning_gans.models.lapgan import LAPGAN
from lightning_gans.models.lsgan import LSGAN
from lightning_gans.models.made import MADE
from lightning_gans.models.paired_gan import PairedGAN
from lightning_gans.models.pixel_cnn import PixelCNN
from lightning_gans.models.r3gan import R3GAN
from lightning_gans.models.semi_supervised import SemiSupervisedGAN
from lightning_gans.models.sngan import SNGAN
from lightning_gans.models.vanilla_gan import VanillaGAN
from lightning_gans.models.wgan_gp import WGANGP

__all__ = [
    "ACGAN",
    "DCGAN",
    "GANCLS",
    "LAPGAN",
    "LSGAN",
    "MADE",
    "R3GAN",
    "SNGAN",
    "WGANGP",
    "Classifier",
    "FlowGAN",
    "InfoGAN",
    "PairedGAN",
    "PixelCNN",
    "SemiSupervisedGAN",
    "VanillaGAN",
]
