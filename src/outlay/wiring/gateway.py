"""A gateway's parts, opened in order: by itself, or in the process of the whole server.

Only this module knows where a gateway's settings come from. Either way it reaches the server over
HTTP: events, leases and virtual keys take the same tested way from every process.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TextIO

from outlay.api.listen import Listener, bind, url_of
from outlay.api.logs import forwarded, make_logger
from outlay.capture.runtime import Runtime
from outlay.config import Settings
from outlay.errors import ConfigError
from outlay.gateway.access_log import AccessLog
from outlay.gateway.app import GatewayApp
from outlay.gateway.feed import KeyFeed
from outlay.gateway.gateway import Gateway
from outlay.gateway.keys import KeyTable
from outlay.gateway.metrics import GatewayMetrics
from outlay.gateway.watching import ConfigKeeper
from outlay.wiring.server import Clock, now_us

PRIVATE: Final = 0o077
"""The process's file mask: what it writes is for its owner only, in any data folder."""
MAX_CONNECTIONS: Final = 20_000
"""Connections of clients at once; more are answered 503."""
FOLDER: Final = "gateway"
"""Where a gateway keeps its spool and its copies of keys, limits and prices, in the data folder."""
GARBAGE: Final = (20_000, 20, 20)
"""Objects made before the collector looks at the young ones, and how often at the older."""
SWITCH_S: Final = 0.0005
"""How long a thread that sends events or leases may keep the interpreter from the event loop."""
SHIP_EVENTS: Final = 2_000
"""Events in one shipment: a gateway makes more than an application."""


def keeper_of(settings: Settings, log: Any = None) -> ConfigKeeper:
    """Read the configuration that the settings name.

    Raises:
        ConfigError: it cannot be read, or is bad.
    """
    path = Path(settings.gateway_config) if settings.gateway_config else None
    return ConfigKeeper(path, os.environ, log)


def open_gateway(settings: Settings, *, log: Any, log_to: TextIO, clock: Clock) -> Gateway:
    """Open a gateway's parts.

    Args:
        settings: `endpoint` and `key` say which server; `data` where the spool is.
        log: a structlog logger.
        log_to: where it writes, and the lines of the access log go.
        clock: microseconds UTC.

    Raises:
        ConfigError: a setting or the gateway's configuration is wrong.
    """
    if not settings.endpoint:
        raise ConfigError(
            "A gateway needs an outlay server.",
            where="endpoint",
            hint="Set OUTLAY_ENDPOINT to its URL, and OUTLAY_KEY to a key with the scopes "
            "`ingest` and `gateway`.",
        )
    keeper = keeper_of(settings, log)
    folder = Path(settings.data) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    events = max(settings.ship_batch_events, SHIP_EVENTS)
    guest = replace(
        settings,
        limits=settings.gateway_limits,
        ship_batch_events=events,
        tenant="",
        hosts=keeper.current.hosts(),
    )
    runtime = Runtime(guest, folder=folder)
    keys = KeyTable()
    feed = KeyFeed(
        settings.endpoint,
        settings.key,
        keys,
        kept=folder / "virtual-keys.json",
        stale_s=settings.gateway_stale_s,
        log=log,
    )
    return Gateway(
        keeper,
        runtime,
        keys,
        feed,
        metrics=GatewayMetrics(),
        log=log,
        access_log=AccessLog(log_to, settings.log_level),
        clock=clock,
        context_secrets=settings.context_secrets,
    )


def run_gateway(
    settings: Settings,
    *,
    on_ready: Callable[[str], None] | None = None,
    log_to: TextIO | None = None,
    reuse_port: bool = False,
    clock: Clock = now_us,
) -> None:
    """Run a gateway by itself until SIGINT or SIGTERM; SIGHUP reads its configuration anew.

    Args:
        settings: where and how.
        on_ready: called once with its URL.
        log_to: where the JSON log lines go; standard error if not said.
        reuse_port: let other gateway processes listen on the same port.
        clock: microseconds UTC.
    """
    os.umask(PRIVATE)
    stream = log_to or sys.stderr
    log = make_logger(stream, settings.log_level)
    with forwarded(log):
        gateway = open_gateway(settings, log=log, log_to=stream, clock=clock)
        listening = bind(settings.host, settings.port, reuse_port=reuse_port)
        try:
            url = url_of(listening)

            def ready() -> None:
                _keep_out_of_the_way()
                log.info("ready", role="gateway", url=url, server=settings.endpoint)
                if on_ready is not None:
                    on_ready(url)

            listener = listener_of(GatewayApp(gateway), settings, on_ready=ready)
            with reloading(gateway):
                listener.run([listening])
            log.info("stopping")
        finally:
            listening.close()


def _keep_out_of_the_way() -> None:
    """Have the garbage collector and other threads hold requests up as little as can be.

    Requests leave little garbage in circles, so it need not look for it every few of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    sys.setswitchinterval(SWITCH_S)


@contextlib.contextmanager
def reloading(gateway: Gateway) -> Iterator[None]:
    """Read the configuration anew at SIGHUP."""
    before = signal.signal(signal.SIGHUP, lambda *_: gateway.reload_soon())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def listener_of(
    app: GatewayApp,
    settings: Settings,
    *,
    on_ready: Callable[[], None],
    on_end: Callable[[], None] = lambda: None,
    finish: Callable[[], Awaitable[None]] | None = None,
) -> Listener:
    """Return a listener for an application with a gateway in it."""

    def ready() -> None:
        # Not before it listens: the server that the gateway asks may be behind the same address.
        app.gateway.start()
        on_ready()

    return Listener(
        app,
        on_ready=ready,
        on_end=on_end,
        finish=finish,
        grace_s=settings.gateway_grace_s,
        max_connections=MAX_CONNECTIONS,
        sockets=True,
        lifespan=True,
    )
