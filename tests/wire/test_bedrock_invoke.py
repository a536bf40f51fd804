"""InvokeModel of makers without a reader of their own: headers, bodies, streams, other units."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.base import Reading
from tests.wire.bedrock_payloads import bedrock, chunk, counted, cuts, event, failure, metrics
from tests.wire.harness import assert_same_in_any_chunking, assert_sane, read

NOVA = "us.amazon.nova-lite-v1:0"
LLAMA = "meta.llama3-1-8b-instruct-v1:0"
ASK = {"prompt": "What is the capital of France?", "max_gen_len": 64}
"""30 characters: 8 tokens by the estimator."""


def invoke(
    reply: dict[str, Any],
    *,
    model: str = LLAMA,
    ask: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Reading:
    return read(bedrock(model, "invoke", ask or ASK, reply, headers=headers))


BODIES: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "nova": (
        {
            "output": {"message": {"role": "assistant", "content": [{"text": "Paris."}]}},
            "stopReason": "end_turn",
            "usage": {
                "inputTokens": 7, "outputTokens": 3, "totalTokens": 15,
                "cacheReadInputTokenCount": 5, "cacheWriteInputTokenCount": 0,
            },
        },
        {"input": 7, "input_cache_read": 5, "output": 3},
    ),
    "titan": (
        {
            "inputTextTokenCount": 7,
            "results": [{"tokenCount": 3, "outputText": "Paris.", "completionReason": "FINISH"}],
        },
        {"input": 7, "output": 3},
    ),
    "llama": (
        {
            "generation": "Paris.", "prompt_token_count": 7, "generation_token_count": 3,
            "stop_reason": "stop",
        },
        {"input": 7, "output": 3},
    ),
    "cohere": (
        {
            "response_id": "r", "text": "Paris.", "finish_reason": "COMPLETE",
            "chat_history": [{"message": "What is the capital of France?" * 9}],
            "meta": {"billed_units": {"input_tokens": 7, "output_tokens": 3}},
        },
        {"input": 7, "output": 3},
    ),
    "openai": (
        {
            "id": "chatcmpl-1", "object": "chat.completion", "model": "openai.gpt-oss-120b-1:0",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "Paris."}}],
            "usage": {
                "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 5},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
        },
        {"input": 2, "input_cache_read": 5, "output": 2, "output_reasoning": 1},
    ),
}  # fmt: skip
"""Replies of each shape, and their buckets where no header counts."""
UNCOUNTED: dict[str, dict[str, Any]] = {
    "mistral": {"outputs": [{"text": "Paris.", "stop_reason": "stop"}]},
    "deepseek": {"choices": [{"text": "Paris.", "stop_reason": "stop"}]},
    "cohere of old": {"generations": [{"finish_reason": "COMPLETE", "text": "Paris."}]},
    "ai21": {
        "id": 1,
        "prompt": {"text": "What is the capital of France?"},
        "completions": [{"data": {"text": "Paris."}, "finishReason": {"reason": "endoftext"}}],
    },
}
"""Replies that count nothing."""


@pytest.mark.parametrize("shape", [*BODIES, *UNCOUNTED])
def test_the_counts_of_the_headers_come_first(shape: str) -> None:
    body = BODIES[shape][0] if shape in BODIES else UNCOUNTED[shape]
    if shape == "openai":
        body = {**body, "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    call = bedrock(LLAMA, "invoke", ASK, body, headers=counted(21, 9))
    reading = assert_same_in_any_chunking(call, most=20)
    assert reading.usage == {"input": 21, "output": 9}
    assert (reading.usage_source, reading.status) == ("provider", "ok")
    assert reading.findings == []
    assert reading.usage_raw["counts"] == {"input_tokens": 21, "output_tokens": 9}


def test_the_headers_tell_of_the_cache_too() -> None:
    headers = {
        **counted(21, 9), "x-amzn-bedrock-cache-read-input-token-count": "100",
        "x-amzn-bedrock-cache-write-input-token-count": "50",
    }  # fmt: skip
    assert invoke(BODIES["nova"][0], model=NOVA, headers=headers).usage == {
        "input": 21, "input_cache_read": 100, "input_cache_write": 50, "output": 9,
    }  # fmt: skip


@pytest.mark.parametrize("shape", BODIES)
def test_without_headers_the_body_counts(shape: str) -> None:
    body, usage = BODIES[shape]
    reading = invoke(body)
    assert reading.usage == usage
    assert (reading.usage_source, reading.status, reading.findings) == ("provider", "ok", [])


def test_a_cache_that_only_the_body_tells_of_is_not_lost() -> None:
    body, usage = BODIES["openai"]
    assert invoke(body, headers=counted(7, 3)).usage == usage


@pytest.mark.parametrize("shape", UNCOUNTED)
def test_what_counts_nothing_is_estimated_and_says_so(shape: str) -> None:
    reading = invoke(UNCOUNTED[shape])
    assert reading.usage == {"input": 8, "output": 2}
    assert reading.usage_source == "estimated"
    assert {"usage_missing", "input_estimated", "output_estimated"} <= set(reading.findings)


@pytest.mark.parametrize("value", ["", "-1", "1.5", "x", "9" * 16, "٣"])
def test_a_header_that_is_no_count_is_none(value: str) -> None:
    headers = dict.fromkeys(counted(1), value)
    assert invoke(BODIES["titan"][0], headers=headers).usage == {"input": 7, "output": 3}


def test_output_counts_without_input_counts_estimate_the_input() -> None:
    headers = {"x-amzn-bedrock-output-token-count": "3"}
    reading = invoke(UNCOUNTED["mistral"], headers=headers)
    assert (reading.usage, reading.usage_source) == ({"input": 8, "output": 3}, "estimated")
    assert reading.findings == ["input_estimated"]


@pytest.mark.parametrize(
    ("reply", "reason", "status"),
    [
        ({"stop_reason": "length"}, "length", "incomplete"),
        ({"results": [{"completionReason": "LENGTH"}]}, "LENGTH", "incomplete"),
        ({"results": [{"completionReason": "CONTENT_FILTERED"}]}, "CONTENT_FILTERED", "refused"),
        ({"choices": [{"finish_reason": "content_filter"}]}, "content_filter", "refused"),
        ({"stopReason": "guardrail_intervened"}, "guardrail_intervened", "blocked"),
        ({"finish_reason": "MAX_TOKENS"}, "MAX_TOKENS", "incomplete"),
        ({"finish_reason": "secret words"}, "unreadable", "ok"),
    ],
)
def test_how_it_ended_is_read_of_any_shape(reply: dict[str, Any], reason: str, status: str) -> None:
    reading = invoke(reply, headers=counted(1, 1))
    assert (reading.finish_reason, reading.status) == (reason, status)
    assert "secret" not in repr(reading)


def test_a_new_reason_is_drift() -> None:
    assert invoke({"stop_reason": "novel"}, headers=counted(1, 1)).findings == [
        "drift:stop_reason.novel"
    ]


@pytest.mark.parametrize(
    ("reply", "count"),
    [
        ({"choices": [{"message": {"tool_calls": [{"id": "a"}, {"id": "b"}]}}]}, 2),
        ({"output": {"message": {"content": [{"toolUse": {}}, {"text": "x"}]}}}, 1),
        ({"tool_calls": [{"name": "x"}]}, 1),
    ],
)
def test_tool_calls_are_counted_of_any_shape(reply: dict[str, Any], count: int) -> None:
    assert invoke(reply, headers=counted(1, 1)).tool_calls == count


@pytest.mark.parametrize(
    "ask",
    [
        {"max_tokens": 64}, {"max_gen_len": 64}, {"inferenceConfig": {"maxTokens": 64}},
        {"inferenceConfig": {"max_new_tokens": 64}}, {"max_tokens_to_sample": 64},
        {"textGenerationConfig": {"maxTokenCount": 64}},
    ],
)  # fmt: skip
def test_the_bound_on_output_is_read_of_any_shape(ask: dict[str, Any]) -> None:
    assert invoke({}, ask=ask).max_tokens == 64


def test_tier_and_latency_travel_in_headers() -> None:
    call = bedrock(
        NOVA, "invoke", ASK, BODIES["nova"][0],
        headers={
            "X-Amzn-Bedrock-Service-Tier": "default",
            "X-Amzn-Bedrock-PerformanceConfig-Latency": "standard",
        },
    )  # fmt: skip
    call.request.headers = {
        "x-amzn-bedrock-service-tier": "flex",
        "x-amzn-bedrock-performanceconfig-latency": "optimized",
    }
    reading = read(call)
    assert (reading.tier_requested, reading.tier_served) == ("flex", "default")
    assert reading.speed == "standard"


# -- streams -----------------------------------------------------------------------------------

STREAMS: dict[str, tuple[list[dict[str, Any]], dict[str, int]]] = {
    "nova": (
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "Paris, of course."}}},
            {"messageStop": {"stopReason": "end_turn"}},
            {
                "metadata": {"usage": {"inputTokens": 7, "outputTokens": 3}},
                **metrics(7, 3, 5),
            },
        ],
        {"input": 7, "input_cache_read": 5, "output": 3},
    ),
    "llama": (
        [
            {"generation": "Paris, ", "prompt_token_count": 7, "generation_token_count": 1},
            {"generation": "of course.", "generation_token_count": 3},
            {"generation": "", "generation_token_count": 3, "stop_reason": "stop", **metrics(7, 3)},
        ],
        {"input": 7, "output": 3},
    ),
    "titan": (
        [
            {"outputText": "Paris, of course.", "index": 0, "inputTextTokenCount": 7},
            {"outputText": "", "completionReason": "FINISH", **metrics(7, 3)},
        ],
        {"input": 7, "output": 3},
    ),
    "openai": (
        [
            {"choices": [{"index": 0, "delta": {"content": "Paris, of course."}}]},
            {
                "choices": [
                    {"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "a"}]}},
                ]
            },
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
            {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}, **metrics(7, 3)},
        ],
        {"input": 7, "output": 3},
    ),
    "mistral": (
        [
            {"outputs": [{"text": "Paris, of course.", "stop_reason": None}]},
            {"outputs": [{"text": "", "stop_reason": "stop"}], **metrics(7, 3)},
        ],
        {"input": 7, "output": 3},
    ),
}  # fmt: skip


def stream(shape: str) -> Any:
    body = b"".join(map(chunk, STREAMS[shape][0]))
    return bedrock(LLAMA, "invoke-with-response-stream", ASK, body)


@pytest.mark.parametrize("shape", STREAMS)
def test_a_stream_is_counted_by_its_last_chunk_in_any_chunking(shape: str) -> None:
    call = stream(shape)
    reading = assert_same_in_any_chunking(call, most=len(call.body))
    assert reading.usage == STREAMS[shape][1]
    assert (reading.status, reading.streamed, reading.findings) == ("ok", True, [])
    assert reading.tool_calls == (shape == "openai")


@pytest.mark.parametrize("shape", STREAMS)
def test_p19_a_cut_stream_is_estimated_by_what_was_seen(shape: str) -> None:
    for count, part in cuts(stream(shape)):
        reading = read(part, complete=False)
        assert_sane(reading)
        assert reading.usage_source == "estimated"
        told = shape in ("llama", "titan") and count
        assert reading.usage["input"] == (7 if told else 8)
        assert ("input_estimated" in reading.findings) is not bool(told)
        assert reading.status == ("ok" if reading.finish_reason else "aborted"), count
        assert reading.output_total >= 1
    # 17 characters
    assert reading.output_total == 5


def test_counters_of_the_body_count_a_stream_without_metrics() -> None:
    parts = [{k: v for k, v in body.items() if "amazon" not in k} for body in STREAMS["llama"][0]]
    body = b"".join(map(chunk, parts))
    reading = read(bedrock(LLAMA, "invoke-with-response-stream", ASK, body))
    assert (reading.usage, reading.usage_source) == ({"input": 7, "output": 3}, "provider")


def test_an_exception_in_a_stream_is_an_error_that_may_be_billed() -> None:
    body = chunk(STREAMS["llama"][0][0]) + failure("modelTimeoutException")
    reading = read(bedrock(LLAMA, "invoke-with-response-stream", ASK, body))
    assert (reading.status, reading.error_type) == ("error", "modelTimeoutException")
    assert (reading.billed, reading.usage) == ("possible", {"input": 7, "output": 2})
    assert "secret" not in repr(reading)


def test_a_chunk_that_cannot_be_unwrapped_is_said() -> None:
    body = event("chunk", {"bytes": "%%%"}) + stream("titan").body
    reading = read(bedrock(LLAMA, "invoke-with-response-stream", ASK, body))
    assert (reading.usage, reading.findings) == ({"input": 7, "output": 3}, ["malformed_event"])


def test_a_damaged_chunk_is_said_and_the_counts_hold() -> None:
    call = stream("titan")
    body = bytearray(call.body)
    body[60] ^= 1
    reading = read(call.with_body(bytes(body)))
    assert reading.usage == {"input": 7, "output": 3}
    assert "damaged_event" in reading.findings


# -- guardrails and failures ------------------------------------------------------------------


def test_guardrails_of_an_invoke_are_read() -> None:
    trace = {
        "guardrail": {"input": {"g": {"invocationMetrics": {"usage": {"topicPolicyUnits": 2}}}}}
    }
    body = {
        **BODIES["titan"][0],
        "amazon-bedrock-guardrailAction": "INTERVENED",
        "amazon-bedrock-trace": trace,
    }
    reading = invoke(body)
    assert reading.status == "blocked"
    assert reading.usage == {"input": 7, "output": 3, "text_units_topic": 2}
    assert [segment.kind for segment in reading.segments] == ["message", "guardrail"]


def test_an_http_error_is_named_and_costs_nothing() -> None:
    headers = {"x-amzn-errortype": "ModelErrorException:http://x"}
    call = bedrock(LLAMA, "invoke", ASK, {"message": "secret words"}, status=424, headers=headers)
    reading = read(call)
    assert (reading.status, reading.error_type) == ("error", "ModelErrorException")
    assert (reading.billed, reading.usage) == ("no", {})


def test_headers_count_a_reply_that_was_cut() -> None:
    call = bedrock(LLAMA, "invoke", ASK, BODIES["llama"][0], headers=counted(21, 9))
    reading = read(call, [call.body[:9]], complete=False)
    assert (reading.status, reading.usage) == ("aborted", {"input": 21, "output": 9})
    assert reading.usage_source == "provider"
