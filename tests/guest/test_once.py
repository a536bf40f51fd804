"""One response, one event: whoever sees it, however often, in whichever process."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import outlay
from outlay.capture import once
from outlay.capture.ids import once_id
from outlay.capture.once import MAX_AGE_DAYS, MAX_AHEAD_S, PERIOD_DAYS, Once, place
from outlay.capture.testing import capture_events
from outlay.core.ids import uuid7_unix_ms
from outlay.enrich.hop import HopLog
from outlay.enrich.worker import Enricher
from outlay.stream.judge import Limits
from outlay.stream.sqlite import SqliteLog
from outlay.wire.base import Reading
from tests.guest.bodies import CHAT, JSON, OPENAI_URL, asked
from tests.guest.test_events import accepted
from tests.unit.enrich.fakes import FakeBooks, enriched_rows, flat_price
from tests.unit.stream.events import chunk

RESPONSES = "https://api.openai.com/v1/responses"
NOW = time.time_ns() // 1000
MADE = NOW // 1_000_000 - 3600
DAY = 86_400_000_000
GATEWAY_ID = "01890000-0000-7000-8000-0000000000aa"


def response(status: str, **more: Any) -> dict[str, Any]:
    done = status not in ("queued", "in_progress")
    usage = {"input_tokens": 12, "output_tokens": 7, "total_tokens": 19} if done else None
    return {
        "id": "resp_1", "object": "response", "model": "gpt-5.6-luna", "status": status,
        "background": True, "created_at": MADE, "output": [], "usage": usage, **more,
    }  # fmt: skip


def client(*replies: Any, **headers: str) -> httpx.Client:
    """Answer with each reply in turn; the last one stays. Bytes are a stream of events."""
    left = list(replies)

    def handle(_request: httpx.Request) -> httpx.Response:
        body = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(body, bytes):
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
        return httpx.Response(200, headers={**JSON, **headers}, json=body)

    return httpx.Client(transport=httpx.MockTransport(handle))


def ended(kind: str = "completed") -> bytes:
    event = {"type": f"response.{kind}", "response": response(kind)}
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def billed(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event.get("billed", "yes") != "no"]


# -- a response that is seen again -------------------------------------------------------------


def test_p23_a_background_response_is_billed_by_the_first_look_that_finds_it_done() -> None:
    http = client(response("queued"), response("in_progress"), response("completed"))
    with capture_events() as events, outlay.context(tenant="acme"):
        http.post(RESPONSES, json={"model": "gpt-5.6-luna", "input": "x", "background": True})
        assert (events[0]["billed"], "input" in events[0]) == ("no", False)
        for _ in range(4):
            http.get(f"{RESPONSES}/resp_1")
        spent = outlay.current()
    assert len(events) == 2
    (event,) = billed(events)
    assert (event["input"], event["output"], event["tenant_id"]) == (12, 7, "acme")
    assert event["started_at"] == event["ended_at"] == MADE * 1_000_000
    assert "latency_ms" not in event
    assert uuid7_unix_ms(event["event_id"]) == MADE * 1000
    assert (spent.tokens, spent.calls) == (19, 2)
    accepted(events)


def test_p23_a_stored_response_that_was_not_in_the_background_costs_nothing_to_look_at() -> None:
    http = client(response("completed", background=False))
    with capture_events() as events:
        http.post(RESPONSES, json={"model": "gpt-5.6-luna", "input": "x"})
        for _ in range(3):
            http.get(f"{RESPONSES}/resp_1")
    assert len(events) == 1
    assert uuid7_unix_ms(events[0]["event_id"]) // 1000 != MADE


def test_a_video_whose_vendor_states_the_cost_is_billed_by_the_first_look_that_finds_it_done() -> (
    None
):
    url = "https://api.x.ai/v1/videos"
    done = {
        "status": "done", "model": "grok-imagine-video", "video": {"duration": 8},
        "usage": {"cost_in_usd_ticks": 4_000_000_000},
    }  # fmt: skip
    http = client({"request_id": "req_1"}, {"status": "pending"}, done)
    with capture_events() as events:
        http.post(f"{url}/generations", json={"model": "grok-imagine-video", "duration": 8})
        for _ in range(3):
            http.get(f"{url}/req_1")
    assert len(events) == 2
    (event,) = billed(events)
    assert event["provider_cost_nanos"] == 400_000_000
    assert event["other_units"] == {"video_seconds": 8}
    accepted(events)


@pytest.mark.parametrize("background", [True, False])
def test_a_cut_stream_of_an_interaction_and_a_later_look_are_one_event(background: bool) -> None:
    url = "https://generativelanguage.googleapis.com/v1beta/interactions"
    made = "2026-11-02T10:00:00Z"
    begun = {"id": "int_1", "status": "in_progress", "model": "g", "created": made}
    told = {"event_type": "interaction.created", "interaction": begun}
    usage = {"total_input_tokens": 12, "total_output_tokens": 7, "total_tokens": 19}
    stream = f"data: {json.dumps(told)}\n\n".encode()
    http = client(stream, {**begun, "status": "completed", "usage": usage})
    with capture_events() as events:
        asked_for = {"model": "g", "input": "x", "stream": True, "background": background}
        http.post(url, json=asked_for)
        for _ in range(3):
            http.get(f"{url}/int_1")
    assert len(events) == (2 if background else 1)
    (event,) = billed(events)
    assert event["input"] == (12 if background else 1)


@pytest.mark.parametrize("first", ["stream", "look", "cancel"])
def test_every_process_gives_the_same_response_the_same_id(first: str) -> None:
    with capture_events() as one:
        if first == "stream":
            ask = {"model": "gpt-5.6-luna", "input": "x", "background": True, "stream": True}
            client(ended()).post(RESPONSES, json=ask)
        elif first == "cancel":
            client(response("cancelled")).post(f"{RESPONSES}/resp_1/cancel")
        else:
            client(response("completed")).get(f"{RESPONSES}/resp_1")
    with capture_events() as two:
        client(response("completed")).get(f"{RESPONSES}/resp_1?include=x")
        client(ended()).get(f"{RESPONSES}/resp_1?stream=true")
    assert [event["event_id"] for event in two] == [one[0]["event_id"]]
    assert len(one) == 1
    with capture_events() as other:
        client(response("completed", id="resp_2")).get(f"{RESPONSES}/resp_2")
    assert other[0]["event_id"] != one[0]["event_id"]


def test_a_stream_that_ends_keeps_the_times_of_its_attempt() -> None:
    ask = {"model": "gpt-5.6-luna", "input": "x", "background": True, "stream": True}
    with capture_events() as events:
        client(ended()).post(RESPONSES, json=ask)
    assert events[0]["started_at"] >= NOW
    assert "latency_ms" in events[0]


def test_the_server_keeps_one_of_two_processes_events(tmp_path: Path) -> None:
    found: list[dict[str, Any]] = []
    for _ in range(2):
        with capture_events(tenant="acme") as events:
            client(response("completed")).get(f"{RESPONSES}/resp_1")
        found += events
    captured, hop = SqliteLog(tmp_path / "captured.db"), HopLog(tmp_path / "hop.db")
    try:
        for event in found:
            captured.append([chunk([event], now=NOW)], appended_at=NOW)
        enricher = Enricher(
            captured, hop, FakeBooks().as_books(), price=flat_price, clock=lambda: NOW
        )
        while enricher.run_once():
            pass
        assert len(found) == 2
        assert [row["cost_nanos"] for row in enriched_rows(hop)] == [19]
        assert hop.counts().duplicates == 1
    finally:
        captured.close()
        hop.close()


# -- the time inside a derived id --------------------------------------------------------------


def test_a_known_time_within_the_window_is_the_ids_time() -> None:
    oldest = NOW - MAX_AGE_DAYS * DAY
    for created in (NOW, NOW - DAY, oldest, NOW + MAX_AHEAD_S * 1_000_000):
        assert place(created, NOW) == (created // 1000, created)


@pytest.mark.parametrize(
    ("created", "start"),
    [
        (None, NOW),
        (NOW - MAX_AGE_DAYS * DAY - 1, NOW - MAX_AGE_DAYS * DAY),
        (NOW + MAX_AHEAD_S * 1_000_000 + 1, NOW),
    ],
    ids=["unknown", "too old", "in the future"],
)
def test_without_a_time_to_use_the_running_period_is_the_ids_time(
    created: int | None, start: int
) -> None:
    period = PERIOD_DAYS * DAY
    begin = NOW - NOW % period
    assert place(created, NOW) == (begin // 1000, start)
    if created is None:
        assert place(None, begin)[0] == place(None, begin + period - 1)[0] == begin // 1000
        assert place(None, begin + period)[0] == (begin + period) // 1000


def test_ingest_has_days_left_to_take_any_derived_id() -> None:
    assert max(MAX_AGE_DAYS, PERIOD_DAYS) + 4 <= Limits().max_past_days


def test_an_id_is_made_of_who_and_what_and_when() -> None:
    made = once_id("openai", "resp_1", 1_790_000_000_000)
    assert uuid.UUID(made).version == 7
    assert made == once_id("openai", "resp_1", 1_790_000_000_000)
    others = {
        once_id("azure", "resp_1", 1_790_000_000_000),
        once_id("openai", "resp_2", 1_790_000_000_000),
        once_id("openai", "resp_1", 1_790_000_000_001),
    }
    assert len(others | {made}) == 4


def test_a_response_made_too_long_ago_is_said_to_be_read_late() -> None:
    old = response("completed", created_at=MADE - 40 * 86_400)
    with capture_events() as events:
        client(old).get(f"{RESPONSES}/resp_1")
    (event,) = events
    assert "read_late" in event["findings"]
    accepted(events)


# -- a gateway in front ------------------------------------------------------------------------

GATE = {"gate.test": "openai"}


def test_p25_a_call_that_a_gateway_of_ours_recorded_is_only_counted() -> None:
    http = client(CHAT, **{"Outlay-Event-Id": GATEWAY_ID})
    with capture_events(hosts=GATE) as events, outlay.context():
        http.post("https://gate.test/v1/chat/completions", json=asked())
        spent = outlay.current()
        again = outlay.record("chat", name="x", provider="openai", response_id="chatcmpl-1")
    assert events == []
    assert (spent.tokens, spent.calls) == (19, 1)
    assert again == GATEWAY_ID


@pytest.mark.parametrize(
    ("url", "stamp"),
    [
        (OPENAI_URL, GATEWAY_ID),
        ("https://gate.test/v1/chat/completions", "not-an-id"),
        ("https://gate.test/v1/chat/completions", "01890000-0000-4000-8000-0000000000aa"),
        ("https://gate.test/v1/chat/completions", ""),
    ],
)
def test_nobody_else_can_talk_an_event_away(url: str, stamp: str) -> None:
    with capture_events(hosts=GATE) as events:
        client(CHAT, **{"outlay-event-id": stamp}).post(url, json=asked())
    assert len(events) == 1
    assert events[0]["event_id"] != stamp


# -- a framework that reports the same call ----------------------------------------------------


def hook(**more: Any) -> str:
    given = {"name": "framework", "provider": "openai", "units": {"input": 12}, **more}
    return outlay.record("chat", **given)


@pytest.mark.parametrize(
    "named",
    [
        {"response_id": "chatcmpl-1"},
        {"provider_request_id": "req_1"},
        {"response_id": "chatcmpl-1", "provider_request_id": "req_1"},
        {"response_id": "unheard-of", "provider_request_id": "req_1"},
        {"response_id": "chatcmpl-1", "provider": "OpenAI "},
    ],
)
def test_p25_a_report_of_a_call_that_a_tap_has_recorded_is_that_event(
    named: dict[str, Any],
) -> None:
    with capture_events() as events, outlay.context():
        client(CHAT).post(OPENAI_URL, json=asked())
        assert hook(**named) == events[0]["event_id"]
        assert hook(**named) == events[0]["event_id"]
        spent = outlay.current()
    assert (len(events), spent.tokens) == (1, 19)


@pytest.mark.parametrize("named", [{"response_id": "chatcmpl-1"}, {"provider_request_id": "req_1"}])
def test_p25_a_tap_that_comes_after_the_report_adds_nothing(named: dict[str, Any]) -> None:
    with capture_events() as events, outlay.context():
        first = hook(**named)
        client(CHAT).post(OPENAI_URL, json=asked())
        assert hook(response_id="chatcmpl-1") == first
        spent = outlay.current()
    assert [event["event_id"] for event in events] == [first]
    assert events[0].items() >= named.items()
    assert (spent.calls, spent.tokens) == (1, 12)


@pytest.mark.parametrize(
    "named",
    [
        {"response_id": "chatcmpl-2"},
        {"response_id": "chatcmpl-1", "provider": "azure"},
        {"response_id": "chatcmpl-1", "provider": None},
        {"response_id": ""},
        {},
    ],
)
def test_a_report_of_another_call_is_an_event_of_its_own(named: dict[str, Any]) -> None:
    with capture_events() as events:
        client(CHAT).post(OPENAI_URL, json=asked())
        assert hook(**named) == events[1]["event_id"]
    accepted(events)


def test_other_names_of_a_provider_are_the_same_provider() -> None:
    with capture_events() as events:
        client(CHAT).post("https://api.x.ai/v1/chat/completions", json=asked())
        for name in ("xai", "x-ai"):
            assert hook(provider=name, response_id="chatcmpl-1") == events[0]["event_id"]


def test_a_call_that_cost_nothing_does_not_take_the_place_of_a_report() -> None:
    with capture_events() as events:
        client(response("queued")).post(RESPONSES, json={"input": "x", "background": True})
        assert hook(response_id="resp_1") == events[1]["event_id"]


def test_a_server_that_counts_its_ids_anew_is_metered_all_the_same() -> None:
    with capture_events() as events:
        first = hook(response_id="chatcmpl-1")
        http = client(CHAT)
        for _ in range(3):
            http.post(OPENAI_URL, json=asked())
        assert len(events) == 3
        assert hook(response_id="chatcmpl-1") == events[-1]["event_id"] != first


# -- the memory --------------------------------------------------------------------------------


def call(number: int) -> Reading:
    made = Reading("openai", "openai.chat", "openai")
    made.response_id = f"r{number}"
    return made


def test_the_memory_is_bounded_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_RECENT", "MAX_KEPT", "MAX_JOBS"):
        monkeypatch.setattr(once, name, 8)
    memory = Once()
    for number in range(30):
        memory.tapped(call(number), f"e{number}")
    assert memory.told("openai", ("r22",), "hook") == "e22"
    assert memory.told("openai", ("r21",), "hook") == "hook"
    for number in range(100):
        memory.tapped(call(number), f"f{number}")
        memory.told("openai", (f"h{number}",), "x")
        memory.first(f"o{number}")
        memory.job_made("openai", f"j{number}", number)
    assert max(memory.sizes().values()) <= 16
    assert (memory.job_time("openai", "j99"), memory.job_time("openai", "j0")) == (99, None)
    assert (memory.first("o99"), memory.first("o0")) == (False, True)


def test_an_id_too_long_to_keep_is_not_remembered() -> None:
    memory = Once()
    for size, found in ((once.MAX_ID_CHARACTERS, "e"), (once.MAX_ID_CHARACTERS + 1, "hook")):
        made = call(1)
        made.response_id = name = "r" * size
        memory.tapped(made, "e")
        assert memory.told("openai", (name,), "hook") == found


def test_a_look_repeated_for_ever_stays_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "MAX_KEPT", 8)
    memory = Once()
    assert memory.first("polled")
    for number in range(100):
        memory.first(f"o{number}")
        assert not memory.first("polled")


def run_together(*works: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_taps_and_reports_in_many_threads_agree_on_one_event_a_call() -> None:
    memory = Once()
    said: dict[str, list[str]] = {f"r{number}": [] for number in range(1500)}

    def taps() -> None:
        for number in range(1500):
            said[f"r{number}"].append(memory.tapped(call(number), f"tap-{number}"))

    def reports(name: str) -> None:
        for number in range(1500):
            said[f"r{number}"].append(memory.told("openai", (f"r{number}",), f"{name}-{number}"))

    run_together(taps, lambda: reports("one"), lambda: reports("two"))
    assert all(len(ids) == 3 and len(set(ids)) == 1 for ids in said.values())
