"""Serving: in the foreground until a signal, or in a thread of a test or a demo."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TextIO

from outlay.api.listen import Listener, bind, url_of
from outlay.api.sign_in import link_url
from outlay.config import Settings
from outlay.errors import OutlayError
from outlay.gateway.app import GatewayApp
from outlay.wiring.gateway import PRIVATE, keeper_of, listener_of, open_gateway, reloading
from outlay.wiring.gateway_state import gateway_state
from outlay.wiring.parts import of_gateway
from outlay.wiring.server import Clock, Server, now_us


def run_server(
    settings: Settings,
    *,
    on_ready: Callable[[str, str | None, str | None], None] | None = None,
    log_to: TextIO | None = None,
) -> None:
    """Run a server until SIGINT or SIGTERM, then close everything in order.

    Args:
        settings: where and how.
        on_ready: called once with the URL and, if they were made just now, the first admin key and
            the address of a link that signs in to the dashboard.
        log_to: where the JSON log lines go; standard error if not said.
    """
    os.umask(PRIVATE)
    if settings.gateway:
        keeper_of(settings)  # a bad file ends here, before a new server shows its only first key
    bound = bind(settings.host, settings.port)
    try:
        url = url_of(bound)
        with Server(settings, log_to=log_to) as server:

            def ready() -> None:
                server.log.info("ready", url=url, data=settings.data)
                if on_ready is not None:
                    on_ready(url, server.first_key, first_link(server))

            app = application(server, url)
            with reloading(app.gateway) if isinstance(app, GatewayApp) else nullcontext():
                listener(server, app, on_ready=ready).run([bound])
            server.log.info("stopping")
    finally:
        bound.close()


def application(server: Server, url: str) -> Any:
    """Return a server's API, with a gateway before it where that is on.

    Args:
        server: the parts.
        url: where it will be reached; the gateway reaches the server there, too.

    Raises:
        ConfigError: the gateway's configuration is wrong.
    """
    settings = server.settings
    if not settings.public_url:
        server.app.state.public_url = url
    if not settings.gateway:
        return server.app
    own = replace(settings, endpoint=url, key=server.services.own_key, spool_dir="")
    gateway = open_gateway(own, log=server.log, log_to=server.log_to, clock=server.services.clock)
    server.app.state.more_metrics.append(gateway.metrics.text)
    server.more_parts.append(lambda: of_gateway(gateway))
    server.app.state.gateway_state = lambda: gateway_state(gateway)
    return GatewayApp(gateway, server.app)


def first_link(server: Server) -> str | None:
    """Return the address that signs in to a server's dashboard for the first time."""
    if server.first_link is None:
        return None
    return link_url(server.app.state.public_url, server.first_link)


def listener(server: Server, app: Any, *, on_ready: Callable[[], None]) -> Listener:
    """Return what serves an application of a server."""
    state = server.app.state

    def end() -> None:
        state.key_watch.stop()
        state.live_watch.stop()

    if not isinstance(app, GatewayApp):
        return Listener(app, on_ready=on_ready, on_end=end)
    settings, gateway = server.settings, app.gateway
    return listener_of(
        app,
        settings,
        on_ready=on_ready,
        on_end=end,
        # What takes the gateway's events is behind the same address.
        finish=lambda: gateway.finish(settings.gateway_grace_s),
    )


class RunningServer:
    """A server in a thread of this process: `url`, `first_key`, the parts in `server`."""

    def __init__(
        self, settings: Settings, *, clock: Clock = now_us, log_to: TextIO | None = None
    ) -> None:
        bound = bind(settings.host, settings.port)
        self._bound = bound
        try:
            self.server = Server(settings, clock=clock, log_to=log_to)
        except BaseException:
            bound.close()
            raise
        self.url = url_of(bound)
        self.first_key = self.server.first_key
        ready = threading.Event()
        try:
            self.app = application(self.server, self.url)
            self._listener = listener(self.server, self.app, on_ready=ready.set)
        except BaseException:
            self.server.close()
            bound.close()
            raise
        self._thread = threading.Thread(
            target=self._listener.run, args=([bound],), name="outlay-http"
        )
        self._thread.start()
        while not ready.wait(0.1):
            if not self._thread.is_alive():
                self.stop()
                raise OutlayError("The server's thread ended before it listened.")

    def stop(self) -> None:
        """Finish requests in hand and close everything in order; a second call does nothing."""
        self._listener.stop()
        self._thread.join()
        self._bound.close()
        self.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start_in_thread(
    settings: Settings, *, clock: Clock = now_us, log_to: TextIO | None = None
) -> RunningServer:
    """Start a server in a thread and return when it listens; use it as a context manager."""
    return RunningServer(settings, clock=clock, log_to=log_to)
