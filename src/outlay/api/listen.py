"""Listening: one socket, one event loop; its end finishes requests in hand.

What a connection may do is bounded in `listen_http` and, for websockets, in `listen_socket`; those
are served only where they are asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any, Final

import uvicorn

from outlay.api.listen_http import BoundedHead
from outlay.errors import ConfigError

MAX_CONNECTIONS: Final = 1024
"""Connections at once; more are answered 503."""
BACKLOG: Final = 512
GRACE_S: Final = 10.0
"""How long requests in hand may take to finish at the end."""
CANCELLED_S: Final = 6.0
"""How long they may take after that, once they are cancelled."""
CLOSE_S: Final = 1.0
"""How long a client may then take to close its connection."""
LOOK_S: Final = 0.02
KEEP_ALIVE_S: Final = 30
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Bound of one message of a websocket."""
PING_S: Final = 30.0
PONG_S: Final = 60.0
"""How often a websocket's client is asked for a sign of life, and how long it may take for it."""


def bind(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """Return a socket bound to an address; port 0 takes any free one.

    Args:
        host: name or address.
        port: its number.
        reuse_port: share it with other processes that do the same; the kernel spreads connections
            over them.

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
            if reuse_port:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
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


class Listener(uvicorn.Server):
    """Serves an application on a bound socket until `stop`.

    In the main thread SIGINT and SIGTERM stop it, a second one at once; the process goes on
    afterwards, so that its owner can close everything in order.
    """

    def __init__(
        self,
        app: Any,
        *,
        on_ready: Callable[[], None],
        on_end: Callable[[], None] = lambda: None,
        sockets: bool = False,
        lifespan: bool = False,
        grace_s: float = GRACE_S,
        max_connections: int = MAX_CONNECTIONS,
        finish: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Make one; `run` serves.

        Args:
            app: an ASGI application.
            on_ready: called once when it listens.
            on_end: called once when it begins to end, so that requests that wait may end.
            sockets: serve websockets, too.
            lifespan: tell the application when it begins and ends.
            grace_s: how long requests and websockets in hand may take at the end.
            max_connections: connections at once; requests on more are answered 503. Websockets
                count, but only their application can refuse them.
            finish: what the application has to do at the end while it is still listened.
        """
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                loop="uvloop",
                http=BoundedHead,
                ws=_bounded_socket() if sockets else "none",
                ws_max_size=MAX_MESSAGE_BYTES,
                ws_ping_interval=PING_S,
                ws_ping_timeout=PONG_S,
                # It takes tens of kilobytes of each idle socket, and spares little of base64 audio.
                ws_per_message_deflate=False,
                lifespan="on" if lifespan else "off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Behind a gateway the provider says when it answered; the API does so itself.
                date_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                limit_concurrency=max_connections,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=math.ceil(grace_s),
            )
        )
        self._on_ready = on_ready
        self._on_end = on_end
        self._finish = finish

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell the owner."""
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the owner, so that requests that wait for something may end, then wait for all."""
        self._on_end()
        if self._finish is not None and not self.force_exit:
            for connection in list(self.server_state.connections):
                if not isinstance(connection, BoundedHead):  # a socket must hear of it
                    connection.shutdown()
            await self._finish()
        await super().shutdown(sockets)
        if not self.force_exit:
            await self._cancelled()

    async def _cancelled(self) -> None:
        """Let what was cancelled end, and its connections close: a loop that ends leaves them."""
        state = self.server_state
        if state.tasks:
            await asyncio.wait(tuple(state.tasks), timeout=CANCELLED_S)
        loop = asyncio.get_running_loop()
        until = loop.time() + CLOSE_S
        while state.connections and loop.time() < until:  # noqa: ASYNC110 - they tell nobody
            await asyncio.sleep(LOOK_S)
        for connection in tuple(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

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


def _bounded_socket() -> type[asyncio.Protocol]:
    from outlay.api.listen_socket import BoundedSocket  # its library is loaded where it is used

    return BoundedSocket
