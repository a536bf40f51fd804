"""Streams that limits cut: the official SDKs parse what they get to a clean end that says the
length was reached, the provider's connection is closed, and the event says that it was cut off."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx2
import openai
import pytest
import requests
import urllib3

from tests.guest.bodies import JSON, SSE
from tests.guest.limits_gate import (
    MESSAGES,
    PIECES,
    WORD,
    Gate,
    Providers,
    limited,
    long_chat,
    long_gemini,
)
from tests.guest.replies import Paused, Start

Events = list[dict[str, Any]]
CHAT = {"model": "gpt-4o-mini", "messages": MESSAGES}
CLAUDE = {"model": "claude-opus-4-8", "max_tokens": 5000, "messages": MESSAGES}
ROOM = 40
"""Tokens that the limits let a stream grow to; `WORD` has 4."""


@pytest.fixture
def provider(loopback: Start) -> Providers:
    return Providers(loopback)


@pytest.fixture
def limits(provider: Providers) -> Iterator[tuple[Gate, Events]]:
    with limited(hosts=provider.hosts) as made:
        made[0].room = ROOM
        yield made


def check_cut(limits: tuple[Gate, Events], text: str, times: int = 1) -> None:
    """It was cut soon behind what it may grow to, settled as an estimate, and the event says so."""
    gate, events = limits
    assert set(text.replace(WORD, "|")) == {"|"}, "whole pieces only"
    assert ROOM <= len(text) // 4 < PIECES * 4, "at most what came with one read beyond the room"
    assert [
        (e["status"], e["finish_reason"], e["cut_off"], e["limit_action"], e["usage_source"])
        for e in events
    ] == [("incomplete", "limit", True, "partial", "estimated")] * times
    assert [e["hold_id"] for e in events] == ["lease-1"] * times
    for event, ended in zip(events, gate.ended(), strict=True):
        assert ended is not None
        assert ended["output_tokens"] == event["output"] > ROOM
    assert all(ticket.grown == sorted(set(ticket.grown)) for ticket in gate.tickets)


def test_openai_chat(provider: Providers, limits: tuple[Gate, Events]) -> None:
    with provider.openai() as client:
        chunks = list(client.chat.completions.create(**CHAT, stream=True))
    assert chunks[-1].choices[0].finish_reason == "length"
    assert {c.id for c in chunks} == {"chatcmpl-9"}
    assert {c.model for c in chunks} == {"gpt-4o-mini-2024-07-18"}
    assert all(c.usage is None for c in chunks)
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    check_cut(limits, text)


def test_openai_chat_whose_usage_was_asked_for(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    with (
        provider.openai() as client,
        client.chat.completions.stream(
            model="gpt-4o-mini", messages=MESSAGES, stream_options={"include_usage": True}
        ) as stream,
        # What a length that was reached is to this helper, whoever ends it.
        pytest.raises(openai.LengthFinishReasonError) as raised,
    ):
        stream.get_final_completion()
    snapshot = raised.value.completion
    assert snapshot.choices[0].finish_reason == "length"
    assert snapshot.usage is not None
    assert snapshot.usage.completion_tokens > ROOM
    check_cut(limits, snapshot.choices[0].message.content or "")


def test_openai_chat_async_over_httpx2_and_aiohttp(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    async def call(**more: Any) -> str:
        async with provider.openai_async(**more) as client:
            stream = await client.chat.completions.create(**CHAT, stream=True)
            chunks = [chunk async for chunk in stream]
        assert chunks[-1].choices[0].finish_reason == "length"
        return "".join(c.choices[0].delta.content or "" for c in chunks)

    text = asyncio.run(call())
    asyncio.run(call(http_client=openai.DefaultAioHttpClient()))
    check_cut(limits, text, 2)


def test_openai_responses(provider: Providers, limits: tuple[Gate, Events]) -> None:
    with provider.openai() as client:
        told = list(client.responses.create(model="gpt-4o-mini", input="hello", stream=True))
        with client.responses.stream(model="gpt-4o-mini", input="hello") as stream:
            helped = list(stream)
    last = told[-1]
    assert last.type == "response.incomplete"
    assert last.response.status == "incomplete"
    assert last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "max_output_tokens"
    assert [e.sequence_number for e in told] == list(range(len(told)))
    kinds = [e.type for e in told if e.type.endswith(".done")]
    assert kinds == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
    ]
    text = "".join(e.delta for e in told if e.type == "response.output_text.delta")
    assert last.response.output_text == text
    assert last.response.usage is not None
    assert last.response.usage.output_tokens > ROOM
    assert helped[-1].type == "response.incomplete"
    check_cut(limits, text, 2)


def test_anthropic(provider: Providers, limits: tuple[Gate, Events]) -> None:
    async def call() -> Any:
        async with (
            provider.anthropic_async() as client,
            client.messages.stream(**CLAUDE) as stream,
        ):
            return await stream.get_final_message()

    with (
        provider.anthropic() as client,
        client.messages.stream(**CLAUDE) as stream,
    ):
        message = stream.get_final_message()
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens > ROOM
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (3, 1111)
    block: Any = message.content[0]
    later: Any = asyncio.run(call()).content[0]
    assert set(later.text.replace(WORD, "|")) == {"|"}
    check_cut(limits, block.text, 2)


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
@pytest.mark.parametrize("over", ["httpx2", "aiohttp"])
def test_google(
    provider: Providers,
    limits: tuple[Gate, Events],
    over: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("google.genai._api_client.has_aiohttp", over == "aiohttp")
    client = provider.google()
    ask: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "hello"}

    async def call() -> list[Any]:
        stream = await client.aio.models.generate_content_stream(**ask)
        chunks = [chunk async for chunk in stream]
        await client.aio.aclose()
        return chunks

    chunks = list(client.models.generate_content_stream(**ask))
    later = asyncio.run(call())
    client.close()
    for told in (chunks, later):
        last: Any = told[-1]
        assert last.candidates[0].finish_reason.name == "MAX_TOKENS"
        assert (last.model_version, last.response_id) == ("gemini-2.5-flash", "r9")
        assert last.usage_metadata.candidates_token_count > ROOM
    check_cut(limits, "".join(c.text or "" for c in chunks), 2)


def test_bedrock(provider: Providers, limits: tuple[Gate, Events]) -> None:
    client = provider.bedrock(retries={"total_max_attempts": 1})
    ask = [{"role": "user", "content": [{"text": "hello"}]}]
    reply = client.converse_stream(modelId="amazon.nova-lite-v1:0", messages=ask)
    told = list(reply["stream"])
    client.close()
    assert [next(iter(e)) for e in told[-3:]] == ["contentBlockStop", "messageStop", "metadata"]
    assert told[-2]["messageStop"]["stopReason"] == "max_tokens"
    assert told[-1]["metadata"]["usage"]["outputTokens"] > ROOM
    deltas = [e["contentBlockDelta"]["delta"]["text"] for e in told if "contentBlockDelta" in e]
    check_cut(limits, "".join(deltas))


def test_requests_urllib3_and_aiohttp(
    provider: Providers,
    limits: tuple[Gate, Events],
    session: requests.Session,
    pool: urllib3.PoolManager,
) -> None:
    url = f"{provider.server.url}/openai/v1/chat/completions"
    ask = {**CHAT, "stream": True}
    bodies = []
    with session.post(url, json=ask, stream=True) as reply:
        bodies.append(b"".join(reply.iter_content(7)))
    with session.post(url, json=ask, stream=True) as reply:
        bodies.append(b"\n".join(reply.iter_lines()) + b"\n\n")
    streamed = pool.request("POST", url, json=ask, preload_content=False)
    bodies.append(b"".join(streamed.stream(100)))
    read = pool.request("POST", url, json=ask, preload_content=False)
    bodies.append(b"".join(iter(lambda: read.read(300), b"")))
    assert read.read() == b""
    read.release_conn()

    async def call() -> bytes:
        async with aiohttp.ClientSession() as client, client.post(url, json=ask) as reply:
            lines = [line async for line in reply.content]
            assert reply.content.at_eof()
        return b"".join(lines)

    bodies.append(asyncio.run(call()))
    for body in bodies:
        events = body.strip().split(b"\n\n")
        assert events[-1] == b"data: [DONE]"
        chunks = [json.loads(event.removeprefix(b"data: ")) for event in events[:-1]]
        assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    check_cut(limits, text, len(bodies))


def test_a_json_array_of_gemini_ends_as_one(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    provider.first = [(200, {**JSON, "content-type": "application/json"}, long_gemini(sse=False))]
    path = "/google/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    with (
        httpx2.Client(base_url=provider.server.url) as client,
        client.stream("POST", path, json={"contents": []}) as reply,
    ):
        told = json.loads(reply.read())
    assert told[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    check_cut(limits, "".join(c["candidates"][0]["content"]["parts"][0]["text"] for c in told))


def test_a_stream_that_stays_below_is_the_same_bytes(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    gate.room = 10**6
    with httpx2.Client(base_url=provider.server.url) as client:
        ask = {**CHAT, "stream": True, "stream_options": {"include_usage": False}}
        with client.stream("POST", "/openai/v1/chat/completions", json=ask) as reply:
            assert reply.read() == b"".join(long_chat())
        with client.stream("POST", "/anthropic/v1/messages", json={**CLAUDE, "stream": True}) as r:
            assert r.read().count(b"event: ") == PIECES + 5
    assert [(e["status"], "cut_off" in e) for e in events] == [("ok", False)] * 2
    assert [max(t.grown) for t in gate.tickets] == [4 * PIECES] * 2


def test_a_stream_that_grows_too_large_with_its_last_piece_is_not_cut(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    gate.room = 0
    whole = b"".join(long_chat())
    provider.first = [(200, SSE, [whole])]
    with (
        httpx2.Client(base_url=provider.server.url) as client,
        client.stream(
            "POST", "/openai/v1/chat/completions", json={**CHAT, "stream": True}
        ) as reply,
    ):
        told = reply.read()
    assert told == whole
    assert events[0]["status"] == "ok"
    assert gate.tickets[0].grown


def test_a_packed_stream_is_asked_for_unpacked_and_ends_where_it_is_packed_all_the_same(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    packed = gzip.compress(b"".join(long_chat()), 0)
    pieces = [packed[at : at + 200] for at in range(0, len(packed), 200)]
    provider.first = [(200, {**SSE, "content-encoding": "gzip"}, pieces)]
    with (
        httpx2.Client(base_url=provider.server.url) as client,
        client.stream(
            "POST", "/openai/v1/chat/completions", json={**CHAT, "stream": True}
        ) as reply,
    ):
        told = reply.read()
    assert provider.server.requests[0][2]["accept-encoding"] == "identity"
    assert len(told) < len(packed)
    assert limits[1][0]["cut_off"] is True


def test_a_whole_reply_is_never_cut(provider: Providers, limits: tuple[Gate, Events]) -> None:
    gate, events = limits
    gate.room = 0
    with provider.openai() as client:
        client.chat.completions.create(**CHAT)
    assert events[0]["status"] == "ok"
    assert gate.tickets[0].grown == []


def test_the_provider_is_hung_up_on(provider: Providers, limits: tuple[Gate, Events]) -> None:
    """What it would still send is not waited for: its pieces after the cut never end."""
    first = b"".join(long_chat()[:60])
    paused = Paused([first, *long_chat()[60:]])
    provider.first = [(200, SSE, paused)]
    with provider.openai(timeout=5) as client:
        chunks = list(client.chat.completions.create(**CHAT, stream=True))
    paused.go_on.set()
    assert chunks[-1].choices[0].finish_reason == "length"
    assert limits[1][0]["cut_off"] is True
