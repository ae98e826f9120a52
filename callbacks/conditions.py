"""Conditions of the samples that callbacks draw: those of held-out examples, the same each time."""

from typing import cast

import torch

from lightning_gans.core.batches import as_dict, index_batch
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.datamodules import DataModule
from lightning_gans.datamodules.module import Split
from lightning_gans.types import Batch


def held_out_conditions(
    model: GenerativeModel, data: DataModule | None, n: int, *, split: Split = "validation"
) -> Batch | None:
    """Return the conditions of n samples.

    A model that draws its own conditions, such as labels, needs none. For captions and sound, the conditions are those
    of the first held-out examples, repeated if they are fewer.

    Args:
        model: The model.
        data: The data module, if there is one.
        n: Number of samples.
        split: Split of the examples, default "validation"; if it is empty, the training split.

    Returns:
        The conditions, empty if the model needs none; None if the data do not have them.
    """
    if not model.required_conditions:
        return {}
    if data is None:
        return None
    examples = as_dict(data.examples(split if data.sizes[split] else "train", n))
    if any(key not in examples for key in model.conditions):
        return None
    found = cast("Batch", {key: examples[key] for key in model.conditions})
    return index_batch(found, torch.arange(n) % len(examples[model.conditions[0]]))
