"""Generative adversarial networks on PyTorch Lightning.

Importing this package imports neither torch nor Lightning: a public name is imported when it is first used.

Example:
    >>> import lightning_gans
    >>> lightning_gans.WGANGP(image_shape=(1, 8, 8)).sample(4, seed=0)["image"].shape
    torch.Size([4, 1, 8, 8])
"""

import importlib
from typing import TYPE_CHECKING, Any

from lightning_gans._version import __version__ as __version__
from lightning_gans.exports import exported_names

if TYPE_CHECKING:
    from lightning_gans.core.gan import GAN as GAN
    from lightning_gans.core.model import load as load
    from lightning_gans.datamodules import *  # noqa: F403 (type checkers see the `__all__` of the subpackages)
    from lightning_gans.models import *  # noqa: F403
    from lightning_gans.trainer import Trainer as Trainer
else:
    _LAZY_IMPORTS = {
        "GAN": "lightning_gans.core.gan",
        "Trainer": "lightning_gans.trainer",
        "load": "lightning_gans.core.model",
        **dict.fromkeys(exported_names("lightning_gans.datamodules"), "lightning_gans.datamodules"),
        **dict.fromkeys(exported_names("lightning_gans.models"), "lightning_gans.models"),
    }

    __all__ = sorted([*_LAZY_IMPORTS, "__version__"])  # noqa: PLE0605 (ruff expects a literal)

    def __getattr__(name: str) -> Any:
        if name not in _LAZY_IMPORTS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_LAZY_IMPORTS[name]), name)

    def __dir__() -> list[str]:
        return __all__
