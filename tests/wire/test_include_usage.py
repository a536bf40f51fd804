"""Asking for the usage chunk on the caller's behalf, and hiding it again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.wire import include_usage
from outlay.wire.base import Request
from outlay.wire.include_usage import UsageChunkFilter, add_include_usage
from outlay.wire.registry import find_endpoint
from tests.wire.harness import byte_by_byte, fixture, in_chunks, split_at, to_bytes

OPENAI = "https://api.openai.com/v1/chat/completions"
STREAM: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "ü"}],
    "stream": True,
}


def added(body: dict[str, Any] | bytes, url: str = OPENAI, **hosts: str) -> bytes | None:
    raw = body if isinstance(body, bytes) else to_bytes(body)
    request = Request("POST", url, {}, raw)
    endpoint = find_endpoint(request, hosts=hosts)
    assert endpoint is not None
    return add_include_usage(request, endpoint)


def test_the_option_is_added_and_no_other_byte_changes() -> None:
    raw = b' {\n "stream": true, "n" : 1.0, "x":"\xc3\xbc\\u00e9"}\n'
    assert added(raw) == b' {"stream_options":{"include_usage":true},' + raw[2:]
    assert json.loads(added(STREAM) or b"") == {
        **STREAM, "stream_options": {"include_usage": True},
    }  # fmt: skip


@pytest.mark.parametrize("options", [None, {}, {"include_obfuscation": False}])
def test_other_options_of_the_caller_are_kept(options: dict[str, Any] | None) -> None:
    body = added({**STREAM, "stream_options": options})
    assert body is not None
    assert json.loads(body) == {
        **STREAM, "stream_options": {**(options or {}), "include_usage": True},
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {**STREAM, "stream_options": {"include_usage": True}},
        {**STREAM, "stream_options": {"include_usage": False}},
        {**STREAM, "stream_options": "odd"},
        {**STREAM, "stream": False},
        {"model": "m"},
        {},
        b"",
        b"not json",
        b"[1]",
        b'{"stream": true',
        json.dumps(STREAM).encode("utf-16"),
        json.dumps(STREAM).encode("utf-16-le"),
    ],
)
def test_every_other_request_is_left_alone(body: dict[str, Any] | bytes) -> None:
    assert added(body) is None


@pytest.mark.parametrize(
    ("url", "asks"),
    [
        (OPENAI, True),
        ("https://api.openai.com/v1/responses", False),
        ("https://api.openai.com/v1/completions", False),
        ("https://api.deepseek.com/chat/completions", True),
        ("https://r.openai.azure.com/openai/v1/chat/completions", True),
        ("https://r.openai.azure.com/openai/deployments/d/chat/completions", False),
        (
            "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-06-01",
            False,
        ),
        (
            "https://r.openai.azure.com/openai/deployments/d/chat/completions?a=b&api-version=2025-01-01-preview",
            True,
        ),
        # these tell their usage unasked, or are not known to take the option
        ("https://api.groq.com/openai/v1/chat/completions", False),
        ("https://api.mistral.ai/v1/chat/completions", False),
        ("https://openrouter.ai/api/v1/chat/completions", False),
        ("https://api.anthropic.com/v1/messages", False),
        ("http://gpu:8000/v1/chat/completions", True),
        ("http://odd:8000/v1/chat/completions", False),
    ],
)
def test_only_vendors_known_to_take_the_option_are_asked(url: str, asks: bool) -> None:
    body = added(STREAM, url, **{"gpu:8000": "vllm", "odd:8000": "never-heard-of"})
    assert (body is not None) is asks


# -- the filter --------------------------------------------------------------------------------

CHUNK = b'data: {"choices":[{"delta":{"content":"hi"}}],"usage":null}'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}'
AZURE_FIRST = b'data: {"choices":[],"prompt_filter_results":[],"usage":null}'
MODERATION = b'data: {"choices":[],"moderation":{"input":{}},"usage":null}'
DEEPSEEK = b'data: {"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}'
DONE = b"data: [DONE]"
OTHERS = (
    CHUNK, AZURE_FIRST, MODERATION, DEEPSEEK, DONE, b": comment", b"event: x\ndata: 1", b"id: 4",
    b'data: {"usage":{}}', b'data: "choices" "usage"', b": c\ndata: {}", b"retry: 3\n: c\ndata: 1",
    b'data: {"choices":[],"usage":[1]}',
)  # fmt: skip
USAGES = (
    USAGE,
    b"id: 1\nevent: message\n" + USAGE,
    b'data: {"choices":[],\ndata:"usage":{}}',
    b'data:{"usage": {"a": 1}, "choices": [] }',
)


def filtered(chunks: Any) -> bytes:
    usage_filter = UsageChunkFilter()
    return b"".join([*(usage_filter.feed(chunk) for chunk in chunks), usage_filter.flush()])


def test_the_usage_chunk_is_hidden_and_all_else_passes_untouched() -> None:
    body = b"\n\n".join([AZURE_FIRST, CHUNK, DEEPSEEK, USAGE, MODERATION, b": ping", DONE, b""])
    without = body.replace(USAGE + b"\n\n", b"")
    for size in range(1, len(body) + 1):
        assert filtered(in_chunks(body, size)) == without


@pytest.mark.parametrize("name", ["openai-chat-stream", "openai-chat-tools-stream"])
def test_a_filtered_stream_is_the_stream_that_the_caller_asked_for(name: str) -> None:
    body = fixture(name).body
    events = fixture(name).events
    expected = b"".join(event for event in events if b'"usage":{' not in event)
    assert len(expected) < len(body)
    assert filtered(byte_by_byte(body)) == expected
    for place in range(len(body) + 1):
        assert filtered(split_at(body, place)) == expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*OTHERS, *USAGES]),
            st.sampled_from([b"\n", b"\r\n", b"\r"]),
        ),
        max_size=8,
    ),
    st.lists(st.integers(1, 40), max_size=60),
    st.booleans(),
)
def test_filtering_removes_usage_events_and_nothing_else_in_any_chunking(
    events: list[tuple[bytes, bytes]], sizes: list[int], bom: bool
) -> None:
    body, expected = (b"\xef\xbb\xbf", b"\xef\xbb\xbf") if bom else (b"", b"")
    for event, end in events:
        block = event.replace(b"\n", end) + end + end
        body += block
        if event not in USAGES:
            expected += block
    if bom and events and events[0][0] in USAGES:
        expected = expected.removeprefix(b"\xef\xbb\xbf")
    chunks, place = [], 0
    for size in sizes:
        chunks.append(body[place : place + size])
        place += size
    assert filtered([*chunks, body[place:]]) == expected


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_bytes_of_any_kind_pass_in_any_chunking(chunks: list[bytes]) -> None:
    assert filtered(chunks) == b"".join(chunks)


@given(st.lists(st.sampled_from([b"\n", b"\r", USAGE, CHUNK, b"data:", b":", b"x"]), max_size=20))
def test_the_chunking_never_matters(parts: list[bytes]) -> None:
    body = b"".join(parts)
    assert filtered([body]) == filtered(parts) == filtered(byte_by_byte(body))


def test_a_whole_event_is_never_held_back() -> None:
    usage_filter = UsageChunkFilter()
    for event in (CHUNK, AZURE_FIRST, DONE):
        for end in (b"\n\n", b"\r\n\r\n", b"\r\r"):
            assert usage_filter.feed(event + end) == event + end
    assert usage_filter.feed(b": ping\n") == b": ping\n", "a comment needs no blank line"
    assert usage_filter.feed(CHUNK[:9]) == b""
    assert usage_filter.feed(CHUNK[9:] + b"\n\n" + USAGE + b"\n\n") == CHUNK + b"\n\n"


def test_what_is_held_at_the_end_is_given_back() -> None:
    usage_filter = UsageChunkFilter()
    usage_filter.feed(CHUNK[:20])
    assert usage_filter.flush() == CHUNK[:20]
    assert usage_filter.flush() == b""


def test_a_usage_chunk_without_its_blank_line_is_hidden_too() -> None:
    assert filtered([CHUNK + b"\n\n" + USAGE]) == CHUNK + b"\n\n"


def test_an_event_too_large_to_hold_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(include_usage, "MAX_EVENT_BYTES", 50)
    body = b"data: " + b"x" * 200 + b"\n" + USAGE + b"\n\n" + CHUNK[:20] + b"\n\n"
    for size in (1, 7, 10**6):
        usage_filter = UsageChunkFilter()
        out = b"".join(map(usage_filter.feed, in_chunks(body, size)))
        assert len(usage_filter._held) <= 50
        assert out == body
