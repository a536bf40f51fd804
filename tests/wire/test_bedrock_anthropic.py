"""Anthropic's models on Bedrock: chunks, exceptions, guardrails, and the names to price by."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.store.books.catalogue import load_catalogue
from outlay.wire.base import Reading
from tests.wire.bedrock_payloads import bedrock, chunk, counted, cuts, event, failure, metrics
from tests.wire.harness import (
    Exchange,
    assert_same_in_any_chunking,
    assert_sane,
    exchange,
    read,
    sse,
)

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
SERVED = "claude-sonnet-4-5-20250929"
ARN = "arn:aws:bedrock:us-east-1:123456789012"
ASK = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
USAGE = {"input_tokens": 7, "cache_read_input_tokens": 100, "output_tokens": 3}
MESSAGE = {
    "id": "msg_bdrk_1", "type": "message", "model": SERVED, "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "Paris."}], "usage": USAGE,
}  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {"id": "msg_bdrk_1", "model": SERVED, "usage": {**USAGE, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "Paris, of course."},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop", **metrics(7, 3, 100)},
]
BUCKETS = {"input": 7, "input_cache_read": 100, "output": 3}


def invoke(body: dict[str, Any], *, model: str = MODEL, **more: Any) -> Reading:
    return read(bedrock(model, "invoke", ASK, body, **more))


def stream(*events: dict[str, Any], model: str = MODEL) -> Exchange:
    body = b"".join(map(chunk, events or EVENTS))
    return bedrock(model, "invoke-with-response-stream", ASK, body)


def test_a_stream_is_that_of_anthropic_in_chunks() -> None:
    call = stream()
    reading = assert_same_in_any_chunking(call, most=len(call.body))
    assert (reading.surface, reading.vendor, reading.provider) == (
        "anthropic.messages", "anthropic", "aws",
    )  # fmt: skip
    assert (reading.usage, reading.usage_source) == (BUCKETS, "provider")
    assert (reading.status, reading.finish_reason) == ("ok", "end_turn")
    assert (reading.streamed, reading.response_id) == (True, "msg_bdrk_1")
    assert (reading.model_requested, reading.model_served) == (MODEL, SERVED)
    assert reading.findings == []


def test_p19_a_cut_stream_keeps_its_input_and_estimates_its_output() -> None:
    for count, part in cuts(stream()):
        reading = read(part, complete=False)
        assert_sane(reading)
        if count >= 5:
            assert reading.usage == BUCKETS
            continue
        assert (reading.status, reading.billed) == ("aborted", "possible")
        if count:
            assert reading.input_total == 107
        assert reading.output_total == (5 if count > 2 else 1)


def test_metrics_count_a_stream_whose_events_do_not() -> None:
    bare = [{key: value for key, value in part.items() if key != "usage"} for part in EVENTS]
    bare[0] = {"type": "message_start", "message": {"model": SERVED}}
    assert read(stream(*bare)).usage == BUCKETS


def test_an_exception_in_a_stream_is_an_error_that_may_be_billed() -> None:
    call = stream(*EVENTS[:3])
    reading = read(call.with_body(call.body + failure("modelStreamErrorException")))
    assert (reading.status, reading.error_type) == ("error", "modelStreamErrorException")
    assert (reading.billed, reading.usage_source) == ("possible", "estimated")
    assert reading.usage == {"input": 7, "input_cache_read": 100, "output": 5}
    assert "secret" not in repr(reading)


def test_a_chunk_that_cannot_be_unwrapped_is_said() -> None:
    call = stream()
    reading = read(call.with_body(event("chunk", {"bytes": "%"}) + call.body))
    assert (reading.usage, reading.findings) == (BUCKETS, ["malformed_event"])


def test_damaged_lengths_end_the_reading_as_if_it_was_cut() -> None:
    call = stream()
    body = bytearray(call.body)
    body[len(chunk(EVENTS[0])) + 9] ^= 1
    reading = read(call.with_body(bytes(body)))
    assert (reading.status, reading.billed) == ("aborted", "possible")
    assert "damaged_event" in reading.findings
    assert reading.input_total == 107


def test_completions_of_old_are_counted_by_headers_or_the_last_chunk() -> None:
    old = {"type": "completion", "completion": "Paris, of course.", "stop_reason": "stop_sequence"}
    whole = invoke(old, headers=counted(7, 3))
    assert (whole.usage, whole.finish_reason) == ({"input": 7, "output": 3}, "stop_sequence")
    first = {"type": "completion", "completion": "Paris, of course.", "stop_reason": None}
    last = {"type": "completion", "completion": "", "stop_reason": "max_tokens", **metrics(7, 3)}
    streamed = read(stream(first, last))
    assert (streamed.usage, streamed.status) == ({"input": 7, "output": 3}, "incomplete")
    cut = read(stream(first), complete=False)
    assert (cut.status, cut.output_total) == ("aborted", 5)


def test_tier_and_latency_travel_in_headers() -> None:
    call = bedrock(
        MODEL, "invoke", ASK, MESSAGE,
        headers={"X-Amzn-Bedrock-PerformanceConfig-Latency": "standard"},
    )  # fmt: skip
    call.request.headers = {
        "x-amzn-bedrock-service-tier": "priority",
        "x-amzn-bedrock-performanceconfig-latency": "optimized",
    }
    reading = read(call)
    assert (reading.tier_requested, reading.speed) == ("priority", "standard")


@pytest.mark.parametrize("streamed", [False, True])
def test_guardrails_are_a_segment_of_their_own(streamed: bool) -> None:
    trace = {"guardrail": {"outputs": [{"g": {"invocationMetrics": {
        "usage": {"contentPolicyUnits": 2, "wordPolicyUnits": 9}}}}]}}  # fmt: skip
    extra = {"amazon-bedrock-guardrailAction": "INTERVENED", "amazon-bedrock-trace": trace}
    if streamed:
        reading = read(stream(*EVENTS[:-1], {**EVENTS[-1], **extra}))
    else:
        reading = invoke({**MESSAGE, **extra})
    assert reading.status == "blocked"
    assert reading.usage == {**BUCKETS, "text_units_content": 2}
    assert [(part.model, part.kind) for part in reading.segments] == [
        (SERVED, "message"), ("amazon.bedrock-guardrails", "guardrail"),
    ]  # fmt: skip


# -- names -------------------------------------------------------------------------------------

BOOK = load_catalogue()


def price_model(reading: Reading) -> tuple[str, str, bool]:
    names = [reading.model_served, reading.model_requested, reading.deployment]
    found = BOOK.resolve(reading.provider, [name for name in names if name])
    assert found is not None
    return found.model, found.rule, found.estimated


@pytest.mark.parametrize(
    ("prefix", "kind"),
    [("global.", "global"), ("us.", "regional"), ("eu.", "regional"), ("", "regional")],
)
def test_p32_a_global_profile_is_priced_as_global_and_a_regional_one_as_regional(
    prefix: str, kind: str
) -> None:
    model = f"{prefix}anthropic.claude-sonnet-4-5-20250929-v1:0"
    for name in (model, f"{ARN}:inference-profile/{model}"):
        invoked = invoke(MESSAGE, model=name)
        assert price_model(invoked)[0] == f"{kind}.anthropic.claude-sonnet-4-5-20250929-v1:0"
        assert price_model(invoked)[2] is False


def test_hidden_calls_of_a_global_profile_are_global_too() -> None:
    usage = {
        **USAGE,
        "iterations": [
            {"type": "message", "input_tokens": 7, "output_tokens": 3},
            {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 9,
             "output_tokens": 1},
        ],
    }  # fmt: skip
    reading = invoke({**MESSAGE, "usage": usage}, model=f"global.anthropic.{SERVED}-v1:0")
    assert [part.model for part in reading.segments] == [
        f"global.anthropic.{SERVED}", "global.anthropic.claude-opus-4-8",
    ]  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
def test_an_application_profile_is_priced_by_its_arn_first(streamed: bool) -> None:
    arn = f"{ARN}:application-inference-profile/a1b2c3"
    reading = read(stream(model=arn)) if streamed else invoke(MESSAGE, model=arn)
    assert (reading.surface, reading.vendor) == ("anthropic.messages", "anthropic")
    assert reading.usage == BUCKETS
    assert (reading.model_requested, reading.model_served) == (arn, None)
    # Without a row for the ARN, the name in the reply prices it, as an estimate.
    assert reading.deployment == SERVED
    assert price_model(reading)[1:] == ("requested+match", True)


def test_a_provisioned_model_is_not_priced_as_the_model_behind_it() -> None:
    arn = f"{ARN}:provisioned-model/a1b2c3"
    reading = invoke(MESSAGE, model=arn)
    assert (reading.model_requested, reading.model_served, reading.deployment) == (arn, None, None)
    assert reading.usage == BUCKETS


def test_anthropics_own_api_on_bedrock_has_the_same_names() -> None:
    url = "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages"
    ask = {**ASK, "model": f"global.anthropic.{SERVED}", "stream": True}
    parts = [{k: v for k, v in part.items() if "amazon" not in k} for part in EVENTS]
    reading = read(exchange(url, ask, sse(*parts, names=True)))
    assert (reading.provider, reading.usage) == ("aws", BUCKETS)
    assert reading.model_served == f"global.anthropic.{SERVED}"


def test_anthropic_elsewhere_keeps_the_name_of_the_reply() -> None:
    ask = {**ASK, "model": f"global.anthropic.{SERVED}"}
    reading = read(exchange("https://api.anthropic.com/v1/messages", ask, MESSAGE))
    assert reading.model_served == SERVED
