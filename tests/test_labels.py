"""Test data with few labels: the draw of the labels, and their mixture into the batches."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_gans import datamodules
from lightning_gans.datamodules import DataModule, Digits
from lightning_gans.datamodules.labels import draw_labeled
from lightning_gans.datamodules.sources import WorkerSource
from lightning_gans.types import Batch


class Numbered(DataModule):
    """40 training images of three classes and their numbers, of which every fifth has no label."""

    image_shape = (1, 1, 1)
    levels = None
    class_names = ("a", "b", "c")

    def __init__(self, *, in_memory: bool = True, **options: Any) -> None:
        super().__init__(**{"batch_size": 8, "validation_size": 4, **options})
        self.in_memory = in_memory

    def load(self) -> tuple[Any, Any]:
        number = torch.arange(44)
        label = torch.where(number % 5 > 0, number % 3, -1)
        examples: Batch = {"image": number.float().view(-1, 1, 1, 1), "label": label}
        rows = [{key: tensor[i] for key, tensor in examples.items()} for i in range(44)]  # type: ignore[attr-defined]
        return (examples if self.in_memory else WorkerSource(rows)), examples


def labels(data: DataModule) -> dict[int, int]:
    """Return the label of each training image that has one, by its number."""
    batch = data.examples("train")
    return {int(i): int(y) for i, y in zip(batch["image"], batch["label"], strict=True) if y >= 0}


def epoch(data: DataModule, **state: Any) -> list[Batch]:
    loader = data.train_dataloader()
    if state:
        loader.load_state_dict(state)
    return list(loader)  # type: ignore[arg-type]


def numbers(batches: list[Batch]) -> list[list[int]]:
    return [batch["image"].flatten().long().tolist() for batch in batches]


# The draw


def test_every_class_keeps_its_number_of_true_labels_and_held_out_labels_are_unchanged() -> None:
    complete, few = Numbered(), Numbered(labels_per_class=2)
    assert Counter(labels(few).values()) == {0: 2, 1: 2, 2: 2}
    assert labels(few).items() <= labels(complete).items()
    assert torch.equal(few.examples("train")["image"], complete.examples("train")["image"])
    for split in ("validation", "test"):
        assert torch.equal(few.examples(split)["label"], complete.examples(split)["label"])


def test_the_draw_depends_on_the_seed_only_and_a_smaller_draw_is_a_part_of_a_larger_one() -> None:
    draw = labels(Numbered(labels_per_class=3, seed=5))
    assert draw == labels(Numbered(labels_per_class=3, seed=5, batch_size=4, in_memory=False))
    assert draw != labels(Numbered(labels_per_class=3, seed=6))
    assert labels(Numbered(labels_per_class=2, seed=5)).items() < draw.items()


def test_a_draw_is_the_same_on_every_machine_and_in_every_release() -> None:
    # numpy.random.RandomState(0).permutation(10) is 2 8 4 9 1 6 7 3 0 5, which NumPy guarantees not to change
    assert draw_labeled(torch.arange(10) % 2, 2, num_classes=2, seed=0).tolist() == [1, 2, 8, 9]


def test_no_labels_and_all_labels_are_possible() -> None:
    assert labels(Numbered(labels_per_class=0)) == {}
    assert labels(Numbered()) == {i: i % 3 for i in labels(Numbered())}


def test_other_labels_have_another_fingerprint() -> None:
    variants: list[dict[str, Any]] = [{}, {"labels_per_class": 1}, {"labels_per_class": 2}, {"labels_per_class": 0}]
    fingerprints = [Numbered(**options).fingerprint() for options in variants]
    assert len(set(fingerprints)) == 4
    assert fingerprints == [Numbered(**options).fingerprint() for options in variants]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"labels_per_class": -1}, "`labels_per_class` must be at least 0, or None for all labels, got -1"),
        ({"labels_per_class": 99}, r"`labels_per_class` must be at most \d+, the number of training examples of class"),
    ],
)
def test_an_impossible_draw_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Numbered(**options).setup()


def test_data_without_classes_are_refused() -> None:
    data = Numbered(labels_per_class=1)
    data.class_names = None
    with pytest.raises(ValueError, match="`labels_per_class` is 1, but the data have no classes"):
        data.setup()


def test_every_data_module_with_classes_takes_labels_per_class() -> None:
    from lightning_gans.signatures import arguments

    names = [name for name in datamodules.__all__ if name.endswith(("MNIST", "CIFAR10", "Digits", "Folder", "Sprites"))]
    assert len(names) >= 8
    for name in [*names, "Toy2D"]:
        assert {"labels_per_class", "labeled_per_batch"} <= arguments(name).keys(), name


# The mixture


def test_each_batch_has_the_labeled_examples_and_each_example_is_used_once_per_epoch_as_another() -> None:
    data = Numbered(labels_per_class=1, labeled_per_batch=3)
    labeled = set(labels(data))
    batches = epoch(data)
    assert len(batches) == 40 // 5
    for batch in batches:
        assert len(batch["image"]) == 8
        assert (batch["label"] >= 0).sum() >= 3
    counts = Counter(number for batch in numbers(batches) for number in batch)
    assert len(counts) == 40
    assert {number for number, count in counts.items() if count > 1} == labeled
    assert {counts[number] for number in labeled} == {1 + 8}  # 8 batches of 3 labeled examples, of which there are 3


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_divide_the_mixed_batches_of_one_process(world_size: int) -> None:
    from lightning_gans.datamodules.labels import mix_labeled
    from lightning_gans.datamodules.loader import ResumableLoader

    source = Numbered(labels_per_class=2).source("train")

    def batches(rank: int, count: int) -> list[dict[str, Tensor]]:
        mixture = mix_labeled(source, 4, batch_size=8)
        options: dict[str, Any] = {"shuffle": True, "drop_last": True, "rank": rank, "world_size": count}
        return list(ResumableLoader(source, batch_size=8 // count, mixture=mixture, **options))

    parts = [batches(rank, world_size) for rank in range(world_size)]
    for whole, *ranks in zip(batches(0, 1), *parts, strict=True):
        assert torch.equal(whole["image"], torch.cat([part["image"] for part in ranks]))
        assert all((part["label"] >= 0).sum() >= 4 // world_size for part in ranks)


@pytest.mark.parametrize("position", [0, 3, 7])
def test_a_mixed_epoch_is_resumed_exactly(position: int) -> None:
    options: dict[str, Any] = {"labels_per_class": 2, "labeled_per_batch": 3, "seed": 4}
    loader = Numbered(**options).train_dataloader()
    list(loader)  # the first epoch
    iterator = iter(loader)
    for _ in range(position):
        next(iterator)
    state = loader.state_dict()
    expected = numbers(list(iterator))  # type: ignore[arg-type]
    assert numbers(epoch(Numbered(**options), **state)) == expected


def test_epochs_differ_in_both_orders() -> None:
    loader = Numbered(labels_per_class=3, labeled_per_batch=4).train_dataloader()
    first, second = numbers(list(loader)), numbers(list(loader))  # type: ignore[arg-type]
    for rows in (slice(0, None, 2), slice(1, None, 2)):  # others, and labeled examples
        assert [batch[rows] for batch in first] != [batch[rows] for batch in second]


def test_a_resume_with_another_mixture_is_refused() -> None:
    state = Numbered(labels_per_class=2, labeled_per_batch=3).train_dataloader().state_dict()
    with pytest.raises(ValueError, match="`labeled_per_batch` sets the order of the data, which was saved with"):
        Numbered(labels_per_class=2, labeled_per_batch=2).train_dataloader().load_state_dict(state)


def test_without_any_label_nothing_is_mixed() -> None:
    plain, mixed = Numbered(labels_per_class=0), Numbered(labels_per_class=0, labeled_per_batch=3)
    assert numbers(epoch(mixed)) == numbers(epoch(plain))


@pytest.mark.parametrize("count", [0, 8, 9])
def test_a_share_that_leaves_no_room_is_refused(count: int) -> None:
    with pytest.raises(
        ValueError, match=f"`labeled_per_batch` must be at least 1 and below `batch_size` 8, got {count}"
    ):
        Numbered(labeled_per_batch=count).train_dataloader()


def test_hidden_labels_are_hidden_from_training_with_and_without_worker_processes(tmp_path: Path) -> None:
    for in_memory in (True, False):
        batches = epoch(Numbered(labels_per_class=1, in_memory=in_memory))
        assert sum(int((batch["label"] >= 0).sum()) for batch in batches) == 3


def test_digits_have_the_same_labels_as_few_and_as_complete_data() -> None:
    few, complete = Digits(labels_per_class=5).examples("train"), Digits().examples("train")
    kept = few["label"] >= 0
    assert torch.bincount(few["label"][kept]).tolist() == [5] * 10
    assert torch.equal(few["label"][kept], complete["label"][kept])
