"""Whatever comes over the wire from Bedrock: no exception, disjoint and non-negative buckets."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.bedrock_payloads import ASK, bedrock, chunk, counted, event, failure
from tests.wire.harness import assert_sane, in_chunks, read, to_bytes

CALLS = (
    ("us.anthropic.claude-x", "converse", "converse-stream"),
    ("us.openai.gpt-x", "converse", "converse-stream"),
    ("us.anthropic.claude-x", "invoke", "invoke-with-response-stream"),
    ("meta.llama", "invoke", "invoke-with-response-stream"),
    ("cohere.embed-v4:0", "invoke", "invoke-with-response-stream"),
    ("cohere.rerank-v3-5:0", "invoke", "invoke-with-response-stream"),
    ("stability.x", "invoke", "invoke-with-response-stream"),
)
COUNTS = st.integers(0, 10**6)
ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["usage", "inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "trace",
     "cacheWriteInputTokens", "cacheDetails", "ttl", "serverToolUsage", "output", "message",
     "content", "stopReason", "delta", "text", "toolUse", "start", "guardrail", "metadata",
     "invocationMetrics", "topicPolicyUnits", "results", "tokenCount", "choices", "finish_reason",
     "tool_calls", "index", "meta", "billed_units", "search_units", "images", "finish_reasons",
     "embedding", "amazon-bedrock-invocationMetrics", "outputTokenCount", "bytes", "type",
     "amazon-bedrock-trace", "generation_token_count", "promptRouter", "invokedModelId",
     "serviceTier", "performanceConfig", "documents", "query", "system", "messages"]
)  # fmt: skip
BODIES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, ODD, max_size=5),
    lambda inner: st.dictionaries(KEYS, inner | st.lists(inner, max_size=3), max_size=5),
    max_leaves=10,
)
NAMES = st.sampled_from(
    ["messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata", "chunk",
     "initial-response", ""]
)  # fmt: skip


@given(call=st.sampled_from(CALLS), ask=BODIES, body=BODIES | ODD, told=st.none() | COUNTS)
@settings(deadline=None)
def test_any_json_body_is_read_without_raising(
    call: tuple[str, str, str], ask: dict[str, Any], body: Any, told: int | None
) -> None:
    model, verb, _ = call
    headers = None if told is None else counted(told, told)
    recorded = bedrock(model, verb, ask, {}, headers=headers).with_body(to_bytes(body))
    reading = read(recorded)
    assert_sane(reading)
    assert not any(finding.startswith("codec_error") for finding in reading.findings)


@given(
    call=st.sampled_from(CALLS),
    parts=st.lists(
        st.tuples(NAMES, BODIES).map(lambda part: event(*part))
        | BODIES.map(chunk)
        | st.just(failure("throttlingException"))
        | st.binary(max_size=20),
        max_size=6,
    ),
    piece=st.integers(1, 40),
    complete=st.booleans(),
)
@settings(deadline=None)
def test_any_stream_is_read_without_raising_and_alike_in_any_chunking(
    call: tuple[str, str, str], parts: list[bytes], piece: int, complete: bool
) -> None:
    model, _, verb = call
    recorded = bedrock(model, verb, ASK, b"".join(parts))
    whole = read(recorded, complete=complete)
    assert_sane(whole)
    assert not any(finding.startswith("codec_error") for finding in whole.findings)
    assert read(recorded, in_chunks(recorded.body, piece), complete=complete) == whole


@given(
    read_=COUNTS, cached=COUNTS, written=COUNTS, hour=COUNTS, output=COUNTS, streamed=st.booleans()
)
@settings(deadline=None)
def test_buckets_are_disjoint_and_cover_everything(
    read_: int, cached: int, written: int, hour: int, output: int, streamed: bool
) -> None:
    usage = {
        "inputTokens": read_, "cacheReadInputTokens": cached, "cacheWriteInputTokens": written,
        "cacheDetails": [{"ttl": "1h", "inputTokens": hour}], "outputTokens": output,
    }  # fmt: skip
    body = {"usage": usage, "stopReason": "end_turn"}
    if streamed:
        stop = event("messageStop", {"stopReason": "end_turn"})
        recorded = bedrock("us.a.b", "converse-stream", ASK, stop + event("metadata", body))
    else:
        recorded = bedrock("us.a.b", "converse", ASK, body)
    reading = read(recorded)
    assert_sane(reading)
    assert reading.input_total == read_ + cached + max(written, hour)
    assert reading.output_total == output
