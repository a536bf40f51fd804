"""Every recorded Google payload against buckets worked out by hand from the recording."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.harness import (
    assert_same_in_any_chunking,
    assert_sane,
    cut_after_events,
    read,
    require_samples,
    sample,
)

BUCKETS: dict[str, dict[str, int]] = {
    "gemini-max-tokens-0": {"input": 15, "output": 5},
    # the prompt count of the last chunk, 13, not the 15 of the earlier ones
    "gemini-stream-0": {"input": 13, "output": 8},
    # candidates go 31, 79, 80: the last one, plus 35 thoughts beside them
    "gemini-stream-usage-midstream-0": {"input": 18, "output": 80, "output_reasoning": 35},
    "vertex-flex-stream-0": {"input": 5, "output": 1, "output_reasoning": 100},
    "vertex-embeddings-0": {"input": 4},
    # nothing stated: ten characters of request text
    "gemini-embeddings-0": {"input": 3},
}

FACTS: dict[str, dict[str, Any]] = {
    "gemini-max-tokens-0": {
        "status": "incomplete", "finish_reason": "MAX_TOKENS", "max_tokens": 5,
        "model_requested": "gemini-2.5-flash", "model_served": "gemini-2.5-flash",
        "tier_served": "standard", "streamed": False, "response_id": "R5MoavWNNp_8qtsP2fWD2A0",
        "provider_request_id": "R5MoavWNNp_8qtsP2fWD2A0", "findings": [],
    },
    "gemini-stream-0": {
        "status": "ok", "finish_reason": "STOP", "streamed": True, "tier_served": None,
        "model_served": "gemini-2.0-flash-exp", "findings": [],
    },
    "gemini-stream-usage-midstream-0": {
        "status": "ok", "tier_served": "standard", "usage_source": "provider", "findings": [],
    },
    "vertex-flex-stream-0": {
        "status": "ok", "tier_served": "flex", "model_served": "gemini-3-flash-preview",
        "provider": "google", "host_class": "vertex", "findings": [],
    },
    "vertex-embeddings-0": {
        "status": "ok", "usage_source": "provider", "operation": "embeddings", "findings": [],
        "model_requested": "gemini-embedding-001",
    },
    "gemini-embeddings-0": {
        "status": "ok", "usage_source": "estimated",
        "findings": ["usage_missing", "input_estimated"],
    },
}  # fmt: skip

FREE = {"vertex-usage-limit-0"}
"""Count-tokens calls: they cost nothing and make no event."""
NOT_HTTP = {"gemini-live"}
"""Web-socket sessions: another surface."""

STREAMS = sorted(name for name in BUCKETS if "stream" in name)


def test_every_sample_is_in_the_table() -> None:
    folder = require_samples()
    files = [*folder.glob("gemini*"), *folder.glob("vertex*")]
    assert {file.name.partition(".")[0] for file in files} == set(BUCKETS) | FREE | NOT_HTTP


def test_counting_tokens_is_free() -> None:
    reading = read(sample("vertex-usage-limit-0"))
    assert (reading.surface, reading.usage, reading.billed) == ("google.free", {}, "no")


@pytest.mark.parametrize("name", sorted(BUCKETS))
def test_buckets_and_facts_are_those_of_the_recording(name: str) -> None:
    reading = read(sample(name))
    assert_sane(reading)
    assert reading.usage == BUCKETS[name]
    assert {key: getattr(reading, key) for key in FACTS[name]} == FACTS[name]


@pytest.mark.parametrize("name", STREAMS)
def test_any_chunking_gives_the_same_reading(name: str) -> None:
    assert_same_in_any_chunking(sample(name))


@pytest.mark.parametrize("name", STREAMS)
def test_p19_a_cut_stream_keeps_its_input_and_estimates_its_output(name: str) -> None:
    prompt = {"gemini-stream-0": 15}.get(name) or BUCKETS[name]["input"]
    for count, reading in cut_after_events(sample(name)):
        assert_sane(reading)
        assert (reading.status, reading.billed) == ("aborted", "possible")
        assert reading.usage_source == "estimated"
        assert reading.output_total > 0
        if count:
            assert reading.input_total == prompt
        else:
            assert "input_estimated" in reading.findings


def test_counts_told_before_a_cut_are_the_lower_bound() -> None:
    told = [reading.usage for _, reading in cut_after_events(sample(STREAMS[1]))]
    assert told[1:] == [
        {"input": 18, "output": 31, "output_reasoning": 35},
        {"input": 18, "output": 79, "output_reasoning": 35},
    ]
