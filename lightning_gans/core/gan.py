"""Base class of all GANs: the contract of a variant and the only two-player training step."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

from lightning_gans.checks import check_positive
from lightning_gans.core import distributed
from lightning_gans.core.batches import join_batches
from lightning_gans.core.conditioning import (
    AudioEncoderFactory,
    Condition,
    Conditioning,
    GeneratorConditioning,
    LabelEncoderFactory,
    TextEncoderFactory,
)
from lightning_gans.core.ema import EMA
from lightning_gans.core.generative import INTERPOLATION_CHUNK, GenerativeModel, trigonometric_interpolation
from lightning_gans.core.manual_optimization import ManualOptimization
from lightning_gans.core.optimizers import DCGANAdam, OptimizerFactory
from lightning_gans.core.schedules import Schedule
from lightning_gans.networks.conditional import bound
from lightning_gans.networks.encoders import GRUEncoder, LabelEncoder, LogMelEncoder
from lightning_gans.types import Batch, ImageShape, Losses

GeneratorFactory = Callable[[int, ImageShape], nn.Module]
DiscriminatorFactory = Callable[[ImageShape], nn.Module]


class GAN(ManualOptimization, GenerativeModel):
    """Train a generator against a discriminator; a variant defines the loss of each.

    A subclass implements `discriminator_loss` and `generator_loss`. Each returns named scalar terms. The player
    minimizes their sum, and every term is logged as `<player>/<term>`. An empty dictionary skips the player.

    One training step updates the discriminator on the batch. Every `discriminator_steps` batches it then updates the
    generator. The update of one player ends before the other starts, and changes the weights of that player only.
    Losses call `self.fake(batch)`. During the discriminator's update the weights of the generator's optimizer require
    no gradient, so no graph is built and `detach` is not needed.

    Source: Goodfellow et al. 2014, arXiv:1406.2661.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        generator: Factory of the generator from (latent_dim, image_shape): a module class, a partial or any callable.
        discriminator: Factory of the discriminator from (image_shape); the network returns logits, (b,) or (b, ...).
        latent_dim: Size of a latent vector, default 100.
        generator_optimizer: Factory of the generator's optimizer from its parameters, default `DCGANAdam`.
        discriminator_optimizer: Factory of the discriminator's optimizer from its parameters, default `DCGANAdam`.
        generator_schedules: Schedules of the generator's optimizer settings, by name ("lr", "beta1", ...).
        discriminator_schedules: Schedules of the discriminator's optimizer settings, by name.
        discriminator_steps: Batches per generator update, default 1; the discriminator is updated on each batch.
        accumulate_grad_batches: Number of parts of a batch that are processed one after the other to save memory,
            default 1.
        gradient_clip_val: Largest norm of each player's gradient; None (default) does not clip.
        ema_half_life: Half-life of the generator's EMA in images. 0 disables averaging. None (default) lets it rise to
            10,000 over the first 200,000 images, as in the code of StyleGAN2-ADA (arXiv:2006.06676).
        conditions: Batch keys that samples are conditioned on: "label", "text" and "audio"; none by default.
        condition_dim: Size of the vector of each condition, default 32. A vector much larger than the latent may hide
            the latent from the generator.
        generator_conditioning: "concatenation" (default) of the vector and the latents, or "batch_norm", conditional
            batch normalization in place of the generator's `BatchNorm2d`.
        label_encoder: Factory of an encoder of labels from (num_classes, condition_dim), default `LabelEncoder`.
        text_encoder: Factory of an encoder of captions from (vocabulary, condition_dim), default `GRUEncoder`.
        audio_encoder: Factory of an encoder of spectrograms from (audio_shape, condition_dim), default
            `LogMelEncoder`.
        num_classes: Number of classes of the data; None without classes.
        vocabulary: Words of the captions of the data by index; None without captions.
        audio_shape: (1, bands, frames) of the spectrograms of the data; None without sound.

    Attributes:
        projects_condition: Whether the discriminator receives the condition, by projection; a variant may differ.

    Raises:
        ValueError: If a number is out of its range, a condition is not in the data, or a network cannot be conditional;
            the message names it.
    """

    projects_condition: bool = True

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        generator: GeneratorFactory,
        discriminator: DiscriminatorFactory,
        latent_dim: int = 100,
        generator_optimizer: OptimizerFactory = DCGANAdam,
        discriminator_optimizer: OptimizerFactory = DCGANAdam,
        generator_schedules: dict[str, Schedule] | None = None,
        discriminator_schedules: dict[str, Schedule] | None = None,
        discriminator_steps: int = 1,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        ema_half_life: float | Schedule | None = None,
        conditions: Sequence[Condition] = (),
        condition_dim: int = 32,
        generator_conditioning: GeneratorConditioning = "concatenation",
        label_encoder: LabelEncoderFactory = LabelEncoder,
        text_encoder: TextEncoderFactory = GRUEncoder,
        audio_encoder: AudioEncoderFactory = LogMelEncoder,
        num_classes: int | None = None,
        vocabulary: Sequence[str] | None = None,
        audio_shape: ImageShape | None = None,
    ) -> None:
        super().__init__(
            image_shape=image_shape,
            optimizers={"generator": generator_optimizer, "discriminator": discriminator_optimizer},
            schedules={"generator": generator_schedules or {}, "discriminator": discriminator_schedules or {}},
            accumulate_grad_batches=accumulate_grad_batches,
            gradient_clip_val=gradient_clip_val,
        )
        check_positive(latent_dim=latent_dim, discriminator_steps=discriminator_steps)
        self.latent_dim = latent_dim
        self.discriminator_steps = discriminator_steps
        conditioning = Conditioning(
            conditions=tuple(conditions),
            embedding_dim=condition_dim,
            method=generator_conditioning,
            label_encoder=label_encoder,
            text_encoder=text_encoder,
            audio_encoder=audio_encoder,
            num_classes=num_classes,
            vocabulary=vocabulary,
            audio_shape=audio_shape,
        )
        if conditions:
            self.conditions = conditioning.conditions
            self.generates = (*self.generates, *self.conditions)
        if num_classes is not None:  # a class attribute remains
            self.num_classes = num_classes
        self.vocabulary = vocabulary
        self.audio_shape = audio_shape
        self.generator = conditioning.generator(generator, latent_dim, self.image_shape)
        self.discriminator = discriminator(self.image_shape)
        if self.projects_condition:
            self.discriminator = conditioning.discriminator(self.discriminator)
        self.ema = EMA(self.generator, half_life=ema_half_life)

    # -- the contract: a variant implements the losses and overrides the rest where it differs ------------------------

    @abstractmethod
    def discriminator_loss(self, batch: Batch) -> Losses:
        """Compute the named terms that the discriminator minimizes; {} skips its update."""

    @abstractmethod
    def generator_loss(self, batch: Batch) -> Losses:
        """Compute the named terms that the generator minimizes; {} skips its update."""

    def sample_latents(self, n: int) -> Tensor:
        """Sample n latents, (n, latent_dim), from a standard normal distribution."""
        return self.randn(n, self.latent_dim)

    def generate(self, generator: nn.Module, latents: Tensor, batch: Batch) -> Batch:
        """Map latents to samples.

        Args:
            generator: The live generator or its EMA.
            latents: (n, latent_dim).
            batch: The conditions of the samples, n rows each.
        """
        return {"image": generator(latents)}

    def generator_parameters(self) -> Iterable[nn.Parameter]:
        """Return the parameters of the generator's optimizer."""
        return self.generator.parameters()

    def discriminator_parameters(self) -> Iterable[nn.Parameter]:
        """Return the parameters of the discriminator's optimizer."""
        return self.discriminator.parameters()

    def initialize_from_batch(self, batch: Batch) -> None:
        """Initialize data-dependent weights, once, from the first batch of the first process."""

    def after_discriminator_step(self) -> None:
        """Run after each update of the discriminator, for example to clip its weights."""

    def after_generator_step(self) -> None:
        """Run after each update of the generator, before the EMA is updated."""

    def panels(self, columns: int, *, seed: int | None = None) -> dict[str, Batch]:
        """Sample the panel of interpolations; a conditional GAN has none."""
        return {} if self.conditions else {"interpolation": self.interpolate(columns, columns, seed=seed)}

    def discriminator_score(self, batch: Batch) -> Tensor | None:
        """Compute the discriminator's mean logit of each example, (b,); None if the batch lacks a condition."""
        if any(key not in batch for key in self.conditions):
            return None
        with bound([self.discriminator], batch):
            logits: Tensor = self.discriminator(batch["image"])
        return logits.unsqueeze(-1).flatten(1).mean(1)

    # -- methods for the losses --------------------------------------------------------------------------------------

    @final
    @contextmanager
    def condition_on(self, *batches: Batch) -> Iterator[None]:
        """Bind the conditions of a batch to both networks in a `with` block; the training step does it for each loss.

        Args:
            *batches: The batch. Of several batches, the mean of their encoded conditions is bound.

        Raises:
            ValueError: A batch lacks a condition.
        """
        with bound([self.generator, self.discriminator], *batches):
            yield

    @final
    def fake(self, batch: Batch) -> Batch:
        """Generate as many samples as the batch has examples, from the live generator and fresh latents."""
        with bound([self.generator], batch):
            return self._check_shape(self.generate(self.generator, self.sample_latents(len(batch["image"])), batch))

    @final
    def discriminate(self, real: Tensor, fake: Tensor, *conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the discriminator's logits of examples and of samples, and log their means.

        Args:
            real: (b, *image_shape) examples.
            fake: (b, *image_shape) samples.
            *conditions: Further arguments of the discriminator, such as labels (b,).

        Returns:
            The logits of the examples and those of the samples, (b,) or (b, ...) each.
        """
        real_logits, fake_logits = self.discriminator(real, *conditions), self.discriminator(fake, *conditions)
        self.observe_logits(real_logits, fake_logits)
        return real_logits, fake_logits

    @final
    def observe_logits(self, real: Tensor, fake: Tensor) -> None:
        """Log the means of logits as `discriminator/real` and `discriminator/fake`.

        Args:
            real: Logits of examples, of any shape.
            fake: Logits of samples, of any shape.
        """
        self.observe("discriminator/real", real)
        self.observe("discriminator/fake", fake)

    # -- sampling ----------------------------------------------------------------------------------------------------

    def draw(self, n: int, condition: Batch) -> Batch:
        """Generate n samples with the EMA of the generator; their conditions are a part of the samples."""
        with bound([self.ema], condition):
            samples = self._check_shape(self.generate(self.ema, self.sample_latents(n), condition))
        return {**samples, **condition}

    @final
    def interpolate(self, rows: int, steps: int, *, seed: int | None = None) -> Batch:
        """Generate samples along paths between pairs of latents.

        Each path is cos(t) a + sin(t) b for t from 0 to pi/2, see `trigonometric_interpolation`. Path i depends only on
        the seed, on i and on `steps`.

        Args:
            rows: Number of paths.
            steps: Samples per path, both ends included.
            seed: Seed, at least 0; None (default) draws a new seed.

        Returns:
            rows * steps samples, path after path.

        Raises:
            ValueError: If a number is out of its range, or the GAN is conditional.
        """
        return join_batches(self.interpolate_batches(rows, steps, seed=seed), rows * steps)

    @final
    def interpolate_batches(self, rows: int, steps: int, *, seed: int | None = None, start: int = 0) -> Iterator[Batch]:
        """Yield the samples of `interpolate` in batches of 8 paths, so that memory does not grow with their number.

        Args:
            rows: Number of paths.
            steps: Samples per path, both ends included.
            seed: Any integer from 0; None takes a fresh seed.
            start: Index of the first sample to yield (0); the chunks before it are not drawn.

        Raises:
            ValueError: As for `interpolate`, before the first batch.
        """
        check_positive(rows=rows, steps=steps)
        if self.conditions:
            raise ValueError(f"{type(self).__name__} is conditional, and an interpolation has no condition")
        size = INTERPOLATION_CHUNK * steps
        return self.batches_of_chunks(rows * steps, size, seed, lambda _: self._interpolate_chunk(steps), start=start)

    def _interpolate_chunk(self, steps: int) -> Batch:
        start, end = self.sample_latents(INTERPOLATION_CHUNK), self.sample_latents(INTERPOLATION_CHUNK)
        paths = trigonometric_interpolation(start, end, steps)
        return self.generate(self.ema, paths.flatten(0, 1), Batch())

    def _check_shape(self, samples: Batch) -> Batch:
        if (shape := tuple(samples["image"].shape[1:])) != self.image_shape:
            raise ValueError(f"`generator` generates samples of shape {shape}, but the data have {self.image_shape}")
        return samples

    # -- the training step -------------------------------------------------------------------------------------------

    @final
    def players(self) -> dict[str, Iterable[nn.Parameter]]:
        """Return the parameters of each player."""
        return {"generator": self.generator_parameters(), "discriminator": self.discriminator_parameters()}

    @final
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the discriminator on a batch, and every `discriminator_steps` batches the generator."""
        batch = self.prepare_batch(batch)
        if self.batches_seen == 0:
            with torch.no_grad(), self.condition_on(batch):
                self.initialize_from_batch(batch)
            distributed.broadcast_state(self)  # each process has initialized from its own batch
            self.ema.copy(self.generator)
        self.begin_batch(batch)
        if self.optimize("discriminator", self._conditional(self.discriminator_loss), batch):
            self.after_discriminator_step()
        distributed.average_buffers(self)
        is_due = self.batches_seen % self.discriminator_steps == 0
        updated = is_due and self.optimize("generator", self._conditional(self.generator_loss), batch)
        self.images_seen = self.images_after_batch  # schedules of this step depend on the images seen before it
        if updated:
            self.after_generator_step()
            distributed.average_buffers(self)
            self.ema.update(self.generator, images_seen=self.images_seen)
        self.end_batch()

    def _conditional(self, loss: Callable[[Batch], Losses]) -> Callable[[Batch], Losses]:
        """Return a loss during which the conditions of its batch are bound."""

        def conditional_loss(batch: Batch) -> Losses:
            with self.condition_on(batch):
                return loss(batch)

        return conditional_loss
