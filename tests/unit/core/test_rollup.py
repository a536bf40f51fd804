"""What a roll-up sums, and which whole buckets a window holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.rollup import DAY_US, MINUTE_US, SUMS, event_sums, micros, whole


def event(**fields: Any) -> dict[str, Any]:
    base = {
        "kind": "usage", "operation": "chat", "status": "ok", "attempt": 0,
        "price_basis": "catalogue", "cost_nanos": 70, "input": 10, "output": 5,
    }  # fmt: skip
    return base | fields


def test_every_sum_is_given_and_is_an_integer() -> None:
    sums = event_sums(event(latency_ms=1.5))
    assert tuple(sorted(sums)) == tuple(sorted(SUMS))
    assert all(type(value) is int for value in sums.values())


def test_a_retry_is_an_attempt_and_no_call() -> None:
    sums = event_sums(event(attempt=1))
    assert (sums["calls"], sums["attempts"]) == (0, 1)


@pytest.mark.parametrize("operation", ["gpu", "storage", "other"])
def test_a_metered_resource_costs_but_is_no_call(operation: str) -> None:
    sums = event_sums(event(operation=operation))
    assert (sums["calls"], sums["attempts"], sums["cost_nanos"]) == (0, 0, 70)


def test_an_adjustment_moves_money_and_nothing_else() -> None:
    sums = event_sums(
        event(kind="adjustment", cost_nanos=-70, input=0, output=0, latency_ms=9.0, status="error")
    )
    assert {name: value for name, value in sums.items() if value} == {
        "events": 1,
        "cost_nanos": -70,
    }


@pytest.mark.parametrize(
    ("status", "errors"),
    [("error", 1), ("timeout", 1), ("ok", 0), ("blocked", 0), ("aborted", 0), ("refused", 0)],
)
def test_only_errors_and_timeouts_are_errors(status: str, errors: int) -> None:
    assert event_sums(event(status=status))["errors"] == errors


def test_the_estimated_part_of_the_cost_is_summed_apart() -> None:
    assert event_sums(event(price_basis="estimate"))["estimated_cost_nanos"] == 70
    assert event_sums(event(price_confidence="estimated"))["estimated_cost_nanos"] == 70
    assert event_sums(event())["estimated_cost_nanos"] == 0


def test_tokens_of_other_modalities_count_where_they_belong() -> None:
    sums = event_sums(
        event(
            input_cache_read=3,
            input_cache_write_1h=2,
            output_reasoning=4,
            other_units={
                "input_audio": 100,
                "input_cache_read_image": 30,
                "input_cache_write": 7,
                "output_audio": 50,
                "web_search": 9,
            },
        )
    )
    assert sums["input_tokens"] == 10 + 3 + 2 + 100 + 30 + 7
    assert sums["output_tokens"] == 5 + 4 + 50
    assert sums["cache_read_tokens"] == 33
    assert sums["cache_write_tokens"] == 9
    assert sums["reasoning_tokens"] == 4


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(None, None), (float("nan"), None), (float("inf"), None), (-5.0, 0), (1.2345, 1234)],
)
def test_a_time_becomes_whole_microseconds_or_nothing(
    milliseconds: float | None, expected: int | None
) -> None:
    assert micros(milliseconds) == expected


def test_a_nonsense_time_cannot_overflow_a_sum() -> None:
    assert micros(3.0e38) == 10**15


@given(
    start=st.integers(0, 10**16),
    length=st.integers(0, 10**13),
    size=st.sampled_from([MINUTE_US, DAY_US]),
)
def test_whole_buckets_are_the_largest_aligned_span_inside(
    start: int, length: int, size: int
) -> None:
    end = start + length
    first, last = whole(start, end, size)
    assert first % size == 0
    assert last % size == 0
    if first < last:
        assert start <= first < start + size
        assert end - size < last <= end
    else:
        assert length < 2 * size
