"""How far a search goes: everything while it is little, and never more than its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.rollup import DAY_US, HOUR_US
from outlay.store.query import walk
from outlay.store.query.walk import Load, bounded_start, periods, slices, weight

END = 100 * HOUR_US
loads = st.dictionaries(
    st.integers(0, 99).map(lambda hour: hour * HOUR_US),
    st.integers(0, 3 * walk.GROUP_EVENTS).map(lambda n: Load(n, n)),
    max_size=30,
)
windows = st.tuples(st.integers(0, END - 1), st.integers(1, END)).filter(lambda w: w[0] < w[1])


@given(loads, windows)
def test_slices_touch_each_other_from_the_end_back(
    hours: dict[int, Load], window: tuple[int, int]
) -> None:
    start, end = window
    top, seen = end, 0
    for low, high in slices(hours, start, end):
        assert high == top
        assert start <= low < high
        top = low
        seen += 1
    whole = weight(hours) <= walk.WALK_EVENTS // 2
    assert not whole or top == start
    assert seen


def test_slices_grow_and_stop_at_the_walks_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "FIRST_EVENTS", 10)
    monkeypatch.setattr(walk, "GROUP_EVENTS", 100)
    monkeypatch.setattr(walk, "WALK_EVENTS", 500)
    hours = {hour * HOUR_US: Load(10, 10) for hour in range(100)}
    found = [(high - low) // HOUR_US for low, high in slices(hours, 0, END)]
    assert found == [1, 4, 10, 10, 10, 10, 10]


def test_an_hour_with_very_much_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "GROUP_EVENTS", 100)
    monkeypatch.setattr(walk, "FIRST_EVENTS", 100)
    found = list(slices({0: Load(350, 350)}, 0, HOUR_US))
    assert len(found) == 4
    assert found[-1][0] == 0


@given(loads, windows, st.integers(1, 10**7))
def test_a_bounded_start_lies_in_the_window_and_holds_again(
    hours: dict[int, Load], window: tuple[int, int], most: int
) -> None:
    start, end = window
    begin = bounded_start(hours, start, end, most=most)
    assert start <= begin < end
    assert begin == start or weight(hours) > most


def test_a_window_that_is_too_full_is_cut_by_its_share_of_the_hour() -> None:
    hours = {hour * HOUR_US: Load(100, 100) for hour in range(10)}
    assert bounded_start(hours, 0, 10 * HOUR_US, most=1_000) == 0
    assert bounded_start(hours, 0, 10 * HOUR_US, most=250) == 7.5 * HOUR_US
    assert bounded_start(hours, 0, 10 * HOUR_US, most=250) == bounded_start(
        hours, int(7.5 * HOUR_US), 10 * HOUR_US, most=250
    )


def test_other_tenants_events_cost_a_part() -> None:
    assert Load(read=160, own=0).weight == 10
    assert Load(read=160, own=160).weight == 160


def test_the_last_day_is_looked_at_first() -> None:
    assert list(periods(0, 3 * DAY_US)) == [(2 * DAY_US, 3 * DAY_US), (0, 2 * DAY_US)]
    assert list(periods(5, DAY_US)) == [(5, DAY_US)]
