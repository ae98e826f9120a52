"""Text of the progress display: formatted settings, scores and times."""

import math
import os
from typing import Any

import pytorch_lightning as pl

from lightning_gans.callbacks.trainer_access import data_of
from lightning_gans.core.class_paths import class_path
from lightning_gans.core.gan import GAN
from lightning_gans.core.model import Model
from lightning_gans.core.recording import modules_in, serialize_arguments

METRIC_LABELS = {
    "D": "discriminator/loss",
    "G": "generator/loss",
    "D(real)": "discriminator/real",
    "D(fake)": "discriminator/fake",
    "loss": "model/loss",
    "accuracy": "model/accuracy",
}
"""Short labels of the metrics that the progress display shows."""

PRECISIONS = {"32-true": "fp32", "64-true": "fp64"}
"""Short names of precisions; the others are shown as Lightning names them."""


def describe_run(trainer: pl.Trainer, model: Model) -> str:
    """Describe the model, the data, the hardware and the seed of a run in one line."""
    data, shape = data_of(trainer), model.image_shape
    parts = [f"Training {type(model).__name__} on {'custom loaders' if data is None else data.name}"]
    parts.append(f"{shape[0]}-dimensional points" if len(shape) == 1 else f"{shape[1]}x{shape[2]}x{shape[0]} images")
    if data is not None:
        sizes = ", ".join(f"{count:,} {split}" for split, count in data.sizes.items() if count)
        parts.append(f"{sizes} ({data.storage})")
    processes = f"{trainer.world_size} x " if trainer.world_size > 1 else ""
    precision = PRECISIONS.get(str(trainer.precision), str(trainer.precision))
    parts.append(f"{processes}{trainer.strategy.root_device.type} {precision}")
    parts.append(f"seed {os.environ.get('PL_GLOBAL_SEED', 'none')}")
    return " | ".join(parts)


def count_parameters(model: Model) -> str:
    """Count the parameters of a model, separately for each player of a GAN."""
    players = {"generator": model.generator, "discriminator": model.discriminator} if isinstance(model, GAN) else {}
    networks = players or {"model": model}
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    return ", ".join(f"{name} {format_count(count)}" for name, count in counts.items())


def format_metrics(trainer: pl.Trainer) -> str:
    """Format the last logged losses and scores with short labels."""
    metrics = trainer.callback_metrics
    return "  ".join(f"{label} {metrics[key]:.2f}" for label, key in METRIC_LABELS.items() if key in metrics)


def format_scores(result: dict[str, Any]) -> str:
    """Format the final scores of `Evaluation` with their protocol.

    Example:
        >>> format_scores({"accuracy": 0.975, "split": "test", "real": 360})
        'test split (360 examples): accuracy 0.9750'
    """
    scores = {name: value for name, value in result.items() if isinstance(value, float)}  # excludes the counts
    if "generated" not in result:
        text = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        return f"{result['split']} split ({result['real']:,} examples): {text}"
    common = {name: scores.pop(name) for name in ("density", "coverage", "precision", "recall")}
    texts = [f"{name} {value:.2f}" for name, value in common.items()]
    texts += [f"{name} {value:.3g}" for name, value in scores.items()]  # of any magnitude, such as a divergence
    protocol = (
        f"features: {result['features']}, k={result['k']}, "
        f"{result['generated']:,} samples against {result['real']:,} examples"
    )
    return f"{result['split']} split ({protocol}): {', '.join(texts)}"


def trust_options(model: pl.LightningModule) -> str:
    """Return the `--trust` options that the commands need for classes from other packages."""
    modules = {class_path(type(model)).partition(".")[0]}
    if isinstance(model, Model):
        modules |= modules_in(serialize_arguments(model.init_args))
    return "".join(f" --trust {module}" for module in sorted(modules - {"lightning_gans", "torch"}))


def format_count(number: int) -> str:
    """Format a number with a unit prefix.

    Example:
        >>> format_count(950), format_count(20_032), format_count(257_985), format_count(1_639_264)
        ('950', '20k', '258k', '1.6M')
    """
    if number >= 1_000_000:
        return f"{number / 1e6:.1f}M"
    return f"{number / 1e3:.0f}k" if number >= 1000 else str(number)


def format_duration(seconds: float) -> str:
    """Format a duration with its units.

    Example:
        >>> format_duration(20), format_duration(130), format_duration(7300)
        ('20 s', '2 min', '2 h 2 min')
    """
    if seconds < 60:
        return f"{math.ceil(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
