"""The table of all models for the property tests, and small data for them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, cast

import pytest
import torch
from torch import Tensor, nn

from lightning_gans.core.batches import as_dict
from lightning_gans.core.density import DensityModel
from lightning_gans.core.gan import GAN
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model
from lightning_gans.core.optimizers import (
    DCGANAdam,
    InfoGANAdam,
    LSGANAdam,
    R3GANAdam,
    SemiSupervisedAdam,
    SNGANAdam,
    WGANGPAdam,
)
from lightning_gans.datamodules.module import DataModule
from lightning_gans.datamodules.vocabulary import Vocabulary
from lightning_gans.models import (
    ACGAN,
    DCGAN,
    GANCLS,
    LAPGAN,
    LSGAN,
    MADE,
    R3GAN,
    SNGAN,
    WGANGP,
    Classifier,
    FlowGAN,
    InfoGAN,
    PairedGAN,
    PixelCNN,
    SemiSupervisedGAN,
    VanillaGAN,
)
from lightning_gans.networks.classifier import ConvClassifier
from lightning_gans.networks.conditional import ConditionalGenerator
from lightning_gans.networks.couplings import AdditiveCoupling, even_odd_indices
from lightning_gans.networks.dcgan import DCGANCritic, DCGANDiscriminator, DCGANGenerator, SpectralNormDiscriminator
from lightning_gans.networks.encoders import BagOfWords, LogMelEncoder
from lightning_gans.networks.flows import Chain, Flatten
from lightning_gans.networks.levels import round_to_levels, to_index
from lightning_gans.networks.made import MADENetwork
from lightning_gans.networks.mlp import MaxoutDiscriminator, MLPDiscriminator, MLPGenerator
from lightning_gans.networks.nice import NICE
from lightning_gans.networks.outputs import Bernoulli, DiscretizedLogisticMixture
from lightning_gans.networks.pairs import PairDiscriminator, PairGenerator
from lightning_gans.networks.pixel_cnn import GatedPixelCNN
from lightning_gans.networks.priors import FlowGenerator, StandardNormal
from lightning_gans.networks.pyramid import LaplacianDiscriminator, LaplacianGenerator, PyramidGenerator
from lightning_gans.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from lightning_gans.networks.real_nvp import RealNVP
from lightning_gans.networks.recognition import InfoGANDiscriminator, RecognitionHead
from lightning_gans.networks.resnet import ResNetDiscriminator, ResNetGenerator, SpectralNormResNetDiscriminator
from lightning_gans.networks.semi_supervised import BatchNormMLPGenerator, NoisyConvClassifier, NoisyMLPClassifier
from lightning_gans.networks.splines import SplineFlow
from lightning_gans.types import Batch, ImageShape


@dataclass(frozen=True)
class Case:
    """A model with small networks, and the shape of its data.

    Attributes:
        name: Name of the case in test ids.
        model: Class of the model.
        image_shape: Shape of an example.
        arguments: Further arguments of the constructor.
        representative: Whether the default suite tests all properties of the case, as for the first case of each model.
        no_mean_over_samples: Reason why the gradient of a batch is not the mean of the gradients of its halves; empty
            if it is.
        mean_over_samples: Replacements for the arguments that are the reason, if any.
    """

    name: str
    model: type[Model]
    image_shape: ImageShape
    arguments: Mapping[str, Any] = field(default_factory=dict)
    representative: bool = False
    no_mean_over_samples: str = ""
    mean_over_samples: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_gan(self) -> bool:
        """Return whether the model is a GAN."""
        return issubclass(self.model, GAN)

    @property
    def is_adversarial(self) -> bool:
        """Return whether the model is a GAN whose discriminator is trained; a flow's is not under pure likelihood."""
        return self.is_gan and self.arguments.get("likelihood_weight") != 1

    @property
    def network(self) -> str:
        """Return the name of the argument that is the factory of the generative network."""
        return next(name for name in ("generator", "flow", "network") if name in self.arguments)

    @property
    def levels(self) -> int | None:
        """Return the number of values that an element of the data can have."""
        levels: int | None = self.arguments.get("levels", 256 if len(self.image_shape) == 3 else None)
        return levels

    def make(self, **changes: Any) -> Any:
        """Build the model, always from the same initial weights."""
        torch.manual_seed(0)
        sizes = {"latent_dim": 6} if self.is_gan and self.network == "generator" else {}
        if not self.is_adversarial:
            changes.pop("discriminator_steps", None)  # the discriminator is not trained
        return self.model(image_shape=self.image_shape, **{**sizes, **self.arguments, **changes})

    def batch(self, size: int = 8, *, seed: int = 0) -> Batch:
        """Generate a random batch."""
        image = images(self.image_shape, size, seed=seed)
        if "levels" in self.arguments and self.levels is not None:
            image = round_to_levels(image, self.levels)
        batch: Batch = {"image": image, "label": torch.arange(size) % 3}
        return {**batch, **conditions(batch["label"], self.words, self.audio_shape)}

    def sample(self, model: GenerativeModel, n: int, *, seed: int | None = None) -> Batch:
        """Sample from a model of the case, with the conditions that it requires."""
        batch = as_dict(self.batch(n))
        condition = cast("Batch", {key: batch[key] for key in model.required_conditions})
        return model.sample(n, condition=condition, seed=seed)

    @property
    def words(self) -> int:
        """Return the number of words of the captions of the data, 0 without captions."""
        return len(self.arguments.get("vocabulary", ()))

    @property
    def audio_shape(self) -> list[int]:
        """Return the shape of the spectrograms of the data, empty without sound."""
        return list(self.arguments.get("audio_shape", ()))

    def data(self, **arguments: Any) -> "Noise":
        """Generate a random data module: 40 examples for training, 16 for validation, 24 for testing."""
        return Noise(**{**self.sizes(), "batch_size": 8, "validation_size": 16, **arguments})

    def sizes(self) -> dict[str, Any]:
        """Return the arguments of `Noise` that describe the data."""
        classes = self.arguments.get("num_classes", 0)
        sizes = {"image_shape": list(self.image_shape), "levels": self.levels, "classes": classes}
        return {**sizes, "words": self.words, "audio_shape": self.audio_shape}


class Noise(DataModule):
    """Uniform noise, as uint8 images or as points, with labels, captions and spectrograms of the given sizes."""

    def __init__(
        self,
        *,
        image_shape: list[int],
        levels: int | None = 256,
        classes: int = 0,
        words: int = 0,
        audio_shape: list[int] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.vocabulary = Vocabulary(WORDS[2:words]) if words else None
        self.audio_shape = tuple(audio_shape) if audio_shape else None
        self.class_names = tuple(str(label) for label in range(classes)) or None
        self.image_shape = tuple(image_shape)
        self.levels = levels if len(image_shape) == 3 else None

    def load(self) -> tuple[Batch, Batch]:
        train, test = (images(self.image_shape, size, seed=size) for size in (56, 24))
        return self._stored(train), self._stored(test)

    def _stored(self, image: Tensor) -> Batch:
        stored = image if self.levels is None else to_index(image, self.levels).to(torch.uint8)
        label = torch.arange(len(image)) % self.num_classes if self.num_classes else torch.full((len(image),), -1)
        words = 0 if self.vocabulary is None else len(self.vocabulary)
        return {"image": stored, "label": label, **conditions(torch.arange(len(image)), words, self.audio_shape)}


def images(image_shape: ImageShape, size: int, *, seed: int = 0) -> Tensor:
    """Sample examples uniformly from [-1, 1], without the global random generator."""
    return torch.rand(size, *image_shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


WORDS = ("<pad>", "<unk>", *"abcdefgh")
"""A vocabulary."""


def conditions(index: Tensor, words: int, audio_shape: Sequence[int] | None) -> Batch:
    """Return captions of one to three words and spectrograms for examples with these indices."""
    batch: Batch = {}
    if words:
        length = 1 + index % 3
        text = 2 + (index[:, None] * torch.tensor([1, 3, 5])) % (words - 2)
        batch["text"] = torch.where(torch.arange(3) < length[:, None], text, 0)
    if audio_shape:
        batch["audio"] = torch.cat([images(tuple(audio_shape), 1, seed=one) for one in index.tolist()])
    return batch


MLPS: dict[str, Any] = {
    "generator": partial(MLPGenerator, width=16),
    "discriminator": partial(MLPDiscriminator, width=16),
}
"""Deterministic networks whose output for an example does not depend on other examples."""

BATCH_NORM = "the statistics of batch normalization are those of the examples of one process"
ACT_NORM = "the flow's normalization is initialized from the first batch of one process"
FEATURE_MATCHING = "feature matching compares means over the examples of one process"
MISMATCHED = "the wrong captions are those of other examples in the part of the batch of one process"
DROPOUT = "dropout draws from the random generator of each process, not from `randn`"


class Couplings(Chain):
    """A flow that is not initialized from the first batch."""

    def __init__(self, image_shape: ImageShape) -> None:
        even, odd = even_odd_indices(math.prod(image_shape))
        super().__init__(
            Flatten(image_shape), AdditiveCoupling(even, odd, nn.Linear), AdditiveCoupling(odd, even, nn.Linear)
        )


RESIDUALS: dict[str, Any] = {
    "residual_generator": partial(LaplacianGenerator, width=3),
    "residual_discriminator": partial(LaplacianDiscriminator, width=3),
}

CASES = [
    Case(
        "vanilla_gan",
        VanillaGAN,
        (1, 8, 8),
        {
            "generator": partial(MLPGenerator, width=16),
            "discriminator": partial(MaxoutDiscriminator, width=12, pieces=2),
        },
        representative=True,
        no_mean_over_samples=DROPOUT,
        mean_over_samples={"discriminator": partial(MaxoutDiscriminator, width=12, input_dropout=0.0, dropout=0.0)},
    ),
    Case("vanilla_gan-points", VanillaGAN, (2,), MLPS),
    Case(
        "dcgan",
        DCGAN,
        (3, 9, 7),
        {"generator": partial(DCGANGenerator, width=4), "discriminator": partial(DCGANDiscriminator, width=4)},
        representative=True,
        no_mean_over_samples=BATCH_NORM,
        mean_over_samples=MLPS,
    ),
    Case(
        "dcgan-parts",
        DCGAN,
        (1, 8, 8),
        {
            "generator": partial(DCGANGenerator, width=4),
            "discriminator": partial(DCGANDiscriminator, width=4),
            "accumulate_grad_batches": 2,
            "gradient_clip_val": 1.0,
            "discriminator_steps": 2,
        },
        no_mean_over_samples=BATCH_NORM,
        mean_over_samples=MLPS,
    ),
    Case(
        "wgan_gp",
        WGANGP,
        (1, 8, 8),
        {"generator": partial(DCGANGenerator, width=4), "discriminator": partial(DCGANCritic, width=4)},
        representative=True,
        no_mean_over_samples=BATCH_NORM,
        mean_over_samples={"generator": partial(MLPGenerator, width=16)},
    ),
    Case("wgan_gp-points", WGANGP, (2,), MLPS, representative=True),
    Case(
        "r3gan",
        R3GAN,
        (1, 8, 8),
        {
            "generator": partial(R3GANGenerator, width=4, blocks=1),
            "discriminator": partial(R3GANDiscriminator, width=4, blocks=1),
        },
    ),
    Case("r3gan-points", R3GAN, (2,), MLPS),
    Case(
        "lapgan",
        LAPGAN,
        (1, 8, 8),
        {"depth": 2, **MLPS, **RESIDUALS},
        no_mean_over_samples=DROPOUT,
        mean_over_samples={"residual_discriminator": partial(LaplacianDiscriminator, width=3, dropout=0.0)},
    ),
    Case(
        "lapgan-colors",
        LAPGAN,
        (3, 8, 12),
        {"depth": 3, **MLPS, **RESIDUALS, "accumulate_grad_batches": 2},
        no_mean_over_samples=DROPOUT,
    ),
    Case(
        "infogan",
        InfoGAN,
        (1, 8, 8),
        {"categorical": [3], "continuous": 1, **MLPS, "recognition_head": nn.Linear},
    ),
    Case(
        "infogan-points",
        InfoGAN,
        (2,),
        {"categorical": [2, 3], "continuous": 0, **MLPS, "recognition_head": partial(RecognitionHead, width=8)},
        no_mean_over_samples=BATCH_NORM,
    ),
    Case(
        "wgan_gp-residual",
        WGANGP,
        (1, 9, 7),
        {"generator": partial(ResNetGenerator, width=4), "discriminator": partial(ResNetDiscriminator, width=4)},
        no_mean_over_samples=BATCH_NORM,
        mean_over_samples={"generator": partial(MLPGenerator, width=16)},
    ),
    Case(
        "sngan",
        SNGAN,
        (1, 8, 8),
        {"generator": partial(DCGANGenerator, width=4), "discriminator": partial(SpectralNormDiscriminator, width=4)},
        no_mean_over_samples=BATCH_NORM,
        mean_over_samples={"generator": partial(MLPGenerator, width=16)},
    ),
    Case(
        "sngan-residual",
        SNGAN,
        (3, 9, 7),
        {
            "generator": partial(ResNetGenerator, width=4),
            "discriminator": partial(SpectralNormResNetDiscriminator, width=4),
        },
        no_mean_over_samples=BATCH_NORM,
        mean_over_samples={"generator": partial(MLPGenerator, width=16)},
    ),
    Case(
        "lsgan",
        LSGAN,
        (1, 8, 8),
        {"generator": partial(DCGANGenerator, width=4), "discriminator": partial(DCGANDiscriminator, width=4)},
        no_mean_over_samples=BATCH_NORM,
        mean_over_samples=MLPS,
    ),
    Case(
        "flow_gan",
        FlowGAN,
        (1, 4, 4),
        {
            "levels": 5,
            "flow": partial(RealNVP, width=4, blocks=1, couplings=1),
            "prior": StandardNormal,
            "discriminator": partial(MLPDiscriminator, width=16),
        },
        no_mean_over_samples=ACT_NORM,
        mean_over_samples={"flow": Couplings},
    ),
    Case(
        "flow_gan-colors",
        FlowGAN,
        (3, 3, 2),
        {
            "levels": 256,
            "flow": partial(NICE, width=8, depth=1),
            "likelihood_weight": 0.9,
            "discriminator": partial(MLPDiscriminator, width=16),
            "accumulate_grad_batches": 2,
        },
        no_mean_over_samples=ACT_NORM,
        mean_over_samples={"flow": Couplings},
    ),
    Case(
        "flow_gan-points",
        FlowGAN,
        (2,),
        {
            "levels": None,
            "flow": partial(SplineFlow, width=8, bins=4, couplings=2),
            "prior": StandardNormal,
            "likelihood_weight": 1.0,
            "discriminator": partial(MLPDiscriminator, width=16),
        },
        representative=True,
        no_mean_over_samples=ACT_NORM,
        mean_over_samples={"flow": Couplings},
    ),
    Case(
        "semi_supervised",
        SemiSupervisedGAN,
        (1, 8, 8),
        {
            "num_classes": 60,
            "generator": partial(BatchNormMLPGenerator, width=16),
            "classifier": partial(NoisyMLPClassifier, hidden=(16, 12)),
        },
        no_mean_over_samples=FEATURE_MATCHING,
    ),
    Case(
        "semi_supervised-convolutions",
        SemiSupervisedGAN,
        (3, 9, 7),
        {
            "num_classes": 60,
            "generator": partial(DCGANGenerator, width=4),
            "classifier": partial(NoisyConvClassifier, width=4),
            "accumulate_grad_batches": 2,
        },
        no_mean_over_samples=FEATURE_MATCHING,
    ),
    Case(
        "dcgan-label",
        DCGAN,
        (1, 8, 8),
        {
            "generator": partial(DCGANGenerator, width=4),
            "discriminator": partial(DCGANDiscriminator, width=4),
            "conditions": ["label"],
            "condition_dim": 5,
            "generator_conditioning": "batch_norm",
            "num_classes": 60,
        },
        representative=True,
        no_mean_over_samples=BATCH_NORM,
    ),
    Case(
        "wgan_gp-text",
        WGANGP,
        (2,),
        {**MLPS, "conditions": ["text"], "condition_dim": 5, "vocabulary": WORDS, "accumulate_grad_batches": 2},
        representative=True,
    ),
    Case(
        "r3gan-sound",
        R3GAN,
        (1, 8, 8),
        {
            **MLPS,
            "conditions": ["label", "audio"],
            "condition_dim": 5,
            "audio_encoder": partial(LogMelEncoder, width=2),
            "num_classes": 60,
            "audio_shape": (1, 8, 6),
        },
        representative=True,
    ),
    Case(
        "acgan",
        ACGAN,
        (1, 8, 8),
        {**MLPS, "condition_dim": 5, "num_classes": 60},
    ),
    Case(
        "gan_cls",
        GANCLS,
        (3, 9, 7),
        {
            "generator": partial(DCGANGenerator, width=4),
            "discriminator": partial(DCGANDiscriminator, width=4),
            "text_encoder": BagOfWords,
            "condition_dim": 5,
            "vocabulary": WORDS,
        },
        no_mean_over_samples=MISMATCHED,
    ),
    Case(
        "paired_gan",
        PairedGAN,
        (1, 8, 8),
        {
            **MLPS,
            "audio_generator": partial(MLPGenerator, width=16),
            "audio_discriminator": partial(DCGANCritic, width=4),
            "audio_shape": (1, 8, 6),
        },
    ),
    Case(
        "classifier",
        Classifier,
        (1, 8, 8),
        # as many classes as `two_processes.py` has examples, whose labels are their indices
        {"num_classes": 60, "network": partial(ConvClassifier, width=4, hidden=8)},
    ),
    Case(
        "classifier-adversarial",
        Classifier,
        (1, 8, 8),
        {
            "num_classes": 60,
            "network": partial(ConvClassifier, width=4, hidden=8),
            "adversarial_weight": 0.5,
            "attack_steps": 2,
        },
        no_mean_over_samples="random starts are drawn from the random generator of each process",
        mean_over_samples={"eps": 0.0},
    ),
    Case(
        "made",
        MADE,
        (1, 5, 4),
        {"levels": 2, "network": partial(MADENetwork, hidden=(16,)), "output": Bernoulli},
        representative=True,
    ),
    Case(
        "made-conditional",
        MADE,
        (1, 4, 3),
        {
            "levels": 17,
            "class_conditional": True,
            "num_classes": 60,
            "network": partial(MADENetwork, hidden=(12, 16)),
            "output": partial(DiscretizedLogisticMixture, components=2),
        },
    ),
    Case(
        "pixel_cnn",
        PixelCNN,
        (1, 4, 4),
        {"levels": 2, "network": partial(GatedPixelCNN, width=4, blocks=2, kernel=3), "output": Bernoulli},
    ),
    Case(
        "pixel_cnn-colors",
        PixelCNN,
        (3, 3, 5),
        {
            "levels": 4,
            "class_conditional": True,
            "num_classes": 60,
            "network": partial(GatedPixelCNN, width=4, blocks=2, kernel=5),
            "output": partial(DiscretizedLogisticMixture, components=2),
        },
    ),
]


def is_gan(case: Case) -> bool:
    """Return whether the model of a case is a GAN."""
    return case.is_gan


def is_adversarial(case: Case) -> bool:
    """Return whether the model of a case is a GAN whose discriminator is trained."""
    return case.is_adversarial


def is_generative(case: Case) -> bool:
    """Return whether the model of a case generates samples."""
    return issubclass(case.model, GenerativeModel)


def is_density(case: Case) -> bool:
    """Return whether the model of a case computes the density of examples."""
    return issubclass(case.model, DensityModel)


def is_any(case: Case) -> bool:
    """Return true for every case."""
    return True


GANS = [case for case in CASES if case.is_gan]


def cases(applies: Callable[[Case], bool] = is_adversarial) -> list[Any]:
    """List the cases of a property for `pytest.mark.parametrize`.

    The default suite runs the representative cases, and one case of each other model; the others are marked `full`.

    Args:
        applies: Returns whether the property applies to a case; by default, to cases with adversarial training.
    """
    applicable = [case for case in CASES if applies(case)]
    first = {case.model: case for case in reversed(applicable)}
    return [
        pytest.param(
            case, id=case.name, marks=() if case.representative or case is first[case.model] else pytest.mark.full
        )
        for case in applicable
    ]


ADAM_DCGAN = {"lr": 2e-4, "betas": (0.5, 0.999)}
ADAM_INFOGAN = {"lr": 1e-3, "betas": (0.5, 0.999)}
ADAM_R3GAN = {"lr": 2e-4, "betas": (0.0, 0.9)}
ADAM_WGAN_GP = {"lr": 1e-4, "betas": (0.5, 0.9)}
ADAM_SNGAN = {"lr": 2e-4, "betas": (0.0, 0.9)}
ADAM_LSGAN = {"lr": 1e-3, "betas": (0.5, 0.999)}
ADAM_SEMI_SUPERVISED = {"lr": 3e-3, "betas": (0.5, 0.999)}


class Defaults(NamedTuple):
    """Default networks, optimizers and sizes of a GAN."""

    model: type[GAN]
    latent_dim: int
    discriminator_steps: int
    generator: type[nn.Module]
    discriminator: type[nn.Module]
    optimizer: type[torch.optim.Optimizer]
    settings: dict[str, Any]
    generator_optimizer: type[torch.optim.Optimizer] | None = None  # if it differs from the discriminator's
    generator_settings: dict[str, Any] | None = None
    needs: tuple[tuple[str, Any], ...] = ()  # arguments without a default


PUBLISHED = [
    Defaults(VanillaGAN, 100, 1, MLPGenerator, MaxoutDiscriminator, DCGANAdam, ADAM_DCGAN),
    Defaults(DCGAN, 100, 1, DCGANGenerator, DCGANDiscriminator, DCGANAdam, ADAM_DCGAN),
    Defaults(WGANGP, 128, 5, DCGANGenerator, DCGANCritic, WGANGPAdam, ADAM_WGAN_GP),
    Defaults(LAPGAN, 100, 1, PyramidGenerator, nn.ModuleList, DCGANAdam, ADAM_DCGAN),
    Defaults(InfoGAN, 74, 1, DCGANGenerator, InfoGANDiscriminator, DCGANAdam, ADAM_DCGAN, InfoGANAdam, ADAM_INFOGAN),
    Defaults(R3GAN, 64, 1, R3GANGenerator, R3GANDiscriminator, R3GANAdam, ADAM_R3GAN),
    Defaults(SNGAN, 128, 5, DCGANGenerator, SpectralNormDiscriminator, SNGANAdam, ADAM_SNGAN),
    Defaults(FlowGAN, 256, 5, FlowGenerator, DCGANCritic, WGANGPAdam, ADAM_WGAN_GP, needs=(("levels", 256),)),
    Defaults(
        ACGAN, 100, 1, ConditionalGenerator, InfoGANDiscriminator, DCGANAdam, ADAM_DCGAN, needs=(("num_classes", 3),)
    ),
    Defaults(
        GANCLS, 100, 1, ConditionalGenerator, DCGANDiscriminator, DCGANAdam, ADAM_DCGAN, needs=(("vocabulary", WORDS),)
    ),
    Defaults(
        PairedGAN, 64, 1, PairGenerator, PairDiscriminator, R3GANAdam, ADAM_R3GAN, needs=(("audio_shape", (1, 8, 8)),)
    ),
    Defaults(
        SemiSupervisedGAN,
        100,
        1,
        BatchNormMLPGenerator,
        NoisyMLPClassifier,
        SemiSupervisedAdam,
        ADAM_SEMI_SUPERVISED,
        needs=(("num_classes", 3),),
    ),
    Defaults(LSGAN, 100, 1, DCGANGenerator, DCGANDiscriminator, LSGANAdam, ADAM_LSGAN),
]
"""The published defaults of every GAN."""
