"""Generators and discriminators, one architecture family per file."""

from lightning_gans.networks.dcgan import DCGANCritic, DCGANDiscriminator, DCGANGenerator, SpectralNormDiscriminator
from lightning_gans.networks.perceptron import MaxoutDiscriminator, PerceptronDiscriminator, PerceptronGenerator
from lightning_gans.networks.points import PointGenerator
from lightning_gans.networks.pyramid import LaplacianDiscriminator, LaplacianGenerator
from lightning_gans.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from lightning_gans.networks.recognition import RecognitionHead
from lightning_gans.networks.resnet import ResNetDiscriminator, ResNetGenerator, SpectralNormResNetDiscriminator

__all__ = [
    "DCGANCritic",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "LaplacianDiscriminator",
    "LaplacianGenerator",
    "MaxoutDiscriminator",
    "PerceptronDiscriminator",
    "PerceptronGenerator",
    "PointGenerator",
    "R3GANDiscriminator",
    "R3GANGenerator",
    "RecognitionHead",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "SpectralNormDiscriminator",
    "SpectralNormResNetDiscriminator",
]
