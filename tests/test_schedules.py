"""Schedules as pure functions of the images seen."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest

from lightning_gans.core.recording import deserialize, serialize
from lightning_gans.core.schedules import Cosine, Exponential, Linear, Schedule, value_at

SCHEDULES = [
    Linear(1.0, 0.25, images=1000, delay=200),
    Cosine(1.0, 0.25, images=1000, delay=200),
    Exponential(1.0, half_life=500, floor=0.25),
]


def test_linear_is_linear_between_its_ends_and_constant_outside() -> None:
    schedule = Linear(2.0, 4.0, images=100, delay=50)
    assert [schedule(images) for images in (0, 50, 75, 100, 150, 10**9)] == [2.0, 2.0, 2.5, 3.0, 4.0, 4.0]


def test_cosine_has_its_closed_form() -> None:
    schedule = Cosine(3.0, 1.0, images=12)
    for images in range(13):
        assert schedule(images) == pytest.approx(2.0 + math.cos(math.pi * images / 12))
    assert schedule(100) == pytest.approx(1.0)


def test_exponential_halves_down_to_its_floor() -> None:
    schedule = Exponential(8.0, half_life=10, floor=0.9)
    assert [schedule(images) for images in (0, 10, 20, 30, 40, 1000)] == [8.0, 4.0, 2.0, 1.0, 0.9, 0.9]


def test_the_authors_decay_per_update_is_the_half_life_of_the_recipe() -> None:
    """Compare with `mnist.yaml` of the first GAN, which divides by 1.000004 after each batch of 100."""
    schedule = Exponential(0.1, half_life=17_328_715, floor=1e-6)
    assert 100 * math.log(2) / math.log(1.000004) == pytest.approx(17_328_715, abs=1)
    for updates in (1, 1000, 125_000, 1_000_000):
        assert schedule(100 * updates) == pytest.approx(0.1 / 1.000004**updates, rel=1e-6)
    assert schedule(10**9) == 1e-6


def test_the_authors_momentum_rises_over_250_epochs() -> None:
    schedule = Linear(0.5, 0.7, images=250 * 50_000)
    assert [schedule(epoch * 50_000) for epoch in (0, 125, 250, 300)] == pytest.approx([0.5, 0.6, 0.7, 0.7])


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_a_schedule_has_no_state(schedule: Schedule) -> None:
    images = [700, 0, 10**7, 250, 700]
    values = [schedule(count) for count in images]
    assert values == [schedule(count) for count in images]
    assert values[0] == values[-1]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_these_schedules_never_rise(schedule: Schedule) -> None:
    values = [schedule(images) for images in range(0, 3000, 7)]
    assert values[0] == 1.0
    assert values[-1] == pytest.approx(0.25)
    assert all(later <= earlier for earlier, later in pairwise(values))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_a_schedule_is_rebuilt_from_its_record(schedule: Schedule) -> None:
    rebuilt = deserialize(serialize(schedule))
    assert type(rebuilt) is type(schedule)
    assert [rebuilt(images) for images in (0, 333, 5000)] == [schedule(images) for images in (0, 333, 5000)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(1.0, 0.0, images=0), "`images` must be at least 1, got 0"),
        (lambda: Cosine(1.0, 0.0, images=-5), "`images` must be at least 1, got -5"),
        (lambda: Exponential(1.0, half_life=0), "`half_life` must be above 0, got 0"),
    ],
)
def test_numbers_out_of_range_are_refused(make: Callable[[], Schedule], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_schedule_shows_its_arguments() -> None:
    assert repr(Linear(1.0, 0.0, images=10)) == "Linear(start=1.0, end=0.0, images=10)"


def test_a_number_is_a_constant_schedule() -> None:
    assert value_at(3.0, 10) == 3.0
    assert value_at(Exponential(2.0, half_life=10), 10) == 1.0
