"""Test image grids, image files and animations pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gans.rendering.images import MAX_FRAMES, MIN_TILE_SIZE, grid, save_animation, save_image, to_uint8


def test_normalization_of_every_level_is_inverted_exactly() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(levels.float() / 127.5 - 1), levels)


def test_values_are_rounded_to_the_nearest_level_and_clamped() -> None:
    step = 2 / 255
    values = torch.tensor([-7.0, -1.0, -1 + 0.49 * step, -1 + 0.51 * step, 1 - 0.49 * step, 1.0, 7.0])
    assert to_uint8(values).tolist() == [0, 0, 0, 1, 255, 255, 255]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_are_accepted(dtype: torch.dtype) -> None:
    assert to_uint8(torch.tensor([-1.0, 1.0], dtype=dtype, requires_grad=True)).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("shape", "side"), [((1, 8, 8), 64), ((3, 28, 28), 84), ((3, 64, 64), 64), ((1, 65, 65), 65), ((3, 100, 100), 100)]
)
def test_tiles_are_enlarged_by_a_whole_number_to_at_least_64_pixels(shape: tuple[int, int, int], side: int) -> None:
    assert side >= MIN_TILE_SIZE
    image = grid(torch.rand(6, *shape) * 2 - 1, columns=3)
    assert image.shape == (2 * (side + 2) + 2, 3 * (side + 2) + 2, 3)
    assert image.dtype == np.uint8


def test_a_grid_shows_each_pixel_where_it_belongs() -> None:
    image = torch.rand(5, 3, 16, 32) * 2 - 1
    arranged = grid(image, columns=2)
    for index in range(5):
        row, column = divmod(index, 2)
        tile = arranged[2 + row * 66 : 66 + row * 66, 2 + column * 130 : 130 + column * 130]
        np.testing.assert_array_equal(tile[::4, ::4], to_uint8(image[index]).permute(1, 2, 0))
        np.testing.assert_array_equal(tile[3::4, 3::4], tile[::4, ::4])
    assert not arranged[134:, 132:].any()  # the sixth tile is empty


@pytest.mark.parametrize(("channels", "shown"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (5, [0, 1, 2])])
def test_any_number_of_channels_is_shown(channels: int, shown: list[int]) -> None:
    image = torch.arange(channels).view(1, channels, 1, 1).expand(1, channels, 64, 64) / 8
    arranged = grid(image, columns=1)
    np.testing.assert_array_equal(arranged[2, 2], to_uint8(image[0, shown, 0, 0]))


def test_a_file_contains_the_image_unchanged(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    save_image(image, tmp_path / "new" / "folder" / "image.png")
    np.testing.assert_array_equal(Image.open(tmp_path / "new" / "folder" / "image.png"), image)


@pytest.mark.parametrize("count", [1, 2, 5, MAX_FRAMES, MAX_FRAMES + 1, 3 * MAX_FRAMES])
def test_an_animation_shows_first_and_last_and_not_too_many(count: int, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i:04}.png" for i in range(count)]
    for i, path in enumerate(paths):
        pixels = np.zeros((4, 4, 3), dtype=np.uint8)  # all different, because Pillow merges equal consecutive frames
        pixels.flat[:9] = 255 * np.array([i >> bit & 1 for bit in range(9)])
        pixels[3] = 255 * (i % 2)
        save_image(pixels, path)
    save_animation(paths, tmp_path / "a.gif")
    animation = Image.open(tmp_path / "a.gif")
    assert getattr(animation, "n_frames", 1) == min(count, MAX_FRAMES)
    for frame, path in ((0, paths[0]), (min(count, MAX_FRAMES) - 1, paths[-1])):
        animation.seek(frame)
        np.testing.assert_array_equal(np.asarray(animation.convert("RGB"))[3], np.asarray(Image.open(path))[3])
    if count > 1:
        assert animation.info["duration"] == 2000  # the last frame is shown longer
        animation.seek(0)
        assert animation.info["duration"] == 200
        assert animation.info["loop"] == 0
