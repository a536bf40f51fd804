"""The listener's HTTP connections: bounded in bytes and time, and told of to the application.

An application is told in the ASGI scope's `extensions`, under `PEER`, whether its client is still
there, and how to break an answer off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES: Final = 64 * 1024
"""Bound of a request line with its headers, and of the trailers behind a body."""
HEAD_TIMEOUT_S: Final = 10.0
"""A new connection or request whose head is not whole after this is closed: idle senders must
not use the connections up."""
LINGER_S: Final = 10.0
"""How long a client may take to read what was sent to it before its answer was broken off, or to
send the rest of a request that has been answered."""
STALL_S: Final = 60.0
"""A client that takes nothing of its answer for so long is hung up on."""
PEER: Final = "outlay.peer"
"""The name in the scope's `extensions`."""


class ClientEnd:
    """The client's end of one request, as the application sees it; used on the event loop."""

    __slots__ = ("_callback", "_cycle", "_protocol")

    def __init__(self, protocol: BoundedHead, cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle
        self._callback: Callable[[], None] | None = None

    @property
    def gone(self) -> bool:
        """Whether the client has hung up before its answer was whole."""
        return self._protocol.lost and not self._cycle.response_complete

    @property
    def arrived(self) -> bool:
        """Whether all of the request is here."""
        return not self._cycle.more_body

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Have a callback called once when the client hangs up, soon if it has; `None`: no more."""
        self._callback = callback
        if callback is None:
            self._protocol.ends.discard(self)
        elif self._protocol.lost:
            self._protocol.loop.call_soon(self.left)
        else:
            self._protocol.ends.add(self)

    def left(self) -> None:
        """Tell whoever waits for it that the client has hung up."""
        callback, self._callback = self._callback, None
        if callback is not None and not self._cycle.response_complete:
            callback()

    def abort(self) -> None:
        """Break the connection off behind what was sent, so that the answer does not look whole."""
        self.on_gone(None)
        if not self._cycle.response_complete:
            self._cycle.disconnected = True
            self._protocol.break_off()


class BoundedHead(HttpToolsProtocol):
    """HTTP/1.1 whose heads are bounded in bytes and time; the parser by itself bounds neither."""

    lost = False
    """The connection is no more."""
    _head_bytes = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None
    _lingers = False
    """The request has its answer, and is not whole."""
    _stall: asyncio.TimerHandle | None = None
    _unread = 0
    """Bytes of an answer that the client had not taken when it was last looked."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self.ends: set[ClientEnd] = set()
        """Those of requests under way that want to hear of the connection's loss."""
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting, and tell the requests under way."""
        self._stop_waiting()
        super().connection_lost(exc)  # lets who waits to write go on
        self.resume_writing()
        self.lost = True
        ends, self.ends = self.ends, set()
        for end in ends:
            end.left()

    def break_off(self) -> None:
        """Close the connection once what was written has left, or after a while."""
        if not self.lost:
            self.transport.close()
            self.loop.call_later(LINGER_S, self.transport.abort)

    def pause_writing(self) -> None:
        """Begin to watch that the client takes something."""
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(STALL_S, self._look)

    def resume_writing(self) -> None:
        """Stop watching."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _look(self) -> None:
        """Hang up on a client that has taken nothing since the last look."""
        before, self._unread = self._unread, self.transport.get_write_buffer_size()
        if self._unread >= before:
            self.transport.abort()
        else:
            self._stall = self.loop.call_later(STALL_S, self._look)

    def on_message_complete(self) -> None:
        """Take a request's end; if it has its answer, the next one's head may come."""
        super().on_message_complete()
        if self._lingers:
            self._lingers = False
            self._wait_for_head()

    def on_response_complete(self) -> None:
        """Bound how long a request may go on that was answered before it was whole."""
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._lingers = True
            self._stop_waiting()
            self._timer = self.loop.call_later(LINGER_S, self._late)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that grows past the bound ends the connection."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The request's head is too large.")

    def on_message_begin(self) -> None:
        """Begin to count the head of the next request on this connection."""
        super().on_message_begin()
        self._head_bytes, self._in_head = 0, True
        self._wait_for_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or, behind the body, a trailer, of which nothing is used."""
        if self._in_head:
            super().on_header(name, value)
            return
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("the trailers are too large")  # the parser's caller answers 400

    def on_headers_complete(self) -> None:
        """Hand the request over."""
        self._head_bytes, self._in_head = 0, False
        self._stop_waiting()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # what becomes a websocket has none
            scope: Any = self.cycle.scope
            scope["extensions"] = {PEER: ClientEnd(self, self.cycle)}

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()
