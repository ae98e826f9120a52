"""The two-player game: its contract, and the only two-player training step of the framework."""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from lightning_gans.core import distributed, health, private
from lightning_gans.core.batches import split, total
from lightning_gans.core.ema import Average
from lightning_gans.core.generative import WALKS, GenerativeModel, quarter_circles
from lightning_gans.core.model import CHECKPOINT_KEY
from lightning_gans.core.optimizers import (
    DCGANAdam,
    OptimizerFactory,
    Settings,
    apply_schedules,
    parameters_of,
    put_back,
    settings_of,
    undriven,
)
from lightning_gans.core.schedules import Linear, Schedule, value_at
from lightning_gans.networks.checks import check_positive
from lightning_gans.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from lightning_gans.types import Batch, ImageShape, Losses

GeneratorFactory = Callable[[int, ImageShape], nn.Module]
DiscriminatorFactory = Callable[[ImageShape], nn.Module]
Player = Literal["discriminator", "generator"]

RISING_HALF_LIFE = Linear(0.0, 10_000.0, images=200_000)
"""A twentieth of the images seen so far: a longer memory would still show the beginning."""


class GAN(GenerativeModel):
    """Play a generator against a discriminator. A game says what each player minimises; all else is here.

    A subclass implements `discriminator_loss` and `generator_loss`. Each returns named scalar terms; the player
    minimises their sum, and every term is logged as `<player>/<term>`. An empty dictionary skips the player.

    In one training step the discriminator sees the batch and moves; then, every `discriminator_steps` batches, the
    generator does. Each player is finished before the other starts, and moves only its own weights. Losses call
    `self.fake(batch)`; while the discriminator plays, the generator's weights need no gradient, so no graph is built.

    Source: Goodfellow et al. 2014, arXiv:1406.2661.

    Args:
        image_shape: (channels, height, width) of a picture, or (dimensions,) of a point.
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
        average_half_life: Images after which a weight's share in the averaged generator has halved; 0 does not average,
            None lets it rise to 10,000 over the first 200,000 images, as StyleGAN2 does (arXiv:1912.04958, its code).

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
        average_half_life: float | Schedule | None = None,
    ) -> None:
        super().__init__(image_shape=image_shape)
        check_positive(
            latent_dim=latent_dim,
            discriminator_steps=discriminator_steps,
            accumulate_grad_batches=accumulate_grad_batches,
        )
        if gradient_clip_val is not None and gradient_clip_val <= 0:
            raise ValueError(f"`gradient_clip_val` must be above 0 (None does not clip), got {gradient_clip_val}")
        if isinstance(average_half_life, float | int) and average_half_life < 0:
            raise ValueError(f"`average_half_life` must be at least 0 images, got {average_half_life}")
        self.automatic_optimization = False
        self.latent_dim = latent_dim
        self.discriminator_steps = discriminator_steps
        self.accumulate_grad_batches = accumulate_grad_batches
        self.gradient_clip_val = gradient_clip_val
        self.average_half_life = RISING_HALF_LIFE if average_half_life is None else average_half_life
        self.generator = generator(latent_dim, self.image_shape)
        self.discriminator = discriminator(self.image_shape)
        try:
            self.average = Average(self.generator)
        except RuntimeError as error:  # torch copies no tensor that was computed, as `torch.nn.utils.weight_norm` makes
            raise ValueError(
                f"`generator` {type(self.generator).__name__} cannot be copied for the average:"
                " use torch.nn.utils.parametrizations in it"
            ) from error
        self._factories = {"generator": generator_optimizer, "discriminator": discriminator_optimizer}
        self._schedules: dict[Player, Mapping[str, Schedule]] = {
            "generator": generator_schedules or {},
            "discriminator": discriminator_schedules or {},
        }
        self._player: Player = "discriminator"
        self._observes = False
        self._checks = False
        self._observed: dict[str, Tensor] = {}
        self._share = 1.0
        self._settings: list[Settings] = []
        self._former_settings: list[Settings] = []
        self._averaged_at = 0
        self._images_now = 0
        self._lap = (0, 0.0)

    @abstractmethod
    def discriminator_loss(self, batch: Batch) -> Losses:
        """The terms whose sum the discriminator minimises; {} lets it rest."""

    @abstractmethod
    def generator_loss(self, batch: Batch) -> Losses:
        """The terms whose sum the generator minimises; {} lets it rest."""

    @property
    def requires(self) -> tuple[str, ...]:
        """The batch keys that training needs: the picture, and what the generator is conditioned on."""
        return ("image", *self.conditions)

    def sample_latents(self, n: int) -> Tensor:
        """Draw n latents, (n, latent_dim) from a standard normal distribution."""
        return self.noise(n, self.latent_dim)

    def generate(self, generator: nn.Module, latents: Tensor, batch: Batch) -> Batch:
        """Turn latents into examples with that generator (the live or the averaged one), on the batch's conditions."""
        return {"image": generator(latents)}

    def generator_parameters(self) -> Iterable[nn.Parameter]:
        """What the generator's optimizer moves."""
        return self.generator.parameters()

    def discriminator_parameters(self) -> Iterable[nn.Parameter]:
        """What the discriminator's optimizer moves."""
        return self.discriminator.parameters()

    def initialise(self, batch: Batch) -> None:
        """Initialise weights from the first batch, once, before training and before the average is copied.

        Of several processes, the first one's result holds for all.
        """

    def after_discriminator_step(self) -> None:
        """Do what follows the discriminator's step, such as clipping its weights."""

    def after_generator_step(self) -> None:
        """Do what follows the generator's step, before the average takes it in."""

    def noise(self, *shape: int, draw: Callable[..., Tensor] = torch.randn) -> Tensor:
        """Draw noise: latents, points of a penalty, everything a game draws (`nn.Dropout` draws its own).

        In training on the model's device; for samples on the CPU, so that a seed gives the same ones everywhere.

        Args:
            *shape: Its shape.
            draw: The distribution, `torch.randn` or `torch.rand`.
        """
        if self.sampling:
            return draw(*shape).to(device=self.device, dtype=self.dtype)  # type: ignore[arg-type]
        return draw(*shape, device=self.device, dtype=self.dtype)

    def fake(self, batch: Batch) -> Batch:
        """Generate as many examples as the batch has, with the live generator and fresh latents."""
        return self._checked(self.generate(self.generator, self.sample_latents(len(batch["image"])), batch))

    def _checked(self, made: Batch) -> Batch:
        if (shape := tuple(made["image"].shape[1:])) != self.image_shape:
            raise ValueError(f"`generator` makes examples of shape {shape}, but the data's are {self.image_shape}")
        return made

    def observe(self, name: str, value: Tensor) -> None:
        """Log the mean over the batch of what is not a loss; costs nothing but on logging steps."""
        if self._observes:
            mean = self._share * value.detach().float().mean()
            self._observed[name] = self._observed.get(name, 0.0) + mean

    def draw(self, n: int, condition: Batch) -> Batch:
        """Draw n examples from the averaged generator."""
        return self._checked(self.generate(self.average, self.sample_latents(n), condition))

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
        return self.in_chunks(rows * steps, WALKS * steps, seed, lambda _: self._walks(steps))

    def _walks(self, steps: int) -> Batch:
        ways = quarter_circles(self.sample_latents(WALKS), self.sample_latents(WALKS), steps)
        return self.generate(self.average, ways.flatten(0, 1), Batch())

    # -- the training step: nobody overrides what follows ----------------------------------------------------------

    def configure_optimizers(self) -> list[Optimizer]:
        """Make the generator's and the discriminator's optimizer, in this order."""
        optimizers = [
            self._factories["generator"](self.generator_parameters()),
            self._factories["discriminator"](self.discriminator_parameters()),
        ]
        self._settings = [settings_of(optimizer) for optimizer in optimizers]
        for optimizer, player in zip(optimizers, self._schedules, strict=True):
            apply_schedules(optimizer, self._schedules[player], self.images_seen)
        return optimizers

    def on_fit_start(self) -> None:
        """Take over from Lightning's strategy what several processes have to agree on."""
        super().on_fit_start()
        distributed.refuse_sharding(self.trainer.strategy)
        private.unsynchronised(self.trainer, self)
        distributed.separate_random_streams()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Play one batch: the discriminator, then, every `discriminator_steps` batches, the generator."""
        self.check(batch)
        if self.batches_seen == 0:
            with torch.no_grad():
                self.initialise(batch)
            distributed.broadcast_state(self)  # each process initialised from a batch of its own
            self.average.update(self.generator, images=0, half_life=0)
        generator_optimizer, discriminator_optimizer = self.optimizers(use_pl_optimizer=False)  # type: ignore[misc]
        images = len(batch["image"]) * self.trainer.world_size
        self._images_now = self.images_seen + images
        self.batches_seen += 1
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        self._observes = every > 0 and self.batches_seen % every == 0
        self._checks = self._observes or self.device.type == "cpu"  # elsewhere a look would wait for the device
        if self._play("discriminator", discriminator_optimizer, self.discriminator_loss, batch):
            self.after_discriminator_step()
        distributed.average_buffers(self)
        plays = self.batches_seen % self.discriminator_steps == 0
        moved = plays and self._play("generator", generator_optimizer, self.generator_loss, batch)
        self.images_seen += images  # schedules go by what was seen before
        if moved:
            self.after_generator_step()
            distributed.average_buffers(self)
            self.average.update(
                self.generator,
                images=self.images_seen - self._averaged_at,
                half_life=value_at(self.average_half_life, self.images_seen),
            )
            self._averaged_at = self.images_seen
        private.count_batch(self.trainer)
        if self._observes:
            self._log()

    def _play(self, player: Player, optimizer: Optimizer, loss: Callable[[Batch], Losses], batch: Batch) -> bool:
        """Move one player down the gradient of its loss; False when it has none."""
        self._player = player
        apply_schedules(optimizer, self._schedules[player], self.images_seen)
        with self.toggled_optimizer(optimizer):
            optimizer.zero_grad()
            for part, share in split(batch, self.accumulate_grad_batches):
                self._share = share
                terms = loss(part)
                if isinstance(terms, dict) and not terms:
                    return False
                loss_of_part = total(terms, player)
                named = {**terms, "loss": loss_of_part}
                if self._checks and not loss_of_part.isfinite():
                    raise health.loss_error(self, player, named, part, partial(loss, part), images=self._images_now)
                # under autocast, where Lightning has it, a penalty's gradient would have 16 bits
                with torch.autocast(loss_of_part.device.type, enabled=False):
                    self.manual_backward(share * loss_of_part)
                for name, value in named.items():
                    self.observe(f"{player}/{name}", value)
            self._share = 1.0
            distributed.average_gradients(parameters_of(optimizer))
            private.unscale(self.trainer, optimizer)
            self.trainer.strategy.optimizer_step(optimizer, lambda: None, model=self)
        return True

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Measure, check and clip the gradient, which precision plugins have unscaled by now."""
        checks = self._checks and not private.scales_losses(self.trainer)
        if self.gradient_clip_val is None and not self._observes and not checks:
            return
        parameters = [parameter for parameter in parameters_of(optimizer) if parameter.grad is not None]
        norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        self.observe(f"{self._player}/gradient_norm", norm)
        if checks and not norm.isfinite():
            health.check_gradient(self, self._player, images=self._images_now)
        if self.gradient_clip_val is not None:
            clip_grads_with_norm_(parameters, self.gradient_clip_val, norm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the clock of the average, and what the optimizers were made with."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[CHECKPOINT_KEY]["averaged_at"] = self._averaged_at
        pairs = zip(self._settings, self._schedules.values(), strict=bool(self._settings))
        checkpoint[CHECKPOINT_KEY]["settings"] = [undriven(settings, schedules) for settings, schedules in pairs]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Set the clocks."""
        super().on_load_checkpoint(checkpoint)
        self._averaged_at = checkpoint[CHECKPOINT_KEY]["averaged_at"]
        self._former_settings = checkpoint[CHECKPOINT_KEY].get("settings", [])

    def on_train_start(self) -> None:
        """Start the clock of images per second; let the settings of this run win over those of a checkpoint."""
        former, self._former_settings = self._former_settings or [[], []], []
        for optimizer, settings, before, player in zip(
            self.trainer.optimizers, self._settings, former, self._schedules, strict=True
        ):
            put_back(optimizer, settings, before)
            apply_schedules(optimizer, self._schedules[player], self.images_seen)
        self._lap = (self.images_seen, time.perf_counter())

    def _log(self) -> None:
        """Hand everything observed in this step to Lightning, on the clock of batches and of images."""
        (images, start), self._lap = self._lap, (self.images_seen, time.perf_counter())
        for player, optimizer in zip(self._schedules, self.optimizers(use_pl_optimizer=False), strict=True):  # type: ignore[arg-type]
            rate = float(optimizer.param_groups[0]["lr"])
            self._observed[f"{player}/learning_rate"] = torch.tensor(rate, dtype=torch.float64)
        metrics: dict[str, Any] = dict(self._observed)
        metrics["images_per_second"] = (self.images_seen - images) / (self._lap[1] - start)
        for name, count in {"images_seen": self.images_seen, "step": self.batches_seen}.items():
            metrics[name] = torch.tensor(count, dtype=torch.float64)  # float32 stops counting at 2^24
        self._observed = {}
        self.log_dict(metrics)
