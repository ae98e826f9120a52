"""Test the pairs of examples: every candidate is drawn, and a draw depends on the seed and on its example only."""

from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor

from lightning_gans.datamodules.hashing import uniform_numbers
from lightning_gans.datamodules.loader import ResumableLoader
from lightning_gans.datamodules.pairs import Candidates, PairSource
from lightning_gans.datamodules.sources import TensorSource, WorkerSource

COUNTS = torch.tensor([1, 3, 2] * 8)
"""Number of captions of each image."""

OWNER = torch.repeat_interleave(torch.arange(len(COUNTS)), COUNTS)
"""Image of each caption."""


class Images:
    """A map-style data set of numbered images."""

    def __len__(self) -> int:
        return len(COUNTS)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": torch.tensor(index)}


def captioned(workers: int | None = None, *, drawn: bool = True) -> PairSource:
    """Pair image i with captions, which are their own indices."""
    images = (
        TensorSource({"image": torch.arange(len(COUNTS))})
        if workers is None
        else WorkerSource(Images(), num_workers=workers)
    )
    candidates = Candidates.consecutive(COUNTS)
    texts = TensorSource({"text": torch.arange(len(OWNER)), "image": torch.full((len(OWNER),), -1)})
    fixed = PairSource(images, texts, ("text",), candidates, fixed=candidates.first())
    return fixed.drawn() if drawn else fixed


def loader(source: PairSource | None = None, **options: int) -> ResumableLoader:
    return ResumableLoader(
        captioned() if source is None else source,
        **{"batch_size": 4, "shuffle": True, "drop_last": True, "seed": 3, **options},  # type: ignore[arg-type]
    )


def epoch(batches: ResumableLoader) -> list[tuple[list[int], list[int]]]:
    return [(batch["image"].tolist(), batch["text"].tolist()) for batch in batches]


# Numbers


def test_the_numbers_of_indices_are_uniform_and_independent_between_seeds() -> None:
    first, second = (uniform_numbers(seed, torch.arange(20_000)) for seed in (0, 1))
    for numbers in (first, second):
        assert numbers.min() >= 0
        assert numbers.max() < 1
        assert stats.kstest(numbers.numpy(), "uniform").pvalue > 0.01
    assert abs(stats.pearsonr(first.numpy(), second.numpy()).statistic) < 4 / 20_000**0.5
    assert abs(stats.pearsonr(first[1:].numpy(), first[:-1].numpy()).statistic) < 4 / 20_000**0.5


def test_the_numbers_are_those_of_splitmix64() -> None:
    def mix(value: int) -> int:
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
        return value ^ value >> 31

    seed, index = 2**32 - 1, 123_456_789
    expected = (mix((mix(seed) + index * 0x9E3779B97F4A7C15) % 2**64) >> 11) / 2**53
    assert uniform_numbers(seed, torch.tensor([index])).item() == expected


# Candidates


@pytest.mark.parametrize("make", [lambda: Candidates.consecutive(COUNTS), lambda: Candidates.same_label(OWNER, OWNER)])
def test_every_candidate_is_drawn_about_equally_often(make: Callable[[], Candidates]) -> None:
    candidates = make()
    example = int(candidates.counts.argmax())
    drawn = [int(candidates.draw(torch.tensor([example]), seed)) for seed in range(3000)]
    counts = torch.bincount(torch.tensor(drawn))
    counts = counts[counts > 0]
    assert len(counts) == candidates.counts[example]
    assert stats.chisquare(counts.numpy()).pvalue > 0.001


def test_a_partner_has_the_label_of_its_example() -> None:
    labels = torch.randint(5, (300,))
    partner_labels = torch.cat([torch.arange(5), torch.randint(-1, 5, (40,))])
    candidates = Candidates.same_label(labels, partner_labels)
    for seed in range(20):
        assert torch.equal(partner_labels[candidates.draw(torch.arange(300), seed)], labels)
    assert torch.equal(partner_labels[candidates.first()], labels)


def test_labels_without_a_partner_are_refused() -> None:
    with pytest.raises(ValueError, match=r"but these have none: \[-1, 2\]$"):
        Candidates.same_label(torch.tensor([0, 2, -1]), torch.tensor([0, 1, -1]))


# The source


def test_a_pair_belongs_together_and_keeps_the_other_keys_of_its_example() -> None:
    batches = epoch(loader())
    assert sorted(image for images, _ in batches for image in images) == list(range(len(COUNTS)))
    for images, texts in batches:
        assert OWNER[texts].tolist() == images


def test_every_epoch_draws_other_captions() -> None:
    batches = loader()
    drawn = [{image: text for pairs in epoch(batches) for image, text in zip(*pairs, strict=True)} for _ in range(12)]
    assert {epoch[0] for epoch in drawn} == {0}
    for image in (1, 2):
        assert {epoch[image] for epoch in drawn} == set(torch.nonzero(image == OWNER)[:, 0].tolist())


def test_fixed_pairs_are_the_same_in_every_epoch() -> None:
    fixed = loader(captioned(drawn=False), seed=0)
    pairs = [sorted(pair for batch in epoch(fixed) for pair in zip(*batch, strict=True)) for _ in range(2)]
    first = Candidates.consecutive(COUNTS).first().tolist()
    assert pairs[0] == pairs[1] == list(enumerate(first))


def test_pairs_do_not_depend_on_the_number_of_workers() -> None:
    expected = epoch(loader())
    for workers in (0, 2):
        assert epoch(loader(captioned(workers))) == expected


def test_pairs_are_resumed_exactly_from_every_batch() -> None:
    whole = loader()
    expected = [epoch(whole) for _ in range(3)]
    for position in range(len(whole) + 1):
        started = loader()
        batches = iter(started)
        for _ in range(position):
            next(batches)
        resumed = loader()
        resumed.load_state_dict(started.state_dict())
        rest = epoch(resumed) if position < len(whole) else []
        assert rest == expected[0][position:]
        assert [epoch(resumed), epoch(resumed)] == expected[1:]


def test_two_ranks_divide_the_pairs_of_one() -> None:
    ranks = [epoch(loader(batch_size=2, rank=rank, world_size=2)) for rank in range(2)]
    joined = [(first[0] + second[0], first[1] + second[1]) for first, second in zip(*ranks, strict=True)]
    assert joined == epoch(loader())


def test_the_fingerprint_covers_examples_partners_and_candidates() -> None:
    candidates = Candidates.consecutive(torch.tensor([1, 2]))
    images, texts = (
        TensorSource({key: torch.tensor(values)}) for key, values in (("image", [1, 2]), ("text", [1, 2, 3]))
    )
    other_texts = TensorSource({"text": torch.tensor([1, 2, 4])})
    sources = [
        PairSource(images, texts, ("text",), candidates, fixed=candidates.first()),
        PairSource(images, texts, ("text",), candidates, fixed=torch.tensor([0, 2])),
        PairSource(images, texts, ("text",), Candidates.consecutive(torch.tensor([2, 1])), fixed=candidates.first()),
        PairSource(images, other_texts, ("text",), candidates, fixed=candidates.first()),
        PairSource(
            TensorSource({"image": torch.tensor([1, 3])}), texts, ("text",), candidates, fixed=candidates.first()
        ),
    ]
    assert len({source.fingerprint() for source in sources}) == len(sources)


def test_drawing_changes_no_global_random_state() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        states.append(torch.rand(1))
        epoch(loader())
        states.append(torch.rand(1))
    torch.manual_seed(0)
    assert [state.item() for state in states] == torch.rand(2).tolist() * 2
