"""Generators and discriminators, one architecture family per file."""

from lightning_gans.networks.dcgan import DCGANCritic, DCGANDiscriminator, DCGANGenerator
from lightning_gans.networks.perceptron import MaxoutDiscriminator, PerceptronDiscriminator, PerceptronGenerator

__all__ = [
    "DCGANCritic",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "MaxoutDiscriminator",
    "PerceptronDiscriminator",
    "PerceptronGenerator",
]
