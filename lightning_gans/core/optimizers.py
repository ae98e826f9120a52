"""Optimizers with the published settings as their defaults, and schedules for the settings of any optimizer.

A class as a model's default (rather than a partial) lets the command line change one value and keep the rest:
`--model.generator_optimizer.lr 1e-4`. Any optimizer of torch goes in by its class path.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import ParamsT

from lightning_gans.core.schedules import Schedule

OptimizerFactory = Callable[[ParamsT], torch.optim.Optimizer]


class Published:
    """Give an optimizer of torch the published settings of a paper as its defaults.

    The class header carries the settings; every other argument keeps torch's default. The signature shows the values in
    effect, so that the command line, checkpoints and the documentation see them.

    Example:
        >>> class SlowAdam(Published, torch.optim.Adam, lr=1e-5):
        ...     "Adam with a small learning rate."
        >>> SlowAdam([torch.zeros(1)], weight_decay=0.1).param_groups[0]["lr"]
        1e-05
    """

    def __init_subclass__(cls, **settings: Any) -> None:
        """Write the settings into the signature of the constructor.

        Raises:
            TypeError: The optimizer has no such setting.
        """
        super().__init_subclass__()
        base = next(base for base in cls.__mro__[1:] if base is not Published)
        optimizer = next(base for base in cls.__mro__ if not issubclass(base, Published))
        inherited = inspect.signature(vars(base)["__init__"])
        if unknown := sorted(settings.keys() - inherited.parameters.keys()):
            raise TypeError(f"{optimizer.__name__} has no setting {unknown}")
        parameters = [
            parameter.replace(default=settings.get(name, parameter.default))
            for name, parameter in inherited.parameters.items()
        ]
        signature = inherited.replace(parameters=parameters)

        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            given = signature.bind(self, *args, **kwargs)
            given.apply_defaults()
            optimizer.__init__(*given.args, **given.kwargs)

        vars(__init__)["__signature__"] = signature
        type.__setattr__(cls, "__init__", __init__)


class DCGANAdam(Published, torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999)):
    """Adam with the settings of DCGAN (Radford et al. 2015, arXiv:1511.06434, section 4)."""


class WGANGPAdam(Published, torch.optim.Adam, lr=1e-4, betas=(0.5, 0.9)):
    """Adam with the settings of WGAN-GP's convolutional networks (the authors' `gan_cifar.py`, arXiv:1704.00028)."""


class InfoGANAdam(DCGANAdam, lr=1e-3):
    """Adam with the settings of InfoGAN's generator (the authors' `run_mnist_exp.py`, arXiv:1606.03657).

    The discriminator's settings are those of `DCGANAdam`.
    """


class SNGANAdam(Published, torch.optim.Adam, lr=2e-4, betas=(0.0, 0.9)):
    """Adam with the settings of SNGAN and of WGAN-GP's residual networks (arXiv:1802.05957, arXiv:1704.00028).

    The authors decay the learning rate linearly to 0 over the run: see `sngan_cifar10.yaml`.
    """


class LSGANAdam(Published, torch.optim.Adam, lr=1e-3, betas=(0.5, 0.999)):
    """Adam with the settings of LSGAN (the authors' `train_lsun.py`, arXiv:1611.04076)."""


class R3GANAdam(Published, torch.optim.Adam, lr=2e-4, betas=(0.0, 0.9)):
    """Adam with the initial settings of R3GAN (Huang et al. 2024, arXiv:2501.05441).

    The paper schedules them: the learning rate falls to 5e-5 and beta2 rises to 0.99. `fused=True` updates all
    parameters in one call, which is faster for small networks.
    """


class MADEAdam(Published, torch.optim.Adam, lr=1e-3, weight_decay=1e-4):
    """Adam with the settings of karpathy/pytorch-made, which divides the learning rate by 10 after 45 epochs."""


class PixelCNNAdam(Published, torch.optim.Adam, lr=1e-3, betas=(0.95, 0.9995)):
    """Adam with the settings of PixelCNN++ (the authors' `train.py`, arXiv:1701.05517)."""


class GoodfellowSGD(Published, torch.optim.SGD, lr=0.1, momentum=0.5):
    """Stochastic gradient descent with the settings of the first GAN (the authors' `mnist.yaml`, arXiv:1406.2661).

    The authors schedule them: momentum rises from 0.5 to 0.7 over 250 epochs, and the learning rate is divided by
    1.000004 after every batch of 100 images (a half-life of 17,328,715 images), down to 1e-6. See
    `vanilla_gan_mnist.yaml`.
    """


def apply_schedules(optimizer: torch.optim.Optimizer, schedules: Mapping[str, Schedule], images: int) -> None:
    """Set the scheduled settings of every parameter group to their values after that many images.

    Args:
        optimizer: What is driven.
        schedules: By the name of a setting (`lr`, `momentum`, `weight_decay`, ...), or `beta1` and `beta2`.
        images: Images seen, over all devices.

    Raises:
        ValueError: The optimizer has no such setting.

    Example:
        >>> from lightning_gans.core.schedules import Linear
        >>> adam = DCGANAdam([torch.zeros(1)])
        >>> apply_schedules(adam, {"beta1": Linear(0.5, 0.9, images=100)}, images=100)
        >>> adam.param_groups[0]["betas"]
        (0.9, 0.999)
    """
    for group in optimizer.param_groups:
        for name, schedule in schedules.items():
            if name in ("beta1", "beta2") and "betas" in group:
                beta1, beta2 = group["betas"]
                group["betas"] = (schedule(images), beta2) if name == "beta1" else (beta1, schedule(images))
            elif name in group and name != "params":
                group[name] = schedule(images)
            else:
                settings = sorted(group.keys() - {"params"}) + ["beta1", "beta2"] * ("betas" in group)
                raise ValueError(
                    f"a schedule drives {name!r}, but {type(optimizer).__name__} has only {', '.join(settings)}"
                )


Settings = list[dict[str, Any]]


def hyperparameters(optimizer: torch.optim.Optimizer) -> Settings:
    """What each parameter group was made with."""
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


def without_scheduled(settings: Settings, schedules: Iterable[str]) -> Settings:
    """The settings without those that schedules drive.

    Example:
        >>> without_scheduled([{"lr": 1e-4, "betas": (0.5, 0.9), "eps": 1e-8}], ["lr", "beta1"])
        [{'eps': 1e-08}]
    """
    driven = {*schedules} | ({"betas"} if {"beta1", "beta2"} & {*schedules} else set())
    return [{name: value for name, value in group.items() if name not in driven} for group in settings]


def restore_overridden(optimizer: torch.optim.Optimizer, settings: Settings, previous: Settings) -> None:
    """Let the settings that an optimizer was made with win over those of a checkpoint, where they are others.

    The others stay as the checkpoint has them: some optimizers count their steps there, beside their settings.

    Args:
        optimizer: It has the settings of the checkpoint.
        settings: What it was made with.
        previous: What the checkpoint's optimizer was made with, without what schedules drove; [] if that is unknown.

    Example:
        >>> adam = DCGANAdam([torch.zeros(1)], lr=1e-4)
        >>> settings = hyperparameters(adam)
        >>> adam.param_groups[0] |= {"lr": 1.0, "eps": 1e-6}
        >>> restore_overridden(adam, settings, [{**settings[0], "lr": 1.0}])
        >>> adam.param_groups[0]["lr"], adam.param_groups[0]["eps"]
        (0.0001, 1e-06)
    """
    for group, given, before in zip(optimizer.param_groups, settings, previous or [{}] * len(settings), strict=True):
        group.update({name: value for name, value in given.items() if name not in before or before[name] != value})


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """What an optimizer moves."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
