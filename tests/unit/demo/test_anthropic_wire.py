"""The simulator's Anthropic wire, read by the official SDK."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import pytest

from tests.unit.demo.conftest import Site

MODEL = "claude-sonnet-5-5"
LONG = {"type": "text", "text": "l" * 8_000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
SHORT = {"type": "text", "text": "s" * 4_000, "cache_control": {"type": "ephemeral"}}
ASK: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 1200,
    "messages": [{"role": "user", "content": "hi!!"}],
}


def test_marked_blocks_are_written_by_time_to_live_and_then_read(site: Site) -> None:
    first = site.anthropic.messages.create(**ASK, system=[LONG, SHORT])
    creation = first.usage.cache_creation
    assert creation.ephemeral_1h_input_tokens == 2_000
    assert creation.ephemeral_5m_input_tokens == 1_000
    assert first.usage.cache_creation_input_tokens == 3_000
    assert first.usage.cache_read_input_tokens == 0
    assert first.usage.input_tokens == 1
    output = first.usage.output_tokens
    cost = 1 * 2_000 + 2_000 * 4_000 + 1_000 * 2_500 + output * 10_000
    assert site.bill()["nanos"] == cost
    second = site.anthropic.messages.create(**ASK, system=[LONG, SHORT])
    assert second.usage.cache_read_input_tokens == 3_000
    assert site.bill()["nanos"] - cost == 2_000 + 3_000 * 100 + output * 10_000


def test_a_longer_prompt_reads_the_prefix_it_shares(site: Site) -> None:
    site.anthropic.messages.create(**ASK, system=[LONG])
    usage = site.anthropic.messages.create(**ASK, system=[LONG, SHORT]).usage
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (2_000, 1_000)


def test_a_prefix_below_the_least_size_is_not_cached(site: Site) -> None:
    small = {**SHORT, "text": "s" * 4_092}
    usage = site.anthropic.messages.create(**ASK, system=[small]).usage
    assert usage.cache_creation_input_tokens == 0
    assert usage.input_tokens == 1_024


def test_a_stream_tells_its_input_first_and_its_output_last(site: Site) -> None:
    events = list(
        site.anthropic.messages.create(
            **ASK, system=[LONG], stream=True, thinking={"type": "adaptive"}
        )
    )
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    start, end = events[0], events[-2]
    assert start.type == "message_start"
    assert start.message.usage.output_tokens == 1
    assert start.message.usage.cache_creation.ephemeral_1h_input_tokens == 2_000
    assert end.type == "message_delta"
    assert end.usage.cache_creation_input_tokens == 2_000
    said = {"text_delta": 0, "thinking_delta": 0}
    for event in events:
        if event.type == "content_block_delta":
            if event.delta.type == "text_delta":
                said["text_delta"] += len(event.delta.text)
            elif event.delta.type == "thinking_delta":
                said["thinking_delta"] += len(event.delta.thinking)
    assert end.usage.output_tokens == -(-sum(said.values()) // 4)
    assert end.usage.output_tokens_details.thinking_tokens == -(-said["thinking_delta"] // 4) > 0
    assert site.bill()["nanos"] == 2_000 + 2_000 * 4_000 + end.usage.output_tokens * 10_000


def test_pings_come_between_the_deltas(site: Site) -> None:
    reply = httpx2.post(f"{site.url}/anthropic/v1/messages", json={**ASK, "stream": True})
    lines = [line for line in reply.text.split("\n") if line.startswith("event: ")]
    assert lines[:2] == ["event: message_start", "event: content_block_start"]
    assert "event: ping" in lines


def test_a_cut_stream_costs_its_input_as_announced_and_what_was_sent(site: Site) -> None:
    site.anthropic.messages.create(**ASK, system=[LONG])
    before = site.bill()["nanos"]
    stream = site.anthropic.messages.create(
        **ASK,
        system=[LONG],
        stream=True,
        thinking={"type": "adaptive"},
        extra_headers={"x-demo-fault": "cut;after=3"},
    )
    events: list[Any] = []
    with pytest.raises((anthropic.APIError, httpx2.HTTPError)):
        events.extend(stream)
    deltas = [e.delta.model_dump() for e in events if e.type == "content_block_delta"]
    sent = sum(len(delta.get("text") or delta.get("thinking") or "") for delta in deltas)
    assert sent > 0
    assert site.bill()["nanos"] - before == 2_000 + 2_000 * 100 + -(-sent // 4) * 10_000


def test_an_overload_that_lasts_fails_the_call_after_three_attempts(site: Site) -> None:
    with pytest.raises(anthropic.APIStatusError) as refused:
        site.anthropic.messages.create(
            **ASK,
            extra_headers={"x-demo-fault": "overloaded;times=3", "x-demo-call": "overloaded"},
        )
    assert refused.value.status_code == 529
    body: Any = refused.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == "overloaded_error"
    account = site.bill()
    assert (account["attempts"], account["failed"], account["nanos"]) == (3, 3, 0)


def test_an_unknown_model_is_refused_as_anthropic_does(site: Site) -> None:
    with pytest.raises(anthropic.NotFoundError) as refused:
        site.anthropic.messages.create(**{**ASK, "model": "claude-nope-1"})
    body: Any = refused.value.body
    assert body["error"] == {"type": "not_found_error", "message": "model: claude-nope-1"}
