"""The messages of one socket, passed on both ways as they come, until one side ends it.

It owns the pace (who reads slowly slows the other side down), how closes are told to the other
side, the bounds of silence, and that work which is under way when the client leaves, or when the
gateway ends, is still counted. Each message is metered before it is handed on: who has seen the end
of an answer finds it recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple, Protocol

import aiohttp

IDLE_S: Final = 3600.0
"""A socket on which nobody says anything for so long is closed; providers close theirs sooner."""
QUIET_S: Final = 15.0
"""A provider that is silent for so long is not waited for, once the client is gone."""
FAREWELL_S: Final = 5.0
"""How long an upstream that takes no more messages may take to say why."""
MAX_REASON_BYTES: Final = 123

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
NO_CODE: Final = 1005
LOST: Final = 1006
NOT_ALLOWED: Final = 1008
DEFECT: Final = 1011
RESTARTS: Final = 1012
"""Of a client: it has not left, but the listener stops, and the socket is to end soon."""
BROKEN: Final = 1014
"""Told to clients whose upstream broke off, since no frame can say `LOST`."""
_SENDABLE: Final = frozenset(
    (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)
)
_APPLICATIONS: Final = range(3000, 5000)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Meter(Protocol):
    """What counts a socket: a `Follower`."""

    @property
    def under_way(self) -> bool:
        """Whether the provider is at work that a message of its own will end and count."""

    def sent(self, message: str | bytes) -> None:
        """Take a message that is about to leave."""

    def received(self, message: str | bytes) -> None:
        """Take a message that came."""


class Ending(NamedTuple):
    """Who ended a socket, and how."""

    by: str
    """`client`, `upstream` or `gateway`."""
    code: int
    reason: str = ""
    error: BaseException | None = None
    """The failure that ended it, if it was one."""

    def code_for(self, side: str) -> int:
        """Return the code that a side is told; only some may be sent."""
        if self.code in (LOST, RESTARTS) and side == "upstream":
            return GOING_AWAY
        if self.code == LOST:
            return BROKEN
        sendable = self.code in _SENDABLE or self.code in _APPLICATIONS
        return self.code if sendable else NORMAL


class Conversation:
    """One socket whose both ends are open."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        upstream: aiohttp.ClientWebSocketResponse[Any],
        meter: Meter | None,
        *,
        allows: Callable[[str | bytes], bool] | None = None,
    ) -> None:
        """Take both ends.

        Args:
            receive: ASGI's, of the client.
            send: ASGI's, of the client.
            upstream: the provider's end.
            meter: counts what passes; `None`: nobody does.
            allows: tells whether a message of the client may go on; `None`: all may.
        """
        self._receive = receive
        self._send = send
        self._upstream = upstream
        self._meter = meter
        self._allows = allows
        self._touched = 0.0
        self._gone = False
        """The client hears no more."""
        self._left: int | None = None
        """Bytes that the provider may still send; `None` while the client is there."""
        self.bytes_in = 0
        self.bytes_out = 0
        self.drained = False
        """Work under way when the client left was awaited to its end."""
        self.given_up = False
        """Work under way when the socket ended was not."""

    @property
    def _under_way(self) -> bool:
        return self._meter is not None and self._meter.under_way

    async def run(self, *, drain_s: float, drain_bytes: int) -> Ending:
        """Pass messages on until one side ends it, and close both.

        Args:
            drain_s: how long work under way is awaited for a client that leaves; 0: not at all.
            drain_bytes: at most so much of it is read.
        """
        loop = asyncio.get_running_loop()
        self._touched = loop.time()
        up = loop.create_task(self._from_client())
        down = loop.create_task(self._from_upstream())
        try:
            ending = await self._first(up, down)
            if ending.by == "client" and drain_s > 0 and self._under_way:
                self._gone = ending.code != RESTARTS
                self._left = drain_bytes
                await self._drain(down, drain_s)
                self.drained = not self._under_way
        except asyncio.CancelledError:  # the listener waits no longer
            await self._stop(up, down)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await self._close(Ending("gateway", RESTARTS))
            raise
        finally:
            await self._stop(up, down)
        await self._close(ending)
        return ending

    async def _stop(self, *tasks: asyncio.Task[Any]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.given_up = self._under_way

    # -- both ways -----------------------------------------------------------------------------

    async def _from_client(self) -> Ending | None:
        """Pass the client's messages on; `None`: the upstream takes no more."""
        loop, upstream = asyncio.get_running_loop(), self._upstream
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return Ending("client", message.get("code") or NO_CODE, message.get("reason") or "")
            data: str | bytes | None = message.get("text")
            if data is None:
                data = message.get("bytes") or b""
            self._touched = loop.time()
            self.bytes_in += len(data)
            if self._allows is not None and not self._allows(data):
                return Ending("gateway", NOT_ALLOWED, "The key may not ask for this model.")
            if self._meter is not None:
                self._meter.sent(data)
            try:
                if isinstance(data, str):
                    await upstream.send_str(data)
                else:
                    await upstream.send_bytes(data)
            except (aiohttp.ClientError, ConnectionError):
                return None

    async def _from_upstream(self) -> Ending:
        """Pass the provider's messages on."""
        loop = asyncio.get_running_loop()
        while True:
            message = await self._upstream.receive()
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return _ending_of(message, self._upstream.exception())
            data: str | bytes = message.data
            self._touched = loop.time()
            self.bytes_out += len(data)
            if self._meter is not None:
                self._meter.received(data)
            await self._to_client(data)
            if self._left is not None:
                self._left -= len(data)
                if self._left < 0 or not self._under_way:
                    return Ending("client", GOING_AWAY)

    async def _to_client(self, data: str | bytes) -> None:
        if self._gone:
            return
        kind = "text" if isinstance(data, str) else "bytes"
        try:
            await self._send({"type": "websocket.send", kind: data})
        except (OSError, RuntimeError):
            self._gone = True  # what it said, if anything, comes the other way

    # -- its end -------------------------------------------------------------------------------

    async def _first(self, up: asyncio.Task[Ending | None], down: asyncio.Task[Ending]) -> Ending:
        """Wait for the first side that ends it."""
        loop = asyncio.get_running_loop()
        while True:
            rest = self._touched + IDLE_S - loop.time()
            if rest <= 0:
                return Ending("gateway", GOING_AWAY, "Nothing was said for too long.")
            done, _ = await asyncio.wait(
                (up, down), timeout=rest, return_when=asyncio.FIRST_COMPLETED
            )
            if down in done:
                return down.result()
            if up in done:
                ending = up.result()
                if ending is not None:
                    return ending
                await asyncio.wait((down,), timeout=FAREWELL_S)
                if down.done():
                    return down.result()
                return Ending("upstream", LOST, error=ConnectionResetError())

    async def _drain(self, down: asyncio.Task[Ending], drain_s: float) -> None:
        """Let the provider end what is under way, for so long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + drain_s
        self._touched = loop.time()
        while not down.done():
            rest = min(until, self._touched + QUIET_S) - loop.time()
            if rest <= 0:
                return
            await asyncio.wait((down,), timeout=rest)

    async def _close(self, ending: Ending) -> None:
        """Tell each side that did not end it how it ended."""
        reason = clipped(ending.reason)
        # The client first: it does not wait for an upstream that takes its time.
        if ending.by != "client" or ending.code == RESTARTS:
            code = ending.code_for("client")
            with contextlib.suppress(OSError, RuntimeError):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        if ending.by != "upstream":
            # Nobody listens any more, so this sends the frame and does not wait for an answer.
            with contextlib.suppress(aiohttp.ClientError, OSError):
                await self._upstream.close(
                    code=ending.code_for("upstream"), message=reason.encode()
                )


def _ending_of(message: aiohttp.WSMessage, failure: BaseException | None) -> Ending:
    """Return how the upstream ended it: with a close of its own, or broken off."""
    if message.type is aiohttp.WSMsgType.CLOSE:
        return Ending("upstream", message.data or NORMAL, message.extra or "")
    error = message.data if isinstance(message.data, BaseException) else failure
    if isinstance(error, aiohttp.WebSocketError):
        return Ending("upstream", error.code, error=error)
    return Ending("upstream", LOST, error=error or ConnectionResetError())


def clipped(reason: str) -> str:
    """Return a reason that fits into a close."""
    return reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")
