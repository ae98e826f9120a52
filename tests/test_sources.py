"""Compare the sources with each other: the same batches, an exact resume, disjoint ranks, and caches of memory maps."""

import os
import random
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import default_collate

from lightning_gans.datamodules import DataModule, ResumableLoader
from lightning_gans.datamodules.hashing import hash_array
from lightning_gans.datamodules.litdata_source import LitDataSource
from lightning_gans.datamodules.mapped import MappedSource
from lightning_gans.datamodules.shards import Part
from lightning_gans.datamodules.sources import Source, Subset, TensorSource, WorkerSource
from lightning_gans.datamodules.storage import store
from lightning_gans.types import Batch

COUNT = 23
STORAGES = ["memory", "mapped", "workers", "2 workers", "litdata"]

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*smaller than the logging.*")


class Numbers:
    """A map-style data set: images with a random pixel per example, and labels."""

    def __init__(self, count: int = COUNT) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        stream = np.random.default_rng(index)
        return {"image": stream.integers(0, 256, (1, 2, 3), dtype=np.uint8), "label": 10 * index}


class Noisy(Numbers):
    """A data set with random transforms."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        noise = torch.rand(1).item() + random.random() + np.random.rand()
        return {"image": np.full((1, 2, 3), noise), "label": index}


class Prepared(DataModule):
    """A data module whose training examples are written into shards."""

    image_shape = (1, 2, 3)

    def load(self) -> tuple[Numbers, Numbers, Numbers]:
        return Numbers(), Numbers(3), Numbers(3)


def shards(folder: Path) -> LitDataSource:
    """Write the data set into shards of three examples, of which two are shuffled together."""
    pytest.importorskip("litdata")
    part = Part(folder / "shards")
    if not part.folder.exists():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lightning_gans.datamodules.shards.SHARD_BYTES", 150)
            part.write(Prepared(), lambda number: None)
            part.complete()
    return LitDataSource(str(part.folder / "train"))


def source(kind: str, folder: Path, dataset: Numbers | None = None) -> Source:
    """Store a data set."""
    if kind == "litdata":
        return shards(folder)
    workers, _, storage = kind.rpartition(" ")
    return store(
        dataset or Numbers(), storage=storage, key={"count": COUNT}, cache=folder, num_workers=int(workers or 0)
    )


def epoch(loader: ResumableLoader) -> list[list[int]]:
    return [batch["label"].tolist() for batch in loader]


class Reference(TensorSource):
    """The data set in memory, in the order that another source draws."""

    def __init__(self, ordered: Source) -> None:
        super().__init__(default_collate([Numbers()[index] for index in range(COUNT)]))
        self.ordered = ordered

    def permutation(self, generator: torch.Generator) -> Tensor:
        return self.ordered.permutation(generator)


def make_loader(kind: str, folder: Path, *, reference: bool = False, **options: Any) -> ResumableLoader:
    arguments = {"batch_size": 4, "shuffle": True, "drop_last": True, "seed": 3} | options
    stored = source(kind, folder)
    return ResumableLoader(Reference(stored) if reference else stored, **arguments)


@pytest.fixture(autouse=True)
def _small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_gans.datamodules.litdata_source.WINDOW", 2)


@pytest.mark.parametrize("kind", STORAGES)
@pytest.mark.parametrize("drop_last", [True, False])
def test_every_storage_yields_the_same_batches(kind: str, drop_last: bool, tmp_path: Path) -> None:
    loader, expected = (make_loader(kind, tmp_path, drop_last=drop_last, reference=same) for same in (False, True))
    for _ in range(3):
        for batch, same in zip(loader, expected, strict=True):
            assert batch.keys() == same.keys()
            for key, tensor in batch.items():
                torch.testing.assert_close(tensor, same[key], rtol=0, atol=0)
                assert tensor.dtype == same[key].dtype


@pytest.mark.parametrize("kind", STORAGES)
def test_every_storage_resumes_at_every_batch_and_again(kind: str, tmp_path: Path) -> None:
    loader = make_loader(kind, tmp_path, reference=True)
    expected, length = list(chain(*(epoch(loader) for _ in range(4)))), len(loader)
    interrupted, done = make_loader(kind, tmp_path), 0
    for stop in (1, length - 2, 1, 1, length, 3):  # the first, a middle and the last batch, an epoch's end, later ones
        batches = iter(interrupted)
        for _ in range(stop):
            assert (batch := next(batches, None)) is not None
            assert batch["label"].tolist() == expected[done], done
            done += 1
            if done % length == 0:
                batches = iter(interrupted)
        state = interrupted.state_dict()
        interrupted = make_loader(kind, tmp_path)
        interrupted.load_state_dict(state)
    assert done > 2 * length


@pytest.mark.parametrize("kind", STORAGES)
def test_two_ranks_of_every_storage_divide_the_batches_of_one(kind: str, tmp_path: Path) -> None:
    ranks = [epoch(make_loader(kind, tmp_path, batch_size=2, rank=rank, world_size=2)) for rank in range(2)]
    expected = epoch(make_loader(kind, tmp_path, reference=True))
    assert [list(chain(*parts)) for parts in zip(*ranks, strict=True)] == expected
    assert len(set(chain(*expected))) == COUNT // 4 * 4


@pytest.mark.parametrize("kind", STORAGES)
def test_reading_changes_no_global_random_state(kind: str, tmp_path: Path) -> None:
    dataset = Noisy() if "workers" in kind else Numbers()  # with random transforms, if they are not stored
    loader = ResumableLoader(source(kind, tmp_path, dataset), batch_size=4, shuffle=True, drop_last=True)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    epoch(loader)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (np.random.get_state()[1].tolist(), random.getstate())


@pytest.mark.parametrize("workers", [0, 2])
def test_random_transforms_depend_on_the_seed_and_the_index(workers: int) -> None:
    def images(seed: int, indices: list[int]) -> Tensor:
        batches = WorkerSource(Noisy(), num_workers=workers).batches([torch.tensor(indices)], seed)
        return next(iter(batches))["image"]

    first = images(1, [4, 7])
    torch.testing.assert_close(first, WorkerSource(Noisy()).fetch(torch.tensor([4, 7]), 1)["image"], rtol=0, atol=0)
    torch.testing.assert_close(first[0], images(1, [9, 4])[1], rtol=0, atol=0)
    assert not torch.equal(first, images(2, [4, 7]))


@pytest.mark.parametrize("kind", STORAGES)
def test_the_order_of_every_storage_is_a_function_of_the_seed_and_the_epoch(kind: str, tmp_path: Path) -> None:
    first, same, other = (make_loader(kind, tmp_path, seed=seed) for seed in (3, 3, 4))
    epochs = [epoch(first) for _ in range(3)]
    torch.manual_seed(1)
    assert [epoch(same) for _ in range(3)] == epochs
    orders = {str(order) for order in [*epochs, *(epoch(other) for _ in range(3))]}
    assert len(orders) == 6
    for stored in ("memory", "mapped", "workers"):  # a uniformly random permutation
        assert epoch(make_loader(stored, tmp_path)) == epoch(make_loader("memory", tmp_path))


def test_random_transforms_differ_between_epochs_and_are_resumed() -> None:
    def loader() -> ResumableLoader:
        return ResumableLoader(WorkerSource(Noisy()), batch_size=COUNT, shuffle=False, drop_last=True)

    first = loader()
    epochs = [next(iter(first))["image"] for _ in range(2)]
    assert not torch.equal(*epochs)
    resumed = loader()
    resumed.load_state_dict({**first.state_dict(), "epoch": 0, "position": 1})
    torch.testing.assert_close(next(iter(resumed))["image"], epochs[1], rtol=0, atol=0)


def test_the_storages_of_decoded_examples_have_one_fingerprint(tmp_path: Path) -> None:
    memory, mapped = source("memory", tmp_path), source("mapped", tmp_path)
    assert memory.fingerprint() == mapped.fingerprint()
    other = store(Numbers(COUNT - 1), key={})
    assert memory.fingerprint() != other.fingerprint()
    assert Subset(memory, torch.arange(3)).fingerprint() != Subset(memory, torch.arange(4)).fingerprint()
    assert source("workers", tmp_path).fingerprint() != WorkerSource(Numbers(COUNT - 1)).fingerprint()


def test_the_hash_of_an_example_covers_its_values_type_and_shape() -> None:
    arrays = [np.zeros(4), np.ones(4), np.zeros((2, 2)), np.zeros(4, np.float32)]
    assert len({hash_array(array) for array in arrays}) == 4
    assert hash_array(np.zeros((4, 4))[:, 0]) == hash_array(np.zeros(4))  # of the same values in another layout


# Caches


def test_a_cache_is_built_once(tmp_path: Path) -> None:
    class Counted(Numbers):
        reads = 0

        def __getitem__(self, index: int) -> dict[str, Any]:
            Counted.reads += 1
            return super().__getitem__(index)

    for expected in (COUNT, COUNT):
        source("mapped", tmp_path, Counted())
        assert Counted.reads == expected
    assert len(list(tmp_path.iterdir())) == 1
    store(Counted(), storage="mapped", key={"count": "another"}, cache=tmp_path)
    assert Counted.reads == 2 * COUNT


SLOW = """
import sys, time
sys.path.insert(0, {tests!r})
from test_sources import Numbers
from lightning_gans.datamodules.storage import store
class Slow(Numbers):
    def __getitem__(self, index):
        time.sleep(60 * (index > 5))
        return super().__getitem__(index)
store(Slow(), storage="mapped", key={{"count": {count}}}, cache={cache!r})
"""


def test_a_cache_whose_run_was_killed_is_built_anew(tmp_path: Path) -> None:
    code = SLOW.format(tests=str(Path(__file__).parent), count=COUNT, cache=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/image.npy")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(tmp_path.glob("*/image.npy"))
    with pytest.MonkeyPatch.context() as patch:  # a cache that a living process builds is left alone
        patch.setattr("lightning_gans.datamodules.mapped._build", lambda *_: (_ for _ in ()).throw(OSError("no space")))
        with pytest.raises(ValueError, match=r"`cache` .* cannot be written: no space"):
            source("mapped", tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.warns(UserWarning, match="is incomplete, since its run ended early: it is built anew"):
        built = source("mapped", tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert built.fingerprint() == source("memory", tmp_path).fingerprint()


def test_a_failure_while_a_cache_is_built_leaves_nothing(tmp_path: Path) -> None:
    class Broken(Numbers):
        def __getitem__(self, index: int) -> dict[str, Any]:
            if index == 20:
                raise ValueError("example 20 is damaged")
            return super().__getitem__(index)

    with pytest.raises(ValueError, match="example 20 is damaged"):
        source("mapped", tmp_path, Broken())
    assert not list(tmp_path.iterdir())


def test_the_storage_follows_from_the_size(tmp_path: Path) -> None:
    gigabytes = COUNT * (6 + 8) / 1e9
    options: dict[str, Any] = {"key": {}, "cache": tmp_path}
    assert store(Numbers(), memory_limit_gb=gigabytes, **options).storage == "memory"
    assert isinstance(store(Numbers(), memory_limit_gb=0.99 * gigabytes, **options), MappedSource)


# Data modules


class Stored(DataModule):
    """A data module whose examples are a map-style data set, or a source."""

    image_shape = (1, 2, 3)

    def __init__(self, kind: str, folder: Path, **options: Any) -> None:
        super().__init__(**{"batch_size": 4, "validation_size": 5, "horizontal_flip": True} | options)
        self.kind, self.folder = kind, folder

    def load(self) -> tuple[Source, Numbers]:
        return source(self.kind, self.folder), Numbers(6)


class Recorder(pl.LightningModule):
    """Record the images of training, and save a checkpoint after every batch."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.seen: list[Tensor] = []
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append(batch["image"])
        return self.weight.square()

    def validation_step(self, batch: Batch, batch_idx: int) -> None: ...

    def on_train_batch_end(self, *_: Any) -> None:
        self.trainer.save_checkpoint(self.folder / f"{self.trainer.global_step}.ckpt")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data: DataModule, folder: Path, ckpt_path: Path | None = None) -> list[Tensor]:
    """Train three epochs, and return the images."""
    model = Recorder(folder)
    options: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", **options)
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return model.seen


@pytest.mark.filterwarnings("ignore:Stored has changed")  # the checkpoints are of another storage
@pytest.mark.parametrize("kind", STORAGES)
def test_a_trainer_resumes_every_storage_exactly(kind: str, tmp_path: Path) -> None:
    cache, first, second = tmp_path / "cache", tmp_path / "first", tmp_path / "second"
    expected = fit(Stored("memory", cache), first)
    assert len(expected) == 12  # 18 training examples
    for step in (1, 2, 4, 5):  # the first, a middle and the last batch of an epoch, and the next epoch
        seen = fit(Stored(kind, cache), second, first / f"{step}.ckpt")
        torch.testing.assert_close(torch.stack(seen), torch.stack(expected[step:]), rtol=0, atol=0)
        again = fit(Stored(kind, cache), second, second / "7.ckpt")  # after a second resume
        torch.testing.assert_close(torch.stack(again), torch.stack(expected[7:]), rtol=0, atol=0)


@pytest.mark.parametrize("kind", STORAGES)
def test_the_splits_of_every_storage_are_equal(kind: str, tmp_path: Path) -> None:
    data, expected = Stored(kind, tmp_path), Stored("memory", tmp_path)
    assert data.sizes == {"train": 18, "validation": 5, "test": 6}
    for split in ("train", "validation", "test"):
        examples = data.examples(split, 4)
        torch.testing.assert_close(examples["image"], expected.examples(split, 4)["image"], rtol=0, atol=0)
        assert examples["image"].dtype == torch.float32
    assert data.storage == kind.rpartition(" ")[2]


@pytest.mark.parametrize("kind", STORAGES)
def test_the_batches_of_a_split_have_its_examples_only(kind: str, tmp_path: Path) -> None:
    data = Stored(kind, tmp_path, batch_size=6)
    seen = {
        split: sorted(chain(*(batch["label"].tolist() for batch in loader)))
        for split, loader in {"train": data.train_dataloader(), "validation": data.val_dataloader()}.items()
    }
    expected = {split: sorted(data.examples(split)["label"].tolist()) for split in ("train", "validation")}
    assert seen == expected
    assert sorted(chain(*seen.values())) == [10 * index for index in range(COUNT)]


def test_the_training_examples_are_moved_to_the_device_of_the_trainer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices: list[torch.device] = []
    monkeypatch.setattr(TensorSource, "to", lambda self, device: devices.append(device) or self)
    fit(Stored("memory", tmp_path), tmp_path)
    assert devices == [torch.device("cpu")]


def test_a_data_module_may_return_its_own_validation_split(tmp_path: Path) -> None:
    class Three(Stored):
        def load(self) -> tuple[Numbers, Numbers, Numbers]:  # type: ignore[override]
            return Numbers(9), Numbers(4), Numbers(5)

    data = Three("memory", tmp_path, validation_size=0)
    assert data.sizes == {"train": 9, "validation": 4, "test": 5}
    (batch,) = data.val_dataloader()
    assert batch["label"].tolist() == [0, 10, 20, 30]


class Changing(Stored):
    """A data module whose content can change."""

    def __init__(self, *, first: int = 0, count: int = COUNT) -> None:
        super().__init__("memory", Path())
        self.first, self.count = first, count

    def load(self) -> tuple[Source, Numbers]:
        examples = [Numbers()[index] for index in range(self.first, self.first + self.count)]
        return store(examples, key={}), Numbers(6)


def test_data_that_changed_since_a_checkpoint_are_reported(tmp_path: Path) -> None:
    fit(Changing(), tmp_path)
    state = torch.load(tmp_path / "4.ckpt", weights_only=True)["Changing"]
    data = Changing()
    data.load_state_dict(state)
    data.setup()  # the same data: no warning
    data = Changing(first=1)
    data.load_state_dict(state)
    with pytest.warns(UserWarning, match=r"Changing has changed since the checkpoint was saved \(fingerprint \w{32}"):
        data.setup()
    with pytest.warns(UserWarning, match="scores are not comparable, and a resumed run is not exact"):
        data.load_state_dict(state)


@pytest.mark.filterwarnings("error:.*has changed since the checkpoint")
def test_another_number_of_examples_is_refused_in_one_line(tmp_path: Path) -> None:
    fit(Changing(), tmp_path)
    data = Changing(count=COUNT - 1)
    data.load_state_dict(torch.load(tmp_path / "4.ckpt", weights_only=True)["Changing"])
    with pytest.raises(ValueError, match="the number of training examples sets the order of the data"):
        data.train_dataloader()


def test_a_data_set_that_fits_is_moved_to_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    free = [400]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free[0], 1000))
    moved: list[torch.device] = []

    def to(tensor: Tensor, device: torch.device) -> Tensor:
        moved.append(device)
        return tensor

    monkeypatch.setattr(Tensor, "to", to)
    whole = TensorSource({"image": torch.zeros(10, 10, dtype=torch.uint8)})  # 100 bytes, a quarter of 400
    part = Subset(whole, torch.arange(3))
    assert part.to(torch.device("cpu")).source is whole
    assert part.to(torch.device("cuda")).source is not whole
    assert moved == [torch.device("cuda")]
    free[0] = 399
    assert part.to(torch.device("cuda")).source is whole
