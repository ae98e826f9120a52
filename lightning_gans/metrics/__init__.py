"""Metrics of generated samples, one per file: a pure function and a `torchmetrics.Metric`."""

from lightning_gans.metrics.cluster_accuracy import ClusterAccuracy, cluster_accuracy
from lightning_gans.metrics.energy import EnergyDistance, energy_distance
from lightning_gans.metrics.modes import (
    ModeCoverage,
    ModeCoverageResult,
    high_quality_counts,
    mode_coverage,
    reverse_kl,
)
from lightning_gans.metrics.prdc import PRDC, PRDCResult, prdc
from lightning_gans.metrics.stacked_mnist import StackedMNISTModes

__all__ = [
    "PRDC",
    "ClusterAccuracy",
    "EnergyDistance",
    "ModeCoverage",
    "ModeCoverageResult",
    "PRDCResult",
    "StackedMNISTModes",
    "cluster_accuracy",
    "energy_distance",
    "high_quality_counts",
    "mode_coverage",
    "prdc",
    "reverse_kl",
]
