"""What this process holds of each counter, and what it has used of it: the local arithmetic.

A `Line` is one scope of one limit; a `Period` is what is known of its counter now. The invariant
of a period that is bound: `reported + flying <= ceiling`, where the ceiling is what the authority
granted. Everything here happens under the gate's lock and does no I/O. Amounts are in the unit of
the limit's metric, times are of the monotonic clock in seconds unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from outlay.core.limits.ladder import at_amount
from outlay.core.limits.limit import Limit

METRICS: Final = (
    "cost", "tokens", "input_tokens", "output_tokens", "calls", "concurrent_calls", "credits",
)  # fmt: skip
"""In the order of a quote's amounts; the worst cases follow in the same order."""
NEVER: Final = 10**30
"""A use that nothing reaches."""

_MILD: Final = frozenset(("warn", "escalate"))


class Period:
    """One counter as this process knows it."""

    __slots__ = (
        "amount", "base", "calls", "cap", "ceiling", "counter", "cut_at", "ends_at", "exact",
        "first", "flying", "held", "held_here", "line", "most", "refused", "reported", "said",
        "seen_at", "starts_at", "told", "used",
    )  # fmt: skip

    def __init__(self, line: Line) -> None:
        self.line = line
        self.counter = ""
        self.starts_at = self.ends_at = 0
        """Microseconds UTC by the server's clock; 0: open, or not known yet."""
        self.used = self.held = 0
        self.amount = line.limit.amount
        self.cap: int | None = None
        self.exact = False
        self.seen_at = 0.0
        """When the authority's answer was asked for; 0: never."""
        self.reported = self.calls = self.flying = 0
        self.base = 0
        """The part of `reported` that `used` includes."""
        self.held_here = 0
        """The part of `held` that is this process's."""
        self.said = (0, 0)
        """Reported and calls, as the authority knows them."""
        self.ceiling = 0
        self.refused = self.most = NEVER
        """The need that the authority has just refused as used up, and the most to ask for."""
        self.first = NEVER
        """The least use that reaches a rung other than `block`; in the shadow, any rung."""
        self.cut_at = NEVER
        """The use from which on streams end."""
        self.told: set[tuple[int, str]] = set()
        """Rungs whose callbacks were called."""

    def spent(self, now: float) -> int:
        """Return what is used by all, as far as is known; of calls at once, those on their way."""
        line = self.line
        if line.gauge:
            return max(0, self.held - self.held_here) + self.flying
        used = self.used + self.reported - self.base
        limit = line.limit
        if limit.window == "rate" and limit.span_us and self.seen_at:
            used -= int(self.amount * (now - self.seen_at) * 1e6) // limit.span_us
        return max(0, used) if limit.metric != "credits" else used

    def over(self, amount: int, now: float) -> bool:
        """Tell whether an amount does not fit what is used already."""
        if self.cap is None:
            return False
        if amount >= self.refused:
            return True
        return (0 if self.line.gauge else self.spent(now)) + amount > self.cap

    def fits_in_s(self, amount: int, now: float) -> float:
        """Return after how many seconds an amount fits a rate, if nothing else is used."""
        missing = self.spent(now) + amount - (self.amount if self.cap is None else self.cap)
        return max(0.0, missing * self.line.limit.span_us / max(1, self.amount) / 1e6)

    def spans(self, at: int) -> bool:
        """Tell whether a time, microseconds UTC, may be in this period."""
        return self.starts_at <= at and (at < self.ends_at or not self.ends_at)

    def count(self, held: int, amounts: Mapping[str, int]) -> None:
        """Count what a call used, by metric, that held an amount.

        While the authority has not answered about this period, it has no line that the call's
        event could go onto: the event counts by itself, and a report would be the second time.
        """
        if not self.seen_at and not self.line.local:
            return
        self.calls += 1
        if not self.line.gauge:
            metric = METRICS[self.line.place % len(METRICS)]
            # Without a price the estimate counts, until the event tells.
            unsaid = {"cost": held, "credits": held, "calls": 1}.get(metric, 0)
            self.reported += amounts.get(metric, unsaid)

    def allow(self, amount: int, cap: int | None) -> None:
        """Take an amount and cap that hold from now on."""
        self.cap = cap
        self.amount = amount
        limit = self.line.limit
        self.first = self.cut_at = NEVER
        for rung in limit.thresholds:
            at = at_amount(limit, rung, amount)
            if rung.action != "block" or not self.line.enforced:
                self.first = min(self.first, at)
            if rung.action == "partial" and self.line.enforced:
                self.cut_at = min(self.cut_at, at)


class Line:
    """One scope of one limit, over all its periods."""

    __slots__ = (
        "active", "asks", "bound", "careful", "credit", "cuts", "enforced", "gauge", "largest",
        "limit", "load", "load_at", "local", "now", "place", "scope_key", "taken", "used_at",
    )  # fmt: skip

    def __init__(self, limit: Limit, scope_key: str, *, local: bool = False) -> None:
        self.scope_key = scope_key
        self.local = local
        """Counted in this process only: a request or a run that was begun here."""
        self.active = False
        """It is among the lines that the next sync looks at."""
        self.taken = 0
        """Reserved since the last sync."""
        self.largest = 0
        """The largest amount reserved at once, decaying."""
        self.load = 0.0
        self.load_at = 0.0
        self.used_at = 0.0
        self.careful = False
        """A strict limit is about calls that this balance pays."""
        self.limit = limit
        self.read(limit)
        self.now = Period(self)

    def read(self, limit: Limit) -> None:
        """Take a limit's definition, new or changed; what was used stays."""
        self.limit = limit
        self.place = METRICS.index(limit.metric) + (len(METRICS) if limit.strict else 0)
        self.gauge = limit.metric == "concurrent_calls"
        self.enforced = limit.mode == "enforce"
        self.credit = limit.metric == "credits"
        self.bound = self.enforced and (self.credit or limit.block_ppm is not None)
        """Calls need a grant of the authority."""
        self.asks = self.enforced and (
            self.bound or any(t.action not in _MILD for t in limit.thresholds)
        )
        """Calls need to know how the counter stands."""
        self.cuts = self.enforced and any(t.action == "partial" for t in limit.thresholds)

    def weigh(self, *, careful: bool) -> None:
        """Hold guesses of a balance, or while it is nearly used up or has to be safe the worst."""
        self.careful = careful
        worst = careful or self.now.exact
        self.place = METRICS.index("credits") + (len(METRICS) if worst else 0)

    def lacks(self, amount: int, now: float, valid_until: float) -> bool:
        """Tell whether a call has to ask the authority before it takes an amount."""
        period = self.now
        if self.local:
            return self.bound and period.reported + period.flying + amount > period.ceiling
        if not self.asks:
            return False
        if self.bound and (period.cap is not None or not period.seen_at):
            return now >= valid_until or period.reported + period.flying + amount > period.ceiling
        return not period.seen_at

    def free(self) -> int:
        """Return what is granted and neither used nor on its way."""
        period = self.now
        return max(0, period.ceiling - period.reported - period.flying)

    def roll(self) -> Period:
        """Begin a new period and return the one that has ended."""
        before, self.now = self.now, Period(self)
        self.now.starts_at = before.ends_at
        return before


def local_line(limit: Limit, scope_key: str, amount: int, cap: int | None) -> Line:
    """Make the line of a request or a run that this process alone counts."""
    line = Line(limit, scope_key, local=True)
    line.now.seen_at = 1.0
    renew_local(line, limit, amount, cap)
    return line


def renew_local(line: Line, limit: Limit, amount: int, cap: int | None) -> None:
    """Have a line that this process alone counts go by a limit as it is now."""
    line.read(limit)
    line.now.allow(amount, cap)
    if cap is None:
        line.bound = False
    else:
        line.now.ceiling = cap
