"""An upstream that is slow, breaks off, or makes no sense: each is told, and none looks whole."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from outlay.capture.attempt_facts import error_class
from outlay.gateway.config import Timeouts, Upstream
from outlay.gateway.failures import Phase, TimedOut
from outlay.gateway.upstream import Broken, UpstreamClient, UpstreamError
from tests.unit.gateway.raw_upstream import LOOPS, OK, Line, Play, Raw, always

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=LOOPS)
def play(request: pytest.FixtureRequest) -> Play:
    """Run tests on each event loop."""
    return Play(request.param)


async def expect_late(awaited: Any, phase: Phase, seconds: float) -> TimedOut:
    """Await what must time out in a phase, about so late."""
    begun = time.monotonic()
    with pytest.raises(TimedOut) as told:
        await awaited
    took = time.monotonic() - begun
    assert told.value.phase == phase
    assert seconds * 0.9 <= took < seconds + 1.0
    return told.value


# -- too slow --------------------------------------------------------------------------------------


def test_an_upstream_that_accepts_nobody_is_late_to_connect() -> None:
    """A listener whose queue is full drops what knocks."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        fill = [socket.socket() for _ in range(8)]
        for knocking in fill:
            knocking.setblocking(False)
            knocking.connect_ex(("127.0.0.1", port))

        async def main() -> None:
            url = f"http://127.0.0.1:{port}"
            client = UpstreamClient(
                Upstream("x", "openai", url, timeouts=Timeouts(connect_s=0.3, first_byte_s=5))
            )
            late = await expect_late(client.send("POST", "/", [], b"x"), "connect", 0.3)
            # Nothing was sent, so nothing is billed.
            assert error_class(late.cause()) == "connect"
            assert late.on == "timeout"
            await client.close()

        try:
            asyncio.run(main())
        finally:
            for knocking in fill:
                knocking.close()


def test_an_upstream_that_does_not_answer_is_late_with_the_first_byte(play: Play) -> None:
    gone = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.gone()
        gone.set()

    async def body(server: Raw, client: UpstreamClient) -> None:
        late = await expect_late(client.send("POST", "/", [], b"x"), "first_byte", 0.3)
        assert error_class(late.cause()) == "timeout"
        await asyncio.wait_for(gone.wait(), 1)

    play(script, body, first_byte_s=0.3, idle_s=0.05)


def test_interim_answers_and_parts_of_a_head_do_not_put_it_off(play: Play) -> None:
    async def script(line: Line) -> None:
        await line.request()
        for _ in range(10):
            await line.send(b"HTTP/1.1 102 Processing\r\n\r\n", pause=0.1)

    async def body(server: Raw, client: UpstreamClient) -> None:
        await expect_late(client.send("POST", "/", [], b"x"), "first_byte", 0.3)

    play(script, body, first_byte_s=0.3)


def test_an_answer_that_goes_on_may_take_any_time(play: Play) -> None:
    pieces = [b"2\r\nab\r\n"] * 6

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        assert await reply.whole(100) == b"ab" * 6

    play(always(CHUNKED, *pieces, b"0\r\n\r\n", pause=0.1), body, first_byte_s=0.25, idle_s=0.25)


def test_an_answer_that_stops_is_idle(play: Play) -> None:
    gone = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED, b"2\r\nab\r\n", pause=0.1)
        await line.gone()
        gone.set()

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        assert await anext(reply) == b"ab"
        late = await expect_late(anext(reply), "idle", 0.3)
        assert error_class(late.cause()) == "timeout"
        await asyncio.wait_for(gone.wait(), 1)

    play(script, body, idle_s=0.3)


def test_a_body_that_never_begins_is_idle(play: Play) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(CHUNKED)
        await line.gone()

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        await expect_late(reply.whole(9), "idle", 0.3)

    play(script, body, idle_s=0.3, first_byte_s=0.1)


@pytest.mark.parametrize(("length", "pause"), [(3, 0.4), (4 * 1024 * 1024, 0.0)])
def test_a_reader_that_is_slow_does_not_make_the_upstream_late(
    play: Play, length: int, pause: float
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (length + 1)

    async def script(line: Line) -> None:
        await line.request()
        await line.send(answer, b"x" * length)
        await asyncio.sleep(pause)
        await line.send(b"y")

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        await anext(reply)
        await asyncio.sleep(0.5)
        async for piece in reply:
            last = piece
        assert last.endswith(b"y")

    play(script, body, idle_s=0.2)


def test_an_upstream_that_takes_no_more_of_a_body_is_late(play: Play) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await asyncio.sleep(10)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    async def body(server: Raw, client: UpstreamClient) -> None:
        # The kernel's buffers take some of it first.
        await expect_late(client.send("POST", "/", [], endless()), "send", 0.4)

    play(script, body, idle_s=0.4, first_byte_s=0.2)


def test_the_first_bytes_time_begins_when_the_body_is_sent(play: Play) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(5):
            await asyncio.sleep(0.1)
            yield b"x"

    async def body(server: Raw, client: UpstreamClient) -> None:
        assert await (await client.send("POST", "/", [], slow())).whole(9) == b"ok"

    play(always(OK), body, first_byte_s=0.2)


# -- broken off ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["close", "reset"])
@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        CHUNKED + b"4\r\nhalf\r\n",
        CHUNKED + b"ff\r\nhalf",
        CHUNKED + b"4\r\nhalf\r\n0\r\n",
    ],
    ids=["length", "between_chunks", "in_a_chunk", "before_the_last_line"],
)
def test_an_answer_that_is_cut_never_looks_whole(play: Play, sent: bytes, ends: str) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(sent, pause=0.1)
        line.reset() if ends == "reset" else line.close()

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        assert await anext(reply) == b"half"
        with pytest.raises(Broken):
            await anext(reply)
        with pytest.raises(Broken):
            await anext(reply)
        assert (await client.send("GET", "/", [])).status == 200  # on another connection
        assert len(server.lines) == 2

    play(script, body)


def test_an_answer_up_to_the_connections_end_is_cut_by_a_reset(play: Play) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\n\r\nhalf", pause=0.1)
        line.reset()

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        assert await anext(reply) == b"half"
        with pytest.raises(Broken):
            await anext(reply)

    play(script, body)


def test_an_answer_that_came_cut_in_one_piece_is_told_too(play: Play) -> None:
    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        await asyncio.sleep(0.1)  # its end has come before anybody reads
        with pytest.raises(Broken):
            await reply.whole(100)

    play(always(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", close=True), body)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
    ],
    ids=["nothing", "half_a_head", "no_http", "two_lengths", "bad_length", "long_line", "many"],
)
def test_what_is_no_answer_is_broken(play: Play, sent: bytes) -> None:
    async def body(server: Raw, client: UpstreamClient) -> None:
        with pytest.raises(Broken) as told:
            await client.send("POST", "/", [], b"x")
        assert told.value.on == "error"
        assert error_class(told.value.cause()) not in ("timeout", "connect", "cancelled")

    play(always(sent, close=True), body)


def test_chunks_that_are_none_are_broken(play: Play) -> None:
    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        with pytest.raises(Broken):
            await reply.whole(100)

    play(always(CHUNKED, b"zz\r\nhalf\r\n", pause=0.05), body)


# -- a body in pieces that goes wrong --------------------------------------------------------------


class Gone(Exception):  # noqa: N818 - what has happened
    """Raised by a body."""


@pytest.mark.parametrize("error", [Gone("client"), OSError("disk"), TimeoutError("slow")])
def test_what_a_body_raises_is_told_as_it_is(play: Play, error: Exception) -> None:
    gone = asyncio.Event()

    async def script(line: Line) -> None:
        await line.head()
        await line.gone()
        gone.set()

    async def failing() -> AsyncIterator[bytes]:
        yield b"some"
        await asyncio.sleep(0.05)
        raise error

    async def body(server: Raw, client: UpstreamClient) -> None:
        with pytest.raises(type(error)) as told:
            await client.send("POST", "/", [], failing())
        assert told.value is error
        # The upstream must not take what came for all of it.
        await asyncio.wait_for(gone.wait(), 1)

    play(script, body)


def test_what_a_body_raises_before_it_begins_needs_no_connection(play: Play) -> None:
    async def failing() -> AsyncIterator[bytes]:
        for piece in (b"", b"never"):
            if not piece:
                raise Gone
            yield piece

    async def body(server: Raw, client: UpstreamClient) -> None:
        with pytest.raises(Gone):
            await client.send("POST", "/", [], failing())
        assert server.lines == []

    play(always(OK), body)


@pytest.mark.parametrize(("said", "error"), [(b"3", "longer"), (b"5", "shorter"), (b"x", "number")])
def test_a_body_is_as_long_as_it_is_said_to_be(play: Play, said: bytes, error: str) -> None:
    async def four() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    async def script(line: Line) -> None:
        await line.gone()

    async def body(server: Raw, client: UpstreamClient) -> None:
        with pytest.raises(ValueError, match=error):
            await client.send("POST", "/", [(b"content-length", said)], four())

    play(script, body)


@pytest.mark.parametrize("pause", [0.01, 60.0], ids=["it_comes", "it_is_waited_for"])
def test_an_answer_before_the_bodys_end_ends_the_body_and_the_connection(
    play: Play, pause: float
) -> None:
    over = asyncio.Event()
    refused = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"

    async def script(line: Line) -> None:
        await line.head()
        await line.send(refused)
        await line.gone()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1024
                await asyncio.sleep(pause)
        finally:
            over.set()

    async def body(server: Raw, client: UpstreamClient) -> None:
        for count in range(1, 3):
            over.clear()
            reply = await client.send("POST", "/", [], endless())
            assert (reply.status, await reply.whole(9)) == (413, b"big")
            await asyncio.wait_for(over.wait(), 1)
            assert len(server.lines) == count

    play(script, body)


def test_an_answer_may_go_on_beside_the_body(play: Play) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.send(CHUNKED)
        await line.reader.readuntil(b"end\r\n0\r\n\r\n")
        await asyncio.sleep(0.15)
        await line.send(b"2\r\nok\r\n0\r\n\r\n")

    async def slow() -> AsyncIterator[bytes]:
        yield b"begin"
        await asyncio.sleep(0.1)
        yield b"end"

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("POST", "/", [], slow())
        assert await reply.whole(9) == b"ok"

    # The first byte has come: its time, which begins when the body is sent, must not run.
    play(script, body, first_byte_s=0.05)


@pytest.mark.parametrize("error", [Gone("client"), OSError("disk")])
def test_a_body_that_fails_while_the_answer_goes_on_ends_the_answer(
    play: Play, error: Exception
) -> None:
    async def script(line: Line) -> None:
        await line.head()
        await line.send(CHUNKED, b"2\r\nok\r\n")
        await line.gone()

    async def failing() -> AsyncIterator[bytes]:
        yield b"begin"
        await asyncio.sleep(0.2)
        raise error

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("POST", "/", [], failing())
        assert await anext(reply) == b"ok"
        with pytest.raises(type(error)) as told:
            await anext(reply)
        assert told.value is error

    play(script, body)


def test_an_upstream_that_hangs_up_on_a_body_is_broken(play: Play) -> None:
    asked = 0

    async def script(line: Line) -> None:
        await line.head()
        line.reset()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield b"x" * 65536
            await asyncio.sleep(0)

    async def body(server: Raw, client: UpstreamClient) -> None:
        with pytest.raises(UpstreamError) as told:
            await client.send("POST", "/", [], endless())
        assert isinstance(told.value, Broken)
        before = asked
        await asyncio.sleep(0.05)
        assert asked <= before + 1

    play(script, body)
