"""Cohere, Ollama and rerankers: whatever comes, a sane reading, alike in any chunking."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.wire.base import Request
from tests.wire.harness import Exchange, assert_sane, exchange, in_chunks, read, sse, to_bytes

HOSTS = {"gpu": "ollama", "vllm": "vllm"}
URLS = (
    "https://api.cohere.com/v2/chat",
    "https://api.cohere.com/v1/chat",
    "https://api.cohere.com/v1/classify",
    "https://api.cohere.com/v2/embed",
    "https://api.cohere.com/v2/rerank",
    "https://openrouter.ai/api/v1/rerank",
    "http://vllm/score",
    "http://gpu/api/chat",
    "http://gpu/api/embed",
)
SCALARS = (
    st.none() | st.booleans() | st.integers(-5, 50) | st.integers() | st.floats()
    | st.text(max_size=8)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
UNITS = st.dictionaries(
    st.sampled_from([
        "input_tokens", "output_tokens", "text_tokens", "image_tokens", "images", "search_units",
        "classifications", "pages", "novel",
    ]),
    st.integers(-2, 60) | VALUES,
    max_size=4,
)  # fmt: skip
USAGE = st.fixed_dictionaries(
    {},
    optional={
        "billed_units": UNITS | VALUES, "tokens": UNITS | VALUES, "cached_tokens": VALUES,
        "search_units": VALUES, "total_tokens": st.integers(-2, 60) | VALUES, "cost": VALUES,
    },
)  # fmt: skip
KINDS = ("message-start", "content-delta", "tool-call-start", "message-end", "stream-end")
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(KINDS) | VALUES,
        "event_type": st.sampled_from(KINDS) | VALUES,
        "delta": st.fixed_dictionaries({}, optional={"usage": USAGE, "message": VALUES}) | VALUES,
        "response": st.fixed_dictionaries({}, optional={"meta": USAGE | VALUES}) | VALUES,
        "usage": USAGE | VALUES,
        "meta": USAGE | VALUES,
        **dict.fromkeys(
            ("message", "generations", "finish_reason", "done", "done_reason", "error", "id",
             "prompt_eval_count", "eval_count", "total_duration", "novel_count", "text"),
            VALUES,
        ),
    },
)  # fmt: skip
ASK = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("model", "messages", "stream", "inputs", "texts", "query", "documents", "text_1", "text_2",
         "options", "prompt", "chat_history", "max_tokens"),
        VALUES,
    ),
)  # fmt: skip


def no_trips(reading: Any) -> None:
    assert_sane(reading)
    assert not [found for found in reading.findings if found.startswith("codec_error")]


@given(
    st.sampled_from(URLS),
    st.sampled_from(["text/event-stream", "application/json", "application/x-ndjson", ""]),
    st.binary(max_size=60),
    st.lists(st.binary(max_size=60), max_size=6),
    st.sampled_from([200, 204, 400, 500]),
    st.booleans(),
)
def test_any_bytes_give_a_sane_reading(
    url: str, kind: str, ask: bytes, chunks: list[bytes], status: int, complete: bool
) -> None:
    headers = {"content-type": kind}
    wild = Exchange(Request("POST", url, {}, ask), status, headers, hosts=HOSTS)
    no_trips(read(wild, chunks, complete=complete))


@settings(max_examples=300)
@given(st.sampled_from(URLS), ASK, EVENT, st.sampled_from([200, 400]))
def test_any_json_gives_a_sane_reading(
    url: str, ask: dict[str, Any], body: dict[str, Any], status: int
) -> None:
    no_trips(read(exchange(url, ask, body, status=status, hosts=HOSTS)))


@settings(max_examples=300)
@given(
    st.sampled_from(URLS),
    ASK,
    st.lists(EVENT, max_size=4),
    st.booleans(),
    st.booleans(),
    st.integers(1, 40),
)
def test_any_stream_gives_a_sane_reading_in_any_chunking(
    url: str, ask: dict[str, Any], events: list[dict[str, Any]], lines: bool, complete: bool,
    size: int,
) -> None:  # fmt: skip
    wild = exchange(url, ask, sse(*events), hosts=HOSTS)
    if lines:
        body = b"".join(to_bytes(event) + b"\n" for event in events)
        headers = {"content-type": "application/x-ndjson"}
        wild = exchange(url, ask, {}, headers=headers, hosts=HOSTS).with_body(body)
    reading = read(wild, complete=complete)
    no_trips(reading)
    # NaN differs from itself, so the readings are compared as they print
    assert repr(read(wild, in_chunks(wild.body, size), complete=complete)) == repr(reading)
