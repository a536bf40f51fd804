"""What a gateway's parts tell of themselves, as series that are read at each scrape.

Each part keeps its own numbers; here they only get names. Labels are names of upstreams, of states
and of reasons, all of them ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from outlay.capture.runtime import Runtime
from outlay.gateway.breaker import Breaker, State
from outlay.gateway.config import GatewayConfig
from outlay.gateway.feed import KeyFeed
from outlay.gateway.keys import KeyTable
from outlay.gateway.metrics import GatewayMetrics
from outlay.gateway.queue import Turnstile
from outlay.gateway.series import Rows
from outlay.gateway.watching import ConfigKeeper


class Lane(Protocol):
    """What of one upstream is shown."""

    turnstile: Turnstile
    breaker: Breaker


class Parts(Protocol):
    """What of a gateway is shown."""

    config: GatewayConfig
    runtime: Runtime
    keys: KeyTable
    feed: KeyFeed
    keeper: ConfigKeeper
    draining: int

    def lane(self, name: str) -> Lane:
        """Return an upstream's lane."""


STATES: Final[tuple[State, ...]] = ("closed", "half_open", "open")

_OF_LANES: Final[tuple[tuple[str, str, Callable[[Lane], float]], ...]] = (
    ("running", "Calls that an upstream has now.", lambda lane: lane.turnstile.stats().running),
    (
        "queue_depth",
        "Calls that wait for one.",
        lambda lane: lane.turnstile.stats().waiting,
    ),
    (
        "queue_paused_seconds",
        "How much longer an upstream has asked to be left alone.",
        lambda lane: lane.turnstile.stats().paused_s,
    ),
    ("breaker_openings", "How often a circuit has opened.", lambda lane: lane.breaker.openings),
)


def watch(metrics: GatewayMetrics, gateway: Parts) -> None:
    """Show a gateway's parts; once for each gateway."""
    for name, meaning, read in _OF_LANES:
        metrics.watch(name, meaning, _by_upstream(gateway, read), labels=("upstream",))
    metrics.watch(
        "breaker_state", "1 for the state that a circuit is in.", lambda: _states(gateway),
        labels=("upstream", "state"),
    )  # fmt: skip
    metrics.watch("draining", "Answers read for clients that are gone.", lambda: gateway.draining)
    metrics.watch("keys", "Virtual keys that are known.", lambda: len(gateway.keys))
    metrics.watch(
        "keys_age_seconds", "Since the server was heard of virtual keys.",
        lambda: gateway.keys.age_s,
    )  # fmt: skip
    metrics.watch("keys_fresh", "Whether keys are still believed.", lambda: gateway.feed.fresh)
    metrics.watch(
        "config_ok", "Whether the configuration's file is what is served.",
        lambda: not gateway.keeper.error,
    )  # fmt: skip
    metrics.watch(
        "reload_failures", "Configurations that were refused.",
        lambda: gateway.keeper.failures, grows=True,
    )  # fmt: skip
    metrics.watch("spool_events", "Events that wait to be sent.", lambda: _spool(gateway)[0])
    metrics.watch("spool_bytes", "Their bytes, about.", lambda: _spool(gateway)[1])
    metrics.watch(
        "spool_in_memory", "Events that would not survive the process.", lambda: _spool(gateway)[2]
    )
    metrics.watch(
        "events", "What became of events.", lambda: _events(gateway), labels=("became",), grows=True
    )
    metrics.watch(
        "events_dropped", "Events that are lost, by why.", lambda: _dropped(gateway),
        labels=("reason",), grows=True,
    )  # fmt: skip
    metrics.watch(
        "limits", "What was decided at the limits.", lambda: _limits(gateway), labels=("what",),
        grows=True,
    )  # fmt: skip


def _lanes(gateway: Parts) -> Iterator[tuple[str, Lane]]:
    for name in gateway.config.upstreams:
        yield name, gateway.lane(name)


def _by_upstream(gateway: Parts, read: Callable[[Lane], float]) -> Callable[[], Rows]:
    return lambda: {(name,): read(lane) for name, lane in _lanes(gateway)}


def _states(gateway: Parts) -> Rows:
    return {
        (name, state): float(lane.breaker.state == state)
        for name, lane in _lanes(gateway)
        for state in STATES
    }


def _spool(gateway: Parts) -> tuple[int, int, int]:
    spool = gateway.runtime.spool
    return (0, 0, 0) if spool is None else (spool.pending, spool.pending_bytes, spool.in_memory)


def _events(gateway: Parts) -> Rows:
    spool = gateway.runtime.spool
    told = gateway.runtime.stats.snapshot(0 if spool is None else spool.stored)
    return {(name,): told[name] for name in ("captured", "acknowledged", "rejected")}


def _dropped(gateway: Parts) -> Rows:
    told: dict[str, int] = gateway.runtime.stats.snapshot(0)["dropped"]
    return {(reason,): number for reason, number in told.items()}


def _limits(gateway: Parts) -> Rows:
    gate = gateway.runtime.gate
    return {} if gate is None else {(what,): number for what, number in gate.stats().items()}
