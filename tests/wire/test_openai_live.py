"""Live and translation sockets, and the Responses API over a socket."""

from __future__ import annotations

from typing import Any

from outlay.wire.sessions import MAX_PENDING
from tests.wire.harness import assert_sane
from tests.wire.sockets import got, opened, played, sent

LIVE = "wss://api.openai.com/v1/live/sessions"
SIDE = "wss://api.openai.com/v1/live/sessions/sess_1/attach"
TRANSLATE = "wss://api.openai.com/v1/realtime/translations?model=gpt-realtime-translate"
RESPONSES = "wss://api.openai.com/v1/responses"

RESOURCE = {"id": "sess_1", "model": "gpt-live-1", "status": "active"}
STARTED = {"type": "session.started", "session": RESOURCE}
USAGE = {
    "input_tokens": 100, "input_tokens_details": {"cached_tokens": 60}, "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 10}, "total_tokens": 130,
}  # fmt: skip
BUCKETS = {"input": 40, "input_cache_read": 60, "output": 20, "output_reasoning": 10}
SECOND = "A" * 64_000
"""Base64 of a second of 24 kHz PCM."""


def seconds(count: Any) -> dict[str, Any]:
    return {"type": "session.usage.updated", "usage": {"seconds": count}}


def closed(count: Any, reason: str = "close_requested") -> dict[str, Any]:
    usage = {"seconds": count}
    return {"type": "session.closed", "reason": reason, "session": RESOURCE, "usage": usage}


def event(kind: str, **more: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "object": "response", "model": "m-1-2026", "output": []}
    status = {"response.created": "in_progress", "response.failed": "failed"}.get(kind, "completed")
    return {"type": kind, "response": {**response, "status": status, "usage": None}, **more}


def finished(usage: Any = None, **more: Any) -> dict[str, Any]:
    made = event("response.completed", **more)
    return {**made, "response": {**made["response"], "usage": usage or USAGE}}


# -- Live ----------------------------------------------------------------------------------------


def test_the_last_count_of_a_live_session_is_taken_and_rounded_up() -> None:
    (reading,) = played(LIVE, STARTED, seconds(3.2), seconds(8.4), closed(12.1))
    assert reading.usage == {"audio_seconds": 13}
    assert (reading.status, reading.usage_source, reading.findings) == ("ok", "provider", [])
    assert (reading.operation, reading.model_served) == ("realtime", "gpt-live-1")
    assert (reading.response_id, reading.finish_reason) == ("sess_1", "close_requested")


def test_its_owner_and_a_listener_read_the_same_session() -> None:
    (owner,) = played(LIVE, STARTED, closed(5))
    (listener,) = played(SIDE, STARTED, closed(5))
    assert owner.once == listener.once == "sess_1"


def test_a_live_session_that_was_cut_keeps_what_it_was_told() -> None:
    (reading,) = played(LIVE, STARTED, seconds(8.4))
    assert (reading.usage, reading.status) == ({"audio_seconds": 9}, "aborted")
    assert reading.once == "", "the final count is not known"


def test_a_cut_session_counts_its_timeline_where_that_went_on() -> None:
    later = {"type": "session.output_transcript.delta", "delta": "x", "end_ms": 20_500}
    (reading,) = played(LIVE, STARTED, seconds(8.4), later)
    assert reading.usage == {"audio_seconds": 21}
    assert (reading.usage_source, reading.findings) == ("counted", ["seconds_counted"])


def test_a_session_that_tells_nothing_at_all_is_never_free() -> None:
    (reading,) = played(LIVE, STARTED)
    assert (reading.usage, reading.billed, reading.findings) == ({}, "possible", ["usage_missing"])


def test_a_socket_on_which_no_session_began_is_no_reading() -> None:
    assert played(LIVE, {"type": "error", "error": {"code": "unknown_parameter"}}) == []


def test_a_counter_that_is_not_known_is_drift() -> None:
    (reading,) = played(
        LIVE, STARTED, {"type": "session.usage.updated", "usage": {"seconds": 1, "moons": 2}}
    )
    assert "drift:moons" in reading.findings


def test_what_a_live_session_delegates_is_read_as_calls_of_their_own() -> None:
    def nested(name: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"type": "response.event", "delegation_id": name, "event": body}

    session = opened(LIVE)
    got(session, STARTED, nested("d1", event("response.created")))
    got(session, nested("d2", event("response.created")))
    (first,) = got(session, nested("d1", finished()), mark="end")
    assert (first.usage, first.surface, first.operation) == (BUCKETS, "openai.responses", "chat")
    assert first.model_served == "m-1-2026"
    cut, live = session.finish()
    assert (cut.status, cut.surface) == ("aborted", "openai.responses")
    assert live.surface == "openai.live"


def test_a_live_session_knows_where_it_began_and_first_spoke() -> None:
    session = opened(LIVE)
    sent(session, {"type": "session.start", "session": {"model": "gpt-live-1"}}, mark="start")
    got(session, STARTED, mark="started")
    got(session, {"type": "session.output_audio.delta", "delta": "AAAA"}, mark="spoke")
    (reading,) = session.finish()
    assert (reading.began, reading.first) == ("start", "spoke")


# -- translation ---------------------------------------------------------------------------------


def test_a_translation_is_counted_by_the_audio_that_was_sent() -> None:
    session = opened(TRANSLATE)
    got(session, {"type": "session.created", "session": {"id": "s", "model": "m"}})
    for _ in range(3):
        sent(session, {"type": "session.input_audio_buffer.append", "audio": SECOND})
    got(session, {"type": "session.closed"})
    (reading,) = session.finish()
    assert reading.usage == {"audio_seconds": 3}
    assert (reading.usage_source, reading.status) == ("counted", "ok")
    assert reading.model_requested == "gpt-realtime-translate"
    assert reading.once == "", "nobody else listens to it"


def test_other_formats_are_counted_at_their_own_rate() -> None:
    session = opened(LIVE)
    for kind, rate, expected in (("audio/pcm", 16_000, 3), ("audio/pcmu", 8_000, 12)):
        session = opened(LIVE)
        format_ = {"type": kind, "rate": rate}
        start = {"type": "session.start", "session": {"audio": {"format": format_}}}
        append = {"type": "session.input_audio.append", "audio": SECOND * 2}
        sent(session, start, append)
        (reading,) = session.finish()
        assert reading.usage == {"audio_seconds": expected}


# -- responses -----------------------------------------------------------------------------------


def test_a_response_over_a_socket_is_read_as_over_http() -> None:
    session = opened(RESPONSES)
    asked = {"type": "response.create", "model": "m-1", "input": "hi", "service_tier": "flex"}
    sent(session, asked, mark="asked")
    got(session, event("response.created"), mark="created")
    got(session, {"type": "response.output_text.delta", "delta": "x"}, mark="first")
    (reading,) = got(session, finished(), mark="done")
    assert reading.usage == BUCKETS
    assert (reading.model_requested, reading.model_served) == ("m-1", "m-1-2026")
    assert (reading.tier_requested, reading.streamed, reading.status) == ("flex", True, "ok")
    assert (reading.began, reading.first, reading.findings) == ("asked", "first", [])
    assert session.finish() == []


def test_lanes_are_answered_each_in_its_own_order() -> None:
    session = opened(RESPONSES)
    for model, lane in (("a1", "a"), ("b1", "b"), ("a2", "a")):
        sent(session, {"type": "response.create", "model": model, "stream_id": lane})
    readings = got(
        session,
        event("response.created", stream_id="a"),
        event("response.created", stream_id="b"),
        finished(stream_id="b"),
        finished(stream_id="a"),
        event("response.created", stream_id="a"),
        finished(stream_id="a"),
    )
    assert [r.model_requested for r in readings] == ["b1", "a1", "a2"]
    assert session.finish() == []


def test_a_request_that_is_refused_costs_nothing() -> None:
    session = opened(RESPONSES)
    sent(session, {"type": "response.create", "model": "m-1", "input": "hi"})
    error = {"type": "error", "status": 400, "error": {"code": "previous_response_not_found"}}
    (reading,) = got(session, error)
    assert (reading.status, reading.error_type) == ("error", "previous_response_not_found")
    assert (reading.billed, reading.usage) == ("no", {})


def test_a_response_that_the_server_began_by_itself_is_read_too() -> None:
    (reading,) = played(RESPONSES, event("response.created"), finished())
    assert reading.usage == BUCKETS


def test_a_response_under_way_when_the_socket_dies_is_aborted_and_estimated() -> None:
    session = opened(RESPONSES)
    sent(session, {"type": "response.create", "model": "m-1", "input": "12345678"})
    got(session, event("response.created"))
    got(session, {"type": "response.output_text.delta", "delta": "x" * 40})
    (reading,) = session.finish()
    assert (reading.status, reading.billed) == ("aborted", "possible")
    assert reading.usage == {"input": 2, "output": 10}
    assert reading.usage_source == "estimated"
    assert_sane(reading)


def test_one_more_request_than_the_bound_ends_the_oldest() -> None:
    session = opened(RESPONSES)
    for number in range(MAX_PENDING):
        sent(session, {"type": "response.create", "model": f"m-{number}", "stream_id": str(number)})
    assert got(session, {"type": "ping"}) == []
    sent(session, {"type": "response.create", "model": "more", "stream_id": "more"})
    (oldest,) = got(session, {"type": "ping"})
    assert (oldest.model_requested, oldest.status) == ("m-0", "aborted")
    assert "too_many_pending" in oldest.findings
    assert len(session.finish()) == MAX_PENDING
