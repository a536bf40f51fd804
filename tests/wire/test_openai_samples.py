"""Every recorded OpenAI-shaped payload against buckets worked out by hand from the recording."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.base import Reading
from tests.wire.harness import (
    assert_same_in_any_chunking,
    assert_sane,
    cut_after_events,
    read,
    sample,
)

BUCKETS: dict[str, dict[str, int]] = {
    "azure-responses-0": {"input": 18, "output": 5},
    "bedrock-mantle-responses-0": {"input": 72, "output": 45},
    "deepseek-thinking-stream-0": {"input": 6, "output": 14, "output_reasoning": 198},
    # prompt and output were never counted: 199 characters asked, 212 seen before the error
    "groq-tool-use-failed-stream-0": {"input": 50, "output": 53},
    "groq-tool-use-failed-stream-1": {"input": 304, "output": 26, "output_reasoning": 23},
    "groq-tool-use-failed-stream-2": {"input": 339, "output": 20, "output_reasoning": 38},
    # four rows of the breakdown repeat these numbers
    "groq-websearch-stream-0": {"input": 5003, "output": 359},
    "huggingface-usage-0": {"input": 4, "output": 258},
    "mistral-prompt-cache-0": {"input": 253, "output": 5},
    "openai-chat-moderation-stream-0": {"input": 13, "output": 11},
    # 4020 = 8 + 4012 written
    "openai-chat-prompt-cache-0": {"input": 8, "input_cache_write": 4012, "output": 4},
    "openai-chat-prompt-cache-1": {"input": 8, "input_cache_read": 4012, "output": 4},
    "openai-embeddings-0": {"input": 2},
    "openai-native-toolsearch-0": {"input": 230, "output": 22},
    "openai-responses-background-stream-0": {"input": 15, "output": 9},
    "openai-responses-prompt-cache-0": {"input": 8, "input_cache_write": 4012, "output": 5},
    "openai-responses-prompt-cache-1": {"input": 8, "input_cache_read": 4012, "output": 5},
    # 469 out, 448 of them reasoning
    "openai-responses-stream-0": {"input": 53, "output": 21, "output_reasoning": 448},
    # 9463 in, 8320 of them cached; 582 out, 512 of them reasoning; one search, not in `usage`
    "openai-responses-websearch-stream-0": {
        "input": 1143, "input_cache_read": 8320, "output": 70, "output_reasoning": 512,
        "web_search": 1,
    },
    "openai-responses-websearch-stream-1": {
        "input": 1127, "input_cache_read": 8576, "output": 62, "output_reasoning": 576,
        "web_search": 1,
    },
    "openrouter-responses-cache-0": {"input": 8, "input_cache_write": 4012, "output": 5},
    "openrouter-responses-cache-1": {"input": 8, "input_cache_read": 4012, "output": 5},
    # 10 completion tokens and 11 "of them" reasoning: clamped
    "openrouter-stream-error-0": {"input": 43, "output_reasoning": 10},
    "openrouter-usage-0": {"input": 17, "output": 811, "output_reasoning": 704},
    "openrouter-usage-1": {"input": 17, "output": 1217, "output_reasoning": 960},
    # the vendor says 0 tokens for two words
    "voyage-embeddings-0": {},
}  # fmt: skip

FACTS: dict[str, dict[str, Any]] = {
    "azure-responses-0": {
        "provider": "azure", "vendor": "openai", "deployment": "gpt-5.6-sol",
        "model_served": "gpt-5.6-sol",
        "provider_request_id": "a9396b91-7fe3-4af3-9bf0-11c68e83b84a",
    },
    "bedrock-mantle-responses-0": {
        "provider": "aws", "vendor": "openai", "model_served": "openai.gpt-oss-120b",
    },
    "deepseek-thinking-stream-0": {"streamed": True, "finish_reason": "stop", "status": "ok"},
    "groq-tool-use-failed-stream-0": {
        "status": "error", "error_type": "invalid_request_error", "http_status": 200,
        "usage_source": "estimated", "billed": "possible",
    },
    "groq-tool-use-failed-stream-1": {"tool_calls": 1, "finish_reason": "tool_calls"},
    "groq-websearch-stream-0": {"model_served": "groq/compound", "findings": ["compound"]},
    "huggingface-usage-0": {"provider": "huggingface_together", "vendor": "huggingface"},
    "openai-chat-moderation-stream-0": {
        "model_requested": "gpt-5", "model_served": "gpt-5-2025-08-07", "tier_served": "default",
        "findings": [],
    },
    "openai-responses-background-stream-0": {"findings": ["background"], "billed": "yes"},
    "openai-responses-stream-0": {"tier_served": "flex", "tool_calls": 1},
    "openai-responses-websearch-stream-0": {"tool_calls": 0, "tier_served": "default"},
    "openrouter-responses-cache-0": {"provider_cost_nanos": 25_265_000},
    "openrouter-responses-cache-1": {"provider_cost_nanos": 2_196_000},
    "openrouter-stream-error-0": {
        "status": "error", "error_type": "400", "provider_cost_nanos": 0, "billed": "yes",
        "findings": ["identity:reasoning"],
    },
    "openrouter-usage-1": {"provider_cost_nanos": 4_358_250},
    "voyage-embeddings-0": {"usage_source": "provider", "findings": ["usage_zero"]},
}  # fmt: skip

STREAMS = [name for name in BUCKETS if "stream" in name and not name.endswith("websearch-stream-1")]
BROKEN = ("groq-tool-use-failed-stream-0", "openrouter-stream-error-0")


@pytest.mark.parametrize("name", BUCKETS)
def test_counts_the_recorded_reply_in_disjoint_buckets(name: str) -> None:
    reading = read(sample(name))
    assert reading.usage == BUCKETS[name]
    assert_sane(reading)


@pytest.mark.parametrize("name", FACTS)
def test_reads_what_the_recorded_reply_states_beside_counts(name: str) -> None:
    reading = read(sample(name))
    assert {key: getattr(reading, key) for key in FACTS[name]} == FACTS[name]


@pytest.mark.parametrize("name", STREAMS)
def test_gives_the_same_reading_in_any_chunking(name: str) -> None:
    assert_same_in_any_chunking(sample(name), most=60)


@pytest.mark.parametrize(
    "name", [name for name in STREAMS if name not in BROKEN and "background" not in name]
)
def test_a_cut_stream_is_aborted_and_never_free_until_its_counts_came(name: str) -> None:
    exchange = sample(name)
    whole = read(exchange)
    done = False
    for count, reading in cut_after_events(exchange):
        assert_sane(reading)
        if reading.status == "ok":
            done = True
            assert reading.usage == whole.usage
        else:
            _assert_aborted(reading, f"after {count} events")
            assert not done, "counts that came are not lost again"


def test_a_cut_stream_of_a_background_response_leaves_the_bill_to_who_sees_it_done() -> None:
    for count, reading in cut_after_events(sample("openai-responses-background-stream-0")):
        assert (reading.status, reading.billed, reading.usage) == ("aborted", "no", {}), count
        assert "background_unfinished" in reading.findings


def _assert_aborted(reading: Reading, where: str) -> None:
    assert reading.status == "aborted", where
    assert reading.billed == "possible", where
    assert reading.usage_source == "estimated", where
    assert reading.input_total > 0, where
    assert reading.output_total > 0, where
    assert "output_estimated" in reading.findings, where
