"""What can make examples: the one contract that callbacks, metrics and commands rely on."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from lightning_gans.core.model import Model
from lightning_gans.types import Batch

SAMPLE_CHUNK = 64
"""Examples are always drawn this many at a time, so that one does not depend on how many are asked for."""


INTERPOLATION_CHUNK = 8
"""Walks between latents are drawn this many at a time."""


class GenerativeModel(Model):
    """Make examples. A subclass implements `draw`; everything else asks `sample`.

    Attributes:
        generates: The batch keys that a sample has.
        conditions: The batch keys that examples are drawn on condition of; labels are drawn where none are given.
        num_classes: How many labels there are to draw from; None where there are none.
        sampling: Whether examples are being drawn, or looked at in a stream of their own.
        monitor: The score that the best checkpoint is chosen by.
    """

    generates: tuple[str, ...] = ("image",)
    conditions: tuple[str, ...] = ()
    num_classes: int | None = None
    sampling: bool = False
    monitor: str = "coverage"

    @property
    def requires(self) -> tuple[str, ...]:
        """The batch keys that training needs: the example, and what it is conditioned on."""
        return ("image", *self.conditions)

    @property
    def required_conditions(self) -> tuple[str, ...]:
        """The batch keys that sampling must be given: labels can be drawn, captions and sounds cannot."""
        return tuple(key for key in self.conditions if key != "label" or self.num_classes is None)

    @abstractmethod
    def draw(self, n: int, condition: Batch) -> Batch:
        """Draw n examples from the present random stream, with the weights that are meant for sampling.

        Args:
            n: How many.
            condition: The batch keys named in `conditions`, n rows each.
        """

    def sample(self, n: int, *, condition: Batch | None = None, seed: int | None = None) -> Batch:
        """Sample n examples: averaged weights, evaluation mode, no gradients, the global random streams untouched.

        Example i depends on the seed and on i alone: the first 10 of 1,000 are the 10 that `sample(10)` gives.

        Args:
            n: How many.
            condition: What `conditions` names, n rows each; labels that are not given are drawn evenly.
            seed: Any integer from 0; None takes a fresh one.

        Returns:
            A batch with the keys in `generates`, on the model's device.

        Raises:
            ValueError: `n` is below 1, `seed` is negative, or a condition is missing, unknown or not n rows long, or a
                label is none of the classes.
        """
        if n < 1:
            raise ValueError(f"`n` must be at least 1, got {n}")
        given = condition or Batch()
        if missing := [key for key in self.required_conditions if key not in given]:
            raise ValueError(f"{type(self).__name__} samples only on condition: pass `condition` with {missing}")
        if unknown := [key for key in given if key not in self.conditions]:
            raise ValueError(f"`condition` may have {list(self.conditions)} for {type(self).__name__}, got {unknown}")
        lengths = {key: len(tensor) for key, tensor in dict(given).items()}  # type: ignore[arg-type]
        if any(length != n for length in lengths.values()):
            raise ValueError(f"`condition` must have {n} rows, one for each example, got {lengths}")
        if "label" in given and self.num_classes is not None:
            _check_labels(given["label"], self.num_classes)
        return self.sample_in_chunks(
            n, SAMPLE_CHUNK, seed, lambda index: self.draw(SAMPLE_CHUNK, self._conditions(given, index))
        )

    def _conditions(self, given: Batch, index: int) -> Batch:
        condition = _chunk(given, index)
        if "label" in self.conditions and "label" not in given and self.num_classes is not None:
            condition["label"] = torch.randint(self.num_classes, (SAMPLE_CHUNK,)).to(self.device)
        return condition

    def randn(self, *shape: int) -> Tensor:
        """Draw standard normal noise, such as latents.

        All noise of a model comes from `randn` and `rand` (`nn.Dropout` draws its own). In training it is drawn on the
        model's device; for samples it is drawn on the CPU, so that a seed gives the same samples on every device.

        Args:
            *shape: Shape of the tensor.
        """
        return self._noise(torch.randn, shape)

    def rand(self, *shape: int) -> Tensor:
        """Draw uniform noise in [0, 1); see `randn`.

        Args:
            *shape: Shape of the tensor.
        """
        return self._noise(torch.rand, shape)

    def _noise(self, distribution: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        if self.sampling:
            return self.to_device_and_dtype(distribution(*shape))
        return distribution(*shape, device=self.device, dtype=self.dtype)

    def panels(self, columns: int, *, seed: int | None = None) -> dict[str, Batch]:
        """Draw what there is to look at beside samples: rows of `columns` examples each, by the name of the panel.

        Args:
            columns: Examples in a row.
            seed: Any integer from 0; None takes a fresh one.
        """
        return {}

    def discriminator_score(self, batch: Batch) -> Tensor | None:
        """How real examples look, (b,), higher being better; None where nothing in the model judges.

        Args:
            batch: The examples.
        """
        return None

    @torch.no_grad()
    def sample_in_chunks(self, n: int, size: int, seed: int | None, make: Callable[[int], Batch]) -> Batch:
        """Put n examples together from chunks, each made whole, in evaluation mode, from a random stream of its own.

        Args:
            n: How many examples.
            size: Examples in a chunk.
            seed: Any integer from 0; None takes a fresh one.
            make: Makes the chunk of that index.

        Raises:
            ValueError: `seed` is negative.
        """
        chunks = []
        for index, seed_of_chunk in enumerate(_seeds(seed, -(-n // size))):
            with self.seeded_eval(seed_of_chunk):
                chunks.append(make(index))
        return {key: torch.cat([chunk[key] for chunk in chunks])[:n] for key in self.generates}  # type: ignore[literal-required, return-value]

    @contextmanager
    def seeded_eval(self, seed: int) -> Iterator[None]:
        """Be in evaluation mode and draw noise from a stream of that seed; then be as before, global streams too."""
        self.sampling = True
        try:
            with self.eval_mode(), _seeded(self.device, seed):
                yield
        finally:
            self.sampling = False


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Draw from streams of that seed, on the CPU and on this device, and put both back; no other is touched."""
    accelerator = None if device.type == "cpu" else torch.get_device_module(device)
    cpu = torch.get_rng_state()
    state = accelerator and accelerator.get_rng_state()
    torch.default_generator.manual_seed(seed)
    if accelerator is not None:
        accelerator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(cpu)
        if accelerator is not None:
            accelerator.set_rng_state(state)


def _seeds(seed: int | None, chunks: int) -> list[int]:
    """A well mixed seed for every chunk: torch's own seeding looks at 32 bits, close seeds start close streams."""
    if seed is not None and seed < 0:
        raise ValueError(f"`seed` must be at least 0, got {seed}")
    root = np.random.SeedSequence(seed)
    return [int(chunk.generate_state(1)[0]) for chunk in root.spawn(chunks)]


def _check_labels(label: Tensor, classes: int) -> None:
    if label.is_floating_point() or label.dim() != 1:
        raise ValueError(f"`label` must be (n,) integers, got {label.dtype} of shape {tuple(label.shape)}")
    if wrong := sorted({number for number in label.tolist() if not -1 <= number < classes}):
        raise ValueError(f"`label` must be from 0 to {classes - 1}, or -1 where unknown, got {wrong}")


def _chunk(condition: Batch, index: int) -> Batch:
    """Rows of one chunk; the last is filled up with its first row, and what is made of the filling is cut off."""

    def rows(tensor: Tensor) -> Tensor:
        part = tensor[index * SAMPLE_CHUNK : (index + 1) * SAMPLE_CHUNK]
        return torch.cat([part, part[:1].expand(SAMPLE_CHUNK - len(part), *part.shape[1:])])

    return {key: rows(tensor) for key, tensor in condition.items()}  # type: ignore[return-value, arg-type]


def trigonometric_interpolation(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Go from each start to its end along cos(t) start + sin(t) end, t from 0 to pi/2.

    Args:
        start: (n, ...) normal latents.
        end: (n, ...) normal latents.
        steps: Points on each way, both ends among them.

    Returns:
        (n, steps, ...), each point normal like the ends.

    Example:
        >>> trigonometric_interpolation(torch.zeros(2, 5), torch.ones(2, 5), 3).shape
        torch.Size([2, 3, 5])
    """
    angles = torch.linspace(0, torch.pi / 2, steps, device=start.device, dtype=start.dtype)
    angles = angles.view(1, -1, *[1] * (start.dim() - 1))
    return torch.cos(angles) * start.unsqueeze(1) + torch.sin(angles) * end.unsqueeze(1)
