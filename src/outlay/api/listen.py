"""Listening: one socket, one event loop, bounded heads; its end finishes requests in hand."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from outlay.errors import ConfigError

MAX_CONNECTIONS: Final = 1024
"""Connections at once; more are answered 503."""
BACKLOG: Final = 512
GRACE_S: Final = 10
"""How long requests in hand may take to finish at the end."""
KEEP_ALIVE_S: Final = 30
MAX_HEAD_BYTES: Final = 64 * 1024
"""Bound of a request line with its headers, and of the trailers behind a body."""
HEAD_TIMEOUT_S: Final = 10.0
"""A new connection or request whose head is not whole after this is closed: idle senders must
not use the connections up."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; port 0 takes any free one.

    Raises:
        ConfigError: the address is in use, forbidden or unknown.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, proto)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.",
            where="port",
            hint="Name another --port (0 takes any free one) or --host.",
        ) from error
    return bound


def url_of(bound: socket.socket) -> str:
    """Return the URL that reaches a bound socket from this machine."""
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class BoundedHead(HttpToolsProtocol):
    """HTTP/1.1 whose heads are bounded in bytes and time; the parser by itself bounds neither."""

    _head_bytes = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

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
        super().on_headers_complete()

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


class Listener(uvicorn.Server):
    """Serves an application on a bound socket until `stop`.

    In the main thread SIGINT and SIGTERM stop it, a second one at once; the process goes on
    afterwards, so that its owner can close everything in order.
    """

    def __init__(self, app: Any, *, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=BoundedHead,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell the owner."""
        await super().startup(sockets)
        self._on_ready()

    def stop(self) -> None:
        """Take no more requests and end when those in hand are done."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM, if this is the main thread, and do not raise them again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.force_exit = self.should_exit
            self.should_exit = True

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
