"""Counters that forget: rolling windows, rates, and a change from one to the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.limits.counting import (
    ROLLING_BUCKETS,
    STEP_BACK_US,
    bucket_us,
    change_meter,
    forget,
)
from outlay.core.limits.desk import Desk
from outlay.core.limits.holds import Counter, Meter
from tests.unit.core.limits.desk_rows import (
    NOW,
    SECOND,
    key,
    need,
    post,
    reserve,
    settle,
    stands,
)

ROLLING = Meter("rolling", 60 * SECOND)
RATE = Meter("rate", 60 * SECOND, 60)
AT = NOW - NOW % SECOND


def used(desk: Desk, at: int, meter: Meter) -> int:
    """Return what a call that needs nothing sees at a time."""
    return reserve(desk, f"look{at}", need(0, None, meter=meter), at=at).stands[0].used


def test_a_rolling_window_forgets_after_its_length_and_never_before() -> None:
    desk = Desk({}, {})
    post(desk, "", 40, at=AT, meter=ROLLING)
    post(desk, "", 2, at=AT + 30 * SECOND, meter=ROLLING)
    step = bucket_us(ROLLING)
    assert step == 60 * SECOND // ROLLING_BUCKETS
    assert used(desk, AT + 60 * SECOND + step - 1, ROLLING) == 42
    assert used(desk, AT + 60 * SECOND + step, ROLLING) == 2
    assert used(desk, AT + 90 * SECOND + step, ROLLING) == 0


def test_what_comes_after_its_window_is_over_does_not_count() -> None:
    desk = Desk({}, {})
    used(desk, AT, ROLLING)
    post(desk, "", 40, at=AT - 62 * SECOND, meter=ROLLING)
    assert stands(desk) == (0, 0)
    post(desk, "", 40, at=AT - 58 * SECOND, meter=ROLLING)
    assert stands(desk) == (40, 0)


def test_a_correction_of_what_is_forgotten_takes_nothing_from_others() -> None:
    desk = Desk({}, {})
    reserve(desk, "h", need(50, meter=ROLLING), at=AT)
    settle(desk, "h", 50, at=AT)
    post(desk, "", 9, at=AT + 90 * SECOND, meter=ROLLING)
    assert used(desk, AT + 90 * SECOND, ROLLING) == 9
    post(desk, "h", 30, at=AT, meter=ROLLING)
    assert stands(desk) == (9, 0)


def test_a_correction_takes_back_no_more_than_there_is() -> None:
    desk = Desk({}, {})
    post(desk, "", 9, at=AT, meter=ROLLING)
    post(desk, "", -20, at=AT, meter=ROLLING)
    assert stands(desk) == (0, 0)
    post(desk, "", 9, at=AT, meter=RATE)
    post(desk, "", -20, at=AT, meter=RATE)
    assert stands(desk) == (0, 0)


def test_a_rate_leaks_evenly_and_loses_no_part_of_a_unit() -> None:
    desk = Desk({}, {})
    post(desk, "", 60, at=AT, meter=RATE)
    for n in range(1, 31):
        forget(desk.counters[key().counter_id], AT + n * SECOND // 3)
    assert stands(desk) == (50, 0)
    assert used(desk, AT + 59 * SECOND, RATE) == 1
    assert used(desk, AT + 60 * SECOND, RATE) == 0


def test_a_burst_is_allowed_at_once_and_then_as_fast_as_it_leaks() -> None:
    desk = Desk({}, {})
    assert reserve(desk, "h1", need(20, 20, meter=RATE), at=AT).status == "ok"
    settle(desk, "h1", 20, at=AT)
    assert reserve(desk, "h2", need(1, 20, meter=RATE), at=AT + SECOND - 1).status == "over"
    assert reserve(desk, "h3", need(1, 20, meter=RATE), at=AT + SECOND).status == "ok"


def test_an_event_that_is_late_by_more_than_the_span_is_no_news_to_a_rate() -> None:
    desk = Desk({}, {})
    used(desk, AT, RATE)
    post(desk, "", 40, at=AT - 60 * SECOND, meter=RATE)
    assert stands(desk) == (0, 0)
    post(desk, "", 40, at=AT - 60 * SECOND + 1, meter=RATE)
    assert stands(desk) == (40, 0)


def test_a_clock_that_steps_back_forgets_nothing_and_leaks_nothing_twice() -> None:
    desk = Desk({}, {})
    post(desk, "", 60, at=AT, meter=RATE)
    assert used(desk, AT + 10 * SECOND, RATE) == 50
    assert used(desk, AT + 5 * SECOND, RATE) == 50
    assert used(desk, AT + 11 * SECOND, RATE) == 49


def test_a_changed_rate_leaks_by_the_old_one_up_to_the_change() -> None:
    desk = Desk({}, {})
    post(desk, "", 60, at=AT, meter=RATE)
    faster = Meter("rate", 60 * SECOND, 600)
    assert used(desk, AT + 10 * SECOND, faster) == 50
    assert used(desk, AT + 12 * SECOND, faster) == 30


def test_what_is_used_stays_when_a_limit_becomes_a_rolling_one_and_is_forgotten_in_time() -> None:
    desk = Desk({}, {})
    post(desk, "", 60, at=AT, meter=RATE)
    assert used(desk, AT, ROLLING) == 60
    assert used(desk, AT + 60 * SECOND, ROLLING) == 60
    assert used(desk, AT + 61 * SECOND, ROLLING) == 0


def test_a_rolling_limit_that_becomes_a_rate_leaks() -> None:
    counter = Counter(key(), ROLLING, used=60, buckets={AT: 60}, as_of=AT)
    change_meter(counter, RATE, AT + SECOND)
    assert (counter.used, counter.buckets) == (60, {})
    forget(counter, AT + 11 * SECOND)
    assert counter.used == 50


steps = st.lists(st.tuples(st.integers(-30, 90), st.integers(-40, 40)), min_size=1, max_size=30)


@given(steps)
def test_a_rolling_window_is_the_sum_of_its_steps_and_never_negative(
    moves: list[tuple[int, int]],
) -> None:
    desk, at = Desk({}, {}), AT
    for seconds, amount in moves:
        at += seconds * SECOND
        post(desk, "", amount, at=at, meter=ROLLING)
        counter = desk.counters[key().counter_id]
        assert counter.used == sum(counter.buckets.values())
        assert min(counter.buckets.values(), default=0) >= 0
        assert len(counter.buckets) <= 2 * ROLLING_BUCKETS + 2


@given(st.lists(st.tuples(st.integers(0, 120_000_000), st.integers(0, 50)), max_size=30))
def test_a_rate_lets_through_its_burst_and_what_has_leaked(moves: list[tuple[int, int]]) -> None:
    desk, at, through = Desk({}, {}), AT, 0
    for number, (passed, amount) in enumerate(moves):
        at += passed
        if reserve(desk, f"h{number}", need(amount, 20, meter=RATE), at=at).status == "ok":
            settle(desk, f"h{number}", amount, at=at)
            through += amount
        assert 0 <= stands(desk)[0] <= 20
    assert through <= 20 + RATE.amount * (at - AT) // RATE.span_us + 1


@pytest.mark.parametrize("meter", [ROLLING, RATE], ids=["rolling", "rate"])
def test_after_a_clock_was_set_back_usage_counts_and_is_forgotten_again(meter: Meter) -> None:
    desk = Desk({}, {})
    reserve(desk, "early", need(1, None, meter=meter), at=AT + 3600 * SECOND)
    reserve(desk, "h", need(40, 60, meter=meter), at=AT)
    settle(desk, "h", 40, at=AT + SECOND)
    assert used(desk, AT + SECOND, meter) == 40
    assert reserve(desk, "i", need(30, 60, meter=meter), at=AT + SECOND).status == "over"
    step = bucket_us(meter)
    assert used(desk, AT + 61 * SECOND + step, meter) == 0


@pytest.mark.parametrize("meter", [ROLLING, RATE], ids=["rolling", "rate"])
def test_what_is_settled_after_a_clock_was_set_back_counts(meter: Meter) -> None:
    desk = Desk({}, {})
    reserve(desk, "h", need(40, 60, meter=meter), at=AT + 3600 * SECOND)
    settle(desk, "h", 40, at=AT)
    assert used(desk, AT, meter) == 40


def test_clocks_that_differ_a_little_make_nothing_leak_twice() -> None:
    desk = Desk({}, {})
    post(desk, "", 60, at=AT, meter=RATE)
    for turn in range(20):
        at = AT + STEP_BACK_US * (turn % 2)
        reserve(desk, f"h{turn}", need(0, None, meter=RATE), at=at)
    assert used(desk, AT + STEP_BACK_US, RATE) == 60 - STEP_BACK_US // SECOND
