"""The client of an upstream, against bare sockets: bytes, both ways."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from outlay.gateway.reply import MAX_INTERIM
from outlay.gateway.upstream import (
    JOINED_BYTES,
    READ_BUFFER_BYTES,
    Broken,
    TooLong,
    UpstreamClient,
)
from tests.unit.gateway.raw_upstream import LOOPS, OK, Line, Play, Raw, Script, always

NAMES: list[tuple[bytes, bytes]] = [
    (b"X-Odd-CASE", b"1"),
    (b"accept", b"a"),
    (b"X-Twice", b"first"),
    (b"x-twice", b"second"),
    (b"X-Raw", b"caf\xe9 \xc3\xa9 \xff"),
]


@pytest.fixture(params=LOOPS)
def play(request: pytest.FixtureRequest) -> Play:
    """Run tests on each event loop."""
    return Play(request.param)


def kept(seen: list[bytes], *parts: bytes) -> Script:
    """Keep what was sent, and answer."""

    async def script(line: Line) -> None:
        while True:
            seen.append(await line.request())
            await line.send(*(parts or (OK,)))

    return script


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


# -- what is sent ----------------------------------------------------------------------------------


def test_a_request_goes_out_byte_for_byte(play: Play) -> None:
    seen: list[bytes] = []

    async def body(server: Raw, client: UpstreamClient) -> None:
        target = "/v1/a%2Fb%3a~x//y;z?q=%20a+b&&c=d'\"{|}&e=f%"
        reply = await client.send("POST", target, NAMES, b'{"a": 1}')
        assert await reply.whole(100) == b"ok"
        assert seen == [
            b"POST /base/v1/a%2Fb%3a~x//y;z?q=%20a+b&&c=d'\"{|}&e=f% HTTP/1.1\r\n"
            b"Host: " + server.host + b"\r\n"
            b"X-Odd-CASE: 1\r\naccept: a\r\nX-Twice: first\r\nx-twice: second\r\n"
            b"X-Raw: caf\xe9 \xc3\xa9 \xff\r\n"
            b'Content-Length: 8\r\n\r\n{"a": 1}'
        ]

    play(kept(seen), body, path="/base")


@pytest.mark.parametrize(
    ("method", "sent", "framing"),
    [
        ("GET", None, b""),
        ("DELETE", None, b""),
        ("POST", None, b"Content-Length: 0\r\n"),
        ("POST", b"", b"Content-Length: 0\r\n"),
        ("PATCH", b"x", b"Content-Length: 1\r\n"),
        ("DELETE", b"x", b"Content-Length: 1\r\n"),
        ("PROPFIND", b"x", b"Content-Length: 1\r\n"),
    ],
)
def test_a_body_is_framed_once(play: Play, method: str, sent: bytes | None, framing: bytes) -> None:
    seen: list[bytes] = []
    told = [(b"Content-Length", b"99"), (b"transfer-encoding", b"chunked"), (b"a", b"b")]

    async def body(server: Raw, client: UpstreamClient) -> None:
        await (await client.send(method, "/x", told, sent)).whole(100)
        start = method.encode() + b" /x HTTP/1.1\r\nHost: " + server.host + b"\r\na: b\r\n"
        assert seen == [start + framing + b"\r\n" + (sent or b"")]

    play(kept(seen), body)


@pytest.mark.parametrize("size", [JOINED_BYTES, JOINED_BYTES + 1, 3_000_000])
def test_a_long_body_arrives_whole(play: Play, size: int) -> None:
    seen: list[bytes] = []
    sent = bytes(range(256)) * (size // 256 + 1)
    sent = sent[:size]

    async def body(server: Raw, client: UpstreamClient) -> None:
        await (await client.send("POST", "/", [], sent)).whole(100)
        assert seen[0].partition(b"\r\n\r\n")[2] == sent

    play(kept(seen), body)


@pytest.mark.parametrize(
    ("told", "framing", "rest"),
    [
        ([], b"Transfer-Encoding: chunked\r\n", b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"),
        ([(b"content-length", b"11")], b"Content-Length: 11\r\n", b"firstsecond"),
    ],
)
def test_a_body_in_pieces_goes_in_chunks_or_with_its_length(
    play: Play, told: list[tuple[bytes, bytes]], framing: bytes, rest: bytes
) -> None:
    seen: list[bytes] = []

    async def body(server: Raw, client: UpstreamClient) -> None:
        pieces = in_pieces(b"first", b"", b"second")
        assert await (await client.send("POST", "/", told, pieces)).whole(9) == b"ok"
        start = b"POST / HTTP/1.1\r\nHost: " + server.host + b"\r\n"
        assert seen == [start + framing + b"\r\n" + rest]
        # The connection serves the next one.
        await (await client.send("GET", "/", [])).whole(9)
        assert len(server.lines) == 1

    play(kept(seen), body)


def test_an_empty_body_in_pieces_is_an_empty_body(play: Play) -> None:
    seen: list[bytes] = []

    async def body(server: Raw, client: UpstreamClient) -> None:
        await (await client.send("POST", "/", [], in_pieces())).whole(9)
        assert seen[0].endswith(b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")

    play(kept(seen), body)


def test_pieces_are_asked_for_no_faster_than_the_upstream_takes_them(play: Play) -> None:
    asked = 0
    begin = asyncio.Event()
    most = 400

    async def script(line: Line) -> None:
        await line.head()
        await begin.wait()
        await line.reader.readuntil(b"0\r\n\r\n")
        await line.send(OK)

    async def many() -> AsyncIterator[bytes]:
        nonlocal asked
        for _ in range(most):
            asked += 1
            yield b"\x01" * 65536

    async def body(server: Raw, client: UpstreamClient) -> None:
        sending = asyncio.ensure_future(client.send("POST", "/", [], many()))
        before = -1
        while asked != before:  # until nobody asks any more
            before = asked
            await asyncio.sleep(0.2)
        assert 0 < asked < most
        begin.set()
        server.lines[0].reader._limit = 1 << 30  # type: ignore[attr-defined]
        assert await (await sending).whole(9) == b"ok"
        assert asked == most

    play(script, body)


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET /x HTTP/1.1\r\nA: b", "/", []),
        ("CONNECT", "/", []),
        ("GET", "/ HTTP/1.1\r\nA: b", []),
        ("GET", "/a b", []),
        ("GET", "http://elsewhere/", []),
        ("GET", "/\N{SNOWMAN}", []),
        ("GET", "/", [(b"a", b"b\r\nc: d")]),
        ("GET", "/", [(b"a", b"b\nc: d")]),
        ("GET", "/", [(b"a\r\nb", b"c")]),
        ("GET", "/", [(b"a", b"b\0")]),
    ],
)
def test_nothing_gets_into_a_head_that_is_no_part_of_it(
    play: Play, method: str, target: str, headers: list[tuple[bytes, bytes]]
) -> None:
    async def body(server: Raw, client: UpstreamClient) -> None:
        with pytest.raises(ValueError):
            await client.send(method, target, headers)
        assert server.lines == []

    play(always(OK), body)


def test_nothing_of_the_environment_changes_where_a_request_goes(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def body(server: Raw, client: UpstreamClient) -> None:
        assert await (await client.send("GET", "/", [])).whole(9) == b"ok"
        async with client.session.get(server.url) as reply:  # as sockets begin
            assert await reply.read() == b"ok"

    play(always(OK), body)


# -- what comes back -------------------------------------------------------------------------------


def test_an_answer_comes_back_byte_for_byte(play: Play) -> None:
    packed = gzip.compress(b"hello " * 50)
    told = (
        b"HTTP/1.1 418 I'm a  Teapot\r\nX-Odd-CASE: 1\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\n"
        b"X-Raw: caf\xe9 \xff\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    )

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        assert (reply.status, reply.reason) == (418, "I'm a  Teapot")
        assert list(reply.headers) == [
            (b"X-Odd-CASE", b"1"),
            (b"set-cookie", b"a=1"),
            (b"Set-Cookie", b"b=2"),
            (b"X-Raw", b"caf\xe9 \xff"),
            (b"Content-Encoding", b"gzip"),
            (b"Content-Length", b"%d" % len(packed)),
        ]
        assert (reply.header("x-odd-case"), reply.header("SET-COOKIE")) == ("1", "a=1")
        assert reply.header("absent") == ""
        assert await reply.whole(10_000) == packed

    play(always(told % len(packed), packed), body)


def test_cookies_are_not_kept_and_redirects_not_followed(play: Play) -> None:
    seen: list[bytes] = []
    moved = (
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n"
        b"\r\n"
    )

    async def body(server: Raw, client: UpstreamClient) -> None:
        for _ in range(2):
            reply = await client.send("GET", "/", [])
            assert (reply.status, reply.header("location")) == (302, "/elsewhere")
            assert await reply.whole(9) == b""
        assert seen == [b"GET / HTTP/1.1\r\nHost: " + server.host + b"\r\n\r\n"] * 2

    play(kept(seen, moved), body)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
        ("POST", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("POST", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ],
)
def test_an_answer_without_a_body_ends_at_once_and_keeps_its_connection(
    play: Play, method: str, answer: bytes
) -> None:
    async def body(server: Raw, client: UpstreamClient) -> None:
        for _ in range(3):
            reply = await client.send(method, "/", [])
            assert await reply.whole(10) == b""
            assert not reply.open
        assert len(server.lines) == 1

    play(always(answer), body)


def test_what_becomes_of_a_connection_later_is_nothing_of_an_answer_without_a_body(
    play: Play,
) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 204 No Content\r\n\r\n", pause=0.05)
        line.reset()

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        await asyncio.sleep(0.15)
        assert await reply.whole(9) == b""

    play(script, body)


def test_interim_answers_and_trailers_are_passed_over(play: Play) -> None:
    answer = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n"
    )

    async def body(server: Raw, client: UpstreamClient) -> None:
        for _ in range(2):
            reply = await client.send("GET", "/", [])
            assert [name for name, _ in reply.headers] == [b"Transfer-Encoding", b"Trailer"]
            assert await reply.whole(10) == b"abcde"
        assert len(server.lines) == 1

    play(always(answer), body)


@pytest.mark.parametrize("count", [MAX_INTERIM, MAX_INTERIM + 1])
def test_interim_answers_are_bounded(play: Play, count: int) -> None:
    async def body(server: Raw, client: UpstreamClient) -> None:
        if count <= MAX_INTERIM:
            assert await (await client.send("GET", "/", [])).whole(9) == b"ok"
        else:
            with pytest.raises(Broken, match="too many interim"):
                await client.send("GET", "/", [])

    play(always(b"HTTP/1.1 102 Processing\r\n\r\n" * count + OK), body)


def test_a_change_of_protocol_that_nobody_asked_for_is_no_answer(play: Play) -> None:
    async def body(server: Raw, client: UpstreamClient) -> None:
        with pytest.raises(Broken, match="changed the protocol"):
            await client.send("GET", "/", [])

    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    play(always(answer), body)


@pytest.mark.parametrize(
    ("head", "form", "last"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n", b"0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n", b"", b""),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"", b""),
    ],
    ids=["chunked", "length", "until_close"],
)
def test_pieces_come_as_soon_as_they_are_sent(
    play: Play, head: bytes, form: bytes, last: bytes
) -> None:
    step = asyncio.Event()
    pieces = [b"data: %d\n\n" % (number + 10) for number in range(2)] + [b"ab", b"ef"]

    async def script(line: Line) -> None:
        await line.request()
        await line.send(head)
        for piece in pieces:
            await step.wait()
            step.clear()
            await line.send(form % (len(piece), piece) if form else piece)
        await line.send(last)

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])  # the head is told before any of the body
        for piece in pieces:
            step.set()
            # The server sends no more until we have this one.
            assert await anext(reply) == piece
        assert [piece async for piece in reply] == []
        # Nobody looks any more whether it goes on.
        assert reply._timer is not None
        assert reply._timer.cancelled()

    play(script, body)


def test_a_body_up_to_the_connections_end_is_whole(play: Play) -> None:
    async def body(server: Raw, client: UpstreamClient) -> None:
        for version in range(2):
            reply = await client.send("GET", "/", [])
            assert await reply.whole(100) == b"all of it"
            assert len(server.lines) == version + 1

    play(always(b"HTTP/1.0 200 OK\r\n\r\nall ", b"of it", close=True), body)


def test_a_slow_reader_slows_the_upstream_down(play: Play) -> None:
    total = 200 * 65536
    written = 0

    async def script(line: Line) -> None:
        nonlocal written
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        for _ in range(200):
            await line.send(b"x" * 65536)
            written += 65536

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        first = await anext(reply)
        before = -1
        while written != before:
            before = written
            await asyncio.sleep(0.2)
        # What is left of it lies in the kernel's buffers, not with us.
        assert written < total
        held = len(first) + reply._payload._size
        assert held <= 2 * READ_BUFFER_BYTES + 256 * 1024 + 65536
        size = len(first)
        async for piece in reply:
            size += len(piece)
        assert size == total

    play(script, body)


def test_a_body_that_is_too_long_to_hold_can_still_be_read_in_pieces(play: Play) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"

    async def body(server: Raw, client: UpstreamClient) -> None:
        assert await (await client.send("GET", "/", [])).whole(10) == b"0123456789"
        reply = await client.send("GET", "/", [])
        with pytest.raises(TooLong, match="longer than 9 bytes"):
            await reply.whole(9)
        assert b"".join([piece async for piece in reply]) == b"0123456789"

    play(always(answer), body)


def test_who_is_cancelled_while_reading_loses_nothing(play: Play) -> None:
    go = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        await go.wait()
        await line.send(b"def")

    async def body(server: Raw, client: UpstreamClient) -> None:
        reply = await client.send("GET", "/", [])
        assert await anext(reply) == b"abc"
        waiting = asyncio.ensure_future(reply.whole(9))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()
        assert await reply.whole(9) == b"def"

    play(script, body)
