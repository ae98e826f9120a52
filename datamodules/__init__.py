"""Data modules: each serves a data set with fixed train, validation and test splits."""

if __name__ != "lightning_gans.datamodules":
    raise ImportError(f"import `lightning_gans.datamodules`, not `{__name__}`: otherwise every class would exist twice")

from lightning_gans.datamodules.audio import AudioDataModule
from lightning_gans.datamodules.audio_folder import AudioFolder
from lightning_gans.datamodules.binarized_mnist import BinarizedMNIST
from lightning_gans.datamodules.captions import Captions
from lightning_gans.datamodules.cifar10 import CIFAR10
from lightning_gans.datamodules.digits import Digits
from lightning_gans.datamodules.fashion_mnist import FashionMNIST
from lightning_gans.datamodules.ground_truth import GroundTruth
from lightning_gans.datamodules.hugging_face import HuggingFace
from lightning_gans.datamodules.image_and_sound import ImageAndSound
from lightning_gans.datamodules.image_folder import ImageFolder
from lightning_gans.datamodules.lit_data import LitData
from lightning_gans.datamodules.loader import ResumableLoader
from lightning_gans.datamodules.mnist import MNIST
from lightning_gans.datamodules.module import DataModule
from lightning_gans.datamodules.spoken_digits import SpokenDigits
from lightning_gans.datamodules.sprites import Sprites
from lightning_gans.datamodules.stacked_mnist import StackedMNIST
from lightning_gans.datamodules.torchvision import TorchvisionDataModule
from lightning_gans.datamodules.torchvision_images import TorchvisionImages
from lightning_gans.datamodules.toy2d import Toy2D
from lightning_gans.datamodules.vocabulary import Vocabulary

__all__ = [
    "CIFAR10",
    "MNIST",
    "AudioDataModule",
    "AudioFolder",
    "BinarizedMNIST",
    "Captions",
    "DataModule",
    "Digits",
    "FashionMNIST",
    "GroundTruth",
    "HuggingFace",
    "ImageAndSound",
    "ImageFolder",
    "LitData",
    "ResumableLoader",
    "SpokenDigits",
    "Sprites",
    "StackedMNIST",
    "TorchvisionDataModule",
    "TorchvisionImages",
    "Toy2D",
    "Vocabulary",
]
