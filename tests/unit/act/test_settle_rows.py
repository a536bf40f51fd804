"""Counting in columns is counting event by event, whatever the events and the limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.act.settle_rows import STEPS_US, Counting
from outlay.core.limits.amounts import amounts_of_event
from outlay.core.limits.holds import Post
from outlay.core.limits.limit import Limit, Match
from outlay.core.limits.period import counter_key, credit_key
from outlay.core.limits.subject import matches, scope_key, subject_of
from tests.factory import DEFAULT_START_US, events_table, one_event
from tests.unit.act.counted import EACH_TENANT, limit

NOW = DEFAULT_START_US + 10**12
HOUR = 3_600_000_000
LIMITS = (
    limit("tenant"),
    limit("all", scope=(), metric="tokens", window="day", zone="Asia/Kathmandu"),
    limit("agent", scope=(Match("agent", ("web", "chief/*"), each=True),), window="hour"),
    limit("model", scope=(Match("model", ("gpt*",), each=True),), metric="output_tokens"),
    limit("unit", scope=(Match("billing_unit", each=True),), metric="calls", window="week"),
    limit("who", scope=(*EACH_TENANT, Match("user", ("u1",)), Match("initiator", ("user",))),
          metric="input_tokens"),
    limit("request", scope=(), window="request"),
    limit("run", scope=(Match("plan", ("pro",)),), window="run", metric="calls"),
    limit("roll", window="rolling", span_us=HOUR),
    limit("rate", window="rate", span_us=HOUR, burst=5),
    limit("busy", metric="concurrent_calls", window="none"),
)  # fmt: skip
TEXTS = st.sampled_from([None, "", "a", "b"])
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "tenant_id": st.sampled_from(["acme", "rival", "unattributed"]),
            "hold_id": st.sampled_from([None, None, "", "h1", "process-1"]),
            "kind": st.sampled_from(["usage", "usage", "usage", "adjustment", "allocation"]),
            "status": st.sampled_from(["ok", "ok", "error", "blocked"]),
            "started_at": st.integers(0, 30 * HOUR).map(lambda us: DEFAULT_START_US + us),
            "agent_path": st.sampled_from(["", "web", "chief/web/x", "other"]),
            "model_requested": st.sampled_from([None, "", "GPT-6", "claude"]),
            "model_served": st.sampled_from([None, "gpt-6-x"]),
            "provider": TEXTS, "user_id": st.sampled_from([None, "u1", "u2"]),
            "initiator": st.sampled_from(["user", "system"]),
            "plan": st.sampled_from([None, "pro"]),
            "billing_unit_type": TEXTS, "billing_unit_id": TEXTS, "request_id": TEXTS,
            "call_id": st.sampled_from([None, bytes(15) + b"\x07"]), "run_id": TEXTS,
            "feature": TEXTS, "workflow": TEXTS,
            "cost_nanos": st.integers(-(10**12), 10**12), "input": st.integers(0, 10**9),
            "output_reasoning": st.integers(0, 100),
            "credits_micros": st.sampled_from([None, 7, -2]),
            "other_units": st.sampled_from(
                [None, {}, {"input_audio": 3, "output_image": 4, "requests": 9}]
            ),
        }
    ),
    max_size=25,
)  # fmt: skip


def by_columns(posts: list[Post]) -> dict[tuple[str, str], tuple[int, int]]:
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for post in posts:
        for line in post.lines:
            key = (post.hold_id, line.key.counter_id)
            amount, events = sums.get(key, (0, 0))
            sums[key] = (amount + line.amount, events + line.events)
    return sums


def one_by_one(
    events: list[dict[str, Any]], extra: list[int]
) -> dict[tuple[str, str], tuple[int, int]]:
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for row, more in zip(events, extra, strict=True):
        if row["kind"] == "allocation":
            continue
        fields = dict(row)
        for name in ("call_id", "event_id"):
            if row[name]:
                fields[name] = f"00000000-0000-0000-0000-{int.from_bytes(row[name]):012x}"
        subject = subject_of(fields)
        amounts = amounts_of_event(fields)
        amounts["cost"] += more
        counters = [
            (counter_key(one, scope_key(one, subject), row["started_at"]), amounts[one.metric])
            for one in LIMITS
            if one.metric != "concurrent_calls" and matches(one, subject)
        ]
        if row["tenant_id"] == "acme":
            counters.append((credit_key("acme"), row["credits_micros"] or 0))
        for key, count in counters:
            place = (row["hold_id"] or "", key.counter_id)
            amount, number = sums.get(place, (0, 0))
            sums[place] = (amount + count, number + int(row["kind"] == "usage"))
    return {
        (hold, counter): (amount, number)
        for (hold, counter), (amount, number) in sums.items()
        if amount or (hold and number)
    }


@given(events=EVENTS, data=st.data())
def test_columns_count_as_one_by_one(events: list[dict[str, Any]], data: st.DataObject) -> None:
    rows = [
        one_event(**values, event_id=bytes(15) + bytes([number + 100]), output=1)
        for number, values in enumerate(events)
    ]
    extra = data.draw(st.lists(st.integers(0, 99), min_size=len(rows), max_size=len(rows)))
    counting = Counting(LIMITS, accounts=frozenset(("acme",)))
    posts = counting.posts(events_table(*rows), np.array(extra, np.int64), now=NOW)
    assert len({post.hold_id for post in posts}) == len(posts)
    # A rolling window has a line a step; none of them is nothing where none would have been.
    found = {key: sums for key, sums in by_columns(posts).items() if sums[0] or key[0]}
    assert found == one_by_one(rows, extra)


def lines(one: Limit, *events: dict[str, Any], now: int = NOW) -> list[Any]:
    posts = Counting([one]).posts(events_table(*events), None, now=now)
    return [line for post in posts for line in post.lines]


def test_a_counter_of_one_request_is_never_made_by_an_event() -> None:
    (line,) = lines(limit(window="request", scope=()), one_event(request_id="r"))
    assert not line.create


@pytest.mark.parametrize(("kind", "now", "made"), [
    ("usage", NOW, True), ("adjustment", NOW, False),
    ("adjustment", DEFAULT_START_US, True), ("usage", DEFAULT_START_US, True),
])  # fmt: skip
def test_an_adjustment_begins_no_period_that_is_over(kind: str, now: int, made: bool) -> None:
    (line,) = lines(limit(window="hour"), one_event(kind=kind), now=now)
    assert line.create is made


def test_time_is_told_as_finely_as_the_shortest_window_needs() -> None:
    assert Counting([limit()]).step_us == STEPS_US[0] == 900_000_000
    assert Counting([limit(window="rolling", span_us=HOUR)]).step_us == 60_000_000
    assert Counting([limit(window="rolling", span_us=1_000_000)]).step_us == 10_000
    assert Counting([limit(window="rolling", span_us=100)]).step_us == STEPS_US[-1]


def test_a_table_of_nothing_counts_nothing() -> None:
    assert Counting([limit()]).posts(events_table(), None, now=NOW) == []
    assert Counting([]).posts(events_table(one_event()), None, now=NOW) == []
    assert Counting([]).empty
    assert not Counting([], accounts=frozenset(("a",))).empty
    assert not Counting([limit(metric="calls")]).needs_ceilings
    assert Counting([limit()]).needs_ceilings


def test_an_event_of_a_clock_that_is_ahead_counts_as_of_now() -> None:
    """Else it would let a window forget, and what comes next not count."""
    ahead = one_event(started_at=NOW + 300_000_000)
    for window in ({"window": "rolling", "span_us": 60_000_000}, {"window": "month"}):
        (line,) = lines(limit(**window), ahead)
        assert line.at == NOW
