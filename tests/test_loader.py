"""Test `ResumableLoader`: every example once per epoch, disjoint ranks, and an exact resume from any state."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lightning_gans.datamodules import ResumableLoader
from lightning_gans.datamodules.sources import Source, TensorSource

EXAMPLES = 23


SOURCE = TensorSource({"image": torch.arange(EXAMPLES), "label": torch.arange(EXAMPLES) * 10})


def loader(source: Source = SOURCE, **options: Any) -> ResumableLoader:
    return ResumableLoader(source, **{"batch_size": 4, "shuffle": True, "drop_last": True, "seed": 3} | options)


def epoch(source: ResumableLoader) -> list[list[int]]:
    return [batch["image"].tolist() for batch in source]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("batch_size", [1, 4, 23])
def test_every_example_is_yielded_once_per_epoch(batch_size: int, drop_last: bool, shuffle: bool) -> None:
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
def test_ranks_divide_the_batches_of_a_single_process(world_size: int, shuffle: bool) -> None:
    ranks = [loader(batch_size=2, shuffle=shuffle, rank=rank, world_size=world_size) for rank in range(world_size)]
    single = loader(batch_size=2 * world_size, shuffle=shuffle)
    for _ in range(2):
        batches = [epoch(rank) for rank in ranks]
        assert [list(chain(*parts)) for parts in zip(*batches, strict=True)] == epoch(single)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_an_incomplete_last_batch_is_divided_equally(world_size: int) -> None:
    ranks = [
        loader(batch_size=2, shuffle=False, drop_last=False, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    batches = [epoch(rank) for rank in ranks]
    assert len({len(rank) for rank in ranks}) == 1
    assert len({tuple(map(len, rank_batches)) for rank_batches in batches}) == 1
    seen = sorted(chain(*chain(*batches)))
    assert len(seen) == len(set(seen))
    assert EXAMPLES - len(seen) == EXAMPLES % (2 * world_size) % world_size


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
def test_a_state_saved_at_any_batch_resumes_exactly(drop_last: bool, shuffle: bool) -> None:
    options = {"shuffle": shuffle, "drop_last": drop_last}
    source = loader(**options)
    length = len(source)
    uninterrupted = [batch for _ in range(3) for batch in epoch(source)]
    source, yielded = loader(**options), 0
    for _ in range(3):
        for _ in source:
            yielded += 1
            resumed = loader(**options)
            resumed.load_state_dict(source.state_dict())
            iter(resumed)  # Lightning may create several iterators before it requests a batch
            remaining = [batch for _ in range(3) for batch in epoch(resumed)][: 3 * length - yielded]
            assert remaining == uninterrupted[yielded:]


def test_a_state_has_plain_values_and_resumes_on_any_number_of_ranks() -> None:
    source = loader(batch_size=4)
    iterator = iter(source)
    next(iterator)
    state = source.state_dict()
    assert {type(value) for value in state.values()} == {int}
    ranks = [loader(batch_size=2, rank=rank, world_size=2) for rank in range(2)]
    for rank in ranks:
        rank.load_state_dict(state)
    expected = next(iterator)["image"].tolist()
    assert list(chain(*(next(iter(rank))["image"].tolist() for rank in ranks))) == expected


def test_an_abandoned_epoch_is_followed_by_the_next() -> None:
    abandoned, complete = loader(), loader()
    next(iter(abandoned))
    epoch(complete)
    assert epoch(abandoned) == epoch(complete)


def test_random_numbers_belong_to_the_batch_and_are_divided_in_the_same_way() -> None:
    single = loader(batch_size=4, drop_last=False)
    ranks = [loader(batch_size=2, drop_last=False, rank=rank, world_size=2) for rank in range(2)]
    all_numbers = []
    for batch, *rank_batches in zip(single, *ranks, strict=True):
        numbers = single.rand_per_example()
        assert numbers.shape == batch["image"].shape
        assert 0 <= numbers.min() <= numbers.max() < 1
        torch.testing.assert_close(single.rand_per_example(), numbers)
        count = sum(len(rank_batch["image"]) for rank_batch in rank_batches)  # two ranks drop an odd last example
        torch.testing.assert_close(torch.cat([rank.rand_per_example() for rank in ranks]), numbers[:count])
        resumed = loader(batch_size=4, drop_last=False)
        resumed.load_state_dict(single.state_dict())
        torch.testing.assert_close(resumed.rand_per_example(), numbers)
        all_numbers += numbers.tolist()
    assert len(set(all_numbers)) == EXAMPLES
    with pytest.raises(ValueError, match="has yielded none"):
        loader().rand_per_example()


def test_global_random_states_are_unchanged() -> None:
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
def test_arguments_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loader(**options)


def test_tensors_of_different_lengths_are_refused() -> None:
    tensors = {"image": torch.zeros(3), "label": torch.zeros(2)}
    with pytest.raises(ValueError, match=r"`tensors` must have equal lengths, got .*3.*2"):
        TensorSource(tensors)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (loader(seed=4), "saved with seed 4, but this loader has 3"),
        (loader(batch_size=5), "saved with batch_size 5, but this loader has 4"),
        (
            loader(TensorSource({"image": torch.zeros(9)})),
            "saved with examples 9, but this loader has 23",
        ),
    ],
)
def test_the_state_of_another_order_is_refused(other: ResumableLoader, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loader().load_state_dict(other.state_dict())


class Recorder(pl.LightningModule):
    """Record the batches of training."""

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
    uninterrupted = Recorder(save_after, path)
    fit(uninterrupted)
    source = loader()
    assert uninterrupted.seen == [batch for _ in range(3) for batch in epoch(source)]
    resumed = Recorder()
    fit(resumed, path)
    assert resumed.seen == uninterrupted.seen[save_after:]
