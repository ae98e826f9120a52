"""Optimizers with the published settings of a game as their defaults, and schedules for any optimizer's settings.

A class as a model's default (rather than a partial) lets the command line change one value and keep the rest:
`--model.generator_optimizer.lr 1e-4`. Any optimizer of torch goes in by its class path.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import ParamsT

from lightning_gans.core.schedules import Schedule

OptimizerFactory = Callable[[ParamsT], torch.optim.Optimizer]


class DCGANAdam(torch.optim.Adam):
    """Adam with the settings of DCGAN (Radford et al. 2015, arXiv:1511.06434, section 4).

    Args:
        params: Parameters to move.
        lr: Learning rate.
        betas: Decay of the averaged gradient and of the averaged square.
        eps: Added to the denominator.
        weight_decay: L2 penalty.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


class WGANGPAdam(torch.optim.Adam):
    """Adam with the settings of WGAN-GP's convolutional networks (`gan_cifar.py` of the authors, arXiv:1704.00028).

    Args:
        params: Parameters to move.
        lr: Learning rate.
        betas: Decay of the averaged gradient and of the averaged square.
        eps: Added to the denominator.
        weight_decay: L2 penalty.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.5, 0.9),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


class InfoGANAdam(DCGANAdam):
    """Adam with the settings of InfoGAN's generator (`run_mnist_exp.py` of the authors, arXiv:1606.03657).

    Its discriminator's are `DCGANAdam`'s.

    Args:
        params: Parameters to move.
        lr: Learning rate.
        betas: Decay of the averaged gradient and of the averaged square.
        eps: Added to the denominator.
        weight_decay: L2 penalty.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.5, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


class SNGANAdam(torch.optim.Adam):
    """Adam with the settings of SNGAN, and of WGAN-GP's residual networks (arXiv:1802.05957, arXiv:1704.00028).

    The authors let the learning rate fall linearly to 0 over the run: see `sngan_cifar10.yaml`.

    Args:
        params: Parameters to move.
        lr: Learning rate.
        betas: Decay of the averaged gradient and of the averaged square.
        eps: Added to the denominator.
        weight_decay: L2 penalty.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 2e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


class LSGANAdam(torch.optim.Adam):
    """Adam with the settings of LSGAN (`train_lsun.py` of the authors, arXiv:1611.04076).

    Args:
        params: Parameters to move.
        lr: Learning rate.
        betas: Decay of the averaged gradient and of the averaged square.
        eps: Added to the denominator.
        weight_decay: L2 penalty.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.5, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


class R3GANAdam(torch.optim.Adam):
    """Adam with the settings that R3GAN starts from (Huang et al. 2024, arXiv:2501.05441).

    Schedules belong to it: the learning rate falls to 5e-5, beta2 rises to .99.

    Args:
        params: Parameters to move.
        lr: Learning rate.
        betas: Decay of the averaged gradient and of the averaged square.
        eps: Added to the denominator.
        weight_decay: L2 penalty.
        fused: Whether one call moves all parameters, which is faster for small networks; None is torch's choice.
    """

    def __init__(  # noqa: PLR0917 (the signature is torch's)
        self,
        params: ParamsT,
        lr: float = 2e-4,
        betas: tuple[float, float] = (0.0, 0.9),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused)


class MADEAdam(torch.optim.Adam):
    """Adam with the settings of karpathy/pytorch-made, whose learning rate falls to a tenth after 45 epochs.

    Args:
        params: Parameters to move.
        lr: Learning rate.
        betas: Decay of the averaged gradient and of the averaged square.
        eps: Added to the denominator.
        weight_decay: L2 penalty.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-4,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


class PixelCNNAdam(torch.optim.Adam):
    """Adam with the settings of PixelCNN++ (`train.py` of the authors, arXiv:1701.05517).

    Args:
        params: Parameters to move.
        lr: Learning rate.
        betas: Decay of the averaged gradient and of the averaged square.
        eps: Added to the denominator.
        weight_decay: L2 penalty.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.95, 0.9995),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


class GoodfellowSGD(torch.optim.SGD):
    """Stochastic gradient descent with the settings of the first GAN (`mnist.yaml` of the authors, arXiv:1406.2661).

    The authors' schedules belong to it: momentum from .5 to .7 over 250 epochs, and a learning rate divided by
    1.000004 after every batch of 100 (a half-life of 17,328,715 images), down to 1e-6. See `vanilla_gan_mnist.yaml`.

    Args:
        params: Parameters to move.
        lr: Learning rate.
        momentum: Decay of the summed gradient.
        weight_decay: L2 penalty.
    """

    def __init__(self, params: ParamsT, lr: float = 0.1, momentum: float = 0.5, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)


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
