"""Test the batches of a user's own loader, which are converted if their meaning is unambiguous, or refused."""

import logging
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from conftest import Fit
from PIL import Image
from torch import nn

from lightning_gans.callbacks import Run, Wandb
from lightning_gans.core.batch_conversion import convert_batch
from lightning_gans.core.batches import split_batch
from lightning_gans.models import MADE, Classifier, VanillaGAN
from lightning_gans.networks.mlp import MLPDiscriminator, MLPGenerator
from lightning_gans.trainer import Trainer

SHAPE = (3, 4, 5)
LEVELS = np.random.default_rng(0).integers(256, size=(6, 4, 5, 3), dtype=np.uint8)
IMAGES = torch.from_numpy(LEVELS).permute(0, 3, 1, 2).float() / 127.5 - 1
LABELS = torch.tensor([0, 2, 1, 1, 0, 2])


class LinearClassifier(nn.Sequential):
    """A linear classifier."""

    def __init__(self, image_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(math.prod(image_shape), num_classes))


def classifier(shape: tuple[int, ...] = SHAPE) -> Classifier:
    torch.manual_seed(0)
    return Classifier(image_shape=shape, num_classes=3, network=LinearClassifier)


CONVERTED: dict[str, Callable[[], Any]] = {
    "a list of dictionaries": lambda: [{"image": x, "label": y} for x, y in zip(IMAGES, LABELS, strict=True)],
    "a tuple of dictionaries": lambda: tuple(
        {"image": x, "label": int(y)} for x, y in zip(IMAGES, LABELS, strict=True)
    ),
    "dictionaries of arrays": lambda: [
        {"image": x, "label": y} for x, y in zip(IMAGES.double().numpy(), LABELS.numpy(), strict=True)
    ],
    "float64 arrays": lambda: {"image": IMAGES.numpy().astype(np.float64), "label": LABELS.numpy()},
    "float64 tensors": lambda: {"image": IMAGES.double(), "label": LABELS},
    "a list of tensors": lambda: {"image": list(IMAGES), "label": LABELS.tolist()},
    "int32 labels": lambda: {"image": IMAGES, "label": LABELS.int()},
    "uint8 labels": lambda: {"image": IMAGES, "label": LABELS.byte()},
    "a list of labels": lambda: {"image": IMAGES, "label": LABELS.tolist()},
    "uint8 images": lambda: {"image": torch.from_numpy(LEVELS).permute(0, 3, 1, 2), "label": LABELS},
    "channels last": lambda: {"image": IMAGES.permute(0, 2, 3, 1), "label": LABELS},
    "uint8 arrays, channels last": lambda: {"image": LEVELS, "label": LABELS},
    "Pillow images": lambda: {"image": [Image.fromarray(level) for level in LEVELS], "label": LABELS},
    "dictionaries of Pillow images": lambda: [
        {"image": Image.fromarray(x), "label": y} for x, y in zip(LEVELS, LABELS.tolist(), strict=True)
    ],
    "names of files": lambda: {"image": IMAGES, "label": LABELS, "file": list("abcdef"), "source": "web", "x": None},
}


@pytest.mark.parametrize("name", CONVERTED)
def test_a_model_trains_on_a_batch_as_on_its_converted_form(name: str, fit: Fit) -> None:
    expected, trained = classifier(), classifier()
    fit(expected, [{"image": IMAGES, "label": LABELS}], max_steps=1)
    fit(trained, [CONVERTED[name]()], max_steps=1)
    assert trained.images_seen == 6
    for key, value in expected.state_dict().items():
        torch.testing.assert_close(trained.state_dict()[key], value, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_a_gan_trains_on_images_of_any_precision(dtype: torch.dtype, fit: Fit) -> None:
    gan = VanillaGAN(image_shape=(2,), generator=MLPGenerator, discriminator=MLPDiscriminator)
    fit(gan, [{"image": torch.rand(8, 2, dtype=dtype)}], max_steps=1)
    assert gan.images_seen == 8


def test_images_have_the_precision_of_the_model(fit: Fit) -> None:
    model = classifier()
    fit(model, [{"image": IMAGES, "label": LABELS}], max_steps=1, precision="64-true")
    assert model.dtype == torch.float64


def test_grayscale_images_may_lack_the_axis_of_channels() -> None:
    assert convert_batch({"image": torch.zeros(6, 4, 5)}, (1, 4, 5))["image"].shape == (6, 1, 4, 5)


def test_a_shape_that_fits_is_not_rearranged() -> None:
    image = torch.rand(6, 3, 3, 3)
    assert torch.equal(convert_batch({"image": image}, (3, 3, 3))["image"], image)


REFUSED: dict[str, tuple[Any, str]] = {
    "a pair": (
        (IMAGES, LABELS),
        'the data yields a list; a `collate_fn` can make {"image": batch[0], "label": batch[1]} of'
        " [Tensor (6, 3, 4, 5), Tensor (6,)]",
    ),
    "a list of pairs": (
        [(IMAGES[0], 1), (IMAGES[1], 2)],
        'make {"image": [example[0] for example in batch], "label": [example[1] for example in batch]} of',
    ),
    "a list of images": (list(IMAGES), 'a `collate_fn` can make {"image": batch} of [Tensor (3, 4, 5), '),
    "a tensor": (
        IMAGES,
        'a Tensor; a `collate_fn` can make {"image": batch, "label": ...} of Tensor (6, 3, 4, 5)',
    ),
    "a string": ("a.png", 'yields a str; a `collate_fn` can make {"image": batch, "label": ...} of str'),
    "img": (
        {"img": IMAGES, "label": LABELS},
        "missing; rename `img` to `image`, for example in a `collate_fn`",
    ),
    "targets": ({"image": IMAGES, "targets": LABELS}, "['label'] missing; rename `targets` to `label`"),
    "nested": ({"a": {"image": IMAGES}}, "missing; `a` is a dictionary with the key `image`: yield that dictionary"),
    "one example": (
        {"image": IMAGES[0], "label": LABELS[0]},
        "yields single examples: use a `DataLoader` with a",
    ),
    "int64 images": ({"image": IMAGES.long(), "label": LABELS}, "yields torch.int64: scale them, x / 127.5 - 1"),
    "float labels": (
        {"image": IMAGES, "label": LABELS.float()},
        "`label` must hold integers, but the data yields",
    ),
    "paths": ({"image": ["a.png"], "label": [1]}, "`image` must be a tensor, but the data yields a list of str"),
    "images of different sizes": (
        {"image": [torch.zeros(3, 4, 5), torch.zeros(3, 4, 4)], "label": [1, 2]},
        "`image` must be a tensor, but the data yields a list of Tensor of different sizes",
    ),
    "labels that are names": (
        {"image": IMAGES, "label": list("abcdef")},
        "`label` must be a tensor, but the",
    ),
    "another shape": (
        {"image": IMAGES[..., :4], "label": LABELS},
        "built for `image_shape` (3, 4, 5), but the da",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_ambiguous_batch_is_refused_in_one_line_with_a_remedy(name: str, fit: Fit) -> None:
    batch, message = REFUSED[name]
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        fit(classifier(), [batch], max_steps=1)
    assert "\n" not in str(error.value)


def test_a_list_of_batches_is_a_loader(tmp_path: Path) -> None:
    model = classifier()
    callbacks = [Run(root=str(tmp_path), max_images=24), Wandb(mode="disabled")]
    trainer = Trainer(callbacks=callbacks, accelerator="cpu", enable_progress_bar=False)
    trainer.fit(model, [{"image": IMAGES, "label": LABELS}, {"image": IMAGES, "label": LABELS}])
    assert (model.images_seen, trainer.current_epoch) == (24, 2)


def test_lightning_takes_a_list_for_several_loaders(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    trainer = pl.Trainer(accelerator="cpu", max_steps=1, logger=False, default_root_dir=tmp_path)
    with pytest.raises(ValueError, match=r"`train_dataloaders` is a list, .* `DataLoader\(batches, batch_size=None\)`"):
        trainer.fit(classifier(), [{"image": IMAGES, "label": LABELS}])


def test_uint8_images_of_two_levels_are_warned_of(fit: Fit) -> None:
    binary = (torch.from_numpy(LEVELS).permute(0, 3, 1, 2) > 100).byte()
    with pytest.warns(UserWarning, match=r"values in \[-1, -0.992\]: scale them"):
        fit(classifier(), [{"image": binary, "label": LABELS}], max_steps=1)


def test_conditions_and_examples_may_be_arrays_or_lists() -> None:
    model = MADE(image_shape=(1, 2, 2), levels=2, class_conditional=True, num_classes=3)
    expected = model.sample(3, condition={"label": torch.tensor([0, 2, 1])}, seed=0)["image"]
    for label in ([0, 2, 1], np.array([0, 2, 1], np.int32)):
        condition: Any = {"label": label}
        assert torch.equal(model.sample(3, condition=condition, seed=0)["image"], expected)
    log_prob = model.log_prob({"image": expected, "label": torch.tensor([0, 2, 1])})
    examples: Any = {"image": expected.double().numpy(), "label": [0, 2, 1]}
    torch.testing.assert_close(model.log_prob(examples), log_prob)


def test_values_that_are_not_tensors_are_divided_among_the_parts_of_a_batch() -> None:
    batch: Any = {"image": torch.arange(5.0), "file": list("abcde"), "source": "web"}
    parts: list[Any] = [part for part, _ in split_batch(batch, 2)]
    assert [part["file"] for part in parts] == [["a", "b", "c"], ["d", "e"]]
    assert [part["source"] for part in parts] == ["web", "web"]
