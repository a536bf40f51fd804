"""Speech and transcription: what is told is read, what is not told is said to be missing."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest

from outlay.wire.base import Reading, Request
from outlay.wire.openai_media import rounded_up
from outlay.wire.reader import BodyReader
from tests.wire.harness import (
    Exchange,
    assert_same_in_any_chunking,
    cut_after_events,
    exchange,
    read,
    reader_for,
    sse,
)
from tests.wire.media_payloads import form_request, replied

SPEECH = "https://api.openai.com/v1/audio/speech"
TEXT = "Grüße aus Köln"  # 14 characters, 17 bytes
HEARD = "https://api.openai.com/v1/audio/transcriptions"
AUDIO = {"file": b"RIFF\0\0" * 5000}


def spoken(model: str, url: str = SPEECH, *, kind: str = "audio/mpeg", **more: Any) -> Exchange:
    ask = {"model": model, "voice": "coral", "input": TEXT, **more}
    return replied(url, b"\xff\xfb\x90" * 9000, kind=kind, ask=ask)


def heard(
    reply: Any,
    model: str = "whisper-1",
    url: str = HEARD,
    kind: str = "application/json",
    **more: str,
) -> Reading:
    return read(replied(form_request(url, {"model": model, **more}, AUDIO), reply, kind=kind))


# -- speech ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("tts-1", SPEECH),
        ("canopylabs/orpheus-v1-english", "https://api.groq.com/openai/v1/audio/speech"),
        ("cartesia/sonic", "https://api.together.xyz/v1/audio/speech"),
    ],
)
@pytest.mark.parametrize("kind", ["audio/mpeg", "application/octet-stream", ""])
def test_the_characters_to_speak_are_counted(model: str, url: str, kind: str) -> None:
    reading = read(spoken(model, url, kind=kind))
    assert (reading.usage, reading.usage_source) == ({"characters": 14}, "counted")
    assert (reading.status, reading.billed, reading.findings) == ("ok", "yes", [])
    assert (reading.operation, reading.model_requested) == ("speech", model)
    assert reading.usage_raw is None


def test_a_model_charged_by_tokens_is_not_known_from_audio_and_that_is_said() -> None:
    reading = read(spoken("gpt-4o-mini-tts"))
    # 14 characters are 4 tokens; the characters keep the event unpriced, for the audio is unknown
    assert reading.usage == {"characters": 14, "input": 4}
    assert reading.usage_source == "estimated"
    assert reading.findings == ["usage_missing", "input_estimated"]


def test_the_event_stream_tells_the_tokens() -> None:
    events: list[dict[str, Any]] = [
        {"type": "speech.audio.delta", "audio": "A" * 5000},
        {"type": "speech.audio.delta", "audio": "A" * 5000},
        {
            "type": "speech.audio.done",
            "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115},
        },
    ]
    ask = {"model": "gpt-4o-mini-tts", "input": TEXT, "stream_format": "sse"}
    stream = exchange(SPEECH, ask, sse(*events))
    reading = assert_same_in_any_chunking(stream, most=60)
    assert reading.usage == {"input": 14, "output_audio": 101}
    assert (reading.usage_source, reading.findings) == ("provider", [])
    for _, cut in cut_after_events(stream):
        assert (cut.status, cut.billed) == ("aborted", "possible")
        assert cut.usage == {"characters": 14, "input": 4}
        assert "usage_missing" in cut.findings


def test_mistral_charges_characters_though_its_stream_tells_tokens() -> None:
    url, ask = "https://api.mistral.ai/v1/audio/speech", {"model": "voxtral-tts", "input": TEXT}
    usage = {"prompt_tokens": 9, "completion_tokens": 60, "total_tokens": 69}
    events: list[dict[str, Any]] = [
        {"type": "speech.audio.delta", "audio_data": "AAAA"},
        {"type": "speech.audio.done", "usage": usage},
    ]
    streamed = read(exchange(url, {**ask, "stream": True}, sse(*events, names=True)))
    whole = read(replied(url, {"audio_data": "A" * 100_000}, ask=ask))
    for reading in (streamed, whole):
        assert (reading.usage, reading.usage_source) == ({"characters": 14}, "counted")
    assert streamed.usage_raw == usage


def test_together_ends_its_stream_with_the_done_marker() -> None:
    url = "https://api.together.xyz/v1/audio/speech"
    body = sse({"object": "audio.tts.chunk", "model": "cartesia/sonic", "b64": "AAAA"}, "[DONE]")
    reading = read(exchange(url, {"model": "cartesia/sonic", "input": TEXT, "stream": True}, body))
    assert (reading.usage, reading.status) == ({"characters": 14}, "ok")


def test_audio_is_let_go_as_it_comes() -> None:
    reader = reader_for(spoken("tts-1"))
    assert isinstance(reader, BodyReader)
    reader.response(200, {"content-type": "audio/wav"})
    for _ in range(300):
        reader.feed(b"\0" * (1 << 16))  # 19 MiB in all
        assert len(reader._body) == 0
    reading = reader.finish()
    assert (reading.usage, reading.findings) == ({"characters": 14}, [])


def test_audio_that_is_cut_was_paid_for_perhaps() -> None:
    reading = read(spoken("tts-1"), [b"\xff\xfb"], complete=False)
    assert (reading.status, reading.billed) == ("aborted", "possible")
    assert reading.usage == {"characters": 14}


def test_speech_of_an_unknown_text_is_not_free() -> None:
    reading = read(replied(Request("POST", SPEECH), b"\0", kind="audio/mpeg"))
    assert (reading.usage, reading.billed) == ({}, "possible")
    assert reading.findings == ["usage_missing"]


def test_an_error_in_place_of_audio_costs_nothing() -> None:
    body = {"error": {"type": "invalid_request_error", "message": "no"}}
    reading = read(replied(SPEECH, body, status=400, ask={"model": "tts-1", "input": TEXT}))
    assert (reading.error_type, reading.billed) == ("invalid_request_error", "no")
    assert reading.usage == {}


def test_an_empty_reply_is_found() -> None:
    reading = read(replied(SPEECH, b"", kind="audio/mpeg", ask={"model": "tts-1", "input": TEXT}))
    assert "empty_body" in reading.findings


# -- transcription -----------------------------------------------------------------------------

TOKENS = {
    "type": "tokens", "input_tokens": 114, "output_tokens": 31, "total_tokens": 145,
    "input_token_details": {"text_tokens": 14, "audio_tokens": 100},
}  # fmt: skip
SECONDS = {"type": "duration", "seconds": 8.4}
MISTRAL = "https://api.mistral.ai/v1/audio/transcriptions"
GROQ = "https://api.groq.com/openai/v1/audio/translations"


@pytest.mark.parametrize(
    ("url", "reply", "buckets"),
    [
        (HEARD, {"text": "a", "usage": TOKENS}, {"input": 14, "input_audio": 100, "output": 31}),
        # what is read is audio where nothing says otherwise
        (
            HEARD,
            {"text": "a", "usage": {**TOKENS, "input_token_details": None}},
            {"input_audio": 114, "output": 31},
        ),
        (HEARD, {"text": "a", "usage": SECONDS}, {"audio_seconds": 9}),
        # verbose JSON: the usage is what is charged, the duration is what is known without it
        (HEARD, {"text": "a", "duration": 8.470000267028809}, {"audio_seconds": 9}),
        (HEARD, {"text": "a", "duration": "8.47"}, {"audio_seconds": 9}),
        (HEARD, {"text": "a", "duration": 3.2, "usage": SECONDS}, {"audio_seconds": 9}),
        (
            HEARD,
            {"task": "transcribe", "duration": 8.4, "segments": [], "usage": TOKENS},
            {"input": 14, "input_audio": 100, "output": 31},
        ),
        (GROQ, {"text": "a", "duration": 2.1, "x_groq": {"id": "req_1"}}, {"audio_seconds": 3}),
        # Mistral charges seconds; its tokens are told beside them
        (
            MISTRAL,
            {
                "model": "voxtral-mini-2602", "text": "a",
                "usage": {
                    "prompt_audio_seconds": 203, "prompt_tokens": 4, "total_tokens": 3264,
                    "completion_tokens": 635,
                },
            },
            {"audio_seconds": 203},
        ),
    ],
)  # fmt: skip
def test_what_a_transcription_used(
    url: str, reply: dict[str, Any], buckets: dict[str, int]
) -> None:
    reading = heard(reply, url=url)
    assert (reading.usage, reading.usage_source) == (buckets, "provider")
    assert (reading.billed, reading.findings) == ("yes", [])
    assert (reading.operation, reading.model_requested) == ("transcription", "whisper-1")
    assert reading.usage_raw == (
        {k: v for k, v in reply["usage"].items() if v is not None} if "usage" in reply else None
    )


def test_groq_names_the_request_and_mistral_the_model() -> None:
    assert heard({"text": "", "x_groq": {"id": "req_1"}}, url=GROQ).response_id == "req_1"
    assert heard({"text": "", "model": "voxtral-2"}, url=MISTRAL).model_served == "voxtral-2"


def test_openrouter_states_the_cost() -> None:
    usage = {"seconds": 9.2, "cost": 0.000508}
    reading = heard(
        {"text": "a", "usage": usage}, url="https://openrouter.ai/api/v1/audio/transcriptions"
    )
    assert (reading.usage, reading.provider_cost_nanos) == ({"audio_seconds": 10}, 508_000)


@pytest.mark.parametrize(
    ("kind", "body", "style"),
    [
        ("text/plain; charset=utf-8", b"Hello there.\n", "text"),
        ("text/plain", b"1\n00:00:00,000 --> 00:00:02,000\nHi\n", "srt"),
        ("text/vtt", b"WEBVTT\n\n00:00.000 --> 00:02.000\nHi\n", "vtt"),
        ("", b"Hello there.", "text"),
        ("application/json", {"text": "Hello there."}, "json"),
        ("application/json", {"text": "a", "usage": None}, "json"),
    ],
)
def test_a_format_that_tells_no_usage_is_not_free(kind: str, body: Any, style: str) -> None:
    reading = heard(body, kind=kind, response_format=style)
    assert (reading.usage, reading.billed, reading.status) == ({}, "possible", "ok")
    assert reading.findings == ["usage_missing"]


def test_a_reply_that_should_be_json_and_is_none_is_found() -> None:
    assert heard(b"<html>").findings == ["malformed_body", "usage_missing"]


@pytest.mark.parametrize(
    ("url", "kinds"),
    [
        (HEARD, ("transcript.text.delta", "transcript.text.done")),
        (MISTRAL, ("transcription.text.delta", "transcription.done")),
    ],
)
def test_the_last_event_of_a_stream_carries_the_usage(url: str, kinds: tuple[str, str]) -> None:
    usage = TOKENS if url == HEARD else {"prompt_audio_seconds": 7, "prompt_tokens": 3}
    buckets = {"input": 14, "input_audio": 100, "output": 31}
    events = [{"type": kinds[0], "delta": "Hel"}, {"type": kinds[0], "delta": "lo"}]
    done = {"type": kinds[1], "text": "Hello", "usage": usage}
    request = form_request(url, {"model": "m", "stream": "true"}, AUDIO)
    stream = replied(request, sse(*events, done, names=True), kind="text/event-stream")
    reading = assert_same_in_any_chunking(stream, most=60)
    assert reading.usage == (buckets if url == HEARD else {"audio_seconds": 7})
    assert (reading.status, reading.streamed, reading.findings) == ("ok", True, [])
    for _, cut in cut_after_events(stream):
        assert (cut.status, cut.billed, cut.usage) == ("aborted", "possible", {})
        assert cut.findings == ["usage_missing"]


def test_an_error_in_a_stream_is_an_error() -> None:
    request = form_request(HEARD, {"model": "m", "stream": "true"})
    body = sse({"type": "error", "error": {"code": "server_error"}})
    reading = read(replied(request, body, kind="text/event-stream"))
    assert (reading.status, reading.error_type, reading.billed) == ("error", "server_error", "no")


# -- as the SDK writes it ----------------------------------------------------------------------


def test_the_form_of_the_official_sdk_is_read() -> None:
    sent: list[Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        body = request.read()
        sent.append(Request("POST", str(request.url), dict(request.headers), body))
        return httpx2.Response(200, json={"text": "a", "usage": SECONDS})

    client = openai.OpenAI(
        api_key="none", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    )
    client.audio.transcriptions.create(model="whisper-1", file=b"RIFF" * 100_000, prompt="secret")
    reading = read(replied(sent[0], {"text": "a", "usage": SECONDS}))
    assert (reading.model_requested, reading.usage) == ("whisper-1", {"audio_seconds": 9})


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (8, 8), (8.0, 8), (8.0004, 8), (8.001, 9), ("8", 8), ("7.2", 8), (0.0001, 1), (0, 0),
        (-1, 0), (True, 0), (None, 0), ("x", 0), ("nan", 0), ("snan", 0), ("1e999999", 0),
        (float("nan"), 0), (float("inf"), 0), (10**400, 0), ("9" * 33, 0), ([], 0),
    ],
)  # fmt: skip
def test_a_duration_is_rounded_up_and_anything_else_is_none(value: Any, whole: int) -> None:
    assert rounded_up(value) == whole
