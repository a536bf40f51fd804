"""One attempt, one cost, however many layers report it and however often a report arrives.

Not here, since what they are about is not built yet: P24 as far as agent spans of frameworks carry
the sum of their calls (no spans are taken in), and P28 likewise (a trace with several signals that
state a cost). The tests of both numbers hold what there is: our own agent nodes carry no cost.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

import outlay
from outlay.capture.testing import capture_events
from outlay.core.ids import uuid7_unix_ms
from outlay.enrich.hop import HopLog
from outlay.enrich.worker import Enricher
from outlay.stream.sqlite import SqliteLog
from tests.guest.bodies import CHAT, JSON, OPENAI_URL, asked
from tests.unit.enrich.fakes import FakeBooks, enriched_rows, flat_price
from tests.unit.stream.events import chunk

GATEWAY_ID = "01890000-0000-7000-8000-0000000000aa"


def client(**headers: str) -> httpx.Client:
    def handle(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={**JSON, **headers}, json=CHAT)

    return httpx.Client(transport=httpx.MockTransport(handle))


def test_p24_an_agent_that_holds_calls_adds_no_cost_of_its_own() -> None:
    """Nested agents and steps are names on the call's event, not events beside it."""
    http = client()
    with capture_events() as events, outlay.context(tenant="acme"), outlay.agent("planner"):
        with outlay.agent("writer"):
            http.post(OPENAI_URL, json=asked())
        spent = outlay.current()
    assert [event["agent_path"] for event in events] == ["planner/writer"]
    assert (spent.calls, spent.tokens) == (1, 19)


@pytest.mark.parametrize("first", ["tap", "framework"])
def test_p25_a_call_that_a_framework_reports_too_is_one_event(first: str) -> None:
    """The provider's id of the response tells that both saw the same call."""

    def report() -> None:
        outlay.record("chat", name="framework", provider="openai", units={"input": 12},
                      response_id="chatcmpl-1")  # fmt: skip

    with capture_events() as events, outlay.context(tenant="acme"):
        if first == "framework":
            report()
        client().post(OPENAI_URL, json=asked())
        report()
        spent = outlay.current()
    assert len(events) == 1
    assert spent.calls == 1


def test_p25_a_call_through_our_own_gateway_is_recorded_there_alone() -> None:
    """The gateway stamps its event's id on the reply, and the tap then makes none."""
    http = client(**{"Outlay-Event-Id": GATEWAY_ID})
    with capture_events(hosts={"gate.test": "openai"}) as events:
        http.post("https://gate.test/v1/chat/completions", json=asked())
    assert events == []


def test_p26_an_answer_from_the_callers_own_cache_costs_nothing() -> None:
    """What sends no request makes no event."""
    http = client()
    kept: dict[str, Any] = {}

    def ask(prompt: str) -> Any:
        if prompt not in kept:
            kept[prompt] = http.post(OPENAI_URL, json=asked(user=prompt)).json()
        return kept[prompt]

    with capture_events() as events:
        assert ask("a") == ask("a") == ask("b")
    assert len(events) == 2


def test_p27_an_event_that_arrives_again_is_counted_once(tmp_path: Path) -> None:
    """A batch whose answer was lost is sent again; its ids tell that it is known."""
    with capture_events(tenant="acme") as events:
        client().post(OPENAI_URL, json=asked())
    now = uuid7_unix_ms(events[0]["event_id"]) * 1000 + 1_000_000
    captured, hop = SqliteLog(tmp_path / "captured.db"), HopLog(tmp_path / "hop.db")
    try:
        for _ in range(3):
            captured.append([chunk(events, now=now)], appended_at=now)
        enricher = Enricher(
            captured, hop, FakeBooks().as_books(), price=flat_price, clock=lambda: now
        )
        while enricher.run_once():
            pass
        assert [row["cost_nanos"] for row in enriched_rows(hop)] == [19]
        assert hop.counts().duplicates == 2
    finally:
        captured.close()
        hop.close()


def test_p28_every_cost_of_a_request_is_that_of_one_attempt() -> None:
    """A request's total is the sum of its attempts; nothing else in it has a cost."""
    http = client()
    with capture_events() as events, outlay.context(tenant="acme", feature="search"):
        for _ in range(3):
            http.post(OPENAI_URL, json=asked())
        spent = outlay.current()
    assert len({event["event_id"] for event in events}) == len(events) == 3
    assert len({event["request_id"] for event in events}) == 1
    assert spent.tokens == sum(event["input"] + event["output"] for event in events)
    assert not any("cost_nanos" in json.dumps(event) for event in events), "priced by the server"
