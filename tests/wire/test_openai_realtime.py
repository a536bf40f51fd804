"""The Realtime API: every `response.done` is counted once, and so is every transcription."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire import openai_realtime
from outlay.wire.sessions import MAX_PENDING, MessageSession, SessionReading
from tests.wire.harness import assert_sane
from tests.wire.sockets import REALTIME, got, opened, played, recorded, sent

AZURE = "wss://r.openai.azure.com/openai/realtime?api-version=v&deployment=my-voice"
VOICE_LIVE = "wss://r.services.ai.azure.com/voice-live/realtime?model=gpt-realtime"
XAI = "wss://api.x.ai/v1/realtime?model=grok-voice-latest"

USAGE: dict[str, Any] = {
    "total_tokens": 190, "input_tokens": 130, "output_tokens": 60,
    "input_token_details": {
        "text_tokens": 50, "audio_tokens": 70, "image_tokens": 10, "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 30, "audio_tokens": 34, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 20, "audio_tokens": 40},
}  # fmt: skip
SESSION = {
    "type": "session.updated",
    "session": {
        "type": "realtime",
        "model": "gpt-realtime-2026",
        "audio": {"input": {"transcription": {"model": "whisper-1"}}},
    },
}
CREATED = {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}
HEARD = {
    "type": "conversation.item.input_audio_transcription.completed",
    "item_id": "item_1",
    "content_index": 0,
    "transcript": "hello",
}


def done(status: str = "completed", usage: Any = USAGE, **more: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "status": status, "usage": usage, "output": [], **more}
    return {"type": "response.done", "response": response}


def delta(kind: str, text: str) -> dict[str, Any]:
    return {"type": kind, "response_id": "resp_1", "delta": text}


# -- recorded sessions ---------------------------------------------------------------------------

RECORDED: dict[str, tuple[str, list[dict[str, int]]]] = {
    "openai-realtime": (REALTIME, [{"input": 16, "output": 9, "output_audio": 15}]),
    "openai-realtime-audio-in": (
        REALTIME,
        [
            {"audio_seconds": 3},
            {"input": 14, "input_audio": 27, "output": 28, "output_audio": 136},
        ],
    ),
    "azure-voice-live": (VOICE_LIVE, [{"input": 16, "output": 14, "output_audio": 31}]),
    # charged by the second: 47 tokens are evidence
    "xai-realtime": (XAI, [{"audio_seconds": 1}]),
}


@pytest.mark.parametrize("name", RECORDED)
def test_counts_the_recorded_session_in_disjoint_buckets(name: str) -> None:
    url, buckets = RECORDED[name]
    readings = played(url, *recorded(name))
    assert [r.usage for r in readings] == buckets
    for reading in readings:
        assert_sane(reading)
        assert (reading.status, reading.usage_source) == ("ok", "provider")


def test_recorded_responses_keep_their_ids_and_models() -> None:
    heard, spoken = played(REALTIME, *recorded("openai-realtime-audio-in"))
    assert (heard.operation, spoken.operation) == ("transcription", "realtime")
    assert heard.findings == ["transcriber_unknown"], "the recording leaves the session out"
    assert spoken.response_id == "resp_E6U0xfWhN878XBMhc0LKn"
    assert (spoken.provider, spoken.vendor, spoken.surface) == (
        "openai", "openai", "openai.realtime",
    )  # fmt: skip
    assert (spoken.model_requested, spoken.streamed, spoken.findings) == ("gpt-realtime", True, [])


def test_xai_keeps_its_token_counts_as_evidence() -> None:
    (reading,) = played(XAI, *recorded("xai-realtime"))
    assert reading.usage_raw["input_token_details"]["text_tokens"] == 5
    assert reading.usage_raw["output_audio_seconds"] == pytest.approx(0.77)
    assert (reading.provider, reading.findings) == ("x-ai", [])


# -- what a response tells -----------------------------------------------------------------------


def test_cached_tokens_are_part_of_their_modality() -> None:
    (reading,) = played(REALTIME, SESSION, CREATED, done())
    assert reading.usage == {
        "input": 20, "input_audio": 36, "input_image": 10, "input_cache_read": 30,
        "input_cache_read_audio": 34, "output": 20, "output_audio": 40,
    }  # fmt: skip
    assert reading.input_total + reading.output_total == 190
    assert reading.model_served == "gpt-realtime-2026"
    assert reading.usage_raw == USAGE
    assert reading.findings == []


@pytest.mark.parametrize(
    ("status", "details", "expected"),
    [
        ("completed", None, ("ok", "completed", None)),
        ("completed", "unimplemented", ("ok", "completed", None)),
        ("cancelled", {"reason": "turn_detected"}, ("aborted", "turn_detected", None)),
        (
            "incomplete",
            {"reason": "max_output_tokens"},
            ("incomplete", "max_output_tokens", None),
        ),
        ("incomplete", {"reason": "content_filter"}, ("refused", "content_filter", None)),
        ("failed", {"error": {"type": "server_error"}}, ("error", "failed", "server_error")),
        ("failed", None, ("error", "failed", "error")),
    ],
)
def test_a_response_that_ended_otherwise_is_billed_as_it_counts(
    status: str, details: Any, expected: tuple[str, str, str | None]
) -> None:
    (reading,) = played(REALTIME, CREATED, done(status, status_details=details))
    assert (reading.status, reading.finish_reason, reading.error_type) == expected
    assert (reading.output_total, reading.billed, reading.usage_source) == (60, "yes", "provider")


def test_a_status_that_is_not_known_is_drift() -> None:
    (reading,) = played(REALTIME, CREATED, done("paused"))
    assert reading.findings == ["drift:status.paused"]


def test_a_counter_that_is_not_known_is_drift() -> None:
    (reading,) = played(REALTIME, done(usage={**USAGE, "moon_tokens": 3}))
    assert "drift:moon_tokens" in reading.findings


def test_tool_calls_and_bounds_are_counted() -> None:
    items = [{"type": "message"}, {"type": "function_call"}, {"type": "function_call"}]
    (reading,) = played(REALTIME, done(output=items, max_output_tokens=4096))
    assert (reading.tool_calls, reading.max_tokens) == (2, 4096)
    (reading,) = played(REALTIME, done(max_output_tokens="inf"))
    assert reading.max_tokens is None


def test_a_failed_response_without_counts_or_output_costs_nothing() -> None:
    (reading,) = played(REALTIME, CREATED, done("failed", usage=None))
    assert (reading.status, reading.billed, reading.usage) == ("error", "no", {})


def test_a_completed_response_without_counts_is_estimated_and_said_to_be() -> None:
    (reading,) = played(
        REALTIME, CREATED, delta("response.output_text.delta", "x" * 40), done(usage=None)
    )
    assert reading.findings == ["usage_missing", "input_estimated", "output_estimated"]
    assert (reading.usage["output"], reading.usage_source) == (10, "estimated")


def test_counts_of_zero_are_said_to_be_zero() -> None:
    (reading,) = played(REALTIME, done(usage={"input_tokens": 0, "output_tokens": 0}))
    assert (reading.usage, reading.findings) == ({}, ["usage_zero"])


# -- aborted -------------------------------------------------------------------------------------


def test_a_response_that_was_never_done_is_aborted_and_never_free() -> None:
    session = opened()
    got(session, CREATED)
    (reading,) = session.finish()
    assert (reading.status, reading.billed, reading.usage_source) == (
        "aborted", "possible", "estimated",
    )  # fmt: skip
    assert reading.usage == {"input": 1, "output": 1}
    assert reading.response_id == "resp_1"


def test_the_estimate_counts_what_passed_since_the_last_count() -> None:
    session = opened()
    got(session, CREATED, done())
    second = "A" * 64_000  # base64 of 48,000 bytes: one second of 24 kHz PCM
    sent(session, {"type": "input_audio_buffer.append", "audio": second})
    part = {"type": "input_text", "text": "12345678"}
    item = {"type": "message", "role": "user", "content": [part]}
    sent(session, {"type": "conversation.item.create", "item": item})
    got(
        session,
        CREATED,
        delta("response.output_audio.delta", second),
        delta("response.output_audio_transcript.delta", "1234"),
    )
    (reading,) = session.finish(error="ConnectionClosedError")
    # 190 tokens of conversation and 2 of text; a token for 100 ms heard, and for 50 ms spoken
    assert reading.usage == {"input": 192, "input_audio": 10, "output": 1, "output_audio": 20}
    assert reading.error_type == "ConnectionClosedError"


def test_audio_of_telephones_is_estimated_at_its_own_rate() -> None:
    session = opened()
    audio = {"output": {"format": {"type": "audio/pcmu"}}}
    got(session, {"type": "session.updated", "session": {"audio": audio}}, CREATED)
    got(session, delta("response.output_audio.delta", "A" * (8000 * 4 // 3)))
    (reading,) = session.finish()
    assert reading.usage["output_audio"] == openai_realtime.OUTPUT_AUDIO_PER_S


def test_one_more_response_than_the_bound_ends_the_oldest() -> None:
    session = opened()
    made = [{"type": "response.created", "response": {"id": f"r{n}"}} for n in range(MAX_PENDING)]
    assert got(session, *made) == []
    (oldest,) = got(session, {"type": "response.created", "response": {"id": "more"}})
    assert (oldest.response_id, oldest.status) == ("r0", "aborted")
    assert "too_many_pending" in oldest.findings
    assert len(session.finish()) == MAX_PENDING


# -- transcription -------------------------------------------------------------------------------


def transcribed(usage: Any, url: str = REALTIME, *before: dict[str, Any]) -> list[SessionReading]:
    return played(url, *before, {**HEARD, "usage": usage})


def test_a_transcription_by_duration_is_a_call_of_its_own_model() -> None:
    (reading,) = transcribed({"type": "duration", "seconds": 2.4}, REALTIME, SESSION)
    assert (reading.operation, reading.model_requested) == ("transcription", "whisper-1")
    assert (reading.usage, reading.findings) == ({"audio_seconds": 3}, [])
    assert reading.response_id == "item_1"


def test_a_transcription_by_tokens_is_counted_by_modality() -> None:
    usage = {
        "type": "tokens", "input_tokens": 30, "output_tokens": 8, "total_tokens": 38,
        "input_token_details": {"audio_tokens": 25, "text_tokens": 5},
    }  # fmt: skip
    (reading,) = transcribed(usage, REALTIME, SESSION)
    assert reading.usage == {"input": 5, "input_audio": 25, "output": 8}
    assert reading.findings == []


def test_the_transcriber_is_known_from_what_the_client_asked_for_too() -> None:
    session = opened()
    asked = {"input_audio_transcription": {"model": "gpt-4o-transcribe"}}
    sent(session, {"type": "session.update", "session": asked})
    (reading,) = got(session, {**HEARD, "usage": {"type": "duration", "seconds": 1}})
    assert reading.model_requested == "gpt-4o-transcribe"


def test_a_transcription_that_tells_nothing_is_never_taken_for_free() -> None:
    (reading,) = transcribed(None, REALTIME, SESSION)
    assert (reading.usage, reading.billed, reading.findings) == ({}, "possible", ["usage_missing"])


def test_xai_includes_transcription_in_its_seconds() -> None:
    assert transcribed(None, XAI) == []


# -- vendors -------------------------------------------------------------------------------------


def test_azure_names_the_deployment_in_the_url_and_the_model_in_the_session() -> None:
    (reading,) = played(AZURE, SESSION, done())
    assert (reading.provider, reading.vendor, reading.host_class) == ("azure", "openai", "azure")
    assert (reading.deployment, reading.model_requested) == ("my-voice", "my-voice")
    assert reading.model_served == "gpt-realtime-2026"


def test_voice_live_names_a_model_and_counts_reasoning() -> None:
    usage = {**USAGE, "output_token_details": {"audio_tokens": 40, "reasoning_tokens": 15}}
    (reading,) = played(VOICE_LIVE, done(usage=usage))
    assert (reading.deployment, reading.model_requested) == (None, "gpt-realtime")
    assert (reading.usage["output_reasoning"], reading.usage["output"]) == (15, 5)


def test_xai_charges_the_text_messages_that_were_sent() -> None:
    session = opened(XAI)
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    output = {"type": "function_call_output", "output": "{}"}
    sent(session, *({"type": "conversation.item.create", "item": i} for i in (item, output, item)))
    usage = {"input_tokens": 5, "output_tokens": 42, "billable_audio_seconds": 1.2}
    (reading,) = got(session, {**done(usage={}), "usage": usage})
    assert reading.usage == {"audio_seconds": 2, "text_messages": 2}
    sent(session, {"type": "conversation.item.create", "item": item})
    (left,) = session.finish()
    assert left.usage == {"text_messages": 1}


def test_xai_without_seconds_is_counted_in_tokens() -> None:
    (reading,) = played(XAI, done(usage={"input_tokens": 5, "output_tokens": 7}))
    assert reading.usage == {"input": 5, "output": 7}


def test_who_listens_to_a_call_reads_responses_that_others_may_read() -> None:
    url = "wss://api.openai.com/v1/realtime?call_id=rtc_1"
    heard, spoken = played(
        url, SESSION, {**HEARD, "usage": {"type": "duration", "seconds": 1}}, done()
    )
    assert (heard.once, spoken.once) == ("item_1/0", "resp_1")
    (own,) = played(REALTIME, done())
    assert own.once == ""


# -- marks ---------------------------------------------------------------------------------------


def ask(session: MessageSession, mark: str, **more: Any) -> None:
    sent(session, {"type": "response.create", **more}, mark=mark)


def test_a_response_began_where_it_was_asked_for() -> None:
    session = opened()
    ask(session, "asked")
    got(session, CREATED, mark="created")
    got(session, delta("response.output_audio.delta", "AAAA"), mark="first")
    got(session, delta("response.output_audio.delta", "AAAA"), mark="second")
    (reading,) = got(session, done(), mark="done")
    assert (reading.began, reading.first) == ("asked", "first")


def test_a_response_that_nobody_asked_for_began_where_it_was_announced() -> None:
    session = opened()
    got(session, CREATED, mark="created")
    (reading,) = got(session, done(), mark="done")
    assert (reading.began, reading.first) == ("created", None)


@pytest.mark.parametrize("named", [True, False])
def test_a_request_that_was_refused_does_not_own_a_later_response(*, named: bool) -> None:
    session = opened()
    ask(session, "refused", event_id="e1")
    error = {"type": "invalid_request_error", "event_id": "e1" if named else None}
    got(session, {"type": "error", "error": error})
    ask(session, "asked", event_id="e2")
    got(session, CREATED, mark="created")
    (reading,) = got(session, done())
    assert reading.began == "asked"


def test_an_error_about_something_else_takes_no_request_away() -> None:
    session = opened()
    ask(session, "asked", event_id="e1")
    got(session, {"type": "error", "error": {"event_id": "e9"}})
    got(session, CREATED, mark="created")
    (reading,) = got(session, done())
    assert reading.began == "asked"


def test_requests_that_are_never_answered_are_kept_up_to_a_bound() -> None:
    session = opened()
    for number in range(MAX_PENDING + 1):
        ask(session, f"asked {number}")
    got(session, CREATED)
    (reading,) = got(session, done())
    assert reading.began == "asked 1"
