"""Generators and discriminators, one architecture family per file."""

from lightning_gans.networks.dcgan import DCGANCritic, DCGANDiscriminator, DCGANGenerator
from lightning_gans.networks.perceptron import MaxoutDiscriminator, PerceptronDiscriminator, PerceptronGenerator
from lightning_gans.networks.points import PointGenerator
from lightning_gans.networks.pyramid import LaplacianDiscriminator, LaplacianGenerator
from lightning_gans.networks.recognition import RecognitionHead

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
    "RecognitionHead",
]
