"""The tap on aiohttp: every request on the wire is seen once, and the caller gets what it gets
without the tap; google-genai over aiohttp is metered, SDKs that put httpx on top count once."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import threading
from collections.abc import Awaitable, Iterator
from typing import Any

import aiohttp
import openai
import pytest
from google import genai
from google.genai import types as genai_types

import outlay
from outlay.capture import attempt as attempts
from outlay.capture import guard
from outlay.capture.runtime import activate
from outlay.capture.taps import aiohttp as tap
from outlay.capture.taps import aiohttp_reader
from outlay.capture.testing import capture_events
from tests.guest.bodies import (
    CHAT,
    CHAT_BODY,
    GEMINI,
    GEMINI_STREAM,
    JSON,
    PLAIN_CHUNKS,
    SECRET,
    SSE,
    asked,
)
from tests.guest.conftest import Answer
from tests.guest.replies import BUSY, PATH, Provider, Start, run


@pytest.fixture
def events(provider: Provider) -> Iterator[list[dict[str, Any]]]:
    with capture_events(hosts=provider.hosts) as captured:
        yield captured
    assert aiohttp_reader._followed == {}


def test_a_call_is_one_event(provider: Provider, events: list[dict[str, Any]]) -> None:
    async def work(session: aiohttp.ClientSession) -> Any:
        headers = {"authorization": "Bearer sk-live"}
        async with session.post(provider.url, json=asked(), headers=headers) as response:
            return await response.json()

    assert run(work) == CHAT
    (event,) = events
    assert (event["surface"], event["status"], event["http_status"]) == ("openai.chat", "ok", 200)
    assert (event["input"], event["output"]) == (12, 7)
    assert event["model_requested"] == "gpt-4o-mini"
    assert event["provider_request_id"] == "req_1"
    assert "attempt" not in event
    assert SECRET not in json.dumps(events)
    assert "sk-live" not in json.dumps(events)


def test_a_call_cancelled_before_its_answer_is_aborted(loopback: Start) -> None:
    answered = threading.Event()

    def slow(*_args: Any) -> Answer:
        answered.wait(10)
        return 200, JSON, CHAT_BODY

    server = loopback(slow)

    async def work(session: aiohttp.ClientSession) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await session.post(f"{server.url}{PATH}", json=asked())

    with capture_events(hosts={f"127.0.0.1:{server.port}": "openai"}) as events:
        run(work)
    answered.set()
    assert [(e["status"], e["error_type"]) for e in events] == [("aborted", "cancelled")]


async def _failure(call: Awaitable[Any]) -> tuple[type, str]:
    with pytest.raises(Exception) as caught:
        await call
    return type(caught.value), str(caught.value)[:40]


def test_a_refused_connection_is_an_event_that_was_not_billed() -> None:
    url = "http://127.0.0.1:9/v1/chat/completions"

    async def work(session: aiohttp.ClientSession) -> Any:
        return await _failure(session.post(url, json=asked()))

    with capture_events(hosts={"127.0.0.1:9": "openai"}) as events:
        kind, _ = run(work)
    assert issubclass(kind, aiohttp.ClientConnectorError)
    assert [(e["status"], e["error_type"], e["billed"]) for e in events] == [
        ("error", "connect", "no")
    ]


def test_an_http_error_is_an_event_that_was_not_billed(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    provider.first = [BUSY]

    async def work(session: aiohttp.ClientSession) -> Any:
        return await _failure(session.post(provider.url, json=asked()))

    assert run(work, raise_for_status=True)[0] is aiohttp.ClientResponseError
    assert [(e["status"], e["http_status"], e["billed"]) for e in events] == [("error", 503, "no")]


def test_retries_of_a_middleware_are_attempts_of_one_call(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    provider.first = [BUSY, BUSY]

    async def again(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        while (response := await handler(request)).status == 503:
            await response.read()
        return response

    async def work(session: aiohttp.ClientSession) -> Any:
        with outlay.context(tenant="acme"):
            async with session.post(provider.url, json=asked()) as response:
                return await response.json()

    assert run(work, middlewares=[again]) == CHAT
    assert [e.get("attempt", 0) for e in events] == [0, 1, 2]
    assert [e["status"] for e in events] == ["error", "error", "ok"]
    assert len({e["call_id"] for e in events}) == 1


@pytest.mark.parametrize("follow", [True, False])
def test_a_redirect_is_no_attempt(
    provider: Provider, events: list[dict[str, Any]], follow: bool
) -> None:
    provider.first = [(307, {"location": provider.url}, b"")]

    async def work(session: aiohttp.ClientSession) -> int:
        async with session.post(provider.url, json=asked(), allow_redirects=follow) as response:
            await response.read()
            return response.status

    assert run(work) == (200 if follow else 307)
    assert len(events) == (1 if follow else 0)


def test_a_session_with_a_base_url_is_metered(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    async def work(session: aiohttp.ClientSession) -> Any:
        async with session.post("/v1/chat/completions", json=asked()) as response:
            return await response.json()

    assert run(work, base_url=provider.server.url) == CHAT
    assert len(events) == 1


def test_a_call_to_nobody_known_passes_untouched(provider: Provider) -> None:
    async def work(session: aiohttp.ClientSession) -> type:
        async with session.post(provider.url, json=asked()) as response:
            return type(response.content)

    with capture_events() as events:
        assert run(work) is aiohttp.StreamReader
    assert events == []


@pytest.mark.parametrize("kind", ["generator", "file"])
def test_an_upload_is_metered_without_being_read(
    provider: Provider, events: list[dict[str, Any]], kind: str
) -> None:
    raw = json.dumps(asked()).encode()

    async def pieces() -> Any:
        yield raw

    async def work(session: aiohttp.ClientSession) -> None:
        data = pieces() if kind == "generator" else io.BytesIO(raw)
        headers = {"content-length": str(len(raw))}
        async with session.post(provider.url, data=data, headers=headers) as response:
            assert await response.json() == CHAT

    run(work)
    assert provider.sent() == [asked()]
    assert [(e.get("model_requested"), e["model_served"]) for e in events] == [
        (None, CHAT["model"])
    ]


def test_tasks_keep_their_own_context(provider: Provider, events: list[dict[str, Any]]) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async def call(tenant: str) -> None:
            async with (
                outlay.context(tenant=tenant),
                session.post(provider.url, json=asked()) as response,
            ):
                await response.read()

        await asyncio.gather(*(call(f"t{n}") for n in range(12)))

    run(work)
    assert {e["tenant_id"] for e in events} == {f"t{n}" for n in range(12)}
    assert len(events) == 12


@pytest.mark.parametrize("where", ["join", "begin", "take", "finish"])
def test_an_error_of_outlay_never_reaches_the_caller(
    provider: Provider,
    events: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    def broken(*_args: Any, **_more: Any) -> Any:
        raise ZeroDivisionError

    if where == "join":
        monkeypatch.setattr("outlay.capture.runtime.Runtime.route", broken)
    elif where == "begin":
        monkeypatch.setattr(tap, "begin", broken)
    elif where == "take":
        monkeypatch.setattr("outlay.wire.reader.BodyReader.feed", broken)
    else:
        monkeypatch.setattr(attempts.Attempt, "_finish", broken)

    async def work(session: aiohttp.ClientSession) -> Any:
        async with session.post(provider.url, json=asked()) as response:
            return await response.json()

    assert run(work) == CHAT
    assert sum(guard.counts().values()) >= 1


def test_without_a_runtime_nothing_is_metered(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    async def work(session: aiohttp.ClientSession) -> Any:
        async with session.post(provider.url, json=asked()) as response:
            return await response.json()

    activate(None)
    assert run(work) == CHAT
    assert events == []


def test_the_tap_goes_on_once_and_leaves_no_trace() -> None:
    own = aiohttp.ClientSession._request
    signature = inspect.signature(own)
    with capture_events():
        tapped: Any = aiohttp.ClientSession._request
        assert tapped is not own
        assert inspect.signature(tapped) == signature
        assert inspect.iscoroutinefunction(tapped)
        tap.install(aiohttp)
        assert aiohttp.ClientSession._request is tapped
    tap.remove(aiohttp)
    tap.remove(aiohttp)
    assert aiohttp.ClientSession._request is own


def test_an_old_aiohttp_is_left_alone_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def old(self: Any, method: str, str_or_url: str) -> None:
        pass

    monkeypatch.setattr(aiohttp.ClientSession, "_request", old)
    monkeypatch.setattr(aiohttp, "__version__", "3.9.0")
    tap.install(aiohttp)
    assert vars(aiohttp.ClientSession)["_request"] is old
    assert "aiohttp 3.9.0 is too old" in caplog.text


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # by google-genai
def test_google_genai_over_aiohttp_is_metered_whole_and_streamed(loopback: Start) -> None:
    def reply(_method: str, path: str, _headers: Any, _body: bytes) -> Answer:
        if first:
            return first.pop(0)
        if "stream" in path:
            return 200, SSE, GEMINI_STREAM
        return 200, JSON, json.dumps(GEMINI).encode()

    first: list[Answer] = []
    server = loopback(reply)
    retries = genai_types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.02)
    options = genai_types.HttpOptions(base_url=server.url, retry_options=retries)

    async def call() -> None:
        client = genai.Client(api_key="test", http_options=options)
        assert client._api_client._use_aiohttp()
        await client.aio.models.generate_content(model="gemini-2.5-flash", contents=SECRET)
        stream = await client.aio.models.generate_content_stream(
            model="gemini-2.5-flash", contents=SECRET
        )
        assert [chunk.text async for chunk in stream] == [SECRET]
        first.append((503, JSON, b'{"error":{"code":503,"status":"UNAVAILABLE"}}'))
        await client.aio.models.generate_content(model="gemini-2.5-flash", contents="again")
        await client.aio.aclose()
        client.close()

    with capture_events(hosts={f"127.0.0.1:{server.port}": "google"}) as events:
        asyncio.run(call())
    read = [(e.get("input"), e.get("output"), e.get("output_reasoning")) for e in events]
    assert read == [(18, 31, 35)] * 2 + [(None, None, None), (18, 31, 35)]
    assert [e.get("attempt", 0) for e in events] == [0, 0, 0, 1]
    assert events[2]["call_id"] == events[3]["call_id"]
    assert events[0]["provider"] == "google"


@pytest.mark.parametrize("stream", [False, True])
def test_openai_with_its_own_transport_over_aiohttp_counts_once(
    provider: Provider, events: list[dict[str, Any]], stream: bool
) -> None:
    async def call() -> list[Any]:
        async with openai.AsyncOpenAI(
            api_key="sk-test",
            base_url=f"{provider.server.url}/v1",
            http_client=openai.DefaultAioHttpClient(),
        ) as client:
            made: Any = await client.chat.completions.create(**asked(stream=stream))
            return [chunk async for chunk in made] if stream else [made]

    got = asyncio.run(call())
    assert len(got) == (len(PLAIN_CHUNKS) if stream else 1)
    assert [(e["status"], e["input"], e["output"]) for e in events] == [("ok", 12, 7)]
