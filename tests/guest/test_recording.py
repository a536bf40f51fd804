"""`record`: one event for anything; bad arguments are left out and said, never raised."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

import outlay
from outlay.capture.ids import new_id
from outlay.capture.testing import capture_events


def recorded(**more: Any) -> dict[str, Any]:
    with capture_events() as events:
        given = {"operation": "tool", "name": "serp.search", **more}
        event_id = outlay.record(given.pop("operation"), **given)
    (event,) = events
    assert event["event_id"] == event_id
    return event


def test_a_tool_is_an_event() -> None:
    event = recorded(units={"requests": 1})
    assert event["operation"] == "tool"
    assert event["name"] == "serp.search"
    assert event["other_units"] == {"requests": 1}
    assert event["usage_source"] == "counted"
    assert event["started_at"] == event["ended_at"]
    assert uuid.UUID(event["event_id"]).version == 7


def test_token_units_land_in_their_columns() -> None:
    event = recorded(operation="chat", units={"input": 5, "output": 2, "input_audio": 3})
    assert (event["input"], event["output"]) == (5, 2)
    assert event["other_units"] == {"input_audio": 3}


@pytest.mark.parametrize("cost", ["0.0125", Decimal("0.0125")])
def test_cost_in_dollars_is_exact(cost: Any) -> None:
    assert recorded(cost_usd=cost)["provider_cost_nanos"] == 12_500_000


@pytest.mark.parametrize(
    "bad",
    [{"cost_usd": 0.1}, {"cost_usd": "much"}, {"cost_nanos": -1}, {"cost_nanos": 1.5},
     {"cost_nanos": 2**63}],
)  # fmt: skip
def test_a_bad_cost_is_left_out_and_said(
    bad: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert "provider_cost_nanos" not in recorded(**bad)
    assert "cost is left out" in caplog.text


def test_bad_operation_status_units_and_times_are_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    event = recorded(
        operation="teleport", status="great", units={"a": 1.5, "b": -1, "c": 2.0, "d": 0},
        started_at=datetime(2026, 1, 1),  # noqa: DTZ001 - the bad value meant here
        ended_at="now",
    )  # fmt: skip
    assert (event["operation"], event["status"]) == ("other", "ok")
    assert event["other_units"] == {"c": 2}
    assert caplog.text.count("outlay.record") == 5


def test_times_may_be_datetimes_or_microseconds() -> None:
    start = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
    event = recorded(started_at=start, ended_at=int(start.timestamp()) * 1_000_000 + 1500)
    assert event["ended_at"] - event["started_at"] == 1500
    assert event["latency_ms"] == 1.5


def test_an_end_before_the_start_becomes_the_start() -> None:
    event = recorded(started_at=2_000, ended_at=1_000)
    assert event["ended_at"] == event["started_at"] == 2_000


def test_the_callers_own_uuid7_is_the_event_id() -> None:
    own = new_id()
    assert recorded(event_id=own)["event_id"] == own


def test_any_id_with_a_start_time_gives_the_same_event_id_each_time() -> None:
    one = recorded(event_id="job-42", started_at=1_790_000_000_000_000)["event_id"]
    two = recorded(event_id="job-42", started_at=1_790_000_000_000_000)["event_id"]
    assert one == two
    assert uuid.UUID(one).version == 7


def test_another_id_without_a_time_is_replaced_and_said(caplog: pytest.LogCaptureFixture) -> None:
    assert uuid.UUID(recorded(event_id="job-42")["event_id"]).version == 7
    assert "UUID version 7" in caplog.text


def test_labels_of_the_event_win_over_the_contexts() -> None:
    with capture_events() as events, outlay.context(labels={"a": "1", "b": "1"}):
        outlay.record("tool", name="x", labels={"a": "2"})
        outlay.record("tool", name="x")
    assert [e["labels"] for e in events] == [{"a": "2", "b": "1"}, {"a": "1", "b": "1"}]


def test_nothing_is_recorded_before_init(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "outlay"):
        assert outlay.record("tool", name="x") == ""
        assert outlay.record("tool", name="x") == ""
    assert caplog.text.count("outlay.init()") == 1


def test_an_error_inside_is_swallowed() -> None:
    class Nasty:
        def __str__(self) -> str:
            raise RuntimeError

    nasty: Any = Nasty()
    with capture_events() as events:
        assert outlay.record("tool", name=nasty) == ""
        assert outlay.stats()["errors"] == {"record": 1}
    assert events == []


def test_what_is_recorded_again_is_in_the_totals_and_budgets_once() -> None:
    with capture_events(), outlay.agent("a", budget="1", max_repeats=1) as run:
        for _ in range(2):
            outlay.record(
                "tool", name="t", cost_nanos=5, event_id="job-42", arguments={},
                started_at=1_790_000_000_000_000,
            )  # fmt: skip
        assert run.budget is not None
        assert (run.calls, run.cost_nanos, run.budget.spent_nanos) == (1, 5, 5)
