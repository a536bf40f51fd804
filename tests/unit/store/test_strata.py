"""Slices of a window: one in each equal part, as much as may be read, the same each time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.rollup import DAY_US, HOUR_US, MINUTE_US
from outlay.store.query.strata import (
    AFTER_US,
    BEFORE_US,
    MAX_SLICES,
    MIN_SLICES,
    READ_US,
    everything,
    strata,
)

NOW = 20_000 * DAY_US


@given(st.integers(1, 800 * DAY_US), st.integers(0, 10**10), st.integers(1, 10**7))
def test_slices_lie_apart_within_the_window_and_read_no_more_than_asked(
    span: int, events: int, most: int
) -> None:
    sample = strata(NOW, NOW + span, events=events, most=most)
    assert sample == strata(NOW, NOW + span, events=events, most=most)
    if sample.exact:
        assert sample == everything(NOW, NOW + span)
        return
    slices = sample.slices
    assert MIN_SLICES <= len(slices) <= MAX_SLICES
    assert slices[0].first >= NOW
    assert slices[-1].last <= NOW + span
    assert all(one.last <= then.first for one, then in pairwise(slices))
    assert all(one.first <= one.low < one.high <= one.last for one in slices)
    assert sum(one.last - one.first for one in slices) == sample.read <= span * most // events
    assert sum(one.high - one.low for one in slices) == sample.part < sample.whole == span


def test_each_equal_part_of_the_window_has_one_slice() -> None:
    sample = strata(NOW, NOW + 30 * DAY_US, events=100_000_000, most=800_000)
    stretch = 30 * DAY_US // len(sample.slices)
    parts = [(one.first - NOW) // stretch for one in sample.slices]
    assert parts == list(range(len(sample.slices)))
    assert all((one.last - 1 - NOW) // stretch == part for part, one in enumerate(sample.slices))


@pytest.mark.parametrize("days", [5, 8, 13, 16, 30])
def test_slices_do_not_meet_the_same_minute_or_hour_again_and_again(days: int) -> None:
    sample = strata(NOW, NOW + days * DAY_US, events=10**8, most=2 * 10**6)
    minutes = {one.low // MINUTE_US % 60 // 10 for one in sample.slices}
    quarters = {one.low % DAY_US // (6 * HOUR_US) for one in sample.slices}
    assert len(minutes) >= 4
    assert len(quarters) >= 3


def test_a_dense_month_is_read_in_slices_of_more_than_ten_minutes() -> None:
    sample = strata(NOW, NOW + 30 * DAY_US, events=100_000_000, most=800_000)
    for one in sample.slices:
        assert one.high - one.low >= 10 * MINUTE_US
        assert (one.low - one.first, one.last - one.high) == (BEFORE_US, AFTER_US)
        assert one.last - one.first >= READ_US


def test_a_very_dense_hour_is_read_in_short_slices() -> None:
    sample = strata(NOW, NOW + HOUR_US, events=50_000_000, most=500_000)
    assert len(sample.slices) == MIN_SLICES
    assert sample.read == HOUR_US // 100 // MIN_SLICES * MIN_SLICES


@pytest.mark.parametrize("most", [100, 101])
def test_as_much_as_may_be_read_is_not_sliced(most: int) -> None:
    assert strata(NOW, NOW + DAY_US, events=100, most=most).exact
