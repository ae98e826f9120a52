"""Compare drawn sprites with their captions, by closed forms of areas, colors and places."""

import math

import pytest
import torch

from lightning_gans.datamodules import sprites
from lightning_gans.datamodules.sprites import ATTRIBUTES, COLORS, RADIUS, Sprites, draw_sprites
from lightning_gans.datamodules.vocabulary import Vocabulary

SIZE = 64
AREAS = {"square": 4.0, "ellipse": math.pi * 1.2 * 0.6, "heart": 3.66197}
"""Areas at radius 1; of the heart by numerical integration."""


def small(**options: object) -> Sprites:
    """Make few images."""
    arguments = {"image_size": 16, "train_size": 90, "validation_size": 10, "test_size": 20, "batch_size": 8}
    return Sprites(**{**arguments, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(("level", "captions"), [(1, 3), (2, 6), (3, 30), (4, 120), (5, 240)])
def test_a_level_has_the_published_number_of_captions(level: int, captions: int) -> None:
    data = small(level=level)
    assert data.num_classes == captions == len(set(data.class_names or ()))
    words = {word for values in ATTRIBUTES.values() for value in values for word in value.split()}
    assert set(data.vocabulary.words[2:]) <= words  # type: ignore[union-attr]


@pytest.mark.parametrize("shape", AREAS)
@pytest.mark.parametrize("size", RADIUS)
@pytest.mark.parametrize("angle", [0.0, 0.3, 0.8])
def test_a_shape_has_its_area_and_its_color(shape: str, size: str, angle: float) -> None:
    numbers = torch.tensor([[0.0, 0.0, angle, 0.5, 0.5, 0.0]])
    image = draw_sprites([{"shape": shape, "size": size, "color": "blue"}], numbers, SIZE)[0].double()
    area = (image[2] / COLORS["blue"][2]).sum().item()
    assert area == pytest.approx(AREAS[shape] * (RADIUS[size] * SIZE) ** 2, rel=0.04)  # to a third of a pixel
    assert image[:, SIZE // 2, SIZE // 2].tolist() == list(COLORS["blue"])


@pytest.mark.parametrize("position", ATTRIBUTES["position"])
@pytest.mark.parametrize("background", ATTRIBUTES["background"])
def test_a_shape_is_at_its_place_on_its_background(position: str, background: str) -> None:
    numbers = torch.rand(8, 6, generator=torch.Generator().manual_seed(0))
    given = {"shape": "square", "size": "big", "color": "red", "position": position, "background": background}
    images = draw_sprites([given] * 8, numbers, SIZE)
    assert (images[:, :, :2, :2] == torch.tensor(COLORS[background])[None, :, None, None]).all()
    is_shape = (images == torch.tensor(COLORS["red"])[None, :, None, None]).all(1).double()
    lines, columns = (is_shape.sum(axis) for axis in (2, 1))
    for weights, first in ((lines, "top" in position), (columns, position.endswith("left"))):
        centers = (weights * torch.arange(SIZE)).sum(1) / weights.sum(1) / SIZE
        assert ((centers < 0.5) == first).all()


def test_no_shape_leaves_the_image() -> None:
    numbers = torch.rand(300, 6, generator=torch.Generator().manual_seed(1))
    images = draw_sprites([{"size": "big"}] * 300, numbers, 32)
    border = torch.cat([images[..., 0], images[..., -1], images[..., 0, :], images[..., -1, :]])
    assert not border.any()


@pytest.mark.parametrize("size", [8, 17, 64])
def test_a_shape_is_drawn_completely_although_only_a_square_around_it_is_computed(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = torch.rand(400, 6, generator=torch.Generator().manual_seed(2))
    positions = [{"position": ATTRIBUTES["position"][index % 4]} if index % 2 else {} for index in range(400)]
    drawn = draw_sprites(positions, numbers, size)
    monkeypatch.setattr(sprites, "EXTENT", 20)  # the square is the whole image
    assert torch.equal(draw_sprites(positions, numbers, size), drawn)


def test_the_captions_name_what_is_drawn() -> None:
    data = small(level=3)
    batch = data.examples("train", 50)
    assert data.vocabulary is not None
    assert data.class_names is not None
    assert data.vocabulary.decode(batch["text"]) == [data.class_names[label] for label in batch["label"]]
    for image, label in zip(batch["image"], batch["label"], strict=True):
        _, color, _ = data.combinations[label]
        brightest = image.sum(0).flatten().argmax()
        expected = torch.tensor(COLORS[color]) / 127.5 - 1
        torch.testing.assert_close(image.flatten(1)[:, brightest], expected, atol=1e-6, rtol=0)


def test_an_image_depends_on_the_seed_and_its_index_only() -> None:
    first, more, other = (
        small(validation_size=0, **options).load()[0]["image"] for options in ({}, {"train_size": 95}, {"seed": 1})
    )
    torch.testing.assert_close(more[:90], first, rtol=0, atol=0)
    assert not torch.equal(other, first)


def test_unseen_captions_are_in_the_test_split_only() -> None:
    data = small(level=3, unseen=6, train_size=900)
    train, validation, test = (set(data.examples(split)["label"].tolist()) for split in ("train", "validation", "test"))
    assert len(test) <= 6
    assert not test & (train | validation)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 6}, "`level` must be from 1 to 5, got 6"),
        ({"image_size": 4}, "`image_size` must be at least 8, got 4"),
        ({"test_size": 0}, "`test_size` must be at least 1, got 0"),
        ({"level": 1, "unseen": 3}, "`unseen` must be at least 0 and less than the 3 captions of level 1, got 3"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_a_dummy_batch_has_the_form_of_a_real_one() -> None:
    data = small()
    dummy, real = data.dummy_batch(8), data.examples("train", 8)
    assert {key: (value.shape, value.dtype) for key, value in dummy.items()} == {  # type: ignore[attr-defined]
        key: (value.shape, value.dtype)  # type: ignore[attr-defined]
        for key, value in real.items()
    }


def test_words_outside_of_the_vocabulary_are_unknown() -> None:
    vocabulary = Vocabulary.from_captions(["a red heart", "a big heart"], min_count=2)
    assert vocabulary.words == ("<pad>", "<unk>", "a", "heart")
    assert vocabulary.encode(["a red heart", ""]).tolist() == [[2, 1, 3], [0, 0, 0]]
    assert vocabulary.encode(["a red heart"], 2).tolist() == [[2, 1]]
    assert vocabulary.unknown("A big, red heart") == ["big", ",", "red"]
    assert vocabulary.encode([""]).shape == (1, 1)
    with pytest.raises(ValueError, match="`words` must be different, got 'red' twice"):
        Vocabulary(["red", "a", "red"])
