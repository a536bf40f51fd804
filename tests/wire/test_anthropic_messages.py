"""The rules of reading whole Anthropic messages, each on a hand-written payload."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.core import units
from tests.wire.anthropic_payloads import ASKED, STOP, URL, delta, message, of_usage, start, stream
from tests.wire.harness import exchange, fixture, read, sse

# -- whole messages ------------------------------------------------------------------------------


def test_a_whole_message_gives_every_fact_and_disjoint_buckets() -> None:
    reading = read(fixture("anthropic-message"))
    assert reading.usage == {
        "input": 40, "input_cache_read": 3000, "input_cache_write_5m": 500,
        "input_cache_write_1h": 200, "output": 30, "output_reasoning": 60, "web_search": 1,
    }  # fmt: skip
    assert reading.input_total == 3740
    assert reading.output_total == 90
    assert (reading.status, reading.finish_reason) == ("ok", "end_turn")
    assert (reading.model_requested, reading.model_served) == (
        "claude-opus-5-5",
        "claude-opus-5-5-20261001",
    )
    assert (reading.tier_requested, reading.tier_served) == ("auto", "priority")
    assert (reading.speed, reading.region_class, reading.batch) == ("fast", "us", False)
    assert (reading.max_tokens, reading.tool_calls, reading.streamed) == (900, 1, False)
    assert (reading.response_id, reading.provider_request_id) == ("msg_own_1", "req_own_message")
    assert (reading.usage_source, reading.findings) == ("provider", [])


def test_usage_raw_is_the_providers_object_without_text() -> None:
    reading = of_usage(note="some words of a prompt", service_tier="standard")
    assert reading.usage_raw == {
        "input_tokens": 10, "output_tokens": 5, "service_tier": "standard",
    }  # fmt: skip


def test_p2_cached_input_is_added_to_input_never_subtracted() -> None:
    reading = of_usage(cache_read_input_tokens=900, cache_creation_input_tokens=50)
    assert reading.usage[units.INPUT] == 10
    assert reading.input_total == 960


def test_p6_total_and_split_of_a_cache_write_are_the_same_tokens() -> None:
    split = {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 0}
    reading = of_usage(cache_creation_input_tokens=50, cache_creation=split)
    assert reading.usage == {"input": 10, "input_cache_write_5m": 50, "output": 5}


def test_p7_one_hour_writes_are_a_bucket_of_their_own() -> None:
    split = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20}
    reading = of_usage(cache_creation_input_tokens=50, cache_creation=split)
    assert reading.usage[units.CACHE_WRITE_5M] == 30
    assert reading.usage[units.CACHE_WRITE_1H] == 20
    assert reading.findings == []


@pytest.mark.parametrize(
    ("asked", "split", "unit"),
    [
        ({}, None, units.CACHE_WRITE_5M),
        ({}, {"ephemeral_5m_input_tokens": 100}, units.CACHE_WRITE_5M),
        ({}, {"ephemeral_1h_input_tokens": 100}, units.CACHE_WRITE_1H),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, None, units.CACHE_WRITE_1H),
        ({"cache_control": {"type": "ephemeral"}}, None, units.CACHE_WRITE_5M),
        (
            {"system": [{"type": "text", "text": "s", "cache_control": {"ttl": "1h"}}]},
            {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
            units.CACHE_WRITE_1H,
        ),
    ],
)
def test_p8_a_write_beyond_the_split_goes_to_the_lifetime_in_use(
    asked: dict[str, Any], split: dict[str, int] | None, unit: str
) -> None:
    reading = of_usage(asked, cache_creation_input_tokens=1000, cache_creation=split)
    written = {u: n for u, n in reading.usage.items() if units.is_cache_write(u)}
    assert sum(written.values()) == 1000, "never lost"
    assert written[unit] >= 900
    assert "cache_ttl_assumed" in reading.findings


def test_the_last_cache_marker_of_the_prompt_tells_the_lifetime_in_use() -> None:
    asked = {
        "system": [{"type": "text", "text": "s", "cache_control": {"ttl": "1h"}}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}],
            }
        ],
    }
    reading = of_usage(asked, cache_creation_input_tokens=7)
    assert reading.usage[units.CACHE_WRITE_5M] == 7


def test_p2_a_split_larger_than_its_total_is_found_and_bills_the_split() -> None:
    split = {"ephemeral_5m_input_tokens": 80, "ephemeral_1h_input_tokens": 0}
    reading = of_usage(cache_creation_input_tokens=50, cache_creation=split)
    assert reading.usage[units.CACHE_WRITE_5M] == 80
    assert reading.usage[units.INPUT] == 10
    assert "cache_split_exceeds_total" in reading.findings


def test_p14_thinking_is_inside_output_and_not_added() -> None:
    reading = of_usage(output_tokens_details={"thinking_tokens": 4})
    assert (reading.usage[units.OUTPUT], reading.usage[units.REASONING]) == (1, 4)


def test_thinking_larger_than_output_is_clamped_and_found() -> None:
    reading = of_usage(output_tokens_details={"thinking_tokens": 9})
    assert reading.output_total == 5
    assert "identity:reasoning" in reading.findings


def test_p36_batch_service_is_flagged() -> None:
    assert of_usage(service_tier="batch").batch is True


@pytest.mark.parametrize(
    ("geo", "region"), [("us", "us"), ("global", ""), ("not_available", ""), ("EU", "eu")]
)
def test_p32_inference_geo_is_the_region_class(geo: str, region: str) -> None:
    assert of_usage(inference_geo=geo).region_class == region


def test_p37_server_tools_are_counted_as_used_not_as_declared() -> None:
    declared = {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    assert units.WEB_SEARCH not in of_usage(declared).usage
    used = of_usage(server_tool_use={"web_search_requests": 3, "web_fetch_requests": 2})
    assert (used.usage["web_search"], used.usage["web_fetch"]) == (3, 2)


def test_p9_unknown_usage_keys_are_found_as_drift() -> None:
    reading = of_usage(
        image_tokens=7,
        unused=0,
        cache_creation={"ephemeral_24h_input_tokens": 3},
        server_tool_use={"code_runs": 1},
    )
    assert reading.findings == [
        "drift:image_tokens",
        "drift:cache_creation.ephemeral_24h_input_tokens",
        "drift:server_tool_use.code_runs",
    ]


def test_a_count_that_is_no_whole_number_is_found_as_drift() -> None:
    assert "drift:input_tokens" in of_usage(input_tokens="10").findings


def test_drift_findings_are_bounded() -> None:
    reading = of_usage(None, **{f"new_{i}": 1 for i in range(500)})
    assert len(reading.findings) <= 8


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("end_turn", "ok"),
        ("stop_sequence", "ok"),
        ("tool_use", "ok"),
        ("pause_turn", "ok"),
        ("max_tokens", "incomplete"),
        ("model_context_window_exceeded", "incomplete"),
        ("refusal", "refused"),
        ("something_new", "ok"),
    ],
)
def test_the_stop_reason_gives_the_status(reason: str, status: str) -> None:
    counts = {"input_tokens": 10, "output_tokens": 5}
    reading = read(exchange(URL, ASKED, message(counts, stop_reason=reason)))
    assert (reading.status, reading.finish_reason, reading.billed) == (status, reason, "yes")
    assert ("drift:stop_reason.something_new" in reading.findings) == (reason == "something_new")


def test_tool_calls_count_the_models_and_the_servers_tools() -> None:
    kinds = ("tool_use", "server_tool_use", "text", "web_search_tool_result", "tool_use")
    blocks = [{"type": kind, "text": "", "content": []} for kind in kinds]
    counts = {"input_tokens": 10, "output_tokens": 5}
    assert read(exchange(URL, ASKED, message(counts, content=blocks))).tool_calls == 3


def test_a_message_without_usage_is_estimated_and_says_so() -> None:
    content = [{"type": "text", "text": "x" * 40}]
    reading = read(exchange(URL, ASKED, message(None, content=content)))
    assert reading.usage == {"input": 2, "output": 10}
    assert reading.usage_source == "estimated"
    assert "usage_missing" in reading.findings


def test_the_estimate_of_the_input_counts_system_messages_and_tool_results() -> None:
    asked = {
        "system": [{"type": "text", "text": "x" * 8}],
        "messages": [
            {"role": "user", "content": "x" * 8},
            {"role": "assistant", "content": [{"type": "text", "text": "x" * 8}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "content": "x" * 8},
                    {"type": "tool_result", "content": [{"type": "text", "text": "x" * 8}]},
                ],
            },
        ],
    }
    assert read(exchange(URL, {**ASKED, **asked}, message(None))).usage[units.INPUT] == 10


# -- hidden calls and fallbacks -------------------------------------------------------------------


def iteration(kind: str, read_: int, wrote: int, model: str | None = None) -> dict[str, Any]:
    named = {} if model is None else {"model": model}
    return {"type": kind, "input_tokens": read_, "output_tokens": wrote, **named}


def test_an_empty_list_of_iterations_leaves_the_top_level() -> None:
    reading = of_usage(iterations=[])
    assert reading.usage == {"input": 10, "output": 5}
    assert reading.segments == []


def test_iterations_without_counts_leave_the_top_level_and_are_found() -> None:
    reading = of_usage(iterations=[{"type": "message", "renamed": 3}])
    assert reading.usage == {"input": 10, "output": 5}
    assert "iterations_without_counts" in reading.findings


def test_server_tool_fees_go_with_the_main_model() -> None:
    reading = of_usage(
        iterations=[
            iteration("advisor_message", 30, 3, "claude-opus-4-8"),
            iteration("message", 10, 5),
        ],
        server_tool_use={"web_search_requests": 2},
    )
    assert reading.usage == {"input": 40, "output": 8, "web_search": 2}
    assert [(s.model, s.usage) for s in reading.segments] == [
        ("claude-opus-4-8", {"input": 30, "output": 3}),
        ("claude-sonnet-5", {"input": 10, "output": 5, "web_search": 2}),
    ]


def test_fees_without_a_segment_of_the_main_model_get_one() -> None:
    reading = of_usage(
        iterations=[iteration("advisor_message", 30, 3, "claude-opus-4-8")],
        server_tool_use={"web_search_requests": 2},
    )
    assert (reading.segments[1].model, reading.segments[1].usage) == (
        "claude-sonnet-5",
        {"web_search": 2},
    )


def test_a_fallback_iteration_is_priced_with_the_model_that_served() -> None:
    reading = of_usage(
        iterations=[
            iteration("message", 10, 2),
            iteration("fallback_message", 12, 5, "claude-haiku-4-5"),
        ]
    )
    assert (reading.fallback_from, reading.model_served) == ("claude-sonnet-5", "claude-haiku-4-5")
    assert [s.model for s in reading.segments] == ["claude-sonnet-5", "claude-haiku-4-5"]


def test_a_fallback_block_names_both_models() -> None:
    block = {"type": "fallback", "from": {"model": "claude-a"}, "to": {"model": "claude-b"}}
    counts = {"input_tokens": 10, "output_tokens": 5}
    reading = read(exchange(URL, ASKED, message(counts, content=[block])))
    assert (reading.fallback_from, reading.model_served) == ("claude-a", "claude-b")


def test_a_chain_of_fallbacks_goes_from_the_first_model_to_the_last() -> None:
    pairs = (("claude-a", "claude-b"), ("claude-b", "claude-c"))
    blocks = [{"type": "fallback", "from": {"model": a}, "to": {"model": b}} for a, b in pairs]
    counts = {"input_tokens": 10, "output_tokens": 5}
    reading = read(exchange(URL, ASKED, message(counts, content=blocks)))
    assert (reading.fallback_from, reading.model_served) == ("claude-a", "claude-c")


def test_an_unknown_kind_of_iteration_is_priced_and_found() -> None:
    reading = of_usage(iterations=[iteration("message", 10, 5), iteration("critic", 7, 1)])
    assert reading.usage == {"input": 17, "output": 6}
    assert "drift:iterations.critic" in reading.findings


def test_very_many_iterations_are_merged_without_losing_a_token() -> None:
    many = [iteration("message", 1, 2) for _ in range(500)]
    reading = of_usage(iterations=many, output_tokens=1000)
    assert reading.usage == {"input": 500, "output": 1000}
    assert len(reading.segments) <= 32
    assert sum(s.usage["input"] for s in reading.segments) == 500
    assert "segments_merged" in reading.findings


# -- other hosts, errors, batches -----------------------------------------------------------------


def test_bedrock_metrics_on_the_last_chunk_count_when_the_events_do_not() -> None:
    metrics = {"inputTokenCount": 3, "outputTokenCount": 9, "cacheReadInputTokenCount": 5}
    begun = {"type": "message_start", "message": message(None, stop_reason=None)}
    last = {**STOP, "amazon-bedrock-invocationMetrics": metrics}
    reading = read(stream(begun, last))
    assert reading.usage == {"input": 3, "input_cache_read": 5, "output": 9}
    assert reading.usage_source == "provider"
    told = read(stream(start(), delta(output_tokens=6), last))
    assert told.usage == {"input": 10, "output": 6}, "the provider's own counts come first"


def test_vertex_streams_take_the_model_from_the_path() -> None:
    url = (
        "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/"
        "publishers/anthropic/models/claude-sonnet-5:streamRawPredict"
    )
    asked = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": []}
    reading = read(exchange(url, asked, sse(start(), delta(output_tokens=6), STOP)))
    assert (reading.model_requested, reading.streamed) == ("claude-sonnet-5", True)
    assert reading.usage == {"input": 10, "output": 6}


def test_a_plain_error_costs_nothing_and_keeps_its_type_but_not_its_text() -> None:
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "secret words"}}
    reading = read(exchange(URL, ASKED, body, status=429, headers={"request-id": "req_1"}))
    assert (reading.status, reading.error_type) == ("error", "rate_limit_error")
    assert (reading.billed, reading.usage) == ("no", {})
    assert reading.provider_request_id == "req_1"
    assert "secret" not in repr(reading)


@pytest.mark.parametrize("error", ["secret words", {"type": "secret words"}, {"code": "x" * 65}])
def test_an_error_that_is_no_short_name_is_not_kept(error: Any) -> None:
    reading = read(exchange(URL, ASKED, {"error": error}, status=400))
    assert (reading.status, reading.error_type) == ("error", "http_400")
    assert "secret" not in repr(reading)


def test_a_bedrock_error_is_named_by_its_header() -> None:
    headers = {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/"}
    reading = read(exchange(URL, ASKED, {"message": "slow down"}, status=429, headers=headers))
    assert reading.error_type == "ThrottlingException"


def test_a_batch_object_is_free_and_found() -> None:
    body = {"type": "message_batch", "id": "msgbatch_1", "processing_status": "in_progress"}
    reading = read(exchange(URL, ASKED, body))
    assert (reading.usage, reading.billed) == ({}, "no")
    assert reading.findings == ["drift:message_batch"]


def test_counting_tokens_on_vertex_is_free() -> None:
    url = (
        "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/"
        "publishers/anthropic/models/count-tokens:rawPredict"
    )
    reading = read(exchange(url, ASKED, {"input_tokens": 14}))
    assert (reading.usage, reading.billed) == ({}, "no")
