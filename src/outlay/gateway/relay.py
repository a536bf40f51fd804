"""Passes one answer on: from the upstream, through the meter, to the client, in step with both.

Pieces go on as they come; a client that reads slowly slows the upstream down. An upstream that
breaks off breaks the client's answer off too: it never looks whole. For a client that is gone the
rest is read in a bound, so that what the provider bills is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from outlay.gateway.call import Call
from outlay.gateway.unmetered import AnyAttempt
from outlay.gateway.upstream import Broken, Reply, TimedOut, TooLong

HELD_BYTES: Final = 16 * 1024 * 1024
"""Longest answer that is held back so that its headers can tell its cost."""

STREAMS: Final = frozenset(
    {
        "text/event-stream", "application/x-ndjson", "application/stream+json",
        "application/vnd.amazon.eventstream",
    }
)  # fmt: skip
"""Types of answers that are read as they come."""

Header = tuple[bytes, bytes]


class Passed:
    """How an answer went on."""

    __slots__ = ("broken", "bytes_out", "drained", "left")

    def __init__(self) -> None:
        self.bytes_out = 0
        self.broken: Broken | TimedOut | None = None
        """The upstream broke off."""
        self.left = False
        """The client hung up before the end."""
        self.drained = False
        """The rest was read for a client that was gone."""


async def pass_on(
    reply: Reply,
    attempt: AnyAttempt | None,
    headers: list[Header],
    *,
    call: Call,
    tells: Callable[[], list[Header]] | None = None,
) -> Passed:
    """Pass an answer on and end its attempt.

    Args:
        reply: the upstream's answer, its body not read yet.
        attempt: what meters it; `None` for what nobody meters.
        headers: what the client is told, before the body.
        call: the request.
        tells: makes headers of what is known once the attempt has ended; a whole answer is then
            held back until it is there, if it is not too long.

    Raises:
        Broken, TimedOut: the upstream broke off, and the client has been told nothing yet.
        asyncio.CancelledError: this task was cancelled.

    However it ends, the attempt has been ended.
    """
    passed = Passed()
    try:
        await _pass_on(reply, attempt, headers, passed, call, tells)
    except (Broken, TimedOut) as error:
        _end(attempt, complete=False, error=error.cause())
        reply.close()
        if not call.started:
            raise
        passed.broken = error
        call.peer.abort()
    except BaseException as error:
        _end(attempt, complete=False, error=error)
        reply.close()
        if not isinstance(error, asyncio.CancelledError) and call.started:
            call.peer.abort()
        raise
    return passed


async def _pass_on(
    reply: Reply,
    attempt: AnyAttempt | None,
    headers: list[Header],
    passed: Passed,
    call: Call,
    tells: Callable[[], list[Header]] | None,
) -> None:
    first = b""
    if not _is_stream(reply):
        # Nobody can use the head of a whole answer alone, and together they leave in one packet.
        first = await (anext(reply, b"") if tells is None else _held(reply))
        if reply.over:
            shown = first if attempt is None else attempt.take(first) + attempt.rest()
            _end(attempt, complete=True)
            await _head(reply, headers if tells is None else headers + tells(), call)
            passed.bytes_out = len(shown)
            await call.send({"type": "http.response.body", "body": shown})
            return
    await _head(reply, headers, call)
    await _body(reply, first, attempt, passed, call)


async def _held(reply: Reply) -> bytes:
    """Return a whole answer, or nothing of one that is too long; then it comes in pieces."""
    try:
        return await reply.whole(HELD_BYTES)
    except TooLong:
        return b""


async def _head(reply: Reply, headers: list[Header], call: Call) -> None:
    call.begin(reply.status)
    await call.send({"type": "http.response.start", "status": reply.status, "headers": headers})


def _is_stream(reply: Reply) -> bool:
    return reply.header("content-type").partition(";")[0].strip().lower() in STREAMS


async def _body(
    reply: Reply, first: bytes, attempt: AnyAttempt | None, passed: Passed, call: Call
) -> None:
    send, peer, piece = call.send, call.peer, first
    while True:
        if piece:
            shown = piece if attempt is None else attempt.take(piece)
            if shown:
                passed.bytes_out += len(shown)
                await send({"type": "http.response.body", "body": shown, "more_body": True})
            if attempt is not None and attempt.cut:
                break
            if peer.gone:
                passed.left = True
                await _drain(reply, attempt, passed, call)
                return
        piece = await anext(reply, b"")
        if not piece:
            break
    last = b"" if attempt is None else attempt.rest()
    passed.bytes_out += len(last)
    cut = attempt is not None and attempt.cut
    # The event first: who has seen the end of an answer finds it recorded.
    _end(attempt, complete=not cut)
    if cut:
        reply.close()
    await send({"type": "http.response.body", "body": last})


async def _drain(reply: Reply, attempt: AnyAttempt | None, passed: Passed, call: Call) -> None:
    """Read the rest for the meter, at most so much and so long."""
    if attempt is None or not call.drains:
        _end(attempt, complete=False, error=asyncio.CancelledError())
        reply.close()
        return
    left = call.config.drain_bytes
    try:
        # How long this may go on is bounded by the exchange, which ends the task.
        async for piece in reply:
            attempt.take(piece)
            left -= len(piece)
            if attempt.cut or left < 0:
                break
        else:
            attempt.rest()
            passed.drained = True
    except (TimedOut, Broken):
        passed.drained = False
    if passed.drained:
        _end(attempt, complete=True)
        return
    _end(attempt, complete=False, error=asyncio.CancelledError())
    reply.close()


def _end(attempt: AnyAttempt | None, *, complete: bool, error: BaseException | None = None) -> None:
    if attempt is not None:
        attempt.end(complete=complete, error=error)
