"""The running guest of one process: settings, spool, shipper, prices and totals, tied together.

There is at most one active runtime. It owns the one path that every event takes, and what
happens to it at fork and at exit. It starts no thread until there is work.
"""

from __future__ import annotations

import atexit
import os
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from outlay.capture import forks
from outlay.capture.counts import Stats
from outlay.capture.events import Defaults, attribution, encode
from outlay.capture.guard import caught, guarded, warn_once
from outlay.capture.once import Once
from outlay.capture.rates import Rates
from outlay.capture.scope import Scope
from outlay.capture.ship import Shipper
from outlay.capture.spool import STORED, Spool
from outlay.capture.spool_files import default_folder
from outlay.capture.tally import Tally
from outlay.capture.transport import TIMEOUT_S, Transport
from outlay.config import Settings
from outlay.wire.registry import MAX_KEPT_URL, Route, find_route

if TYPE_CHECKING:
    from outlay.capture.limits.gate import Gate

MAX_ROUTES: Final = 1024
"""Answers kept by method and URL; all are dropped when it is full."""

Store = Callable[[str], str]
"""Takes an event's text; answers `STORED` or the reason it was refused."""


class Runtime:
    """What `init` sets up. `store` replaces spool and shipper in tests."""

    def __init__(
        self, settings: Settings, *, folder: Path | None = None, store: Store | None = None
    ) -> None:
        self.settings = settings
        self.hosts: Mapping[str, str] | None = settings.hosts or None
        self.defaults = Defaults(
            tenant=settings.tenant, service=settings.service, environment=settings.environment
        )
        self.secrets = settings.context_secrets
        """What signs contexts that go to other processes, and what signed those that come."""
        self.stats = Stats()
        self.once = Once()
        self.spool: Spool | None = None
        self.shipper: Shipper | None = None
        self.ships = False
        """Whether there is a server to send to."""
        self.gate: Gate | None = None
        """Asks the server's limits before each call; `None` when limits are off."""
        self._routes: dict[tuple[str, str], Route | None] = {}
        self.left_behind = False
        """This is the parent's runtime, seen in a forked child."""
        if store is not None:
            self.folder = folder
            self.rates = Rates(None)
            self.tally = Tally(self.rates)
            self._store = store
            return
        self.folder = folder or (
            Path(settings.spool_dir).expanduser() if settings.spool_dir else default_folder()
        )
        self.rates = Rates(self.folder / _kept_file("prices", settings.endpoint))
        self.tally = Tally(self.rates)
        self.spool = Spool(self.folder, settings.spool_max_bytes)
        transport = _transport(settings)
        self.ships = transport is not None
        self.shipper = Shipper(
            self.spool,
            self.stats,
            transport=transport,
            folder=self.folder,
            interval_s=settings.ship_interval_s,
            batch_events=settings.ship_batch_events,
            tick=self._tick,
        )
        self._store = self.spool.put
        if settings.limits:
            self.gate = _gate(settings, self.rates, self.folder)

    def route(self, method: str, url: str) -> Route | None:
        """Return where a request goes, `None` if to no provider; kept, as it is asked each call."""
        try:
            return self._routes[method, url]
        except KeyError:
            pass
        found = find_route(method, url, hosts=self.hosts)
        if len(url) <= MAX_KEPT_URL:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            self._routes[method, url] = found
        return found

    def serve_hosts(self, hosts: Mapping[str, str]) -> None:
        """Recognise other private hosts than the settings named, from now on."""
        self.hosts = hosts or None
        self._routes = {}

    def _tick(self, transport: Transport | None) -> None:
        self.rates.refresh(transport)
        self.tally.settle()

    def wake(self) -> None:
        """See to it that the shipper runs, so that prices are there when a call ends."""
        shipper = self.shipper
        if shipper is not None and not shipper.running:
            shipper.start()

    def tenant(self, scope: Scope) -> str:
        """Return whose work a scope's events are, as `submit` writes it."""
        return scope.values.get("tenant_id") or self.defaults.fields["tenant_id"]

    def submit(self, fields: dict[str, Any], scope: Scope, encoded: str = "") -> None:
        """Store one event; `encoded` is the part of it that is JSON text already."""
        if self.left_behind:
            return
        fragment = attribution(scope, self.defaults)
        refused = self._store(encode(fields, f"{encoded},{fragment}" if encoded else fragment))
        if refused != STORED:
            self.stats.drop(refused)
            warn_once(f"drop:{refused}", "outlay: events are dropped: %s", refused)
        shipper = self.shipper
        if shipper is not None:
            if not shipper.running:
                shipper.start()
            elif shipper.idle:
                shipper.ring()

    def flush(self, timeout_s: float) -> bool:
        """Send what waits; tell whether all of it was acknowledged in time."""
        return self.shipper is None or self.shipper.flush(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Flush, end the thread and release the spool; what is left, the next process sends."""
        done = True
        deadline = time.monotonic() + timeout_s
        if self.shipper is not None:
            if self.shipper.running:
                done = self.flush(timeout_s)
            self.shipper.stop(max(0.1, deadline - time.monotonic()))
        if self.gate is not None:
            self.gate.close(max(0.1, deadline - time.monotonic()))
        if self.spool is not None:
            self.spool.close()
        return done


_active: Runtime | None = None
_hooked = False


def active() -> Runtime | None:
    """Return the runtime that `init` set up, if there is one."""
    return _active


def activate(runtime: Runtime | None) -> Runtime | None:
    """Make a runtime the active one and return the one before."""
    global _active, _hooked  # noqa: PLW0603 - there is one guest in a process
    before, _active = _active, runtime
    if runtime is not None and not _hooked:
        _hooked = True
        atexit.register(_at_exit)
        os.register_at_fork(
            before=forks.before,
            after_in_parent=forks.after_in_parent,
            after_in_child=_after_fork_in_child,
        )
    return before


def _gate(settings: Settings, rates: Rates, folder: Path) -> Gate | None:
    transport = _transport(settings, settings.limits_timeout_s)
    if transport is None:
        warn_once("limits", "outlay: limits need an endpoint: none are enforced")
        return None
    from outlay.capture.limits.gate import Gate  # loaded where limits are on

    kept = folder / _kept_file("limits", settings.endpoint)
    return Gate(settings, rates, transport, kept=kept, tenant=settings.tenant, prices_come=True)


def _transport(settings: Settings, timeout_s: float = TIMEOUT_S) -> Transport | None:
    if not settings.endpoint:
        return None
    try:
        return Transport(settings.endpoint, settings.key, timeout_s)
    except ValueError as error:
        warn_once("endpoint", "outlay: %s; events stay in the spool", error)
        return None


def _kept_file(what: str, endpoint: str) -> str:
    """Name the file that keeps what one server said of prices or limits."""
    return f"{what}-{zlib.crc32(endpoint.encode()):08x}.json"


def _at_exit() -> None:
    runtime = activate(None)
    if runtime is not None:
        with guarded("exit"):
            runtime.close(runtime.settings.flush_timeout_s)


def _after_fork_in_child() -> None:
    parent = _active
    try:
        forks.after_in_child()
        if parent is not None:
            parent.left_behind = True
            if parent.spool is not None:
                activate(Runtime(parent.settings, folder=parent.folder))
    except Exception as error:
        caught("fork", error)
        activate(None)
