"""How the client of an upstream uses connections: kept, shared, trusted, and given up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from outlay.gateway.config import Upstream
from outlay.gateway.upstream import (
    Broken,
    Unreachable,
    UpstreamClient,
)
from tests.guest.speakers import certified
from tests.unit.gateway.raw_upstream import LOOPS, OK, Line, Play, Raw, always, raw


@pytest.fixture(params=LOOPS)
def play(request: pytest.FixtureRequest) -> Play:
    """Run tests on each event loop."""
    return Play(request.param)


def test_a_connection_serves_one_request_after_another(play: Play) -> None:
    async def body(server: Raw, client: UpstreamClient) -> None:
        for _ in range(5):
            await (await client.send("POST", "/", [], b"x")).whole(9)
        assert len(server.lines) == 1
        await asyncio.gather(*(client.send("POST", "/", [], b"x") for _ in range(3)))
        assert len(server.lines) == 3

    play(always(OK), body)


def test_hanging_up_ends_the_connection_at_once(play: Play) -> None:
    gone = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await line.gone()
        gone.set()

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        assert await anext(reply) == b"abc"
        waiting = asyncio.ensure_future(anext(reply))
        await asyncio.sleep(0.02)
        reply.close()
        reply.close()
        with pytest.raises(Broken):  # who reads it elsewhere is told
            await waiting
        with pytest.raises(Broken):
            await anext(reply)
        await asyncio.wait_for(gone.wait(), 1)

    play(script, body)


def test_closing_what_has_come_whole_keeps_its_connection(play: Play) -> None:
    async def body(server: Raw, client: UpstreamClient) -> None:
        for _ in range(2):
            reply = await client.send("GET", "/", [])
            reply.close()
            assert await reply.whole(9) == b"ok"
        assert len(server.lines) == 1

    play(always(OK), body)


def test_who_is_cancelled_before_the_answer_leaves_no_connection(play: Play) -> None:
    gone = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.gone()
        gone.set()

    async def body(server: Raw, client: UpstreamClient) -> None:
        sending = asyncio.ensure_future(client.send("POST", "/", [], b"x"))
        await asyncio.sleep(0.05)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.wait_for(gone.wait(), 1)
        await asyncio.wait_for(client.close_when_idle(), 1)

    play(script, body)


def test_who_is_cancelled_does_not_send_the_rest_of_a_long_body(play: Play) -> None:
    """Else the provider would serve, and bill, what nobody waits for."""
    go = asyncio.Event()
    sent = 64 * 1024 * 1024
    got = 0

    async def script(line: Line) -> None:
        nonlocal got
        got += len(await line.head())
        await go.wait()
        with contextlib.suppress(OSError):
            while piece := await line.reader.read(1 << 20):
                got += len(piece)
        got += 1
        go.clear()

    async def body(server: Raw, client: UpstreamClient) -> None:
        sending = asyncio.ensure_future(client.send("POST", "/", [], bytes(sent)))
        await asyncio.sleep(0.1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        go.set()
        while go.is_set():  # noqa: ASYNC110 - until the server has read to the end
            await asyncio.sleep(0.01)
        assert 0 < got < sent

    play(script, body)


def test_what_comes_unasked_answers_nobody(play: Play) -> None:
    """Else one client's answer would be another's."""

    async def script(line: Line) -> None:
        await line.request()
        await line.send(OK)
        await asyncio.sleep(0.05)
        await line.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 6\r\n\r\nforged")
        await line.gone()

    async def body(server: Raw, client: UpstreamClient) -> None:
        for count in range(1, 4):
            reply = await client.send("POST", "/", [], b"x")
            assert (reply.status, await reply.whole(9)) == (200, b"ok")
            assert len(server.lines) == count
            await asyncio.sleep(0.15)

    play(script, body)


def test_an_answer_longer_than_it_says_costs_its_connection(play: Play) -> None:
    async def body(server: Raw, client: UpstreamClient) -> None:
        for count in range(1, 3):
            reply = await client.send("POST", "/", [], b"x")
            assert await reply.whole(9) == b"ok"
            assert len(server.lines) == count

    play(always(OK + OK), body)


@pytest.mark.parametrize(("method", "again"), [("GET", True), ("DELETE", True), ("POST", False)])
def test_what_dies_on_a_kept_connection_is_sent_again_only_where_that_is_safe(
    play: Play, method: str, again: bool
) -> None:
    seen: list[bytes] = []

    async def script(line: Line) -> None:
        # A new connection answers once, and then hangs up on the next request.
        seen.append(await line.request())
        await line.send(OK)
        seen.append(await line.request())
        line.reset()

    async def body(server: Raw, client: UpstreamClient) -> None:
        assert await (await client.send(method, "/1", [])).whole(9) == b"ok"
        if again:
            assert await (await client.send(method, "/2", [])).whole(9) == b"ok"
        else:
            with pytest.raises(Broken):
                await client.send(method, "/2", [])
        asked = [line.split(b" ")[1] for line in seen]
        assert asked == ([b"/1", b"/2", b"/2"] if again else [b"/1", b"/2"])

    play(script, body)


def test_what_dies_on_a_new_connection_is_not_sent_again(play: Play) -> None:
    async def script(line: Line) -> None:
        await line.request()

    async def body(server: Raw, client: UpstreamClient) -> None:
        with pytest.raises(Broken) as told:
            await client.send("GET", "/", [])
        assert type(told.value.cause()).__name__ == "ServerDisconnectedError"
        assert len(server.lines) == 1

    play(script, body)


def test_a_kept_connection_that_the_server_ended_is_not_used(play: Play) -> None:
    async def body(server: Raw, client: UpstreamClient) -> None:
        for count in range(1, 4):
            assert await (await client.send("POST", "/", [], b"x")).whole(9) == b"ok"
            assert len(server.lines) == count
            await asyncio.sleep(0.05)

    play(always(OK, close=True), body)


def test_closing_tells_everybody_who_waits(play: Play) -> None:
    async def script(line: Line) -> None:
        if b"/begun" in await line.request():
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        await line.gone()

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/begun", [])
        assert await anext(reply) == b"ab"
        waiting = [
            asyncio.ensure_future(anext(reply)),
            asyncio.ensure_future(client.send("GET", "/not", [])),
        ]
        await asyncio.sleep(0.05)
        await client.close()
        told = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 2)
        assert [isinstance(error, Broken | Unreachable) for error in told] == [True, True]
        with pytest.raises(Unreachable):
            await client.send("GET", "/", [])

    play(script, body)


def test_a_client_that_is_not_used_any_more_lets_its_answers_end(play: Play) -> None:
    go = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await go.wait()
        await line.send(b"cd")

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        closing = asyncio.ensure_future(client.close_when_idle())
        await asyncio.sleep(0.05)
        go.set()
        assert await reply.whole(9) == b"abcd"
        await asyncio.wait_for(closing, 2)
        with pytest.raises(Unreachable):
            await client.send("GET", "/", [])

    play(script, body)


# -- TLS, and who cannot be reached ----------------------------------------------------------------


def test_certificates_are_verified_by_the_file_that_is_named(tmp_path: Path) -> None:
    context, _ = certified(tmp_path)

    async def main() -> None:
        async with raw(always(OK), context) as server:
            trusting = server.client(ca_file=str(tmp_path / "local.pem"))
            assert await (await trusting.send("GET", "/", [])).whole(9) == b"ok"
            await trusting.close()
            stranger = server.client()
            with pytest.raises(Unreachable) as told:
                await stranger.send("GET", "/", [])
            assert "ClientConnectorError" in [
                kind.__name__ for kind in type(told.value.cause()).__mro__
            ]
            await stranger.close()
            lost = server.client(ca_file=str(tmp_path / "nowhere.pem"))
            with pytest.raises(Unreachable, match="No such file"):
                await lost.send("GET", "/", [])
            await lost.close()

    asyncio.run(main())


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_who_cannot_be_reached_was_sent_nothing(url: str) -> None:
    async def main() -> None:
        client = UpstreamClient(Upstream("x", "openai", url))
        begun = time.monotonic()
        with pytest.raises(Unreachable) as told:
            await client.send("POST", "/", [], b"x")
        assert time.monotonic() - begun < 5
        assert "ClientConnectorError" in [k.__name__ for k in type(told.value.cause()).__mro__]
        await client.close()

    asyncio.run(main())


def test_a_client_can_be_made_where_no_loop_runs() -> None:
    client = UpstreamClient(Upstream("x", "openai", "http://127.0.0.1:1"))
    asyncio.run(client.close())
