"""What calls were held at and what they cost: the report, and findings where both drift apart.

The cost is the event's own, as priced when it came: what a later change of prices made of it is no
error of the estimate. Calls without a price are left out. It changes no estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from outlay.core.rollup import HOUR_US, MINUTE_US
from outlay.store.base import Books, EventFilter, Finding, OlapStore
from outlay.store.groups import EstimateGroup

DRIFT: Final = "estimate_drift"
"""The kind of finding: a model and agent whose calls cost far more or less than held for them."""
DRIFT_CALLS: Final = 50
"""Held calls in an hour below which nothing is said."""
DRIFT_FACTOR: Final = 2
"""How far the cost may be off the estimate, either way."""
LATE_US: Final = 5 * MINUTE_US
"""How long after an hour its events are waited for."""
MAX_GROUPS: Final = 1000


def report(olap: OlapStore, which: EventFilter, *, limit: int) -> dict[str, Any]:
    """Return how estimates and costs compare, by model and agent and over all, as JSON."""
    groups = olap.estimates(which, limit=limit)
    return {
        "from": which.start,
        "to": which.end,
        "estimates": [{"model": g.model, "agent": g.agent, **_shown(g)} for g in groups],
        "total": _shown(_total(groups)),
    }


class EstimateWatch:
    """Looks at each whole hour once and raises findings. `clock` gives microseconds UTC."""

    def __init__(self, olap: OlapStore, books: Books, *, clock: Callable[[], int]) -> None:
        self._olap = olap
        self._books = books
        self._clock = clock
        self._hour = -1

    def run(self) -> int:
        """Look at the last whole hour if that has not been done; return how many findings.

        Raises:
            UnavailableError: the live store or the books cannot answer; the next call tries again.
        """
        now = self._clock()
        hour = (now - LATE_US) // HOUR_US * HOUR_US - HOUR_US
        if hour <= self._hour:
            return 0
        groups = self._olap.estimates(EventFilter(hour, hour + HOUR_US), limit=MAX_GROUPS)
        found = [_finding(group, hour, now) for group in groups if _drifts(group)]
        if found:
            self._books.find(found, at=now)
        self._hour = hour
        return len(found)


def _drifts(group: EstimateGroup) -> bool:
    if group.holds < DRIFT_CALLS:
        return False
    more = group.actual > DRIFT_FACTOR * group.estimated
    return more or group.estimated > DRIFT_FACTOR * group.actual


def _finding(group: EstimateGroup, hour: int, now: int) -> Finding:
    details = {"hour": hour, **_shown(group)}
    return Finding(DRIFT, f"{group.model} {group.agent}".strip(), details, now, now)


def _total(groups: list[EstimateGroup]) -> EstimateGroup:
    worst = max(groups, key=lambda one: one.worst, default=None)
    return EstimateGroup(
        "",
        "",
        sum(one.holds for one in groups),
        sum(one.estimated for one in groups),
        sum(one.actual for one in groups),
        sum(one.off for one in groups),
        sum(one.under for one in groups),
        worst.worst if worst else 0,
        worst.worst_event if worst else "",
    )


def _shown(group: EstimateGroup) -> dict[str, Any]:
    """Return a group as JSON: sums and means in whole nano-dollars, shares as ratios."""
    holds = group.holds
    return {
        "holds": holds,
        "estimated_nanos": group.estimated,
        "actual_nanos": group.actual,
        "ratio": group.actual / group.estimated if group.estimated else None,
        "mean_error_nanos": _mean(group.actual - group.estimated, holds),
        "mean_absolute_error_nanos": _mean(group.off, holds),
        "under_estimated": group.under,
        "under_share": group.under / holds if holds else None,
        "worst_error_nanos": group.worst,
        "worst_event": group.worst_event or None,
    }


def _mean(total: int, count: int) -> int | None:
    """Return a mean, halves away from zero."""
    if not count:
        return None
    size = (2 * abs(total) + count) // (2 * count)
    return size if total >= 0 else -size
