"""Conversion of the batches of a user's own loader to the batches that models expect."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lightning_gans.types import ImageShape

ALIASES = {
    "image": ("images", "img", "imgs", "x", "data", "pixels", "pixel_values", "input", "inputs"),
    "label": ("labels", "y", "target", "targets", "class", "classes"),
    "text": ("texts", "caption", "captions", "tokens", "input_ids"),
}
"""Common names of other programs for the keys of a batch."""

INTEGER_KEYS = ("label", "text")
"""Keys whose values are int64."""


def convert_batch(batch: Any, image_shape: ImageShape) -> Any:
    """Convert a batch where its meaning is unambiguous; anything else is returned unchanged.

    - A list of dictionaries, one for each example, becomes a dictionary of batches.
    - NumPy arrays, lists of numbers, and lists of arrays, tensors or Pillow images become tensors.
    - Images of the shape (height, width, channels), and grayscale images of the shape (height, width), are rearranged.
    - Images of the type uint8 are levels from 0 to 255, and become floats in [-1, 1].
    - Labels and token indices of any integer type become int64.

    Args:
        batch: What the loader yields.
        image_shape: (channels, height, width) of an image, or (dimensions,) of a point.

    Raises:
        ValueError: The loader yields single examples.

    Example:
        >>> examples = [{"image": np.zeros((8, 8, 3), np.uint8), "label": label} for label in (4, 2)]
        >>> batch = convert_batch(examples, (3, 8, 8))
        >>> batch["image"].shape, batch["image"].unique(), batch["label"]
        (torch.Size([2, 3, 8, 8]), tensor([-1.]), tensor([4, 2]))
    """
    if isinstance(batch, list | tuple) and batch and all(isinstance(example, Mapping) for example in batch):
        batch = {key: [example.get(key) for example in batch] for key in batch[0]}
    converted = convert_values(batch)
    if isinstance(converted, Mapping) and isinstance(image := converted.get("image"), Tensor):
        return {**converted, "image": to_image(image, image_shape)}
    return converted


def convert_values(batch: Any) -> Any:
    """Convert the values of a dictionary to tensors, and labels and token indices to int64; see `convert_batch`.

    Example:
        >>> convert_values({"label": [3, 1]})
        {'label': tensor([3, 1])}
    """
    if not isinstance(batch, Mapping):
        return batch
    converted = {key: to_tensor(value) for key, value in batch.items()}
    for key in INTEGER_KEYS:
        if isinstance(value := converted.get(key), Tensor) and not value.is_floating_point():
            converted[key] = value.long()
    return converted


def to_tensor(value: Any) -> Any:
    """Convert an array, a number, a Pillow image, or a list of these to a tensor; other values are unchanged."""
    match value:
        case np.ndarray() | np.generic() if value.dtype.kind in "biuf":
            return torch.from_numpy(np.array(value))
        case Image.Image():
            return torch.from_numpy(np.array(value))
        case bool() | int() | float():
            return torch.tensor(value)
        case [_, *_]:
            parts = [to_tensor(part) for part in value]
            if all(isinstance(part, Tensor) and part.shape == parts[0].shape for part in parts):
                return torch.stack(parts)
    return value


def to_image(image: Tensor, image_shape: ImageShape) -> Tensor:
    """Rearrange and scale images; see `convert_batch`."""
    if tuple(image.shape) == image_shape:
        raise ValueError(
            f"`image` must be a batch (b, {', '.join(map(str, image_shape))}), but the data yields single examples:"
            " use a `DataLoader` with a `batch_size`"
        )
    shape = tuple(image.shape[1:])
    if len(image_shape) != 3:
        return image
    if shape != image_shape and shape == (*image_shape[1:], image_shape[0]):
        image = image.movedim(-1, 1)
    elif shape == image_shape[1:] and image_shape[0] == 1:
        image = image.unsqueeze(1)
    return image.float() / 127.5 - 1 if image.dtype == torch.uint8 else image


def check_tensors(batch: Mapping[str, Any], requires: tuple[str, ...]) -> None:
    """Check that the values of a converted batch are tensors of the right kind.

    Args:
        batch: The converted batch.
        requires: The keys that the model needs.

    Raises:
        ValueError: A value is not a tensor, or labels or token indices are not integers.

    Example:
        >>> check_tensors({"image": ["a.png", "b.png"]}, ("image",))
        Traceback (most recent call last):
        ValueError: `image` must be a tensor, but the data yields a list of str
    """
    for key in requires:
        value = batch[key]
        if not isinstance(value, Tensor):
            of = f" of {type(value[0]).__name__}" if isinstance(value, list) and value else ""
            sizes = " of different sizes" if of and isinstance(value[0], Tensor | np.ndarray | Image.Image) else ""
            raise ValueError(f"`{key}` must be a tensor, but the data yields a {type(value).__name__}{of}{sizes}")
        if key in INTEGER_KEYS and value.is_floating_point():
            raise ValueError(f"`{key}` must hold integers, but the data yields {value.dtype}")


def explain_batch(batch: Any, requires: tuple[str, ...]) -> str:
    """Suggest how to turn a batch into the dictionary that a model needs.

    Args:
        batch: What the loader yields.
        requires: The keys that the model needs.

    Returns:
        The suggestion, or an empty text.

    Example:
        >>> explain_batch({"img": torch.zeros(2, 3)}, ("image",))
        'rename `img` to `image`, for example in a `collate_fn`'
        >>> explain_batch([torch.zeros(2, 3), torch.zeros(2)], ("image",))
        'a `collate_fn` can make {"image": batch[0]} of [Tensor (2, 3), Tensor (2,)]'
    """
    if isinstance(batch, Mapping):
        return _explain_keys(batch, requires)
    numbers = range(len(requires))
    if not isinstance(batch, list | tuple):
        values = ["batch", *["..."] * len(requires)]
    elif batch and all(isinstance(example, list | tuple) for example in batch):
        values = [f"[example[{number}] for example in batch]" for number in numbers]
    elif isinstance(to_tensor(list(batch)), Tensor) and len(batch) > len(requires):
        values = ["batch"]
    else:
        values = [f"batch[{number}]" for number in numbers]
    fields = ", ".join(f'"{key}": {value}' for key, value in zip(requires, values, strict=False))
    return f"a `collate_fn` can make {{{fields}}} of {_describe(batch)}"


def _explain_keys(batch: Mapping[Any, Any], requires: tuple[str, ...]) -> str:
    for key in requires:
        if key in batch:
            continue
        for name, value in batch.items():
            if isinstance(value, Mapping) and key in value:
                return f"`{name}` is a dictionary with the key `{key}`: yield that dictionary"
            if str(name).lower() in ALIASES.get(key, ()):
                return f"rename `{name}` to `{key}`, for example in a `collate_fn`"
    return ""


def _describe(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_describe, value[:3]))}{', ...' * (len(value) > 3)}]"
    shape = f" {tuple(value.shape)}" if isinstance(value, Tensor | np.ndarray) else ""
    return f"{type(value).__name__}{shape}"
