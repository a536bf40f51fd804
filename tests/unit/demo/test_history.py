"""The demo's past: deterministic, believable, and valid by the checks of the server's ingest."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from outlay.core.event import UNATTRIBUTED
from outlay.core.ids import uuid7_unix_ms
from outlay.demo import history as made
from outlay.demo.bill import LIST_PRICES
from outlay.demo.history import DAYS, EVENTS, MAX_DAYS, MAX_EVENTS, history
from outlay.demo.history_rhythm import (
    DAY_US,
    GROWING,
    HOUR_US,
    LEAVING,
    LEFT_DAYS_AGO,
    OUTAGE_DAYS_AGO,
    OUTAGE_HOUR,
    RUNAWAY_DAYS_AGO,
    RUNAWAY_TENANT,
)
from outlay.demo.tenants import FEATURES, TENANTS
from outlay.stream.decode import Limits, decode_batch, encode

NOON = int(datetime(2026, 11, 18, 12, tzinfo=UTC).timestamp()) * 1_000_000
"""A Wednesday."""
MIDNIGHT = NOON - 12 * HOUR_US
DEFAULTS = Limits(max_events=10_000, max_past_days=35, max_future_s=0)


@cache
def past(seed: int = 7, now: int = NOON, days: int = DAYS, events: int = EVENTS) -> list[list[Any]]:
    return list(history(seed=seed, now=now, days=days, events=events))


def flat(days: list[list[Any]]) -> list[Any]:
    return [event for day in days for event in day]


def requests(events: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for event in events:
        found[event.request_id].append(event)
    return found


def of_day(days_ago: int) -> list[Any]:
    return past()[DAYS - days_ago]


# -- the same again ------------------------------------------------------------------------------


def test_the_same_seed_and_day_make_the_same_bytes() -> None:
    again = history(seed=7, now=NOON, days=DAYS, events=4_000)
    assert [encode(day) for day in again] == [encode(day) for day in past(events=4_000)]
    assert encode(flat(past(seed=8, events=4_000))) != encode(flat(past(events=4_000)))


def test_later_the_same_day_only_adds_to_it() -> None:
    later = past(now=NOON + 3 * HOUR_US, events=4_000)
    earlier = past(events=4_000)
    assert [encode(day) for day in later[1:-1]] == [encode(day) for day in earlier[1:-1]]
    before = {event.event_id for event in earlier[-1]}
    assert before < {event.event_id for event in later[-1]}


# -- what a server says of it --------------------------------------------------------------------


@pytest.mark.parametrize("events", [6_000, EVENTS])
def test_ingest_takes_every_event(events: int) -> None:
    for day in past(events=events):
        for begin in range(0, len(day), 5_000):
            body = encode(day[begin : begin + 5_000])
            decoded = decode_batch(body, ndjson=False, now=NOON, limits=DEFAULTS)
            assert decoded.readable
            assert decoded.rejected == []
            assert decoded.duplicates == 0


def test_ids_are_unique_and_tell_the_time_of_their_event() -> None:
    events = flat(past())
    assert len({event.event_id for event in events}) == len(events)
    for event in events[::97]:
        assert event.event_id[14] == "7"
        written = uuid7_unix_ms(event.event_id) * 1_000
        assert event.started_at - 1_000 <= written <= event.ended_at


@pytest.mark.parametrize("hour", [0, 12, 23])
def test_nothing_lies_ahead_or_is_too_old_to_be_sent(hour: int) -> None:
    now = MIDNIGHT + hour * HOUR_US + 59 * 60_000_000
    events = flat(past(now=now, events=4_000))
    assert max(event.ended_at for event in events) < now
    assert min(event.started_at for event in events) > now - 35 * DAY_US + HOUR_US


# -- how much, and of whom -----------------------------------------------------------------------


@pytest.mark.parametrize("events", [6_000, 30_000, EVENTS])
def test_there_are_about_as_many_events_as_asked_for(events: int) -> None:
    assert 0.85 * events < len(flat(past(events=events))) < 1.15 * events


@pytest.mark.parametrize(("days", "events"), [(1, 1_000), (7, 2_000), (DAYS, 6_000)])
def test_every_tenant_and_feature_is_in_the_shortest_past(days: int, events: int) -> None:
    found = flat(past(days=days, events=events))
    assert {t.tenant_id for t in TENANTS} <= {event.tenant_id for event in found}
    assert {f.name for f in FEATURES} <= {event.feature for event in found}


@pytest.mark.parametrize(
    "wrong", [{"days": 0}, {"days": MAX_DAYS + 1}, {"events": 999}, {"events": MAX_EVENTS + 1}]
)
def test_a_past_out_of_bounds_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be from"):
        next(history(seed=1, now=NOON, **wrong))


def test_the_largest_past_is_allowed() -> None:
    assert next(history(seed=1, now=NOON, days=MAX_DAYS, events=MAX_EVENTS))


def test_it_has_the_models_of_the_live_traffic_and_one_without_a_price() -> None:
    named = {(event.provider, event.model_requested) for event in flat(past())}
    live = {
        (provider, model)
        for provider, models in LIST_PRICES.items()
        for model in models
        if provider != "serp"
    }
    assert live <= named
    assert ("vllm", "qwen3-coder-30b") in named
    assert ("anthropic", "claude-opus-5-5") in named


# -- shapes --------------------------------------------------------------------------------------


def test_weekends_and_nights_are_quiet() -> None:
    by_weekday: Counter[int] = Counter()
    acme: Counter[int] = Counter()
    for event in flat(past()):
        when = datetime.fromtimestamp(event.started_at / 1_000_000, UTC)
        by_weekday[when.weekday()] += 1
        if event.tenant_id == "acme" and event.initiator == "user":
            acme[(when.hour - 5) % 24] += 1
    assert by_weekday[5] < by_weekday[2] / 2
    assert acme[3] < acme[10] / 10


def test_one_tenant_grows_and_one_leaves() -> None:
    def made_by(tenant: str, days_ago: range) -> float:
        count: int = sum(e.tenant_id == tenant for ago in days_ago for e in of_day(ago))
        return count / len(days_ago)

    assert made_by(GROWING, range(1, 8)) > 4 * made_by(GROWING, range(27, 34))
    assert made_by(LEAVING, range(1, LEFT_DAYS_AGO)) < made_by(LEAVING, range(13, 34)) / 4


def test_a_runaway_agent_makes_one_day_dear() -> None:
    loops = [
        found
        for found in requests(of_day(RUNAWAY_DAYS_AGO)).values()
        if sum(e.agent_path.endswith("/web") and e.operation == "chat" for e in found) > 20
    ]
    assert len(loops) == 1
    (loop,) = loops
    assert loop[0].tenant_id == RUNAWAY_TENANT
    prompts = [e.input + e.input_cache_read for e in loop if e.operation == "chat" and e.input]
    assert prompts[-1] > 5 * prompts[1]


def test_a_provider_has_a_bad_hour_with_retries_and_fallbacks() -> None:
    begins = MIDNIGHT - OUTAGE_DAYS_AGO * DAY_US + OUTAGE_HOUR * HOUR_US
    asked = [
        e
        for e in of_day(OUTAGE_DAYS_AGO)
        if e.provider == "anthropic" and begins <= e.started_at < begins + HOUR_US
    ]
    assert asked
    assert {e.status for e in asked} == {"error"}
    assert {e.attempt for e in asked} == {0, 1, 2}
    instead = [e for e in of_day(OUTAGE_DAYS_AGO) if e.fallback_from is not None]
    assert {(e.provider, e.status == "error") for e in instead} == {("openai", False)}


def test_a_retry_is_another_attempt_of_the_same_call() -> None:
    by_call: dict[str, list[Any]] = defaultdict(list)
    for event in flat(past()):
        by_call[event.call_id].append(event)
    retried = [found for found in by_call.values() if len(found) > 1]
    assert len(retried) > 100
    for found in retried:
        assert [e.attempt for e in found] == list(range(len(found)))
        assert all(e.status == "error" and e.billed == "no" for e in found[:-1])
        assert found[0].event_id == found[0].call_id


def test_readers_walk_away_from_some_streams() -> None:
    cut = [e for e in flat(past()) if e.status == "aborted"]
    streams = sum(e.streamed for e in flat(past()))
    assert 0.01 < len(cut) / streams < 0.06
    assert {(e.streamed, e.billed, e.usage_source) for e in cut} == {
        (True, "possible", "estimated")
    }


def test_the_cache_takes_more_and_more_of_a_conversation() -> None:
    def part(days_ago: range) -> float:
        large = [
            e
            for ago in days_ago
            for e in of_day(ago)
            if e.feature == "support-chat" and e.model_requested == "gpt-5.6-sol"
        ]
        cached: int = sum(e.input_cache_read for e in large)
        whole: int = sum(e.input + e.input_cache_read for e in large)
        return cached / whole

    assert part(range(27, 34)) < 0.5
    assert part(range(1, 8)) > 0.7


def test_night_jobs_have_no_user_and_a_service_of_their_own() -> None:
    jobs = [e for e in flat(past()) if e.initiator == "system"]
    assert {e.feature for e in jobs} == {"index-refresh", "weekly-digest"}
    assert {(e.user_id, e.service) for e in jobs} == {(None, "night-jobs")}


def test_a_script_says_nothing_about_whose_work_it_is() -> None:
    unsaid = [e for e in flat(past()) if e.tenant_id == UNATTRIBUTED]
    assert 20 < len(unsaid) < 400
    assert {(e.tenant_source, e.feature, e.service) for e in unsaid} == {("none", None, "scripts")}


def test_a_request_is_a_tree_of_agents_whose_spans_hang_together() -> None:
    for found in list(requests(flat(past())).values())[::50]:
        paths = {e.span_id: e.agent_path for e in found}
        for event in found:
            assert paths[event.span_id] == event.agent_path
            if "/" in event.agent_path and event.parent_span_id in paths:
                assert paths[event.parent_span_id] == event.agent_path.rpartition("/")[0]
        assert len({e.trace_id for e in found}) == len({e.run_id for e in found}) == 1


def test_regions_and_environments_can_be_told_apart() -> None:
    events = flat(past())
    assert {e.labels["region"] for e in events} == {"us", "eu", "apac"}
    assert {e.environment for e in events} == {"production", "staging"}


def test_a_runaway_is_never_more_than_a_tree_shows() -> None:
    largest = max(len(found) for found in requests(flat(past())).values())
    assert largest < 10_000
    assert MAX_EVENTS // made.RUNAWAY_PART * 2 < 10_000
