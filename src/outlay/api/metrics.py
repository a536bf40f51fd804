"""The server's own numbers for Prometheus, in a registry of their own.

No label carries a tenant, a model or any other text from outside: the number of series is fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from outlay.api.services import PartState, Services

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_BATCH_OPS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Metrics:
    """Counters and histograms of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.accepted = Counter(
            "outlay_events_accepted", "Events acknowledged as durable.", registry=self.registry
        )
        self.duplicates = Counter(
            "outlay_events_duplicate", "Events that came twice in a batch.", registry=self.registry
        )
        self.rejected = Counter(
            "outlay_events_rejected", "Refused events.", ["code"], registry=self.registry
        )
        self.batches_refused = Counter(
            "outlay_batches_refused", "Refused batches.", ["code"], registry=self.registry
        )
        self.abandoned = Counter(
            "outlay_batches_abandoned",
            "Batches whose sender left before the end; nothing of them was written.",
            registry=self.registry,
        )
        self.ingest_seconds = Histogram(
            "outlay_ingest_seconds", "Time to make a batch durable.",
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.sign_ins = Counter(
            "outlay_sign_ins", "Tries to sign in, by way and outcome.", ["way", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self.query_seconds = Histogram(
            "outlay_query_seconds", "Time to answer a query.",
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.authority_ops = Histogram(
            "outlay_authority_batch_ops", "Holds and leases written together.",
            buckets=_BATCH_OPS, registry=self.registry,
        )  # fmt: skip
        self.authority_seconds = Histogram(
            "outlay_authority_seconds", "Time to write a batch of holds and leases.",
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.requests = Counter(
            "outlay_http_requests", "Answers by route and status.", ["route", "status"],
            registry=self.registry,
        )  # fmt: skip

    def watch(self, services: Services) -> None:
        """Show the logs and parts of a server, read at each scrape."""
        self.registry.register(_Parts(services))
        services.authority.measure = self._measure

    def _measure(self, ops: int, seconds: float) -> None:
        self.authority_ops.observe(ops)
        self.authority_seconds.observe(seconds)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format; reads logs, so not on the event loop."""
        return generate_latest(self.registry)


class _Parts(Collector):
    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> Iterator[Metric]:
        """Name nothing: registering must not read the logs."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Read logs and parts."""
        head = GaugeMetricFamily("outlay_log_head", "Last offset of a log.", labels=["log"])
        size = GaugeMetricFamily("outlay_log_bytes", "Bytes of a log.", labels=["log"])
        logs = (("captured", self._services.captured), ("enriched", self._services.enriched))
        for name, log in logs:
            head.add_metric([name], log.head())
            size.add_metric([name], log.size_bytes())
        parts = self._services.parts()
        yield head
        yield size
        yield _gauge("outlay_part_up", "Whether a part works.", parts, lambda p: int(p.ok))
        yield _gauge(
            "outlay_consumer_lag", "Records a consumer has yet to take.", parts,
            lambda p: p.lag_events,
        )  # fmt: skip
        counts = CounterMetricFamily(
            "outlay_part_events", "Events by part and kind.", labels=["part", "kind"]
        )
        for part in parts:
            for kind, number in part.counts.items():
                counts.add_metric([part.name, kind], number)
        yield counts
        acted = CounterMetricFamily(
            "outlay_limit_actions", "Rungs crossed and calls refused, by action and mode.",
            labels=["action", "mode"],
        )  # fmt: skip
        for (action, mode), number in sorted(self._services.limit_notices.actions.copy().items()):
            acted.add_metric([action, mode], number)
        yield acted
        waiting = self._services.authority.state().waiting
        yield GaugeMetricFamily(
            "outlay_authority_waiting", "Holds and lease lines that wait to be written.",
            value=waiting,
        )  # fmt: skip


def _gauge(
    name: str, meaning: str, parts: Sequence[PartState], value: Callable[[PartState], int | None]
) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, meaning, labels=["part"])
    for part in parts:
        number = value(part)
        if number is not None:
            gauge.add_metric([part.name], number)
    return gauge
