"""Every recorded Bedrock payload against buckets worked out by hand from the recording."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.wire.bedrock_payloads import cuts
from tests.wire.harness import (
    assert_same_in_any_chunking,
    assert_sane,
    read,
    require_samples,
    sample,
)

BUCKETS: dict[str, dict[str, int]] = {
    # 2 + 1322 + 5 = 1329, whether the 1322 were written or read
    "bedrock-cache-0": {"input": 2, "input_cache_write_5m": 1322, "output": 5},
    "bedrock-cache-1": {"input": 2, "input_cache_read": 1322, "output": 5},
    "bedrock-converse-stream-0": {"input": 13, "output": 82},
    "bedrock-stream-cancel-0": {"input": 13, "output": 85},
    "bedrock-embed-cohere-0": {"input": 4},
    "bedrock-embed-nova-0": {"input": 19},
    "bedrock-embed-titan-0": {"input": 5},
    "bedrock-mantle-responses-0": {"input": 72, "output": 45},
    "anthropic-on-bedrock-0": {"input": 3, "input_cache_read": 9511, "output": 1944},
    "anthropic-on-bedrock-1": {
        "input": 3, "input_cache_read": 9511, "input_cache_write_5m": 1956, "output": 44,
    },
}  # fmt: skip

FACTS: dict[str, dict[str, Any]] = {
    "bedrock-cache-0": {
        "provider": "aws", "vendor": "aws", "surface": "bedrock.converse", "operation": "chat",
        "host_class": "bedrock", "region_class": "us-east-1", "streamed": False,
        "model_requested": "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "model_served": None,
        "finish_reason": "end_turn",
        # The reply states no lifetime: the request's cache points do.
        "findings": ["cache_ttl_assumed"],
    },
    "bedrock-cache-1": {"findings": [], "tool_calls": 0},
    "bedrock-converse-stream-0": {
        "streamed": True, "model_requested": "us.amazon.nova-micro-v1:0", "findings": [],
        "finish_reason": "end_turn", "http_status": 200,
    },
    "bedrock-embed-cohere-0": {
        "operation": "embeddings", "surface": "bedrock.invoke", "vendor": "aws",
        "model_requested": "cohere.embed-v4:0", "findings": [],
    },
    "bedrock-embed-nova-0": {"operation": "embeddings", "findings": []},
    "bedrock-embed-titan-0": {"operation": "embeddings", "findings": []},
    "bedrock-mantle-responses-0": {
        "provider": "aws", "surface": "openai.responses", "region_class": "us-east-1",
        "model_served": "openai.gpt-oss-120b",
    },
    "anthropic-on-bedrock-0": {
        "provider": "aws", "vendor": "anthropic", "surface": "anthropic.messages",
        "host_class": "bedrock", "region_class": "eu-central-1", "findings": [],
        "model_requested": "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
        "model_served": "claude-haiku-4-5-20251001",
    },
}  # fmt: skip

ERRORS = {"bedrock-stream-error-0"}
STREAMS = ["bedrock-converse-stream-0", "bedrock-stream-cancel-0"]


def test_every_sample_is_in_a_table() -> None:
    folder = require_samples()
    bodies = [*folder.glob("bedrock-*.response.*"), *folder.glob("anthropic-on-bedrock-*.res*")]
    assert {path.name.partition(".")[0] for path in bodies} == set(BUCKETS) | ERRORS


@pytest.mark.parametrize("name", sorted(BUCKETS))
def test_buckets_are_those_of_the_recording(name: str) -> None:
    reading = read(sample(name))
    assert_sane(reading)
    assert reading.usage == BUCKETS[name]
    assert (reading.usage_source, reading.billed, reading.status) == ("provider", "yes", "ok")
    assert reading.usage_raw


@pytest.mark.parametrize("name", sorted(FACTS))
def test_facts_are_those_of_the_recording(name: str) -> None:
    reading = read(sample(name))
    assert {key: getattr(reading, key) for key in FACTS[name]} == FACTS[name]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_split_at_every_byte_gives_the_same_reading(name: str) -> None:
    call = sample(name)
    assert_same_in_any_chunking(call, most=len(call.body))


@pytest.mark.parametrize("name", sorted(set(BUCKETS) - set(STREAMS)))
def test_a_body_in_any_chunking_gives_the_same_reading(name: str) -> None:
    assert_same_in_any_chunking(sample(name), most=50)


@pytest.mark.parametrize("name", sorted(BUCKETS))
def test_the_case_of_headers_changes_nothing(name: str) -> None:
    call = sample(name)
    shouted = replace(call, headers={key.title(): value for key, value in call.headers.items()})
    assert read(shouted) == read(call)


@pytest.mark.parametrize("name", STREAMS)
def test_p19_a_cut_stream_is_aborted_and_its_counts_are_estimated(name: str) -> None:
    call = sample(name)
    outputs = []
    for count, part in cuts(call):
        reading = read(part, complete=False)
        assert_sane(reading)
        # 30 and 26 characters of the request
        assert reading.usage["input"] == 14, count
        assert reading.usage_source == "estimated"
        assert {"input_estimated", "output_estimated"} <= set(reading.findings)
        ended = reading.finish_reason is not None
        assert (reading.status, reading.billed) == (
            ("ok", "yes") if ended else ("aborted", "possible")
        )
        outputs.append(reading.output_total)
    assert outputs[0] == 1
    assert outputs == sorted(outputs)
    # Between `messageStop` and `metadata` all text was seen: about what the provider counts.
    assert 0.5 < outputs[-1] / BUCKETS[name]["output"] < 2


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_whose_counts_are_damaged_is_estimated_and_says_so(name: str) -> None:
    call = sample(name)
    body = bytearray(call.body)
    body[-10] ^= 1
    reading = read(call.with_body(bytes(body)))
    assert reading.usage_source == "estimated"
    assert {"damaged_event", "usage_missing", "output_estimated"} <= set(reading.findings)


def test_a_request_that_is_refused_costs_nothing() -> None:
    reading = read(sample("bedrock-stream-error-0"))
    assert (reading.status, reading.http_status, reading.billed) == ("error", 400, "no")
    assert (reading.usage, reading.error_type) == ({}, "http_400")
    assert reading.model_requested == "us.does-not-exist-model-v1:0"
