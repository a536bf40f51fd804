"""Which socket is whose, and what holds for every session codec, whatever comes over the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.wire import sessions
from outlay.wire.google_live import GoogleLiveSession
from outlay.wire.openai_live import LiveSession
from outlay.wire.openai_realtime import RealtimeSession
from outlay.wire.openai_socket import ResponsesSession
from outlay.wire.sessions import (
    MAX_MESSAGE_BYTES,
    MAX_NOTES,
    MAX_QUERY_FIELDS,
    UnknownSession,
    open_session,
    whole_seconds,
)
from tests.wire.harness import assert_sane
from tests.wire.sockets import GEMINI, REALTIME, VERTEX, got, opened, sent

SOCKETS = {
    REALTIME: (RealtimeSession, "openai", "openai.realtime"),
    "wss://eu.api.openai.com/v1/realtime?model=m": (RealtimeSession, "openai", "openai.realtime"),
    "wss://api.x.ai/v1/realtime": (RealtimeSession, "x-ai", "openai.realtime"),
    "wss://r.openai.azure.com/openai/realtime?deployment=d": (
        RealtimeSession, "azure", "openai.realtime",
    ),
    "wss://r.openai.azure.com/openai/v1/realtime?model=d": (
        RealtimeSession, "azure", "openai.realtime",
    ),
    "wss://r.services.ai.azure.com/voice-live/realtime?model=m": (
        RealtimeSession, "azure", "openai.realtime",
    ),
    "wss://api.openai.com/v1/realtime/translations?model=m": (
        LiveSession, "openai", "openai.translation",
    ),
    "wss://api.openai.com/v1/live/sessions": (LiveSession, "openai", "openai.live"),
    "wss://api.openai.com/v1/live/sessions/s_1/attach": (LiveSession, "openai", "openai.live"),
    "wss://api.openai.com/v1/live/sessions/s_1/fork": (LiveSession, "openai", "openai.live"),
    "wss://api.openai.com/v1/responses": (ResponsesSession, "openai", "openai.responses"),
    GEMINI: (GoogleLiveSession, "google", "google.live"),
    GEMINI + "Constrained?access_token=t": (GoogleLiveSession, "google", "google.live"),
    VERTEX: (GoogleLiveSession, "google", "google.live"),
    "wss://api.openai.com/v1/brand/new": (UnknownSession, "openai", "openai.unknown"),
    "wss://generativelanguage.googleapis.com/v1/realtime": (
        RealtimeSession, "google", "openai.realtime",
    ),
    "wss://api.anthropic.com/v1/realtime": (UnknownSession, "anthropic", "anthropic.unknown"),
}  # fmt: skip


@pytest.mark.parametrize("url", SOCKETS)
def test_a_socket_is_known_by_host_and_path(url: str) -> None:
    session = opened(url)
    kind, provider, surface = SOCKETS[url]
    assert type(session) is kind
    assert (session.endpoint.provider, session.endpoint.surface) == (provider, surface)


@pytest.mark.parametrize("url", ["wss://example.com/v1/realtime", "ws://127.0.0.1:1/", "nonsense"])
def test_a_socket_to_nobody_known_has_no_codec(url: str) -> None:
    assert open_session(url) is None


def test_a_private_host_is_known_through_the_hosts_setting() -> None:
    session = opened("ws://gate:8000/in/v1/realtime?model=m", hosts={"gate:8000/in": "openai"})
    assert session.endpoint.surface == "openai.realtime"
    assert session.endpoint.model == "m"


def test_a_vendor_that_is_not_in_the_table_is_said_to_be_unknown() -> None:
    session = opened("ws://gate/v1/realtime?model=m", hosts={"gate": "someone"})
    (reading,) = got(session, {"type": "response.done", "response": {"usage": {"input_tokens": 1}}})
    assert "unknown_vendor" in reading.findings


def test_the_region_of_the_host_is_kept() -> None:
    assert opened("wss://eu.api.openai.com/v1/realtime").endpoint.region_class == "eu"


def test_an_unknown_socket_is_one_reading_that_nobody_can_price() -> None:
    session = opened("wss://api.openai.com/v1/brand/new")
    session.sent("{}", "mark 1")
    assert session.received("{}", "mark 2") == []
    assert session.received("{}", "mark 3") == []
    (reading,) = session.finish()
    assert reading.findings == ["unknown_endpoint"]
    assert (reading.billed, reading.usage, reading.began) == ("possible", {}, "mark 2")


def test_an_unknown_socket_on_which_nothing_came_is_no_reading() -> None:
    assert opened("wss://api.openai.com/v1/brand/new").finish() == []


def test_a_session_ends_once_and_hears_nothing_after_that() -> None:
    session = opened()
    got(session, {"type": "response.created", "response": {"id": "r"}})
    assert len(session.finish()) == 1
    assert session.finish() == []
    assert got(session, {"type": "response.created", "response": {"id": "r2"}}) == []
    session.sent("{}")
    assert session.finish() == []


DONE = {"type": "response.done", "response": {"id": "r", "status": "completed"}}


def test_a_message_at_the_bound_is_read_and_one_over_it_is_only_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    done = json.dumps({**DONE, "response": {**DONE["response"], "usage": usage}})  # type: ignore[dict-item]
    monkeypatch.setattr(sessions, "MAX_MESSAGE_BYTES", len(done))
    session = opened()
    assert session.received(done + " ") == []
    (reading,) = session.received(done)
    assert reading.usage == {"input": 3, "output": 4}
    assert reading.findings == ["message_too_large"]
    assert MAX_MESSAGE_BYTES == 16 * 1024 * 1024


def test_findings_that_wait_for_a_reading_are_bounded() -> None:
    session = opened()
    for number in range(MAX_NOTES + 1):
        session.note(f"note {number}")
    (reading,) = got(session, {"type": "response.done", "response": {"status": "failed"}})
    assert [f for f in reading.findings if f.startswith("note")] == [
        f"note {number}" for number in range(MAX_NOTES)
    ]


def test_what_is_no_json_object_is_noted_with_the_next_reading() -> None:
    session = opened()
    for message in ("", "nonsense", "[1]", b"\xff\xfe", bytearray(b"{"), memoryview(b"7")):
        assert session.received(message) == []
    (reading,) = got(session, {"type": "response.done", "response": {"status": "failed"}})
    assert reading.findings == ["malformed_message"]


def test_a_query_is_read_up_to_a_bound_of_fields() -> None:
    base = "wss://api.openai.com/v1/realtime?model=m"
    most = base + "&x=1" * (MAX_QUERY_FIELDS - 1)
    assert opened(most).endpoint.model == "m"
    assert opened(most + "&x=1").endpoint.model is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0, 0), (3, 3), (2.01, 3), (2.0, 2), (-1, None), (True, None), ("3", None), (None, None),
     (float("nan"), None), (float("inf"), None), (10**16, None)],
)  # fmt: skip
def test_durations_are_whole_seconds_rounded_up(value: Any, seconds: int | None) -> None:
    assert whole_seconds(value) == seconds


_WORDS = st.sampled_from(
    [
        "type", "response", "id", "usage", "session", "item", "response.created", "response.done",
        "response.completed", "error", "input_tokens", "output_tokens", "input_token_details",
        "cached_tokens", "audio_tokens", "serverContent", "modelTurn", "parts", "turnComplete",
        "usageMetadata", "promptTokenCount", "responseTokenCount", "toolCall", "functionCalls",
        "session.usage.updated", "session.closed", "seconds", "response.event", "event", "setup",
        "conversation.item.input_audio_transcription.completed", "clientContent", "toolResponse",
        "session.updated", "delta", "response.output_audio.delta", "response_id",
        "response.create", "billable_audio_seconds", "model", "status", "completed", "text",
    ]
)  # fmt: skip
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(
    url=st.sampled_from([u for u in SOCKETS if "brand" not in u]),
    messages=st.lists(st.tuples(st.booleans(), st.dictionaries(_WORDS, _VALUES)), max_size=8),
)
def test_whatever_passes_the_codec_answers_with_sane_readings(
    url: str, messages: list[tuple[bool, dict[str, Any]]]
) -> None:
    session = opened(url)
    readings = []
    for outgoing, message in messages:
        text = json.dumps(message)
        if outgoing:
            session.sent(text)
        else:
            readings += session.received(text)
    for reading in [*readings, *session.finish()]:
        assert_sane(reading)
        assert not any(f.startswith("codec_error") for f in reading.findings), reading.findings


# -- what is under way ---------------------------------------------------------------------------

RESPONSES = "wss://api.openai.com/v1/responses"
CREATED = {"type": "response.created", "response": {"id": "r1"}}


@pytest.mark.parametrize(
    ("url", "asks", "works", "ends"),
    [
        (
            REALTIME,
            {"type": "response.create"},
            CREATED,
            {"type": "response.done", "response": {"id": "r1", "status": "completed"}},
        ),
        (
            RESPONSES,
            {"type": "response.create", "model": "gpt-5"},
            CREATED,
            {"type": "response.completed", "response": {"id": "r1", "status": "completed"}},
        ),
        (
            GEMINI,
            {"clientContent": {"turnComplete": True}},
            {"serverContent": {"modelTurn": {"parts": [{"text": "a"}]}}},
            {"serverContent": {"turnComplete": True}, "usageMetadata": {"promptTokenCount": 1}},
        ),
    ],
)
def test_work_is_under_way_from_its_asking_to_its_counts(
    url: str, asks: Any, works: Any, ends: Any
) -> None:
    session = opened(url)
    seen = [session.under_way]
    sent(session, asks)
    seen.append(session.under_way)
    for message in (works, ends):
        got(session, message)
        seen.append(session.under_way)
    assert seen == [False, True, True, False]


def test_work_that_nobody_asked_for_is_under_way_once_it_is_told_of() -> None:
    for url in (REALTIME, RESPONSES):
        session = opened(url)
        got(session, CREATED)
        seen = [session.under_way]
        session.finish()
        assert [*seen, session.under_way] == [True, False]


def test_a_session_that_is_charged_by_the_second_does_not_wait_for_its_end() -> None:
    session = opened("wss://api.openai.com/v1/live/sessions")
    sent(session, {"type": "session.start"})
    assert not session.under_way
