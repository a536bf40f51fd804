"""A month foreseen: never below what is spent, exact at its end, and fair about what is usual."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.forecast import HISTORY_DAYS, WEEKLY_DAYS, PastDay, Today, forecast

HOUR = 3_600_000_000
DAY = 24 * HOUR

costs = st.integers(0, 10**15)
weekdays = st.integers(0, 6)
histories = st.lists(st.builds(PastDay, weekdays, costs), max_size=40)
days = st.builds(
    lambda weekday, cost, length, share: Today(weekday, cost, int(length * share), length),
    weekdays, costs, st.sampled_from([23 * HOUR, DAY, 25 * HOUR]), st.floats(0, 1),
)  # fmt: skip
months = st.tuples(histories, costs, days, st.lists(weekdays, max_size=30))


def past(*amounts: int) -> list[PastDay]:
    return [PastDay(number % 7, cost) for number, cost in enumerate(amounts)]


@given(months)
def test_it_is_never_below_what_is_spent_and_lies_between_low_and_high(month: Any) -> None:
    history, spent, today, ahead = month
    seen = forecast(history, spent, today, ahead)
    assert spent + today.cost <= seen.low <= seen.total <= seen.high
    assert seen.total == spent + seen.today + sum(seen.ahead)
    assert len(seen.ahead) == len(ahead)


@given(histories, costs, weekdays, costs)
def test_it_is_exact_at_the_months_end(
    history: list[PastDay], spent: int, weekday: int, cost: int
) -> None:
    seen = forecast(history, spent, Today(weekday, cost, DAY, DAY), [])
    assert (seen.low, seen.total, seen.high) == (spent + cost,) * 3


@given(months, st.integers(2, 1_000))
def test_ten_times_the_cost_is_ten_times_the_forecast(month: Any, times: int) -> None:
    history, spent, today, ahead = month
    one = forecast(history, spent, today, ahead)
    many = forecast(
        [PastDay(day.weekday, day.cost * times) for day in history],
        spent * times,
        Today(today.weekday, today.cost * times, today.passed, today.length),
        ahead,
    )
    # Each mean is rounded down, and there are at most eight and a day's rest.
    slack = times * (len(ahead) + 2)
    assert abs(many.total - one.total * times) <= slack
    assert abs((many.high - many.total) - (one.high - one.total) * times) <= 40 * slack


@given(st.integers(0, 10**15), weekdays, st.integers(0, DAY), st.lists(weekdays, max_size=30))
def test_days_that_are_all_alike_go_on_alike(
    cost: int, weekday: int, passed: int, ahead: list[int]
) -> None:
    today = Today(weekday, cost * passed // DAY, passed, DAY)
    seen = forecast(past(*[cost] * 28), 0, today, ahead)
    assert abs(seen.total - cost * (1 + len(ahead))) <= 2
    assert seen.low == seen.total == seen.high


def test_a_weekend_costs_what_weekends_cost() -> None:
    week = [100, 100, 100, 100, 100, 10, 20]
    seen = forecast(past(*week * 4), 0, Today(4, 100, DAY, DAY), [5, 6, 0])
    assert seen.ahead == (10, 20, 100)


def test_few_days_do_not_tell_weekdays_apart() -> None:
    history = past(*[70, 0, 0, 0, 0, 0, 0] * 2)
    assert len(history) == WEEKLY_DAYS
    assert forecast(history, 0, Today(0, 0, DAY, DAY), [0, 1]).ahead == (70, 0)
    assert forecast(history[1:], 0, Today(0, 0, DAY, DAY), [0, 1]).ahead == (5, 5)


def test_only_the_last_four_weeks_count() -> None:
    history = [*past(*[10**9] * 7), *past(*[5] * HISTORY_DAYS)]
    assert forecast(history, 0, Today(0, 0, DAY, DAY), [0]).ahead == (5,)


def test_without_history_there_is_only_what_is_spent() -> None:
    seen = forecast([], 3, Today(0, 4, HOUR, DAY), [1, 2])
    assert (seen.low, seen.total, seen.high, seen.ahead) == (7, 7, 7, (0, 0))


@pytest.mark.parametrize(
    ("hours", "cost", "whole"),
    [(0, 0, 240), (12, 120, 240), (24, 120, 120), (12, 240, 420), (1, 100, 416)],
)
def test_today_goes_on_at_its_own_pace_the_more_the_later(
    hours: int, cost: int, whole: int
) -> None:
    seen = forecast(past(*[240] * 28), 0, Today(0, cost, hours * HOUR, DAY), [])
    assert seen.today == whole


def test_days_that_vary_widen_the_band() -> None:
    def band(*week: int) -> int:
        seen = forecast(past(*week * 2), 0, Today(0, 0, DAY, DAY), [0] * 10)
        return seen.high - seen.low

    calm, wild = [100, 101] * 7, [0, 200] * 7
    assert 0 < band(*calm) < band(*wild)


def test_refunds_do_not_make_days_to_come_cost_less_than_nothing() -> None:
    seen = forecast(past(*[-50] * 28), 10, Today(0, -5, HOUR, DAY), [1])
    assert (seen.total, seen.ahead) == (5, (0,))
