"""Generative adversarial networks on PyTorch Lightning.

Importing this package imports nothing else: a name below is looked up when it is first used.

Example:
    >>> import lightning_gans
    >>> lightning_gans.WGANGP(image_shape=(1, 8, 8)).sample(4, seed=0)["image"].shape
    torch.Size([4, 1, 8, 8])
"""

import importlib
from typing import TYPE_CHECKING, Any

from lightning_gans._version import __version__

if TYPE_CHECKING:
    from lightning_gans.core.checkpoints import load
    from lightning_gans.core.gan import GAN
    from lightning_gans.datamodules import (
        CIFAR10,
        MNIST,
        BinarizedMNIST,
        DataModule,
        Digits,
        FashionMNIST,
        ImageFolder,
        StackedMNIST,
        Toy2D,
    )
    from lightning_gans.models import (
        DCGAN,
        LAPGAN,
        LSGAN,
        MADE,
        R3GAN,
        SNGAN,
        WGANGP,
        Classifier,
        FlowGAN,
        InfoGAN,
        PixelCNN,
        VanillaGAN,
    )
    from lightning_gans.trainer import Trainer

_LAZY_IMPORTS = {
    "CIFAR10": "lightning_gans.datamodules",
    "Classifier": "lightning_gans.models",
    "DCGAN": "lightning_gans.models",
    "DataModule": "lightning_gans.datamodules",
    "Digits": "lightning_gans.datamodules",
    "FashionMNIST": "lightning_gans.datamodules",
    "FlowGAN": "lightning_gans.models",
    "GAN": "lightning_gans.core.gan",
    "ImageFolder": "lightning_gans.datamodules",
    "InfoGAN": "lightning_gans.models",
    "LAPGAN": "lightning_gans.models",
    "LSGAN": "lightning_gans.models",
    "MADE": "lightning_gans.models",
    "MNIST": "lightning_gans.datamodules",
    "PixelCNN": "lightning_gans.models",
    "R3GAN": "lightning_gans.models",
    "SNGAN": "lightning_gans.models",
    "BinarizedMNIST": "lightning_gans.datamodules",
    "StackedMNIST": "lightning_gans.datamodules",
    "Toy2D": "lightning_gans.datamodules",
    "Trainer": "lightning_gans.trainer",
    "VanillaGAN": "lightning_gans.models",
    "WGANGP": "lightning_gans.models",
    "load": "lightning_gans.core.checkpoints",
}

__all__ = [
    "CIFAR10",
    "DCGAN",
    "GAN",
    "LAPGAN",
    "LSGAN",
    "MADE",
    "MNIST",
    "R3GAN",
    "SNGAN",
    "WGANGP",
    "BinarizedMNIST",
    "Classifier",
    "DataModule",
    "Digits",
    "FashionMNIST",
    "FlowGAN",
    "ImageFolder",
    "InfoGAN",
    "PixelCNN",
    "StackedMNIST",
    "Toy2D",
    "Trainer",
    "VanillaGAN",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY_IMPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY_IMPORTS[name]), name)


def __dir__() -> list[str]:
    return __all__
