"""Generators, discriminators, normalizing flows and autoregressive networks, one architecture family per file."""

from lightning_gans.networks.dcgan import DCGANCritic, DCGANDiscriminator, DCGANGenerator, SpectralNormDiscriminator
from lightning_gans.networks.encoders import BagOfWords, GRUEncoder, LabelEncoder, LogMelEncoder
from lightning_gans.networks.made import MADENetwork
from lightning_gans.networks.mlp import MaxoutDiscriminator, MLPDiscriminator, MLPGenerator
from lightning_gans.networks.nice import NICE
from lightning_gans.networks.outputs import Bernoulli, Categorical, DiscretizedLogisticMixture
from lightning_gans.networks.pixel_cnn import GatedPixelCNN
from lightning_gans.networks.points import PointGenerator
from lightning_gans.networks.priors import FlowGenerator, StandardLogistic, StandardNormal
from lightning_gans.networks.pyramid import LaplacianDiscriminator, LaplacianGenerator
from lightning_gans.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from lightning_gans.networks.real_nvp import RealNVP
from lightning_gans.networks.recognition import RecognitionHead
from lightning_gans.networks.resnet import ResNetDiscriminator, ResNetGenerator, SpectralNormResNetDiscriminator
from lightning_gans.networks.semi_supervised import BatchNormMLPGenerator, NoisyConvClassifier, NoisyMLPClassifier
from lightning_gans.networks.splines import SplineFlow

__all__ = [
    "NICE",
    "BagOfWords",
    "BatchNormMLPGenerator",
    "Bernoulli",
    "Categorical",
    "DCGANCritic",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DiscretizedLogisticMixture",
    "FlowGenerator",
    "GRUEncoder",
    "GatedPixelCNN",
    "LabelEncoder",
    "LaplacianDiscriminator",
    "LaplacianGenerator",
    "LogMelEncoder",
    "MADENetwork",
    "MLPDiscriminator",
    "MLPGenerator",
    "MaxoutDiscriminator",
    "NoisyConvClassifier",
    "NoisyMLPClassifier",
    "PointGenerator",
    "R3GANDiscriminator",
    "R3GANGenerator",
    "RealNVP",
    "RecognitionHead",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "SpectralNormDiscriminator",
    "SpectralNormResNetDiscriminator",
    "SplineFlow",
    "StandardLogistic",
    "StandardNormal",
]
