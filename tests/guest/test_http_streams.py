"""Streams through the tap: the caller gets the same bytes, and every end makes one event."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

from outlay.capture.testing import capture_events
from tests.guest.bodies import (
    CHAT,
    CHAT_BODY,
    DONE,
    JSON,
    OPENAI_URL,
    PLAIN_CHUNKS,
    SSE,
    USAGE_CHUNK,
    asked,
    openai_stream,
)
from tests.guest.transports import pieces, streaming, whole

pytestmark = pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])


def test_a_streamed_call_is_one_event_with_time_to_first_byte(module: ModuleType) -> None:
    with (
        capture_events() as events,
        module.Client(transport=streaming(module)) as client,
        client.stream("POST", OPENAI_URL, json=asked(stream=True)) as response,
    ):
        seen = b"".join(response.iter_bytes())
    assert seen == b"".join([*PLAIN_CHUNKS, DONE])
    (event,) = events
    assert event["streamed"] is True
    assert (event["input"], event["output"]) == (12, 7)
    assert 0 <= event["ttft_ms"] <= event["latency_ms"]


def test_an_async_streamed_call_is_one_event(module: ModuleType) -> None:
    async def call() -> bytes:
        async with (
            module.AsyncClient(transport=streaming(module)) as client,
            client.stream("POST", OPENAI_URL, json=asked(stream=True)) as response,
        ):
            return b"".join([chunk async for chunk in response.aiter_bytes()])

    with capture_events() as events:
        seen = asyncio.run(call())
    assert seen == b"".join([*PLAIN_CHUNKS, DONE])
    assert [(e["status"], e["output"]) for e in events] == [("ok", 7)]


def test_the_usage_chunk_is_asked_for_and_hidden(module: ModuleType) -> None:
    sent: list[Any] = []

    def handle(request: Any) -> Any:
        sent.append(request)
        chunks = openai_stream(request.content)
        return module.Response(200, headers=SSE, stream=pieces(module, chunks))

    client = module.Client(transport=module.MockTransport(handle))
    request = client.build_request("POST", OPENAI_URL, json=asked(stream=True))
    before = (dict(request.headers), request.content)
    with capture_events() as events:
        response = client.send(request, stream=True)
        seen = list(response.iter_raw())
    assert USAGE_CHUNK not in b"".join(seen)
    assert [c for c in seen if c] == [*PLAIN_CHUNKS, DONE]
    assert json.loads(sent[0].content)["stream_options"] == {"include_usage": True}
    assert int(sent[0].headers["content-length"]) == len(sent[0].content)
    assert sent[0].headers["accept-encoding"] == "identity"
    assert response.request is request
    assert (dict(request.headers), request.content) == before
    assert events[0]["usage_raw"] == CHAT["usage"]


@pytest.mark.parametrize("options", [{"include_usage": True}, {"include_usage": False}])
def test_a_caller_who_set_stream_options_gets_just_that(
    module: ModuleType, options: dict[str, bool]
) -> None:
    with (
        capture_events() as events,
        module.Client(transport=streaming(module)) as client,
        client.stream(
            "POST", OPENAI_URL, json=asked(stream=True, stream_options=options)
        ) as response,
    ):
        seen = b"".join(response.iter_bytes())
    assert (USAGE_CHUNK in seen) is options["include_usage"]
    assert len(events) == 1


def test_the_setting_turns_include_usage_off(module: ModuleType) -> None:
    sent: list[bytes] = []

    def handle(request: Any) -> Any:
        sent.append(request.content)
        return module.Response(200, headers=SSE, stream=pieces(module, [*PLAIN_CHUNKS, DONE]))

    with (
        capture_events(include_usage=False) as events,
        module.Client(transport=module.MockTransport(handle)) as client,
        client.stream("POST", OPENAI_URL, json=asked(stream=True)) as response,
    ):
        response.read()
    assert b"stream_options" not in sent[0]
    assert events[0]["usage_source"] == "estimated"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_stream_reaches_the_caller_and_the_reader(
    module: ModuleType, encoding: str
) -> None:
    packed = gzip.compress(CHAT_BODY) if encoding == "gzip" else zlib.compress(CHAT_BODY)

    def handle(_request: Any) -> Any:
        cut = [packed[:10], packed[10:30], packed[30:]]
        headers = {**JSON, "content-encoding": encoding}
        return module.Response(200, headers=headers, stream=pieces(module, cut))

    with (
        capture_events() as events,
        module.Client(transport=module.MockTransport(handle)) as client,
        client.stream("POST", OPENAI_URL, json=asked()) as response,
    ):
        assert json.loads(response.read()) == CHAT
    assert (events[0]["input"], events[0]["output"]) == (12, 7)


def test_a_body_that_nobody_here_can_unpack_is_said_to_be_so(module: ModuleType) -> None:
    headers = {**SSE, "content-encoding": "private"}

    def handle(_request: Any) -> Any:
        return module.Response(200, headers=headers, stream=pieces(module, [b"packed"]))

    with (
        capture_events() as events,
        module.Client(transport=module.MockTransport(handle)) as client,
        client.stream("POST", OPENAI_URL, json=asked(stream=True)) as response,
    ):
        assert b"".join(response.iter_raw()) == b"packed"
    assert "body_undecoded" in events[0]["findings"]
    assert events[0]["billed"] == "possible"


def test_a_body_that_is_read_already_is_metered_when_streaming(module: ModuleType) -> None:
    def handle(_request: Any) -> Any:
        return module.Response(200, headers=JSON, content=CHAT_BODY)

    client = module.Client(transport=module.MockTransport(handle))
    with capture_events() as events:
        response = client.send(client.build_request("POST", OPENAI_URL, json=asked()), stream=True)
        assert response.json() == CHAT
    assert [e["input"] for e in events] == [12]


def test_elapsed_works_as_without_the_tap(module: ModuleType) -> None:
    client = module.Client(transport=whole(module))
    with capture_events():
        response = client.post(OPENAI_URL, json=asked())
        streamed = client.send(client.build_request("POST", OPENAI_URL, json=asked()), stream=True)
        streamed.read()
    assert response.elapsed.total_seconds() >= 0
    assert streamed.elapsed.total_seconds() >= 0


def test_an_error_in_the_middle_of_a_stream_ends_the_attempt(module: ModuleType) -> None:
    problem = module.ReadError("gone")
    with (
        capture_events() as events,
        module.Client(transport=streaming(module, fail=problem)) as client,
        pytest.raises(module.ReadError),
        client.stream("POST", OPENAI_URL, json=asked(stream=True, n=1)) as response,
    ):
        response.read()
    assert len(events) == 1


def test_a_stream_closed_early_is_aborted_and_counted_once(module: ModuleType) -> None:
    with capture_events() as events:
        client = module.Client(transport=streaming(module))
        request = client.build_request("POST", OPENAI_URL, json=asked(stream=True))
        response = client.send(request, stream=True)
        next(response.iter_raw())
        response.close()
        response.close()
    (event,) = events
    assert event["status"] == "aborted"
    assert event["billed"] == "possible"
    assert event["output"] >= 1


def test_a_stream_never_read_is_aborted_when_it_is_forgotten(module: ModuleType) -> None:
    with capture_events() as events:
        client = module.Client(transport=streaming(module))
        response = client.send(
            client.build_request("POST", OPENAI_URL, json=asked(stream=True)), stream=True
        )
        assert events == []
        del response
        gc.collect()
    assert [e["status"] for e in events] == ["aborted"]


def test_a_consumer_that_breaks_off_ends_the_attempt(module: ModuleType) -> None:
    with capture_events() as events:
        client = module.Client(transport=streaming(module))
        request = client.build_request("POST", OPENAI_URL, json=asked(stream=True))
        for _ in client.send(request, stream=True).iter_bytes():
            break
        gc.collect()
    assert [e["status"] for e in events] == ["aborted"]


def test_a_cancelled_async_stream_is_aborted(module: ModuleType) -> None:
    async def call() -> None:
        async def never() -> AsyncIterator[bytes]:
            yield PLAIN_CHUNKS[0]
            await asyncio.sleep(60)

        class Slow(module.AsyncByteStream):  # type: ignore[misc, name-defined]
            def __aiter__(self) -> AsyncIterator[bytes]:
                return never()

        def handle(_request: Any) -> Any:
            return module.Response(200, headers=SSE, stream=Slow())

        async def read() -> None:
            async with (
                module.AsyncClient(transport=module.MockTransport(handle)) as client,
                client.stream("POST", OPENAI_URL, json=asked(stream=True)) as response,
            ):
                async for _ in response.aiter_bytes():
                    started.set()

        started = asyncio.Event()
        task = asyncio.create_task(read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with capture_events() as events:
        asyncio.run(call())
    (event,) = events
    assert event["status"] == "aborted"
    assert event["billed"] == "possible"
