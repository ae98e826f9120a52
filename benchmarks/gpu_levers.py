"""Part `levers` of `gpu.py`: prototypes of faster steps, each measured in turn with the hand-written eager step.

* CUDA graphs: one graph for each player's step; data and noise are drawn outside of the graphs.
* channels_last: networks and images in that memory format.
* compiled penalty: `torch.compile(torch.func.grad(loss), fullgraph=True)`, the penalty by `torch.func.grad` inside.
* compiled networks: `module.compile()` of both networks; penalties run eagerly, as in the framework.

`speedup` is the ratio of the prototype's speed to the speed of the hand-written step in the same round, as the median
over the rounds. `setup s` is the time to capture or compile, in seconds. On a CPU, a smoke test compiles with a backend
that generates no code.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from gpu_part import Deadline, Row, Scores, Settings, attempt
from gpu_speed import images_per_second, synchronize
from gpu_steps import (
    WORKLOADS,
    GradientOf,
    HandStep,
    Network,
    Precision,
    Workload,
    functional_gradient_of,
    set_precision,
)
from torch import Tensor, nn

DCGAN32, WGANGP32, R3GAN32, DCGAN64, POINTS = WORKLOADS
PRECISION: Precision = "bf16"


class NeedsCUDAError(Exception):
    """Raised by a prototype that needs CUDA."""


class GraphedStep(HandStep):
    """Replay the steps of both players as CUDA graphs."""

    def prepare(self) -> None:
        """Warm up on a side stream, then capture both graphs in one memory pool."""
        if self.device != "cuda":
            raise NeedsCUDAError("needs CUDA")
        self.static = self.real(), self.latents(), self.weight()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                super().step_discriminator(*self.static)
                super().step_generator(*self.static[:2])
        torch.cuda.current_stream().wait_stream(side)
        self.graphs = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graphs[0]):
            super().step_discriminator(*self.static)
        with torch.cuda.graph(self.graphs[1], pool=self.graphs[0].pool()):
            super().step_generator(*self.static[:2])

    def step_discriminator(self, real: Tensor, latents: Tensor, weight: Tensor) -> None:
        """Fill the static inputs and replay."""
        for static, fresh in zip(self.static, (real, latents, weight), strict=True):
            static.copy_(fresh)
        self.graphs[0].replay()

    def step_generator(self, real: Tensor, latents: Tensor) -> None:
        """Fill the static latents and replay, with the real batch of the discriminator."""
        self.static[1].copy_(latents)
        self.graphs[1].replay()


class CompiledPenaltyStep(HandStep):
    """Compile the discriminator's gradient, penalty included, as one graph."""

    def prepare(self, backend: str) -> None:
        """Wrap the loss; the first step compiles."""

        def loss(parameters: dict[str, Tensor], real: Tensor, fake: Tensor, weight: Tensor) -> Tensor:
            def network(images: Tensor) -> Tensor:
                outputs: Tensor = torch.func.functional_call(self.discriminator, parameters, (images,))
                return outputs

            return self.discriminator_loss(network, real, fake, weight, functional_gradient_of)

        self.gradient = torch.compile(torch.func.grad(loss), fullgraph=True, backend=backend)

    def step_discriminator(self, real: Tensor, latents: Tensor, weight: Tensor) -> None:
        """Update the discriminator by the compiled gradient."""
        with torch.no_grad(), self.autocast():
            fake = self.generator(latents)
        parameters = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        gradients = self.gradient(parameters, real, fake.float(), weight)
        for name, parameter in self.discriminator.named_parameters():
            parameter.grad = gradients[name]
        self.discriminator_optimizer.step()


class CompiledStep(HandStep):
    """Compile both networks in place; penalties run eagerly."""

    def prepare(self, backend: str) -> None:
        """Mark both networks; the first step compiles."""
        self.generator.compile(backend=backend)
        self.discriminator.compile(backend=backend)

    def discriminator_loss(
        self, network: Network, real: Tensor, fake: Tensor, weight: Tensor, gradient_of: GradientOf | None = None
    ) -> Tensor:
        """Differentiate the eager network: a compiled graph cannot be differentiated twice."""

        def eager_gradient_of(network: Network, points: Tensor) -> Tensor:
            points = points.detach().requires_grad_()
            with torch.compiler.set_stance("force_eager"):
                outputs = network(points)
            (gradient,) = torch.autograd.grad(outputs.sum(), points, create_graph=True)
            return gradient

        return super().discriminator_loss(network, real, fake, weight, eager_gradient_of)


@dataclass(frozen=True, kw_only=True)
class Lever:
    """One prototype on one workload.

    Attributes:
        name: Name of the prototype.
        workload: The workload.
        step: Class of its step.
        options: Further arguments of the step.
        backend: Compiler backend; None for a prototype without one.
    """

    name: str
    workload: Workload
    step: type[HandStep]
    options: dict[str, Any] = field(default_factory=dict)
    backend: str | None = None


def levers(device: str, *, quick: bool) -> list[Lever]:
    """List the prototypes, the most important first; compilation, which can take long, is last."""
    backend = "aot_eager" if device == "cpu" and quick else "inductor"
    graphed: dict[str, Any] = {"step": GraphedStep, "options": {"capturable": device == "cuda"}}
    last: dict[str, Any] = {"step": HandStep, "options": {"memory_format": torch.channels_last}}
    penalty: dict[str, Any] = {"step": CompiledPenaltyStep, "backend": backend}
    networks: dict[str, Any] = {"step": CompiledStep, "backend": backend}
    return [
        *(Lever(name="CUDA graphs", workload=w, **graphed) for w in (WGANGP32, R3GAN32, POINTS, DCGAN32, DCGAN64)),
        *(Lever(name="channels_last", workload=w, **last) for w in (DCGAN64, WGANGP32, R3GAN32)),
        Lever(name="compiled networks", workload=DCGAN64, **networks),
        *(Lever(name="compiled penalty", workload=w, **penalty) for w in (WGANGP32, R3GAN32)),
        *(Lever(name="compiled networks", workload=w, **networks) for w in (POINTS, WGANGP32)),
    ]


def measure(settings: Settings) -> Iterator[Row]:
    """Measure each prototype while time is left."""
    deadline = Deadline(settings.seconds - 5)
    set_precision(PRECISION)
    for lever in levers(settings.device, quick=settings.quick):
        name = f"{lever.workload.name}, {lever.name}"
        if deadline.left < 3 and not settings.quick:
            yield Row(name, {"note": "no time left"})
        else:
            yield attempt(name, partial(_compare, lever, settings, deadline))


def _compare(lever: Lever, settings: Settings, deadline: Deadline) -> Scores:
    """Measure a prototype and the hand-written step in turn."""
    device, quick = settings.device, settings.quick
    workload = lever.workload
    data = workload.data(quick=quick)
    data.setup()
    stored = data.train_dataloader().tensors["image"].to(device)
    base = HandStep(workload, device, PRECISION, stored, quick=quick)
    step: Any = lever.step(workload, device, PRECISION, stored, quick=quick, **lever.options)
    warmup = 5 if quick else 20
    start = time.perf_counter()
    try:
        if lever.step is not HandStep:
            step.prepare(*([lever.backend] if lever.backend else []))
        for _ in range(base.discriminator_steps):  # both players are updated once, and compile
            step()
    except NeedsCUDAError as reason:
        return {"note": str(reason)}
    synchronize(device)
    setup = time.perf_counter() - start
    for _ in range(warmup):
        base()
        step()
    _check_finite(step)
    seconds = 0.1 if quick else min(0.6, max(0.15, deadline.left / 60))
    rounds = [[images_per_second(run, seconds, device) for run in (base, step)] for _ in range(2 if quick else 3)]
    _check_finite(step)
    speeds = [statistics.median(column) for column in zip(*rounds, strict=True)]
    return {
        "hand-written, images/s": speeds[0],
        "prototype, images/s": speeds[1],
        "speedup": statistics.median(fast / slow for slow, fast in rounds),
        "ms per batch": 1000 * step.batch_size / speeds[1],
        "setup s": setup,
    }


def _check_finite(step: HandStep) -> None:
    """Refuse a speed of steps that compute nothing."""
    networks: tuple[nn.Module, ...] = (step.generator, step.discriminator)
    if not all(bool(weight.isfinite().all()) for network in networks for weight in network.parameters()):
        raise ArithmeticError("a weight is not finite")
