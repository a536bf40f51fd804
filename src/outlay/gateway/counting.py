"""What a gateway counts of itself: plain arithmetic on the event loop, paid by every request.

It knows nothing of how numbers are shown. No count is kept by tenant, model, key or any text of a
client: there are as many as the configuration declares, and no more.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, Literal, get_args

from outlay.gateway.config import CAUSES, Cause

MAX_UPSTREAMS: Final = 256
"""Upstreams with series of their own; further ones are counted as `other`."""
MAX_CODES: Final = 64
"""Codes of problems with series of their own; further ones are counted as `other`."""
OTHER: Final = "other"

Outcome = Literal["ok", "error", "refused", "cut_off", "left"]
"""How an attempt ended: answered, failed, refused by a limit before it was sent, ended by a limit,
or given up since the client was gone."""
Kind = Literal[Cause, "client_error"]
"""Why an attempt failed: what makes a call go on elsewhere, or a 4xx that is the client's."""

OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
KINDS: Final[tuple[Kind, ...]] = (*CAUSES, "client_error")

ADDED_S: Final = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
)  # fmt: skip
FIRST_BYTE_S: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
WAIT_S: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Times:
    """A histogram of seconds."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Return how many took at most so long, as Prometheus counts them."""
        names = [*map(str, self._bounds), "+Inf"]
        made, below = [], 0
        for name, number in zip(names, self._counts, strict=True):
            below += number
            made.append((name, float(below)))
        return made


class UpstreamCounts:
    """What is counted of one upstream."""

    __slots__ = ("drained", "errors", "first_byte", "outcomes", "waited")

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
        self.errors: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.first_byte = Times(FIRST_BYTE_S)
        self.waited = Times(WAIT_S)
        self.drained = 0


class Counts:
    """What one gateway process counts. Used by one event loop."""

    def __init__(self) -> None:
        self.added = Times(ADDED_S)
        """What the gateway itself took of a request: all but waiting for the upstream."""
        self.in_flight = 0
        """Requests being served now."""
        self.sockets = 0
        """Sockets open now."""
        self.contexts: dict[str, int] = {}
        """By what became of the signed context that a request carried."""
        self.revision = ""
        """Of the configuration that is served."""
        self.reloads = 0
        self.upstreams: dict[str, UpstreamCounts] = {}
        """By name; made by `of`."""
        self.problems: dict[str, int] = {}
        """By code; counted by `problem`."""

    def of(self, upstream: str) -> UpstreamCounts:
        """Return what is counted of a declared upstream; kept while the process runs."""
        found = self.upstreams.get(upstream)
        if found is None:
            if len(self.upstreams) >= MAX_UPSTREAMS:
                upstream = OTHER
            found = self.upstreams.setdefault(upstream, UpstreamCounts())
        return found

    def answered(self, upstream: str, status: int) -> None:
        """Count an attempt that was answered to its end, by its HTTP status."""
        if status < 400:
            self.of(upstream).outcomes["ok"] += 1
        elif status >= 500:
            self.failed(upstream, "error")
        else:
            self.failed(upstream, "rate_limited" if status == 429 else "client_error")

    def failed(self, upstream: str, kind: Kind) -> None:
        """Count an attempt that failed; while a circuit is `open` none is made."""
        counts = self.of(upstream)
        counts.errors[kind] += 1
        if kind != "open":
            counts.outcomes["error"] += 1

    def refused(self, upstream: str) -> None:
        """Count an attempt that a limit refused."""
        self.of(upstream).outcomes["refused"] += 1

    def cut(self, upstream: str) -> None:
        """Count a stream that a limit ended."""
        self.of(upstream).outcomes["cut_off"] += 1

    def drained(self, upstream: str) -> None:
        """Count an answer that was read to its end for a client that was gone."""
        self.of(upstream).drained += 1

    def left(self, upstream: str) -> None:
        """Count an attempt that was given up since the client was gone."""
        self.of(upstream).outcomes["left"] += 1

    def queued(self, upstream: str, seconds: float) -> None:
        """Count a wait in the queue."""
        self.of(upstream).waited.observe(seconds)

    def first_byte(self, upstream: str, seconds: float) -> None:
        """Count the time from sending a request to the first byte of its answer."""
        self.of(upstream).first_byte.observe(seconds)

    def problem(self, code: str) -> None:
        """Count a request that the gateway itself answered with a problem."""
        if code not in self.problems and len(self.problems) >= MAX_CODES:
            code = OTHER
        self.problems[code] = self.problems.get(code, 0) + 1

    def context(self, became: str) -> None:
        """Count a context that a request carried: `verified`, or why it is as if not there.

        Args:
            became: what `Caller.context` says; empty: there was none.
        """
        if became:
            self.contexts[became] = self.contexts.get(became, 0) + 1

    def reloaded(self, revision: str) -> None:
        """Say which configuration is served from now on."""
        if self.revision not in ("", revision):
            self.reloads += 1
        self.revision = revision
