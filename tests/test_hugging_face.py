"""HuggingFace: the same images, labels, captions and splits as `ImageFolder` and `datasets.load_dataset`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_gans.__main__ import main
from lightning_gans.datamodules import Captions, HuggingFace, ImageFolder

hub = pytest.importorskip("datasets")

pytestmark = pytest.mark.filterwarnings("ignore:.*validation images are too few for scores")
OPTIONS: dict[str, Any] = {"image_size": 8, "batch_size": 4, "validation_size": 0.2, "test_size": 0.2}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("hub"))
    hub.disable_progress_bars()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an imagefolder with two splits, captions and labels: gray, 16-bit, transparent and rotated images."""
    random = np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 8)):
        rows = []
        for index in range(count):
            path = tmp_path / "images" / split / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = [(9, 7), (9, 7, 3), (9, 7, 4)][index % 3]
            Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(path)
            rows.append({"file_name": path.name, "text": f"number {index}", "label": ["odd", "even"][index % 2 == 0]})
        (path.parent / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "images"


def content(data: ImageFolder, split: Any) -> list[tuple[bytes, str, str]]:
    assert data.vocabulary is not None
    assert data.class_names is not None
    batch = data.examples(split)
    captions = data.vocabulary.decode(batch["text"])
    labels = [data.class_names[label] for label in batch["label"].tolist()]
    return sorted(zip([image.numpy().tobytes() for image in batch["image"]], captions, labels, strict=True))


def test_an_imagefolder_has_the_images_captions_labels_and_splits_of_a_folder(folder: Path) -> None:
    ours, theirs = Captions(root=str(folder), **OPTIONS), HuggingFace(path=str(folder), **OPTIONS)
    assert ours.sizes == theirs.sizes
    assert theirs.sizes["test"] == 8
    for split in ("train", "validation", "test"):
        assert content(ours, split) == content(theirs, split)
    assert theirs.class_names == ("even", "odd")
    loaded = hub.load_dataset("imagefolder", data_dir=str(folder))
    assert {name: len(part) for name, part in loaded.items()} == {"train": 30, "test": 8}
    captions = {f"number {i}" for i in range(30)}
    assert set(loaded["train"]["text"]) == captions


@pytest.mark.parametrize("storage", ["memory", "mapped", "workers"])
def test_a_saved_data_set_is_the_same_in_every_storage(storage: str, folder: Path, tmp_path: Path) -> None:
    loaded = hub.load_dataset("imagefolder", data_dir=str(folder))
    loaded.save_to_disk(str(tmp_path / "saved"))
    options = {**OPTIONS, "storage": storage, "cache": str(tmp_path / "cache")}
    data, expected = (HuggingFace(path=str(path), **options) for path in (tmp_path / "saved", folder))
    assert data.fingerprint() == expected.fingerprint()
    for split in ("train", "test"):
        assert torch.equal(data.examples(split)["image"], expected.examples(split)["image"])  # type: ignore[arg-type]


def test_a_saved_data_set_trains(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hub.load_dataset("imagefolder", data_dir=str(folder)).save_to_disk("saved")
    options = "--data.image_size 8 --data.batch_size 4 --data.test_size 0.2 --run.max_images 8 --wandb.mode disabled"
    quiet = ["--evaluation.every", "100000000", "--trainer.enable_progress_bar", "false"]
    assert main(["fit", "--data", "HuggingFace", "--data.path", "saved", *options.split(), *quiet]) == 0
    assert list(tmp_path.glob("runs/*/checkpoints/last.ckpt"))


def test_arrays_and_missing_labels_are_served(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    values = [random.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(20)]
    features = hub.Features(pixels=hub.Array3D((8, 8, 3), "uint8"), label=hub.ClassLabel(names=["a", "b"]))
    labels = [None, *[i % 2 for i in range(19)]]
    hub.Dataset.from_dict({"pixels": values, "label": labels}, features=features).save_to_disk(str(tmp_path / "saved"))
    data = HuggingFace(path=str(tmp_path / "saved"), image_column="pixels", **OPTIONS)
    images = torch.cat([data.examples(split)["image"] for split, n in data.sizes.items() if n])
    served = {((image + 1) * 127.5).round().byte().permute(1, 2, 0).numpy().tobytes() for image in images}
    assert served == {value.tobytes() for value in values}
    assert sum((data.examples(s)["label"] == -1).sum().item() for s, n in data.sizes.items() if n) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "nowhere/at-all"}, "`path` 'nowhere/at-all' cannot be loaded, which must be a data set of the"),
        ({"image_column": "imag"}, "`image_column` 'imag' does not exist; did you mean `image`?"),
        ({"label_column": "x"}, "`label_column` 'x' does not exist; known: image, label, text"),
        ({"test_split": "tst"}, "`test_split` must be one of train, test, got 'tst'"),
    ],
)
def test_mistakes_are_one_line(
    options: dict[str, str], message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="`") as caught:
        HuggingFace(**{"path": str(folder), **options})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
