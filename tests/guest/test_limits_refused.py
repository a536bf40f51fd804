"""A refused call, through the official SDKs: no request leaves, nothing is retried, the caller gets
the SDK's own typed error with status 402, and one event says that it was blocked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import anthropic
import httpx
import httpx2
import openai
import pytest
import requests
import urllib3
from botocore.exceptions import ClientError
from google.genai import errors as genai_errors
from google.genai import types as genai_types

import outlay
from tests.guest.limits_gate import MESSAGES, REFUSAL, Gate, Providers, limited
from tests.guest.replies import Start

Events = list[dict[str, Any]]
CHAT = {"model": "gpt-4o-mini", "messages": MESSAGES}
CLAUDE = {"model": "claude-opus-4-8", "max_tokens": 50, "messages": MESSAGES}
ASK = [{"role": "user", "content": [{"text": "hello"}]}]


@pytest.fixture
def provider(loopback: Start) -> Providers:
    return Providers(loopback)


@pytest.fixture
def limits(provider: Providers) -> Iterator[tuple[Gate, Events]]:
    with limited(hosts=provider.hosts) as made:
        made[0].refuse(10)
        yield made


def check_blocked(provider: Providers, limits: tuple[Gate, Events], calls: int = 1) -> None:
    """One try of each call was asked about, and no request was made."""
    gate, events = limits
    assert provider.server.requests == []
    assert len(gate.asked) == calls
    assert [
        (e["status"], e["billed"], e["limit_action"], e["http_status"], e["error_type"])
        for e in events
    ] == [("blocked", "no", "block", 402, "limit_exceeded")] * calls
    assert all("input" not in e and "output" not in e for e in events)


def test_openai(provider: Providers, limits: tuple[Gate, Events]) -> None:
    with provider.openai() as client, pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(**CHAT)
    error = raised.value
    assert error.status_code == 402
    assert error.code == "limit_exceeded"
    assert error.type == "insufficient_quota"
    body: Any = error.body
    assert body["outlay"]["limit_id"] == "acme-month"
    assert body["outlay"]["left"] == 0
    assert body["outlay"]["resets_at"] == REFUSAL.resets_at
    assert REFUSAL.message in str(error)
    assert error.response.headers["outlay-limit"] == "acme-month"
    check_blocked(provider, limits)


def test_openai_streams_async_and_raw(provider: Providers, limits: tuple[Gate, Events]) -> None:
    async def call() -> None:
        async with provider.openai_async() as client:
            with pytest.raises(openai.APIStatusError):
                await client.chat.completions.create(**CHAT, stream=True)
            with pytest.raises(openai.APIStatusError):
                await client.responses.create(model="gpt-4o-mini", input="hello")
            with pytest.raises(openai.APIStatusError):
                async with client.responses.with_streaming_response.create(
                    model="gpt-4o-mini", input="hello"
                ):
                    pass

    with provider.openai() as client:
        with pytest.raises(openai.APIStatusError) as raised:
            client.chat.completions.create(**CHAT, stream=True)
        assert raised.value.status_code == 402
        with pytest.raises(openai.APIStatusError):
            client.embeddings.with_raw_response.create(model="text-embedding-3-small", input="x")
    asyncio.run(call())
    check_blocked(provider, limits, 5)


def test_openai_over_httpx_and_aiohttp(provider: Providers, limits: tuple[Gate, Events]) -> None:
    async def call() -> None:
        async with provider.openai_async(http_client=openai.DefaultAioHttpClient()) as client:
            with pytest.raises(openai.APIStatusError) as raised:
                await client.chat.completions.create(**CHAT)
            assert raised.value.status_code == 402

    with (
        httpx.Client() as legacy,
        provider.openai(http_client=legacy) as client,
        pytest.raises(openai.APIStatusError),
    ):
        client.chat.completions.create(**CHAT)
    asyncio.run(call())
    check_blocked(provider, limits, 2)


def test_anthropic(provider: Providers, limits: tuple[Gate, Events]) -> None:
    async def call() -> None:
        async with provider.anthropic_async() as client:
            with pytest.raises(anthropic.APIStatusError):
                await client.messages.create(**CLAUDE, stream=True)

    with provider.anthropic() as client:
        with pytest.raises(anthropic.APIStatusError) as raised:
            client.messages.create(**CLAUDE)
        with (
            pytest.raises(anthropic.APIStatusError),
            client.messages.stream(**CLAUDE) as stream,
        ):
            stream.get_final_text()
    asyncio.run(call())
    error = raised.value
    assert error.status_code == 402
    body: Any = error.body
    assert (body["type"], body["error"]["type"]) == ("error", "billing_error")
    assert body["error"]["message"] == REFUSAL.message
    check_blocked(provider, limits, 3)


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
@pytest.mark.parametrize("over", ["httpx2", "aiohttp"])
def test_google(
    provider: Providers,
    limits: tuple[Gate, Events],
    over: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("google.genai._api_client.has_aiohttp", over == "aiohttp")
    # Its own retries would repeat a 402 only if told to.
    client = provider.google(retry_options=genai_types.HttpRetryOptions(attempts=3))

    async def call() -> None:
        with pytest.raises(genai_errors.ClientError) as raised:
            await client.aio.models.generate_content(model="gemini-2.5-flash", contents="hello")
        assert raised.value.code == 402
        with pytest.raises(genai_errors.ClientError) as raised:
            async for _ in await client.aio.models.generate_content_stream(
                model="gemini-2.5-flash", contents="hello"
            ):
                pass
        assert raised.value.status == "RESOURCE_EXHAUSTED"
        await client.aio.aclose()

    with pytest.raises(genai_errors.ClientError) as raised:
        client.models.generate_content(model="gemini-2.5-flash", contents="hello")
    with pytest.raises(genai_errors.ClientError):
        list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="hello"))
    asyncio.run(call())
    client.close()
    assert raised.value.code == 402
    assert raised.value.message == REFUSAL.message
    check_blocked(provider, limits, 4)


@pytest.mark.parametrize("mode", ["standard", "legacy", "adaptive"])
def test_boto3_in_every_mode_of_retries(
    provider: Providers, limits: tuple[Gate, Events], mode: str
) -> None:
    client = provider.bedrock(retries={"mode": mode, "total_max_attempts": 4})
    model = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
    body = json.dumps({"max_tokens": 5, "messages": MESSAGES})
    calls: list[Callable[[], Any]] = [
        lambda: client.converse(modelId=model, messages=ASK),
        lambda: client.converse_stream(modelId=model, messages=ASK),
        lambda: client.invoke_model(modelId=model, body=body),
        lambda: client.invoke_model_with_response_stream(modelId=model, body=body),
    ]
    for call in calls:
        with pytest.raises(ClientError) as raised:
            call()
        told: Any = raised.value.response
        assert told["Error"]["Code"] == "ServiceQuotaExceededException"
        assert told["Error"]["Message"] == REFUSAL.message
        assert told["ResponseMetadata"]["HTTPStatusCode"] == 402
    client.close()
    check_blocked(provider, limits, len(calls))


def test_requests_and_urllib3(
    provider: Providers,
    limits: tuple[Gate, Events],
    session: requests.Session,
    pool: urllib3.PoolManager,
) -> None:
    url = f"{provider.server.url}/openai/v1/chat/completions"
    reply = session.post(url, json=CHAT)
    assert reply.status_code == 402
    assert reply.reason == "Payment Required"
    assert reply.json()["error"]["code"] == "limit_exceeded"
    with pytest.raises(requests.HTTPError):
        reply.raise_for_status()
    with session.post(url, json={**CHAT, "stream": True}, stream=True) as streamed:
        assert b"".join(streamed.iter_content(10)) == reply.content
        assert streamed.headers["outlay-limit"] == "acme-month"
    whole = pool.request("POST", url, json=CHAT)
    assert (whole.status, whole.json()["error"]["type"]) == (402, "insufficient_quota")
    later = pool.request("POST", url, json=CHAT, preload_content=False)
    assert later.read() == whole.data
    later.release_conn()
    check_blocked(provider, limits, 4)


def test_a_pool_that_blocks_gets_its_connection_back(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    """The answer to a refused call holds no connection, read or not."""
    gate, events = limits
    with urllib3.HTTPConnectionPool(
        "127.0.0.1", provider.server.port, maxsize=1, block=True, retries=False
    ) as one:
        for _ in range(3):
            one.request("POST", "/openai/v1/chat/completions", json=CHAT, preload_content=False)
        gate.steps.clear()
        reply = one.request("POST", "/openai/v1/chat/completions", json=CHAT, pool_timeout=1)
    assert reply.status == 200
    assert [e["status"] for e in events] == ["blocked"] * 3 + ["ok"]


def test_aiohttp(provider: Providers, limits: tuple[Gate, Events]) -> None:
    url = f"{provider.server.url}/openai/v1/chat/completions"

    async def call() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.post(url, json=CHAT) as reply:
                assert reply.status == 402
                assert reply.headers["outlay-limit"] == "acme-month"
                assert (await reply.json())["error"]["code"] == "limit_exceeded"
                assert not reply.ok
            async with session.post(url, json=CHAT) as reply:
                assert b"".join([piece async for piece in reply.content.iter_any()]) != b""
            with pytest.raises(aiohttp.ClientResponseError) as raised:
                await session.post(url, json=CHAT, raise_for_status=True)
            assert raised.value.status == 402
            assert raised.value.request_info.real_url.path.endswith("/chat/completions")

    asyncio.run(call())
    check_blocked(provider, limits, 3)


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_plain_clients(provider: Providers, limits: tuple[Gate, Events], module: Any) -> None:
    url = f"{provider.server.url}/openai/v1/chat/completions"

    async def call() -> None:
        async with module.AsyncClient() as client:
            reply = await client.post(url, json=CHAT)
            assert (reply.status_code, reply.json()["error"]["code"]) == (402, "limit_exceeded")
            async with client.stream("POST", url, json=CHAT) as streamed:
                assert (await streamed.aread()) == reply.content

    with module.Client() as client:
        reply = client.post(url, json=CHAT)
        assert (reply.status_code, reply.reason_phrase) == (402, "Payment Required")
        assert reply.elapsed.total_seconds() == 0
        assert reply.request.url.path.endswith("/chat/completions")
        with pytest.raises(module.HTTPStatusError):
            reply.raise_for_status()
        with client.stream("POST", url, json=CHAT) as streamed:
            assert list(streamed.iter_lines()) == [reply.text]
    asyncio.run(call())
    check_blocked(provider, limits, 4)


def test_what_is_free_is_not_asked_about(provider: Providers, limits: tuple[Gate, Events]) -> None:
    gate, events = limits
    provider.first = [(200, {"content-type": "application/json"}, b"{}")] * 3
    with httpx2.Client(base_url=provider.server.url) as client:
        assert client.get("/openai/v1/models").status_code == 200
        assert client.get("/openai/v1/responses/resp_1").status_code == 200
        assert client.post("/anthropic/v1/messages/count_tokens", json={}).status_code == 200
    assert gate.asked == []
    assert events == []


def test_a_call_after_a_refused_one_is_its_fallback(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    gate.steps = gate.steps[:1]
    with outlay.context(tenant="acme"), provider.openai() as client:
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(**CHAT)
        client.chat.completions.create(model="gpt-4.1-nano", messages=MESSAGES)
    assert [(e["status"], e.get("fallback_from")) for e in events] == [
        ("blocked", None),
        ("ok", "gpt-4o-mini"),
    ]


def test_a_refused_call_is_in_no_total(provider: Providers, limits: tuple[Gate, Events]) -> None:
    with outlay.context(tenant="acme"), provider.openai() as client:
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(**CHAT)
        totals = outlay.current().request
    assert totals is not None
    assert (totals.calls, totals.errors, totals.cost_nanos, totals.unpriced) == (0, 0, 0, 0)
