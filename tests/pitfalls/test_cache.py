"""Cached tokens: counted once, in the bucket of their price, whatever the provider's convention.

The numbers of the tests are those of the list of pitfalls that this project keeps.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from outlay.wire.conventions import convention
from tests.pitfalls.calls import (
    BEDROCK,
    CHAT,
    GEMINI,
    MESSAGES,
    NOVEMBER,
    OPENAI,
    RESPONSES,
    bases,
    candidate,
    chat,
    lines,
    message,
    nanos,
    rated,
)
from tests.wire.harness import exchange, read

ASK = {"model": "gpt-5.6-sol", "messages": []}
CLAUDE = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": []}


def test_p01_an_input_that_includes_its_cache_is_not_counted_twice() -> None:
    """OpenAI's prompt count contains the cached tokens, so they are taken out of it."""
    usage = {"prompt_tokens": 130_213, "completion_tokens": 100, "total_tokens": 130_313,
             "prompt_tokens_details": {"cached_tokens": 128_000}}  # fmt: skip
    row = rated(CHAT, ASK, chat(usage))
    assert row["usage"] == {"input": 2213, "input_cache_read": 128_000, "output": 100}
    assert row["input_total"] == 130_213
    assert row["cost_nanos"] == nanos((2213, "5"), (128_000, "0.50"), (100, "30"))
    told = read(exchange(CHAT, ASK, chat(usage)))
    assert told.usage_raw == usage, "the raw counts stay as evidence"
    assert "includes cached" in convention(told.surface, told.vendor)


def test_p02_an_input_that_excludes_its_cache_is_charged_in_full() -> None:
    """Anthropic's input count stands beside the cache counts, however much larger those are."""
    usage = {"input_tokens": 700, "cache_read_input_tokens": 9000, "output_tokens": 50,
             "cache_creation_input_tokens": 0}  # fmt: skip
    row = rated(MESSAGES, CLAUDE, message(usage))
    assert row["input_total"] == 9700
    assert lines(row)["input"] == nanos((700, "3")) > 0
    assert "excludes cache" in convention(row["surface"], row["vendor"])


def test_p03_tokens_written_to_the_cache_are_charged_once() -> None:
    """A written token costs its write price and no input price on top, in either convention."""
    anthropic = {"input_tokens": 10, "cache_creation_input_tokens": 11_000, "output_tokens": 1}
    row = rated(MESSAGES, CLAUDE, message(anthropic))
    assert row["cost_nanos"] == nanos((10, "3"), (11_000, "3.75"), (1, "15"))
    openai = {"prompt_tokens": 11_010, "completion_tokens": 1, "total_tokens": 11_011,
              "prompt_tokens_details": {"cache_write_tokens": 11_000}}  # fmt: skip
    row = rated(CHAT, ASK, chat(openai))
    assert row["cost_nanos"] == nanos((10, "5"), (11_000, "6.25"), (1, "30"))


def test_p04_a_stream_costs_what_the_whole_reply_costs() -> None:
    """The same counts give the same cost, streamed or not, cache reads included."""
    usage = {"prompt_tokens": 4020, "completion_tokens": 5, "total_tokens": 4025,
             "prompt_tokens_details": {"cached_tokens": 4012}}  # fmt: skip
    whole = rated(CHAT, ASK, chat(usage))
    delta = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
    parts = [chat(None) | delta, chat(usage) | {"choices": []}, b"[DONE]"]
    streamed = rated(CHAT, {**ASK, "stream": True}, parts)
    assert whole["streamed"] is False
    assert streamed["streamed"] is True
    assert streamed["lines"] == whole["lines"]
    assert whole["cost_nanos"] == nanos((8, "5"), (4012, "0.50"), (5, "30"))


def test_p05_geminis_prompt_count_and_its_text_part_include_the_cache() -> None:
    """Cached tokens leave Gemini's prompt count and the modality they belong to."""
    usage = {
        "promptTokenCount": 1200, "cachedContentTokenCount": 900, "candidatesTokenCount": 10,
        "totalTokenCount": 1210,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 1000}, {"modality": "AUDIO", "tokenCount": 200},
        ],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 900}],
    }  # fmt: skip
    row = rated(GEMINI, {"contents": []}, candidate(usage))
    assert row["usage"] == {
        "input": 100, "input_audio": 200, "input_cache_read": 900, "output": 10,
    }  # fmt: skip
    assert row["cost_nanos"] == nanos((100, "0.30"), (200, "1"), (900, "0.03"), (10, "2.50"))


def test_p06_a_total_and_its_split_are_one_line() -> None:
    """The write total and its five-minute part are the same tokens."""
    usage = {"input_tokens": 1, "cache_creation_input_tokens": 500, "output_tokens": 1,
             "cache_creation": {"ephemeral_5m_input_tokens": 500,
                                "ephemeral_1h_input_tokens": 0}}  # fmt: skip
    row = rated(MESSAGES, CLAUDE, message(usage))
    writes = [line for line in row["lines"] if "write" in line["unit"]]
    assert [(line["unit"], line["quantity"]) for line in writes] == [("input_cache_write_5m", 500)]


def test_p07_one_hour_writes_cost_twice_the_input() -> None:
    """A write that lives for an hour costs 2 times the input price, not 1.25 times."""
    split = {"ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100}
    usage = {"input_tokens": 1, "cache_creation_input_tokens": 556, "output_tokens": 1,
             "cache_creation": split}  # fmt: skip
    row = rated(MESSAGES, CLAUDE, message(usage))
    assert lines(row)["input_cache_write_1h"] == nanos((100, "6"))
    assert lines(row)["input_cache_write_5m"] == nanos((456, "3.75"))
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": []}
    url = f"{BEDROCK}/global.anthropic.claude-sonnet-4-5-20250929-v1:0/invoke"
    assert lines(rated(url, body, message(usage)))["input_cache_write_1h"] == nanos((100, "6"))


@pytest.mark.parametrize(
    ("ttl", "split", "usage"),
    [
        ("5m", {"ephemeral_5m_input_tokens": 31_490}, {"input_cache_write_5m": 184_457}),
        ("1h", {"ephemeral_1h_input_tokens": 31_490}, {"input_cache_write_1h": 184_457}),
        (
            None,
            {"ephemeral_5m_input_tokens": 30_000, "ephemeral_1h_input_tokens": 1490},
            {"input_cache_write_5m": 182_967, "input_cache_write_1h": 1490},
        ),
    ],
)
def test_p08_what_a_split_does_not_cover_is_charged_too(
    ttl: str | None, split: dict[str, int], usage: dict[str, int]
) -> None:
    """The split of a stream's first event covers its first round; the total covers them all."""
    marker = {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}
    start = {"input_tokens": 5, "cache_creation_input_tokens": 31_490, "output_tokens": 1,
             "cache_creation": split}  # fmt: skip
    last = {"input_tokens": 5, "cache_creation_input_tokens": 184_457, "output_tokens": 900}
    events = [
        {"type": "message_start", "message": message(start)},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": last},
        {"type": "message_stop"},
    ]
    row = rated(MESSAGES, {**CLAUDE, "stream": True, "cache_control": marker}, events)
    writes = {unit: count for unit, count in row["usage"].items() if "write" in unit}
    assert writes == usage
    assert "cache_ttl_assumed" in row["findings"]


NOVEL: dict[str, tuple[str, Any, Any]] = {
    "openai": (CHAT, ASK, chat({"prompt_tokens": 900, "completion_tokens": 1,
                                "glacier_cached_tokens": 800})),
    "anthropic": (MESSAGES, CLAUDE, message({"input_tokens": 100, "output_tokens": 1,
                                             "glacier_cached_tokens": 800})),
    "google": (GEMINI, {"contents": []}, candidate({
        "promptTokenCount": 900, "candidatesTokenCount": 1, "totalTokenCount": 901,
        "glacierCachedTokenCount": 800})),
    "bedrock": (f"{BEDROCK}/us.amazon.nova-micro-v1:0/converse", {"messages": []}, {
        "output": {}, "stopReason": "end_turn",
        "usage": {"inputTokens": 900, "outputTokens": 1, "totalTokens": 901,
                  "glacierCachedTokens": 800}}),
}  # fmt: skip


@pytest.mark.parametrize("provider", NOVEL)
def test_p09_a_counter_nobody_knows_is_said_and_never_vanishes(provider: str) -> None:
    """A usage key that no rule covers is a finding, at every provider."""
    row = rated(*NOVEL[provider])
    assert [found for found in row["findings"] if found.startswith("drift:glacier")]


def test_p09_a_bucket_without_a_rate_stays_as_an_unpriced_line() -> None:
    """Counts that the book cannot price stay on the bill and make the call unpriced."""
    usage = {"prompt_tokens": 900, "completion_tokens": 1, "total_tokens": 901,
             "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 800}}  # fmt: skip
    row = rated(CHAT, ASK, chat(usage))
    assert bases(row)["input_audio"] == "unpriced"
    assert (row["price_basis"], row["list_cost_nanos"]) == ("unpriced", None)


def test_p10_a_missing_cache_rate_is_said_and_cached_tokens_are_never_output() -> None:
    """Where a catalogue knows no cache price the input price is used, and that is a flag."""
    usage = {"prompt_tokens": 268, "completion_tokens": 5, "total_tokens": 273,
             "prompt_tokens_details": {"cached_tokens": 224}}  # fmt: skip
    url = "https://api.mistral.ai/v1/chat/completions"
    row = rated(url, {"model": "mistral-large-2411"}, chat(usage, "mistral-large-2411"))
    assert row["usage"] == {"input": 44, "input_cache_read": 224, "output": 5}
    assert "cache_read_at_input_rate" in row["findings"]
    assert row["price_confidence"] == "estimated"


def test_p10_cache_reads_of_bedrock_cost_a_tenth() -> None:
    """Converse tells cache reads beside the input: they get the read price of the profile."""
    usage = {"inputTokens": 13, "cacheReadInputTokens": 60_000, "cacheWriteInputTokens": 0,
             "outputTokens": 100, "totalTokens": 60_113}  # fmt: skip
    url = f"{BEDROCK}/global.anthropic.claude-sonnet-4-5-20250929-v1:0/converse"
    row = rated(url, {"messages": []}, {"stopReason": "end_turn", "usage": usage})
    assert row["cost_nanos"] == nanos((13, "3"), (60_000, "0.30"), (100, "15"))
    assert row["findings"] == []


def test_p11_the_batch_discount_holds_for_cached_tokens_as_well() -> None:
    """Half of each price: of input, of cache reads, of one-hour writes, of output."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
             "prompt_tokens_details": {"cached_tokens": 600}}  # fmt: skip
    done = {"id": "b", "custom_id": "a", "response": {
        "status_code": 200, "body": chat(usage, "gpt-5-2025-08-07")}}  # fmt: skip
    row = rated(f"{OPENAI}/files/file-1/content", None, json.dumps(done) + "\n",
                method="GET", at=NOVEMBER)  # fmt: skip
    (row,) = row.get("readings", [row])
    assert row["batch"] is True
    assert row["cost_nanos"] == nanos((400, "0.625"), (600, "0.0625"), (100, "5"))

    claude = {"input_tokens": 100, "cache_read_input_tokens": 500, "output_tokens": 50,
              "cache_creation_input_tokens": 1000,
              "cache_creation": {"ephemeral_1h_input_tokens": 1000}}  # fmt: skip
    done = {"custom_id": "a", "result": {"type": "succeeded", "message": message(claude)}}
    row = rated(f"{MESSAGES}/batches/b/results", None, json.dumps(done) + "\n",
                method="GET", at=NOVEMBER)  # fmt: skip
    (row,) = row.get("readings", [row])
    assert row["cost_nanos"] == nanos((100, "1.50"), (500, "0.15"), (1000, "3"), (50, "7.50"))


def test_p12_openai_writes_cost_a_quarter_more_and_older_models_have_none() -> None:
    """Models from GPT-5.6 on tell what they wrote; a reply without that count wrote nothing."""
    details = {"cached_tokens": 0, "cache_write_tokens": 4012}
    usage = {"input_tokens": 4020, "output_tokens": 5, "total_tokens": 4025,
             "input_tokens_details": details,
             "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
    reply = {"id": "resp_1", "object": "response", "status": "completed", "output": [],
             "model": "gpt-5.6-sol", "usage": usage}  # fmt: skip
    row = rated(RESPONSES, {"model": "gpt-5.6-sol", "input": "x"}, reply)
    assert lines(row)["input_cache_write"] == nanos((4012, "6.25"))
    older = {**usage, "input_tokens_details": {"cached_tokens": 0}}
    row = rated(RESPONSES, {"model": "gpt-5", "input": "x"},
                {**reply, "model": "gpt-5-2025-08-07", "usage": older})  # fmt: skip
    assert row["usage"] == {"input": 4020, "output": 5}
    assert row["cost_nanos"] == nanos((4020, "1.25"), (5, "10"))


def test_p13_storing_a_cache_by_the_hour_is_never_taken_for_free() -> None:
    """What it costs to keep a cache of Gemini's is unknown, and the event says so."""
    url = "https://generativelanguage.googleapis.com/v1beta/cachedContents"
    made = {"name": "cachedContents/1", "usageMetadata": {"totalTokenCount": 50_000}}
    row = rated(url, {"model": "models/gemini-2.5-flash", "contents": []}, made)
    assert (row["billed"], row["price_basis"]) == ("possible", "unpriced")
    assert "unknown_endpoint" in row["findings"]
