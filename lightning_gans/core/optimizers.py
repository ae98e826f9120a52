"""Optimizers whose default settings are the published settings of a paper.

A model's default optimizer is a class, not a partial, so the command line can change one setting and keep the others:
`--model.generator_optimizer.lr 1e-4`. Every optimizer of torch can be chosen by its class path.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT

OptimizerFactory = Callable[[ParamsT], torch.optim.Optimizer]
"""Factory of an optimizer from parameters: an optimizer class, a partial or any callable."""


class Published:
    """Set the defaults of an optimizer in the class header.

    Settings that the header does not name keep the defaults of the base class. The signature shows the defaults in
    effect, so that `help`, the command line and checkpoints read the same values.

    Example:
        >>> class SlowAdam(Published, torch.optim.Adam, lr=1e-5):
        ...     "Adam with a small learning rate."
        >>> SlowAdam([torch.zeros(1)], weight_decay=0.1).param_groups[0]["lr"]
        1e-05
    """

    def __init_subclass__(cls, **settings: Any) -> None:
        """Make the settings the defaults of the constructor.

        Raises:
            TypeError: If the constructor has no such setting.
        """
        super().__init_subclass__()
        if not settings:
            return
        init = cls.__init__
        signature = inspect.signature(init)
        _, *names = signature.parameters  # without `self`
        passes_on = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        if not passes_on and (unknown := sorted(settings.keys() - names[1:])):
            raise TypeError(
                f"{cls.__name__} has no setting {', '.join(map(repr, unknown))}, only {', '.join(names[1:])}"
            )

        @functools.wraps(init)
        def init_with_settings(self: Any, *args: Any, **kwargs: Any) -> None:
            positional = names[: len(args)]
            defaults = {name: value for name, value in settings.items() if name not in positional}
            init(self, *args, **{**defaults, **kwargs})

        parameters = [p.replace(default=settings.get(p.name, p.default)) for p in signature.parameters.values()]
        vars(init_with_settings)["__signature__"] = signature.replace(parameters=parameters)
        type.__setattr__(cls, "__init__", init_with_settings)


class DCGANAdam(Published, torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999)):
    """Adam with the settings of DCGAN (Radford et al. 2015, arXiv:1511.06434, section 4)."""


class WGANGPAdam(Published, torch.optim.Adam, lr=1e-4, betas=(0.5, 0.9)):
    """Adam with the settings of WGAN-GP's convolutional networks (the authors' `gan_cifar.py`, arXiv:1704.00028)."""


class InfoGANAdam(DCGANAdam, lr=1e-3):
    """Adam with the settings of InfoGAN's generator (the authors' `run_mnist_exp.py`, arXiv:1606.03657).

    The settings of InfoGAN's discriminator are `DCGANAdam`'s.
    """


class SNGANAdam(Published, torch.optim.Adam, lr=2e-4, betas=(0.0, 0.9)):
    """Adam with the settings of SNGAN and of WGAN-GP's residual networks (arXiv:1802.05957, arXiv:1704.00028).

    The authors decay the learning rate linearly to 0 over the run: see `sngan_cifar10.yaml`.
    """


class LSGANAdam(Published, torch.optim.Adam, lr=1e-3, betas=(0.5, 0.999)):
    """Adam with the settings of LSGAN (the authors' `train_lsun.py`, arXiv:1611.04076)."""


class SemiSupervisedAdam(Published, torch.optim.Adam, lr=3e-3, betas=(0.5, 0.999)):
    """Adam with the settings of semi-supervised GANs (`train_mnist_feature_matching.py` of arXiv:1606.03498)."""


class R3GANAdam(Published, torch.optim.Adam, lr=2e-4, betas=(0.0, 0.9)):
    """Adam with the initial settings of R3GAN (Huang et al. 2024, arXiv:2501.05441).

    The paper schedules these settings: the learning rate falls to 5e-5 and beta2 rises to 0.99. `fused=True` updates
    all parameters in one call, which is faster for small networks.
    """


class MADEAdam(Published, torch.optim.Adam, lr=1e-3, weight_decay=1e-4):
    """Adam with the settings of karpathy/pytorch-made, which divides the learning rate by 10 after 45 epochs."""


class PixelCNNAdam(Published, torch.optim.Adam, lr=1e-3, betas=(0.95, 0.9995)):
    """Adam with the settings of PixelCNN++ (the authors' `train.py`, arXiv:1701.05517)."""


class GoodfellowSGD(Published, torch.optim.SGD, lr=0.1, momentum=0.5):
    """Stochastic gradient descent with the settings of the first GAN (the authors' `mnist.yaml`, arXiv:1406.2661).

    The authors schedule both settings. The momentum rises from 0.5 to 0.7 over 250 epochs. The learning rate is divided
    by 1.000004 after every batch of 100 images, a half-life of 17,328,715 images, down to 1e-6. See
    `vanilla_gan_mnist.yaml`.
    """
