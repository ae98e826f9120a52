"""Test `ImageFolder`: listing, decoding of each format, splits, and errors."""

import json
import math
import os
import shutil
import warnings
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from lightning_gans.datamodules import ImageFolder
from lightning_gans.datamodules.archives import open_tree
from lightning_gans.datamodules.folder_layout import select_images
from lightning_gans.datamodules.hashing import hash_array
from lightning_gans.datamodules.image_decoding import decode_into
from lightning_gans.datamodules.image_files import read_image
from lightning_gans.datamodules.splitting import split_by_content

pytestmark = pytest.mark.filterwarnings("ignore:.*validation images are too few for scores")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def write(root: Path, *names: str, size: tuple[int, int] = (8, 8)) -> None:
    """Write images of constant gray; the i-th has the level 10 i."""
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, 10 * i).save(root / name)


def folder(root: Path | str, **options: Any) -> ImageFolder:
    return ImageFolder(root=str(root), **{"image_size": 8, "batch_size": 1} | options)


def write_and_read(image: Image.Image, file: Path, image_shape: tuple[int, int, int], **options: Any) -> np.ndarray:
    image.save(file, **options)
    return read_image(file, image_shape)


def constant_color(array: np.ndarray) -> tuple[int, ...]:
    """Return the color of an image of constant color."""
    assert (array == array[:, :1, :1]).all()
    return tuple(array[:, 0, 0].tolist())


# Listing


def test_images_are_found_by_suffix_and_sorted_by_path(tmp_path: Path) -> None:
    write(tmp_path, "b.PNG", "a/z.jpg", "a/deep/er/y.JPEG", "c.bmp", "a.webp", "B.Jpg")
    write(tmp_path, ".hidden.png", ".cache/x.png", "a/._z.jpg.png")
    (tmp_path / "metadata.jsonl").write_text("{}")
    (tmp_path / "png").write_text("not an image")
    (tmp_path / "folder.png").mkdir()
    files = open_tree(str(tmp_path)).list().files
    assert select_images(files) == ["B.Jpg", "a.webp", "a/deep/er/y.JPEG", "a/z.jpg", "b.PNG", "c.bmp"]


def test_subfolders_are_classes_known_before_decoding(tmp_path: Path) -> None:
    names = [f"{animal}/{i}.png" for animal in ("dog", "cat", "ant") for i in range(7)]
    write(tmp_path, *names)
    data = folder(tmp_path)
    assert data.class_names == ("ant", "cat", "dog")
    assert data.num_classes == 3
    assert data.image_shape == (3, 8, 8)
    level_to_label = {10 * i: ("ant", "cat", "dog").index(name.split("/")[0]) for i, name in enumerate(names)}
    assert sum(data.sizes.values()) == 21
    for split in data.sizes:
        examples = data.examples(split)
        levels = examples["image"][:, 0, 0, 0].add(1).mul(127.5).round().int().tolist()
        assert examples["label"].tolist() == [level_to_label[level] for level in levels]


@pytest.mark.parametrize(
    "names", [("1.png", "2.png", "3.png"), ("a/1.png", "b/2.png", "3.png"), ("a/1.png", "a/2.png", "a/3.png")], ids=str
)
def test_without_class_folders_the_label_is_unknown(tmp_path: Path, names: tuple[str, ...]) -> None:
    write(tmp_path, *names)
    data = folder(tmp_path)
    assert data.num_classes is None
    assert [label for split in data.sizes for label in data.examples(split)["label"].tolist()] == [-1] * 3


def test_the_splits_are_disjoint_and_independent_of_the_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, *(f"{i:02}.png" for i in range(20)))
    options = {"validation_size": 0.25, "test_size": 0.2}

    def levels(data: ImageFolder) -> dict[str, list[float]]:
        return {split: data.examples(split)["image"][:, 0, 0, 0].tolist() for split in data.sizes}

    data = folder(tmp_path, **options)
    expected = levels(data)
    assert sum(data.sizes.values()) == 20
    assert len(set().union(*expected.values())) == 20
    walk = os.walk

    def backwards(*args: Any, **kwargs: Any) -> Any:
        for path, folders, files in walk(*args, **kwargs):
            yield path, folders, sorted(files, reverse=True)

    monkeypatch.setattr(os, "walk", backwards)
    assert levels(folder(tmp_path, seed=5, **options)) == expected


# Decoding


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (8, 8), (10, 20, 30)), (10, 20, 30)),
        (Image.new("L", (8, 8), 77), (77, 77, 77)),
        (Image.new("1", (8, 8), 1), (255, 255, 255)),
        (Image.new("RGB", (8, 8), (10, 20, 30)).quantize(4), (10, 20, 30)),
        # composited over white: a c + (1 - a) 255
        (Image.new("RGBA", (8, 8), (255, 0, 0, 51)), (255, 204, 204)),
        (Image.new("RGBA", (8, 8), (1, 2, 3, 0)), (255, 255, 255)),
        (Image.new("LA", (8, 8), (0, 153)), (102, 102, 102)),
        # 16 bits: 65535 is white
        (Image.fromarray(np.full((8, 8), 65535, np.uint16)), (255, 255, 255)),
        (Image.fromarray(np.full((8, 8), 257 * 100, np.uint16)), (100, 100, 100)),
    ],
    ids=["RGB", "L", "1", "P", "RGBA", "transparent", "LA", "white 16 bit", "gray 16 bit"],
)
def test_every_kind_of_png_becomes_eight_bit_color(
    image: Image.Image, expected: tuple[int, int, int], tmp_path: Path
) -> None:
    assert constant_color(write_and_read(image, tmp_path / "x.png", (3, 8, 8))) == expected
    luma = np.dot(expected, (0.299, 0.587, 0.114))
    assert constant_color(read_image(tmp_path / "x.png", (1, 8, 8)))[0] == pytest.approx(luma, abs=0.51)


def test_a_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 9, 9, 9])
    assert constant_color(write_and_read(image, tmp_path / "x.png", (3, 8, 8), transparency=1)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "bmp"])
def test_the_other_formats_are_read(suffix: str, tmp_path: Path) -> None:
    array = write_and_read(Image.new("RGB", (16, 16), (200, 100, 50)), tmp_path / f"x.{suffix}", (3, 8, 8))
    np.testing.assert_allclose(array[:, 4, 4], (200, 100, 50), atol=3)  # JPEG and WebP are lossy


def test_cmyk_is_converted(tmp_path: Path) -> None:
    color = constant_color(write_and_read(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "x.jpg", (3, 8, 8)))
    np.testing.assert_allclose(color, (255, 0, 0), atol=5)


def test_images_are_rotated_by_their_exif_orientation(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(8, dtype=np.uint8).reshape(2, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    rotated = write_and_read(image, tmp_path / "x.png", (1, 4, 2), exif=exif)
    np.testing.assert_array_equal(rotated[0], np.rot90(np.arange(8).reshape(2, 4), -1))


def test_an_image_of_the_target_size_is_unchanged(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    array = write_and_read(Image.fromarray(pixels), tmp_path / "x.png", (3, 6, 9))
    np.testing.assert_array_equal(array, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(("size", "box"), [((16, 8), (4, 0)), ((8, 16), (0, 4))])
def test_an_image_is_cropped_around_its_center(size: tuple[int, int], box: tuple[int, int], tmp_path: Path) -> None:
    image = Image.new("L", size, 0)
    image.paste(255, (*box, box[0] + 8, box[1] + 8))
    assert constant_color(write_and_read(image, tmp_path / "x.png", (1, 8, 8))) == (255,)


def test_the_resize_is_bicubic_and_antialiased(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    array = write_and_read(Image.fromarray(pixels), tmp_path / "x.png", (1, 8, 8))
    expected = F.interpolate(
        torch.from_numpy(pixels)[None, None].double(), (8, 8), mode="bicubic", antialias=True, align_corners=False
    )
    np.testing.assert_allclose(array[0], expected[0, 0].clamp(0, 255), atol=1)


def test_height_comes_before_width(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", "3.png")
    data = folder(tmp_path, image_size=(4, 6), channels=1)
    assert data.image_shape == (1, 4, 6)
    assert data.examples("train")["image"].shape[1:] == (1, 4, 6)


def test_the_preprocessing_is_recorded(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", "3.png")
    settings = folder(tmp_path).preprocessing
    assert (settings["levels"], settings["image_shape"], settings["background"]) == (256, [3, 8, 8], "white")
    assert "bicubic" in settings["resize"]


# Sizes


def halves(size: tuple[int, int]) -> Image.Image:
    """Make an image of (width, height) whose left half is black and whose right half is white."""
    image = Image.new("L", size, 0)
    image.paste(255, (size[0] // 2, 0, *size))
    return image


@pytest.mark.parametrize(("size", "bars"), [((16, 8), "rows"), ((8, 16), "columns")])
def test_fit_shows_the_whole_image_between_white_bars(size: tuple[int, int], bars: str, tmp_path: Path) -> None:
    Image.new("L", size, 0).save(tmp_path / "x.png")
    array = read_image(tmp_path / "x.png", (1, 8, 8), resize="fit")[0]
    array = array if bars == "rows" else array.T
    assert (array[:2] == 255).all()
    assert (array[2:6] == 0).all()
    assert (array[6:] == 255).all()


def test_fit_keeps_a_line_of_an_extreme_shape(tmp_path: Path) -> None:
    Image.new("L", (1000, 1), 0).save(tmp_path / "x.png")
    assert (read_image(tmp_path / "x.png", (1, 8, 8), resize="fit")[0] == 0).sum() == 8


def test_crop_takes_pixels_from_the_center_unchanged(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (11, 20), dtype=np.uint8)
    array = write_and_read(Image.fromarray(pixels), tmp_path / "x.png", (1, 11, 20))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", (1, 5, 6), resize="crop")[0], array[0, 3:8, 7:13])
    with pytest.raises(ValueError, match=r"it has 11 x 20 pixels .*, too few to crop 12 x 6"):
        read_image(tmp_path / "x.png", (1, 12, 6), resize="crop")


def test_without_resizing_the_sizes_must_be_equal(tmp_path: Path) -> None:
    halves((16, 8)).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", (1, 8, 16), resize="none")[0], halves((16, 8)))
    with pytest.raises(ValueError, match=r"it has 8 x 16 pixels \(height x width\), not 8 x 8 as `resize` none"):
        read_image(tmp_path / "x.png", (1, 8, 8), resize="none")


# Splits


def noise(root: Path, *names: str) -> None:
    """Write images of noise, each the same whenever it has the same name."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(root / name)


def parts(data: ImageFolder) -> dict[bytes, str]:
    """Return the split of each image by its pixels."""
    return {image.numpy().tobytes(): split for split in data.sizes for image in data.examples(split)["image"].unbind()}


OPTIONS = {"validation_size": 0.25, "test_size": 0.25}


def test_adding_and_removing_images_moves_no_other_image(tmp_path: Path) -> None:
    noise(tmp_path, *(f"{i:03}.png" for i in range(60)))
    before = parts(folder(tmp_path, **OPTIONS))
    noise(tmp_path, *(f"new{i}/{i}.png" for i in range(20)))
    for i in range(0, 60, 3):
        (tmp_path / f"{i:03}.png").unlink()
    (tmp_path / "001.png").rename(tmp_path / "zzz.png")
    after = parts(folder(tmp_path, **OPTIONS))
    both = before.keys() & after.keys()
    assert (len(both), len(after)) == (40, 60)
    assert {image: before[image] for image in both} == {image: after[image] for image in both}


def test_exact_duplicates_are_in_the_same_split_whatever_their_kind(tmp_path: Path) -> None:
    noise(tmp_path, *(f"{i:03}.png" for i in range(40)))
    for file in sorted(tmp_path.iterdir()):
        Image.open(file).save(file.with_suffix(".bmp"))
    data = folder(tmp_path, **OPTIONS)
    assert len(parts(data)) == 40
    assert data.summary.duplicates.images == 40
    assert data.summary.duplicates.in_several_splits == 0
    assert all(size % 2 == 0 for size in data.sizes.values())


def test_folders_of_splits_are_kept_and_only_missing_splits_are_taken_from_training(tmp_path: Path) -> None:
    noise(tmp_path, *(f"train/{i}.png" for i in range(50)), *(f"test/{i}.png" for i in range(7)))
    Image.open(tmp_path / "test" / "3.png").save(tmp_path / "train" / "copy.png")
    data = folder(tmp_path, **OPTIONS)
    assert data.sizes["test"] == 7
    assert data.sizes["train"] + data.sizes["validation"] == 51
    assert 0 < data.sizes["validation"] < 30
    assert data.summary.split_source == {"train": "folder", "validation": "content", "test": "folder"}
    assert data.summary.duplicates.in_several_splits == 1
    assert "1 are in several splits" in data.summary.text()


def test_the_sizes_of_the_splits_are_near_the_fractions() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 10_000, dtype=np.uint64)
    sizes = {name: len(part) for name, part in split_by_content(hashes, {"test": 0.1, "validation": 0.05}).items()}
    assert sum(sizes.values()) == 10_000
    for name, fraction in (("test", 0.1), ("validation", 0.05), ("train", 0.85)):
        assert abs(sizes[name] - 10_000 * fraction) < 4 * math.sqrt(10_000 * fraction * (1 - fraction))
    other = split_by_content(hashes, {"test": 0.1, "validation": 0.2})
    assert torch.equal(other["test"], split_by_content(hashes, {"test": 0.1, "validation": 0.05})["test"])


def test_too_few_images_for_a_score_warn_once_and_name_the_option(tmp_path: Path) -> None:
    noise(tmp_path, *(f"{i}.png" for i in range(10)))
    data = folder(tmp_path)
    with pytest.warns(UserWarning, match=r"validation images are too few .* raise `validation_size` 0.05"):
        data.setup("fit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.setup("test")


def test_an_empty_validation_split_is_legal(tmp_path: Path) -> None:
    noise(tmp_path, *(f"{i}.png" for i in range(10)))
    data = folder(tmp_path, validation_size=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.val_dataloader() == []
    assert data.sizes["validation"] == 0


# Archives and labels


def test_a_zip_archive_has_the_images_of_its_folder(tmp_path: Path) -> None:
    noise(tmp_path / "pets", *(f"{animal}/{i}.png" for animal in ("cat", "dog") for i in range(20)))
    shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path, "pets")
    packed, unpacked = folder(tmp_path / "archive.zip"), folder(tmp_path / "pets")
    assert packed.class_names == unpacked.class_names == ("cat", "dog")
    for split in packed.sizes:
        for key, value in packed.examples(split).items():
            assert torch.equal(value, unpacked.examples(split)[key])


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise(tmp_path / "images", *(f"{i}.png" for i in range(4)))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(folder("~/images").files) == 4


def test_labels_of_a_table_reach_the_batches(tmp_path: Path) -> None:
    noise(tmp_path, *(f"{i}.png" for i in range(30)))
    rows = [{"file_name": f"{i}.png", "label": ["odd", "even"][i % 2 == 0]} for i in range(30)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = folder(tmp_path)
    assert data.class_names == ("even", "odd")
    pixels = {read_image(tmp_path / f"{i}.png", (3, 8, 8)).tobytes(): i % 2 for i in range(30)}
    for split in data.sizes:
        examples = data.examples(split)
        levels = examples["image"].add(1).mul(127.5).round().to(torch.uint8).numpy()
        assert [pixels[image.tobytes()] for image in levels] == examples["label"].tolist()


# Storage and output


def test_images_are_decoded_into_a_memory_map_of_the_caller(tmp_path: Path) -> None:
    noise(tmp_path / "images", *(f"{i}.png" for i in range(5)))
    (tmp_path / "images" / "2.png").write_bytes(b"damaged")
    files = [f"{i}.png" for i in range(5)]
    out = np.lib.format.open_memmap(tmp_path / "cache.npy", mode="w+", dtype=np.uint8, shape=(5, 1, 8, 8))
    decoded = decode_into(out, files, open_tree(str(tmp_path / "images")))
    assert decoded.good.tolist() == [0, 1, 3, 4]
    assert list(decoded.errors) == [2]
    for i in decoded.good:
        np.testing.assert_array_equal(out[i], read_image(tmp_path / "images" / files[i], (1, 8, 8)))
        assert decoded.hashes[i] == hash_array(out[i])
    with pytest.raises(ValueError, match="`out` must have a row for each of the 5 files, got 4"):
        decode_into(out[:4], files, open_tree(str(tmp_path / "images")))


def test_the_summary_is_printed_once_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise(tmp_path, *(f"{i}.png" for i in range(30)))
    data = folder(tmp_path, validation_size=0.5)
    data.setup("fit")
    assert capsys.readouterr().out == ""
    data.trainer = SimpleNamespace(is_global_zero=False)  # type: ignore[assignment]
    data.setup("fit")
    assert capsys.readouterr().out == ""
    data.trainer = SimpleNamespace(is_global_zero=True)  # type: ignore[assignment]
    for stage in ("validate", "fit", "fit"):
        data.setup(stage)
    assert capsys.readouterr().out == data.summary.text(short=True) + "\n"


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, r"`image_size` must be a number of pixels or \(height, width\), at least 1, got 0"),
        ({"image_size": [48]}, r"`image_size` must be .*, got \[48\]"),
        ({"image_size": (8, -1)}, r"`image_size` must be .*, got \(8, -1\)"),
        ({"image_size": 8.0}, r"`image_size` must be .*, got 8.0"),
        ({"channels": 0}, "`channels` must be at least 1, got 0"),
        ({"resize": "stretch"}, "`resize` must be one of cover, fit, crop, none, got 'stretch'"),
        ({"on_error": "ignore"}, "`on_error` must be one of stop, skip, got 'ignore'"),
        ({"value_range": (5, 5)}, r"`value_range` must be auto or \[low, high\] with low < high, got \(5, 5\)"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"test_size": 0.0}, "`test_size` is a fraction and must be between 0 and 1, got 0.0"),
        ({"validation_size": 100}, "`validation_size` is a fraction and must be between 0 and 1, got 100"),
        ({"validation_size": 0.5, "test_size": 0.5}, "must leave images for training, but add up to 1"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", "3.png")
    with pytest.raises(ValueError, match=message):
        folder(tmp_path, **options)


def test_a_batch_size_above_the_number_of_images_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", "3.png")
    with pytest.raises(ValueError, match="`batch_size` must be at most the 3 training examples of ImageFolder, got 64"):
        folder(tmp_path, batch_size=64, validation_size=0, test_size=1e-9).setup("fit")


def test_a_root_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`root` must be a folder of images, but '.*typo' does not exist"):
        folder(tmp_path / "typo")
    with pytest.raises(ValueError, match=r"`root` '.*' must contain at least 3 images .*, got 0"):
        folder(tmp_path)
    write(tmp_path, "1.png", "2.png")
    with pytest.raises(ValueError, match=r"`root` '.*' must contain at least 3 images .*, got 2"):
        folder(tmp_path)
    with pytest.raises(ValueError, match=r"`root` must be a folder of images, but '.*1.png' is a file"):
        folder(tmp_path / "1.png")


def test_a_folder_without_read_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", forbidden)  # file modes would not stop a superuser
    with pytest.raises(ValueError, match=r"`root` '.*' cannot be listed: .*Permission denied"):
        folder(tmp_path)


def test_damaged_images_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    write(tmp_path, *(f"{i}.png" for i in range(6)), size=(64, 64))
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:50])
    (tmp_path / "4.png").write_text("not\nan image")
    with pytest.raises(ValueError, match=r"2 of 6 images cannot be decoded: .* the first is '.*2.png'") as caught:
        folder(tmp_path).setup("fit")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not (REAL_DATA / "emoji").is_dir(), reason=f"{REAL_DATA} has no emoji")
def test_real_images(tmp_path: Path) -> None:
    for file in sorted((REAL_DATA / "emoji").glob("*.png"))[:40]:
        shutil.copy(file, tmp_path)
    data = folder(tmp_path, image_size=32)
    image = torch.cat([data.examples(split)["image"] for split in data.sizes])
    assert image.shape == (40, 3, 32, 32)
    assert (image[:, :, 0, 0] == 1).float().mean() > 0.9  # the transparent corner is white
