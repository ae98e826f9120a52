"""Test where the labels and the splits of a folder come from: folders, tables, and StyleGAN's `dataset.json`."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lightning_gans.datamodules.archives import open_tree
from lightning_gans.datamodules.folder_layout import FolderLayout, read_layout
from lightning_gans.datamodules.metadata import number_labels, read_tables


def layout(root: Path, *names: str, **texts: str) -> FolderLayout:
    """Write empty files, and text files whose dots are spelled `__`, and read their layout."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name, text in texts.items():
        path = root / name.replace("__", ".")
        path.write_text(text, encoding="utf-8")
    return read_layout(open_tree(str(root)))


# Folders


def test_the_folders_are_the_classes_even_if_their_names_are_numbers(tmp_path: Path) -> None:
    found = layout(tmp_path, "7/a.png", "10/b.png", "10/c/d.png")
    assert (found.class_names, found.labels, found.label_source) == (("10", "7"), [0, 0, 1], "folders")
    assert found.splits is None


def test_a_single_folder_that_holds_everything_counts_as_the_root(tmp_path: Path) -> None:
    found = layout(tmp_path, "cats and dogs/v1/cat/1.png", "cats and dogs/v1/dog/2.png")
    assert (found.class_names, found.labels) == (("cat", "dog"), [0, 1])
    found = layout(tmp_path / "splits", "set/train/1.png", "set/test/2.png")
    assert found.splits == ["test", "train"]


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Training", "valid", "eval"), ("train", "dev", "testing")],
)
def test_folders_with_names_of_splits_are_splits(train: str, validation: str, test: str, tmp_path: Path) -> None:
    names = [f"{split}/{animal}/1.png" for split in (train, validation, test) for animal in ("cat", "dog")]
    found = layout(tmp_path, *names, "preview.png")
    assert sorted(found.splits or []) == ["test", "test", "train", "train", "validation", "validation"]
    assert found.class_names == ("cat", "dog")
    assert dict(zip(found.files, found.labels, strict=True)) == {name: int("dog" in name) for name in names}
    assert found.left_out == {"outside of the folders of the splits": 1}


@pytest.mark.parametrize("names", [("train", "car", "plane"), ("valid", "invalid"), ("dev", "test")], ids=str)
def test_other_folders_are_classes_even_if_some_have_names_of_splits(names: tuple[str, ...], tmp_path: Path) -> None:
    found = layout(tmp_path, *(f"{name}/1.png" for name in names))
    assert found.splits is None
    assert found.class_names == tuple(sorted(names))


# Tables


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_the_labels_of_a_table_replace_those_of_the_folders(kind: str, tmp_path: Path) -> None:
    rows = [("a/1.png", "dog"), ("b/2.png", "cat"), ("a/3.png", "dog")]
    if kind == "csv":
        text = "\ufefffile_name,label,text\r\n" + "".join(f'{file},{label},"one, two"\r\n' for file, label in rows)
    else:
        text = "\n".join(json.dumps({"file_name": file, "label": label}) for file, label in rows) + "\n\n"
    found = layout(tmp_path, "a/1.png", "a/3.png", "b/2.png", "b/unlisted.png", **{f"metadata__{kind}": text})
    assert found.files == ["a/1.png", "a/3.png", "b/2.png"]
    assert (found.labels, found.class_names, found.label_source) == ([1, 1, 0], ("cat", "dog"), "metadata")
    assert found.left_out == {"not in the metadata": 1}


def test_a_table_in_a_folder_names_files_of_that_folder(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "metadata.csv").write_text("file_name,label\n1.png,3\nsub\\2.png,\n")
    found = layout(tmp_path, "train/1.png", "train/sub/2.png", "test/1.png", "test/sub/2.png")
    assert found.splits == ["test", "test", "train", "train"]
    assert found.labels == [3, -1, 3, -1]
    assert found.class_names == ("0", "1", "2", "3")


def test_a_file_that_a_table_lists_but_the_folder_lacks_is_an_error(tmp_path: Path) -> None:
    found = layout(tmp_path, "1.png", metadata__csv="file_name\n1.png\n2.png\n")
    assert found.files == ["1.png"]
    assert found.errors == {"2.png": "it is listed in the metadata, but does not exist"}
    assert (found.labels, found.class_names) == ([-1], None)


def test_several_captions_of_a_file_are_kept(tmp_path: Path) -> None:
    found = layout(tmp_path, "1.png", metadata__csv="file_name,text,label\n1.png,a cat,4\n1.png,a pet,4\n")
    assert found.labels == [4]
    rows = read_tables(open_tree(str(tmp_path)), ["metadata.csv"])
    assert [row["text"] for row in rows["1.png"]] == ["a cat", "a pet"]


def test_a_parquet_table_is_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"file_name": ["1.png"], "label": ["cat"]}), tmp_path / "metadata.parquet")
    assert layout(tmp_path, "1.png").class_names == ("cat",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\n1.png,0\n", r"'metadata.csv' must have a column `file_name` with a path in each row, see row 1"),
        (
            "file_name\n../1.png\n",
            r"`file_name` of 'metadata.csv' must be a path in its folder, got '../1.png' in row 1",
        ),
        ("file_name\n/etc/passwd\n", r"must be a path in its folder, got '/etc/passwd'"),
        ("file_name\nhttp://x/1.png\n", r"must be a path in its folder, got 'http://x/1.png'"),
        ("file_name,label\n1.png,0\n1.png,1\n", r"the rows of '1.png' in the metadata must have the same `label`"),
        ("file_name,label\n1.png,20240101\n", r"labels must be class numbers from 0 to 99999, or names, got 20240101"),
    ],
)
def test_a_wrong_table_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        layout(tmp_path, "1.png", metadata__csv=text)


@pytest.mark.parametrize("text", ['{"file_name": "1.png"}\n{"file', '{"file_name": "1.png"}\n[1]\n'])
def test_a_damaged_table_is_refused_with_the_row(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'metadata.jsonl' cannot be read after row [12]: "):
        layout(tmp_path, "1.png", metadata__jsonl=text)


@pytest.mark.parametrize(
    ("values", "labels", "names"),
    [
        (["b", "a", None, ""], [1, 0, -1, -1], ("a", "b")),
        ([2, 0, -1], [2, 0, -1], ("0", "1", "2")),
        (["2", "x"], [0, 1], ("2", "x")),
        ([True, False], [1, 0], ("False", "True")),
        ([None, ""], [-1, -1], None),
    ],
)
def test_labels_are_numbered(values: list[Any], labels: list[int], names: tuple[str, ...] | None) -> None:
    assert number_labels(values) == (labels, names)


# StyleGAN


def stylegan_zip(root: Path, labels: Any) -> Path:
    path = root / "ffhq.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(4):
            archive.writestr(f"0000{i // 2}/img0000000{i}.png", b"")
        archive.writestr("dataset.json", json.dumps({"labels": labels}))
    return path


def test_the_labels_of_an_archive_of_stylegan_are_read(tmp_path: Path) -> None:
    labels = [[f"0000{i // 2}/img0000000{i}.png", label] for i, label in enumerate((3, 1, 0, 3))]
    found = read_layout(open_tree(str(stylegan_zip(tmp_path, labels))))
    assert (found.labels, found.class_names, found.label_source) == ([3, 1, 0, 3], ("0", "1", "2", "3"), "dataset.json")
    assert not found.left_out


def test_the_numbered_folders_of_stylegan_are_not_classes(tmp_path: Path) -> None:
    found = read_layout(open_tree(str(stylegan_zip(tmp_path, None))))
    assert (found.labels, found.class_names) == ([-1] * 4, None)


@pytest.mark.parametrize("labels", [[["a.png", [0.5, 1.0]]], [["a.png", "cat"]], [5], 7])
def test_labels_of_stylegan_that_are_not_class_numbers_are_refused(labels: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'dataset\.json' must "):
        read_layout(open_tree(str(stylegan_zip(tmp_path, labels))))
