"""Whatever comes over the wire: no exception, disjoint and non-negative buckets."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.harness import assert_sane, exchange, read, sse

URL = "https://api.anthropic.com/v1/messages"
COUNTS = st.integers(0, 10**6)
MAYBE = st.none() | COUNTS
ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["type", "message", "usage", "delta", "content_block", "stop_reason", "model", "text", "error",
     "input_tokens", "output_tokens", "cache_creation", "cache_creation_input_tokens",
     "cache_read_input_tokens", "iterations", "output_tokens_details", "thinking_tokens",
     "ephemeral_5m_input_tokens", "server_tool_use", "web_search_requests", "content", "from"]
)  # fmt: skip
KINDS = st.sampled_from(
    ["message_start", "message_delta", "message_stop", "content_block_start", "error", "message",
     "content_block_delta", "ping", "web_search_tool_result", "fallback", "fallback_message"]
)  # fmt: skip
BODIES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, ODD | KINDS, max_size=5),
    lambda inner: st.dictionaries(KEYS, inner | st.lists(inner, max_size=3) | KINDS, max_size=5),
    max_leaves=10,
)


@st.composite
def usages(draw: st.DrawFn) -> dict[str, Any]:
    output = draw(COUNTS)
    return {
        "input_tokens": draw(COUNTS),
        "output_tokens": output,
        "cache_read_input_tokens": draw(MAYBE),
        "cache_creation_input_tokens": draw(MAYBE),
        "cache_creation": draw(
            st.none()
            | st.fixed_dictionaries(
                {"ephemeral_5m_input_tokens": COUNTS, "ephemeral_1h_input_tokens": COUNTS}
            )
        ),
        "output_tokens_details": {"thinking_tokens": draw(st.integers(0, output))},
    }


def input_of(usage: dict[str, Any]) -> int:
    """What the usage object says was read, worked out without the codec."""
    split = sum((usage["cache_creation"] or {}).values())
    written = max(usage["cache_creation_input_tokens"] or 0, split)
    return int(usage["input_tokens"] + (usage["cache_read_input_tokens"] or 0) + written)


@given(usage=usages())
@settings(deadline=None)
def test_buckets_are_disjoint_and_cover_everything(usage: dict[str, Any]) -> None:
    body = {"type": "message", "model": "m", "stop_reason": "end_turn", "usage": usage}
    reading = read(exchange(URL, {"model": "m"}, body))
    assert_sane(reading)
    assert reading.input_total == input_of(usage)
    assert reading.output_total == usage["output_tokens"]


@given(top=usages(), parts=st.lists(usages(), min_size=1, max_size=5))
@settings(deadline=None)
def test_segments_always_sum_to_the_usage(top: dict[str, Any], parts: list[dict[str, Any]]) -> None:
    calls = [{**part, "type": "message", "model": f"m{i % 2}"} for i, part in enumerate(parts)]
    usage = {**top, "iterations": calls, "server_tool_use": {"web_search_requests": 1}}
    body = {"type": "message", "model": "m", "stop_reason": "end_turn", "usage": usage}
    reading = read(exchange(URL, {"model": "m"}, body))
    assert_sane(reading)
    if reading.segments:
        total: dict[str, int] = {}
        for segment in reading.segments:
            for unit, count in segment.usage.items():
                total[unit] = total.get(unit, 0) + count
        assert total == reading.usage
        assert reading.input_total == sum(map(input_of, parts))
        assert reading.output_total == sum(part["output_tokens"] for part in parts)


@given(body=st.binary(max_size=300), asked=st.binary(max_size=100), cut=st.booleans())
@settings(deadline=None)
def test_arbitrary_bytes_never_raise(body: bytes, asked: bytes, cut: bool) -> None:
    for reply in (body, sse(body), b"event: message_delta\ndata: " + body + b"\n\n"):
        assert_sane(read(exchange(URL, {"x": repr(asked)}, reply), complete=not cut))


@given(events=st.lists(BODIES, max_size=5), asked=BODIES, cut=st.booleans())
@settings(deadline=None)
def test_arbitrary_events_never_raise(
    events: list[dict[str, Any]], asked: dict[str, Any], cut: bool
) -> None:
    blocks = [json.dumps(event) for event in events]
    reading = read(exchange(URL, asked, sse(*blocks)), complete=not cut)
    assert_sane(reading)
    for event in events:
        whole = read(exchange(URL, asked, event))
        assert_sane(whole)
        assert not any(finding.startswith("codec_error") for finding in whole.findings)
    assert not any(finding.startswith("codec_error") for finding in reading.findings)
