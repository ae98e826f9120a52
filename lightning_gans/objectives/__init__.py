"""Objectives: pure functions that map tensors to the scalars that players minimize."""

from lightning_gans.objectives.attacks import discriminator_as_classifier, fgsm, pgd
from lightning_gans.objectives.classification import (
    feature_matching_loss,
    labeled_accuracy,
    labeled_cross_entropy,
)
from lightning_gans.objectives.information import categorical_information, continuous_information
from lightning_gans.objectives.losses import (
    hinge_discriminator_loss,
    hinge_generator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    minimax_discriminator_loss,
    minimax_generator_loss,
    non_saturating_generator_loss,
    relativistic_discriminator_loss,
    relativistic_generator_loss,
    wasserstein_discriminator_loss,
    wasserstein_generator_loss,
)
from lightning_gans.objectives.penalties import gradient_penalty, zero_centered_gradient_penalty

__all__ = [
    "categorical_information",
    "continuous_information",
    "discriminator_as_classifier",
    "feature_matching_loss",
    "fgsm",
    "gradient_penalty",
    "hinge_discriminator_loss",
    "hinge_generator_loss",
    "labeled_accuracy",
    "labeled_cross_entropy",
    "least_squares_discriminator_loss",
    "least_squares_generator_loss",
    "minimax_discriminator_loss",
    "minimax_generator_loss",
    "non_saturating_generator_loss",
    "pgd",
    "relativistic_discriminator_loss",
    "relativistic_generator_loss",
    "wasserstein_discriminator_loss",
    "wasserstein_generator_loss",
    "zero_centered_gradient_penalty",
]
