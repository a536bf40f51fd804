"""The simulator's OpenAI wire, read by the official SDK."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from tests.unit.demo.conftest import Site

# 4,400 characters are 1,100 tokens: enough to be cached, in steps of 128 (1,024).
SYSTEM = "s" * 4_400
MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "hé llo"}]
PROMPT_TOKENS = 1_102


def faulty(fault: str, call: str) -> dict[str, str]:
    return {"x-demo-fault": fault, "x-demo-call": f"openai {call}"}


def raw_events(site: Site, path: str, body: dict[str, object]) -> list[str]:
    reply = httpx2.post(
        f"{site.url}/openai/v1/{path}", json=body, headers={"x-demo-tenant": site.tenant}
    )
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    return [event for event in reply.text.split("\n\n") if event]


def test_the_first_use_of_a_prefix_is_written_and_the_next_is_read(site: Site) -> None:
    first = site.openai.chat.completions.create(model="gpt-5.6-sol", messages=MESSAGES)
    cost_first = site.bill()["nanos"]
    second = site.openai.chat.completions.create(model="gpt-5.6-sol", messages=MESSAGES)
    for reply in (first, second):
        assert reply.usage.prompt_tokens == PROMPT_TOKENS
        assert reply.usage.total_tokens == PROMPT_TOKENS + reply.usage.completion_tokens
    assert first.usage.prompt_tokens_details.cache_write_tokens == 1024
    assert first.usage.prompt_tokens_details.cached_tokens == 0
    output = first.usage.completion_tokens
    assert cost_first == 78 * 4_000 + 1024 * 5_000 + output * 20_000
    assert second.usage.prompt_tokens_details.cached_tokens == 1024
    assert second.choices[0].message.content == first.choices[0].message.content
    assert site.bill()["nanos"] - cost_first == 78 * 4_000 + 1024 * 400 + output * 20_000


def test_an_older_model_reads_its_cache_but_reports_no_write(site: Site) -> None:
    details = []
    for _ in range(2):
        reply = site.openai.chat.completions.create(model="gpt-5-mini", messages=MESSAGES)
        assert reply.model == "gpt-5-mini-2025-08-07"
        details.append(reply.usage.prompt_tokens_details)
    assert [d.cached_tokens for d in details] == [0, 1024]
    assert details[0].cache_write_tokens is None


def test_output_tokens_are_the_characters_by_four_plus_reasoning(site: Site) -> None:
    reply = site.openai.chat.completions.create(
        model="gpt-5-mini",
        messages=[{"role": "user", "content": "think"}],
        reasoning_effort="low",
    )
    reasoning = reply.usage.completion_tokens_details.reasoning_tokens
    assert reasoning
    text = reply.choices[0].message.content or ""
    assert reply.usage.completion_tokens == -(-len(text) // 4) + reasoning


def test_a_stream_tells_its_usage_only_if_asked(site: Site) -> None:
    body = {"model": "gpt-5-mini", "messages": MESSAGES[1:], "stream": True}
    plain = raw_events(site, "chat/completions", body)
    asked = raw_events(
        site, "chat/completions", {**body, "stream_options": {"include_usage": True}}
    )
    assert plain[-1] == asked[-1] == "data: [DONE]"
    without = [json.loads(event.removeprefix("data: ")) for event in plain[:-1]]
    chunks = [json.loads(event.removeprefix("data: ")) for event in asked[:-1]]
    assert not any("usage" in chunk for chunk in without)
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["prompt_tokens"] == 2
    assert all(chunk["obfuscation"] for chunk in chunks)
    assert len({len(chunk["obfuscation"]) for chunk in chunks}) > 1
    assert [c["choices"][0]["finish_reason"] for c in chunks[:-1]][-1] in ("stop", "length")
    texts = [c["choices"][0]["delta"].get("content", "") for c in chunks[:-1]]
    assert -(-len("".join(texts)) // 4) == chunks[-1]["usage"]["completion_tokens"]
    # Both are billed alike: the provider knows the usage, whoever asked.
    assert site.bill()["nanos"] % 2 == 0


def test_a_cut_chat_stream_costs_its_whole_input_and_what_was_sent(site: Site) -> None:
    stream = site.openai.chat.completions.create(
        model="gpt-5.6-sol",
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers=faulty("cut;after=2", "chat cut"),
    )
    chunks: list[Any] = []
    with pytest.raises((openai.APIError, httpx2.HTTPError)):
        chunks.extend(stream)
    sent = sum(len(chunk.choices[0].delta.content or "") for chunk in chunks)
    assert sent > 0
    account = site.bill()
    assert account["cut"] == 1
    assert account["nanos"] == PROMPT_TOKENS * 4_000 + -(-sent // 4) * 20_000


def test_a_stalled_stream_waits_until_its_reader_walks_away(site: Site) -> None:
    stream = site.openai.responses.create(
        model="gpt-5.6-luna",
        instructions=SYSTEM,
        input="hello!",
        stream=True,
        extra_headers=faulty("stall;after=3", "stall"),
    )
    texts = []
    with stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                texts.append(event.delta)
                if len(texts) == 3:
                    break
    account = site.bill()
    assert account["cut"] == 1
    sent = len("".join(texts))
    assert account["nanos"] == PROMPT_TOKENS * 200 + -(-sent // 4) * 1_200


def test_a_response_says_its_usage_whole_and_streamed(site: Site) -> None:
    whole = site.openai.responses.create(
        model="gpt-5.6-luna", instructions=SYSTEM, input="hello!", reasoning={"effort": "low"}
    )
    assert whole.status == "completed"
    assert whole.usage.input_tokens == PROMPT_TOKENS
    assert whole.usage.input_tokens_details.cache_write_tokens == 1024
    assert whole.usage.output_tokens_details.reasoning_tokens > 0
    events = list(
        site.openai.responses.create(
            model="gpt-5.6-luna", instructions=SYSTEM, input="hello!", stream=True
        )
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.usage.input_tokens_details.cached_tokens == 1024
    assert last.response.output_text == "".join(
        event.delta for event in events if event.type == "response.output_text.delta"
    )


def test_a_response_that_meets_its_limit_is_incomplete_and_billed(site: Site) -> None:
    whole = site.openai.responses.create(model="gpt-5.6-luna", input="hello!", max_output_tokens=5)
    assert whole.status == "incomplete"
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert site.bill()["nanos"] == 2 * 200 + 5 * 1_200


def test_embeddings_come_as_base64_by_default_and_as_numbers_if_asked(site: Site) -> None:
    packed = site.openai.embeddings.create(model="text-embedding-3-small", input=["abcd", "é"])
    plain = site.openai.embeddings.create(
        model="text-embedding-3-small", input=["abcd", "é"], encoding_format="float"
    )
    assert packed.usage.prompt_tokens == 2
    assert packed.data[1].embedding == pytest.approx(plain.data[1].embedding, abs=1e-6)
    assert packed.data[0].embedding != packed.data[1].embedding
    assert site.bill()["nanos"] == 2 * 2 * 20


@pytest.mark.parametrize("kind", ["rate_limit", "server_error"])
def test_the_sdk_tries_a_refused_call_again_and_only_success_costs(site: Site, kind: str) -> None:
    reply = site.openai.chat.completions.create(
        model="gpt-5-mini",
        messages=[{"role": "user", "content": "abcd"}],
        extra_headers=faulty(f"{kind};times=2", kind),
    )
    account = site.bill()
    assert (account["attempts"], account["failed"]) == (3, 2)
    assert account["nanos"] == 250 + reply.usage.completion_tokens * 2_000


def test_errors_have_openais_shape(site: Site) -> None:
    with pytest.raises(openai.RateLimitError) as refused:
        site.openai.with_options(max_retries=0).chat.completions.create(
            model="gpt-5-mini",
            messages=[{"role": "user", "content": "abcd"}],
            extra_headers=faulty("rate_limit", "shape"),
        )
    assert refused.value.code == "rate_limit_exceeded"
    assert refused.value.type == "tokens"
    assert refused.value.response.headers["retry-after-ms"] == "20"
    assert refused.value.request_id
    with pytest.raises(openai.NotFoundError) as unknown:
        site.openai.embeddings.create(model="text-embedding-9", input="x")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError):
        site.openai.embeddings.create(model="text-embedding-3-small", input=[])
    assert site.bill()["nanos"] == 0
