"""Test the files that people have in folders: odd kinds are read or named, and none is passed over in silence."""

import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_images import (
    BAD,
    COLORS,
    GOOD,
    HEIGHT,
    IGNORED,
    RGB,
    TWELVE_BITS_COLOR,
    WIDTH,
    OddFile,
    enlarge,
    npy,
    png16,
    saved,
    write_odd_folder,
)
from PIL import Image, ImageOps, features

from lightning_gans.datamodules import ImageFolder
from lightning_gans.datamodules.archives import Folder
from lightning_gans.datamodules.array_files import rotate_upright
from lightning_gans.datamodules.image_decoding import decode_into
from lightning_gans.datamodules.image_files import open_image, read_image
from lightning_gans.datamodules.opened_image import ImageTarget

pytestmark = pytest.mark.filterwarnings("ignore:.*validation images are too few for scores")

TARGET = ImageTarget(3, (HEIGHT, WIDTH))


def quadrants(array: np.ndarray) -> np.ndarray:
    """Return the colors at the centers of the quadrants, (2, 2, c)."""
    return array[:, HEIGHT // 4 :: HEIGHT // 2, WIDTH // 4 :: WIDTH // 2].transpose(1, 2, 0)


def read(content: bytes, name: str = "x.png", channels: int = 3, **options: Any) -> np.ndarray:
    """Read an image from memory, with a range of 12 bits for integers and 1 for floating-point numbers."""
    target = ImageTarget(channels, (HEIGHT, WIDTH), **options)
    opened = open_image(io.BytesIO(content), target, name=name)
    extremes = opened.extremes
    return opened.finish(target, None if extremes is None else (0, 1 if extremes.dtype == "float" else 4095))


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.name)
def test_an_odd_kind_has_its_colors(file: OddFile) -> None:
    difference = quadrants(read(file.content, file.name)).astype(int) - file.quadrants
    assert abs(difference).max() <= file.tolerance
    notes = open_image(io.BytesIO(file.content), TARGET, name=file.name).info.notes
    assert any(file.note in note for note in notes) if file.note else not notes


@pytest.mark.skipif(not features.check("avif"), reason="Pillow is built without AVIF")
def test_avif_is_read() -> None:
    np.testing.assert_allclose(quadrants(read(saved(RGB, "AVIF", quality=95), "x.avif")).astype(int), COLORS, atol=8)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_with_its_reason(name: str, tmp_path: Path) -> None:
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    (decoded,) = decode_into(np.empty((1, 3, 8, 8), np.uint8), [name], Folder(str(tmp_path))).errors.values()
    assert re.search(reason, decoded)
    assert "\n" not in decoded


def test_all_sixteen_bits_of_color_are_read() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**16, (HEIGHT, WIDTH, 4), dtype=np.uint16)
    for channels in (3, 4):
        opened = open_image(io.BytesIO(png16(values[..., :channels])), ImageTarget(channels, (1, 1)), name="x.png")
        np.testing.assert_array_equal(opened.pixels, values[..., :channels])
    transparent = open_image(io.BytesIO(png16(values)), TARGET, name="x.png")
    assert transparent.alpha is not None
    np.testing.assert_allclose(transparent.alpha, values[..., 3] / 65535)


def test_a_transparent_color_may_be_a_channel() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    np.testing.assert_array_equal(read(saved(Image.fromarray(rgba), "PNG"), channels=4), rgba.transpose(2, 0, 1))
    np.testing.assert_array_equal(
        read(saved(Image.fromarray(rgba[..., :2]), "PNG"), channels=2), rgba[..., :2].transpose(2, 0, 1)
    )
    with pytest.raises(ValueError, match="it has 3 channels, but `channels` is 4"):
        read(saved(RGB, "PNG"), channels=4)


def test_an_array_of_any_number_of_channels_is_read() -> None:
    array = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 5), dtype=np.uint8)
    np.testing.assert_array_equal(read(npy(array), "x.npy", channels=5), array.transpose(2, 0, 1))
    half = Image.fromarray(array[..., 4]).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BICUBIC)
    target = ImageTarget(5, (HEIGHT // 2, WIDTH // 2))
    resized = open_image(io.BytesIO(npy(array)), target, name="x.npy").finish(target)
    np.testing.assert_array_equal(resized[4], half)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_tiff_of_many_channels_is_read(planar: str) -> None:
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    array = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 5), dtype=np.uint8)
    stream = io.BytesIO()
    stored = array if planar == "contig" else array.transpose(2, 0, 1)
    tifffile.imwrite(stream, stored, photometric="minisblack", planarconfig=planar)
    np.testing.assert_array_equal(read(stream.getvalue(), "x.tif", channels=5), array.transpose(2, 0, 1))


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_tiff_of_deep_color_is_read_upright(orientation: int) -> None:
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    turned = np.rot90(TWELVE_BITS_COLOR, 1) if orientation == 6 else TWELVE_BITS_COLOR
    stream = io.BytesIO()
    tifffile.imwrite(stream, turned, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    np.testing.assert_allclose(quadrants(read(stream.getvalue(), "x.tif")).astype(int), COLORS, atol=1)


def test_without_tifffile_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tifffile", None)
    many = b"II*\0\x08\0\0\0" + b"\0" * 8
    with pytest.raises(ValueError, match=r"need tifffile: pip install 'lightning-gans\[tiff\]'$"):
        read(many, "x.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_sixteen_bits_is_turned_as_pillow_turns_it(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    gray = Image.fromarray(np.arange(6, dtype=np.uint16).reshape(2, 3))
    gray.save(tmp_path / "gray.png", exif=exif)
    with Image.open(tmp_path / "gray.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(rotate_upright(np.asarray(gray), orientation), expected)


def test_damaged_exif_data_do_not_stop_an_image() -> None:
    content = saved(RGB, "PNG", exif=b"Exif\0\0nonsense")
    opened = open_image(io.BytesIO(content), TARGET, name="x.png")
    assert opened.info.notes == ("damaged EXIF data ignored",)


# Whole folders


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    root = tmp_path / "odd"
    root.mkdir()
    write_odd_folder(root, avif=lambda: features.check("avif"))
    return root


def test_a_folder_of_odd_files_is_read_and_described(odd_folder: Path) -> None:
    data = ImageFolder(root=str(odd_folder), image_size=32, batch_size=1, on_error="skip", validation_size=0.5)
    bad = {*BAD, "broken.png", "pipe.png"}
    summary = data.summary
    assert set(summary.skipped) == bad
    assert summary.images == len(data.files) - len(bad)
    assert summary.ranges == {"uint16": (0, 4095), "int32": (0, 4095), "float": (0, 1)}
    assert summary.left_out == {"hidden": 2, "suffix .db": 1, "suffix .txt": 1}
    for file in GOOD:
        assert any(file.note in note for note in summary.converted)
    assert summary.bad_files == odd_folder.with_name("odd.bad_files.txt")
    listed = dict(line.split("\t") for line in summary.bad_files.read_text().splitlines())
    assert listed == summary.skipped
    for short, limit in ((True, 12), (False, 25)):
        text = summary.text(short=short)
        assert len(text.splitlines()) <= limit
        for word in (
            "skipped      11 files",
            "hidden: 2",
            "uint16 [0, 4095] (12 bits)",
            "JPEG",
            "splits",
            "duplicates",
        ):
            assert word in text


def test_stop_lists_all_bad_files_and_makes_nothing_else(odd_folder: Path) -> None:
    before = set(odd_folder.rglob("*"))
    data = ImageFolder(root=str(odd_folder), image_size=32, batch_size=1)
    with pytest.raises(ValueError, match=r"11 of \d+ images .* listed in '.*odd.bad_files.txt'; the first is .*'"):
        data.setup("fit")
    assert set(odd_folder.rglob("*")) == before
    assert {path.name for path in odd_folder.parent.iterdir()} == {"odd", "odd.bad_files.txt"}


def test_twelve_bits_in_sixteen_do_not_turn_black(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(png16(np.full((8, 8, 1), 1000 * (i + 1), np.uint16)))
    for value_range, expected in (("auto", 1000 / 4095), ((0, 65535), 1000 / 65535), ((1000, 2000), 0)):
        out = np.empty((4, 1, 8, 8), np.uint8)
        names = [f"{i}.png" for i in range(4)]
        decoded = decode_into(out, names, Folder(str(tmp_path)), value_range=value_range)
        assert out[0, 0, 0, 0] == round(255 * expected)
        clipped = [note for info in decoded.infos.values() for note in info.notes if "clipped" in note]
        assert len(clipped) == (2 if value_range == (1000, 2000) else 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_very_large_images_are_read(kind: str, tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    Image.new("L", (17_000, 11_000), 77).save(tmp_path / f"x.{kind.lower()}")
    out = np.empty((1, 1, 8, 8), np.uint8)
    decoded = decode_into(out, [f"x.{kind.lower()}"], Folder(str(tmp_path)))
    assert decoded.errors == {}
    assert abs(out.astype(int) - 77).max() <= 1
    assert decoded.infos[0].size == (11_000, 17_000)
    assert any("1/8" in note for note in decoded.infos[0].notes) is (kind == "JPEG")
    assert limit == Image.MAX_IMAGE_PIXELS


def test_names_that_are_not_utf8_or_very_long_are_read(tmp_path: Path) -> None:
    deep = tmp_path / "/".join(["d" * 200] * 15)
    deep.mkdir(parents=True)
    for folder, name in ((tmp_path, b"caf\xe9.png"), (tmp_path, b"line\nbreak.png"), (deep, b"deep.png")):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(saved(RGB, "PNG"))
    (tmp_path / "bad").mkdir()
    with open(os.path.join(os.fsencode(tmp_path), b"bad/\xff.png"), "wb") as file:
        file.write(b"text")
    data = ImageFolder(root=str(tmp_path), image_size=8, batch_size=1, on_error="skip", validation_size=0)
    assert data.summary.images == 3
    assert data.summary.bad_files is not None
    assert data.summary.bad_files.read_text().startswith("bad/\\udcff.png\t")
    data.summary.text().encode()


def test_the_files_that_the_system_adds_are_left_out(tmp_path: Path) -> None:
    for name in IGNORED:
        (tmp_path / name).write_bytes(b"whatever")
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(saved(RGB, "PNG"))
    data = ImageFolder(root=str(tmp_path), image_size=8, batch_size=1)
    assert data.files == ["0.png", "1.png", "2.png"]


def test_a_file_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(tree: Folder, name: str) -> None:
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(Folder, "open", forbidden)  # file modes would not stop a superuser
    decoded = decode_into(np.empty((1, 3, 8, 8), np.uint8), ["x.png"], Folder(str(tmp_path)))
    assert decoded.errors == {0: "Permission denied"}


def test_the_limit_of_pillow_is_back_after_reading(tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    (tmp_path / "x.png").write_bytes(saved(Image.fromarray(enlarge(COLORS)), "PNG"))
    read_image(tmp_path / "x.png", (3, 8, 8))
    assert limit == Image.MAX_IMAGE_PIXELS
