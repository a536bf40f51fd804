"""Converse and ConverseStream: counts, lifetimes, tiers, routers and names."""

from __future__ import annotations

import pytest

from outlay.core import units
from outlay.core.match import name_forms
from tests.wire.bedrock_payloads import ASK, bedrock, event
from tests.wire.converse_payloads import CLAUDE, USAGE, converse, metadata, reply, stream
from tests.wire.harness import assert_same_in_any_chunking, read

NOVA = "amazon.nova-lite-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012"

# -- counts ------------------------------------------------------------------------------------


def test_the_input_counter_leaves_out_what_was_cached() -> None:
    usage = {
        "inputTokens": 18, "outputTokens": 386, "cacheReadInputTokens": 7502,
        "cacheWriteInputTokens": 0, "totalTokens": 7906,
    }  # fmt: skip
    reading = converse(reply(usage))
    assert reading.usage == {"input": 18, "input_cache_read": 7502, "output": 386}
    assert (reading.findings, reading.usage_raw) == ([], usage)


def test_writes_are_split_by_their_stated_lifetimes() -> None:
    details = [{"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 12}]
    usage = {**USAGE, "cacheWriteInputTokens": 42, "cacheDetails": details, "totalTokens": 56}
    reading = converse(reply(usage))
    assert reading.usage == {
        "input": 10, "input_cache_write_1h": 30, "input_cache_write_5m": 12, "output": 4,
    }  # fmt: skip
    assert reading.findings == []


@pytest.mark.parametrize(
    ("point", "model", "unit"),
    [
        ({"type": "default"}, CLAUDE, units.CACHE_WRITE_5M),
        ({"type": "default", "ttl": "1h"}, CLAUDE, units.CACHE_WRITE_1H),
        ({"type": "default", "ttl": "5m"}, NOVA, units.CACHE_WRITE_5M),
        ({"type": "default"}, NOVA, units.CACHE_WRITE),
        ({"type": "default"}, f"{ARN}:application-inference-profile/a1", units.CACHE_WRITE),
    ],
)
def test_a_lifetime_that_is_not_stated_is_the_last_one_asked_for(
    point: dict[str, str], model: str, unit: str
) -> None:
    first = {"cachePoint": {"type": "default", "ttl": "5m"}}
    ask = {
        "toolConfig": {"tools": [first]},
        "messages": [{"role": "user", "content": [{"text": "x"}, {"cachePoint": point}]}],
    }
    reading = converse(reply({**USAGE, "cacheWriteInputTokens": 9}), model=model, ask=ask)
    assert reading.usage == {"input": 10, unit: 9, "output": 4}
    assert ("cache_ttl_assumed" in reading.findings) is (unit != units.CACHE_WRITE)


def test_what_a_split_leaves_over_is_kept_and_so_is_what_it_has_too_much() -> None:
    details = [{"ttl": "1h", "inputTokens": 30}]
    less = converse(reply({**USAGE, "cacheWriteInputTokens": 42, "cacheDetails": details}))
    assert less.usage["input_cache_write_1h"] == 30
    assert less.usage["input_cache_write_5m"] == 12
    assert "cache_ttl_assumed" in less.findings
    more = converse(reply({**USAGE, "cacheWriteInputTokens": 20, "cacheDetails": details}))
    assert more.usage["input_cache_write_1h"] == 30
    assert "cache_split_exceeds_total" in more.findings


def test_a_lifetime_that_is_not_known_is_drift_and_is_counted() -> None:
    usage = {**USAGE, "cacheWriteInputTokens": 9, "cacheDetails": [{"ttl": "2d", "inputTokens": 9}]}
    reading = converse(reply(usage))
    assert reading.usage["input_cache_write"] == 9
    assert "drift:cacheDetails.2d" in reading.findings


def test_the_second_names_of_counters_are_not_added_and_count_alone() -> None:
    both = {**USAGE, "cacheReadInputTokens": 5, "cacheReadInputTokenCount": 5, "totalTokens": 19}
    assert converse(reply(both)).usage == {"input": 10, "input_cache_read": 5, "output": 4}
    assert converse(reply(both)).findings == []
    alone = {**USAGE, "cacheReadInputTokenCount": 5}
    assert converse(reply(alone)).usage["input_cache_read"] == 5
    differ = converse(reply({**both, "cacheReadInputTokenCount": 6}))
    assert differ.usage["input_cache_read"] == 6
    assert "identity:cacheReadInputTokens" in differ.findings


def test_a_total_that_does_not_add_up_is_said() -> None:
    assert converse(reply({**USAGE, "totalTokens": 15})).findings == ["identity:total"]


def test_unknown_counters_are_drift() -> None:
    usage = {**USAGE, "serverToolUsage": {"webSearches": 2, "none": 0}, "novelTokens": 7}
    assert converse(reply(usage)).findings == [
        "drift:novelTokens",
        "drift:serverToolUsage.webSearches",
    ]


def test_a_negative_count_is_clamped_and_said() -> None:
    reading = converse(reply({"inputTokens": -3, "outputTokens": 4}))
    assert reading.usage == {"output": 4}
    assert "negative:input" in reading.findings


OPENAI = "us.openai.gpt-5.6-sol"
MEASURED = {
    "inputTokens": 4995, "cacheWriteInputTokens": 4993, "outputTokens": 19, "totalTokens": 10_007,
}  # fmt: skip


def test_openai_models_count_cached_tokens_twice_in_a_stream_and_are_corrected() -> None:
    call = stream(metadata(MEASURED), model=OPENAI)
    reading = assert_same_in_any_chunking(call, most=50)
    assert reading.usage == {"input": 2, "input_cache_write": 4993, "output": 19}
    assert reading.findings == ["input_included_cache"]


@pytest.mark.parametrize(
    ("usage", "model"),
    [
        (MEASURED, CLAUDE),
        ({**MEASURED, "inputTokens": 4992, "totalTokens": 10_004}, OPENAI),
        ({"inputTokens": 4995, "outputTokens": 19}, OPENAI),
    ],
    ids=["another maker", "input below the cached", "nothing cached"],
)
def test_nothing_else_is_corrected(usage: dict[str, int], model: str) -> None:
    reading = read(stream(metadata(usage), model=model))
    assert reading.usage["input"] == usage["inputTokens"]
    assert "input_included_cache" not in reading.findings


def test_openai_models_are_not_corrected_in_a_whole_reply() -> None:
    assert converse(reply(MEASURED), model=OPENAI).usage["input"] == 4995


# -- facts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("end_turn", "ok"), ("tool_use", "ok"), ("stop_sequence", "ok"),
        ("max_tokens", "incomplete"), ("model_context_window_exceeded", "incomplete"),
        ("malformed_tool_use", "incomplete"), ("malformed_model_output", "incomplete"),
        ("content_filtered", "refused"), ("guardrail_intervened", "blocked"),
    ],
)  # fmt: skip
def test_a_reason_to_stop_is_a_status(reason: str, status: str) -> None:
    for reading in (converse(reply(stopReason=reason)), read(stream(metadata(USAGE), stop=reason))):
        assert (reading.status, reading.finish_reason) == (status, reason)
        assert reading.usage == {"input": 10, "output": 4}
        assert reading.findings == []


def test_a_new_reason_to_stop_is_drift() -> None:
    reading = converse(reply(stopReason="novel"))
    assert (reading.status, reading.findings) == ("ok", ["drift:stopReason.novel"])


def test_tier_latency_bound_and_tools_are_read() -> None:
    ask = {
        **ASK, "inferenceConfig": {"maxTokens": 64}, "serviceTier": {"type": "priority"},
        "performanceConfig": {"latency": "optimized"},
    }  # fmt: skip
    blocks = [{"text": "a"}, {"toolUse": {"name": "x", "input": {}}}, {"toolUse": {"name": "y"}}]
    body = reply(
        output={"message": {"content": blocks}},
        serviceTier={"type": "default"},
        performanceConfig={"latency": "standard"},
    )
    whole = converse(body, ask=ask)
    assert (whole.max_tokens, whole.tool_calls) == (64, 2)
    assert (whole.tier_requested, whole.tier_served, whole.speed) == (
        "priority",
        "default",
        "standard",
    )
    start = event("contentBlockStart", {"start": {"toolUse": {"toolUseId": "t", "name": "x"}}})
    tail = metadata(USAGE, serviceTier={"type": "flex"}, performanceConfig={"latency": "optimized"})
    streamed = read(stream(start, tail))
    assert (streamed.tier_served, streamed.speed, streamed.tool_calls) == ("flex", "optimized", 1)
    assert converse(ask=ask).speed == "optimized"


def test_the_model_that_a_router_chose_is_the_one_served() -> None:
    served = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-micro-v1:0"
    trace = {"promptRouter": {"invokedModelId": served}}
    router = f"{ARN}:default-prompt-router/amazon.nova:1"
    for reading in (
        converse(reply(trace=trace), model=router),
        read(stream(metadata(USAGE, trace=trace), model=router)),
    ):
        assert (reading.model_requested, reading.model_served) == (router, served)
    assert ("strip_path", "amazon.nova-micro-v1:0") in name_forms("aws", served)


def test_an_application_profile_hides_the_model_and_stays_what_was_asked_for() -> None:
    arn = f"{ARN}:application-inference-profile/a1b2c3"
    reading = converse(model=arn)
    assert (reading.model_requested, reading.model_served) == (arn, None)


def test_request_ids_are_those_of_aws() -> None:
    call = bedrock(CLAUDE, "converse", ASK, reply(), headers={"x-amzn-RequestId": "r-1"})
    assert read(call).provider_request_id == "r-1"
