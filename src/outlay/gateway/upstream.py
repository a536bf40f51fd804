"""The HTTP client of one upstream: requests go out, and answers come in, byte for byte.

It takes from aiohttp what is hard (names, TLS, the pool, the parser, flow control) and leaves out
what would change a request or cost time: no redirects, cookies, decompression, headers of its own,
proxies from the environment, or rewritten URLs. What is sent is decided by its caller.
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from outlay.gateway.config import Upstream
from outlay.gateway.failures import (
    Broken,
    TimedOut,
    TooLong,
    Unreachable,
    UpstreamError,
)
from outlay.gateway.reply import TRANSPORT_ERRORS, HeadWait, Reply, drop, head_of
from outlay.gateway.upload import Upload

__all__ = [
    "Broken", "Reply", "TimedOut", "TooLong", "Unreachable", "UpstreamClient", "UpstreamError",
]  # fmt: skip

MAX_CONNECTIONS: Final = 32_768
"""Connections to one upstream at once, sockets among them."""
KEEPALIVE_S: Final = 15.0
"""How long an idle connection is kept; most servers keep theirs longer."""
DNS_S: Final = 30
"""How long an address is kept that a name stood for."""
READ_BUFFER_BYTES: Final = 64 * 1024
"""How much of an answer is read ahead; twice that stops reading until somebody takes some."""
MAX_HEADER_BYTES: Final = 64 * 1024
"""Longest line of an answer's head."""
JOINED_BYTES: Final = 64 * 1024
"""A body up to this is sent in one piece with its head."""
IDLE_LOOK_S: Final = 0.25
CLOSE_S: Final = 3600.0
"""Longest that a client which is no longer used waits for its last answers."""

_SAFE_TWICE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may reach a server twice (RFC 9110, 9.2.2)."""
_BODYLESS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})
"""Methods that say no length where they have no body."""
_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET: Final = re.compile(r"/[^\x00-\x20\x7f]*")
_LENGTH: Final = b"content-length"
_FRAMING: Final = frozenset({_LENGTH, b"transfer-encoding"})
_AUTO_HEADERS: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""What aiohttp would add to the handshakes of sockets."""

Header = tuple[bytes, bytes]


class _Handler(ResponseHandler):
    """One connection, which tells the reader of a body of whatever happens to it."""

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        payload = self._payload
        super().set_exception(exc, exc if exc_cause is None else exc_cause)
        # Of bytes that are no HTTP the parser tells nobody who reads the body.
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(exc)


class _Connector(aiohttp.TCPConnector):
    """A pool that counts the connections it has made."""

    created = 0

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        handler: type[ResponseHandler] = _Handler
        self._factory = functools.partial(handler, loop=self._loop)

    async def _create_connection(self, *args: Any, **named: Any) -> ResponseHandler:
        protocol = await super()._create_connection(*args, **named)
        self.created += 1
        return protocol

    @property
    def busy(self) -> bool:
        """Whether any connection is in use, by a call or a socket."""
        return bool(self._acquired)


class _Open(NamedTuple):
    session: aiohttp.ClientSession
    connector: _Connector
    where: aiohttp.ClientRequest
    """Tells the pool where connections go."""


class UpstreamClient:
    """A client of one upstream; its pool opens with the first use, in the loop that runs then."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._timeouts = upstream.timeouts
        url = URL(upstream.url)
        self._origin = url.origin()
        self._prefix = urlsplit(upstream.url).path.encode("latin-1")
        self._host = (url.host_port_subcomponent or "").encode("ascii")
        connect_s = upstream.timeouts.connect_s
        self._connect_timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_s, sock_connect=connect_s
        )
        self._open: _Open | None = None
        self._replies: set[Reply] = set()
        self._closed = False

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session whose pool this is, for sockets.

        Raises:
            Unreachable: the certificates to trust cannot be read, or the client is closed.
        """
        return self._opened().session

    async def send(
        self,
        method: str,
        target: str,
        headers: Sequence[Header],
        body: bytes | AsyncIterator[bytes] | None = None,
        *,
        on_sent: Callable[[], None] = lambda: None,
    ) -> Reply:
        """Send a request and return its answer once that has begun.

        Args:
            method: as the client said it.
            target: path and query behind the upstream's URL, as they go on the wire.
            headers: all but `Host`. How the body is framed is said by the client, too; of a body in
                pieces `content-length` may tell the length, without it goes in chunks.
            body: in bytes, or in pieces, which are asked for no faster than they are sent.
            on_sent: called when there is a connection, before the first byte goes.

        Raises:
            Unreachable: there is no connection; nothing was sent.
            TimedOut: connecting, sending, or beginning to answer took too long.
            Broken: the connection died, or what came is no answer.
            ValueError: the request cannot be put on the wire as it is.
            Exception: what the iterator of the body raised.
        """
        plain = [pair for pair in headers if pair[0].lower() not in _FRAMING]
        head = self._head(method, target, plain)
        if body is not None and not isinstance(body, bytes):
            return await self._send_pieces(method, head, body, _length(headers), on_sent)
        if body or method not in _BODYLESS:
            head += b"Content-Length: %d\r\n" % len(body or b"")
        head += b"\r\n"
        connection, fresh = await self._connect()
        on_sent()
        try:
            return await self._exchange(connection, method, head, body or b"")
        except Broken:
            # A server may end a kept connection while the next request is on its way to it.
            if fresh or method not in _SAFE_TWICE:
                raise
        connection, _ = await self._connect()
        return await self._exchange(connection, method, head, body or b"")

    async def close(self) -> None:
        """Hang up on everything."""
        self._closed = True
        for reply in tuple(self._replies):
            reply.close()
        if self._open is not None:
            await self._open.session.close()

    async def close_when_idle(self) -> None:
        """Close once no connection is in use any more, or after `CLOSE_S`."""
        if self._open is not None:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + CLOSE_S
            while self._open.connector.busy and loop.time() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(IDLE_LOOK_S)  # the pool tells nobody when it falls idle
        await self.close()

    def _head(self, method: str, target: str, headers: Sequence[Header]) -> bytes:
        """Return the lines of a head so far; more may follow."""
        if _METHOD.fullmatch(method) is None or method == "CONNECT":
            raise ValueError("No such method is passed on.")
        if _TARGET.fullmatch(target) is None:
            raise ValueError("The path or query has signs that no request line may have.")
        path = self._prefix + target.encode("latin-1")
        first = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method.encode("ascii"), path, self._host)
        head = first + b"".join([b"%b: %b\r\n" % pair for pair in headers])
        lines = 2 + len(headers)
        if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
            raise ValueError("A header has a line break or a NUL in it.")
        return head

    async def _send_pieces(
        self, method: str, head: bytes, body: AsyncIterator[bytes], length: int | None,
        on_sent: Callable[[], None],
    ) -> Reply:  # fmt: skip
        if length is None:
            head += b"Transfer-Encoding: chunked\r\n\r\n"
        else:
            head += b"Content-Length: %d\r\n\r\n" % length
        # A client that is slow to begin holds no connection.
        pieces = _begun(await anext(body, b""), body)
        connection, _ = await self._connect()
        on_sent()
        return await self._exchange(connection, method, head, pieces, length)

    async def _connect(self) -> tuple[Connection, bool]:
        """Return a connection, and whether it is new."""
        opened = self._open or self._opened()
        connector = opened.connector
        while True:
            created = connector.created
            try:
                connection = await connector.connect(opened.where, [], self._connect_timeout)
            except TimeoutError as error:
                raise TimedOut("connect") from error
            except (aiohttp.ClientError, OSError) as error:
                raise Unreachable(f"The upstream cannot be reached: {error}") from error
            # One that is found in the pool is had without waiting, so others made none meanwhile.
            fresh = connector.created != created
            protocol = connection.protocol
            if fresh or (protocol is not None and not protocol.should_close):
                return connection, fresh
            # Something came unasked while it was kept: that must not answer the next request.
            drop(connection)

    async def _exchange(
        self,
        connection: Connection,
        method: str,
        head: bytes,
        body: bytes | AsyncIterator[bytes],
        length: int | None = None,
    ) -> Reply:
        """Send a request on a connection, which is gone if this fails, and return its answer."""
        protocol, transport = connection.protocol, connection.transport
        upload: Upload | None = None
        wait = HeadWait(protocol, self._timeouts.first_byte_s)
        try:
            if protocol is None or transport is None:
                raise Broken("The connection was closed before anything was sent.")
            protocol.set_response_params(
                skip_payload=method == "HEAD",
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=READ_BUFFER_BYTES,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
            )
            if not isinstance(body, bytes):
                idle_s = self._timeouts.idle_s
                upload = Upload(
                    protocol, head, body, length=length, stall_s=idle_s, on_sent=wait.begin
                )
            else:
                if len(body) > JOINED_BYTES:
                    transport.write(head)
                    transport.write(body)
                else:
                    transport.write(head + body)
                wait.begin()
            message, payload = await head_of(protocol)
        except BaseException as error:
            drop(connection)
            if upload is not None:
                upload.stop()
                if upload.error is error:
                    raise
            if isinstance(error, TRANSPORT_ERRORS):
                raise Broken("The connection broke before an answer came.") from error
            raise
        finally:
            wait.end()
        reply = Reply(
            message, payload, connection, protocol,
            idle_s=self._timeouts.idle_s, upload=upload, on_over=self._replies.discard,
        )  # fmt: skip
        if reply.open:
            self._replies.add(reply)
        return reply

    def _opened(self) -> _Open:
        if self._closed:
            raise Unreachable("The gateway has closed its client of this upstream.")
        if self._open is None:
            context: ssl.SSLContext | bool = True
            if self._upstream.ca_file:
                context = _trusting(self._upstream.ca_file)
            connector = _Connector(
                limit=MAX_CONNECTIONS,
                keepalive_timeout=KEEPALIVE_S,
                ttl_dns_cache=DNS_S,
                ssl=context,
            )
            session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._connect_timeout,
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=_AUTO_HEADERS,
            )
            where = aiohttp.ClientRequest(
                "GET", self._origin, loop=asyncio.get_running_loop(), session=session
            )
            self._open = _Open(session, connector, where)
        return self._open


async def _begun(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _length(headers: Sequence[Header]) -> int | None:
    """Return what the headers tell of the body's length."""
    said = next((value for name, value in headers if name.lower() == _LENGTH), None)
    if said is None:
        return None
    if not said.isdigit():
        raise ValueError("The length of the body is no number.")
    return int(said)


def _trusting(ca_file: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # an SSLError, too
        why = error.strerror or "they are no certificates"
        raise Unreachable(f"The certificates in {ca_file} cannot be read: {why}.") from error
    context.set_alpn_protocols(("http/1.1",))
    return context
