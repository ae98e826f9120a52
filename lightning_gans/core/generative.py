"""Base class of all models that generate samples: the contract that callbacks, metrics and commands rely on."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast, final

import torch
from torch import Tensor

from lightning_gans.core.batch_conversion import convert_values
from lightning_gans.core.batches import as_dict, join_batches
from lightning_gans.core.model import Model
from lightning_gans.core.randomness import chunk_seeds, seeded
from lightning_gans.types import Batch

SAMPLE_CHUNK = 64
"""Samples per forward pass. It is fixed, so that a sample does not depend on how many are requested."""


INTERPOLATION_CHUNK = 8
"""Paths between latents per forward pass."""


class GenerativeModel(Model):
    """Generate samples; a subclass implements `draw`, and users call `sample`.

    Attributes:
        generates: Batch keys of a sample.
        conditions: Batch keys that samples are conditioned on. Labels that are not given are drawn uniformly.
        num_classes: Number of classes; None without classes.
        sampling: Whether noise comes from the random stream of `seeded_eval`.
        monitor: Score that selects the best checkpoint.
    """

    generates: tuple[str, ...] = ("image",)
    conditions: tuple[str, ...] = ()
    num_classes: int | None = None
    sampling: bool = False
    monitor: str = "coverage"

    @property
    def requires(self) -> tuple[str, ...]:
        """Batch keys of training: the image and its conditions."""
        return ("image", *self.conditions)

    @property
    def required_conditions(self) -> tuple[str, ...]:
        """Conditions that `sample` requires: labels can be drawn at random, text and audio cannot."""
        return tuple(key for key in self.conditions if key != "label" or self.num_classes is None)

    @abstractmethod
    def draw(self, n: int, condition: Batch) -> Batch:
        """Draw n samples from the current random stream, with the weights for sampling (usually the EMA).

        Args:
            n: Number of samples.
            condition: Batch keys named in `conditions`, n rows each.
        """

    @final
    def sample(self, n: int, *, condition: Batch | None = None, seed: int | None = None) -> Batch:
        """Sample from the averaged weights in evaluation mode, without gradients.

        Sample i depends only on the seed and on i: the first 10 of 1,000 are the samples of `sample(10)`. The global
        random streams are unchanged.

        Args:
            n: Number of samples.
            condition: Batch keys named in `conditions`, n rows each; labels that are not given are drawn uniformly.
            seed: Seed, at least 0; None (default) draws a new seed.

        Returns:
            A batch with the keys in `generates`, on the model's device.

        Raises:
            ValueError: If `n` is below 1, `seed` is negative, a condition is missing, unknown or does not have n rows,
                or a label is not one of the classes.
        """
        return join_batches(self.sample_batches(n, condition=condition, seed=seed), n)

    @final
    def sample_batches(
        self, n: int, *, condition: Batch | None = None, seed: int | None = None, start: int = 0
    ) -> Iterator[Batch]:
        """Yield the samples of `sample` in batches of at most 64, so that memory does not grow with their number.

        Args:
            n: Number of samples.
            condition: Batch keys named in `conditions`, n rows each; labels that are not given are drawn uniformly.
            seed: Any integer from 0; None takes a fresh seed.
            start: Index of the first sample to yield (0); the samples before it are not drawn.

        Yields:
            Batches with the keys in `generates`, on the model's device.

        Raises:
            ValueError: As for `sample`, before the first batch.

        Example:
            >>> from lightning_gans.models import DCGAN
            >>> model = DCGAN(image_shape=(1, 8, 8))
            >>> [len(batch["image"]) for batch in model.sample_batches(100, seed=0)]
            [64, 36]
        """
        if n < 1:
            raise ValueError(f"`n` must be at least 1, got {n}")
        given: Batch = convert_values(condition or {})
        if missing := [key for key in self.required_conditions if key not in given]:
            raise ValueError(f"{type(self).__name__} is conditional: pass `condition` with {missing}")
        if unknown := [key for key in given if key not in self.conditions]:
            raise ValueError(f"`condition` may have {list(self.conditions)} for {type(self).__name__}, got {unknown}")
        lengths = {key: len(tensor) for key, tensor in as_dict(given).items()}
        if any(length != n for length in lengths.values()):
            raise ValueError(f"`condition` must have {n} rows, one per sample, got {lengths}")
        if "label" in given and self.num_classes is not None:
            _check_labels(given["label"], self.num_classes)

        def draw_chunk(index: int) -> Batch:
            return self.draw(SAMPLE_CHUNK, self._chunk_condition(given, index))

        return self.batches_of_chunks(n, SAMPLE_CHUNK, seed, draw_chunk, start=start)

    def _chunk_condition(self, given: Batch, index: int) -> Batch:
        rows = as_dict(_chunk(given, index))
        condition = cast("Batch", {key: self.to_device_and_dtype(tensor) for key, tensor in rows.items()})
        if "label" in self.conditions and "label" not in given and self.num_classes is not None:
            condition["label"] = torch.randint(self.num_classes, (SAMPLE_CHUNK,)).to(self.device)
        return condition

    @final
    def randn(self, *shape: int) -> Tensor:
        """Draw standard normal noise, such as latents.

        All noise of a model comes from `randn` and `rand` (`nn.Dropout` draws its own). In training it is drawn on the
        model's device. For samples it is drawn on the CPU, so that a seed gives the same samples on every device.

        Args:
            *shape: Shape of the tensor.
        """
        return self._noise(torch.randn, shape)

    @final
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
        """Generate further panels of samples, such as interpolations, by name.

        Args:
            columns: Samples per row.
            seed: Seed, at least 0; None (default) draws a new seed.
        """
        return {}

    def discriminator_score(self, batch: Batch) -> Tensor | None:
        """Compute the discriminator score of examples, (b,), higher for real ones; None without a discriminator.

        Args:
            batch: The examples.
        """
        return None

    @final
    def sample_in_chunks(self, n: int, size: int, seed: int | None, draw_chunk: Callable[[int], Batch]) -> Batch:
        """Concatenate n samples from chunks of a fixed size, each drawn in evaluation mode from its own random stream.

        Args:
            n: Number of samples.
            size: Samples per chunk.
            seed: Seed, at least 0; None draws a new seed.
            draw_chunk: Draws the chunk of an index.

        Raises:
            ValueError: If `seed` is negative.
        """
        return join_batches(self.batches_of_chunks(n, size, seed, draw_chunk), n)

    @final
    def batches_of_chunks(
        self, n: int, size: int, seed: int | None, draw_chunk: Callable[[int], Batch], *, start: int = 0
    ) -> Iterator[Batch]:
        """Yield the samples of `sample_in_chunks` chunk by chunk, from the sample with the index `start`.

        Args:
            n: Number of samples.
            size: Samples per chunk.
            seed: Any integer from 0; None takes a fresh seed.
            draw_chunk: Draws the chunk of an index.
            start: Index of the first sample to yield (0).

        Raises:
            ValueError: `seed` is negative.
        """
        seed_of = chunk_seeds(seed)

        def batch(index: int) -> Batch:
            with torch.no_grad(), self.seeded_eval(seed_of(index)):
                chunk = as_dict(draw_chunk(index))
            rows = slice(max(start - index * size, 0), n - index * size)
            return cast("Batch", {key: chunk[key][rows] for key in self.generates})

        return map(batch, range(start // size, -(-n // size)))

    @final
    @contextmanager
    def seeded_eval(self, seed: int) -> Iterator[None]:
        """Switch to evaluation mode and to noise from a seeded stream; restore both on exit.

        Args:
            seed: Seed of the noise.
        """
        self.sampling = True
        try:
            with self.eval_mode(), seeded(self.device, seed):
                yield
        finally:
            self.sampling = False


def _check_labels(label: Tensor, num_classes: int) -> None:
    if label.is_floating_point() or label.dim() != 1:
        raise ValueError(f"`label` must be (n,) integers, got {label.dtype} of shape {tuple(label.shape)}")
    if invalid := sorted(set(label[(label < -1) | (label >= num_classes)].tolist())):
        raise ValueError(f"`label` must be from 0 to {num_classes - 1}, or -1 where unknown, got {invalid}")


def _chunk(condition: Batch, index: int) -> Batch:
    """Select the rows of a chunk; the last chunk is padded with its first row, and its padding is cut off later."""

    def rows(tensor: Tensor) -> Tensor:
        part = tensor[index * SAMPLE_CHUNK : (index + 1) * SAMPLE_CHUNK]
        return torch.cat([part, part[:1].expand(SAMPLE_CHUNK - len(part), *part.shape[1:])])

    return cast("Batch", {key: rows(tensor) for key, tensor in as_dict(condition).items()})


def trigonometric_interpolation(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Interpolate along cos(t) start + sin(t) end for t from 0 to pi/2.

    The interpolation is variance preserving: between independent normal latents each point is normal too. It is not
    slerp, which depends on the angle between the latents.

    Args:
        start: (n, ...) normal latents.
        end: (n, ...) normal latents.
        steps: Points per path, both ends included.

    Returns:
        (n, steps, ...) latents.

    Example:
        >>> trigonometric_interpolation(torch.zeros(2, 5), torch.ones(2, 5), 3).shape
        torch.Size([2, 3, 5])
    """
    angles = torch.linspace(0, torch.pi / 2, steps, device=start.device, dtype=start.dtype)
    angles = angles.view(1, -1, *[1] * (start.dim() - 1))
    return torch.cos(angles) * start.unsqueeze(1) + torch.sin(angles) * end.unsqueeze(1)
