"""Optional packages: which class and which option needs one, and the command that installs it."""

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

from lightning_gans.errors import UsageError, one_line


class Package(NamedTuple):
    """An optional package.

    Attributes:
        module: Name of its module.
        requirement: Its name for pip.
        alternative: Name of a module that takes its place.
    """

    module: str
    requirement: str
    alternative: str | None = None

    @property
    def is_missing(self) -> bool:
        """Return whether neither the package nor its alternative is installed."""
        modules = (self.module, self.alternative) if self.alternative else (self.module,)
        return all(find_spec(module) is None for module in modules)


_XLA = Package("torch_xla", "torch_xla")
_DEEPSPEED = Package("deepspeed", "deepspeed")
_TRANSFORMER_ENGINE = Package("transformer_engine", "'transformer_engine[pytorch]'")

CLASSES = {
    "TensorBoardLogger": Package("tensorboard", "tensorboard", "tensorboardX"),
    "MLFlowLogger": Package("mlflow", "mlflow"),
    "CometLogger": Package("comet_ml", "comet-ml"),
    "LitLogger": Package("litlogger", "litlogger"),
    "WandbLogger": Package("wandb", "wandb"),
    "RichProgressBar": Package("rich", "rich"),
    "RichModelSummary": Package("rich", "rich"),
    "TQDMProgressBar": Package("tqdm", "tqdm"),
    "DeviceStatsMonitor": Package("psutil", "psutil"),
    "BitsandbytesPrecision": Package("bitsandbytes", "bitsandbytes"),
    "TransformerEnginePrecision": _TRANSFORMER_ENGINE,
    "DeepSpeedPrecision": _DEEPSPEED,
    "DeepSpeedStrategy": _DEEPSPEED,
    "XLAAccelerator": _XLA,
    "XLAPrecision": _XLA,
    "XLAProfiler": _XLA,
    "XLAStrategy": _XLA,
    "SingleDeviceXLAStrategy": _XLA,
    "XLAFSDPStrategy": _XLA,
    "XLACheckpointIO": _XLA,
    "XLAEnvironment": _XLA,
}
"""Classes of Lightning that need an optional package."""

WORDS = {
    "deepspeed": _DEEPSPEED,
    "transformer-engine": _TRANSFORMER_ENGINE,
    "tpu": _XLA,
    "xla": _XLA,
    "single_xla": _XLA,
}
"""Beginnings of values of the trainer's options that need an optional package."""

OPTIONS = ("accelerator", "plugins", "precision", "profiler", "strategy")
"""Options of the trainer whose values are words."""

REMOVED = {"NeptuneLogger": "Neptune has ended, and Lightning no longer supports its logger: use another logger"}
"""Classes that Lightning has removed."""

_REQUIREMENT = re.compile(r"Requirement '(?P<requirement>[^']+)' not met")
_INSTALL = re.compile(r"pip install (?:-U )?'?(?P<requirement>[\w.\-]+)")
_NAME = re.compile(r"\w+")


def check_packages(config: Mapping[str, Any]) -> None:
    """Check that the packages of all classes and options in a configuration are installed.

    Args:
        config: Configuration of `fit`, with class paths.

    Raises:
        UsageError: If a package is not installed.

    Example:
        >>> check_packages({"trainer": {"logger": {"class_path": "CSVLogger", "init_args": {"save_dir": "runs"}}}})
    """
    for option, path in _class_paths(config):
        name = path.rpartition(".")[2]
        if (package := CLASSES.get(name)) and package.is_missing:
            raise UsageError(_needs(f"`--{option}` {name}", package))
    trainer = config.get("trainer") or {}
    for option in OPTIONS:
        value = str(trainer.get(option)).lower()
        for word, package in WORDS.items():
            if value.startswith(word) and package.is_missing:
                raise UsageError(_needs(f"`--trainer.{option}` {trainer[option]}", package))


def explain_package(message: str) -> str | None:
    """Find the package that is missing according to an error message, or that a class in the message needs.

    Args:
        message: Message of jsonargparse or of Lightning.

    Returns:
        The explanation; None if no package is missing.

    Example:
        >>> explain_package("Requirement 'mlflow>=1.0.0' not met. HINT: Try running `pip install -U 'mlflow>=1.0.0'`")
        "the package 'mlflow>=1.0.0' is not installed: pip install 'mlflow>=1.0.0'"
    """
    names = _NAME.findall(message)
    for name in names:
        if name in REMOVED:
            return f"{name}: {REMOVED[name]}"
        if (package := CLASSES.get(name)) and package.is_missing:
            return _needs(name, package)
    for line in message.splitlines():
        if "'lightning-gans[" in line:  # an extra of this package, which the message explains already
            return one_line(line).removeprefix("- ")
    found = _REQUIREMENT.findall(message) or _INSTALL.findall(message)
    return f"the package {found[-1]!r} is not installed: pip install {found[-1]!r}" if found else None


def _needs(subject: str, package: Package) -> str:
    return f"{subject} needs the package {package.module}, which is not installed: pip install {package.requirement}"


def _class_paths(config: Any, option: str = "") -> Iterator[tuple[str, str]]:
    """Find the class paths in a configuration, each with its option."""
    match config:
        case {"class_path": str(path), **rest}:
            yield option, path
            yield from _class_paths(rest.get("init_args"), option)
        case Mapping():
            for name, value in config.items():
                yield from _class_paths(value, f"{option}.{name}".lstrip("."))
        case [*items]:
            for item in items:
                yield from _class_paths(item, option)
