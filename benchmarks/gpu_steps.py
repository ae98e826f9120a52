"""Training steps for `gpu.py`: five GANs on synthetic data, hand-written and as in PyTorch's DCGAN tutorial.

The hand-written steps use the networks, losses and settings of the framework's models. `HandStep` is the fastest known
eager loop: uint8 data on the device, latents drawn there, fused Adam, a multi-tensor EMA. `TextbookStep` is the loop of
PyTorch's DCGAN tutorial: a `DataLoader` with two workers, transforms of single examples, plain Adam, no EMA.
"""

import copy
import math
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from lightning_gans.core.gan import GAN
from lightning_gans.datamodules import Toy2D
from lightning_gans.datamodules.module import DataModule
from lightning_gans.models import DCGAN, R3GAN, WGANGP, VanillaGAN
from lightning_gans.networks.dcgan import DCGANCritic, DCGANDiscriminator, DCGANGenerator
from lightning_gans.networks.mlp import MLPDiscriminator
from lightning_gans.networks.points import PointGenerator
from lightning_gans.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from lightning_gans.types import Batch

Precision = Literal["fp32", "tf32", "bf16"]
Network = Callable[[Tensor], Tensor]
GradientOf = Callable[[Network, Tensor], Tensor]

HALF_LIFE = 10_000
"""Half-life of the EMA in images."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One GAN on synthetic data.

    Attributes:
        name: Name of the row.
        model: The framework's model.
        size: Height and width of an image; 0 for points in the plane.
        batch_size: Examples in a batch.
        lr: Learning rate of Adam.
        betas: Decay rates of Adam.
    """

    name: str
    model: type[GAN]
    size: int
    batch_size: int = 128
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)

    @property
    def penalized(self) -> bool:
        """Report whether the discriminator's loss has a gradient penalty."""
        return self.model in (WGANGP, R3GAN)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return (3, self.size, self.size) if self.size else (2,)

    def make(self, *, quick: bool) -> GAN:
        """Build the framework's model, with tiny networks for a smoke test."""
        torch.manual_seed(0)
        width: dict[str, Any] = {"width": 8} if quick else {}
        blocks: dict[str, Any] = {"blocks": 1} if quick else {}
        networks: dict[str, tuple[Any, Any]] = {
            "DCGAN": (partial(DCGANGenerator, **width), partial(DCGANDiscriminator, **width)),
            "WGANGP": (partial(DCGANGenerator, **width), partial(DCGANCritic, **width)),
            "R3GAN": (partial(R3GANGenerator, **width, **blocks), partial(R3GANDiscriminator, **width, **blocks)),
            "VanillaGAN": (partial(PointGenerator, width=128), partial(MLPDiscriminator, width=128)),
        }
        generator, discriminator = networks[self.model.__name__]
        return self.model(image_shape=self.image_shape, generator=generator, discriminator=discriminator)

    def data(self, *, quick: bool) -> DataModule:
        """Build the framework's data module."""
        batch_size = self.batch(quick=quick)
        if not self.size:
            return Toy2D(batch_size=batch_size, count=2000 if quick else 100_000, validation_size=500)
        return RandomImages(size=self.size, count=768 if quick else 10_240, batch_size=batch_size, validation_size=512)

    def batch(self, *, quick: bool) -> int:
        """Batch size; smaller in a smoke test."""
        return min(8, self.batch_size) if quick else self.batch_size


WORKLOADS = (
    Workload(name="DCGAN 32x32", model=DCGAN, size=32),
    Workload(name="WGAN-GP 32x32", model=WGANGP, size=32, lr=1e-4, betas=(0.5, 0.9)),
    Workload(name="R3GAN 32x32", model=R3GAN, size=32, betas=(0.0, 0.9)),
    Workload(name="DCGAN 64x64", model=DCGAN, size=64),
    Workload(name="2-D GAN", model=VanillaGAN, size=0, batch_size=256),
)


class RandomImages(DataModule):
    """Serve random pixels: the speed of a step does not depend on them."""

    def __init__(self, *, size: int, count: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.image_shape = (3, size, size)
        self.size = size
        self.count = count

    def load(self) -> tuple[Batch, Batch]:
        return self._random(self.count), self._random(512)

    def _random(self, count: int) -> Batch:
        return {"image": random_pixels(count, self.size), "label": torch.full((count,), -1)}


@lru_cache(maxsize=8)
def random_pixels(count: int, size: int) -> Tensor:
    """Draw images of random pixels, (count, 3, size, size) uint8, once for all precisions."""
    return torch.from_numpy(np.random.RandomState(0).randint(256, size=(count, 3, size, size), dtype=np.uint8))


def set_precision(precision: Precision) -> None:
    """Set TF32 for the process: off for fp32, on for tf32, PyTorch's default for bf16 (convolutions only)."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision != "fp32"


def gradient_of(network: Network, points: Tensor) -> Tensor:
    """Differentiate the sum of a network's outputs with respect to its inputs, by `torch.autograd`."""
    points = points.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network(points).sum(), points, create_graph=True)
    return gradient


def functional_gradient_of(network: Network, points: Tensor) -> Tensor:
    """Differentiate the sum of a network's outputs with respect to its inputs, by `torch.func`."""
    gradient: Tensor = torch.func.grad(lambda inputs: network(inputs).sum())(points)
    return gradient


class Step:
    """Networks, optimizers and losses of one workload; a call trains on one batch.

    Args:
        workload: The workload.
        device: Device of the networks.
        precision: bf16 runs networks under autocast; penalties are always float32.
        quick: Whether to use tiny networks, for a smoke test.
        fused: Whether to use fused Adam.
        capturable: Whether to keep Adam's step counts on the device, which CUDA graphs need.
        memory_format: Memory format of networks and images.
    """

    def __init__(
        self,
        workload: Workload,
        device: str,
        precision: Precision,
        *,
        quick: bool,
        fused: bool = True,
        capturable: bool = False,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        model = workload.make(quick=quick)
        self.workload = workload
        self.device = device
        self.precision = precision
        self.batch_size = workload.batch(quick=quick)
        self.latent_dim = model.latent_dim
        self.discriminator_steps = model.discriminator_steps
        self.memory_format = memory_format
        layout: Any = {"device": device, "memory_format": memory_format}
        self.generator: nn.Module = model.generator.to(**layout)
        self.discriminator: nn.Module = model.discriminator.to(**layout)
        adam = partial(torch.optim.Adam, lr=workload.lr, betas=workload.betas)
        if fused:
            adam = partial(adam, fused=True, capturable=capturable)
        self.generator_optimizer = adam(self.generator.parameters())
        self.discriminator_optimizer = adam(self.discriminator.parameters())
        self.steps = 0

    def autocast(self) -> AbstractContextManager[Any]:
        """Enter autocast to bf16 if the precision is bf16."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16")

    def latents(self) -> Tensor:
        """Draw latents on the device."""
        return torch.randn(self.batch_size, self.latent_dim, device=self.device)

    def discriminator_loss(
        self, network: Network, real: Tensor, fake: Tensor, weight: Tensor, gradient_of: GradientOf = gradient_of
    ) -> Tensor:
        """Compute the discriminator's loss; the penalty is outside of autocast."""
        with self.autocast():
            real_logit, fake_logit = network(real).float(), network(fake).float()
        fake = fake.float()
        if self.workload.model is WGANGP:
            points = torch.lerp(fake, real, weight.view(-1, 1, 1, 1))
            norm = torch.linalg.vector_norm(gradient_of(network, points).flatten(1), dim=1)
            penalty: Tensor = (norm - 1).square().mean()
            return fake_logit.mean() - real_logit.mean() + 10 * penalty
        if self.workload.model is R3GAN:
            squares = [gradient_of(network, points).flatten(1).square().sum(1).mean() for points in (real, fake)]
            return F.softplus(fake_logit - real_logit).mean() + 0.05 * (squares[0] + squares[1])
        return F.softplus(-real_logit).mean() + F.softplus(fake_logit).mean()

    def generator_loss(self, network: Network, real: Tensor, fake: Tensor) -> Tensor:
        """Compute the generator's loss."""
        with self.autocast():
            fake_logit = network(fake).float()
            real_logit = network(real).float() if self.workload.model is R3GAN else fake_logit
        if self.workload.model is WGANGP:
            return fake_logit.mean().neg()
        if self.workload.model is R3GAN:
            return F.softplus(real_logit - fake_logit).mean()
        return F.softplus(-fake_logit).mean()

    def __call__(self) -> int:
        """Train on one batch, and return its number of examples."""
        raise NotImplementedError

    def close(self) -> None:
        """End the workers of a loader now, because garbage collection would wait 5 s for each worker."""


class HandStep(Step):
    """Train by the best hand-written eager loop.

    Args:
        stored: Training images on the device, uint8 or points.
        **options: Arguments of `Step`.
    """

    def __init__(self, workload: Workload, device: str, precision: Precision, stored: Tensor, **options: Any) -> None:
        super().__init__(workload, device, precision, **options)
        self.stored = stored
        self.ema = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.averaged = self._averaged(self.ema), self._averaged(self.generator)
        self.share = 1 - 0.5 ** (self.batch_size * self.discriminator_steps / HALF_LIFE)

    @staticmethod
    def _averaged(network: nn.Module) -> list[Tensor]:
        return [*network.parameters(), *(buffer for buffer in network.buffers() if buffer.is_floating_point())]

    def real(self) -> Tensor:
        """Draw a batch of real examples on the device."""
        rows = torch.randint(len(self.stored), (self.batch_size,), device=self.device)
        images = self.stored[rows]
        if images.dtype == torch.uint8:
            images = images.float() / 127.5 - 1
        return images.contiguous(memory_format=self.memory_format) if images.dim() == 4 else images

    def step_discriminator(self, real: Tensor, latents: Tensor, weight: Tensor) -> None:
        """Update the discriminator."""
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        with torch.no_grad(), self.autocast():
            fake = self.generator(latents)
        self.discriminator_loss(self.discriminator, real, fake, weight).backward()  # type: ignore[no-untyped-call]
        self.discriminator_optimizer.step()

    def step_generator(self, real: Tensor, latents: Tensor) -> None:
        """Update the generator, then its EMA."""
        self.generator_optimizer.zero_grad(set_to_none=True)
        self.discriminator.requires_grad_(False)
        with self.autocast():
            fake = self.generator(latents)
        self.generator_loss(self.discriminator, real, fake).backward()  # type: ignore[no-untyped-call]
        self.discriminator.requires_grad_(True)
        self.generator_optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged[0], self.averaged[1], self.share)

    def weight(self) -> Tensor:
        """Draw the interpolation weights of WGAN-GP's penalty."""
        return torch.rand(self.batch_size, device=self.device)

    def __call__(self) -> int:
        real = self.real()
        self.step_discriminator(real, self.latents(), self.weight())
        self.steps += 1
        if self.steps % self.discriminator_steps == 0:
            self.step_generator(real, self.latents())
        return self.batch_size


class TextbookStep(Step):
    """Train by the loop of PyTorch's DCGAN tutorial.

    Args:
        stored: Training images on the CPU, uint8 or points.
        **options: Arguments of `Step`.
    """

    def __init__(self, workload: Workload, device: str, precision: Precision, stored: Tensor, **options: Any) -> None:
        super().__init__(workload, device, precision, fused=False, **options)
        workers = 2 if workload.size else 0  # points need no transform
        self.loader = DataLoader(
            SingleExamples(stored), self.batch_size, shuffle=True, drop_last=True, num_workers=workers
        )
        self.batches = endless(self.loader)

    def close(self) -> None:
        self.batches.close()

    def __call__(self) -> int:
        real = next(self.batches).to(self.device)
        with self.autocast():
            fake = self.generator(self.latents())
        self.discriminator.zero_grad()
        weight = torch.rand(len(real), device=self.device)
        loss = self.discriminator_loss(self.discriminator, real, fake.detach(), weight)
        loss.backward()  # type: ignore[no-untyped-call]
        self.discriminator_optimizer.step()
        self.steps += 1
        if self.steps % self.discriminator_steps == 0:
            self.generator.zero_grad()
            self.generator_loss(self.discriminator, real, fake).backward()  # type: ignore[no-untyped-call]
            self.generator_optimizer.step()
        if self.steps % 50 == 0 and not math.isfinite(loss.item()):
            raise ArithmeticError("the loss is not finite")
        return len(real)


def endless(loader: "DataLoader[Tensor]") -> Generator[Tensor, None, None]:
    """Iterate over a loader repeatedly, without end."""
    while True:
        yield from loader


class SingleExamples(Dataset[Tensor]):
    """Serve one example at a time through torchvision's transforms."""

    def __init__(self, stored: Tensor) -> None:
        from torchvision import transforms  # noqa: PLC0415

        self.arrays: Any = stored.movedim(1, -1).numpy() if stored.dim() == 4 else None
        self.points = stored
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> Tensor:
        from PIL import Image  # noqa: PLC0415

        if self.arrays is None:
            return self.points[index]
        image: Tensor = self.transform(Image.fromarray(self.arrays[index]))
        return image
