"""A gateway's parts: who serves which upstream, and how that changes while it runs.

It owns one client, one turnstile and one breaker for each upstream, and swaps them when the
configuration changes. What happens to one request is `exchange`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from outlay.capture.runtime import Runtime
from outlay.capture.spool import MAX_MEMORY_EVENTS
from outlay.gateway import gauges
from outlay.gateway.access_log import AccessLog
from outlay.gateway.breaker import Breaker
from outlay.gateway.config import Credential, GatewayConfig, Upstream
from outlay.gateway.credentials import CredentialError, Credentials
from outlay.gateway.feed import KeyFeed
from outlay.gateway.identity import Caller, Callers
from outlay.gateway.keys import KeyTable
from outlay.gateway.metrics import GatewayMetrics
from outlay.gateway.problems import Problem
from outlay.gateway.queue import Turnstile
from outlay.gateway.shapes import vendor_of
from outlay.gateway.upstream import UpstreamClient
from outlay.gateway.watching import ConfigKeeper
from outlay.wire.base import Reading

MAX_DRAINS: Final = 1000
"""Answers read to their end at once for clients that are gone; further ones are hung up on."""
FULL: Final = 0.95
"""The part of the spool behind which no call is served: none may go unrecorded."""
EVENT_BYTES: Final = 2048
"""What a call under way is thought to need in the spool; most need half of it."""
MAX_UNSAVED: Final = 1000
"""Events that no disk has taken, behind which no call is served: a kill would lose them all."""
LIMITS_S: Final = 1.0
"""How soon a limit holds that was set while no call counted in any."""
USUAL: Final = {"input": 3_000, "output": 1_000}
"""The call by which targets are compared where the cheapest is asked for."""
GIVEN_UP_S: Final = 6.0
"""How long calls that are cancelled may take; a socket says farewell first."""
LOOK_S: Final = 0.05
"""How often it is looked whether calls are over."""
CLOSE_S: Final = 5.0
"""How long the end waits for the server to take the last events; the rest waits in the spool."""


class Lane:
    """One upstream as it is served now."""

    __slots__ = ("breaker", "client", "turnstile", "upstream")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.client = UpstreamClient(upstream)
        self.turnstile = Turnstile(upstream, time.monotonic)
        self.breaker = Breaker(upstream.breaker)


class Lanes(dict[str, Lane]):
    """The lanes of one configuration, and how many calls began by it and are under way."""

    calls = 0


class Gateway:
    """Everything that requests are served with. One event loop; `start` and `close` run on it."""

    def __init__(
        self,
        keeper: ConfigKeeper,
        runtime: Runtime,
        keys: KeyTable,
        feed: KeyFeed,
        *,
        metrics: GatewayMetrics,
        log: Any,
        access_log: AccessLog,
        clock: Callable[[], int],
        context_secrets: Sequence[str] = (),
    ) -> None:
        """Take the parts.

        Args:
            keeper: the configuration, and its changes.
            runtime: meters, asks limits, and sends events.
            keys: the virtual keys.
            feed: what keeps them up to date.
            metrics: counts.
            log: a structlog logger.
            access_log: has a line for each request.
            clock: microseconds UTC.
            context_secrets: what signed contexts are believed by.
        """
        self.keeper = keeper
        self.runtime = runtime
        self.keys = keys
        self.feed = feed
        self.metrics = metrics
        self.log = log
        self.access_log = access_log
        self.clock = clock
        self.credentials = Credentials(log=log)
        self.draining = 0
        self._callers = Callers(keys, context_secrets)
        self.lanes = Lanes()
        self.ending = False
        """No call is taken any more."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watching: asyncio.Task[None] | None = None
        self._old: list[Lanes] = []
        """Those of configurations before by which calls are still under way."""
        self._closing: dict[asyncio.Task[None], UpstreamClient] = {}
        self._closed = False
        self.config = keeper.current
        self._take(keeper.current)
        gauges.watch(metrics, self)

    # -- what a request needs ------------------------------------------------------------------

    def identify(self, headers: list[tuple[bytes, bytes]], query: bytes) -> Caller:
        """Return who calls.

        Raises:
            Problem: nobody that is known and allowed.
        """
        return self._callers.find(
            headers, query, config=self.config, at=self.clock(), fresh=self.feed.fresh
        )

    def lane(self, name: str) -> Lane:
        """Return an upstream's lane.

        Raises:
            Problem: no upstream of that name is declared.
        """
        lane = self.lanes.get(name)
        if lane is None:
            raise Problem(
                404,
                "unknown_upstream",
                "No upstream of that name is declared.",
                hint=f"Declared are: {', '.join(sorted(self.lanes))}.",
            )
        return lane

    def credential_of(self, upstream: Upstream, tenant: str) -> Credential | None:
        """Return which credential pays for a tenant's calls: its own, or everybody's."""
        rule = self.config.tenants.get(tenant)
        if rule is not None and upstream.name in rule.credentials:
            return rule.credentials[upstream.name]
        return upstream.credential

    def weight_of(self, tenant: str) -> int:
        """Return a tenant's share of a crowded upstream."""
        rule = self.config.tenants.get(tenant)
        return 1 if rule is None else rule.weight

    async def secret_of(self, credential: Credential) -> str:
        """Return the value of a credential that stands in a header.

        Raises:
            Problem: it cannot be found.
        """
        value = self.credentials.ready(credential)
        if value is not None:
            return value
        try:
            return await self.credentials.find(credential)
        except CredentialError as error:
            raise Problem(
                503, "credential_missing", f"The gateway has no credential: {error}"
            ) from error

    def price(self, upstream: str, model: str) -> int | None:
        """Return what a usual call costs at an upstream, in nano-dollars; `None`: nobody knows."""
        lane = self.lanes.get(upstream)
        if lane is None:  # gone since
            return None
        vendor = vendor_of(lane.upstream)
        reading = Reading(
            vendor.provider,
            "openai.chat",
            vendor.name,
            host_class=vendor.host_class,
            model_requested=model,
            model_served=model,
            usage=dict(USUAL),
        )
        return self.runtime.rates.cost(reading, self.clock())

    def serves(self, name: bytes) -> bool:
        """Tell whether an upstream is called so."""
        return name.decode("latin-1") in self.lanes

    def parts(self) -> dict[str, dict[str, Any]]:
        """Return of each part whether it works, and in a word why not."""
        keys = {"ok": self.feed.fresh, "detail": f"{len(self.keys)} keys, {self.feed.detail}"}
        # A bad file takes nothing out of service: the configuration before is served as it was.
        config = {"ok": True, "detail": self.keeper.error or self.config.revision}
        events = {"ok": not self.full, "detail": f"{self._waiting_bytes} bytes wait"}
        return {"keys": keys, "config": config, "events": events}

    @property
    def _waiting_bytes(self) -> int:
        spool = self.runtime.spool
        return 0 if spool is None else spool.pending_bytes

    @property
    def full(self) -> bool:
        """Whether calls must be refused, as their events might not be kept."""
        spool = self.runtime.spool
        if spool is None:
            return False
        flying = self.metrics.in_flight
        if (unsaved := spool.in_memory) and (
            unsaved > MAX_UNSAVED or unsaved + flying > MAX_MEMORY_EVENTS
        ):
            return True
        most = spool.max_bytes
        waiting = spool.pending_bytes
        # Those under way may take no more than a half, or a small spool could serve but few.
        return waiting > most * FULL or waiting + min(flying * EVENT_BYTES, most // 2) > most

    # -- its life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to follow keys and configuration."""
        self._loop = asyncio.get_running_loop()
        self.feed.start()
        self.runtime.wake()
        if self.runtime.gate is not None:
            self.runtime.gate.client.watch(LIMITS_S)
        self._watching = asyncio.create_task(self.keeper.watch(self._take))

    async def finish(self, grace_s: float) -> None:
        """Take no more calls, wait for those under way, and have the server take their events.

        For a server in the same process, which is there only as long as the listener is.
        """
        self.ending = True
        if await self._calls_over(grace_s):
            await self._end_runtime()
        else:
            await asyncio.to_thread(self.runtime.flush, CLOSE_S)

    async def _calls_over(self, seconds: float) -> bool:
        """Wait until no call and no socket is under way; `False`: some still are."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self.metrics.in_flight or self.metrics.sockets:
            if loop.time() >= until:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    async def _end_runtime(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self.runtime.close, CLOSE_S)

    async def close(self) -> None:
        """End everything; what the server has not taken stays in the spool."""
        self.ending = True
        # Those that the listener has given up are about to end, and have yet to be recorded.
        await self._calls_over(GIVEN_UP_S)
        self.access_log.flush()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        self.feed.stop()
        await self.credentials.close()
        for task in self._closing:
            task.cancel()
        clients = [*self._closing.values(), *(lane.client for lane in self.lanes.values())]
        await asyncio.gather(*(client.close() for client in clients))
        await self._end_runtime()

    def reload_soon(self) -> None:
        """Read the configuration anew, on the event loop; callable from a signal's handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.keeper.reload)

    def _take(self, config: GatewayConfig) -> None:
        """Serve by another configuration from the next request on; what runs goes on as it is."""
        before = self.lanes
        lanes = Lanes()
        for name, upstream in config.upstreams.items():
            lane = before.get(name)
            if lane is None or not _same_client(lane.upstream, upstream):
                lanes[name] = Lane(upstream)
                continue
            if lane.upstream != upstream:
                lane.turnstile.resize(upstream)
                lane.breaker.change(upstream.breaker)
                lane.upstream = upstream
            lanes[name] = lane
        self.config = config
        self.lanes = lanes
        self.metrics.reloaded(config.revision)
        self.credentials.keep_only(config.credentials())
        self.runtime.serve_hosts(config.hosts())
        self._old = [old for old in (*self._old, before) if old.calls]
        for name, lane in before.items():
            if lanes.get(name) is not lane:
                closing = asyncio.ensure_future(_close_unused(lane.client, tuple(self._old)))
                self._closing[closing] = lane.client
                closing.add_done_callback(self._closing.pop)


async def _close_unused(client: UpstreamClient, users: tuple[Lanes, ...]) -> None:
    """Close a client once no call is under way that may still send with it."""
    while any(lanes.calls for lanes in users):  # noqa: ASYNC110 - they end on their own
        await asyncio.sleep(LOOK_S)
    await client.close_when_idle()


def _same_client(one: Upstream, other: Upstream) -> bool:
    """Tell whether connections made for one setting serve another."""
    return (one.url, one.vendor, one.ca_file, one.timeouts) == (
        other.url,
        other.vendor,
        other.ca_file,
        other.timeouts,
    )
