"""Streams that end in the middle: whole events up to the cut, and behind it an end that our own
reader takes for an output that reached its length. The official SDKs are in `tests/guest`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.wire.base import Reading, Request
from outlay.wire.closing import Closing, closing_of
from outlay.wire.frames import MAX_HELD_BYTES
from outlay.wire.reader import BodyReader
from outlay.wire.registry import find_endpoint, open_reader
from tests.guest.limits_gate import (
    data,
    long_anthropic,
    long_chat,
    long_converse,
    long_gemini,
    long_responses,
)
from tests.wire.bedrock_payloads import STREAM, event

SSE = "text/event-stream"
CHAT = "https://api.openai.com/v1/chat/completions"
RUNTIME = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/g:streamGenerateContent"
HOSTS = {"llama:11434": "ollama"}


def cohere() -> list[bytes]:
    delta = {"message": {"content": {"text": "sixteen letters!"}}}
    return [
        data({"type": "message-start", "id": "c"}, "message-start"),
        data({"type": "content-start", "index": 0, "delta": {}}, "content-start"),
        *(data({"type": "content-delta", "index": 0, "delta": delta}, "content-delta")
          for _ in range(200)),
        data({"type": "content-end", "index": 0}, "content-end"),
        data({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {
            "billed_units": {"input_tokens": 1, "output_tokens": 2}}}}, "message-end"),
    ]  # fmt: skip


def lines(*bodies: dict[str, Any]) -> list[bytes]:
    return [json.dumps(body).encode() + b"\n" for body in bodies]


def ollama() -> list[bytes]:
    told = {"model": "llama", "message": {"role": "assistant", "content": "sixteen letters!"}}
    done = {"model": "llama", "done": True, "done_reason": "stop", "eval_count": 9}
    return lines(*[{**told, "done": False}] * 200, done)


def cohere_lines() -> list[bytes]:
    told = {"event_type": "text-generation", "text": "sixteen letters!", "is_finished": False}
    end = {"event_type": "stream-end", "is_finished": True, "finish_reason": "COMPLETE"}
    return lines({"event_type": "stream-start", "generation_id": "g"}, *[told] * 200, end)


def invoke() -> list[bytes]:
    from base64 import b64encode

    made = []
    for raw in long_anthropic():
        body = raw.partition(b"data: ")[2].strip()
        made.append(event("chunk", {"bytes": b64encode(body).decode()}))
    return made


def text_completion() -> list[bytes]:
    head = {"id": "cmpl", "object": "text_completion", "created": 1, "model": "m"}
    told = {**head, "choices": [{"index": 0, "text": "sixteen letters!", "finish_reason": None}]}
    return [*[data(told)] * 200, b"data: [DONE]\n\n"]


CASES: dict[str, tuple[str, str, Callable[[], list[bytes]], str]] = {
    "openai chat": (CHAT, SSE, long_chat, "length"),
    "openai completions": ("https://api.openai.com/v1/completions", SSE, text_completion, "length"),
    "openai responses": ("https://api.openai.com/v1/responses", SSE,
                         lambda: long_responses("m"), "max_output_tokens"),
    "mistral": ("https://api.mistral.ai/v1/chat/completions", SSE, long_chat, "length"),
    "anthropic": ("https://api.anthropic.com/v1/messages", SSE, long_anthropic, "max_tokens"),
    "gemini": (GEMINI + "?alt=sse", SSE, long_gemini, "MAX_TOKENS"),
    "gemini array": (GEMINI, "application/json", lambda: long_gemini(sse=False), "MAX_TOKENS"),
    "converse": (RUNTIME + "amazon.nova-lite-v1:0/converse-stream", STREAM, long_converse,
                 "max_tokens"),
    "invoke": (RUNTIME + "anthropic.claude-x/invoke-with-response-stream", STREAM, invoke,
               "max_tokens"),
    "cohere": ("https://api.cohere.com/v2/chat", SSE, cohere, "MAX_TOKENS"),
    "cohere v1": ("https://api.cohere.com/v1/chat", "application/stream+json", cohere_lines,
                  "MAX_TOKENS"),
    "ollama": ("http://llama:11434/api/chat", "application/x-ndjson", ollama, "length"),
}  # fmt: skip
every = pytest.mark.parametrize("case", CASES)
ASKED = {"model": "m", "stream": True, "messages": []}


def opened(case: str) -> tuple[Closing, BodyReader]:
    url, kind, _, _ = CASES[case]
    request = Request("POST", url, {}, json.dumps(ASKED).encode())
    endpoint = find_endpoint(request, hosts=HOSTS)
    assert endpoint is not None
    closing = closing_of(endpoint, ASKED, f"{kind}; charset=utf-8")
    reader = open_reader(request, hosts=HOSTS)
    assert closing is not None
    assert isinstance(reader, BodyReader)
    reader.response(200, {"content-type": kind})
    return closing, reader


def read(reader: BodyReader, raw: bytes) -> Reading:
    reader.feed(raw)
    return reader.finish()


@every
@given(cut=st.integers(0, 100_000), size=st.integers(1, 5000))
@settings(max_examples=25, deadline=None)
def test_a_cut_anywhere_ends_as_an_output_that_reached_its_length(
    case: str, cut: int, size: int
) -> None:
    closing, reader = opened(case)
    _, _, make, reason = CASES[case]
    whole = b"".join(make())
    cut = min(cut, len(whole) * 9 // 10)
    pieces = [whole[:cut][at : at + size] for at in range(0, cut, size)]
    shown = b"".join(map(closing.pass_on, pieces))
    assert whole.startswith(shown)
    finished = closing.finished
    reading = read(reader, shown + closing.end(11, 22))
    assert not finished
    assert reading.finish_reason == reason
    assert reading.status == "incomplete"
    assert not any(f.startswith(("malformed", "codec", "damaged")) for f in reading.findings)
    assert closing.end(11, 22) == b""


@every
def test_a_stream_that_is_not_cut_is_the_same_bytes(case: str) -> None:
    closing, _ = opened(case)
    whole = b"".join(CASES[case][2]())
    for size in (1, 7, 1000, len(whole)):
        shown = b"".join(
            closing.pass_on(whole[at : at + size]) for at in range(0, len(whole), size)
        )
        assert shown + closing.flush() == whole


@every
def test_what_the_provider_has_ended_is_left_alone(case: str) -> None:
    closing, _ = opened(case)
    closing.pass_on(b"".join(CASES[case][2]()))
    if case == "openai responses":
        assert not closing.finished  # this one never comes to its end
        return
    assert closing.finished
    assert closing.end() == b""


@every
@given(raw=st.binary(max_size=200))
@settings(max_examples=30, deadline=None)
def test_no_bytes_break_it(case: str, raw: bytes) -> None:
    closing, _ = opened(case)
    shown = closing.pass_on(raw)
    assert raw.startswith(shown)
    assert isinstance(closing.end(1, 2), bytes)


def test_an_event_that_is_too_long_to_hold_passes_and_then_nothing_is_added() -> None:
    closing, _ = opened("openai chat")
    raw = b"data: " + b"x" * MAX_HELD_BYTES
    assert closing.pass_on(raw) == raw
    assert closing.pass_on(b"y\n\n") == b"y\n\n"
    assert closing.end() == b""


def chunks(raw: bytes) -> list[Any]:
    told = [part.partition(b"data: ")[2] for part in raw.strip().split(b"\n\n")]
    return [text.decode() if text == b"[DONE]" else json.loads(text) for text in told]


def chat(asked: dict[str, Any]) -> Closing:
    endpoint = find_endpoint(Request("POST", CHAT))
    assert endpoint is not None
    closing = closing_of(endpoint, asked, SSE)
    assert closing is not None
    return closing


def test_chat_ends_every_open_choice_and_tells_the_usage_that_was_asked_for() -> None:
    closing = chat({"model": "m", "n": 3, "stream_options": {"include_usage": True}})
    head = {"id": "c", "object": "chat.completion.chunk", "created": 5, "model": "m-1"}
    for index, reason in ((0, None), (1, None), (1, "stop"), (2, None)):
        choice = {"index": index, "delta": {"content": "x"}, "finish_reason": reason}
        closing.pass_on(data({**head, "choices": [choice]}))
    *ends, usage, done = chunks(closing.end(10, 4))
    assert [e["choices"][0]["index"] for e in ends] == [0, 2]
    assert all(e["choices"][0]["finish_reason"] == "length" for e in ends)
    assert all({k: e[k] for k in head} == head for e in [*ends, usage])
    assert all(e["usage"] is None for e in ends)
    assert (usage["choices"], usage["usage"]["total_tokens"], done) == ([], 14, "[DONE]")


def test_chat_that_had_not_begun_has_a_role_and_a_model() -> None:
    end, done = chunks(chat({"model": "m"}).end())
    assert end["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert (end["model"], done) == ("m", "[DONE]")
    assert end["created"] > 0


def test_a_response_that_had_not_begun_begins_and_ends() -> None:
    closing, _ = opened("openai responses")
    told = [
        json.loads(part.partition(b"data: ")[2]) for part in closing.end(1, 2).split(b"\n\n")[:-1]
    ]
    assert [one["type"] for one in told] == ["response.created", "response.incomplete"]
    assert [one["sequence_number"] for one in told] == [0, 1]
    assert [one["response"]["status"] for one in told] == ["in_progress", "incomplete"]


def test_another_reason_stands_as_it_is() -> None:
    closing = chat({"model": "m"})
    assert chunks(closing.end(reason="stop"))[0]["choices"][0]["finish_reason"] == "stop"


def test_a_half_made_call_of_a_tool_is_told_as_incomplete() -> None:
    closing, _ = opened("openai responses")
    item = {"id": "fc", "type": "function_call", "name": "f", "arguments": "",
            "status": "in_progress"}  # fmt: skip
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    delta = {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a'}
    closing.pass_on(data(added, "x") + data(delta, "y"))
    *_, done, last = chunks(closing.end())
    assert (done["type"], done["item"]["status"]) == ("response.output_item.done", "incomplete")
    assert last["response"]["output"][0]["arguments"] == '{"a'


def test_what_has_no_text_to_cut_has_no_end() -> None:
    for url, kind in (
        (CHAT, "application/json"),
        ("https://api.openai.com/v1/audio/speech", SSE),
        ("https://api.openai.com/v1/embeddings", "application/json"),
    ):
        endpoint = find_endpoint(Request("POST", url))
        assert endpoint is not None
        assert closing_of(endpoint, ASKED, kind) is None


def test_streams_without_a_last_word_end_between_two_events() -> None:
    endpoint = find_endpoint(
        Request("POST", RUNTIME + "meta.llama3-1-70b-v1:0/invoke-with-response-stream")
    )
    assert endpoint is not None
    closing = closing_of(endpoint, {}, STREAM)
    assert closing is not None
    whole = event("chunk", {"bytes": "e30="})
    assert closing.pass_on(whole + whole[:9]) == whole
    assert closing.end() == b""


def test_a_reader_that_parses_money_exactly_takes_no_end_from_the_stream() -> None:
    """Its decimals are no JSON: an end that repeats them could not be written."""
    url = "https://openrouter.ai/api/v1/responses"
    request = Request("POST", url, {}, json.dumps(ASKED).encode())
    endpoint, reader = find_endpoint(request), open_reader(request)
    assert endpoint is not None
    assert isinstance(reader, BodyReader)
    closing = closing_of(endpoint, ASKED, SSE)
    assert closing is not None
    reader.echo_to(closing.echo)
    reader.response(200, {"content-type": SSE})
    begun = {"type": "response.created", "response": {"id": "r", "temperature": 0.7}}
    piece = data(begun, "response.created")
    reader.feed(piece)
    closing.pass_on(piece)
    assert b'"temperature":0.7' in closing.end()


@pytest.mark.parametrize("case", [case for case, row in CASES.items() if row[1] == SSE])
def test_what_a_reader_has_parsed_changes_no_end(case: str) -> None:
    alone, _ = opened(case)
    closing, reader = opened(case)
    reader.echo_to(closing.echo)
    whole = b"".join(CASES[case][2]())
    for at in range(0, len(whole) // 2, 500):
        piece = whole[at : at + 500]
        reader.feed(piece)
        assert closing.pass_on(piece) == alone.pass_on(piece)
    assert closing.end(11, 22) == alone.end(11, 22)
