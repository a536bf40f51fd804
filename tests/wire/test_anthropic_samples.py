"""Every recorded Anthropic payload against buckets worked out by hand from the recording."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.core import units
from outlay.wire.base import Reading
from tests.wire.harness import (
    Exchange,
    assert_same_in_any_chunking,
    assert_sane,
    cut_after_events,
    exchange,
    read,
    require_samples,
    sample,
    sample_body,
)

URL = "https://api.anthropic.com/v1/messages"

BUCKETS: dict[str, dict[str, int]] = {
    # 1128 + 1283 of the main model and 2543 of the advisor; 145 + 18 out, 47 of them thinking
    "anthropic-advisor-stream-0": {"input": 4954, "output": 116, "output_reasoning": 47},
    "anthropic-cache-0": {"input": 3, "input_cache_read": 1111, "output": 406},
    "anthropic-cache-1": {
        "input": 3, "input_cache_read": 1111, "input_cache_write_5m": 418, "output": 33,
    },
    # 229 + 100 in, 5 + 131 out: the compaction call is in none of the top-level numbers
    "anthropic-compaction-0": {"input": 329, "input_cache_write_5m": 55_096, "output": 136},
    "anthropic-count-tokens-1": {"input": 3, "input_cache_read": 1111, "output": 414},
    "anthropic-on-bedrock-0": {"input": 3, "input_cache_read": 9511, "output": 1944},
    "anthropic-on-bedrock-1": {
        "input": 3, "input_cache_read": 9511, "input_cache_write_5m": 1956, "output": 44,
    },
    "anthropic-thinking-stream-0": {"input": 43, "output": 282},
    "anthropic-websearch-stream-0": {"input": 31_772, "output": 644, "web_search": 2},
}  # fmt: skip

FIXTURE_BUCKETS: dict[str, dict[str, int]] = {
    "basic": {"input": 11, "output": 6},
    "compaction": {"input": 30, "output": 8},
    "fable-stream-a-refusal": {"input": 28, "output": 39, "output_reasoning": 67},
    "fable-stream-a-toolrefusal": {"input": 28, "output": 39, "output_reasoning": 67},
    "fable-stream-b-fallback": {"input": 31, "output": 547},
    "fallback": {"input": 25, "output": 8},
    "fallback_credit": {"input": 25, "output": 8},
    "refusal": {"input": 20},
    "tool_use": {"input": 377, "output": 65},
}

FACTS: dict[str, dict[str, Any]] = {
    "anthropic-advisor-stream-0": {
        "model_requested": "claude-sonnet-5", "model_served": "claude-sonnet-5", "streamed": True,
        "tier_served": "standard", "region_class": "", "tool_calls": 1, "max_tokens": 4096,
        "response_id": "msg_011CdD8kd2BCHcbXAHcYxvaf", "finish_reason": "end_turn",
    },
    "anthropic-cache-1": {
        "model_requested": "claude-sonnet-4-5", "model_served": "claude-sonnet-4-5-20250929",
        "streamed": False, "region_class": "", "findings": [],
    },
    "anthropic-on-bedrock-0": {
        "model_requested": "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        "model_served": "claude-haiku-4-5-20251001", "tier_served": None, "findings": [],
    },
    "anthropic-sdk-fixture-fallback": {
        "model_served": "claude-sonnet-4-5", "fallback_from": "claude-opus-4-7", "status": "ok",
    },
    "anthropic-sdk-fixture-refusal": {"status": "refused", "finish_reason": "refusal"},
    "anthropic-sdk-fixture-fable-stream-a-refusal": {"status": "refused"},
    "anthropic-sdk-fixture-fable-stream-a-toolrefusal": {"status": "refused", "tool_calls": 1},
    "anthropic-sdk-fixture-tool_use": {"status": "ok", "tool_calls": 1},
}  # fmt: skip

FREE = {"anthropic-count-tokens-0"}
"""Count-tokens calls: they cost nothing and make no event."""


def load(name: str) -> Exchange:
    prefix = "anthropic-sdk-fixture-"
    if name.startswith(prefix):
        body = {"model": "asked", "max_tokens": 64, "stream": True, "messages": []}
        return exchange(URL, body, sample_body(f"{name}.response.sse"))
    return sample(name)


ALL = {**BUCKETS, **{f"anthropic-sdk-fixture-{n}": b for n, b in FIXTURE_BUCKETS.items()}}
STREAMS = sorted(name for name in ALL if "stream" in name or "fixture" in name)


def start_input(name: str) -> int:
    """The whole input side that `message_start` stated (from the recordings, by hand)."""
    return {
        "anthropic-advisor-stream-0": 1128,
        "anthropic-websearch-stream-0": 2050,
        "anthropic-sdk-fixture-fable-stream-a-toolrefusal": 612,
    }.get(name) or units.input_total(ALL[name])


def test_every_sample_is_in_the_table() -> None:
    bodies = require_samples().glob("anthropic*.response.*")
    assert {path.name.partition(".")[0] for path in bodies} == set(ALL) | FREE


def test_counting_tokens_is_free() -> None:
    reading = read(sample("anthropic-count-tokens-0"))
    assert (reading.surface, reading.usage, reading.billed) == ("anthropic.free", {}, "no")


@pytest.mark.parametrize("name", sorted(ALL))
def test_buckets_are_those_of_the_recording(name: str) -> None:
    reading = read(load(name))
    assert_sane(reading)
    assert reading.usage == ALL[name]
    assert (reading.usage_source, reading.billed) == ("provider", "yes")
    assert reading.status == FACTS.get(name, {}).get("status", "ok")


@pytest.mark.parametrize("name", sorted(FACTS))
def test_facts_are_those_of_the_recording(name: str) -> None:
    reading = read(load(name))
    assert {key: getattr(reading, key) for key in FACTS[name]} == FACTS[name]


@pytest.mark.parametrize("name", STREAMS)
def test_any_chunking_gives_the_same_reading(name: str) -> None:
    assert_same_in_any_chunking(load(name), most=200)


@pytest.mark.parametrize("name", STREAMS)
def test_p19_a_cut_stream_keeps_its_input_and_estimates_its_output(name: str) -> None:
    exchange = load(name)
    final = next(i for i, event in enumerate(exchange.events) if b"message_delta" in event)
    for count, reading in cut_after_events(exchange):
        assert_sane(reading)
        if count > final:
            assert reading.usage == ALL[name], f"cut after the final counts, event {count}"
            continue
        assert reading.status == "aborted", count
        assert reading.billed == "possible"
        assert reading.usage_source == "estimated"
        assert reading.output_total > 0
        if count:
            assert reading.input_total == start_input(name)
            assert "input_estimated" not in reading.findings
        else:
            assert "input_estimated" in reading.findings


def test_hidden_calls_are_segments_with_their_own_models() -> None:
    advisor = read(load("anthropic-advisor-stream-0"))
    assert [(s.kind, s.model, s.usage) for s in advisor.segments] == [
        ("message", "claude-sonnet-5", {"input": 1128, "output": 88, "output_reasoning": 47}),
        ("advisor_message", "claude-opus-4-8", {"input": 2543, "output": 18}),
        ("message", "claude-sonnet-5", {"input": 1283, "output": 10}),
    ]
    compaction = read(load("anthropic-compaction-0"))
    assert [(s.kind, s.model, s.usage) for s in compaction.segments] == [
        (
            "compaction",
            "claude-sonnet-4-6",
            {"input": 100, "input_cache_write_5m": 55_096, "output": 131},
        ),
        ("message", "claude-sonnet-4-6", {"input": 229, "output": 5}),
    ]


def test_bedrock_headers_fill_the_counts_when_the_body_has_none() -> None:
    recorded = sample("anthropic-on-bedrock-1")
    body = recorded.body.replace(b'"usage"', b'"not_usage"')
    reading = read(recorded.with_body(body))
    assert reading.usage == ALL["anthropic-on-bedrock-1"]
    assert reading.usage_source == "provider"
    # The headers do not tell the lifetime: the request's markers do.
    assert "cache_ttl_assumed" in reading.findings


def segment_sum(reading: Reading) -> dict[str, int]:
    total: dict[str, int] = {}
    for segment in reading.segments:
        for unit, count in segment.usage.items():
            total[unit] = total.get(unit, 0) + count
    return total


@pytest.mark.parametrize("name", sorted(ALL))
def test_usage_is_the_sum_of_the_segments(name: str) -> None:
    reading = read(load(name))
    assert not reading.segments or segment_sum(reading) == reading.usage
