"""The official SDKs, unchanged, against a local server: every way to call them is metered once."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types as genai_types

import outlay
from outlay.capture.testing import capture_events
from tests.guest.bodies import (
    ANTHROPIC,
    ANTHROPIC_STREAM,
    CHAT_BODY,
    GEMINI,
    GEMINI_STREAM,
    JSON,
    SECRET,
    SSE,
    openai_stream,
)
from tests.guest.conftest import Answer, Loopback

MESSAGES: Any = [{"role": "user", "content": SECRET}]
BUSY = (429, {**JSON, "retry-after-ms": "1"}, b'{"error":{"message":"busy","type":"rate_limit"}}')


class Provider:
    """Speaks as OpenAI, Anthropic and Gemini do; answers `first` before it serves."""

    def __init__(self, start: Callable[[Callable[..., Answer]], Loopback]) -> None:
        self.first: list[Answer] = []
        self.packed = False
        self.server = start(self._reply)
        port = self.server.port
        self.hosts = {
            f"127.0.0.1:{port}/openai": "openai",
            f"127.0.0.1:{port}/anthropic": "anthropic",
            f"127.0.0.1:{port}/google": "google",
        }

    def _reply(self, _method: str, path: str, _headers: Any, body: bytes) -> Answer:
        if self.first:
            return self.first.pop(0)
        asked = json.loads(body)
        if "/openai" in path:
            if asked.get("stream"):
                return 200, SSE, openai_stream(body)
            return self._whole(CHAT_BODY)
        if "/anthropic" in path:
            if asked.get("stream"):
                return 200, SSE, ANTHROPIC_STREAM
            return self._whole(json.dumps(ANTHROPIC).encode())
        if "stream" in path:
            return 200, SSE, GEMINI_STREAM
        return self._whole(json.dumps(GEMINI).encode())

    def _whole(self, body: bytes) -> Answer:
        if self.packed:
            return 200, {**JSON, "content-encoding": "gzip"}, gzip.compress(body)
        return 200, JSON, body

    def openai(self, **more: Any) -> openai.OpenAI:
        return openai.OpenAI(api_key="sk-test", base_url=f"{self.server.url}/openai/v1", **more)

    def openai_async(self) -> Any:
        return openai.AsyncOpenAI(api_key="sk-test", base_url=f"{self.server.url}/openai/v1")

    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key="sk-test", base_url=f"{self.server.url}/anthropic")

    def google(self) -> genai.Client:
        options = genai_types.HttpOptions(base_url=f"{self.server.url}/google")
        return genai.Client(api_key="test", http_options=options)


@pytest.fixture
def provider(
    loopback: Callable[[Callable[..., Answer]], Loopback], monkeypatch: pytest.MonkeyPatch
) -> Provider:
    # Its async calls over aiohttp are in test_aiohttp_tap; here they go over httpx2.
    monkeypatch.setattr("google.genai._api_client.has_aiohttp", False)
    return Provider(loopback)


@pytest.fixture
def events(provider: Provider) -> Iterator[list[dict[str, Any]]]:
    with capture_events(hosts=provider.hosts) as captured:
        yield captured


def test_openai_whole(provider: Provider, events: list[dict[str, Any]]) -> None:
    with provider.openai() as client:
        reply = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert reply.choices[0].message.content == SECRET
    assert [(e["input"], e["output"]) for e in events] == [(12, 7)]


def test_openai_gzip(provider: Provider, events: list[dict[str, Any]]) -> None:
    provider.packed = True
    with provider.openai() as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        with client.chat.completions.with_streaming_response.create(
            model="gpt-4o-mini", messages=MESSAGES
        ) as raw:
            assert raw.parse().choices[0].message.content == SECRET
    assert [(e["input"], e["output"]) for e in events] == [(12, 7)] * 2


def test_openai_stream_hides_the_usage_chunk(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    with (
        provider.openai() as client,
        client.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, stream=True
        ) as stream,
    ):
        chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Hello " + SECRET
    assert all(c.usage is None for c in chunks)
    assert len(chunks) == 3
    assert [(e["streamed"], e["output"], e["status"]) for e in events] == [(True, 7, "ok")]


def test_openai_async_stream(provider: Provider, events: list[dict[str, Any]]) -> None:
    async def call() -> int:
        async with provider.openai_async() as client:
            stream = await client.chat.completions.create(
                model="gpt-4o-mini", messages=MESSAGES, stream=True
            )
            return len([chunk async for chunk in stream])

    assert asyncio.run(call()) == 3
    assert [(e["output"], e["status"]) for e in events] == [(7, "ok")]


def test_openai_raw_responses(provider: Provider, events: list[dict[str, Any]]) -> None:
    with provider.openai() as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o-mini", messages=MESSAGES
        )
        assert raw.parse().choices[0].message.content == SECRET
        assert raw.headers["x-request-id"] == "req_1"
        assert raw.elapsed.total_seconds() > 0
        with client.chat.completions.with_streaming_response.create(
            model="gpt-4o-mini", messages=MESSAGES, stream=True
        ) as streamed:
            lines = list(streamed.iter_lines())
    assert lines[-2:] == ["data: [DONE]", ""]
    assert [(e["input"], e["output"]) for e in events] == [(12, 7)] * 2


def test_openai_over_a_legacy_httpx_client(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    with httpx.Client() as legacy, provider.openai(http_client=legacy) as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert len(events) == 1


def test_openai_retries_are_attempts_of_one_call(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    provider.first = [BUSY, BUSY]
    with outlay.context(tenant="acme"), provider.openai() as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        totals = outlay.current().request
    assert [e.get("attempt", 0) for e in events] == [0, 1, 2]
    assert [e["status"] for e in events] == ["error", "error", "ok"]
    assert len({e["call_id"] for e in events}) == 1
    assert len({e["event_id"] for e in events}) == 3
    assert (totals.calls, totals.errors, totals.tokens) == (1, 2, 19)


def test_openai_retries_without_any_context_are_attempts_too(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    provider.first = [BUSY]

    async def call() -> None:
        async with provider.openai_async() as client:
            await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    asyncio.run(call())
    assert [e.get("attempt", 0) for e in events] == [0, 1]
    assert len({e["call_id"] for e in events}) == 1


def test_parallel_calls_with_retries_are_not_mixed_up(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    provider.first = [BUSY] * 4

    async def call() -> None:
        async with provider.openai_async() as client, outlay.context(tenant="acme"):
            await asyncio.gather(
                *(
                    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
                    for _ in range(4)
                )
            )

    asyncio.run(call())
    calls: dict[str, list[int]] = {}
    for event in events:
        calls.setdefault(event["call_id"], []).append(event.get("attempt", 0))
    assert len(events) == 8
    assert len(calls) == 4
    assert all(numbers == list(range(len(numbers))) for numbers in calls.values())


def test_a_call_to_another_model_after_a_failure_is_a_fallback(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    provider.first = [BUSY]
    with (
        outlay.context(tenant="acme"),
        outlay.agent("writer"),
        provider.openai(max_retries=0) as client,
        provider.anthropic() as other,
    ):
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        other.messages.create(model="claude-opus-4-8", max_tokens=50, messages=MESSAGES)
        other.messages.create(model="claude-opus-4-8", max_tokens=50, messages=MESSAGES)
    assert [e.get("fallback_from") for e in events] == [None, "gpt-4o-mini", None]
    assert len({e["call_id"] for e in events}) == 3


def test_anthropic_whole_and_streamed(provider: Provider, events: list[dict[str, Any]]) -> None:
    with provider.anthropic() as client:
        client.messages.create(model="claude-opus-4-8", max_tokens=50, messages=MESSAGES)
        with client.messages.stream(
            model="claude-opus-4-8", max_tokens=50, messages=MESSAGES
        ) as stream:
            assert stream.get_final_text() == SECRET
    read = [(e["input"], e["input_cache_read"], e["output"], e["status"]) for e in events]
    assert read == [(3, 1111, 33, "ok")] * 2


def test_google_whole_streamed_and_async(provider: Provider, events: list[dict[str, Any]]) -> None:
    async def call(client: genai.Client) -> None:
        await client.aio.models.generate_content(model="gemini-2.5-flash", contents=SECRET)
        stream = await client.aio.models.generate_content_stream(
            model="gemini-2.5-flash", contents=SECRET
        )
        assert [chunk.text async for chunk in stream] == [SECRET]
        await client.aio.aclose()

    client = provider.google()
    client.models.generate_content(model="gemini-2.5-flash", contents=SECRET)
    chunks = list(client.models.generate_content_stream(model="gemini-2.5-flash", contents=SECRET))
    assert [c.text for c in chunks] == [SECRET]
    asyncio.run(call(client))
    client.close()
    read = [(e["input"], e["output"], e["output_reasoning"], e["status"]) for e in events]
    assert read == [(18, 31, 35, "ok")] * 4


def test_an_abandoned_sdk_stream_is_one_aborted_event(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    with (
        provider.anthropic() as client,
        client.messages.stream(model="claude-opus-4-8", max_tokens=50, messages=MESSAGES) as stream,
    ):
        next(iter(stream))
    assert [e["status"] for e in events] == ["aborted"]


def test_no_event_of_an_sdk_holds_content(provider: Provider, events: list[dict[str, Any]]) -> None:
    with provider.openai() as client, provider.anthropic() as other:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        other.messages.create(model="claude-opus-4-8", max_tokens=50, messages=MESSAGES)
    assert SECRET not in json.dumps(events)
    assert "sk-test" not in json.dumps(events)
