"""A gateway's counts as Prometheus shows them: names, meanings and labels, made at a scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from outlay.gateway.counting import Counts, Times, UpstreamCounts

PREFIX: Final = "outlay_gateway_"

Rows = Mapping[tuple[str, ...], float]
"""Values by those of the labels."""

_UPSTREAM: Final = ("upstream",)


class Counted(Collector):
    """What a gateway counts itself."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def describe(self) -> Iterator[Metric]:
        """Name nothing: registering must not read."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Read it."""
        yield from self._of_upstreams(list(self._counts.upstreams.items()))
        yield from self._of_all()

    def _of_upstreams(self, upstreams: list[tuple[str, UpstreamCounts]]) -> Iterator[Metric]:
        ended: dict[tuple[str, ...], float] = {}
        failed: dict[tuple[str, ...], float] = {}
        for name, of in upstreams:
            ended |= {(name, outcome): n for outcome, n in of.outcomes.items()}
            failed |= {(name, kind): n for kind, n in of.errors.items()}
        yield counter("attempts", "Attempts that ended, by how.", (*_UPSTREAM, "outcome"), ended)
        yield counter("errors", "Attempts that failed, by why.", (*_UPSTREAM, "kind"), failed)
        for name, meaning, read in _NUMBERS:
            yield counter(name, meaning, _UPSTREAM, {(u,): read(of) for u, of in upstreams})
        for name, meaning, times in _TIMES:
            seconds: Mapping[tuple[str, ...], Times] = {(u,): times(of) for u, of in upstreams}
            yield histogram(name, meaning, _UPSTREAM, seconds)

    def _of_all(self) -> Iterator[Metric]:
        counts = self._counts
        yield histogram(
            "added_seconds",
            "What the gateway took of a request, waiting for upstreams left out.",
            (),
            {(): counts.added},
        )
        problems: Rows = {(code,): n for code, n in list(counts.problems.items())}
        yield counter("problems", "Requests answered by the gateway itself.", ("code",), problems)
        contexts: Rows = {(became,): n for became, n in list(counts.contexts.items())}
        yield counter("contexts", "Contexts that came, by what of it.", ("became",), contexts)
        yield gauge("in_flight", "Requests being served.", (), {(): counts.in_flight})
        yield gauge("sockets", "Sockets that are open.", (), {(): counts.sockets})
        yield counter("reloads", "Configurations taken anew.", (), {(): counts.reloads})
        # One series at a time: the revision is a hash of a document that changes rarely.
        served: Rows = {(counts.revision,): 1} if counts.revision else {}
        yield gauge("config", "The configuration that is served.", ("revision",), served)


class Watched(Collector):
    """A value that somebody else keeps, or values by labels."""

    def __init__(
        self,
        name: str,
        meaning: str,
        read: Callable[[], float | Rows],
        labels: tuple[str, ...],
        *,
        grows: bool,
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._read = read
        self._labels = labels
        self._family = counter if grows else gauge

    def describe(self) -> Iterator[Metric]:
        """Name it, so that no name is taken twice; nothing is read."""
        yield self._family(self._name, self._meaning, self._labels, {})

    def collect(self) -> Iterator[Metric]:
        """Read it."""
        value = self._read()
        rows: Rows = value if isinstance(value, Mapping) else {(): value}
        yield self._family(self._name, self._meaning, self._labels, rows)


_NUMBERS: Final[tuple[tuple[str, str, Callable[[UpstreamCounts], int]], ...]] = (
    ("refusals", "Calls that limits refused.", lambda u: u.outcomes["refused"]),
    ("cut_offs", "Streams that limits ended.", lambda u: u.outcomes["cut_off"]),
    ("drained", "Answers read to their end for clients that were gone.", lambda u: u.drained),
)
_TIMES: Final[tuple[tuple[str, str, Callable[[UpstreamCounts], Times]], ...]] = (
    (
        "first_byte_seconds",
        "From sending a request to the first byte of its answer.",
        lambda u: u.first_byte,
    ),
    (
        "queue_wait_seconds",
        "Waiting for an upstream's turn, of those who had to.",
        lambda u: u.waited,
    ),
)


def counter(name: str, meaning: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """Return counts as a family."""
    family = CounterMetricFamily(PREFIX + name, meaning, labels=labels)
    for values, number in rows.items():
        family.add_metric(list(values), number)
    return family


def gauge(name: str, meaning: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    """Return values as a family."""
    family = GaugeMetricFamily(PREFIX + name, meaning, labels=labels)
    for values, number in rows.items():
        family.add_metric(list(values), number)
    return family


def histogram(
    name: str, meaning: str, labels: tuple[str, ...], rows: Mapping[tuple[str, ...], Times]
) -> Metric:
    """Return durations as a family."""
    family = HistogramMetricFamily(PREFIX + name, meaning, labels=labels)
    for values, times in rows.items():
        family.add_metric(list(values), buckets=times.buckets(), sum_value=times.total)
    return family
