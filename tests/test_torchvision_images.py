"""TorchvisionImages: the splits, labels and images of data sets of torchvision, from small generated files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_cases import svhn
from PIL import Image
from torchvision import datasets

from lightning_gans.datamodules import TorchvisionImages

pytestmark = pytest.mark.filterwarnings("ignore:.*validation images are too few for scores")
OPTIONS: dict[str, Any] = {"batch_size": 4, "validation_size": 0.2, "test_size": 0.2}


def test_svhn_has_its_own_test_split_and_its_pixels(tmp_path: Path) -> None:
    data = TorchvisionImages(dataset="SVHN", root=svhn(tmp_path), image_size=32, **OPTIONS)
    assert data.sizes["test"] == 20
    assert data.num_classes == 10
    expected = datasets.SVHN(svhn(tmp_path), split="test")
    served = {image.numpy().tobytes(): label for image, label in zip(*examples(data, "test"), strict=True)}
    for image, label in expected:
        array = np.asarray(image).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
        assert served[torch.from_numpy(array).numpy().tobytes()] == label


def examples(data: TorchvisionImages, split: Any) -> tuple[Any, list[int]]:
    batch = data.examples(split)
    return batch["image"], batch["label"].tolist()


def test_stl10_is_read_from_its_binary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, count in (("train", 12), ("test", 6)):
        random.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8).tofile(folder / f"{name}_X.bin")
        (np.arange(count, dtype=np.uint8) % 10 + 1).tofile(folder / f"{name}_y.bin")
    classes = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
    (folder / "class_names.txt").write_text("\n".join(classes))
    monkeypatch.setattr(datasets.STL10, "_check_integrity", lambda self: True)
    data = TorchvisionImages(dataset="STL10", root=str(tmp_path), image_size=8, **OPTIONS)
    assert data.sizes["test"] == 6
    assert data.class_names == classes


@pytest.fixture
def celeba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06d}.jpg" for i in range(1, 31)]
    for index, name in enumerate(names):
        Image.new("RGB", (178, 218), (8 * index, 0, 0)).save(folder / "img_align_celeba" / name)
    header = ["30", "Smiling Young"]
    table = [f"{name} {1 if i % 3 else -1} 1" for i, name in enumerate(names)]
    (folder / "list_attr_celeba.txt").write_text("\n".join([*header, *table]) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(f"{n} {i // 10}" for i, n in enumerate(names)) + "\n")
    (folder / "identity_CelebA.txt").write_text("\n".join(f"{n} {i}" for i, n in enumerate(names)) + "\n")
    (folder / "list_bbox_celeba.txt").write_text("30\na b c d\n" + "\n".join(f"{n} 1 1 1 1" for n in names) + "\n")
    (folder / "list_landmarks_align_celeba.txt").write_text("30\na b\n" + "\n".join(f"{n} 1 1" for n in names) + "\n")
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda self: True)
    return tmp_path


def test_celeba_has_three_splits_and_an_attribute_as_label(celeba: Path) -> None:
    data = TorchvisionImages(dataset="CelebA", root=str(celeba), image_size=8, attribute="Smiling", **OPTIONS)
    assert data.sizes == {"train": 10, "validation": 10, "test": 10}
    assert data.class_names == ("not Smiling", "Smiling")
    assert sorted(examples(data, "train")[1]) == [0] * 4 + [1] * 6
    plain = TorchvisionImages(dataset="CelebA", root=str(celeba), image_size=8, **OPTIONS)
    assert plain.class_names is None
    assert set(examples(plain, "train")[1]) == {-1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "CelebB"}, "`dataset` CelebB is not one of torchvision; did you mean `CelebA`?"),
        ({"dataset": "SVHN"}, "SVHN cannot be opened in `root` '.*': .*; set `download` to download it"),
    ],
)
def test_mistakes_are_one_line(options: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        TorchvisionImages(root=str(tmp_path / "empty"), **options)


def test_a_wrong_attribute_is_named(celeba: Path) -> None:
    with pytest.raises(ValueError, match=r"`attribute` 'Smilling' does not exist; did you mean `Smiling`\?"):
        TorchvisionImages(dataset="CelebA", root=str(celeba), attribute="Smilling")
