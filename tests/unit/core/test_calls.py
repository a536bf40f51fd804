"""What pricing reads from an event's fields."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from outlay.core.calls import call_of, duration_ms
from outlay.core.event import MAX_COUNT


def segment(**usage: Any) -> dict[str, Any]:
    return {"model": "m", "usage": usage}


def test_segments_are_read_from_a_list_or_its_text() -> None:
    given = [segment(input=MAX_COUNT, output=0)]
    for value in (given, json.dumps(given)):
        call = call_of({"segments": value}, at=0)
        assert call.segments == (("m", {"input": MAX_COUNT}),)
        assert call.flags == ()


@pytest.mark.parametrize(
    "bad",
    [[1], {"a": 1}, "{", [segment(), None], [segment(input=MAX_COUNT + 1)], [segment(x=10**300)]],
)
def test_segments_that_cannot_be_read_whole_are_flagged_and_left_out(bad: Any) -> None:
    call = call_of({"segments": bad}, at=0)
    assert (call.segments, call.flags) == ((), ("bad_segments",))


@pytest.mark.parametrize(
    ("took_us", "latency_ms", "expected"),
    [
        (1, None, 1),
        (1000, 99.0, 1),
        (1001, None, 2),
        (0, 2.5, 3),
        (-5, 2.0, 2),
        (0, None, 0),
        (0, -1.0, 0),
        (0, float("nan"), 0),
        (0, float("inf"), 0),
        (0, 1e300, MAX_COUNT),
    ],
)
def test_a_duration_is_milliseconds_begun_by_the_times_or_else_the_latency(
    took_us: int, latency_ms: float | None, expected: int
) -> None:
    assert duration_ms(took_us, latency_ms) == expected


def test_times_may_be_integers_or_datetimes_in_utc() -> None:
    begun = datetime(2026, 11, 21, 12, tzinfo=UTC)
    micros = int(begun.timestamp()) * 1_000_000
    for start, end in (
        (micros, micros + 2_000_000),
        (begun, begun.replace(second=2)),
        (begun.replace(tzinfo=None), begun.replace(tzinfo=None, second=2)),
    ):
        assert call_of({"started_at": start, "ended_at": end}, at=micros).duration_ms == 2000
    assert call_of({"started_at": "soon", "ended_at": micros}, at=micros).duration_ms == 0


def test_only_usage_that_ended_well_counts_as_a_sold_call() -> None:
    said = [{}, {"status": "ok"}, {"status": "error"}, {"status": "ok", "kind": "adjustment"}]
    assert [call_of(fields, at=0).succeeded for fields in said] == [True, True, False, False]
