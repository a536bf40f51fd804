"""Bodies through the tap on aiohttp: every way to read gives what it gives without the tap, and
every end makes one event."""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from outlay.capture.taps import aiohttp_reader
from outlay.capture.testing import capture_events
from tests.guest.bodies import (
    CHAT_BODY,
    DONE,
    JSON,
    PLAIN_CHUNKS,
    SSE,
    asked,
)
from tests.guest.replies import Cut, Paused, Provider, run


@pytest.fixture
def events(provider: Provider) -> Iterator[list[dict[str, Any]]]:
    with capture_events(hosts=provider.hosts) as captured:
        yield captured
    assert aiohttp_reader._followed == {}


async def _collect(pieces: Any) -> list[Any]:
    return [piece async for piece in pieces]


async def _until_empty(read: Callable[[], Awaitable[bytes]]) -> bytes:
    return b"".join([piece async for piece in _pieces(read)])


async def _pieces(read: Callable[[], Awaitable[bytes]]) -> Any:
    while piece := await read():
        yield piece


READS: dict[str, Callable[[aiohttp.ClientResponse], Awaitable[Any]]] = {
    "read": lambda r: r.read(),
    "text": lambda r: r.text(),
    "json": lambda r: r.json(),
    "content.read": lambda r: r.content.read(),
    "content.read by 7": lambda r: _until_empty(lambda: r.content.read(7)),
    "readany": lambda r: _until_empty(r.content.readany),
    "readline": lambda r: _until_empty(r.content.readline),
    "readexactly": lambda r: r.content.readexactly(len(CHAT_BODY)),
    "lines": lambda r: _collect(r.content),
    "iter_chunked": lambda r: _collect(r.content.iter_chunked(11)),
    "iter_any": lambda r: _joined(r.content.iter_any()),
    "iter_chunks": lambda r: _collect(r.content.iter_chunks()),
}


async def _joined(pieces: Any) -> bytes:
    return b"".join([piece async for piece in pieces])


@pytest.mark.parametrize("packing", ["", "gzip", "deflate"])
@pytest.mark.parametrize("unpack", [True, False], ids=["unpacked", "as it came"])
@pytest.mark.parametrize("way", READS)
def test_every_way_to_read_gives_the_same_and_one_event(
    provider: Provider, way: str, unpack: bool, packing: str
) -> None:
    if way in ("text", "json", "readexactly") and packing and not unpack:
        way = "read"  # packed bytes are no text, and fewer
    provider.packing = packing
    provider.chunked = way != "iter_chunked"

    async def work(session: aiohttp.ClientSession) -> tuple[Any, type]:
        async with session.post(provider.url, json=asked()) as response:
            return await READS[way](response), type(response.content)

    plain = run(work, auto_decompress=unpack)
    with capture_events(hosts=provider.hosts) as events:
        tapped = run(work, auto_decompress=unpack)
    if way != "iter_chunks":
        assert tapped[0] == plain[0]
    else:
        assert b"".join(p for p, _ in tapped[0]) == b"".join(p for p, _ in plain[0])
    assert issubclass(tapped[1], plain[1])
    assert repr(tapped[1]) == repr(plain[1])
    assert [(e["status"], e["input"], e["output"]) for e in events] == [("ok", 12, 7)]


def test_a_stream_is_one_event_and_left_as_it_is(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    body = asked(stream=True, stream_options={"include_usage": True})

    async def work(session: aiohttp.ClientSession) -> bytes:
        async with session.post(provider.url, data=json.dumps(body)) as response:
            return await _joined(response.content.iter_any())

    plain = b"".join([*PLAIN_CHUNKS, DONE])
    seen = run(work)
    assert seen.startswith(b"".join(PLAIN_CHUNKS))
    assert seen.endswith(DONE)
    (event,) = events
    assert (event["streamed"], event["status"], event["output"]) == (True, "ok", 7)
    assert 0 <= event["ttft_ms"] <= event["latency_ms"]
    body = asked(stream=True)
    assert run(work) == plain
    assert "stream_options" not in provider.sent()[1]
    assert (events[1]["usage_source"], events[1]["status"]) == ("estimated", "ok")


def test_nothing_is_read_ahead_of_the_caller(
    provider: Provider, events: list[dict[str, Any]]
) -> None:
    pieces = Paused([*PLAIN_CHUNKS, DONE])
    provider.first = [(200, SSE, pieces)]

    async def work(session: aiohttp.ClientSession) -> None:
        async with session.post(provider.url, json=asked(stream=True)) as response:
            assert await response.content.readany() == PLAIN_CHUNKS[0]
            # A wait that was given up is no end: the caller reads on.
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(response.content.readany(), 0.02)
            pieces.go_on.set()
            assert (await response.content.read()).endswith(DONE)

    run(work)
    assert [(e["status"], e.get("error_type")) for e in events] == [("ok", None)]


@pytest.mark.parametrize("how", ["close", "release", "leave", "forget", "cancel"])
def test_a_stream_that_is_left_is_one_aborted_event(
    provider: Provider, events: list[dict[str, Any]], how: str
) -> None:
    pieces = Paused([*PLAIN_CHUNKS, DONE])
    provider.first = [(200, SSE, pieces)]

    async def work(session: aiohttp.ClientSession) -> None:
        response = await session.post(provider.url, json=asked(stream=True))
        assert await response.content.read(5) == PLAIN_CHUNKS[0][:5]
        if how == "close":
            response.close()
            response.close()
        elif how == "release":
            response.release()
        elif how == "leave":
            async with response:
                pass
        elif how == "forget":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                asyncio.get_running_loop().set_exception_handler(lambda *_: None)
                del response
                gc.collect()
                await asyncio.sleep(0.01)
        else:
            task = asyncio.create_task(response.read())
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(work)
    pieces.go_on.set()
    gc.collect()
    assert [(e["status"], e["billed"]) for e in events] == [("aborted", "possible")]
    if how == "cancel":
        assert events[0]["error_type"] == "cancelled"


async def _failure(call: Awaitable[Any]) -> tuple[type, str]:
    with pytest.raises(Exception) as caught:
        await call
    return type(caught.value), str(caught.value)[:40]


def test_a_connection_that_breaks_raises_the_same_and_is_an_event(provider: Provider) -> None:
    async def work(session: aiohttp.ClientSession) -> Any:
        provider.first = [(200, SSE, Cut(PLAIN_CHUNKS[:1]))]
        async with session.post(provider.url, json=asked(stream=True)) as response:
            return await _failure(response.read())

    plain = run(work)
    with capture_events(hosts=provider.hosts) as events:
        assert run(work) == plain
    assert [(e["status"], e["error_type"]) for e in events] == [("aborted", "ClientPayloadError")]


@pytest.mark.parametrize("limit", ["total", "sock_read"])
def test_a_time_limit_raises_the_same_and_is_an_event(provider: Provider, limit: str) -> None:
    pauses: list[Paused] = []

    async def work(session: aiohttp.ClientSession) -> Any:
        pauses.append(Paused([CHAT_BODY[:9], CHAT_BODY[9:]]))
        provider.first = [(200, JSON, pauses[-1])]
        timeout = aiohttp.ClientTimeout(**{limit: 0.1})
        async with session.post(provider.url, json=asked(), timeout=timeout) as response:
            return await _failure(response.read())

    plain = run(work)
    with capture_events(hosts=provider.hosts) as events:
        assert run(work) == plain
    for pause in pauses:
        pause.go_on.set()
    assert [(e["status"], e["billed"]) for e in events] == [("timeout", "possible")]
