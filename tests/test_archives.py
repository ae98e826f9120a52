"""Test folders and zip archives behind one interface."""

import os
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightning_gans.datamodules.archives import FileTree, Folder, ZipArchive, open_tree

CONTENT = {"b.png": b"b", "a/x.png": b"x", "a/deep/y.png": b"y", "ä.txt": b"umlaut"}
HIDDEN = {".hidden.png": b"", "a/._x.png": b"", ".git/z.png": b""}


@pytest.fixture(params=["folder", "zip"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> FileTree:
    root = tmp_path / "data"
    for name, content in (CONTENT | HIDDEN).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    if request.param == "folder":
        return open_tree(str(root))
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for name in [*CONTENT, *HIDDEN]:
            archive.write(root / name, name)
        archive.writestr("a/", "")
    return open_tree(str(tmp_path / "data.zip"))


def test_both_list_the_visible_files_and_count_the_hidden_ones(tree: FileTree) -> None:
    listing = tree.list()
    assert listing.files == sorted(CONTENT)
    assert (listing.hidden, listing.unreadable) == (3, {})


def test_both_open_files_by_name_in_threads_and_after_pickling(tree: FileTree) -> None:
    copy = pickle.loads(pickle.dumps(tree))
    with ThreadPoolExecutor(8) as pool:
        for opened in (tree, copy):
            read = pool.map(lambda name, opened=opened: opened.open(name).read(), list(CONTENT) * 50)
            assert list(read) == list(CONTENT.values()) * 50
    with pytest.raises(OSError, match=r"No such file|not in the archive"):
        tree.open("missing.png")


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_reads_an_archive_while_its_parent_does(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for i in range(200):
            archive.writestr(f"{i}.txt", str(i) * 10_000)
    tree = open_tree(str(tmp_path / "x.zip"))
    child = os.fork()
    wrong = [i for i in range(200) if tree.open(f"{i}.txt").read() != b"%d" % i * 10_000]
    if child == 0:
        os._exit(bool(wrong))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not wrong


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "x.png").write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("x.png", b"x")
    for root, kind in (("~/images", Folder), ("~/images.zip", ZipArchive)):
        tree = open_tree(root)
        assert isinstance(tree, kind)
        assert tree.open(tree.list().files[0]).read() == b"x"


def test_a_loop_of_symbolic_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"x")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert open_tree(str(tmp_path)).list().files == ["a/x.png"]


def test_a_subfolder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "x.png").write_bytes(b"x")
    scandir = os.scandir

    def forbidden(path: str) -> object:
        if str(path).endswith("private"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)  # file modes would not stop a superuser
    listing = open_tree(str(tmp_path)).list()
    assert listing.files == ["x.png"]
    assert listing.unreadable == {"private": "the folder cannot be listed: Permission denied"}


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK\3\4 not an archive")
    with pytest.raises(ValueError, match=r"`root` '.*x.zip' is not a readable zip archive: "):
        open_tree(str(tmp_path / "x.zip"))
