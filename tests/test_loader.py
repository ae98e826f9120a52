"""The loader: every example once per epoch, the ranks share it, and any state continues exactly."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lightning_gans.datamodules.loader import InMemoryLoader

EXAMPLES = 23


def loader(**options: Any) -> InMemoryLoader:
    tensors = {"image": torch.arange(EXAMPLES), "label": torch.arange(EXAMPLES) * 10}
    return InMemoryLoader(tensors, **{"batch_size": 4, "shuffle": True, "drop_last": True, "seed": 3} | options)


def epoch(source: InMemoryLoader) -> list[list[int]]:
    return [batch["image"].tolist() for batch in source]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("batch_size", [1, 4, 23])
def test_every_example_comes_once_per_epoch(batch_size: int, drop_last: bool, shuffle: bool) -> None:
    source = loader(batch_size=batch_size, drop_last=drop_last, shuffle=shuffle)
    for _ in range(3):
        batches = epoch(source)
        seen = sorted(chain(*batches))
        assert len(batches) == len(source)
        assert len(set(seen)) == len(seen) == (EXAMPLES // batch_size * batch_size if drop_last else EXAMPLES)
        assert set(seen) <= set(range(EXAMPLES))


def test_the_tensors_of_a_batch_belong_together() -> None:
    for batch in loader():
        torch.testing.assert_close(batch["label"], batch["image"] * 10)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    first, again, other = loader(), loader(), loader(seed=4)
    epochs = [epoch(first) for _ in range(3)]
    assert epochs == [epoch(again) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != epoch(other)


def test_without_shuffling_every_epoch_is_in_order() -> None:
    source = loader(shuffle=False, drop_last=False)
    assert list(chain(*epoch(source))) == list(range(EXAMPLES))
    next(iter(source))
    assert list(chain(*epoch(source))) == list(range(EXAMPLES))


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("shuffle", [True, False])
def test_ranks_share_the_batches_of_one_process(world_size: int, shuffle: bool) -> None:
    ranks = [loader(batch_size=2, shuffle=shuffle, rank=rank, world_size=world_size) for rank in range(world_size)]
    one = loader(batch_size=2 * world_size, shuffle=shuffle)
    for _ in range(2):
        shares = [epoch(rank) for rank in ranks]
        assert [list(chain(*parts)) for parts in zip(*shares, strict=True)] == epoch(one)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_a_short_last_batch_is_shared_equally(world_size: int) -> None:
    ranks = [
        loader(batch_size=2, shuffle=False, drop_last=False, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    shares = [epoch(rank) for rank in ranks]
    assert len({len(rank) for rank in ranks}) == 1
    assert len({tuple(map(len, share)) for share in shares}) == 1
    seen = sorted(chain(*chain(*shares)))
    assert len(seen) == len(set(seen))
    assert EXAMPLES - len(seen) == EXAMPLES % (2 * world_size) % world_size


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
def test_a_state_saved_anywhere_continues_exactly(drop_last: bool, shuffle: bool) -> None:
    options = {"shuffle": shuffle, "drop_last": drop_last}
    source = loader(**options)
    length = len(source)
    uninterrupted = [batch for _ in range(3) for batch in epoch(source)]
    source, delivered = loader(**options), 0
    for _ in range(3):
        for _ in source:
            delivered += 1
            resumed = loader(**options)
            resumed.load_state_dict(source.state_dict())
            iter(resumed)  # Lightning may ask more than once before it takes a batch
            rest = [batch for _ in range(3) for batch in epoch(resumed)][: 3 * length - delivered]
            assert rest == uninterrupted[delivered:]


def test_a_state_is_plain_and_continues_on_any_number_of_ranks() -> None:
    source = loader(batch_size=4)
    iterator = iter(source)
    next(iterator)
    state = source.state_dict()
    assert {type(value) for value in state.values()} == {int}
    halves = [loader(batch_size=2, rank=rank, world_size=2) for rank in range(2)]
    for half in halves:
        half.load_state_dict(state)
    expected = next(iterator)["image"].tolist()
    assert list(chain(*(next(iter(half))["image"].tolist() for half in halves))) == expected


def test_an_abandoned_epoch_is_followed_by_the_next() -> None:
    source, whole = loader(), loader()
    next(iter(source))
    epoch(whole)
    assert epoch(source) == epoch(whole)


def test_uniform_numbers_belong_to_the_batch_and_are_shared_out_like_it() -> None:
    one = loader(batch_size=4, drop_last=False)
    ranks = [loader(batch_size=2, drop_last=False, rank=rank, world_size=2) for rank in range(2)]
    drawn = []
    for batch, *shares in zip(one, *ranks, strict=True):
        numbers = one.rand_per_example()
        assert numbers.shape == batch["image"].shape
        assert 0 <= numbers.min() <= numbers.max() < 1
        torch.testing.assert_close(one.rand_per_example(), numbers)
        count = sum(len(share["image"]) for share in shares)  # one process keeps the odd one out
        torch.testing.assert_close(torch.cat([rank.rand_per_example() for rank in ranks]), numbers[:count])
        resumed = loader(batch_size=4, drop_last=False)
        resumed.load_state_dict(one.state_dict())
        torch.testing.assert_close(resumed.rand_per_example(), numbers)
        drawn += numbers.tolist()
    assert len(set(drawn)) == EXAMPLES
    with pytest.raises(ValueError, match="has yielded none"):
        loader().rand_per_example()


def test_no_global_random_stream_is_moved() -> None:
    torch.manual_seed(0)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    source = loader()
    for _ in source:
        source.rand_per_example()
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_before, np.random.get_state()[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"batch_size": 24}, "`batch_size` 24 on 1 processes needs at least 24 examples for a batch, got 23"),
        ({"rank": 2, "world_size": 2}, "`rank` must be at least 0 and less than `world_size` 2, got 2"),
    ],
)
def test_what_cannot_be_loaded_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loader(**options)


def test_tensors_of_different_lengths_are_refused() -> None:
    tensors = {"image": torch.zeros(3), "label": torch.zeros(2)}
    with pytest.raises(ValueError, match=r"`tensors` must have equal lengths, got .*3.*2"):
        InMemoryLoader(tensors, batch_size=1, shuffle=False, drop_last=False)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (loader(seed=4), "saved with seed 4, but this loader has 3"),
        (loader(batch_size=5), "saved with batch_size 5, but this loader has 4"),
        (
            InMemoryLoader({"image": torch.zeros(9)}, batch_size=4, shuffle=True, drop_last=True, seed=3),
            "saved with examples 9, but this loader has 23",
        ),
    ],
)
def test_the_state_of_another_order_is_refused(other: InMemoryLoader, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loader().load_state_dict(other.state_dict())


class Recorder(pl.LightningModule):
    """Note the batches seen."""

    def __init__(self, save_after: int | None = None, path: Path | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[list[int]] = []
        self.save_after, self.path = save_after, path

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        self.seen.append(batch["image"].tolist())
        return self.weight.square()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None: ...

    def on_train_batch_end(self, *_: Any) -> None:
        if len(self.seen) == self.save_after:
            self.trainer.save_checkpoint(self.path)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(model: Recorder, ckpt_path: Path | None = None) -> None:
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    validation = loader(shuffle=False, drop_last=False)
    trainer.fit(model, loader(), validation, ckpt_path=ckpt_path, weights_only=True)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*smaller than the logging interval.*")
@pytest.mark.parametrize("save_after", [1, 3, 4, 5, 7, 10])  # an epoch has 5 batches
def test_a_trainer_resumes_exactly(tmp_path: Path, save_after: int) -> None:
    path = tmp_path / "some.ckpt"
    whole = Recorder(save_after, path)
    fit(whole)
    source = loader()
    assert whole.seen == [batch for _ in range(3) for batch in epoch(source)]
    resumed = Recorder()
    fit(resumed, path)
    assert resumed.seen == whole.seen[save_after:]
