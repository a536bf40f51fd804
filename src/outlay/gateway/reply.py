"""An answer of an upstream while it comes: its head, its body in pieces, and how it ends.

Pieces are handed on as they come, undecoded; nobody's slowness but the upstream's is measured. What
is not read to its end costs its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD

from outlay.gateway.failures import Broken, TimedOut, TooLong
from outlay.gateway.upload import Upload

MAX_INTERIM: Final = 32
"""Answers 1xx before the real one; they are not passed on."""
TRANSPORT_ERRORS: Final = (aiohttp.ClientError, HttpProcessingError, OSError)
"""What a connection that breaks, or speaks no HTTP, raises."""


class Reply:
    """One answer. Read it to its end, or `close` it."""

    __slots__ = (
        "_connection", "_folded", "_gone", "_held", "_idle_s", "_loop", "_on_over", "_payload",
        "_protocol", "_since", "_timer", "_until_close", "_upload", "headers", "reason", "status",
    )  # fmt: skip

    def __init__(
        self,
        message: RawResponseMessage,
        payload: aiohttp.StreamReader,
        connection: Connection,
        protocol: ResponseHandler,
        *,
        idle_s: float,
        upload: Upload | None,
        on_over: Callable[[Reply], None],
    ) -> None:
        """Begin with the head; `on_over` is called once, when the connection is given back."""
        self.status: int = message.code
        self.reason: str = message.reason
        self.headers: tuple[tuple[bytes, bytes], ...] = message.raw_headers
        """As they came: names in their case, in order, with repeats."""
        self._folded = message.headers
        self._until_close = (
            payload is not EMPTY_PAYLOAD
            and not message.chunked
            and "Content-Length" not in message.headers
        )
        self._payload = payload
        self._protocol = protocol
        self._connection: Connection | None = connection
        self._idle_s = idle_s
        self._upload = upload
        self._on_over = on_over
        self._loop = asyncio.get_running_loop()
        self._held = b""
        self._gone = False
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        payload.on_eof(self._ended)

    @property
    def open(self) -> bool:
        """Whether more of it may come from its connection."""
        return self._connection is not None

    @property
    def over(self) -> bool:
        """Whether all of it has been read, and it was whole."""
        payload = self._payload
        return not self._held and bool(payload.at_eof()) and payload.exception() is None

    def header(self, name: str) -> str:
        """Return the first header of a name, in any case; empty if there is none."""
        found: str = self._folded.get(name, "")
        return found

    def __aiter__(self) -> Reply:
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece, as soon as there is one.

        Being cancelled loses nothing: somebody else may go on reading.

        Raises:
            Broken: the connection ended before the answer did, or `close` was called.
            TimedOut: nothing came for too long.
        """
        if self._held:
            held, self._held = self._held, b""
            return held
        payload = self._payload
        if self._gone:
            raise Broken("The answer was hung up on.")
        if not payload.is_eof():
            self._since = self._loop.time()
            if self._timer is None:
                self._timer = self._loop.call_later(self._idle_s, self._look)
        try:
            piece = await payload.readany()
        except Exception as error:
            self.close()
            if not isinstance(error, (*TRANSPORT_ERRORS, RuntimeError)) or self._is_upload(error):
                raise
            raise Broken("The connection broke before the answer was whole.") from error
        finally:
            self._since = 0.0
        if piece:
            return piece
        self._check_end()
        raise StopAsyncIteration

    async def whole(self, limit: int) -> bytes:
        """Return the whole body, or what is left of it.

        Raises:
            TooLong: it is longer than `limit` bytes; reading in pieces then begins where this did.
            Broken: the connection ended before the answer did.
            TimedOut: nothing came for too long.
        """
        pieces: list[bytes] = []
        size = 0
        async for piece in self:
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                self._held = b"".join(pieces)
                raise TooLong(f"The answer is longer than {limit} bytes.")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Hang up, if the answer has not been read to its end from the connection."""
        connection = self._connection
        if connection is None:
            return
        self._gone = True
        self._over()
        if self._payload.exception() is None:
            # Who waits for a piece in another task must hear of it.
            self._payload.set_exception(Broken("The answer was hung up on."))
        drop(connection)

    def _ended(self) -> None:
        """Give the connection back: the last byte has come from it, though maybe not been read."""
        connection = self._connection
        if connection is None:
            return
        upload = self._upload
        self._over()
        if upload is None or upload.done:
            connection.release()
        else:
            drop(connection)

    def _over(self) -> None:
        self._connection = None
        if self._timer is not None:
            self._timer.cancel()
        if self._upload is not None:
            self._upload.stop()
        self._on_over(self)

    def _look(self) -> None:
        """See whether the upstream has been waited for too long; a slow reader is not its fault."""
        waited = self._loop.time() - self._since if self._since else 0.0
        if waited < self._idle_s:
            self._timer = self._loop.call_later(self._idle_s - waited, self._look)
        else:
            self._payload.set_exception(TimedOut("idle"))

    def _check_end(self) -> None:
        """Raise if what looks like an end was a connection that broke."""
        if self._until_close and isinstance(self._protocol.exception(), aiohttp.ClientOSError):
            raise Broken("The connection broke before the answer was whole.")

    def _is_upload(self, error: BaseException) -> bool:
        return self._upload is not None and self._upload.error is error


def drop(connection: Connection) -> None:
    """End a connection at once, whatever is still on its way."""
    transport = connection.transport
    if transport is not None:
        transport.abort()
    connection.close()


class HeadWait:
    """The time that an upstream has to begin its answer, from when it has the request."""

    __slots__ = ("_over", "_protocol", "_seconds", "_timer")

    def __init__(self, protocol: ResponseHandler | None, seconds: float) -> None:
        self._protocol = protocol
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def begin(self) -> None:
        """Begin to count, if nobody has stopped waiting."""
        if not self._over:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._late)

    def end(self) -> None:
        """Stop counting."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()

    def _late(self) -> None:
        if self._protocol is not None:
            self._protocol.set_exception(TimedOut("first_byte"))


async def head_of(protocol: ResponseHandler) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
    """Return the head of the answer, past interim ones, and its body."""
    for _ in range(1 + MAX_INTERIM):
        message, payload = await protocol.read()
        if message.code >= 200:
            return message, payload
        if message.code == 101:
            raise Broken("The upstream changed the protocol, which nobody had asked for.")
    raise Broken("The upstream sent too many interim answers.")
