"""Whatever a provider or a stranger sends, a reader gives a sane reading and never raises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.wire.base import Request
from outlay.wire.registry import find_endpoint, open_reader
from tests.wire.harness import Exchange, assert_sane, exchange, in_chunks, read, sse

URLS = (
    "https://api.openai.com/v1/chat/completions",
    "https://api.openai.com/v1/responses",
    "https://api.openai.com/v1/embeddings",
    "https://api.openai.com/v1/new_thing",
    "https://api.anthropic.com/v1/new_thing",
    "https://openrouter.ai/api/v1/chat/completions",
    "https://api.x.ai/v1/chat/completions",
    "https://api.perplexity.ai/chat/completions",
    "https://api.deepseek.com/chat/completions",
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 50)
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
COUNTS = st.integers(0, 40) | st.integers(-2, 2) | VALUES
DETAILS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys((
            "cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens", "video_tokens",
            "reasoning_tokens", "cached_tokens_details", "cache_write_tokens_details",
        ), COUNTS),
)  # fmt: skip
USAGE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys((
                "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens",
                "total_tokens", "cached_tokens", "reasoning_tokens", "citation_tokens",
                "prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "cost",
                "cost_in_usd_ticks", "is_byok", "cost_details",
            ), COUNTS),
        **dict.fromkeys((
                "prompt_tokens_details", "completion_tokens_details", "input_tokens_details",
                "output_tokens_details",
            ), DETAILS | VALUES),
    },
)  # fmt: skip
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "index": VALUES,
        "delta": VALUES,
        "message": VALUES,
        "usage": USAGE | VALUES,
        "finish_reason": st.sampled_from(["stop", "length", "content_filter"]) | VALUES,
    },
)
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["response.completed", "error", "response.output_item.done"]),
        "usage": USAGE | VALUES,
        "choices": st.lists(CHOICE | VALUES, max_size=3) | VALUES,
        "response": st.fixed_dictionaries(
            {}, optional={"usage": USAGE | VALUES, "status": VALUES, "tool_usage": VALUES}
        )
        | VALUES,
        "item": VALUES,
        "output": VALUES,
        "error": VALUES,
        "x_groq": VALUES,
        "model": VALUES,
        "id": VALUES,
        "status": st.sampled_from(["completed", "failed", "queued", "cancelled"]) | VALUES,
        "background": VALUES,
        "tool_usage": VALUES,
    },
)
ASK = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("model", "messages", "input", "prompt", "stream", "max_tokens", "background"), VALUES
    ),
)


@given(
    st.sampled_from(URLS),
    st.sampled_from(["text/event-stream", "application/json", ""]),
    st.binary(max_size=60),
    st.lists(st.binary(max_size=60), max_size=6),
    st.sampled_from([200, 204, 400, 500]),
    st.booleans(),
)
def test_any_bytes_give_a_sane_reading(
    url: str, kind: str, ask: bytes, chunks: list[bytes], status: int, complete: bool
) -> None:
    wild = Exchange(Request("POST", url, {}, ask), status, {"content-type": kind})
    assert_sane(read(wild, chunks, complete=complete))


@settings(max_examples=300)
@given(st.sampled_from(URLS), ASK, EVENT, st.sampled_from([200, 400]))
def test_any_json_gives_a_sane_reading(
    url: str, ask: dict[str, Any], body: dict[str, Any], status: int
) -> None:
    reading = read(exchange(url, ask, body, status=status))
    assert_sane(reading)
    assert not [found for found in reading.findings if found.startswith("codec_error")]


@settings(max_examples=300)
@given(st.sampled_from(URLS), ASK, st.lists(EVENT, max_size=4), st.booleans(), st.integers(1, 40))
def test_any_stream_gives_a_sane_reading_in_any_chunking(
    url: str, ask: dict[str, Any], events: list[dict[str, Any]], complete: bool, size: int
) -> None:
    wild = exchange(url, ask, sse(*events))
    reading = read(wild, complete=complete)
    assert_sane(reading)
    assert not [found for found in reading.findings if found.startswith("codec_error")]
    # NaN differs from itself, so the readings are compared as they print
    assert repr(read(wild, in_chunks(wild.body, size), complete=complete)) == repr(reading)


@settings(max_examples=300)
@given(st.sampled_from(URLS[:1] + URLS[5:]), USAGE)
def test_buckets_never_exceed_what_was_told(url: str, usage: dict[str, Any]) -> None:
    told = {"prompt_tokens": 30, "completion_tokens": 20}
    reading = read(exchange(url, {}, {"choices": [], "usage": {**usage, **told}}))
    assert reading.input_total == 30
    if "x.ai" not in url and "perplexity" not in url:
        assert reading.usage.get("output", 0) <= 20


@given(
    st.text(max_size=40)
    | st.sampled_from(["https://", "http://[", "https://api.openai.com:x/v1", "//", "https://%ff"])
)
def test_any_url_is_found_or_not_and_never_raises(url: str) -> None:
    for method in ("GET", "POST", ""):
        request = Request(method, url, {}, b"")
        assert find_endpoint(request) is None or open_reader(request) is not None
        open_reader(request, hosts={"a": "b", "": "", "/": "openai", "[": "x", url[:20]: "groq"})


@pytest.mark.parametrize("url", URLS)
def test_a_deep_or_large_body_is_found_not_raised(url: str) -> None:
    deep = exchange(url, {}, {}).with_body(b'{"usage":' * 100_000)
    assert "malformed_body" in read(deep).findings
    large = deep.with_body(b'{"choices":[],"usage":' + b" " * (17 << 20) + b"{}}")
    assert "body_too_large" in read(large).findings


@given(VALUES)
def test_a_request_of_any_shape_is_counted(value: Any) -> None:
    for url in URLS[:3]:
        body = {"messages": value, "input": value, "prompt": value, "instructions": value}
        reading = read(exchange(url, body, {}))
        assert_sane(reading)
