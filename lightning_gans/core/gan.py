"""The two-player game: its contract, and the only two-player training step of the framework."""

from abc import abstractmethod
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from lightning_gans.checks import check_positive
from lightning_gans.core import distributed
from lightning_gans.core.ema import EMA
from lightning_gans.core.generative import INTERPOLATION_CHUNK, GenerativeModel, trigonometric_interpolation
from lightning_gans.core.manual_optimization import ManualOptimization
from lightning_gans.core.optimizers import DCGANAdam, OptimizerFactory
from lightning_gans.core.schedules import Schedule
from lightning_gans.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from lightning_gans.types import Batch, ImageShape, Losses

GeneratorFactory = Callable[[int, ImageShape], nn.Module]
DiscriminatorFactory = Callable[[ImageShape], nn.Module]


class GAN(ManualOptimization, GenerativeModel):
    """Play a generator against a discriminator. A game says what each player minimizes; all else is here.

    A subclass implements `discriminator_loss` and `generator_loss`. Each returns named scalar terms; the player
    minimizes their sum, and every term is logged as `<player>/<term>`. An empty dictionary skips the player.

    In one training step the discriminator sees the batch and moves; then, every `discriminator_steps` batches, the
    generator does. Each player is finished before the other starts, and moves only its own weights. Losses call
    `self.fake(batch)`; while the discriminator plays, the generator's weights need no gradient, so no graph is built.

    Source: Goodfellow et al. 2014, arXiv:1406.2661.

    Args:
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.
        generator: Makes the generator from (latent_dim, image_shape): a module class, a partial of one, any callable.
        discriminator: Makes the discriminator from (image_shape); it returns logits, (b,) or (b, ...).
        latent_dim: Numbers in a latent vector.
        generator_optimizer: Makes the generator's optimizer from its parameters.
        discriminator_optimizer: Makes the discriminator's optimizer from its parameters.
        generator_schedules: What drives the settings of the generator's optimizer, by name ("lr", "beta1", ...).
        discriminator_schedules: The same for the discriminator's.
        discriminator_steps: The generator moves every so many batches; the discriminator at each, on fresh data.
        accumulate_grad_batches: Parts that a batch is split into, one after the other, to save memory.
        gradient_clip_val: Largest norm of each player's gradient; None does not clip.
        ema_half_life: Images after which a weight's share in the averaged generator has halved; 0 does not average,
            None lets it rise to 10,000 over the first 200,000 images, as StyleGAN2-ADA (arXiv:2006.06676, its code).

    Raises:
        ValueError: A number is out of its range; it is named.
    """

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        generator: GeneratorFactory = DCGANGenerator,
        discriminator: DiscriminatorFactory = DCGANDiscriminator,
        latent_dim: int = 100,
        generator_optimizer: OptimizerFactory = DCGANAdam,
        discriminator_optimizer: OptimizerFactory = DCGANAdam,
        generator_schedules: dict[str, Schedule] | None = None,
        discriminator_schedules: dict[str, Schedule] | None = None,
        discriminator_steps: int = 1,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        ema_half_life: float | Schedule | None = None,
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
        self.generator = generator(latent_dim, self.image_shape)
        self.discriminator = discriminator(self.image_shape)
        self.ema = EMA(self.generator, half_life=ema_half_life)

    @abstractmethod
    def discriminator_loss(self, batch: Batch) -> Losses:
        """The terms whose sum the discriminator minimizes; {} lets it rest."""

    @abstractmethod
    def generator_loss(self, batch: Batch) -> Losses:
        """The terms whose sum the generator minimizes; {} lets it rest."""

    def sample_latents(self, n: int) -> Tensor:
        """Draw n latents, (n, latent_dim) from a standard normal distribution."""
        return self.randn(n, self.latent_dim)

    def generate(self, generator: nn.Module, latents: Tensor, batch: Batch) -> Batch:
        """Turn latents into examples with that generator (the live or the averaged one), on the batch's conditions."""
        return {"image": generator(latents)}

    def generator_parameters(self) -> Iterable[nn.Parameter]:
        """What the generator's optimizer moves."""
        return self.generator.parameters()

    def discriminator_parameters(self) -> Iterable[nn.Parameter]:
        """What the discriminator's optimizer moves."""
        return self.discriminator.parameters()

    def initialize(self, batch: Batch) -> None:
        """Initialize weights from the first batch, of the first process, once, before the average is copied."""

    def after_discriminator_step(self) -> None:
        """Do what follows the discriminator's step, such as clipping its weights."""

    def after_generator_step(self) -> None:
        """Do what follows the generator's step, before the average takes it in."""

    def fake(self, batch: Batch) -> Batch:
        """Generate as many examples as the batch has, with the live generator and fresh latents."""
        return self._checked(self.generate(self.generator, self.sample_latents(len(batch["image"])), batch))

    def _checked(self, made: Batch) -> Batch:
        if (shape := tuple(made["image"].shape[1:])) != self.image_shape:
            raise ValueError(f"`generator` makes examples of shape {shape}, but the data's are {self.image_shape}")
        return made

    def draw(self, n: int, condition: Batch) -> Batch:
        """Draw n examples from the averaged generator."""
        return self._checked(self.generate(self.ema, self.sample_latents(n), condition))

    def interpolate(self, rows: int, steps: int, *, seed: int | None = None) -> Batch:
        """Walk from one latent to another, `rows` times in `steps` steps, and generate along the way.

        The way is cos(t) a + sin(t) b for t from 0 to pi/2: between normal latents each point is normal, too. Walk i
        depends on the seed, on i and on `steps` alone.

        Args:
            rows: How many walks.
            steps: Examples in each, both ends among them.
            seed: Any integer from 0; None takes a fresh one.

        Returns:
            rows * steps examples, one walk after the other.

        Raises:
            ValueError: A number is out of its range, or the game generates only on condition.
        """
        check_positive(rows=rows, steps=steps)
        if self.conditions:
            raise ValueError(f"{type(self).__name__} generates only on condition, which a walk has none of")
        return self.sample_in_chunks(
            rows * steps, INTERPOLATION_CHUNK * steps, seed, lambda _: self._interpolate_chunk(steps)
        )

    def panels(self, columns: int, *, seed: int | None = None) -> dict[str, Batch]:
        """Draw walks between latents, where latents are all that a sample is made from."""
        return {} if self.conditions else {"interpolation": self.interpolate(columns, columns, seed=seed)}

    def discriminator_score(self, batch: Batch) -> Tensor | None:
        """The discriminator's logit; None of a conditional game, whose discriminator is asked about pairs."""
        return None if self.conditions else self.discriminator(batch["image"]).unsqueeze(-1).flatten(1).mean(1)

    def _interpolate_chunk(self, steps: int) -> Batch:
        ways = trigonometric_interpolation(
            self.sample_latents(INTERPOLATION_CHUNK), self.sample_latents(INTERPOLATION_CHUNK), steps
        )
        return self.generate(self.ema, ways.flatten(0, 1), Batch())

    # -- the training step: nobody overrides what follows ----------------------------------------------------------

    def players(self) -> dict[str, Iterable[nn.Parameter]]:
        """The weights of each player."""
        return {"generator": self.generator_parameters(), "discriminator": self.discriminator_parameters()}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Play one batch: the discriminator, then, every `discriminator_steps` batches, the generator."""
        self.validate_batch(batch)
        if self.batches_seen == 0:
            with torch.no_grad():
                self.initialize(batch)
            distributed.broadcast_state(self)  # each process initialized from a batch of its own
            self.ema.copy(self.generator)
        self.begin_batch(batch)
        if self.optimize("discriminator", self.discriminator_loss, batch):
            self.after_discriminator_step()
        distributed.average_buffers(self)
        plays = self.batches_seen % self.discriminator_steps == 0
        moved = plays and self.optimize("generator", self.generator_loss, batch)
        self.images_seen = self.images_after_batch  # schedules go by what was seen before
        if moved:
            self.after_generator_step()
            distributed.average_buffers(self)
            self.ema.update(self.generator, images_seen=self.images_seen)
        self.end_batch()
