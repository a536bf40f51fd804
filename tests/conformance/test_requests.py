"""Lists of requests: what every store finds is what a plain reading of the events finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.core.ids import uuid7
from outlay.store.query.requests import (
    ORDERS,
    SPAN_US,
    STATUSES,
    RequestsQuestion,
    cursor_of,
    parse_requests,
)
from tests.conformance.backends import OLAP
from tests.conformance.request_model import END, HOUR_US, START, kinds, listed, random_events
from tests.factory import events_table, one_event

EVENTS = random_events(3, requests=300)
FIELDS = {"tenant": "tenant_id", "feature": "feature", "user": "user_id", "status": "status",
          "model": "price_model", "kind": "kind"}  # fmt: skip


@pytest.fixture(scope="module", params=OLAP)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A store that walks in slices of some dozens of events."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("outlay.store.olap.duckdb_rollup.FOLD_EVENTS", 300)
        patch.setattr("outlay.store.query.walk.FIRST_EVENTS", 40)
        made = OLAP[request.param](tmp_path_factory.mktemp("olap"))
        for offset, at in enumerate(range(0, len(EVENTS), 250), start=1):
            made.write(events_table(*EVENTS[at : at + 250]), offset=offset)
        yield made
    made.close()


@pytest.fixture(params=OLAP)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = OLAP[request.param](tmp_path)
    yield made
    made.close()


def pages(store: Any, body: dict[str, Any], *, tenant: str | None = None) -> list[Any]:
    """Return the pages of a question, following each `next` as a client does."""
    found, after = [], None
    while True:
        question = parse_requests({**body, "after": after}, now=END, tenant=tenant)
        page = store.requests(question)
        found.append(page)
        after = cursor_of(question, page)
        if after is None:
            return found


def rows(found: list[Any]) -> list[dict[str, Any]]:
    return [asdict(row) for page in found for row in page.rows]


bodies = st.fixed_dictionaries(
    {
        "from": st.integers(START - HOUR_US, END - HOUR_US),
        "to": st.just(END) | st.integers(END - HOUR_US + 1, END + HOUR_US),
        "order": st.sampled_from(ORDERS),
        "limit": st.sampled_from([7, 60, 200]),
    },
    optional={
        "status": st.sampled_from(STATUSES),
        "cost_from_nanos": st.sampled_from([0, 1_500, 10**8]),
        "cost_to_nanos": st.sampled_from([0, 10**8, 4 * 10**9]),
    },
)
filters = st.dictionaries(
    st.sampled_from(list(FIELDS)), st.sampled_from(["t1", "t9", "search", "u1", "error", "gpt-6",
                                                    "adjustment", None]), max_size=2,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=bodies, chosen=filters, tenant=st.none() | st.sampled_from(["t0", "t9", "nobody"]))
def test_pages_together_are_every_request_in_order_and_once(
    filled: Any, body: dict[str, Any], chosen: dict[str, Any], tenant: str | None
) -> None:
    body = {**body, "filters": [{"field": f, "value": value} for f, value in chosen.items()]}
    question = parse_requests(body, now=END, tenant=tenant)
    found = pages(filled, body, tenant=tenant)
    plain = [(FIELDS[field], value) for field, value in chosen.items()]
    assert rows(found) == listed(EVENTS, question, plain)
    assert all(page.complete for page in found)
    assert all(len(page.rows) == question.limit for page in found[:-1])


def test_there_are_requests_of_every_sort(filled: Any) -> None:
    seen = [row for page in pages(filled, {"from": START, "to": END}) for row in page.rows]
    assert len(seen) > 200
    assert {row.status for row in seen} == set(STATUSES)
    assert max(row.tenants for row in seen) > 1
    for row in seen:
        assert row.status in kinds(asdict(row))
    assert any(len(row.models) == 3 for row in seen)


def test_a_window_in_local_days_is_a_window(filled: Any) -> None:
    body = {"from": "2026-09-22", "to": "2026-09-23", "timezone": "Asia/Kolkata"}
    question = parse_requests(body, now=END)
    assert (question.start - START) % (24 * HOUR_US) == (24 - 5.5) * HOUR_US
    assert rows(pages(filled, body)) == listed(EVENTS, question)


def test_a_walk_that_is_bounded_says_so_and_goes_on(
    filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlay.store.query.walk.WALK_EVENTS", 200)
    body = {"from": START, "to": END, "filters": [{"field": "user", "value": "u2"}], "limit": 200}
    question = parse_requests(body, now=END)
    found = pages(filled, body)
    assert len(found) > 2
    assert [page.complete for page in found] == [False] * (len(found) - 1) + [True]
    begins = [page.start for page in found]
    assert begins == sorted(begins, reverse=True)
    assert begins[-1] == START
    assert rows(found) == listed(EVENTS, question, [("user_id", "u2")])


@pytest.mark.parametrize("order", ["cost", "calls", "duration"])
def test_too_many_events_to_order_narrow_the_window_and_say_so(
    filled: Any, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr("outlay.store.olap.duckdb_requests.GROUP_EVENTS", 600)
    body = {"from": START, "to": END, "order": order, "limit": 30}
    found = pages(filled, body)
    assert START < found[0].start < END - HOUR_US
    assert len(found) > 1
    assert not any(page.complete for page in found)
    assert {page.start for page in found} == {found[0].start}
    question = replace(parse_requests(body, now=END), start=found[0].start)
    assert rows(found) == listed(EVENTS, question)


def test_a_tenants_share_of_a_busy_store_is_ordered_whole(
    filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlay.store.olap.duckdb_requests.GROUP_EVENTS", 600)
    body = {"from": START, "to": END, "order": "cost", "limit": 200}
    question = parse_requests(body, now=END, tenant="t9")
    found = pages(filled, body, tenant="t9")
    assert found[0].complete
    assert rows(found) == listed(EVENTS, question)


def test_a_request_is_told_once_though_it_goes_on_for_hours(store: Any) -> None:
    steps = [START + n * (SPAN_US // 2) for n in range(12)]
    events = [
        one_event(event_id=uuid7(at // 1000, bytes(10)), started_at=at, request_id="long",
                  cost_nanos=10)
        for at in steps
    ]  # fmt: skip
    store.write(events_table(*events), offset=1)
    question = RequestsQuestion(START, steps[-1] + 1)
    (row,) = store.requests(question).rows
    assert (row.started_at, row.cost_nanos, row.calls) == (START, 120, 12)
    # What began before the window is not of it.
    later = store.requests(replace(question, start=steps[5]))
    assert later.rows == ()


def test_what_is_folded_or_not_yet_makes_no_difference(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = random_events(5, requests=120)
    store.write(events_table(*events), offset=1)
    question = RequestsQuestion(START, END, limit=200)
    before = store.requests(question)
    assert [asdict(row) for row in before.rows] == listed(events, question)[:200]
    with monkeypatch.context() as patch:
        patch.setattr("outlay.store.olap.duckdb_rollup.FOLD_EVENTS", 100)
        while store.compact(everything=True):
            pass
    assert store.requests(question) == before


def test_an_empty_store_has_no_requests(store: Any) -> None:
    for order in ORDERS:
        page = store.requests(RequestsQuestion(START, END, order=order))
        assert (page.rows, page.after, page.complete) == ((), None, True)
