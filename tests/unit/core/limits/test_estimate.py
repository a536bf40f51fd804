"""Guesses: the worst case until something is learnt, then what most calls stay below."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from outlay.core.limits.estimate import MAX_VALUE, MIN_SAMPLES, Estimator


def learnt(*values: int) -> Estimator:
    estimator = Estimator()
    for value in values:
        estimator.learn("k", value)
    return estimator


def test_the_worst_case_is_held_until_enough_was_learnt() -> None:
    few = learnt(*[100] * (MIN_SAMPLES - 1))
    assert few.guess("k", 4096) == 4096
    assert few.guess("other", 4096) == 4096
    few.learn("k", 100)
    assert few.guess("k", 4096) == 100
    assert few.samples("k") == MIN_SAMPLES


def test_a_guess_leaves_room_for_what_varies() -> None:
    steady, varied = learnt(*[100] * 20), learnt(*[50, 150] * 10)
    assert steady.guess("k", 4096) == 100
    assert 150 <= varied.guess("k", 4096) <= 250


def test_what_changes_is_learnt_anew() -> None:
    estimator = learnt(*[1000] * 50, *[10] * 60)
    assert estimator.guess("k", 4096) < 50
    for _ in range(30):
        estimator.learn("k", 2000)
    assert estimator.guess("k", 4096) >= 1900


def test_most_calls_of_a_spread_stay_below_their_guess() -> None:
    rng = random.Random(7)
    estimator, below = Estimator(), 0
    for n in range(2000):
        actual = int(rng.lognormvariate(6, 0.6))
        below += n >= 100 and actual <= estimator.guess("k", 100_000)
        estimator.learn("k", actual)
    assert below / 1900 > 0.9


def test_a_guess_is_at_least_one_and_nothing_only_where_nothing_is_possible() -> None:
    nothing = learnt(0, 0, 0, 0)
    assert nothing.guess("k", 4096) == 1
    assert nothing.guess("k", 0) == 0
    assert nothing.guess("k", -5) == 0


def test_keys_are_bounded_and_the_one_not_learnt_for_longest_goes() -> None:
    estimator = Estimator(max_keys=2)
    for key in ("a", "b", "a", "c"):
        estimator.learn(key, 1)
    assert len(estimator) == 2
    assert [estimator.samples(key) for key in "abc"] == [2, 0, 1]


@given(st.lists(st.integers(-(10**20), 10**20), max_size=40), st.integers(0, 10**12))
def test_a_guess_is_never_above_the_worst_case(values: list[int], worst: int) -> None:
    guess = learnt(*values).guess("k", worst)
    assert (1 if worst else 0) <= guess <= worst
    assert learnt(*values).guess("k", MAX_VALUE) <= MAX_VALUE
