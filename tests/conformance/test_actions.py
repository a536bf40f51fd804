"""Reports of actions: what every store says of requests is what a plain reading of them says."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.core.rollup import ERROR_STATUSES, event_sums
from outlay.store.olap import duckdb_actions
from outlay.store.query.actions import BIN_EDGES, BY, LOOP_CALLS, ActionsQuestion, parse_actions
from outlay.store.query.model import parse_query
from outlay.store.query.strata import Sample
from tests.conformance.backends import OLAP
from tests.conformance.request_model import END, START, Event, ends_at, matches, random_events
from tests.factory import events_table

EVENTS = random_events(11, requests=300)
HOUR_US = 3_600_000_000


@pytest.fixture(scope="module", params=OLAP)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("outlay.store.olap.duckdb_rollup.FOLD_EVENTS", 300)
        made = OLAP[request.param](tmp_path_factory.mktemp("olap"))
        for offset, at in enumerate(range(0, len(EVENTS), 250), start=1):
            made.write(events_table(*EVENTS[at : at + 250]), offset=offset)
    yield made
    made.close()


def key_of(event: Event, by: str) -> Any:
    path = event["agent_path"]
    values = {
        "feature": event["feature"], "agent": path, "workflow": event["workflow"],
        "agent_root": path.split("/")[0] if path else path, "tenant": event["tenant_id"],
        "user": event["user_id"],
    }  # fmt: skip
    return values[by]


def counted(question: ActionsQuestion, filters: Sequence[tuple[str, Any]]) -> list[Event]:
    """Return the events that the question is about."""
    return [
        event
        for event in EVENTS
        if question.start <= event["started_at"] < question.end
        and question.tenant in (None, event["tenant_id"])
        and matches(event, filters)
    ]


def taken(question: ActionsQuestion, filters: Sequence[tuple[str, Any]]) -> dict[Any, list[Any]]:
    """Return the events of each key and request that has done something."""
    groups: dict[Any, list[Any]] = defaultdict(list)
    for event in counted(question, filters):
        if event["request_id"]:
            groups[key_of(event, question.by), event["request_id"]].append(event)
    return {k: group for k, group in groups.items() if any(e["kind"] == "usage" for e in group)}


def loops(group: Sequence[Event]) -> bool:
    calls = [e for e in group if event_sums(e)["calls"]]
    same = Counter((e["agent_path"], e["operation"], e["price_model"] or e["name"]) for e in calls)
    return max(same.values(), default=0) >= LOOP_CALLS


def nearest(values: Sequence[int], share: float) -> int:
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def total(name: str, events: Sequence[Event]) -> int:
    return sum(event_sums(e)[name] for e in events)


def summed(key: Any, events: Sequence[Event]) -> dict[str, Any]:
    """Return the sums of a key, as any query tells them."""
    return {
        "key": key, "cost_nanos": total("cost_nanos", events), "calls": total("calls", events),
        "attempts": total("attempts", events), "errors": total("errors", events),
        "error_cost_nanos": sum(e["cost_nanos"] for e in events if e["status"] in ERROR_STATUSES),
        "retry_cost_nanos": sum(e["cost_nanos"] for e in events if e["attempt"]),
    }  # fmt: skip


def reported(
    question: ActionsQuestion, filters: Sequence[tuple[str, Any]] = ()
) -> list[dict[str, Any]]:
    groups, events = taken(question, filters), defaultdict(list)
    for event in counted(question, filters):
        events[key_of(event, question.by)].append(event)
    rows = [
        summed(key, events[key]) | _actions({r: g for (k, r), g in groups.items() if k == key})
        for key in events
    ]
    return sorted(rows, key=lambda r: (-r["cost_nanos"], r["key"] is None, r["key"] or ""))


def _actions(requests: dict[str, list[Event]]) -> dict[str, Any]:
    costs = {name: total("cost_nanos", group) for name, group in requests.items()}
    looping = [name for name, group in requests.items() if loops(group)]
    row: dict[str, Any] = {
        "requests": len(requests), "loops": len(looping),
        "loop_cost_nanos": sum(costs[name] for name in looping), "spread": None,
    }  # fmt: skip
    if not requests:
        return row
    steps = [total("calls", group) for group in requests.values()]
    usage = [[e for e in group if e["kind"] == "usage"] for group in requests.values()]
    spans = [max(map(ends_at, one)) - min(e["started_at"] for e in one) for one in usage]
    whole, count = sum(costs.values()), len(costs)
    size = (2 * abs(whole) + count) // (2 * count)
    return row | {"spread": {
        "cost_avg": size if whole >= 0 else -size,
        "cost_p50": nearest([*costs.values()], 0.5), "cost_p95": nearest([*costs.values()], 0.95),
        "cost_max": max(costs.values()),
        "dearest_request": max(costs, key=lambda name: (costs[name], name)),
        "steps_p50": nearest(steps, 0.5), "steps_p95": nearest(steps, 0.95),
        "steps_max": max(steps),
        "duration_p50_us": nearest(spans, 0.5), "duration_p95_us": nearest(spans, 0.95),
    }}  # fmt: skip


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    by=st.sampled_from(BY),
    start=st.integers(START - HOUR_US, END - HOUR_US),
    tenant=st.none() | st.sampled_from(["t0", "nobody"]),
    status=st.sampled_from(["", "error"]),
)
def test_a_report_is_what_the_requests_say(
    filled: Any, by: str, start: int, tenant: str | None, status: str
) -> None:
    filters = [{"field": "status", "value": status}] if status else []
    body = {"by": by, "from": start, "to": END, "filters": filters}
    question = parse_actions(body, now=END, tenant=tenant)
    answer = filled.actions(question)
    rows = reported(question, [("status", status)] if status else [])
    assert [asdict(row) for row in answer.rows] == rows
    assert (answer.sample, answer.scaled) == (1, ())


def test_some_requests_loop_and_some_do_not(filled: Any) -> None:
    (row,) = filled.actions(parse_actions(
        {"by": "agent", "from": START, "to": END,
         "filters": [{"field": "agent", "value": "boss"}]}, now=END)).rows  # fmt: skip
    assert 0 < row.loops < row.requests
    assert 0 < row.loop_cost_nanos < row.cost_nanos


def asked(filled: Any, metrics: list[str], body: dict[str, Any], by: str) -> list[Any]:
    query = parse_query({**body, "metrics": metrics, "by": [by], "limit": 500}, now=END)
    return list(filled.query(query, now=END).rows)


@pytest.mark.parametrize("key", ["search", "", "no-such"])
def test_bins_count_the_requests_of_one_key(filled: Any, key: str) -> None:
    question = parse_actions({"by": "feature", "from": START, "to": END, "bins": key}, now=END)
    bins = filled.actions(question).bins
    costs = [
        sum(e["cost_nanos"] for e in group)
        for (feature, _), group in taken(question, []).items()
        if (feature or "") == key
    ]
    assert sum(one.requests for one in bins) == len(costs)
    for one in bins:
        low = -(10**30) if one.from_nanos is None else one.from_nanos
        high = 10**30 if one.to_nanos is None else one.to_nanos
        assert one.requests == sum(low <= cost < high for cost in costs)
    assert all(one.to_nanos == then.from_nanos for one, then in pairwise(bins))
    if bins:
        assert bins[0].requests
        assert bins[-1].requests


def test_bin_edges_grow() -> None:
    assert list(BIN_EDGES) == sorted(set(BIN_EDGES))
    assert BIN_EDGES[0] == 1_000


def test_a_limit_of_none_gives_bins_alone(filled: Any) -> None:
    body = {"by": "feature", "from": START, "to": END, "bins": "chat"}
    alone = filled.actions(parse_actions({**body, "limit": 0}, now=END))
    assert alone.rows == ()
    assert alone.bins == filled.actions(parse_actions(body, now=END)).bins != ()


@pytest.fixture
def sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.store.olap.duckdb_actions.ACTION_EVENTS", len(EVENTS) // 2)
    monkeypatch.setattr("outlay.store.olap.duckdb_actions.SAMPLE_EVENTS", len(EVENTS) // 2)


@pytest.mark.usefixtures("sampling")
@pytest.mark.parametrize("by", BY)
def test_sums_of_a_sampled_report_are_those_of_a_query(filled: Any, by: str) -> None:
    body = {"from": START + 1, "to": END - 1}
    report = filled.actions(parse_actions({**body, "by": by, "limit": 500}, now=END))
    assert 0 < report.sample < 0.5
    assert report.scaled == ("requests", "retry_cost_nanos", "loops", "loop_cost_nanos")
    sums = [(r.key, r.cost_nanos, r.calls, r.attempts, r.errors) for r in report.rows]
    assert sums == asked(filled, ["cost", "calls", "attempts", "errors"], body, by)
    failed = [{"field": "status", "op": "in", "value": list(ERROR_STATUSES)}]
    costs = {row.key: row.error_cost_nanos for row in report.rows if row.error_cost_nanos}
    lost = asked(filled, ["cost"], {**body, "filters": failed}, by)
    assert costs == {key: cost for key, cost in lost if cost}


@pytest.mark.usefixtures("sampling")
@pytest.mark.parametrize("by", ["feature", "agent", "tenant"])
def test_a_sampled_action_begins_in_a_slice_and_is_read_beyond_it(filled: Any, by: str) -> None:
    question = parse_actions({"by": by, "from": START, "to": END, "limit": 500}, now=END)
    report = filled.actions(question)
    assert filled.actions(question) == report, "the same requests each time"
    sample = slices_of(filled, question)
    assert report.sample == sample.part / sample.whole
    seen = 0
    for row in report.rows:
        actions = begun(question, row.key, sample)
        # What was looked at is what a plain reading of the slices gives: real actions, whole ones.
        want = _actions(actions)
        seen += len(actions)
        assert (row.spread and asdict(row.spread)) == want["spread"]
        assert (row.requests > 0) == bool(actions) or not row.calls
    assert seen > 20


def slices_of(filled: Any, question: ActionsQuestion) -> Sample:
    with filled._snapshot() as cursor:
        return duckdb_actions._sample(cursor, question)


def begun(question: ActionsQuestion, key: Any, sample: Sample) -> dict[str, list[Event]]:
    """Return the actions of a key that begin in a slice, by what is read around the slices."""
    groups: dict[str, list[Event]] = defaultdict(list)
    for event in counted(question, []):
        at = event["started_at"]
        if event["request_id"] and any(one.first <= at < one.last for one in sample.slices):
            groups[event["request_id"]].append(event)
    found = {}
    for name, events in groups.items():
        group = [e for e in events if key_of(e, question.by) == key]
        starts = [e["started_at"] for e in group if e["kind"] == "usage"]
        if starts and any(one.low <= min(starts) < one.high for one in sample.slices):
            found[name] = group
    return found


@pytest.mark.usefixtures("sampling")
def test_what_is_scaled_is_about_what_it_is(filled: Any) -> None:
    question = parse_actions({"by": "feature", "from": START, "to": END, "bins": "chat"}, now=END)
    report = filled.actions(question)
    whole = {row["key"]: row for row in reported(question)}
    for row in report.rows:
        want = whole[row.key]
        assert want["requests"] * 0.5 < row.requests < want["requests"] * 1.5
        assert want["retry_cost_nanos"] * 0.3 < row.retry_cost_nanos <= row.cost_nanos
    chat = whole["chat"]["requests"]
    assert chat * 0.4 < sum(one.requests for one in report.bins) < chat * 1.6


@pytest.mark.usefixtures("sampling")
def test_a_tenant_with_few_events_is_told_exactly(filled: Any) -> None:
    question = parse_actions({"by": "feature", "from": START, "to": END}, now=END, tenant="t0")
    report = filled.actions(question)
    assert report.sample == 1
    assert [asdict(row) for row in report.rows] == reported(question)


@pytest.mark.usefixtures("sampling")
@pytest.mark.parametrize("by", ["user", "feature"])
def test_sums_that_would_read_too_much_are_scaled_and_say_so(
    filled: Any, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr("outlay.store.olap.duckdb_action_sums.SUM_EVENTS", 0)
    question = parse_actions({"by": by, "from": START, "to": END}, now=END)
    report = filled.actions(question)
    rolled = by == "feature"
    assert ("cost_nanos" in report.scaled, "calls" in report.scaled) == (not rolled, not rolled)
    whole = {row["key"]: row for row in reported(question)}
    for row in report.rows:
        cost = whole[row.key]["cost_nanos"]
        assert row.cost_nanos == cost if rolled else cost * 0.3 < row.cost_nanos < cost * 2
