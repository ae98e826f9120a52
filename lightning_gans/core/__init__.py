"""The core of the framework: models, optimization, the EMA, schedules, checkpoints and sampling."""

from lightning_gans.core.autoregressive import Autoregressive
from lightning_gans.core.density import DensityModel
from lightning_gans.core.ema import EMA
from lightning_gans.core.gan import GAN
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.likelihood import LikelihoodModel
from lightning_gans.core.manual_optimization import ManualOptimization
from lightning_gans.core.model import Model
from lightning_gans.core.optimizers import (
    DCGANAdam,
    GoodfellowSGD,
    InfoGANAdam,
    LSGANAdam,
    MADEAdam,
    PixelCNNAdam,
    R3GANAdam,
    SNGANAdam,
    WGANGPAdam,
)
from lightning_gans.core.schedules import Cosine, Exponential, Linear, Schedule
from lightning_gans.core.single_optimizer import SingleOptimizerModel

__all__ = [
    "EMA",
    "GAN",
    "Autoregressive",
    "Cosine",
    "DCGANAdam",
    "DensityModel",
    "Exponential",
    "GenerativeModel",
    "GoodfellowSGD",
    "InfoGANAdam",
    "LSGANAdam",
    "LikelihoodModel",
    "Linear",
    "MADEAdam",
    "ManualOptimization",
    "Model",
    "PixelCNNAdam",
    "R3GANAdam",
    "SNGANAdam",
    "Schedule",
    "SingleOptimizerModel",
    "WGANGPAdam",
]
