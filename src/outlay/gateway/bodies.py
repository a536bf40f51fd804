"""The body of a request on its way in: whole where a codec reads it, else in pieces as they come.

A JSON body is what says model, bounds and prompt, so it is read whole, up to a bound. Of anything
else (uploads, audio) only the head is kept, where a form has its fields, and the rest passes
through. It owns the bounds in bytes and time of what a client may send.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Final, Self

from outlay.gateway.config import GatewayConfig
from outlay.gateway.problems import Problem
from outlay.wire.multipart import MAX_SCANNED_BYTES

FORM_HEAD_BYTES: Final = MAX_SCANNED_BYTES
"""How much of a body that is no JSON is kept for its codec; what is not longer is read whole."""
PIECE_S: Final = 30.0
"""How long a client may take for the next piece of its body."""
BODY_S: Final = 900.0
"""How long a client may take for all of its body."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(Exception):  # noqa: N818 - what has happened, not what is wrong
    """The client hung up before its request was whole."""


class Body:
    """A request's body: `known` is what is in memory, all of it where `more` is `None`."""

    __slots__ = ("known", "length", "more")

    def __init__(
        self, known: bytes, more: AsyncIterator[bytes] | None = None, length: int | None = None
    ) -> None:
        self.known = known
        self.more = more
        self.length = length
        """Bytes of the whole, where the client has said so."""

    def pieces(self) -> AsyncIterator[bytes]:
        """Return the whole body in pieces, once: what was read already, then what comes."""
        return _all(self.known, self.more)


async def read_body(
    receive: Receive,
    *,
    config: GatewayConfig,
    content_type: bytes,
    content_length: bytes,
    arrived: bool = False,
) -> Body:
    """Read as much of a body as somebody here has to see; `arrived`: all of it is here already.

    Raises:
        Problem: it is too long or too slow.
        ClientGone: the client has hung up.
    """
    length = int(content_length) if content_length.isdigit() else None
    whole = not content_type or b"json" in content_type.lower() or b"text" in content_type.lower()
    most = config.buffer_bytes if whole else config.max_body_bytes
    if length is not None and length > most:
        raise _too_large(most, "buffer_bytes" if whole else "max_body_bytes")
    message = await (receive() if arrived else _next(receive))
    if message["type"] == "http.disconnect":
        raise ClientGone
    known: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return Body(known, None, len(known))
    taken = bytearray(known)
    async with _Deadline() as deadline:
        while True:
            message = await _next(receive)
            taken += message.get("body", b"")
            if not message.get("more_body"):
                return Body(bytes(taken), None, len(taken))
            if whole and len(taken) > most:
                raise _too_large(most, "buffer_bytes")
            if not whole and len(taken) >= FORM_HEAD_BYTES:
                break
    known = bytes(taken)
    return Body(known, _rest(receive, len(known), most, deadline.until), length)


async def _rest(receive: Receive, taken: int, most: int, until: float) -> AsyncIterator[bytes]:
    while True:
        async with _Deadline(until):
            message = await _next(receive)
        piece = message.get("body", b"")
        taken += len(piece)
        if taken > most:
            raise _too_large(most, "max_body_bytes")
        if piece:
            yield piece
        if not message.get("more_body"):
            return


async def _all(known: bytes, more: AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    if known:
        yield known
    if more is not None:
        async for piece in more:
            yield piece


async def _next(receive: Receive) -> MutableMapping[str, Any]:
    try:
        async with asyncio.timeout(PIECE_S):
            message = await receive()
    except TimeoutError:
        raise _too_slow() from None
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


class _Deadline:
    """Bounds what happens inside by `BODY_S`, or by a time of the loop's clock."""

    def __init__(self, until: float | None = None) -> None:
        self.until = asyncio.get_running_loop().time() + BODY_S if until is None else until
        self._timeout = asyncio.timeout_at(self.until)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise _too_slow() from None


def _too_large(most: int, setting: str) -> Problem:
    return Problem(
        413,
        "body_too_large",
        f"The request's body is larger than {most} bytes.",
        hint=f"Send less at once, or raise `{setting}` in the gateway's configuration.",
    )


def _too_slow() -> Problem:
    return Problem(408, "body_too_slow", "The request's body did not come in time.")
