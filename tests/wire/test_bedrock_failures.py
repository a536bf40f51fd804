"""Converse and ConverseStream where things go wrong: guardrails, exceptions, cuts, no counts."""

from __future__ import annotations

import pytest

from outlay.wire.base import Segment
from tests.wire.bedrock_payloads import ASK, bedrock, cuts, event, failure, frame, header
from tests.wire.converse_payloads import CLAUDE, USAGE, converse, metadata, reply, stream
from tests.wire.harness import assert_same_in_any_chunking, assert_sane, exchange, read

# -- guardrails --------------------------------------------------------------------------------

POLICIES = {
    "topicPolicyUnits": 1, "contentPolicyUnits": 2, "wordPolicyUnits": 3,
    "sensitiveInformationPolicyUnits": 4, "sensitiveInformationPolicyFreeUnits": 5,
    "contextualGroundingPolicyUnits": 0, "contentPolicyImageUnits": 1,
}  # fmt: skip
GUARDRAIL = {
    "inputAssessment": {"gr1": {"invocationMetrics": {"usage": POLICIES}}},
    "outputAssessments": {
        "gr1": [{"invocationMetrics": {"usage": {"contentPolicyUnits": 5, "wordPolicyUnits": 1}}}]
    },
    "modelOutput": ["secret words"],
}
GUARDED = {
    "text_units_topic": 1, "text_units_content": 7, "text_units_sensitive": 4,
    "text_units_image": 1,
}  # fmt: skip


def test_what_a_guardrail_charges_is_a_segment_of_its_own() -> None:
    trace = {"guardrail": GUARDRAIL}
    for reading in (converse(reply(trace=trace)), read(stream(metadata(USAGE, trace=trace)))):
        assert reading.usage == {"input": 10, "output": 4, **GUARDED}
        assert reading.segments == [
            Segment(CLAUDE, {"input": 10, "output": 4}),
            Segment("amazon.bedrock-guardrails", GUARDED, "guardrail"),
        ]
        assert reading.findings == []


def test_a_guardrail_that_blocks_the_prompt_is_all_that_is_charged() -> None:
    nothing = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
    body = reply(nothing, stopReason="guardrail_intervened", trace={"guardrail": GUARDRAIL})
    reading = converse(body)
    assert (reading.status, reading.usage, reading.findings) == ("blocked", GUARDED, [])
    assert [segment.kind for segment in reading.segments] == ["guardrail"]


def test_a_blocked_call_without_counts_is_not_called_free() -> None:
    body = reply(stopReason="guardrail_intervened")
    del body["usage"]
    reading = converse(body)
    assert (reading.billed, reading.usage) == ("possible", {})
    assert "usage_missing" in reading.findings


def test_a_huge_trace_is_searched_within_bounds() -> None:
    many = {f"g{n}": {"invocationMetrics": {"usage": POLICIES}} for n in range(1000)}
    reading = converse(reply(trace={"guardrail": {"inputAssessment": many}}))
    assert "trace_too_large" in reading.findings
    assert 0 < reading.usage["text_units_topic"] < 1000


# -- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "body", "name"),
    [
        (429, {"x-amzn-ErrorType": "Throttled:http://internal"}, {}, "Throttled"),
        (400, {}, {"__type": "com.amazon#ValidationException"}, "ValidationException"),
        (403, {}, {"message": "secret words"}, "http_403"),
    ],
)  # fmt: skip
def test_an_http_error_is_named_and_costs_nothing(
    status: int, headers: dict[str, str], body: dict[str, str], name: str
) -> None:
    reading = read(bedrock(CLAUDE, "converse", ASK, body, status=status, headers=headers))
    assert (reading.status, reading.error_type, reading.billed) == ("error", name, "no")
    assert reading.usage == {}


@pytest.mark.parametrize(
    "name",
    [
        "internalServerException", "modelStreamErrorException", "throttlingException",
        "validationException", "serviceUnavailableException", "modelTimeoutException",
    ],
)  # fmt: skip
def test_an_exception_in_a_stream_is_an_error_that_may_be_billed(name: str) -> None:
    call = stream()
    whole = call.body
    begun = whole[: whole.index(event("contentBlockStop", {"contentBlockIndex": 0}))]
    reading = assert_same_in_any_chunking(call.with_body(begun + failure(name)), most=50)
    assert (reading.status, reading.error_type, reading.billed) == ("error", name, "possible")
    # 28 characters of output, 56 of input
    assert reading.usage == {"input": 14, "output": 7}
    assert reading.usage_source == "estimated"
    assert "secret" not in repr(reading)


def test_an_error_with_no_name_is_an_error() -> None:
    nameless = frame(header(":message-type", "error") + header(":error-code", "not a name!"), b"")
    reading = read(bedrock(CLAUDE, "converse-stream", ASK, nameless))
    assert (reading.status, reading.error_type) == ("error", "error")


def test_a_cut_stream_estimates_what_was_seen() -> None:
    call = stream(metadata(USAGE))
    for count, part in cuts(call):
        reading = read(part, complete=False)
        assert_sane(reading)
        assert reading.usage == {"input": 14, "output": 7 if count > 1 else 1}
        assert reading.status == ("ok" if count > 3 else "aborted")
    assert read(call).usage == {"input": 10, "output": 4}


def test_a_stream_that_timed_out_is_a_timeout() -> None:
    call = stream()
    reading = read(call, [call.body[:200]], error="timeout")
    assert (reading.status, reading.billed) == ("timeout", "possible")


def test_lengths_that_are_damaged_end_the_reading_as_if_it_was_cut() -> None:
    call = stream(metadata(USAGE))
    body = bytearray(call.body)
    body[len(event("messageStart", {"role": "assistant"}))] ^= 1
    reading = assert_same_in_any_chunking(call.with_body(bytes(body)), most=50)
    assert (reading.status, reading.billed) == ("aborted", "possible")
    assert reading.usage_source == "estimated"
    assert "damaged_event" in reading.findings


def test_a_reply_without_counts_is_estimated_and_says_so() -> None:
    body = reply()
    del body["usage"]
    reading = converse(body)
    assert (reading.usage, reading.usage_source) == ({"input": 14, "output": 2}, "estimated")
    assert "usage_missing" in reading.findings


def test_counts_of_nothing_are_said() -> None:
    reading = converse(reply({"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}))
    assert (reading.usage, reading.usage_source) == ({}, "provider")
    assert reading.findings == ["usage_zero"]


def test_the_text_of_a_request_is_that_of_all_its_blocks() -> None:
    content = [
        {"text": "12345"},
        {"toolResult": {"toolUseId": "t-1", "content": [{"text": "123"}, {"json": {"ab": "cd"}}]}},
        {"toolUse": {"toolUseId": "t-1", "name": "n", "input": {"ef": "gh"}}},
        {"document": {"name": "d", "source": {"text": "1234567"}}},
        {"image": {"format": "png", "source": {"bytes": "AAAA" * 100}}},
        {"reasoningContent": {"reasoningText": {"text": "12", "signature": "x" * 99}}},
    ]
    ask = {"messages": [{"role": "user", "content": content}], "system": [{"text": "123"}]}
    reading = read(bedrock(CLAUDE, "converse", ask, {}))
    # 5 + 3 + 4 + 4 + 7 + 2 + 3 characters
    assert reading.usage["input"] == 7


def test_a_private_host_is_read_alike() -> None:
    hosts = {"127.0.0.1:9000/aws": "bedrock"}
    url = f"http://127.0.0.1:9000/aws/model/{CLAUDE}/converse"
    reading = read(exchange(url, ASK, reply(), hosts=hosts))
    assert (reading.provider, reading.model_requested) == ("aws", CLAUDE)
    assert (reading.usage, reading.region_class) == ({"input": 10, "output": 4}, "")
