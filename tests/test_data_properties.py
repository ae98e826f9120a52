"""Properties of every data module, from the table in `data_cases`."""

import pickle
import random
from abc import ABC
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from data_cases import BATCH_SIZE, SPLITS, TABLE, make, write_cifar

from lightning_gans import datamodules
from lightning_gans.core.recording import deserialize, serialize
from lightning_gans.datamodules import DataModule
from lightning_gans.datamodules.hashing import content_key, hash_array
from lightning_gans.types import Batch

Class = type[DataModule]

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")

MAX_EXAMPLES = 500

every_class = pytest.mark.parametrize("cls", TABLE, ids=lambda cls: cls.__name__)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(autouse=True)
def _cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(root / "cifar", monkeypatch)


@pytest.fixture(scope="session")
def made() -> dict[Class, DataModule]:
    """Collect the data modules of the tests that only read."""
    return {}


@pytest.fixture
def data(cls: Class, root: Path, made: dict[Class, DataModule]) -> DataModule:
    if cls not in made:
        made[cls] = make(cls, root)
        made[cls].prepare_data()
    return made[cls]


def first_batch(data: DataModule) -> Batch:
    """Return the first batch of training as a model receives it."""
    return data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)


def contents(batch: Batch) -> list[int]:
    """Return the hash of each image, or of each sound."""
    return [hash_array(example) for example in batch[content_key(batch)].numpy()]  # type: ignore[literal-required]


def assert_equal(one: Batch, other: Batch) -> None:
    assert one.keys() == other.keys()
    for key, tensor in one.items():
        torch.testing.assert_close(tensor, other[key], rtol=0, atol=0)  # type: ignore[literal-required]


def test_every_data_module_is_in_the_table() -> None:
    classes = {getattr(datamodules, name) for name in datamodules.__all__}
    assert set(TABLE) == {cls for cls in classes if issubclass(cls, DataModule) and ABC not in cls.__bases__}


@every_class
@pytest.mark.parametrize("split", [*SPLITS, "a training batch", "a dummy batch"])
def test_examples_have_the_declared_form(data: DataModule, split: Any) -> None:
    if split in SPLITS:
        batch = data.examples(split, MAX_EXAMPLES)
        count = min(data.sizes[split], MAX_EXAMPLES)
    else:
        batch = first_batch(data) if split == "a training batch" else data.dummy_batch(BATCH_SIZE)
        count = BATCH_SIZE
    has_images = data.audio_shape is None or "image" in batch
    declared = {
        "image": has_images,
        "label": True,
        "text": data.vocabulary is not None,
        "audio": data.audio_shape is not None,
    }
    assert batch.keys() == {key for key, is_declared in declared.items() if is_declared}
    assert {len(tensor) for tensor in batch.values()} == {count}
    if has_images:
        image = batch["image"]
        assert (image.shape[1:], image.dtype) == (data.image_shape, torch.float32)
        assert image.isfinite().all()
        if data.levels is not None:
            levels = (image + 1) * (data.levels - 1) / 2
            torch.testing.assert_close(levels, levels.round().clamp(0, data.levels - 1), atol=1e-4, rtol=0)
    if data.audio_shape is not None:
        audio = batch["audio"]
        assert (audio.shape[1:], audio.dtype) == (data.audio_shape, torch.float32)
        assert audio.abs().max() <= 1
    assert batch["label"].dtype == torch.int64
    allowed = range(-1, 0) if data.num_classes is None else range(-1, data.num_classes)
    assert set(batch["label"].tolist()) <= set(allowed)
    if data.vocabulary is not None:
        text = batch["text"]
        assert (text.shape[1:], text.dtype) == ((data.text_length,), torch.int64)
        assert 0 <= text.min() <= text.max() < len(data.vocabulary)


@every_class
def test_a_dummy_batch_has_the_form_of_a_real_one(data: DataModule) -> None:
    real, dummy = first_batch(data), data.dummy_batch(BATCH_SIZE)
    forms = [{key: (tensor.shape, tensor.dtype) for key, tensor in batch.items()} for batch in (real, dummy)]
    assert forms[0] == forms[1]
    for size in (1, 7):
        assert {len(tensor) for tensor in data.dummy_batch(size).values()} == {size}
    assert_equal(data.dummy_batch(3), data.dummy_batch(3))


@every_class
def test_the_splits_are_disjoint(data: DataModule) -> None:
    seen = [set(contents(data.examples(split))) for split in SPLITS]
    assert all(seen)
    assert sum(map(len, seen)) == len(set.union(*seen))


@every_class
def test_the_loaders_yield_the_examples_of_their_splits(data: DataModule) -> None:
    loaders = {"train": data.train_dataloader(), "validation": data.val_dataloader(), "test": data.test_dataloader()}
    for split, loader in loaders.items():
        seen = [content for batch in loader for content in contents(data.on_after_batch_transfer(batch, 0))]
        size = data.sizes[split]
        assert len(seen) == (size // BATCH_SIZE * BATCH_SIZE if split == "train" else size)
        expected = contents(data.examples(split))
        assert not set(seen) - set(expected) if split == "train" else seen == expected


@every_class
def test_two_instances_are_equal(cls: Class, data: DataModule, root: Path) -> None:
    other = make(cls, root)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # of which nothing depends
    assert (other.sizes, other.fingerprint()) == (data.sizes, data.fingerprint())
    assert other.preprocessing == data.preprocessing
    for split in SPLITS:
        assert_equal(other.examples(split), data.examples(split))
    loaders = [instance.train_dataloader() for instance in (data, other)]
    for _ in range(2):
        for batch, same in zip(*loaders, strict=True):
            assert_equal(batch, same)


@every_class
def test_global_random_states_are_unchanged(cls: Class, root: Path) -> None:
    def states() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    data = make(cls, root)
    data.prepare_data(), data.setup("fit"), data.dummy_batch(2), data.examples("test", 3)
    list(data.train_dataloader()), list(data.val_dataloader())
    assert states() == before


@every_class
def test_other_examples_or_splits_have_another_fingerprint(cls: Class, data: DataModule, root: Path) -> None:
    assert make(cls, root, other=True).fingerprint() != data.fingerprint()


@every_class
def test_the_seed_of_the_order_changes_the_order(cls: Class, data: DataModule, root: Path) -> None:
    other = make(cls, root)
    other.seed = 1
    orders = [[contents(batch) for batch in instance.train_dataloader()] for instance in (data, other)]
    assert orders[0] != orders[1]


@every_class
def test_recorded_arguments_rebuild_the_data_module(data: DataModule) -> None:
    rebuilt = deserialize(yaml.safe_load(yaml.safe_dump(serialize(data))))
    assert type(rebuilt) is type(data)
    assert rebuilt.fingerprint() == data.fingerprint()


@every_class
def test_a_data_module_is_pickled_before_and_after_its_data_are_read(cls: Class, data: DataModule, root: Path) -> None:
    for instance in (make(cls, root), data):
        copy = pickle.loads(pickle.dumps(instance))
        assert_equal(copy.examples("validation"), data.examples("validation"))


@every_class
def test_a_checkpoint_resumes_in_an_epoch_and_in_the_next(
    cls: Class, data: DataModule, root: Path, tmp_path: Path
) -> None:
    loader = data.train_dataloader()
    expected = [batch for _ in range(2) for batch in loader]
    interrupted = make(cls, root)
    batches = iter(interrupted.train_dataloader())
    for _ in range(len(loader) // 2):
        next(batches)
    torch.save(interrupted.state_dict(), tmp_path / "state.pt")
    resumed = make(cls, root)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    loader = resumed.train_dataloader()
    seen = [batch for _ in range(2) for batch in loader]
    for batch, same in zip(seen, expected[len(loader) // 2 :], strict=True):
        assert_equal(batch, same)
