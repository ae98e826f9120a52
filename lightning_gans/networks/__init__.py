"""Generators, discriminators, and networks that tell of pixels, one architecture family per file."""

from lightning_gans.networks.dcgan import DCGANCritic, DCGANDiscriminator, DCGANGenerator, SpectralNormDiscriminator
from lightning_gans.networks.made import MADENetwork
from lightning_gans.networks.outputs import Bernoulli, Categorical, DiscretisedLogisticMixture
from lightning_gans.networks.perceptron import MaxoutDiscriminator, PerceptronDiscriminator, PerceptronGenerator
from lightning_gans.networks.pixel_cnn import GatedPixelCNN
from lightning_gans.networks.points import PointGenerator
from lightning_gans.networks.pyramid import LaplacianDiscriminator, LaplacianGenerator
from lightning_gans.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from lightning_gans.networks.recognition import RecognitionHead
from lightning_gans.networks.resnet import ResNetDiscriminator, ResNetGenerator, SpectralNormResNetDiscriminator

__all__ = [
    "Bernoulli",
    "Categorical",
    "DCGANCritic",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DiscretisedLogisticMixture",
    "GatedPixelCNN",
    "LaplacianDiscriminator",
    "LaplacianGenerator",
    "MADENetwork",
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
