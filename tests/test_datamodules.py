"""Test the data modules: fixed splits, normalization, augmentation, exact resume, and errors of one line."""

import gzip
import importlib
import math
import random
import shutil
import sys
import urllib.error
from hashlib import md5
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from data_cases import write_cifar, write_mnist
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torchvision import datasets

from lightning_gans.datamodules import CIFAR10, MNIST, BinarizedMNIST, DataModule, Digits, FashionMNIST
from lightning_gans.datamodules.binarized_mnist import _binarize_split, binarize
from lightning_gans.datamodules.splitting import hold_out
from lightning_gans.datamodules.torchvision import TorchvisionDataModule
from lightning_gans.types import Batch

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*smaller than the logging.*")


class Numbered(DataModule):
    """Images of two pixels: the left one is the number of the image, the right one is 0."""

    image_shape = (1, 1, 2)

    def __init__(self, *, count: int = 40, **options: Any) -> None:
        super().__init__(**{"batch_size": 8, "validation_size": 6} | options)
        self.count = count
        self.loads = 0

    def load(self) -> tuple[Batch, Batch]:
        self.loads += 1
        image = torch.zeros(self.count, 1, 1, 2, dtype=torch.uint8)
        image[:, 0, 0, 0] = torch.arange(1, self.count + 1)
        examples: Batch = {"image": image, "label": torch.arange(self.count)}
        return examples, {key: tensor[:5] for key, tensor in examples.items()}


class Points(DataModule):
    """Points in the plane, which are not normalized."""

    image_shape = (2,)
    levels = None

    def load(self) -> tuple[Batch, Batch]:
        examples: Batch = {"image": torch.linspace(-3, 3, 40).view(20, 2), "label": torch.full((20,), -1)}
        return examples, examples


class Recorder(pl.LightningModule):
    """Record the batches that a model receives."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: dict[str, list[Batch]] = {"train": [], "validation": []}
        self.checkpoints: list[Path] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen["train"].append(batch)
        return self.weight.square()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.seen["validation"].append(batch)

    def on_train_batch_end(self, *_: Any) -> None:
        if self.checkpoints:
            self.trainer.save_checkpoint(self.checkpoints[0].with_name(f"{len(self.seen['train'])}.ckpt"))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(model: Recorder, data: DataModule, epochs: int = 1, ckpt_path: Path | None = None, **options: Any) -> None:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", **quiet, **options)
    trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)


def images(batches: list[Batch]) -> Tensor:
    return torch.cat([batch["image"] for batch in batches])


# All data modules


def test_the_splits_are_disjoint_and_complete_and_depend_only_on_the_name() -> None:
    data = Numbered()
    labels = [data.examples(split)["label"] for split in ("train", "validation")]
    assert sorted(torch.cat(labels).tolist()) == list(range(40))
    assert data.sizes == {"train": 34, "validation": 6, "test": 5}
    for split, label in zip(("train", "validation"), labels, strict=True):
        torch.testing.assert_close(Numbered(seed=9, batch_size=1).examples(split)["label"], label)
    assert not torch.equal(hold_out(40, 6, "Numbered")[1], hold_out(40, 6, "Other")[1])


def test_a_split_is_the_same_on_every_machine_and_in_every_release() -> None:
    # numpy.random.RandomState(zlib.crc32(b"Digits")).permutation(10), which NumPy guarantees not to change
    assert hold_out(10, 3, "Digits")[1].tolist() == [4, 9, 8]


def test_the_data_set_is_read_once() -> None:
    data = Numbered()
    for stage in ("fit", "validate", "test", None):
        data.setup(stage)
    data.examples("test")
    assert data.loads == 1


def test_levels_are_normalized_to_the_range_of_a_model() -> None:
    class Levels(Numbered):
        levels = 17

    image = torch.tensor([0, 8, 16, 4], dtype=torch.uint8).view(2, 1, 1, 2)
    batch = Levels().on_after_batch_transfer({"image": image}, 0)
    assert batch["image"].dtype == torch.float32
    assert batch["image"].flatten().tolist() == [-1, 0, 1, -0.5]
    all_levels = torch.arange(256, dtype=torch.uint8)
    normalized = Numbered().on_after_batch_transfer({"image": all_levels}, 0)["image"]
    assert (normalized.min(), normalized.max()) == (-1, 1)
    torch.testing.assert_close(((normalized + 1) * 127.5).round().to(torch.uint8), all_levels)


def test_points_are_not_normalized() -> None:
    data = Points(batch_size=4, validation_size=2)
    torch.testing.assert_close(data.examples("test")["image"], torch.linspace(-3, 3, 40).view(20, 2))
    assert data.dummy_batch(3)["image"].shape == (3, 2)
    assert data.num_classes is None


def test_loaders_yield_stored_levels() -> None:
    data = Numbered()
    assert [len(loader) for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())] == [
        4,
        1,
        1,
    ]
    for batch in data.train_dataloader():
        assert batch["image"].dtype == torch.uint8
        torch.testing.assert_close(batch["image"][:, 0, 0, 0].long(), batch["label"] + 1)


def test_a_subset_is_the_first_examples_of_a_split() -> None:
    data = Numbered()
    split = data.examples("train")
    subset = data.examples("train", 3)
    assert subset["image"].shape == (3, 1, 1, 2)
    torch.testing.assert_close(subset["image"], split["image"][:3])
    assert len(data.examples("test", 1000)["label"]) == 5


def test_a_subset_of_a_sorted_test_set_is_random() -> None:
    class Sorted(Numbered):
        def load(self) -> tuple[Batch, Batch]:
            train, _ = super().load()
            label = torch.arange(1000)
            return train, {"image": train["image"][:1].expand(1000, 1, 1, 2), "label": label}

    data = Sorted()
    assert data.examples("test")["label"].tolist() == list(range(1000))
    small, large = (data.examples("test", count)["label"] for count in (100, 400))
    torch.testing.assert_close(small, large[:100])
    assert len(large.unique()) == 400
    assert small.double().mean().item() == pytest.approx(499.5, abs=4 * 289 / 100**0.5)
    assert small.double().std().item() == pytest.approx(289, rel=0.2)


@pytest.mark.parametrize(
    "data",
    [Digits(), MNIST(), BinarizedMNIST(), FashionMNIST(), CIFAR10(), Points(validation_size=2)],
    ids=lambda data: data.name,
)
def test_a_specimen_looks_like_a_batch_and_needs_no_data(data: DataModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(data), "load", None)
    batch = data.dummy_batch(20)
    assert batch["image"].shape == (20, *data.image_shape)
    assert batch["image"].dtype == torch.float32
    assert batch["image"].abs().max() <= 1
    assert batch["label"].dtype == torch.int64
    classes = [-1] if data.num_classes is None else list(range(data.num_classes))
    assert batch["label"].unique().tolist() == classes
    if data.levels is not None:
        levels = (batch["image"] + 1) * (data.levels - 1) / 2
        torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)


def test_the_preprocessing_has_plain_values(tmp_path: Path) -> None:
    assert Digits().preprocessing == {"image_shape": [1, 8, 8], "levels": 17, "range": [-1.0, 1.0]}
    assert Points(validation_size=2).preprocessing == {"image_shape": [2], "levels": None, "range": None}
    torch.save(Digits().preprocessing, tmp_path / "x.pt")
    assert torch.load(tmp_path / "x.pt", weights_only=True) == Digits().preprocessing


def test_global_random_states_are_unchanged() -> None:
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    data = Digits()
    data.prepare_data(), data.setup("fit"), data.dummy_batch(4), data.examples("validation", 4)
    list(data.train_dataloader()), list(data.val_dataloader()), list(data.test_dataloader())
    fit(Recorder(), Numbered(horizontal_flip=True))
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


# Training


def test_each_training_image_is_mirrored_independently() -> None:
    model = Recorder()
    fit(model, Numbered(count=206, batch_size=100, horizontal_flip=True))
    mirrored = images(model.seen["train"])[:, 0, 0, 0] == -1
    assert 70 < mirrored.sum() < 130  # of 200: within 4 standard deviations
    assert 0 < mirrored[:100].sum() < 100
    assert not torch.equal(mirrored[:100], mirrored[100:])
    validated = images(model.seen["validation"])
    assert (validated[:, 0, 0, 1] == -1).all()
    sums = images(model.seen["train"]).sum((1, 2, 3))
    torch.testing.assert_close(sums, (torch.cat([b["label"] for b in model.seen["train"]]) + 1) / 127.5 - 2)


def test_no_image_is_mirrored_by_default() -> None:
    model = Recorder()
    fit(model, Numbered())
    assert (images(model.seen["train"])[:, 0, 0, 1] == -1).all()


def test_batches_have_the_precision_of_the_run() -> None:
    model = Recorder()
    fit(model, Numbered(), precision="64-true")
    assert images(model.seen["train"]).dtype == torch.float64


def test_a_trainer_resumes_exactly_from_every_batch(tmp_path: Path) -> None:
    def data() -> DataModule:
        return Numbered(batch_size=10, horizontal_flip=True)  # 3 batches per epoch

    uninterrupted = Recorder()
    uninterrupted.checkpoints.append(tmp_path / "any.ckpt")
    fit(uninterrupted, data(), epochs=3)
    for batches in range(1, 9):
        resumed = Recorder()
        fit(resumed, data(), epochs=3, ckpt_path=tmp_path / f"{batches}.ckpt")
        torch.testing.assert_close(images(resumed.seen["train"]), images(uninterrupted.seen["train"][batches:]))


def test_a_trainer_resumes_a_finished_run(tmp_path: Path) -> None:
    uninterrupted, first, resumed = Recorder(), Recorder(), Recorder()
    fit(uninterrupted, Numbered(), epochs=3)
    fit(first, Numbered(), epochs=2)
    first.trainer.save_checkpoint(tmp_path / "finished.ckpt")
    fit(resumed, Numbered(), epochs=3, ckpt_path=tmp_path / "finished.ckpt")
    resumed_images = images(first.seen["train"] + resumed.seen["train"])
    torch.testing.assert_close(resumed_images, images(uninterrupted.seen["train"]))


class RankedTrainer:
    """Stand-in for a trainer on several devices."""

    overfit_batches = 0.0
    current_epoch = 0

    def __init__(self, global_rank: int, world_size: int) -> None:
        self.global_rank, self.world_size = global_rank, world_size
        self.strategy = SimpleNamespace(root_device=torch.device("cpu"))


def test_the_batch_size_is_the_total_over_devices() -> None:
    single = next(iter(Numbered().train_dataloader()))["label"]
    parts = []
    for rank in range(4):
        data = Numbered()
        data.trainer = RankedTrainer(rank, 4)
        parts.append(next(iter(data.train_dataloader()))["label"])
    assert [len(part) for part in parts] == [2, 2, 2, 2]
    torch.testing.assert_close(torch.cat(parts), single)
    data.trainer = RankedTrainer(0, 3)
    with pytest.raises(ValueError, match=r"`batch_size` .* a multiple of their number 3, got 8"):
        data.train_dataloader()


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"batch_size": 35}, "`batch_size` must be at most the 34 training examples of Numbered, got 35"),
        ({"validation_size": 40}, "`validation_size` must be at least 0 and less than the 40 .*, got 40"),
        ({"validation_size": -1}, "`validation_size` must be .*, got -1"),
    ],
)
def test_sizes_that_do_not_fit_the_data_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Numbered(**options).setup("fit")


def test_unknown_splits_and_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="`split` must be one of train, validation, test, got 'val'"):
        Numbered().examples("val")
    with pytest.raises(ValueError, match="`count` must be at least 1, or None for all examples, got 0"):
        Numbered().examples("test", 0)


def test_images_of_another_shape_are_refused() -> None:
    class Wrong(Numbered):
        image_shape = (1, 2, 2)

    with pytest.raises(ValueError, match=r"Wrong must contain images of shape \(1, 2, 2\), .* shape \(1, 1, 2\)"):
        Wrong().setup("fit")


def test_the_folder_cannot_be_imported_under_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(sys.modules, "datamodules", raising=False)
    with pytest.raises(ImportError, match=r"import `lightning_gans.datamodules`, not `datamodules`"):
        importlib.import_module("datamodules")


# Data sets


def test_digits_equal_those_of_scikit_learn() -> None:
    data = Digits()
    assert data.sizes == {"train": 1300, "validation": 137, "test": 360}
    bundled = sorted(zip(*map(np.ndarray.tolist, load_digits(return_X_y=True)), strict=True))
    parts = [data.examples(split) for split in ("train", "validation", "test")]
    levels = torch.cat([part["image"] for part in parts]).add(1).mul(8).flatten(1)
    labels = torch.cat([part["label"] for part in parts])
    assert sorted(zip(levels.tolist(), labels.tolist(), strict=True)) == bundled
    for part in parts:
        assert part["label"].unique().tolist() == list(range(10))


@pytest.mark.parametrize("data_set", [MNIST, FashionMNIST])
def test_idx_files_are_read(
    data_set: type[TorchvisionDataModule], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    written = write_mnist(tmp_path, data_set.__name__)
    before = sorted(tmp_path.rglob("*"))
    data = data_set(root=str(tmp_path), batch_size=4, validation_size=5)
    data.prepare_data()
    assert data.sizes == {"train": 25, "validation": 5, "test": 10}
    images, labels = written["t10k"]
    test = data.examples("test")
    np.testing.assert_array_equal(((test["image"] + 1) * 127.5).round().numpy()[:, 0], images)
    np.testing.assert_array_equal(test["label"], labels)
    assert sorted(tmp_path.rglob("*")) == before
    assert capfd.readouterr() == ("", "")


def test_the_binarized_pixels_are_those_of_the_published_likelihoods() -> None:
    gray: Batch = {"image": torch.full((2, 1, 2, 4), 128, dtype=torch.uint8)}
    train, test = (_binarize_split(gray, split)["image"].flatten().tolist() for split in ("train", "test"))
    assert train == [1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 0]
    assert test == [1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 0, 1, 1]


def test_pixels_are_white_with_the_probability_of_their_gray(tmp_path: Path) -> None:
    """The images are fixed; the sum of 30 x 784 pixels has the expected value within four standard deviations."""
    (images, labels), (grays, _) = write_mnist(tmp_path, "MNIST").values()
    first, second = (BinarizedMNIST(root=str(tmp_path), batch_size=4, validation_size=5, seed=seed) for seed in (0, 1))
    train, test = first.load()
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip((train, test), second.load(), strict=True))
    assert first.examples("train")["image"].unique().tolist() == [-1.0, 1.0]
    np.testing.assert_array_equal(train["label"], labels)
    binary, gray = train["image"].numpy()[:, 0].astype(float), images / 255
    error = (binary - gray).sum() / math.sqrt((gray * (1 - gray)).sum())
    assert abs(error) < 4
    assert (test["image"].numpy()[:, 0][grays == 255] == 1).all()
    assert (test["image"].numpy()[:, 0][grays == 0] == 0).all()
    fixed: Any = SimpleNamespace(random_sample=lambda shape: np.full(shape, 0.998))  # between 254 / 255 and 255 / 255
    assert binarize(torch.tensor([[255], [254]], dtype=torch.uint8), fixed).tolist() == [[1], [0]]
    for low in range(0, 256, 64):  # each range of gray levels separately
        mask = (images >= low) & (images < low + 64)
        deviation = math.sqrt((gray[mask] * (1 - gray[mask])).sum())
        assert abs((binary[mask] - gray[mask]).sum()) < 4 * deviation


def test_cifar_batches_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write_cifar(tmp_path, monkeypatch)
    data = CIFAR10(root=str(tmp_path), batch_size=2, validation_size=5, horizontal_flip=True)
    data.prepare_data()
    assert data.sizes == {"train": 15, "validation": 5, "test": 4}
    test = data.examples("test")
    # a row is 1,024 red, then green, then blue values, each row by row
    expected = written["test_batch"].reshape(4, 3, 32, 32)
    np.testing.assert_array_equal(((test["image"] + 1) * 127.5).round().numpy(), expected)
    assert test["label"].tolist() == [0, 1, 2, 9]


def test_class_names_equal_those_of_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MNIST.class_names == tuple(name[0] for name in datasets.MNIST.classes)
    assert FashionMNIST().num_classes == CIFAR10().num_classes == 10


@pytest.mark.parametrize("data_set", [MNIST, FashionMNIST, CIFAR10])
def test_a_root_that_does_not_exist_is_refused(data_set: type[TorchvisionDataModule], tmp_path: Path) -> None:
    root = tmp_path / "typo"
    with pytest.raises(
        ValueError, match=f"`root` '{root}' is not a folder: create it .* contains {data_set.subfolder}$"
    ):
        data_set(root=str(root)).prepare_data()
    assert not root.exists()


@pytest.mark.parametrize("data_set", [MNIST, FashionMNIST, CIFAR10])
def test_a_failed_download_has_a_message_of_one_line(
    data_set: type[TorchvisionDataModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(ValueError, match=f"{data_set.__name__} is not in `root` .* could not be downloaded") as caught:
        data_set(root=str(tmp_path)).prepare_data()
    assert "\n" not in str(caught.value)
    assert "no route to host" in str(caught.value)


def test_the_default_root_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "mirror"
    written = write_mnist(source, "MNIST")
    archives = []
    for name, _ in datasets.MNIST.resources:
        archive = source / name
        archive.write_bytes(gzip.compress((source / "MNIST" / "raw" / name.removesuffix(".gz")).read_bytes()))
        archives.append((name, md5(archive.read_bytes()).hexdigest()))
    monkeypatch.setattr(datasets.MNIST, "resources", archives)
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr(
        "torchvision.datasets.utils._urlretrieve", lambda url, file: shutil.copy(source / Path(url).name, file)
    )
    monkeypatch.chdir(tmp_path)
    data = MNIST(batch_size=4, validation_size=5)
    data.prepare_data()
    assert (tmp_path / "data" / "MNIST" / "raw").is_dir()
    assert data.examples("test")["label"].tolist() == written["t10k"][1].tolist()


@pytest.mark.parametrize("damage", [b"", b"\0\0\x08\x03", b"not an idx file"])
def test_a_damaged_file_has_a_message_of_one_line(damage: bytes, tmp_path: Path) -> None:
    write_mnist(tmp_path, "MNIST")
    (tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(damage)
    data = MNIST(root=str(tmp_path), batch_size=4, validation_size=5)
    with pytest.raises(ValueError, match=r"MNIST cannot be read from `root` .* contain MNIST/raw") as caught:
        data.setup("fit")
    assert "\n" not in str(caught.value)


def test_a_missing_download_has_a_message_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"CIFAR10 cannot be read from `root` .*, then download it with `prepare_data`"
    ):
        CIFAR10(root=str(tmp_path)).setup("fit")


@pytest.mark.skipif(not (REAL_DATA / "MNIST" / "raw").is_dir(), reason=f"{REAL_DATA} has no MNIST")
def test_the_real_mnist() -> None:
    data = MNIST(root=str(REAL_DATA))
    data.prepare_data()
    assert data.sizes == {"train": 55000, "validation": 5000, "test": 10000}
    test = data.examples("test")
    # number of each digit in the official test set
    assert test["label"].bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # published mean and standard deviation of the training set on [0, 1]: 0.1307 and 0.3081
    train = torch.cat([data.examples(split)["image"] for split in ("train", "validation")]).add(1).div(2)
    assert train.mean().item() == pytest.approx(0.1307, abs=1e-4)
    assert train.std().item() == pytest.approx(0.3081, abs=1e-4)


def test_a_checkpoint_records_the_preprocessing_and_the_fingerprint() -> None:
    data = Digits()
    record = {"preprocessing": data.preprocessing, "fingerprint": Digits().fingerprint()}
    assert data.state_dict() == record
    data.train_dataloader()
    assert data.state_dict() == record | data.train_dataloader().state_dict()
